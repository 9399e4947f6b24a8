// The one list that pairs a code generator with a driver. Not a scheduler and not a cache.
// Surprise: the interpreter's "code" is the kernel's own text, so every backend is an ExecutableImage away.
import Basics
import CodegenLLVM
import DriverCPU
import DriverInterpreter
import DriverLate
import DriverNull
import Execution
import Targets
import TensorTypes
import TileIR

/// A device that kernels can be made for and run on.
package struct Backend: Sendable {
  package var kind: DeviceKind
  package var target: TargetDescription
  package var driver: any Driver
  /// Everything besides the kernel that decides the code: part of every cache key.
  package var key: String
  /// False where making the image costs less than finding it in a cache.
  package var isWorthCaching: Bool
  private let generate: @Sendable (Kernel) throws(Diagnostic) -> ExecutableImage

  package func image(_ kernel: Kernel) throws(Diagnostic) -> ExecutableImage { try generate(kernel) }

  /// The image of a kernel whose code is LLVM IR written by hand; only processors take it.
  package func image(_ kernel: Kernel, code: String) throws(Diagnostic) -> ExecutableImage {
    guard kind == .cpu else {
      throw Diagnostic(.compiler, "\(kernel.name) is LLVM IR and cannot run on \(kind.rawValue)")
    }
    let compiled = try LLVMCompiler.compile(kernel, for: target, code: code)
    return try Self.image(kernel, .object, compiled.object, arena: compiled.arenaSymbol) { compiled.phases[$0] }
  }

  /// - Parameter target: what kernels are made for; anything else than this machine only where none runs.
  package static func make(
    _ kind: DeviceKind, for target: TargetDescription = .host
  ) throws(Diagnostic) -> Backend {
    guard kind == .null || target.runsOnHost else {
      throw Diagnostic(
        .device, "kernels for \(target.name) do not run on this machine",
        remedy: "take the device null, which runs none")
    }
    switch kind {
    case .cpu, .late:
      return Backend(
        kind: kind, target: target, driver: kind == .cpu ? CPUDriver.shared : LateDriver(over: CPUDriver.shared),
        key: "cpu \(LLVMCompiler.version) \(target.cacheKey)", isWorthCaching: true
      ) { kernel throws(Diagnostic) in
        let compiled = try LLVMCompiler.compile(kernel, for: target)
        return try image(kernel, .object, compiled.object, arena: compiled.arenaSymbol) { compiled.phases[$0] }
      }
    case .interpreter:
      return Backend(
        kind: kind, target: target, driver: InterpreterDriver(), key: "interpreter \(Kernel.textVersion)",
        isWorthCaching: false
      ) { kernel throws(Diagnostic) in
        try image(kernel, .tileText, Array(kernel.text.utf8), arena: nil) { "phase\($0)" }
      }
    case .null:
      return Backend(kind: kind, target: target, driver: NullDriver(), key: "null", isWorthCaching: false) {
        kernel throws(Diagnostic) in
        try image(kernel, .nothing, [], arena: nil) { "phase\($0)" }
      }
    }
  }

  /// The image's plain data from the kernel's index values.
  private static func image(
    _ kernel: Kernel, _ format: ExecutableImage.Format, _ code: [UInt8], arena: String?, symbol: (Int) -> String
  ) throws(Diagnostic) -> ExecutableImage {
    func known(_ dim: Dim?) throws(Diagnostic) -> Dim {
      guard let dim else {
        throw Diagnostic(.compiler, "kernel \(kernel.name): a grid or scratch extent depends on an instance")
      }
      return dim
    }
    var phases: [ExecutableImage.Phase] = []
    for (i, phase) in kernel.phases.enumerated() {
      var grid: [Dim] = []
      for value in phase.grid { grid.append(try known(kernel.dim(value))) }
      phases.append(.init(symbol: symbol(i), grid: grid, isBeside: phase.isBeside))
    }
    var scratch: [Dim] = []
    for buffer in kernel.buffers where buffer.role == .scratch {
      scratch.append(try known(kernel.scratchBytes(buffer)))
    }
    return ExecutableImage(
      name: kernel.name, format: format, code: code, phases: phases, arenaSymbol: arena, scratch: scratch,
      bufferCount: kernel.buffers.count - scratch.count, argumentCount: kernel.arguments.count,
      metadata: [.init(ExecutableImage.tileKey, kernel.stageName)])
  }
}

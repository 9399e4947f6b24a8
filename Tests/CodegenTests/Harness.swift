// Compiles a kernel for one target, loads the object and runs it on typed arrays, without the runtime.
// Not a benchmark. Surprise: every buffer is followed by canary bytes, and a write past its end fails the test.
import Basics
import CodegenLLVM
import DriverCPU
import Foundation
import Targets
import TensorTypes
import Testing
import TileIR

/// The targets whose code this machine runs.
let runnableTargets: [TargetDescription] =
  [TargetDescription.x86Baseline, .x86Version3, .x86Version4].filter(\.runsOnHost)
  + (TargetDescription.presets.contains { $0.runsOnHost } ? [] : [.host])

typealias PhaseFunction =
  @convention(c) (
    UnsafePointer<UnsafeMutableRawPointer?>, UnsafePointer<Int64>, Int64, Int64, UnsafeMutableRawPointer,
    UnsafeMutablePointer<Int64>
  ) -> Void
typealias ArenaFunction = @convention(c) (UnsafePointer<Int64>) -> Int64

/// A buffer of a launch: bytes, with room behind to notice overruns.
final class TestBuffer {
  static let canary: UInt8 = 0xa5
  let bytes: Int
  let memory: UnsafeMutableRawPointer
  /// `offset` moves the first element off its natural 64-byte alignment.
  init<T>(_ elements: [T], offset: Int = 0) {
    bytes = elements.count * MemoryLayout<T>.stride
    start = offset
    let size = elements.count * MemoryLayout<T>.stride
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size + offset + 256, alignment: 64) + offset
    (memory + size).initializeMemory(as: UInt8.self, repeating: Self.canary, count: 256)
    elements.withUnsafeBytes { if let base = $0.baseAddress { memory.copyMemory(from: base, byteCount: size) } }
    self.memory = memory
  }
  private let start: Int
  deinit { (memory - start).deallocate() }

  func array<T: BitwiseCopyable>(of: T.Type = T.self) -> [T] {
    (0..<bytes / MemoryLayout<T>.stride).map { (memory + $0 * MemoryLayout<T>.stride).loadUnaligned(as: T.self) }
  }
  var isIntact: Bool {
    (0..<256).allSatisfy { (memory + bytes).load(fromByteOffset: $0, as: UInt8.self) == Self.canary }
  }
}

/// A compiled and loaded kernel.
final class LoadedKernel {
  let kernel: Kernel
  let phases: [PhaseFunction]
  let arena: ArenaFunction
  private let code: ObjectLoader

  init(_ kernel: Kernel, _ target: TargetDescription, _ options: CodegenOptions = CodegenOptions()) throws {
    self.kernel = kernel
    let compiled = try LLVMCompiler.compile(kernel, for: target, options: options)
    let code = try ObjectLoader.load(compiled.object, name: kernel.name)
    self.code = code
    phases = try compiled.phases.map { unsafeBitCast(try #require(code.address(of: $0)), to: PhaseFunction.self) }
    arena = unsafeBitCast(try #require(code.address(of: compiled.arenaSymbol)), to: ArenaFunction.self)
  }

  /// Runs every phase in one piece, or in chunks of `chunk` instances; the fault words.
  @discardableResult
  func run(_ buffers: [TestBuffer], _ arguments: [Int] = [], chunk: Int = .max, origins: [Int]? = nil) throws -> [Int64]
  {
    var pointers: [UnsafeMutableRawPointer?] = buffers.enumerated().map { $1.memory + (origins?[$0] ?? 0) }
    var scratch: [UnsafeMutableRawPointer] = []
    defer { for pointer in scratch { pointer.deallocate() } }
    for (i, buffer) in kernel.buffers.enumerated() where buffer.role == .scratch {
      let count = try #require(kernel.scratchElementCount(i, arguments: arguments))
      let pointer = UnsafeMutableRawPointer.allocate(byteCount: max(64, count * buffer.dtype.size), alignment: 64)
      scratch.append(pointer)
      pointers.append(pointer)
    }
    pointers.append(nil)
    let words = arguments.map { Int64($0) } + [0]
    let bytes = Int(arena(words))
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes + 64, alignment: 64)
    defer { memory.deallocate() }
    // Whoever reads instance memory before writing it finds NaN.
    memory.initializeMemory(as: UInt8.self, repeating: 0xff, count: bytes)
    (memory + bytes).initializeMemory(as: UInt8.self, repeating: TestBuffer.canary, count: 64)
    var fault = [Int64](repeating: 0, count: 4)
    for (i, phase) in phases.enumerated() {
      let extents = try kernel.phases[i].grid.map { try #require(kernel.evaluatedIndex($0, arguments: arguments)) }
      let count = extents.reduce(1, *)
      var begin = 0
      while begin < count {
        let end = min(count, chunk == .max ? count : begin + chunk)
        phase(pointers, words, Int64(begin), Int64(end), memory, &fault)
        begin = end
      }
    }
    for buffer in buffers { #expect(buffer.isIntact, "a write past the end of a buffer") }
    for i in 0..<64 { #expect((memory + bytes).load(fromByteOffset: i, as: UInt8.self) == TestBuffer.canary) }
    return fault
  }
}

extension KernelBuilder {
  /// Row-major strides.
  mutating func contiguous(_ name: String, _ dtype: DType, _ shape: [TileValue], role: Buffer.Role) -> Int {
    var strides: [TileValue] = []
    var stride = index(1)
    for extent in shape.reversed() {
      strides.insert(stride, at: 0)
      stride = index(.multiply, stride, extent)
    }
    return buffer(name, dtype, shape, strides: strides, role: role)
  }
}

/// Reproducible numbers.
struct Numbers {
  private var state: UInt64
  init(_ seed: UInt64 = 1) { state = seed &* 7919 &+ 12345 }
  mutating func bits() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state >> 33
  }
  mutating func below(_ n: Int) -> Int { Int(bits() % UInt64(n)) }
  /// In -1..<1.
  mutating func unit() -> Double { Double(bits()) / Double(1 << 30) - 1 }
  mutating func floats(_ n: Int, scale: Double = 1) -> [Float] { (0..<n).map { _ in Float(unit() * scale) } }
}

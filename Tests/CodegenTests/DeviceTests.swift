// The compiler's own kernels for devices: whole code (nothing undefined), accepted by the vendor's assembler or by a
// linker where installed, and right: the entry points run here, invocation by invocation, against the interpreter.
// Not a test of a device. Surprise: to run, the LLVM IR made for PTX is turned into a processor's by replacing its
// words for entry points, buffers' memory and the invocation's number.
import Basics
import CodegenLLVM
import DriverCPU
import Foundation
import Fusion
import GraphIR
import Targets
import TensorTypes
import Testing
import TileIR

/// A kernel as Fusion tiles it, and what to launch it with.
struct DeviceSample: Sendable, CustomTestStringConvertible {
  enum Program: CaseIterable { case pointwise, softmax, matmul }
  var program: Program
  /// Rows, columns and, of a product, the inner extent.
  var extents: [Int]
  var isSymbolic: Bool

  static let all = Program.allCases.flatMap { program in
    [[64, 64, 64], [7, 129, 33], [1, 1, 1], [61, 203, 77]].flatMap { extents in
      [false, true].map { DeviceSample(program: program, extents: extents, isSymbolic: $0) }
    }
  }
  var testDescription: String { "\(program) \(extents)\(isSymbolic ? " symbolic" : "")" }

  /// Input and output elements, in the order of `kernel`'s buffers.
  func launch(for target: TargetDescription) throws -> (kernel: Kernel, buffers: [Elements], arguments: [Int]) {
    var builder = GraphBuilder(name: "\(program)")
    let sizes = program == .matmul ? extents : Array(extents.prefix(2))
    let dims = sizes.indices.map { isSymbolic ? builder.extent("n\($0)") : Dim(sizes[$0]) }
    func parameter(_ name: String, _ dims: [Dim]) -> Value { builder.parameter(name, TensorType(.f32, Shape(dims))) }
    var counts = [extents[0] * extents[1]]
    let result: Value
    switch program {
    case .pointwise:
      let x = parameter("x", dims)
      let bias = try builder.broadcast(parameter("bias", [dims[1]]), builder.shape(x))
      let sum = try builder.append(.add, x, bias)
      let exponential = try builder.append(.exp, try builder.append(.tanh, sum))
      result = try builder.append(.divide, try builder.append(.erf, x), exponential)
      counts.append(extents[1])
    case .softmax:
      let x = parameter("x", dims)
      let shape = builder.shape(x)
      let top = try builder.append(.reduce(.maximum, axes: [1]), x)
      let e = try builder.append(.exp, builder.append(.subtract, x, builder.restoring(top, [1], shape)))
      let sum = try builder.append(.reduce(.sum, axes: [1]), e)
      result = try builder.append(.divide, e, builder.restoring(sum, [1], shape))
    case .matmul:
      let a = parameter("a", [dims[0], dims[2]])
      let b = parameter("b", [dims[2], dims[1]])
      result = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), a, b)
      counts = [extents[0] * extents[2], extents[2] * extents[1]]
    }
    let graph = builder.finish([result])
    let schedule = try Fuser.schedule(graph, SchedulingContext(target: target, streamsOutputs: true))
    #expect(schedule.steps.count == 1)
    let step = try #require(schedule.steps.first)
    var numbers = Numbers(UInt64(extents[1]))
    let inputs = counts.map { Elements.random(.f32, $0, &numbers, scale: 2) }
    let buffers = step.buffers.map { source -> Elements in
      if case .parameter(let i) = source { return inputs[i] }
      return Elements(.f32, count: extents[0] * extents[1])
    }
    return (step.kernel, buffers, isSymbolic ? sizes : [])
  }
}

/// Runs a tool and gives what it says on failure; nil: it succeeded.
private func failure(of tool: String, _ arguments: [String]) throws -> String? {
  let process = Process()
  process.executableURL = URL(filePath: tool)
  process.arguments = arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let output = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return process.terminationStatus == 0 ? nil : String(decoding: output, as: UTF8.self)
}

/// A program on the search path, or named by the environment.
private func tool(_ name: String, variable: String) -> String? {
  let environment = ProcessInfo.processInfo.environment
  let places = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
  return ((environment[variable].map { [$0] } ?? []) + places)
    .first { FileManager.default.isExecutableFile(atPath: $0) }
}

private let ptxAssembler = tool("ptxas", variable: "AZULEJO_PTXAS")
private let linker = tool("ld.lld", variable: "AZULEJO_LLD")

private func withFiles(_ code: [UInt8], _ body: (_ input: String, _ output: String) throws -> Void) throws {
  let base = FileManager.default.temporaryDirectory.appending(path: "azulejo-\(UUID().uuidString)").path
  defer {
    try? FileManager.default.removeItem(atPath: base)
    try? FileManager.default.removeItem(atPath: base + ".out")
  }
  try Data(code).write(to: URL(filePath: base))
  try body(base, base + ".out")
}

/// What of a 64-bit little-endian ELF file is looked at.
private struct ELFSummary {
  var machine = 0
  var defined: Set<String> = []
  var undefined: Set<String> = []

  init(_ bytes: [UInt8]) throws {
    try #require(bytes.count > 64 && bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]))
    func number(_ offset: Int, _ size: Int) throws -> Int {
      try #require(offset >= 0 && offset + size <= bytes.count)
      return bytes[offset..<offset + size].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    machine = try number(18, 2)
    let (table, count) = (try number(40, 8), try number(60, 2))
    for section in 0..<count {
      let header = table + section * 64
      guard try number(header + 4, 4) == 2 else { continue }  // the symbol table
      let (start, size) = (try number(header + 24, 8), try number(header + 32, 8))
      let names = try number(table + (try number(header + 40, 4)) * 64 + 24, 8)
      for symbol in stride(from: start + 24, to: start + size, by: 24) {
        let name = String(decoding: bytes[(names + (try number(symbol, 4)))...].prefix { $0 != 0 }, as: UTF8.self)
        if try number(symbol + 6, 2) == 0 { undefined.insert(name) } else { defined.insert(name) }
      }
    }
  }
}

@Suite struct DeviceTests {
  @Test(arguments: DeviceSample.all)
  func ptx_has_every_entry_and_calls_nothing(_ sample: DeviceSample) throws {
    let target = TargetDescription.ptx(sm: 80)
    let made = try LLVMCompiler.deviceCode(of: sample.launch(for: target).kernel, for: target)
    #expect(made.text.contains(".target sm_80"))
    for entry in made.entries { #expect(made.text.contains(".visible .entry \(entry)(")) }
    let words = made.text.split { $0.isWhitespace || $0 == ";" }
    #expect(!words.contains { $0 == ".extern" || $0 == ".func" || $0.hasPrefix("call") })
  }

  @Test(
    .enabled(if: ptxAssembler != nil, "no ptxas: install nvidia-cuda-nvcc-cu12 (PyPI) and name it in AZULEJO_PTXAS"))
  func ptx_is_accepted_by_the_assembler() throws {
    let assembler = try #require(ptxAssembler)
    for sample in DeviceSample.all {
      let target = TargetDescription.ptx(sm: 80)
      let made = try LLVMCompiler.deviceCode(of: sample.launch(for: target).kernel, for: target)
      try withFiles(made.code) { input, output in
        let said = try failure(of: assembler, ["-arch=sm_80", "-O1", "-o", output, input])
        #expect(said == nil, "\(sample.testDescription): \(said ?? "")")
      }
    }
  }

  @Test(arguments: DeviceSample.all, ["gfx90a", "gfx1100"])
  func amdgpu_objects_are_whole(_ sample: DeviceSample, _ processor: String) throws {
    let target = TargetDescription.amdgpu(processor)
    let made = try LLVMCompiler.deviceCode(of: sample.launch(for: target).kernel, for: target)
    let file = try ELFSummary(made.code)
    #expect(file.machine == 224)
    #expect(file.undefined == [])
    for entry in made.entries { #expect(file.defined.isSuperset(of: [entry, entry + ".kd"])) }
  }

  @Test(.enabled(if: linker != nil, "no ld.lld on PATH, none in AZULEJO_LLD"))
  func amdgpu_objects_link_to_code_objects() throws {
    let linker = try #require(linker)
    for sample in DeviceSample.all {
      let target = TargetDescription.amdgpu("gfx90a")
      let made = try LLVMCompiler.deviceCode(of: sample.launch(for: target).kernel, for: target)
      try withFiles(made.code) { input, output in
        #expect(try failure(of: linker, ["-shared", "--no-undefined", "-o", output, input]) == nil)
        let linked = try ELFSummary([UInt8](Data(contentsOf: URL(filePath: output))))
        #expect(linked.machine == 224 && linked.defined.isSuperset(of: made.entries))
      }
    }
  }

  @Test func processors_and_devices_are_not_mixed_up() throws {
    let kernel = try DeviceSample(program: .softmax, extents: [3, 5], isSymbolic: false).launch(for: .ptx(sm: 80))
      .kernel
    #expect(throws: Diagnostic.self) { try LLVMCompiler.compile(kernel, for: .ptx(sm: 80)) }
    #expect(throws: Diagnostic.self) { try LLVMCompiler.deviceCode(of: kernel, for: .x86Baseline) }
    #expect(TargetDescription.devices.allSatisfy { !$0.runsOnHost })
  }

  #if arch(x86_64)
    @Test(arguments: DeviceSample.all)
    func entry_points_agree_with_the_interpreter(_ sample: DeviceSample) throws {
      let target = TargetDescription.ptx(sm: 80)
      let (kernel, buffers, arguments) = try sample.launch(for: target)
      let copies = buffers.map { buffer in
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.bytes.count, alignment: 64)
        memory.copyBytes(from: buffer.bytes)
        return memory
      }
      defer { for copy in copies { copy.deallocate() } }
      #expect(try TileInterpreter(kernel).run(buffers: copies, arguments: arguments).findings.isEmpty)
      let memory = buffers.map { TestBuffer($0.bytes) }
      try EmulatedDevice(kernel, target).run(memory, arguments)
      for (number, buffer) in memory.enumerated() {
        #expect(buffer.isIntact)
        let (actual, expected) = (buffer.array(of: Float.self), copies[number].map { $0 }.floats)
        // exp and sums of up to 203 terms of magnitude 4, in another order.
        let wrong = actual.indices.filter {
          !((actual[$0] - expected[$0]).magnitude <= 2e-5 * max(1, expected[$0].magnitude))
        }
        #expect(wrong.isEmpty, "\(kernel.buffers[number].name) differs in \(wrong.count) of \(actual.count) places")
      }
    }
  #endif
}

extension [UInt8] {
  fileprivate var floats: [Float] {
    withUnsafeBytes { raw in (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) } }
  }
}

#if arch(x86_64)
  /// Runs the entry points made for PTX on this machine: integers and pointers are passed alike, more of them than are
  /// read do no harm, and the invocation's number comes last.
  private struct EmulatedDevice {
    typealias Entry =
      @convention(c) (
        Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int
      ) -> Void
    let kernel: Kernel
    let device: DeviceKernel
    let entries: [Entry]
    private let code: ObjectLoader

    init(_ kernel: Kernel, _ target: TargetDescription) throws {
      self.kernel = kernel
      device = try LLVMCompiler.deviceCode(of: kernel, for: target)
      let text = try LLVMCompiler.llvmIR(kernel, for: target, optimised: false)
        .split(separator: "\n", omittingEmptySubsequences: false).map(Self.translated).joined(separator: "\n")
      let object = try LLVMCompiler.compile(kernel, for: .host, code: text).object
      let code = try ObjectLoader.load(object, name: kernel.name)
      self.code = code
      entries = try device.entries.map { unsafeBitCast(try #require(code.address(of: $0)), to: Entry.self) }
    }

    private static func translated(_ line: Substring) -> String {
      if line.hasPrefix("target ") || line.contains("declare") && line.contains("llvm.nvvm") { return "" }
      var line = String(line)
      if line.hasPrefix("define ptx_kernel"), let end = line.lastIndex(of: ")") {
        line.insert(contentsOf: ", i64 %number", at: end)
      }
      for (word, meaning) in [
        ("ptx_kernel ", ""), ("addrspacecast", "bitcast"), (" addrspace(1)", ""), ("\"target-cpu\"=\"sm_80\"", ""),
        ("call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()", "trunc i64 %number to i32"),
        ("call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()", "add i32 1, 0"),
        ("call i32 @llvm.nvvm.read.ptx.sreg.tid.x()", "add i32 0, 0"),
      ] { line = line.replacingOccurrences(of: word, with: meaning) }
      return line
    }

    func run(_ buffers: [TestBuffer], _ arguments: [Int]) throws {
      var owned: [UnsafeMutableRawPointer] = []
      defer { for pointer in owned { pointer.deallocate() } }
      func allocate(_ bytes: Int, _ pattern: UInt8) -> Int {
        let pointer = UnsafeMutableRawPointer.allocate(byteCount: max(bytes, 64), alignment: 64)
        pointer.initializeMemory(as: UInt8.self, repeating: pattern, count: max(bytes, 64))
        owned.append(pointer)
        return Int(bitPattern: pointer)
      }
      var words = buffers.map { Int(bitPattern: $0.memory) }
      for (i, buffer) in kernel.buffers.enumerated() where buffer.role == .scratch {
        let count = try #require(kernel.scratchElementCount(i, arguments: arguments))
        words.append(allocate(count * buffer.dtype.size, 0xff))
      }
      words += arguments
      let grids = try kernel.phases.map { phase in
        try phase.grid.map { try #require(kernel.evaluatedIndex($0, arguments: arguments)) }.reduce(1, *)
      }
      // One group of invocations more than there are instances: those must do nothing.
      let invocations = (grids.max() ?? 0) + 64
      let slice = try device.instanceMemory.map { try #require($0.evaluated(arguments)) }.max() ?? 0
      let faults = allocate(invocations * 32, 0)
      let memory = allocate(invocations * slice, 0xff)
      let untouched = [UInt8](repeating: 0xff, count: slice)
      words += [memory, slice, faults]
      let count = words.count
      try #require(count < 12)
      for (phase, entry) in entries.enumerated() {
        if slice > 0 { memset(try #require(UnsafeMutableRawPointer(bitPattern: memory)), 0xff, invocations * slice) }
        for number in (0..<grids[phase] + 64).reversed() {
          words = words.prefix(count) + [number] + [Int](repeating: 0, count: 11 - count)
          let w = words
          entry(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11])
          // Instances of lower numbers have not run: their memory is as it was.
          for lower in Set([0, number - 1]) where number > 0 && slice > 0 {
            let place = try #require(UnsafeRawPointer(bitPattern: memory + lower * slice))
            #expect(memcmp(place, untouched, slice) == 0)
          }
        }
      }
      let reported = UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: faults), count: invocations * 32)
      #expect(reported.allSatisfy { $0 == 0 })
    }
  }
#endif

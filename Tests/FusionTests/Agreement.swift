// Runs what Fusion makes of a graph in the tile interpreter, sanitizer on, beside the graph's own reference.
// Not a test of code generators. Surprise: outputs start as 0xff bytes, so what a kernel forgets to write is seen.
import Basics
import Fusion
import GraphIR
import Scalars
import Targets
import TensorTypes
import TileIR

/// Bytes at one address.
final class Memory {
  let bytes: UnsafeMutableRawBufferPointer
  init(_ content: [UInt8]) {
    bytes = .allocate(byteCount: content.count, alignment: 64)
    bytes.copyBytes(from: content)
  }
  convenience init(poisoned count: Int) { self.init(Array(repeating: 0xff, count: count)) }
  deinit { bytes.deallocate() }
}

/// One graph and what it is run on.
struct AgreementCase {
  let graph: Graph
  let parameters: [Memory]
  let arguments: [UInt64]
  /// Elements before each parameter's first one; empty: none.
  var starts: [Int] = []
  private var symbols: [Int] { arguments.map { Int(truncatingIfNeeded: $0) } }

  private func extents(_ dims: [Dim]) throws -> [Int] {
    try dims.map { dim in
      guard let value = dim.evaluated(symbols) else { throw Diagnostic(.shape, "\(dim) has no value") }
      return value
    }
  }

  func reference() throws -> [ReferenceTensor] {
    let inputs = parameters.enumerated().map { i, memory in
      GraphInterpreter.Input(bytes: Array(memory.bytes), offset: starts.isEmpty ? 0 : starts[i])
    }
    return try GraphInterpreter(graph).run(inputs, arguments: arguments)
  }

  /// What the kernels write. A finding throws, and so does a fault.
  func kernels(target: TargetDescription, donations: [Donation] = []) throws -> [ReferenceTensor] {
    let schedule = try Fuser.schedule(graph, SchedulingContext(target: target, donations: donations))
    let parameters = parameters.map { Memory(Array($0.bytes)) }
    func poisoned(_ type: TensorType) throws -> Memory {
      Memory(poisoned: try extents(type.shape.dims).reduce(type.dtype.size, *))
    }
    let temporaries = try schedule.temporaries.map(poisoned)
    var outputs = try graph.outputs.map { try poisoned(graph.type($0)) }
    for donation in donations { outputs[donation.output] = parameters[donation.parameter] }
    for step in schedule.steps {
      let memory = step.buffers.map { source in
        switch source {
        case .parameter(let i): parameters[i]
        case .output(let i): outputs[i]
        case .temporary(let i): temporaries[i]
        }
      }
      let origins = try zip(step.buffers, extents(step.offsets)).map { source, offset in
        guard case .parameter(let i) = source, !starts.isEmpty else { return offset }
        return offset + starts[i] * graph.parameters[i].type.dtype.size
      }
      do {
        let outcome = try TileInterpreter(step.kernel).run(
          buffers: memory.map(\.bytes), origins: origins, arguments: symbols)
        if let finding = outcome.findings.first { throw Diagnostic(.compiler, "\(finding)") }
        if let fault = outcome.fault { throw Diagnostic(.index, "\(fault)") }
      } catch {
        throw Diagnostic(.compiler, "\(error)\narguments \(symbols)\n\(graph)\n\(step.kernel.text)")
      }
    }
    return try outputs.enumerated().map { number, memory in
      let type = graph.type(graph.outputs[number])
      // Results over a parameter lie as the parameter does.
      let donation = donations.first { $0.output == number }
      let strides = donation.map { graph.parameters[$0.parameter].strides } ?? type.shape.contiguousStrides
      return try ReferenceTensor(
        type.dtype, extents(type.shape.dims), bytes: Array(memory.bytes), strides: extents(strides))
    }
  }

  /// The first element in which they differ by more than rounding in another order explains.
  func disagreement(
    with reference: [ReferenceTensor]? = nil, target: TargetDescription = .x86Version4, donations: [Donation] = []
  ) throws -> String? {
    let expected = try reference ?? self.reference()
    let actual = try kernels(target: target, donations: donations)
    for (number, (x, y)) in zip(expected, actual).enumerated() {
      if x.extents != y.extents { return "output \(number): extents \(y.extents), not \(x.extents)" }
      for (i, (a, b)) in zip(x.elements, y.elements).enumerated() where !isClose(a, b, x.dtype) {
        return "output \(number), element \(i) of \(x.extents): \(b), not \(a)"
      }
    }
    return nil
  }

  private func isClose(_ a: ScalarValue, _ b: ScalarValue, _ dtype: DType) -> Bool {
    guard case .float(let x) = a, case .float(let y) = b else { return a == b }
    if x.isNaN || y.isNaN { return x.isNaN && y.isNaN }
    if x == y { return true }
    // A few dozen roundings of terms not much larger than the result.
    let unit =
      switch dtype {
      case .f64: 1e-14
      case .f16: 1e-2
      case .bf16: 8e-2
      case .f32, .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64, .f8e4m3fn, .f8e5m2: 2e-5
      }
    return abs(x - y) <= unit * max(1, abs(x))
  }
}

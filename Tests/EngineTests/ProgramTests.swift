// Programs as data: a capture calls them whole, by the names that people know; their graphs print, are read back, verify,
// and the reference computes from the calls what the kernels of the same operations compute.
// Not the operations' own tests. Surprise: one graph serves every size of its labels, also where an extent is 1.
import Basics
import GraphIR
import Scalars
import Synchronization
import TensorTypes
import Tensors
import TestSupport
import Testing

@testable import Engine

/// Operations on x [rows, 6] and w [6, 4], and the programs that they call: one of a single primitive is that primitive.
private let operations: [(programs: [String], body: @Sendable (Tensor, Tensor) throws -> Tensor)] = [
  (["gelu"], { x, _ in x.gelu() }),
  (["softmax"], { x, _ in x.softmax() }),
  (["logsumexp"], { x, _ in x.logSumExp(0) }),
  (["product"], { x, w in x.converted(to: .f16).matmul(w.converted(to: .f16)).converted(to: .f32) }),
  (["silu", "multiply"], { x, w in x.matmul(w).silu() * 2 }),
  (["gather"], { x, _ in x.gathering(x.argmax(0).expandedDims(at: 0), axis: 0) }),
  (
    ["attention"],
    { x, _ in
      Tensor.scaledDotProductAttention(
        x.expandedDims(at: 0), x.expandedDims(at: 0), x.expandedDims(at: 0))[0]
    }
  ),
  (["var_mean"], { x, _ in x.variance(axes: [1]) }),
]

/// A capture of `body`, as a graph of x and w; `rows` of x are a symbol.
private func captured(
  _ body: (Tensor, Tensor) throws -> Tensor, rows: Int, isKnown: Bool
) throws -> Graph {
  let trace = Trace("captured", symbols: [(name: "s0", hint: rows, minimum: 1)]) { _, _, _, _ throws(Diagnostic) in
    throw Diagnostic(.compiler, "nothing leaves this capture")
  }
  defer { trace.close() }
  let extent = isKnown ? Dim(rows) : .symbol(0)
  let x = Tensor(try trace.parameter(0, "x", TensorType(.f32, Shape([extent, 6]))))
  let w = Tensor(try trace.parameter(1, "w", TensorType(.f32, Shape([6, 4]))))
  let result = try trace.capturing { try body(x, w) }
  return try trace.piece(try trace.values([try result.view])).graph
}

private func reference(_ tensor: Tensor) throws -> ReferenceTensor {
  ReferenceTensor(.f32, try tensor.view.hints, try tensor.array(as: Float.self).map { .float(Double($0)) })
}

@Suite struct ProgramTests {
  @Test(arguments: operations.indices, [(1, false), (1, true), (7, false), (7, true)])
  fileprivate func a_capture_calls_its_programs_whole(_ number: Int, _ size: (rows: Int, isKnown: Bool)) throws {
    let (programs, body) = operations[number]
    let graph = try captured(body, rows: size.rows, isKnown: size.isKnown)
    var called: [GraphReference] = []
    for case .call(let reference, _) in graph.nodes.map(\.primitive) where !called.contains(reference) {
      called.append(reference)
    }
    let names = called.map(\.graph.name)
    for program in programs { #expect(names.contains(program), "\(program) is not among \(names)") }
    for program in called {
      try program.graph.verified()
      #expect(try Graph(text: program.graph.description) == program.graph)
    }
    try graph.verified()
    #expect(try Graph(text: graph.description) == graph)
    let flat = try graph.inlined()
    #expect(flat.isFlat)
    try flat.verified()

    let x = Tensor((0..<size.rows * 6).map { Float(($0 * 37) % 29) * 0.05 - 0.7 }, shape: [size.rows, 6])
    let w = Tensor((0..<24).map { Float(($0 * 11) % 13) * 0.1 - 0.6 }, shape: [6, 4])
    let eager = Result { try body(x, w).array(as: Float.self) }
    for form in [graph, flat] {
      let made = Result {
        try GraphInterpreter(form).run(values: [reference(x), reference(w)], arguments: [UInt64(size.rows)])[0]
      }
      switch (eager, made) {
      case (.success(let eager), .success(let made)):
        let values = made.elements.map { if case .float(let value) = $0 { Float(value) } else { Float.nan } }
        #expect(eager.count == values.count && zip(eager, values).allSatisfy { abs($0 - $1) <= 1e-3 })
      case (.failure, .failure): break
      case (let eager, let made): Issue.record("\(programs): kernels \(eager), reference \(made)")
      }
    }
  }

  @Test func a_program_is_written_once_for_each_kind_of_operands() throws {
    let asked = Mutex(0)
    let program = Program("doubled", axes: [[0, 1]], fixedLabels: [1]) { builder, values throws(Diagnostic) in
      asked.withLock { $0 += 1 }
      return [try builder.append(.add, values[0], values[0])]
    }
    let first = try program.graph([TensorType(.f32, [3, 4])])
    #expect(try program.graph([TensorType(.f32, [8, 4])]) === first)
    #expect(try program.graph([TensorType(.f32, Shape([.symbol(5), 4]))]) === first)
    #expect(asked.withLock { $0 } == 1)
    // Another dtype, another fixed extent.
    #expect(try program.graph([TensorType(.f64, [3, 4])]) != first)
    #expect(try program.graph([TensorType(.f32, [3, 5])]) != first)
    #expect(asked.withLock { $0 } == 3)
    #expect("\(first.graph)".contains("f32[s0, 4]"))
  }

  @Test func results_of_one_program_are_computed_once() throws {
    let graph = try captured(
      { x, _ in
        let (variance, mean) = x.varianceAndMean(axes: [1])
        return variance + mean
      }, rows: 5, isKnown: true)
    #expect(graph.nodes.filter(\.primitive.isCall).count == 2, "\(graph)")
    let flat = try graph.inlined().withoutDeadNodes()
    #expect(Set(flat.nodes).count == flat.nodes.count)
  }
}

// Pointwise operations that are made up here, each one record with a formula, go through everything that knows operations.
// Not operations of the library. Surprise: nothing else is written for them, which is what is tested.
import Basics
import Fuzzing
import GraphIR
import RandomGraphs
import Scalars
import TensorTypes
import Testing

private let cubed = Pointwise.add(
  Pointwise("cubed", "x * x * x; integers wrap.", operands: 1, on: .numbers, .input(0) * .input(0) * .input(0)))
private let hypotenuse = Pointwise.add(
  Pointwise(
    "hypotenuse", "sqrt(x * x + y * y).", operands: 2, on: .floats,
    .apply(.squareRoot, .input(0) * .input(0) + .input(1) * .input(1))))
private let isBetween = Pointwise.add(
  Pointwise(
    "isbetween", "Whether y < x < z (bool).", operands: 3, on: .computed,
    .apply(.and, .input(1) .< .input(0), .input(0) .< .input(2))))

@Suite struct NewOperationTests {
  private static let made = [cubed, hypotenuse, isBetween]

  @Test func a_record_prints_parses_verifies_and_evaluates() throws {
    let text = """
      graph g(%0 x: f32[3], %1 y: f32[3]) {
        %2: f32[3] = cubed %0
        %3: f32[3] = hypotenuse %2, %1
        %4: bool[3] = isbetween %3, %0, %1
        return %3, %4
      }

      """
    let made = Self.made.count
    let graph = try Graph(text: text).verified()
    #expect(made == 3 && graph.description.split(separator: "\n") == text.split(separator: "\n"))
    #expect(graph.structuralHash == (try Graph(text: text)).structuralHash)
    let inputs = [[1, 2, -1], [0, 6, 20]].map { ReferenceTensor(.f32, [3], $0.map { .float($0) }) }
    let results = try GraphInterpreter(graph).run(
      inputs.map { GraphInterpreter.Input(bytes: $0.bytes, offset: 0) }, arguments: [])
    let expected: [ScalarValue] = [1, 10, Double(Float(401).squareRoot())].map { .float($0) }
    #expect(results[0].elements == expected)
    #expect(results[1].elements == [.integer(0), .integer(0), .integer(0)])
  }

  @Test func a_broken_constraint_is_quoted() {
    for (text, message) in [
      ("%2: bool[3] = cubed %0", "cubed (C1): the operand is bool"),
      ("%2: bool[3] = hypotenuse %0, %0", "hypotenuse (C3): the operands are bool"),
      ("%2: bool[3] = isbetween %0, %0, %1", "isbetween (C1): the operands are bool and f32"),
      ("%2: bool[3] = isbetween %0, %0", "isbetween: takes 3 operands, got 2"),
    ] {
      let graph = "graph g(%0 x: bool[3], %1 y: f32[3]) {\n  \(text)\n  return %2\n}\n"
      _ = Self.made
      let found = #expect(throws: Diagnostic.self) { try Graph(text: graph).verified() }
      #expect(found?.message.contains(message) == true, "\(found?.message ?? "")")
    }
  }

  /// Fused, kernel by kernel, eagerly, captured, behind each pass, and the reference against its error model.
  @Test(arguments: 0..<40) func random_graphs_of_new_operations_agree(_ seed: Int) throws {
    let sample = RandomGraph.make(
      seed: 9000 + seed, size: 10 + seed % 20, symbolic: seed % 2 == 1, pointwise: Self.made + [.add, .negate, .select])
    switch try CaseRun(sample).outcome() {
    case .agrees, .skipped: break
    case let other: Issue.record("\(other)\n\(sample.graph)")
    }
  }

  @Test func random_graphs_hold_new_operations() {
    var names: Set<String> = []
    for seed in 0..<40 {
      let sample = RandomGraph.make(seed: 9000 + seed, size: 10 + seed % 20, pointwise: Self.made)
      for node in sample.graph.nodes { names.insert(node.primitive.name) }
    }
    #expect(names.isSuperset(of: ["cubed", "hypotenuse", "isbetween"]))
  }
}

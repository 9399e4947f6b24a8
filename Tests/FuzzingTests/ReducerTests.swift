// Reduction: what does not matter goes, what matters stays; and cases read back from their text.
import Fuzzing
import GraphIR
import RandomGraphs
import TensorTypes
import Testing

@Test(arguments: 0..<100) func cases_read_back(number: Int) throws {
  let sample = GraphCase.random(seed: 3, number: number)
  #expect(try GraphCase(text: sample.description) == sample)
}

@Test func a_case_without_a_graph_is_refused() {
  #expect(throws: (any Error).self) { try GraphCase(text: "case seed=1 calls=[2]") }
  #expect(throws: (any Error).self) { try GraphCase(text: "case seed=x\ngraph g() { return }") }
  #expect(throws: (any Error).self) { try GraphCase(text: "case calls=[1]\ngraph g() { return }") }
}

@Test(arguments: [1, 5, 8, 20]) func a_failure_is_reduced_to_the_node_that_fails(number: Int) throws {
  /// Any graph with a reduction over more than one element "fails".
  func fails(_ sample: GraphCase) -> Bool {
    sample.graph.nodes.contains { node in
      guard case .reduce(_, let axes) = node.primitive, let operand = node.operands.first else { return false }
      let shape = sample.graph.type(operand).shape
      return axes.contains { shape[$0].evaluated(sample.calls[0]) ?? 0 > 1 }
    }
  }
  let finding = Finding(.differs, .compiled, "planted")
  let found = (0...).lazy.map { GraphCase.random(seed: number, number: $0) }.first(where: fails)
  let sample = try #require(found)
  let reduced = Reducer { fails($0) ? .finding(finding) : .agrees }.reduced(sample, finding).sample
  #expect(fails(reduced))
  #expect(reduced.graph.nodes.count == 2 && reduced.calls.count == 1, "\(reduced)")
  #expect(reduced.graph.type(Value(0)).shape.elementCount.knownValue ?? 99 <= 4, "\(reduced)")
}

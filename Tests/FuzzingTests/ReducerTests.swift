// Reduction: what does not matter goes, what matters stays; and cases read back from their text.
import Basics
@testable import Fuzzing
import GraphIR
import RandomGraphs
import TensorTypes
import Testing

@Test(arguments: 0..<100) func programs_read_back(number: Int) throws {
  let sample = FunctionCase.random(seed: 3, number: number)
  #expect(try FunctionCase(text: sample.description) == sample)
  #expect(try FuzzCase(text: FuzzCase.program(sample).description) == .program(sample))
}

@Test func a_text_that_is_no_program_is_refused() {
  for text in [
    "program seed=1", "program seed=x\ncall f32[2]:plain", "program seed=1\nv0 = \ncall f32[2]:plain",
    "program seed=1\ncall f32[2]:odd", "program seed=1\ncall f99[2]:plain", "program seed=1\ncall f32[-2]:plain",
    "program seed=1\ncall f32[2]:plain\ncall f32[2]:plain size=3",
  ] {
    #expect(throws: Diagnostic.self, "\(text)") { try FuzzCase(text: text) }
  }
}

@Test(arguments: 0..<12) func programs_agree(number: Int) {
  let outcome = try? FuzzCase.program(.random(seed: 5, number: number)).outcome()
  #expect(outcome?.finding == nil, "\(FunctionCase.random(seed: 5, number: number))")
}

@Test func most_programs_are_run_and_every_rule_is_an_operation() throws {
  let outcomes = try (0..<60).map { try FuzzCase.program(.random(seed: 6, number: $0)).outcome([]) }
  #expect(outcomes.count { $0 == .agrees } > 40)
  // Each rule fits some simple operands.
  let words: [Character: String] = [
    "b": "a0", "x": "a0", "i": "0", "n": "1", "k": "1", "f": "2.0", "t": "true", "s": "1",
  ]
  for rule in FunctionRule.all {
    let arguments = rule.arguments.enumerated().map { place, kind in
      if place == 1, kind == "x" { return "a1" }
      return place == 2 && kind == "i" ? "-1" : words[kind] ?? ""
    }
    let isTaken = try ["f32[3] f32[3]", "f32[3,3] f32[3,3]", "f32[3,3] f32[3]", "f32[1] f32[2]"].contains { forms in
      let call = forms.split(separator: " ").map { "\($0):plain" }.joined(separator: " ")
      let step = "v0 = \(rule.operation) \(arguments.joined(separator: " "))"
      let text = "program seed=1\n\(step)\nreturn v0\ncall \(call)"
      return try FunctionRun(program: FunctionCase(text: text)).operationsTaken.contains(rule.operation)
    }
    #expect(isTaken, "nothing takes \(rule.operation) \(arguments)")
  }
}

@Test func a_program_is_reduced_to_the_steps_that_fail() throws {
  /// Any program that adds a made constant in a later call of another rank "fails".
  func fails(_ sample: FuzzCase) -> Bool {
    guard case .program(let program) = sample else { return false }
    return program.constants.contains { $0.origin == .made } && program.steps.contains { $0.operation == "add" }
      && Set(program.calls.map { $0.arguments[0].type.extents.count }).count > 1
  }
  let finding = Finding(.differs, .captured, "planted")
  // In what results need: the rest goes with the first step.
  let found = (0...).lazy.map { FuzzCase.program(.random(seed: 9, number: $0).cleaned()) }.first(where: fails)
  let sample = try #require(found)
  let reduced = Reducer { fails($0) ? .finding(finding) : .agrees }.reduced(sample, finding).sample
  guard case .program(let program) = reduced else { return }
  #expect(fails(reduced) && program.steps.count == 1 && program.calls.count == 2, "\(reduced)")
}

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
  /// Any graph "fails" that needs a reduction over more than one element.
  func fails(_ sample: GraphCase) -> Bool {
    sample.graph.withoutDeadNodes().nodes.contains { node in
      guard case .reduce(_, let axes) = node.primitive, let operand = node.operands.first else { return false }
      let shape = sample.graph.type(operand).shape
      return axes.contains { shape[$0].evaluated(sample.calls[0]) ?? 0 > 1 }
    }
  }
  let finding = Finding(.differs, .compiled, "planted")
  let found = (0...).lazy.map { GraphCase.random(seed: number, number: $0) }.first(where: fails)
  let sample = try #require(found)
  let reducer = Reducer { candidate in
    guard case .graph(let graph) = candidate else { return nil }
    return fails(graph) ? .finding(finding) : .agrees
  }
  guard case .graph(let reduced) = reducer.reduced(.graph(sample), finding).sample else { return }
  #expect(fails(reduced))
  #expect(reduced.graph.nodes.count == 2 && reduced.calls.count == 1, "\(reduced)")
  #expect(reduced.graph.type(Value(0)).shape.elementCount.knownValue ?? 99 <= 4, "\(reduced)")
}

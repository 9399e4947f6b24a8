// Each pass on random graphs: what comes out is a graph and means the same. And passes that are wrong, which must be found.
import Basics
import Fuzzing
import GraphIR
import RandomGraphs
import TensorTypes
import Testing

@Suite struct PassPropertyTests {
  @Test(arguments: 0..<60) func every_pass_keeps_what_a_graph_means(_ seed: Int) throws {
    let sample = RandomGraph.make(seed: 7000 + seed, size: 12 + seed % 24, symbolic: seed % 2 == 1)
    switch try CaseRun(sample).outcome([.passes]) {
    case .agrees, .skipped: break
    case let other: Issue.record("\(other)\n\(sample.graph)")
    }
  }

  private func sum() throws -> GraphCase {
    var builder = GraphBuilder(name: "sum")
    let (a, b) = (
      builder.parameter("a", TensorType(.f32, [3, 4])), builder.parameter("b", TensorType(.f32, [3, 4]))
    )
    let sum = try builder.append(.add, a, b)
    return GraphCase(builder.finish([try builder.append(.permute([1, 0]), sum)]), values: .whole)
  }

  @Test(arguments: [
    ("a difference", "passes differs: behind the pass 'a difference' output 0 f32[4, 3] at"),
    ("rows", "behind the pass 'rows' output 0 has the extents [3, 4], not [4, 3]"),
    ("a type", "behind the pass 'a type': graph sum"),
  ])
  func a_pass_that_is_wrong_is_found_by_name(_ name: String, _ part: String) throws {
    let passes = GraphPass(name: name) { graph throws(Diagnostic) in
      var made = graph
      for i in made.nodes.indices {
        let node = made.nodes[i]
        switch (name, node.primitive) {
        case ("a difference", .add): made.nodes[i] = GraphNode(.subtract, node.operands, node.type)
        case ("rows", .permute): made.outputs = node.operands
        case ("a type", .permute): made.nodes[i] = GraphNode(node.primitive, node.operands, TensorType(.f32, [3, 4]))
        default: continue
        }
      }
      return made
    }
    let outcome = try CaseRun(sum(), passes: [GraphPass.reducing[0], passes]).outcome([.passes])
    #expect("\(outcome)".contains(part), "\(outcome)")
  }
}

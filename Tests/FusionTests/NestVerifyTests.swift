// Plans of loop nests that are none: each rule that `LoopNests.verified` checks is broken once, and named with its nest.
import Basics
import GraphIR
import Targets
import TensorTypes
import Testing

@testable import Fusion

@Suite struct NestVerifyTests {
  /// A nest of each form but attention, whose right plans every test under AZULEJO_VERIFY has; and two, the later reading the
  /// earlier.
  private func graph(_ form: String) throws -> Graph {
    var b = GraphBuilder(name: form)
    let x = b.parameter("x", TensorType(.f32, [4, 6]))
    switch form {
    case "rows": return b.finish([try b.append(.reduce(.sum, axes: [1]), x)])
    case "product":
      let y = b.parameter("y", TensorType(.f32, [6, 5]))
      return b.finish([try b.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), x, y)])
    case "scatter":
      let i = b.parameter("i", TensorType(.i64, [2, 6]))
      let u = b.parameter("u", TensorType(.f32, [2, 6]))
      return b.finish([try b.append(.scatter(axis: 0, combine: .sum), x, i, u)])
    case "pointwise": return b.finish([try b.append(.exp, x)])
    default:
      // Rows, stored, then rows of what is computed from them.
      let sums = try b.append(.reduce(.sum, axes: [1]), x)
      let all = try b.append(.reduce(.sum, axes: [0]), b.append(.exp, sums))
      return b.finish([all, sums])
    }
  }

  private func plan(_ graph: Graph) throws -> LoopNests {
    try LoopNests(graph, SchedulingContext(target: .x86Version4), forced: [])
  }

  @Test(arguments: ["rows", "product", "scatter", "pointwise", "chain"])
  func a_right_one_is_itself(_ form: String) throws {
    let graph = try graph(form)
    let plan = try plan(graph)
    #expect(try plan.verified(graph, donations: []).nests.count == plan.nests.count)
  }

  @Test(arguments: [
    ("rows", "a loop longer", "nest 0 of rows: has the loops [\"4\", \"7 reduced\"], which its form does not"),
    ("rows", "not reduced", "nest 0 of rows: has the loops [\"4\", \"6\"], which its form does not"),
    ("product", "not reduced", "nest 0 of product: has the loops"),
    ("product", "no loop", "nest 0 of product: has the loops [\"4\"], which its form does not"),
    ("scatter", "a loop longer", "nest 0 of scatter: has the loops"),
    ("pointwise", "not reduced", "nest 0 of pointwise: has the loops [\"4\", \"6 reduced\"]"),
    ("pointwise", "along another loop", "nest 0 of pointwise: writes %1 of [4, 6] along the loops [1, 0]"),
    ("pointwise", "along one loop twice", "along the loops [0, 0]"),
    ("pointwise", "another type", "writes %1, which is f32[4, 6], as f32[6, 4]"),
    ("pointwise", "a range", "writes %1 of [4, 6] into a range of [2, 6]"),
    ("pointwise", "reads another type", "reads %0 as f32[6, 4], which is f32[4, 6]"),
    ("rows", "reads what it computes", "does not compute %1, which decides its loops"),
    ("chain", "too early", "which no nest before it wrote"),
  ])
  func a_broken_rule_is_named(_ form: String, _ change: String, _ part: String) throws {
    let graph = try graph(form)
    var plan = try plan(graph)
    func root(_ change: (inout LoopNest.Root) -> Void) { change(&plan.nests[0].roots[0]) }
    switch change {
    case "a loop longer": plan.nests[0].axes[1].extent = 7
    case "not reduced": plan.nests[0].axes[1].reduced.toggle()
    case "no loop": plan.nests[0].axes.removeLast()
    case "along another loop": root { $0.axes = [1, 0] }
    case "along one loop twice": root { $0.axes = [0, 0] }
    case "another type": root { $0.target.type.shape = [6, 4] }
    case "a range": root { $0.box = ElementBox(starts: [0, 0], counts: [2, 6], steps: [1, 1]) }
    case "reads another type": plan.nests[0].inputs[Value(0)]?.type.shape = [6, 4]
    case "reads what it computes": plan.nests[0].inputs[Value(1)] = plan.nests[0].roots[0].target
    default: plan.nests.reverse()
    }
    #expect {
      try plan.verified(graph, donations: [])
    } throws: { error in
      let message = (error as? Diagnostic)?.message ?? ""
      #expect(message.contains(part), "\(message)")
      return message.contains(part)
    }
  }
}

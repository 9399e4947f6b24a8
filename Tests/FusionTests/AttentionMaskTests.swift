// Which spellings of a mask tell Fusion that keys need not be looked at. Not the tiles that leave them out.
import Basics
import GraphIR
import Scalars
import TensorTypes
import Testing

@testable import Fusion

@Suite struct AttentionMaskTests {
  enum Spelling: CaseIterable {
    case comparison, negated, triangleAsBool, triangleIsZero, notZero, boolAsNumber, finite, values, started
  }

  /// softmax(mask(q · k)) · v, with the mask as it is spelled.
  private func graph(_ spelling: Spelling) throws -> Graph {
    var b = GraphBuilder(name: "masked")
    let q = b.parameter("q", TensorType(.f32, [20, 8]))
    let k = b.parameter("k", TensorType(.f32, [24, 8]))
    let v = b.parameter("v", TensorType(.f32, [24, 8]))
    let m = b.parameter("m", TensorType(.f32, [20, 24]))
    let scores = try b.append(.contraction(ContractionAxes(contracted: [.init(1, 1)])), q, k)
    let shape = b.shape(scores)
    func filled(_ x: Double) throws -> Value { try b.filled(ScalarConstant(.f32, x), shape) }
    let row = try b.append(.iota(axis: 0, shape), [])
    let column = try b.append(.iota(axis: 1, shape), [])
    // A number as a capture has it: one element of a range.
    let range = try b.append(.iota(axis: 0, [30]), [])
    let number = try b.append(.reshape([]), b.append(.slice(starts: [5], counts: [1], steps: [1]), range))
    let last = spelling == .started ? try b.append(.add, row, b.broadcast(number, shape)) : row
    let seen = try b.append(.lessOrEqual, column, last)
    let (zero, one) = (try filled(0), try filled(1))
    let hidden = try filled(spelling == .finite ? -1e9 : -.infinity)
    let x: Value
    switch spelling {
    case .comparison, .finite, .started: x = try b.append(.select, seen, scores, hidden)
    case .negated: x = try b.append(.select, b.append(.not, seen), hidden, scores)
    case .triangleAsBool:
      let upper = try b.append(.select, seen, zero, one)
      x = try b.append(.select, b.append(.convert(.bool), upper), hidden, scores)
    case .triangleIsZero:
      let lower = try b.append(.select, seen, one, zero)
      x = try b.append(.select, b.append(.equal, lower, zero), hidden, scores)
    case .notZero:
      let lower = try b.append(.select, seen, one, zero)
      x = try b.append(.select, b.append(.notEqual, zero, lower), scores, hidden)
    case .boolAsNumber:
      let lower = try b.append(.convert(.f32), seen)
      x = try b.append(.select, b.append(.equal, lower, zero), hidden, scores)
    case .values:
      let lower = try b.append(.select, seen, m, zero)
      x = try b.append(.select, b.append(.equal, lower, zero), hidden, scores)
    }
    let top = try b.append(.reduce(.maximum, axes: [1]), x)
    let e = try b.append(.exp, b.append(.subtract, x, b.restoring(top, [1], shape)))
    let sum = try b.append(.reduce(.sum, axes: [1]), e)
    let p = try b.append(.divide, e, b.restoring(sum, [1], shape))
    return b.finish([try b.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), p, v)])
  }

  @Test(arguments: Spelling.allCases)
  func a_causal_mask_is_known_by_its_comparison(_ spelling: Spelling) throws {
    let graph = try graph(spelling)
    let pattern = try #require(AttentionFinder(graph, live: graph.liveValues()).patterns.values.first)
    let conditions = AttentionMask(graph, pattern).conditions
    // A finite number hides no key, and of a parameter's zeros nothing is known.
    guard spelling != .finite, spelling != .values else { return #expect(conditions.isEmpty) }
    #expect(conditions.map(\.coefficients) == [[0: -1, 1: 1]])
    #expect(conditions.map(\.offset) == [spelling == .started ? -5 : 0])
  }
}

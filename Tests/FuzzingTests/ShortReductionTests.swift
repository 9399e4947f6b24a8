// Reductions of no, one and few elements: every monoid on every dtype that it is defined on, as graphs. Not long rows.
// Surprise: an axis of one element has code of its own, which combines nothing; of tensors nobody sees it, since such a
// reduction is a view there.
import Fuzzing
import GraphIR
import RandomGraphs
import Scalars
import TensorTypes
import Testing

private let domains: [(shape: Shape, axes: [Int])] = [
  ([1], [0]), ([1, 1], [0]), ([1, 1], [0, 1]), ([3, 1], [1]), ([1, 17], [0]), ([2, 1, 2], [1]), ([2, 1, 2], [0, 1]),
  ([2], [0]), ([1, 3], [0, 1]), ([0, 2], [0]), ([2, 0], [0]), ([2, 3, 1, 2], [1, 2, 3]),
]

@Test(arguments: Monoid.allCases) func few_elements_are_reduced_as_many_are(monoid: Monoid) throws {
  for dtype in DTypes.computed.members where monoid.isDefined(on: dtype) {
    for (shape, axes) in domains {
      var b = GraphBuilder(name: "short")
      let x = b.parameter("x", TensorType(dtype, shape))
      guard let whole = try? b.append(.reduce(monoid, axes: axes), x) else { continue }
      let sample = FuzzCase.graph(GraphCase(b.finish([whole]), values: .whole))
      #expect(try sample.outcome(Way.allCases) == .agrees, "\(monoid) of \(dtype) \(shape) over \(axes)")
    }
  }
}

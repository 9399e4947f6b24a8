// Operations along an axis of a tensor that has none: PyTorch lets axis 0 or -1 of a 0-d tensor be named, as if it had one
// axis of one element. Not other wrong axes. Surprise: some give back a vector, since they count elements.
import TensorTypes
import Tensors
import Testing

@Test(arguments: [0, -1]) func the_axis_of_a_0d_tensor_may_be_named(axis: Int) throws {
  let x = Tensor(Float(3))
  let kept = [
    x.rolled([1], axes: [axis]), x.movingAxes([axis], to: [axis]), x.takingAlong(Tensor(0), axis: axis),
    x.flipped([axis]), x.softmax(axis) * 3, x.sum(axis), x.cumulativeSum(axis), x.selecting(Tensor(0), axis: axis),
  ]
  for (i, result) in kept.enumerated() {
    #expect(result.failure == nil && result.rank == 0, "\(i): \(result)")
    #expect(try result.item(as: Float.self) == 3, "\(i)")
  }
  let repeated = x.repeatingElements(2, axis: axis)
  #expect(try repeated.array(as: Float.self) == [3, 3])
  #expect(try x.repeatingElements(counts: Tensor([3]), axis: axis).array(as: Float.self) == [3, 3, 3])
  #expect(try x.unflattened(axis, [1, 1]).array(as: Float.self) == [3] && x.unflattened(axis, [1, -1]).rank == 2)
  #expect(x.cross(x, axis: axis).failure?.message.contains("no axis of extent 3") == true)
  #expect(x.unflattened(axis, [2]).failure != nil && x.takingAlong(Tensor([0]), axis: axis).failure != nil)
}

@Test(arguments: [1, -2, .max, .min]) func of_several_results_none_is_good_where_the_axis_is_wrong(axis: Int) {
  let x = Tensor(Float(3))
  let pairs = [
    x.sorted(axis), x.maxWithIndices(axis), x.minWithIndices(axis), x.top(1, axis), x.kthSmallest(1, axis),
    x.medianWithIndices(axis), x.cumulativeMax(axis), x.cumulativeMin(axis),
  ]
  for (i, pair) in pairs.enumerated() {
    #expect(pair.values.failure?.kind == .index && pair.indices.failure == pair.values.failure, "\(i)")
  }
}

@Test(arguments: [1, -2]) func other_axes_of_a_0d_tensor_are_errors(axis: Int) {
  let x = Tensor(Float(3))
  for result in [
    x.rolled([1], axes: [axis]), x.movingAxes([axis], to: [0]), x.takingAlong(Tensor(0), axis: axis),
    x.repeatingElements(2, axis: axis), x.unflattened(axis, [1]), x.cross(x, axis: axis), x.sum(axis),
  ] { #expect(result.failure?.kind == .index) }
}

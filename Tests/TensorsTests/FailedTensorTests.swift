import Basics
import TensorTypes
import Tensors
import Testing

@Suite struct FailedTensorTests {
  @Test func axis_outside_the_rank_fails_with_both_values_and_the_callers_line() {
    let x = Tensor([1, 2, 3] as [Float])
    let y = x.sum(3)
    let line: UInt = #line - 1
    #expect(y.failure?.kind == .index)
    #expect(y.failure?.message.contains("axis 3 is outside -1...0") == true)
    #expect(y.failure?.location?.line == line)
    #expect(y.failure?.location?.file.hasSuffix("FailedTensorTests.swift") == true)
  }

  @Test func a_view_repeats_extents_of_1_and_nothing_else() throws {
    let x = Tensor([1, 2, 3] as [Float])
    #expect(try Tensor(x.view.expanded(to: [2, 3])).array(as: Float.self) == [1, 2, 3, 1, 2, 3])
    for target in [[4], [3, 2], [1], []] {
      #expect(throws: Diagnostic.self) { try x.view.expanded(to: target) }
    }
  }

  @Test func failure_goes_through_later_operations_and_keeps_the_first_diagnostic() {
    let x = Tensor([1, 2, 3] as [Float])
    let y = ((x + Tensor([1, 2] as [Float])) * 2).exp().sum(7)
    #expect(y.failure?.message.contains("[3] and [2] do not broadcast") == true)
    #expect(throws: Diagnostic.self) { try y.item(as: Float.self) }
    #expect(throws: Diagnostic.self) { try y.array(as: Float.self) }
  }

  @Test func an_operator_says_where_it_was_written() {
    let (a, b) = (Tensor([1, 2, 3] as [Float]), Tensor([1, 2] as [Float]))
    let sum = a + b
    let line: UInt = #line - 1
    #expect(sum.failure?.location == nil)
    #expect(sum.failure?.place?.file == "TensorsTests/FailedTensorTests.swift")
    #expect(sum.failure?.place?.line == line)
  }

  @Test func values_of_a_failed_tensor_throw_the_first_mistake_at_every_boundary() throws {
    let failed = Tensor.zeros(2).matmul(Tensor.zeros(3))
    let first = try #require(failed.failure)
    #expect(throws: first) { try failed.item(as: Float.self) }
    #expect(throws: first) { try (failed * 2)[0].array(as: Float.self) }
    #expect(throws: first) { try failed.isEqual(to: failed) }
    #expect(throws: first) { try failed.shape[0].value }
    #expect(throws: first) { try Tensor.concatenated([Tensor.zeros(1), failed]).item(as: Float.self) }
    var target = Tensor.zeros(3)
    target[0] = failed
    #expect(target.failure == first)
    target += 1
    #expect(target.failure == first)
  }

  @Test func lists_that_fail_have_as_many_failed_tensors_as_were_asked_for() {
    let x = Tensor.zeros(2, 4)
    let broken = x.matmul(x)
    for (list, last) in [
      (x.split(sizes: [2, 3], axis: -1), 1), (x.split(into: 5, axis: 7), 4), (broken.chunks(3), 2),
      (broken.split(at: [1, 2]), 2), (broken.unbound(), 3), (broken.split(every: 2), 3),
      (Tensor.broadcasting([x, broken]), 1), (Tensor.grid([x, broken]), 1), (broken.chunks(.max), 9),
    ] {
      #expect(list[last].failure != nil)
      #expect(list[last].failure == list[0].failure)
    }
    #expect(broken.chunks(3)[2].failure == broken.failure)
    // Nobody knows how many there would be: any number that programs write is there.
    for list in [broken.unbound(), broken.split(every: 1), x.unbound(9), x.split(every: 2, axis: 9)] {
      #expect(list[1000].failure != nil)
    }
  }

  /// Operations that are made of others: where each of those is called is nobody's business.
  @Test func a_mistake_inside_an_operation_names_the_line_of_its_caller() throws {
    let stored = Tensor.ones(3, 4).converted(to: .f8e4m3fn)
    let (x, y) = (Tensor.ones(3, 4), Tensor([0, 9, 1]))
    let line: UInt = #line + 2
    let results = [
      x.embeddingBag(y, offsets: Tensor([0, 2])), stored.crossEntropy(y), stored.unique().values,
      x.trapezoids(at: x[0], 0),
      x.cumulativeTrapezoids(at: Tensor(Float(1)), 1), stored.histogram(), stored.localResponseNorm(2),
      Tensor.ones(1, 8, 4).converted(to: .f8e4m3fn).folded([2, 2], kernel: [2, 2]),
      Tensor.ones(3).converted(to: .u64).scattering(Tensor.ones(3), at: y, axis: 0, reduction: .mean),
      Tensor(Float(1)).covariance(frequencies: y),
    ]
    for (i, result) in results.enumerated() {
      let place = result.failure?.place
      #expect(place?.file == "TensorsTests/FailedTensorTests.swift", "\(i): \(result)")
      #expect(place.map { (line...line + 5).contains($0.line) } == true, "\(i): \(result)")
    }
  }

  @Test func a_failed_mask_keeps_its_mistake() {
    let x = Tensor.zeros(2, 4)
    let mask = x.matmul(x) > 0
    let first = x.matmul(x).failure?.message
    #expect(Tensor.select(mask, x, 0.0).failure?.message == first)
    #expect(x.filled(where: mask, with: 1).failure?.message == first)
    #expect(x.kept(where: mask, else: x).failure?.message == first)
    #expect(x[mask].failure?.message == first)
    var written = x
    written[mask] = Tensor(1)
    #expect(written.failure?.message == first)
  }

  @Test func an_axis_outside_the_rank_gives_a_failed_extent() {
    let extent = Tensor.zeros(2, 3).shape[5]
    #expect(throws: Diagnostic.self) { try extent.value }
    #expect(Tensor.zeros([extent]).failure?.message.contains("axis 5 is outside the rank 2") == true)
  }

  @Test func division_of_integers_by_zero_is_a_failed_tensor() {
    let quotient = Tensor([4, 2]).floorDivided(by: Tensor([2, 0]))
    #expect(quotient.failure?.kind == .numerics)
  }

  @Test func reading_more_than_one_element_as_item_names_the_shape() {
    #expect(throws: Diagnostic.self) { try Tensor.zeros(2, 2).item(as: Float.self) }
  }

  @Test func rows_of_different_lengths_are_no_tensor() {
    #expect(Tensor([[1, 2], [3]]).failure?.message.contains("rows of 2 and 1") == true)
    #expect(Tensor([[1, 2, 3], [4, 5, 6]]).shape.description == "[2, 3]")
  }

  @Test func extents_beyond_any_machine_give_failed_tensors() {
    let x = Tensor.ones(1)
    let huge = Int.max
    #expect(x.expanded(huge, huge).failure?.kind == .memory)
    #expect(x.reshaped(huge, 4).failure?.kind == .shape)
    #expect(x.repeated([huge, 8]).failure?.kind == .argument)
    #expect(Tensor.zeros(huge, huge).failure?.kind == .memory)
    #expect(Tensor([1, 2], shape: [huge, 2]).failure?.kind == .shape)
    #expect(Tensor.arange(huge).failure?.kind == .argument)
    #expect(x.narrowed(0, start: 0, count: huge).failure?.kind == .index)
    #expect(x.chunks(huge).count == 1)
    var random = RandomGenerator(seed: 1)
    #expect(random.uniform([Dim(huge), Dim(huge)]).failure?.kind == .memory)
    #expect(x[stride(from: 0, to: huge, by: huge)].failure == nil)
    #expect(x.rolled([.min], axes: [0]).failure == nil)
  }
}

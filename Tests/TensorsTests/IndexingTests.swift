import Basics
import Tensors
import TensorTypes
import Testing

/// 0, 1, ... in `shape`.
private func counting(_ shape: [Int]) -> Tensor {
  Tensor(Array(0..<shape.reduce(1, *)).map { Float($0) }, shape: shape)
}

@Suite struct IndexingTests {
  private func elements(_ x: Tensor) throws -> [Float] { try x.array(as: Float.self) }

  @Test func ranges_integers_and_new_axes_select_views() throws {
    let x = counting([2, 3, 4])
    #expect(x[1].shape.description == "[3, 4]")
    #expect(try elements(x[..., 1]) == [1, 5, 9, 13, 17, 21])
    #expect(try elements(x[0, 1..., ..<2]) == [4, 5, 8, 9])
    #expect(try elements(x[-1, ..., -1]) == [15, 19, 23])
    #expect(x[.newAxis, ..., .newAxis].shape.description == "[1, 2, 3, 4, 1]")
    #expect(try elements(x[0, 0, stride(from: 3, through: 0, by: -1)]) == [3, 2, 1, 0])
    #expect(try elements(x[0, 0, stride(from: 0, to: 4, by: 3)]) == [0, 3])
    #expect(try elements(x[1, 2, .slice(-3, nil, by: 2)]) == [21, 23])
    #expect(try elements(x[1, 2, ..<(-1)]) == [20, 21, 22])
    #expect(x[0..<0].shape.description == "[0, 3, 4]")
  }

  @Test func dims_index_without_guards() throws {
    let x = counting([4, 2])
    let end = x.shape[0] - 1
    #expect(try elements(x[end - 1..<end]) == [4, 5])
    #expect(try elements(x[end]) == [6, 7])
    #expect(try elements(x[2..<end]) == [4, 5])
  }

  @Test func positions_broadcast_and_keep_their_place() throws {
    let x = counting([2, 3, 4])
    #expect(x[..., [3, 0]].shape.description == "[2, 3, 2]")
    #expect(try elements(x[[1, 0], [2, 1], [0, -1]]) == [20, 7])
    // Separated by a range: the positions' axes come first.
    let apart = x[indices: [.tensor(Tensor([0, 1])), .slice(nil, nil), .tensor(Tensor([3, 2]))]]
    #expect(apart.shape.description == "[2, 3]")
    #expect(try elements(apart) == [3, 7, 11, 14, 18, 22])
    let grid = x[0, Tensor([[0, 2]].flatMap { $0 }, shape: [2, 1]), Tensor([1, 3])]
    #expect(try elements(grid) == [1, 3, 9, 11])
  }

  @Test func masks_choose_in_row_major_order() throws {
    let x = counting([2, 3])
    #expect(try elements(x[x > 2]) == [3, 4, 5])
    #expect(try elements(x[Tensor([false, true])]) == [3, 4, 5])
    #expect(x[x > 99].shape.description == "[0]")
    #expect(try elements(x[..., Tensor([true, false, true])]) == [0, 2, 3, 5])
  }

  @Test func writing_changes_no_other_holder() throws {
    var x = counting([2, 3])
    let before = x
    let row = x[0]
    x[..., 1] = Tensor(9.0)
    x[1, 0..<2] = Tensor([7, 8] as [Float])
    #expect(try elements(x) == [0, 9, 2, 7, 8, 5])
    #expect(try elements(before) == [0, 1, 2, 3, 4, 5])
    #expect(try elements(row) == [0, 1, 2])
  }

  @Test func writing_a_view_of_itself_reads_before_it_writes() throws {
    var x = counting([5])
    x[1...] = x[..<(-1)]
    #expect(try elements(x) == [0, 0, 1, 2, 3])
  }

  @Test func writing_by_positions_and_masks() throws {
    var x = counting([3, 2])
    x[[2, 0]] = Tensor([10, 11, 20, 21] as [Float], shape: [2, 2])
    #expect(try elements(x) == [20, 21, 2, 3, 10, 11])
    x[x > 15] = Tensor(0.0)
    #expect(try elements(x) == [0, 0, 2, 3, 10, 11])
    x[..., [1]] = Tensor([5, 6, 7] as [Float], shape: [3, 1])
    #expect(try elements(x) == [0, 5, 2, 6, 10, 7])
    let sums = Tensor.zeros(3).adding(Tensor([1, 2, 4] as [Float]), at: [.tensor(Tensor([1, 1, 0]))])
    #expect(try elements(sums) == [4, 3, 0])
  }

  @Test func repeated_views_are_copied_before_they_are_written() throws {
    var x = Tensor.zeros(1).expanded(3)
    x[1] = Tensor(5.0)
    #expect(try elements(x) == [0, 5, 0])
    var windows = counting([4]).windows(0, size: 2, step: 1)
    windows[0, 1] = Tensor(9.0)
    #expect(try elements(windows) == [0, 9, 1, 2, 2, 3])
  }

  @Test func wrong_indices_give_failed_tensors_with_both_values() {
    let x = counting([2, 3])
    #expect(x[2].failure?.message.contains("index 2 is outside axis 0 of [2, 3], whose extent is 2") == true)
    #expect(x[0, 0, 0].failure?.message.contains("3 indices for the 2 axes") == true)
    #expect(x[..., [0, 3]].failure?.message.contains("index 3 is outside -3..<3") == true)
    #expect(x[[0, 1], [0, -4]].failure?.message.contains("index -4 is outside -3..<3") == true)
    #expect(x[Tensor([true])].failure?.kind == .index)
    #expect(x[Tensor([0.5] as [Float])].failure?.kind == .dtype)
    var y = x
    y[0] = Tensor([1, 2] as [Float])
    #expect(y.failure?.message.contains("[2] does not repeat to [3]") == true || y.failure?.kind == .shape)
  }

  @Test func gathers_take_strided_operands() throws {
    let x = counting([3, 4]).transposed()
    #expect(try elements(x.selecting(Tensor([3, 0]), axis: 0)) == [3, 7, 11, 0, 4, 8])
    let indices = Tensor([0, 3, 1, 2, 2, 2], shape: [2, 3])
    #expect(try elements(x.gathering(indices, axis: 0)) == [0, 7, 9, 2, 6, 10])
    #expect(try elements(x.taking(Tensor([1, -1]))) == [4, 11])
  }

  @Test func scatters_keep_what_they_do_not_reach() throws {
    let x = counting([3, 3]).transposed()
    let result = x.scattering(
      Tensor([90, 91] as [Float], shape: [1, 2]), at: Tensor([2, 0], shape: [1, 2]), axis: 0)
    #expect(try elements(result) == [0, 91, 6, 1, 4, 7, 90, 5, 8])
  }

  @Test func nonzero_and_unique_find_their_extent() throws {
    let x = Tensor([0, 3, 0, 1, 3, 1], shape: [2, 3])
    #expect(try x.nonzero().array(as: Int.self) == [0, 1, 1, 0, 1, 1, 1, 2])
    let found = x.unique()
    #expect(try found.values.array(as: Int.self) == [0, 1, 3])
    #expect(try found.inverse.array(as: Int.self) == [0, 2, 0, 1, 2, 1])
    #expect(try found.counts.array(as: Int.self) == [2, 2, 2])
  }
}

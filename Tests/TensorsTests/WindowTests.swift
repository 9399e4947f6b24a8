import Basics
import Capture
import Tensors
import TensorTypes
import Testing

/// A convolution by loops: x [n, c, h, w], weight [o, c / groups, kh, kw].
private func naiveConvolution(
  _ x: [Float], _ xs: [Int], _ w: [Float], _ ws: [Int], stride: [Int], padding: [Int], dilation: [Int], groups: Int
) -> (elements: [Float], shape: [Int]) {
  let height = (xs[2] + 2 * padding[0] - dilation[0] * (ws[2] - 1) - 1) / stride[0] + 1
  let width = (xs[3] + 2 * padding[1] - dilation[1] * (ws[3] - 1) - 1) / stride[1] + 1
  var result: [Float] = []
  for n in 0..<xs[0] {
    for o in 0..<ws[0] {
      let first = o / (ws[0] / groups) * ws[1]
      for i in 0..<height {
        for j in 0..<width {
          var sum: Float = 0
          for c in 0..<ws[1] {
            for p in 0..<ws[2] {
              for q in 0..<ws[3] {
                let (y, z) = (
                  i * stride[0] + p * dilation[0] - padding[0], j * stride[1] + q * dilation[1] - padding[1]
                )
                guard (0..<xs[2]).contains(y), (0..<xs[3]).contains(z) else { continue }
                let weight = w[((o * ws[1] + c) * ws[2] + p) * ws[3] + q]
                sum += x[((n * xs[1] + first + c) * xs[2] + y) * xs[3] + z] * weight
              }
            }
          }
          result.append(sum)
        }
      }
    }
  }
  return (result, [xs[0], ws[0], height, width])
}

@Suite struct ConvolutionTests {
  struct Sample: Sendable, CustomStringConvertible {
    var x: [Int], weight: [Int]
    var stride = [1, 1], padding = [0, 0], dilation = [1, 1]
    var groups = 1
    var description: String { "\(x) by \(weight), \(stride) \(padding) \(dilation) \(groups)" }
  }

  @Test(arguments: [
    Sample(x: [2, 3, 7, 6], weight: [4, 3, 3, 2]),
    Sample(x: [2, 4, 9, 8], weight: [6, 2, 3, 3], stride: [2, 1], padding: [1, 2], dilation: [1, 2], groups: 2),
    // One filter for each channel.
    Sample(x: [1, 5, 6, 6], weight: [5, 1, 3, 3], padding: [1, 1], groups: 5),
    // Every place by itself, and rows long enough to be read as windows.
    Sample(x: [2, 8, 3, 5], weight: [7, 8, 1, 1]),
    Sample(x: [1, 2, 4, 70], weight: [3, 2, 2, 3], padding: [0, 1]),
    // Windows that meet without a gap.
    Sample(x: [2, 4, 6, 9], weight: [6, 2, 2, 3], stride: [2, 3], groups: 2),
  ])
  func convolution_equals_loops_and_its_transpose_is_its_adjoint(_ s: Sample) throws {
    let (x, w) = (pattern(s.x), pattern(s.weight, seed: 2))
    let y = x.conv2d(
      w, stride: PerAxis(s.stride), padding: .amounts(s.padding), dilation: PerAxis(s.dilation), groups: s.groups)
    let expected = naiveConvolution(
      try x.array(), s.x, try w.array(), s.weight, stride: s.stride, padding: s.padding, dilation: s.dilation,
      groups: s.groups)
    #expect(y.shape == pattern(expected.shape).shape)
    #expect(try y.array(as: Float.self) == expected.elements)
    // <y, conv(x)> = <convTranspose(y), x>, exactly, in whole numbers.
    let back = pattern(expected.shape, seed: 3)
    let missing = (0..<2).map { (axis: Int) -> Int in
      let span = s.dilation[axis] * (s.weight[2 + axis] - 1) + 1
      return (s.x[2 + axis] + 2 * s.padding[axis] - span) % s.stride[axis]
    }
    let z = back.convTranspose2d(
      w, stride: PerAxis(s.stride), padding: PerAxis(s.padding), outputPadding: PerAxis(missing), groups: s.groups,
      dilation: PerAxis(s.dilation))
    #expect(z.shape == x.shape)
    #expect(try (y * back).sum().item(as: Float.self) == (z * x).sum().item(as: Float.self))
  }

  @Test func same_padding_keeps_extents_and_bias_reaches_every_place() throws {
    let x = pattern([1, 2, 5, 6])
    let y = x.conv2d(pattern([3, 2, 2, 3]), bias: pattern([3]), padding: .same)
    #expect(y.shape == pattern([1, 3, 5, 6]).shape)
    let plain = x.conv2d(pattern([3, 2, 2, 3]), padding: .same)
    #expect(try isNear(y - plain, pattern([3]).reshaped(3, 1, 1).expanded(1, 3, 5, 6)))
  }

  @Test func columns_fold_back_to_the_count_of_windows_over_each_place() throws {
    let x = pattern([2, 3, 6, 7])
    let columns = x.unfoldedWindows([2, 3], padding: 1, stride: [2, 1])
    let counts = Tensor.ones(like: x).unfoldedWindows([2, 3], padding: 1, stride: [2, 1])
    func folded(_ x: Tensor) -> Tensor { x.folded([6, 7], kernel: [2, 3], padding: 1, stride: [2, 1]) }
    #expect(try isNear(folded(columns), x * folded(counts)))
  }

  @Test func channels_that_do_not_meet_the_weight_fail_with_both() {
    let y = pattern([1, 3, 5, 5]).conv2d(pattern([4, 2, 3, 3]))
    #expect(y.failure?.message.contains("3 channels in 1 groups meet a weight [4, 2, 3, 3]") == true)
    #expect(pattern([1, 2, 2, 2]).conv2d(pattern([4, 2, 3, 3])).failure?.message.contains("does not fit") == true)
  }
}

@Suite struct PoolingTests {
  @Test func largest_of_windows_and_positions_agree_with_each_other() throws {
    let x = pattern([2, 3, 7, 8])
    let made = x.maxPool2dAndPositions([3, 2], stride: [2, 1], padding: 1, dilation: [1, 2], ceilMode: true)
    #expect(
      try made.values.isEqual(to: x.maxPool2d([3, 2], stride: [2, 1], padding: 1, dilation: [1, 2], ceilMode: true)))
    let flat = try x.array(as: Float.self)
    let positions = try made.positions.array(as: Int.self)
    let each = positions.count / 6
    let picked = positions.enumerated().map { flat[$0.offset / each * 56 + $0.element] }
    #expect(try made.values.array(as: Float.self) == picked)
    let back = Tensor.ones(like: made.values).maxPoolBackward(positions: made.positions, size: [7, 8])
    #expect(try back.sum().item(as: Float.self) == Float(positions.count))
  }

  @Test func nan_in_a_window_wins_and_padding_never_does() throws {
    let x = Tensor([-.infinity, -.infinity, Float.nan, 1]).reshaped(1, 1, 4)
    let made = x.maxPool1dAndPositions(2, stride: 2, padding: 1)
    #expect(try made.positions.array(as: Int.self) == [0, 2, 3])
    #expect(try made.values.isNaN().array(as: Bool.self) == [false, true, false])
  }

  @Test func means_count_padding_only_where_asked() throws {
    let x = Tensor.ones([1, 1, 4])
    #expect(try x.avgPool1d(2, padding: 1).array(as: Float.self) == [0.5, 1, 0.5])
    #expect(try x.avgPool1d(2, padding: 1, countsPadding: false).array(as: Float.self) == [1, 1, 1])
    #expect(try x.reshaped(1, 1, 2, 2).avgPool2d(2, divisor: 3).array(as: Float.self) == [4 / 3])
  }

  @Test func parts_that_do_not_divide_an_axis_overlap() throws {
    let x = Tensor.arange(5, dtype: .f32).reshaped(1, 1, 5)
    #expect(try x.adaptiveAvgPool1d(3).array(as: Float.self) == [0.5, 2, 3.5])
    #expect(try x.adaptiveMaxPool1d(3).values.array(as: Float.self) == [1, 3, 4])
    #expect(try x.adaptiveMaxPool1d(3).positions.array(as: Int.self) == [1, 3, 4])
  }

  @Test func a_window_larger_than_the_axis_is_clipped_in_ceil_mode() throws {
    let x = Tensor([1, 3] as [Float]).reshaped(1, 1, 2)
    #expect(try x.maxPool1d(3, stride: 2, ceilMode: true).array(as: Float.self) == [3])
    #expect(try x.avgPool1d(3, stride: 2, ceilMode: true).array(as: Float.self) == [2])
  }

  @Test func a_kernel_larger_than_its_axis_fails() {
    #expect(pattern([1, 1, 3]).maxPool1d(4).failure?.message.contains("[4] does not fit into the extents [3]") == true)
  }
}

@Suite struct ResamplingTests {
  @Test func borders_are_mirrored_repeated_or_wrapped() throws {
    let x = Tensor([1, 2, 3] as [Float]).reshaped(1, 3)
    func padded(_ mode: PaddingMode) throws -> [Float] { try x.padded([2, 1], mode: mode, value: 9).array() }
    #expect(try padded(.constant) == [9, 9, 1, 2, 3, 9])
    #expect(try padded(.reflect) == [3, 2, 1, 2, 3, 2])
    #expect(try padded(.replicate) == [1, 1, 1, 2, 3, 3])
    #expect(try padded(.circular) == [2, 3, 1, 2, 3, 1])
    #expect(x.padded([3, 0], mode: .reflect).failure?.kind == .argument)
    // What is cut at one end is not made good at the other.
    #expect(x.padded([-4, 5]).failure?.kind == .shape && x.padded([2, -4]).failure?.kind == .shape)
    #expect(try x.padded([-3, 2], value: 9).array(as: Float.self) == [9, 9])
    #expect(try x.padded([-1, 1]).array(as: Float.self) == [2, 3, 0])
  }

  @Test func linear_resampling_is_exact_on_a_ramp() throws {
    let x = Tensor.arange(5, dtype: .f32).reshaped(1, 1, 5)
    let y = x.interpolated(size: 9, mode: .linear, alignsCorners: true)
    #expect(try isNear(y, Tensor.arange(9, dtype: .f32).reshaped(1, 1, 9) / 2))
    #expect(try x.interpolated(scale: [2]).array(as: Float.self) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
  }

  /// The weights must be as exact as the elements: a sum of neighbours in f64 with weights in f32 has f32's digits.
  @Test(arguments: [InterpolationMode.linear, .cubic])
  func resampling_of_f64_has_the_digits_of_f64(_ mode: InterpolationMode) throws {
    func cubic(_ x: Double) -> Double {
      let a = -0.75
      return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
    }
    for (extent, count) in [(5, 9), (7, 3), (6, 13), (3, 1), (1, 4), (10, 7)] {
      let elements = (0..<extent).map { 1 / (Double($0) + 3) }
      func element(_ i: Int) -> Double { elements[min(max(i, 0), extent - 1)] }
      for aligns in [false, true] {
        let ratio =
          !aligns
          ? Double(extent) / Double(count) : count > 1 ? Double(extent - 1) / Double(count - 1) : 0
        let right = (0..<count).map { (i: Int) -> Double in
          var place = aligns ? Double(i) * ratio : (Double(i) + 0.5) * ratio - 0.5
          if mode == .linear { place = min(max(place, 0), Double(extent - 1)) }
          let low = Int(place.rounded(.down))
          return (low - 1...low + 2).reduce(0) { sum, at in
            let distance = (place - Double(at)).magnitude
            return sum + element(at) * (mode == .linear ? max(0, 1 - distance) : cubic(distance))
          }
        }
        let x = Tensor(elements).reshaped(1, 1, Dim(extent))
        let y = try x.interpolated(size: PerAxis([count]), mode: mode, alignsCorners: aligns).array(as: Double.self)
        for (a, b) in zip(y, right) {
          #expect((a - b).magnitude < 1e-14, "\(extent) to \(count), aligned: \(aligns): \(a), not \(b)")
        }
      }
    }
  }

  @Test(arguments: [[3, 40, 2], [40, 3, 2], [2, 20, 3, 30], [70, 300]])
  func copies_of_transposed_views_have_the_right_elements(_ shape: [Int]) throws {
    let x = pattern(shape)
    let order = Array(shape.indices.reversed())
    let made = try x.permuted(order).contiguous().array(as: Float.self)
    // Back again, by views only.
    let back = Tensor(made).reshaped(order.map { Dim(shape[$0]) }).permuted(order)
    #expect(try back.isEqual(to: x))
    let elements = try x.array(as: Float.self)
    #expect(made[1] == elements[shape.dropFirst().reduce(1, *)])
  }

  @Test func nearest_elements_of_the_last_axis_are_read_at_many_places_at_once() throws {
    let x = Tensor.arange(40, dtype: .f32).reshaped(2, 20)
    let y = x.reshaped(1, 2, 20).interpolated(size: 37)
    let expected = (0..<74).map { (i: Int) -> Float in
      let (row, column) = (i / 37, i % 37)
      return Float(row * 20 + column * 20 / 37)
    }
    #expect(try y.array(as: Float.self) == expected)
  }

  @Test func shuffled_pixels_come_back() throws {
    let x = pattern([2, 8, 3, 5])
    #expect(try x.pixelShuffled(2).pixelUnshuffled(2).isEqual(to: x))
    #expect(try x.channelShuffled(2).channelShuffled(4).isEqual(to: x))
  }
}

@Suite struct AttentionTests {
  /// By separate products and a softmax.
  private func reference(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ bias: Tensor?) -> Tensor {
    let scores = q.matmul(k.transposed()) * 0.25
    return (bias.map { scores + $0 } ?? scores).softmax(-1).matmul(v)
  }

  @Test func attention_equals_its_parts_with_and_without_masks() throws {
    let (q, k, v) = (pattern([2, 3, 4, 16]), pattern([2, 3, 5, 16], seed: 2), pattern([2, 3, 5, 6], seed: 3))
    let attention = { Tensor.scaledDotProductAttention(q, k, v, mask: $0, isCausal: $1) }
    #expect(try isNear(attention(nil, false), reference(q, k, v, nil)))
    let bias = pattern([4, 5], seed: 4)
    #expect(try isNear(attention(bias, false), reference(q, k, v, bias)))
    let mask = Tensor.arange(5) <= Tensor.arange(4).reshaped(4, 1)
    let hidden = Tensor.select(mask, 0.0, -Float.infinity)
    #expect(try isNear(attention(mask, false), reference(q, k, v, hidden)))
    #expect(try isNear(attention(nil, true), reference(q, k, v, hidden)))
  }

  @Test func heads_of_the_query_share_those_of_the_key() throws {
    let (q, k, v) = (pattern([2, 6, 4, 16]), pattern([2, 2, 5, 16], seed: 2), pattern([2, 2, 5, 6], seed: 3))
    let made = Tensor.scaledDotProductAttention(q, k, v, groupsQueries: true)
    func repeated(_ x: Tensor) -> Tensor { x.expandedDims(at: 2).expanded(2, 2, 3, 5, -1).flattened(1, 2) }
    #expect(try isNear(made, reference(q, repeated(k), repeated(v), nil)))
    for shape in [[2, 6, 4, 5], [2, 1, 4, 5], [6, 4, 5], [4, 5]] {
      let bias = pattern(shape, seed: 4)
      let biased = Tensor.scaledDotProductAttention(q, k, v, mask: bias, groupsQueries: true)
      #expect(try isNear(biased, reference(q, repeated(k), repeated(v), bias)))
    }
  }

  @Test func heads_that_are_shared_have_an_axis_in_all_three() {
    let (heads, none) = (pattern([2, 3, 8]), pattern([3, 8]))
    for (q, k, v) in [(none, heads, heads), (heads, none, heads), (heads, heads, none), (none, none, none)] {
      let made = Tensor.scaledDotProductAttention(q, k, v, groupsQueries: true)
      #expect(made.failure?.kind == .shape, "\(q.shape) \(k.shape) \(v.shape)")
    }
  }

  @Test func a_query_that_sees_nothing_gives_zeros() throws {
    let q = pattern([2, 4])
    let mask = Tensor([false, false, true, true]).reshaped(2, 2)
    let made = Tensor.scaledDotProductAttention(q, q, q, mask: mask)
    #expect(try made.array(as: Float.self).prefix(4) == [0, 0, 0, 0])
  }

  @Test func bags_of_rows_are_summed_averaged_and_compared() throws {
    let table = Tensor([1, 10, 2, 20, 3, 30] as [Float]).reshaped(3, 2)
    let (numbers, offsets) = (Tensor([0, 1, 2, 2]), Tensor([0, 3, 3]))
    func bag(_ mode: EmbeddingBagMode) throws -> [Float] {
      try table.embeddingBag(numbers, offsets: offsets, mode: mode).array()
    }
    #expect(try bag(.sum) == [6, 60, 0, 0, 3, 30])
    #expect(try bag(.mean) == [2, 20, 0, 0, 3, 30])
    #expect(try bag(.max) == [3, 30, 0, 0, 3, 30])
    #expect(throws: Diagnostic.self) { try table.embedding(Tensor([3])).array(as: Float.self) }
    let narrow = table.converted(to: .bf16).embedding(Tensor([2, 0]), dtype: .f32)
    #expect(try narrow.dtype == .f32 && narrow.array(as: Float.self) == [3, 30, 1, 10])
    // Padding counts from the end as well, for tables of every length.
    let ends = compile { (table: Tensor, numbers: Tensor) in
      table.embeddingBag(numbers, offsets: offsets, mode: .sum, paddingIndex: -1)
    }
    for rows in [3, 4, 6] {
      let table = Tensor.arange(rows, dtype: .f32).reshaped(Dim(rows), 1) + 1
      let numbers = Tensor([0, rows - 1, rows - 2, rows - 1])
      for padding in [-1, rows - 1] {
        let made = table.embeddingBag(numbers, offsets: offsets, mode: .sum, paddingIndex: padding)
        #expect(try made.array(as: Float.self) == [Float(rows), 0, 0])
      }
      #expect(try ends(table, numbers).array(as: Float.self) == [Float(rows), 0, 0])
      for outside in [rows, -rows - 1, .max, .min] {
        #expect(table.embeddingBag(numbers, offsets: offsets, paddingIndex: outside).failure?.kind == .argument)
      }
    }
  }
}

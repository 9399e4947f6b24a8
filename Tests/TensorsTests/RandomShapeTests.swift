import Basics
import Tensors
import TensorTypes
import Testing

/// A small generator, the same in every run.
private struct Dice {
  var state: UInt64
  mutating func roll(_ range: ClosedRange<Int>) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return range.lowerBound + Int(state >> 33) % range.count
  }
  mutating func one<T>(of choices: [T]) -> T { choices[roll(0...(choices.count - 1))] }
  mutating func shuffled<T>(_ list: [T]) -> [T] {
    var rest = list
    var result: [T] = []
    while !rest.isEmpty { result.append(rest.remove(at: roll(0...(rest.count - 1)))) }
    return result
  }
}

/// A tensor of whole numbers and a view of it: transposed, sliced or repeated.
private struct Strided {
  let tensor: Tensor
  let elements: [Float]

  init(_ shape: [Int], _ dice: inout Dice) throws {
    let order = dice.shuffled(Array(shape.indices))
    let base = pattern(order.map { shape[$0] }, seed: dice.roll(1...9))
    let back = shape.indices.map { axis in order.firstIndex(of: axis) ?? 0 }
    tensor = base.permuted(back)
    elements = try tensor.array()
  }
}

@Suite struct RandomShapeTests {
  @Test(arguments: 0..<60)
  func einsum_of_random_labels_equals_loops(_ seed: Int) throws {
    var dice = Dice(state: UInt64(seed) + 1)
    let letters = ["a", "b", "c", "d", "e"]
    let sizes = letters.map { _ in dice.one(of: [1, 2, 3, 5, 18]) }
    func chosen(_ dice: inout Dice) -> [Int] { Array(dice.shuffled([0, 1, 2, 3, 4]).prefix(dice.roll(1...4))) }
    let (left, right) = (chosen(&dice), chosen(&dice))
    let out = dice.shuffled(Array(Set(left + right)).sorted()).prefix(dice.roll(0...3)).map { $0 }
    let a = try Strided(left.map { sizes[$0] }, &dice)
    let b = try Strided(right.map { sizes[$0] }, &dice)
    func word(_ labels: [Int]) -> String { labels.map { letters[$0] }.joined() }
    let equation = "\(word(left)),\(word(right))->\(word(out))"
    let made = Tensor.einsum(equation, a.tensor, b.tensor)

    var expected = [Float](repeating: 0, count: out.reduce(1) { $0 * sizes[$1] })
    var at = [Int](repeating: 0, count: 5)
    func place(_ labels: [Int]) -> Int { labels.reduce(0) { $0 * sizes[$1] + at[$1] } }
    let used = Set(left + right)
    func walk(_ label: Int) {
      if label == 5 {
        expected[place(out)] += a.elements[place(left)] * b.elements[place(right)]
        return
      }
      for i in 0..<(used.contains(label) ? sizes[label] : 1) {
        at[label] = i
        walk(label + 1)
      }
      at[label] = 0
    }
    walk(0)
    #expect(try made.array(as: Float.self) == expected, "\(equation) \(sizes)")
  }

  /// Pooling by loops over one plane.
  private func naivePool(
    _ x: [Float], _ extents: [Int], _ kernel: [Int], _ stride: [Int], _ padding: [Int], _ dilation: [Int],
    _ counts: [Int], _ combine: ([Float]) -> Float
  ) -> [Float] {
    var result: [Float] = []
    for i in 0..<counts[0] {
      for j in 0..<counts[1] {
        var window: [Float] = []
        for p in 0..<kernel[0] {
          for q in 0..<kernel[1] {
            let y = i * stride[0] + p * dilation[0] - padding[0]
            let z = j * stride[1] + q * dilation[1] - padding[1]
            if (0..<extents[0]).contains(y), (0..<extents[1]).contains(z) { window.append(x[y * extents[1] + z]) }
          }
        }
        result.append(combine(window))
      }
    }
    return result
  }

  @Test(arguments: 0..<40)
  func pooling_of_random_windows_equals_loops(_ seed: Int) throws {
    var dice = Dice(state: UInt64(seed) + 100)
    let extents = [dice.roll(3...20), dice.roll(3...40)]
    let kernel = [dice.roll(1...3), dice.roll(1...3)]
    let stride = [dice.roll(1...3), dice.roll(1...4)]
    let padding = kernel.map { dice.roll(0...($0 / 2)) }
    let dilation = dice.roll(0...1) == 0 ? [1, 1] : [dice.roll(1...2), 1]
    let isCeil = dice.roll(0...1) == 1
    let x = try Strided([2] + extents, &dice)
    let made = x.tensor.maxPool2d(
      PerAxis(kernel), stride: PerAxis(stride), padding: PerAxis(padding), dilation: PerAxis(dilation), ceilMode: isCeil
    )
    if made.failure != nil { return }  // the window does not fit
    let counts = try [made.shape[1].value, made.shape[2].value]
    func planes(_ dilation: [Int], _ combine: ([Float]) -> Float) -> [Float] {
      (0..<2).flatMap { plane in
        let area = extents[0] * extents[1]
        let part = Array(x.elements[(plane * area)..<((plane + 1) * area)])
        return naivePool(part, extents, kernel, stride, padding, dilation, counts, combine)
      }
    }
    #expect(try made.array(as: Float.self) == planes(dilation) { $0.max() ?? -.infinity })
    guard dilation == [1, 1] else { return }
    let mean = x.tensor.avgPool2d(
      PerAxis(kernel), stride: PerAxis(stride), padding: PerAxis(padding), ceilMode: isCeil, countsPadding: false)
    let expected = planes([1, 1]) { $0.reduce(0, +) / Float($0.count) }
    let found = try mean.array(as: Float.self)
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-5 } && found.count == expected.count)
  }

  @Test(arguments: 0..<30)
  func rows_of_random_shapes_are_normalised(_ seed: Int) throws {
    var dice = Dice(state: UInt64(seed) + 200)
    let shape = (0..<dice.roll(2...4)).map { _ in dice.one(of: [1, 2, 7, 33]) }
    let x = try Strided(shape, &dice).tensor
    let axis = dice.roll(0...(shape.count - 1))
    let soft = x.softmax(axis)
    let e = (x - x.max(axis, keepDims: true)).exp()
    #expect(try isNear(soft, e / e.sum(axis, keepDims: true)))
    let count = dice.roll(1...shape.count)
    let axes = Array((shape.count - count)..<shape.count)
    let weight = pattern(Array(shape.suffix(count)), seed: 3)
    let norm = x.layerNorm(shape.suffix(count).map { Dim($0) }, weight: weight, bias: weight, eps: 0.1)
    let centred = x - x.mean(axes: axes, keepDims: true)
    let scale = (x.variance(axes: axes, correction: 0, keepDims: true) + 0.1).sqrt()
    #expect(try isNear(norm, centred / scale * weight + weight, 1e-4))
  }
}

// Layers of models as people write them from a paper, with nothing of the library's own: what they cost in kernels.
// Not single patterns, see SpellingTests. Surprise: sizes are chosen so that the scores of an attention would be the
// largest tensor by far.
import Basics
import Capture
import TensorTypes
import Tensors
import TestSupport
import Testing

private func numbers(_ shape: [Int], _ seed: Int, scale: Float = 0.02) -> Tensor {
  let count = shape.reduce(1, *)
  return Tensor((0..<count).map { Float(($0 * 37 + $0 / 11 * 3 + seed * 11) % 41 - 20) * scale }, shape: shape)
}

private func rmsNorm(_ x: Tensor, _ weight: Tensor) -> Tensor {
  x * (x.power(2).mean(-1, keepDims: true) + 1e-6).rsqrt() * weight
}

private func softmax(_ x: Tensor) -> Tensor {
  let e = (x - x.max(-1, keepDims: true)).exp()
  return e / e.sum(-1, keepDims: true)
}

/// x cos + rotated(x) sin, the halves exchanged.
private func rotated(_ x: Tensor, _ cosine: Tensor, _ sine: Tensor) -> Tensor {
  let (a, b) = (x.narrowed(-1, start: 0, count: 4), x.narrowed(-1, start: 4, count: 4))
  return x * cosine + Tensor.concatenated([-b, a], axis: -1) * sine
}

private struct Decoder: Module {
  var attentionNorm = numbers([32], 1), mlpNorm = numbers([32], 2)
  var query = numbers([32, 32], 3), key = numbers([32, 16], 4), value = numbers([32, 16], 5)
  var output = numbers([32, 32], 6)
  var gate = numbers([32, 48], 7), up = numbers([32, 48], 8), down = numbers([48, 32], 9)
  mutating func visit(_ v: inout Visitor) {
    v("attentionNorm", &attentionNorm)
    v("mlpNorm", &mlpNorm)
    v("query", &query)
    v("key", &key)
    v("value", &value)
    v("output", &output)
    v("gate", &gate)
    v("up", &up)
    v("down", &down)
  }

  /// Four heads of width 8, two of keys.
  func callAsFunction(_ input: Tensor) -> Tensor {
    let (b, t) = (input.shape[0], input.shape[1])
    func heads(_ x: Tensor, _ count: Int) -> Tensor { x.reshaped([b, t, Dim(count), 8]).transposed(1, 2) }
    let frequencies = (Tensor.arange(4, dtype: .f32) * -0.5).exp()
    let angles = Tensor.arange(t).converted(to: .f32).unsqueezed(-1) * frequencies
    let both = Tensor.concatenated([angles, angles], axis: -1)
    let (cosine, sine) = (both.cos(), both.sin())
    let x = rmsNorm(input, attentionNorm)
    let q = rotated(heads(x.matmul(query), 4), cosine, sine)
    let k = rotated(heads(x.matmul(key), 2), cosine, sine)
    let v = heads(x.matmul(value), 2)
    func repeated(_ x: Tensor) -> Tensor {
      x.unsqueezed(2).expanded([b, 2, 2, t, 8]).reshaped([b, 4, t, 8])
    }
    let scores = q.matmul(repeated(k).transposed()) / 2.8284
    let hidden = Tensor.ones(t, t).upperTriangle(1)
    let weights = softmax(scores.filled(where: hidden, with: -Float.infinity))
    let mixed = weights.matmul(repeated(v)).transposed(1, 2).reshaped([b, t, 32])
    let y = input + mixed.matmul(output)
    let z = rmsNorm(y, mlpNorm)
    return y + (z.matmul(gate).silu() * z.matmul(up)).matmul(down)
  }
}

@Test(.needs(.speedOrTime), arguments: [DynamicShapes.fixed, .axes(["1": [0, 1]])])
func a_decoder_layer_by_hand_has_no_scores_in_memory(_ dynamic: DynamicShapes) throws {
  let f = compile(mode: .whole, dynamic: dynamic) { (layer: Decoder, x: Tensor) in layer(x) }
  let layer = Decoder()
  for count in [160, 131] {
    let x = numbers([2, count, 32], 12, scale: 0.05)
    let (made, eager) = (try f(layer, x).array(as: Float.self), try layer(x).array(as: Float.self))
    #expect(zip(made, eager).allSatisfy { abs($0 - $1) < 1e-4 * (1 + abs($1)) })
    let explanation = f.explain()
    let peak = try #require(explanation.predictedPeak)
    #expect(peak < 2 * 4 * count * count * 4, "\(explanation)")
    for segment in explanation.segments {
      // A norm, three products, attention, a product, a norm, and three products.
      #expect(segment.kernels.count <= 8, "\(explanation)")
      #expect(segment.kernels.filter { $0.name.contains("attention") }.count == 1, "\(explanation)")
    }
  }
  if dynamic != .fixed { #expect(f.planCount == 1) }
}

@Test func a_step_with_a_joined_cache_has_no_repeated_heads() throws {
  // Keys and values as a step before left them, and what this step adds; both are results.
  let f = compile(mode: .whole, dynamic: .axes(["1": [2], "2": [2]])) {
    (q: Tensor, keys: Tensor, values: Tensor, k: Tensor, v: Tensor) in
    let (allKeys, allValues) = (Tensor.concatenated([keys, k], axis: 2), Tensor.concatenated([values, v], axis: 2))
    let (wideKeys, wideValues) = (allKeys.repeatingElements(4, axis: 1), allValues.repeatingElements(4, axis: 1))
    let mixed = softmax(q.matmul(wideKeys.transposed()) / 2.8284).matmul(wideValues)
    return [mixed.transposed(1, 2).reshaped(1, 1, 64), allKeys, allValues]
  }
  for count in [200, 333] {
    let (keys, values) = (numbers([1, 2, count, 8], 1), numbers([1, 2, count, 8], 2))
    let (q, k, v) = (numbers([1, 8, 1, 8], 3), numbers([1, 2, 1, 8], 4), numbers([1, 2, 1, 8], 5))
    let made = try f(q, keys, values, k, v)
    let wide = Tensor.concatenated([values, v], axis: 2).repeatingElements(4, axis: 1)
    let scores = q.matmul(Tensor.concatenated([keys, k], axis: 2).repeatingElements(4, axis: 1).transposed())
    let eager = softmax(scores / 2.8284).matmul(wide).transposed(1, 2).reshaped(1, 1, 64)
    #expect(try made[0].isAllClose(to: eager, relative: 1e-4, absolute: 1e-6))
    let explanation = f.explain()
    let segment = try #require(explanation.segments.first)
    #expect(segment.temporaries == 0, "\(explanation)")
    #expect(segment.kernels.contains { $0.name.contains("attention") }, "\(explanation)")
  }
}

// Attention written by hand: no spelling has its scores in memory.
// Not the tiles, see AttentionTests of Fusion.
import Basics
import Capture
import TensorTypes
import Tensors
import TestSupport
import Testing

/// q [2, 3, 20, 8], k and v [2, 3, 24, 8], and a mask [20, 24].
private let heads = [[2, 3, 20, 8], [2, 3, 24, 8], [2, 3, 24, 8], [20, 24]]
/// Four query heads to two of keys.
private let grouped = [[2, 4, 20, 8], [2, 2, 20, 8], [2, 2, 20, 8]]
private let batched = [[4, 20, 8], [4, 24, 8], [4, 24, 8], [4, 20, 24]]

private func soft(_ x: Tensor) -> Tensor {
  let e = (x - x.max(-1, keepDims: true)).exp()
  return e / e.sum(-1, keepDims: true)
}

private let masks: [Spelling] = [
  Spelling("plain", heads) { x in (x[0].matmul(x[1].transposed()) / 2.8284).softmax().matmul(x[2]) },
  Spelling("without scale", heads) { x in x[0].matmul(x[1].transposed()).softmax().matmul(x[2]) },
  Spelling("additive mask", heads) { x in
    (x[0].matmul(x[1].transposed()) * 0.35 + x[3]).softmax().matmul(x[2])
  },
  Spelling("additive mask of each head", batched) { x in
    (x[0].matmul(x[1].transposed()) * 0.35 + x[3]).softmax().matmul(x[2])
  },
  Spelling("select with -inf", heads) { x in
    let s = x[0].matmul(x[1].transposed()) * 0.35
    return Tensor.select(x[3] > -0.8, s, -Double.infinity).softmax().matmul(x[2])
  },
  Spelling("filled with -1e9", heads) { x in
    (x[0].matmul(x[1].transposed()) * 0.35).filled(where: x[3] < 0, with: -1e9).softmax().matmul(x[2])
  },
  Spelling("filled with -inf", heads) { x in
    (x[0].matmul(x[1].transposed()) * 0.35).filled(where: x[3] < -0.8, with: -Float.infinity).softmax().matmul(x[2])
  },
  Spelling("one less the mask times -1e4", heads) { x in
    (x[0].matmul(x[1].transposed()) * 0.35 + (1 - (x[3] > 0).converted(to: .f32)) * -1e4).softmax().matmul(x[2])
  },
  Spelling("mask that is also a product's", heads) { x in
    let m = (x[3] > 0).converted(to: .f32)
    return (x[0].matmul(x[1].transposed()) * 0.35 * m - 1e4 * (1 - m)).softmax().matmul(x[2])
  },
  Spelling("causal by positions", batched) { x in
    let s = x[0].matmul(x[1].transposed()) * 0.35
    let seen = Tensor.arange(x[1].shape[1]) <= Tensor.arange(x[0].shape[1]).unsqueezed(-1)
    return Tensor.select(seen, s, -Double.infinity).softmax().matmul(x[2])
  },
  Spelling("causal by a filled upper triangle", batched) { x in
    let s = x[0].matmul(x[1].transposed()) * 0.35
    let hidden = Tensor.ones(x[0].shape[1], x[1].shape[1]).upperTriangle(1)
    return s.filled(where: hidden, with: -Float.infinity).softmax().matmul(x[2])
  },
  Spelling("causal by a lower triangle of ones", batched) { x in
    let s = x[0].matmul(x[1].transposed()) * 0.35
    let seen = Tensor.ones(x[0].shape[1], x[1].shape[1]).lowerTriangle()
    return s.filled(where: seen .== 0, with: -Float.infinity).softmax().matmul(x[2])
  },
  Spelling("causal by an added triangle", batched) { x in
    let hidden = Tensor.full([x[0].shape[1], x[1].shape[1]], -1e9).upperTriangle(1)
    return (x[0].matmul(x[1].transposed()) * 0.35 + hidden).softmax().matmul(x[2])
  },
]

private let scales: [Spelling] = [
  Spelling("queries scaled", heads) { x in (x[0] * 0.35).matmul(x[1].transposed()).softmax().matmul(x[2]) },
  Spelling("both scaled", heads) { x in (x[0] * 0.6).matmul((x[1] * 0.6).transposed()).softmax().matmul(x[2]) },
  Spelling("divided by a root", heads) { x in
    let width = Tensor(Float(8)).sqrt()
    return (x[0].matmul(x[1].transposed()) / width).softmax().matmul(x[2])
  },
  Spelling("scale from a tensor", [[2, 3, 20, 8], [2, 3, 24, 8], [2, 3, 24, 8], []]) { x in
    (x[0].matmul(x[1].transposed()) * x[3]).softmax().matmul(x[2])
  },
  Spelling("a scale for each head", [[2, 3, 20, 8], [2, 3, 24, 8], [2, 3, 24, 8], [3, 1, 1]]) { x in
    (x[0].matmul(x[1].transposed()) * x[3].exp()).softmax().matmul(x[2])
  },
  Spelling("soft cap", heads) { x in
    ((x[0].matmul(x[1].transposed()) * 0.35 / 3).tanh() * 3).softmax().matmul(x[2])
  },
  Spelling("bias of distance", heads) { x in
    let d = (Tensor.arange(24) - Tensor.arange(20).unsqueezed(-1)).converted(to: .f32).abs()
    return (x[0].matmul(x[1].transposed()) * 0.35 - 0.1 * d).softmax().matmul(x[2])
  },
]

private let softmaxes: [Spelling] = [
  Spelling("softmax by hand", heads) { x in soft(x[0].matmul(x[1].transposed()) * 0.35).matmul(x[2]) },
  Spelling("softmax by hand, masked", heads) { x in
    soft(x[0].matmul(x[1].transposed()) * 0.35 + x[3]).matmul(x[2])
  },
  Spelling("no maximum", heads) { x in
    let e = (x[0].matmul(x[1].transposed()) * 0.35).exp()
    return (e / e.sum(-1, keepDims: true)).matmul(x[2])
  },
  Spelling("no maximum, one query", [[2, 3, 1, 8], [2, 3, 150, 8], [2, 3, 150, 8]]) { x in
    let e = (x[0].matmul(x[1].transposed()) * 0.35).exp()
    return e.matmul(x[2]) / e.sum(-1, keepDims: true)
  },
  Spelling("exponentials without a sum", heads) { x in
    (x[0].matmul(x[1].transposed()) * 0.35).exp().matmul(x[2])
  },
  Spelling("divided after the mix", heads) { x in
    let s = x[0].matmul(x[1].transposed()) * 0.35
    let e = (s - s.max(-1, keepDims: true)).exp()
    return e.matmul(x[2]) / e.sum(-1, keepDims: true)
  },
  Spelling("no maximum, divided after the mix", heads) { x in
    let e = (x[0].matmul(x[1].transposed()) * 0.35).exp()
    return e.matmul(x[2]) / e.sum(-1, keepDims: true)
  },
  Spelling("times the reciprocal", heads) { x in
    let s = x[0].matmul(x[1].transposed()) * 0.35
    let e = (s - s.max(-1, keepDims: true)).exp()
    return (e * e.sum(-1, keepDims: true).reciprocal()).matmul(x[2])
  },
  Spelling("exp of log softmax", heads) { x in
    (x[0].matmul(x[1].transposed()) * 0.35).logSoftmax().exp().matmul(x[2])
  },
  Spelling("less the log of the sum", heads) { x in
    let s = x[0].matmul(x[1].transposed()) * 0.35
    return (s - s.logSumExp(-1, keepDims: true)).exp().matmul(x[2])
  },
  Spelling("maximum of the unscaled", heads) { x in
    let s = x[0].matmul(x[1].transposed())
    let e = ((s - s.max(-1, keepDims: true)) * 0.35).exp()
    return (e / e.sum(-1, keepDims: true)).matmul(x[2])
  },
  Spelling("masked weights, renormalised", heads, kernels: 3, temporaries: 2) { x in
    let s = x[0].matmul(x[1].transposed()) * 0.35
    let e = (s - s.max(-1, keepDims: true)).exp() * (x[3] > 0).converted(to: .f32)
    return (e / (e.sum(-1, keepDims: true) + 1e-9)).matmul(x[2])
  },
  Spelling("f32 softmax of f16", heads, dtype: .f16, within: 1e-2) { x in
    let s = (x[0].matmul(x[1].transposed()) * 0.35).converted(to: .f32)
    return s.softmax().converted(to: .f16).matmul(x[2])
  },
  Spelling("softmax dtype", heads, dtype: .bf16, within: 5e-2) { x in
    (x[0].matmul(x[1].transposed()) * 0.35).softmax(dtype: .f32).converted(to: .bf16).matmul(x[2])
  },
  Spelling("f16 throughout", heads, dtype: .f16, within: 1e-2) { x in
    (x[0].matmul(x[1].transposed()) * 0.35 + x[3]).softmax().matmul(x[2])
  },
]

private let axes: [Spelling] = [
  Spelling("matrices", [[20, 8], [24, 8], [24, 8]]) { x in
    (x[0].matmul(x[1].transposed()) * 0.35).softmax().matmul(x[2])
  },
  Spelling("keys given transposed", [[2, 3, 20, 8], [2, 3, 8, 24], [2, 3, 24, 8]]) { x in
    (x[0].matmul(x[1]) * 0.35).softmax().matmul(x[2])
  },
  Spelling("heads behind positions", [[2, 20, 3, 8], [2, 24, 3, 8], [2, 24, 3, 8]]) { x in
    let (q, k, v) = (x[0].transposed(1, 2), x[1].transposed(1, 2), x[2].transposed(1, 2))
    return (q.matmul(k.transposed()) * 0.35).softmax().matmul(v).transposed(1, 2)
  },
  Spelling("heads of one axis", [[2, 20, 24], [2, 24, 24], [2, 24, 24]]) { x in
    let (q, k, v) = (split(x[0]), split(x[1]), split(x[2]))
    return (q.matmul(k.transposed()) * 0.35).softmax().matmul(v).transposed(1, 2).reshaped([2, x[0].shape[1], 24])
  },
  Spelling("batch and heads as one axis", [[2, 20, 24], [2, 24, 24], [2, 24, 24]]) { x in
    func flat(_ t: Tensor) -> Tensor { split(t).reshaped([6, t.shape[1], 8]) }
    return (flat(x[0]).matmul(flat(x[1]).transposed()) * 0.35).softmax().matmul(flat(x[2]))
  },
  Spelling("scores [keys, queries]", [[4, 20, 8], [4, 24, 8], [4, 24, 8]], kernels: 3, temporaries: 2) { x in
    (x[1].matmul(x[0].transposed()) * 0.35).transposed().softmax().matmul(x[2])
  },
  Spelling("softmax over rows", [[4, 20, 8], [4, 24, 8], [4, 24, 8]]) { x in
    (x[1].matmul(x[0].transposed()) * 0.35).softmax(-2).transposed().matmul(x[2])
  },
  Spelling("einsum", heads) { x in
    let s = Tensor.einsum("bhqd,bhkd->bhqk", x[0], x[1]) * 0.35
    return Tensor.einsum("bhqk,bhkd->bhqd", s.softmax(), x[2])
  },
  Spelling("einsum, heads behind positions", [[2, 20, 3, 8], [2, 24, 3, 8], [2, 24, 3, 8]]) { x in
    let s = Tensor.einsum("bqhd,bkhd->bhqk", x[0], x[1]) * 0.35
    return Tensor.einsum("bhqk,bkhd->bqhd", s.softmax(), x[2])
  },
  Spelling("one query", [[2, 3, 1, 8], [2, 3, 24, 8], [2, 3, 24, 8]]) { x in
    (x[0].matmul(x[1].transposed()) * 0.35).softmax().matmul(x[2])
  },
]

/// [batch, positions, heads * 8] as [batch, heads, positions, 8].
private func split(_ x: Tensor) -> Tensor {
  x.reshaped([x.shape[0], x.shape[1], 3, 8]).transposed(1, 2)
}

private let groupedQueries: [Spelling] = [
  Spelling("repeatingElements", grouped) { x in
    let (k, v) = (x[1].repeatingElements(2, axis: 1), x[2].repeatingElements(2, axis: 1))
    return (x[0].matmul(k.transposed()) * 0.35).softmax().matmul(v)
  },
  Spelling("expanded and reshaped", grouped) { x in
    func wide(_ t: Tensor) -> Tensor {
      t.unsqueezed(2).expanded(2, 2, 2, 20, 8).reshaped(2, 4, 20, 8)
    }
    return (x[0].matmul(wide(x[1]).transposed()) * 0.35).softmax().matmul(wide(x[2]))
  },
  Spelling("expanded and reshaped, causal", grouped) { x in
    func wide(_ t: Tensor) -> Tensor {
      t.unsqueezed(2).expanded(2, 2, 2, 20, 8).reshaped(2, 4, 20, 8)
    }
    let s = x[0].matmul(wide(x[1]).transposed()) * 0.35
    let hidden = Tensor.ones(20, 20).upperTriangle(1)
    return soft(s.filled(where: hidden, with: -Float.infinity)).matmul(wide(x[2]))
  },
  Spelling("stacked", grouped) { x in
    func wide(_ t: Tensor) -> Tensor { Tensor.stacked([t, t], axis: 2).reshaped(2, 4, 20, 8) }
    return (x[0].matmul(wide(x[1]).transposed()) * 0.35).softmax().matmul(wide(x[2]))
  },
  Spelling("queries by groups", grouped) { x in
    let q = x[0].reshaped(2, 2, 2, 20, 8)
    let s = q.matmul(x[1].unsqueezed(2).transposed()) * 0.35
    return s.softmax().matmul(x[2].unsqueezed(2)).reshaped(2, 4, 20, 8)
  },
  Spelling("queries by groups as rows", grouped) { x in
    let q = x[0].reshaped(2, 2, 40, 8)
    return (q.matmul(x[1].transposed()) * 0.35).softmax().matmul(x[2]).reshaped(2, 4, 20, 8)
  },
  Spelling("one key head for all", [[2, 4, 20, 8], [2, 1, 20, 8], [2, 1, 20, 8]]) { x in
    (x[0].matmul(x[1].transposed()) * 0.35).softmax().matmul(x[2])
  },
  Spelling("tiled heads", [[2, 4, 20, 8], [2, 2, 20, 8], [2, 2, 20, 8]]) { x in
    let (k, v) = (x[1].tiled([1, 2, 1, 1]), x[2].tiled([1, 2, 1, 1]))
    return (x[0].matmul(k.transposed()) * 0.35).softmax().matmul(v)
  },
  Spelling("one query", [[2, 4, 1, 8], [2, 2, 20, 8], [2, 2, 20, 8]]) { x in
    let (k, v) = (x[1].repeatingElements(2, axis: 1), x[2].repeatingElements(2, axis: 1))
    return (x[0].matmul(k.transposed()) * 0.35).softmax().matmul(v)
  },
]

private let models: [Spelling] = [
  Spelling("three parts of one projection", [[2, 20, 72]]) { x in
    let parts = x[0].split(into: 3, axis: -1)
    let (q, k, v) = (split(parts[0]), split(parts[1]), split(parts[2]))
    return (q.matmul(k.transposed()) * 0.35).softmax().matmul(v).transposed(1, 2).reshaped([2, x[0].shape[1], 24])
  },
  Spelling("an axis for three parts", [[2, 20, 72]]) { x in
    let parts = x[0].reshaped([2, x[0].shape[1], 3, 3, 8]).permuted([2, 0, 3, 1, 4])
    return (parts[0].matmul(parts[1].transposed()) * 0.35).softmax().matmul(parts[2])
  },
  Spelling("positions first, batch and heads as one axis", [[20, 2, 24], [22, 2, 24], [22, 2, 24]]) { x in
    func flat(_ t: Tensor) -> Tensor { t.reshaped([t.shape[0], 6, 8]).transposed(0, 1) }
    let p = (flat(x[0]) * 0.35).matmul(flat(x[1]).transposed()).softmax()
    return p.matmul(flat(x[2])).transposed(0, 1).reshaped([x[0].shape[0], 2, 24])
  },
  Spelling("windows with masks of their own", [[8, 3, 16, 8], [8, 3, 16, 8], [8, 3, 16, 8], [4, 16, 16]]) { x in
    let s = (x[0] * 0.35).matmul(x[1].transposed())
    let masked = s.reshaped(2, 4, 3, 16, 16) + x[3].unsqueezed(1).unsqueezed(0)
    return masked.reshaped(8, 3, 16, 16).softmax().matmul(x[2])
  },
  Spelling(
    "bias from a table of positions", [[2, 3, 20, 8], [2, 3, 20, 8], [2, 3, 20, 8], [39, 3]], kernels: 2, temporaries: 2
  ) { x in
    let at = Tensor.arange(20) - Tensor.arange(20).unsqueezed(-1) + 19
    let bias = x[3].gathering(at).permuted([2, 0, 1])
    return (x[0].matmul(x[1].transposed()) * 0.35 + bias).softmax().matmul(x[2])
  },
  Spelling("padding mask of each sample", [[2, 3, 20, 8], [2, 3, 20, 8], [2, 3, 20, 8], [2, 20]]) { x in
    let hidden = (1 - (x[3] > -0.8).converted(to: .f32)) * -1e4
    return (x[0].matmul(x[1].transposed()) / 2.8284 + hidden.unsqueezed(1).unsqueezed(2)).softmax().matmul(x[2])
  },
  Spelling("normalised queries and keys", [[2, 3, 20, 8], [2, 3, 20, 8], [2, 3, 20, 8]], kernels: 3, temporaries: 2) {
    x in
    func unit(_ t: Tensor) -> Tensor { t / ((t * t).sum(-1, keepDims: true) + 1e-6).sqrt() }
    return (unit(x[0]).matmul(unit(x[1]).transposed()) * 10).softmax().matmul(x[2])
  },
  Spelling("a window of keys", [[2, 3, 20, 8], [2, 3, 20, 8], [2, 3, 20, 8]]) { x in
    let (i, j) = (Tensor.arange(20).unsqueezed(-1), Tensor.arange(20))
    let seen = (j <= i) & (j > i - 6)
    let s = x[0].matmul(x[1].transposed()) * 0.35
    return s.filled(where: ~seen, with: -Double.infinity).softmax().matmul(x[2])
  },
]

@Suite(.needs(.speedOrTime)) struct AttentionSpellingTests {
  @Test(arguments: models, [DynamicShapes.fixed, .all])
  func as_models_have_it(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: masks, [DynamicShapes.fixed, .all])
  func masked(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: scales, [DynamicShapes.fixed, .all])
  func scaled(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: softmaxes, [DynamicShapes.fixed, .all])
  func by_forms_of_softmax(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: axes, [DynamicShapes.fixed, .all])
  func by_order_of_axes(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: groupedQueries, [DynamicShapes.fixed, .all])
  func with_shared_key_heads(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }
}

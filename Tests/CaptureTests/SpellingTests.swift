// Norms, softmax and losses written by hand: each is as few kernels as the library's own.
// Not attention, see AttentionSpellingTests.
import Basics
import Capture
import TensorTypes
import Tensors
import Testing

private let rows = [[12, 64], [64], [64]]

private let rootMeanSquare: [Spelling] = [
  Spelling("power, mean, rsqrt", rows) { x in
    x[0] * (x[0].power(2).mean(-1, keepDims: true) + 1e-6).rsqrt() * x[1]
  },
  Spelling("square of the parts", rows) { x in
    x[0] / ((x[0] * x[0]).mean(-1, keepDims: true) + 1e-6).sqrt() * x[1]
  },
  Spelling("sum over the count", rows) { x in
    let count = 64.0
    return x[1] * (x[0] / (x[0].square().sum(-1, keepDims: true) / count + 1e-6).power(0.5))
  },
  Spelling("reciprocal of the root", rows) { x in
    x[0] * (x[0].square().mean(-1, keepDims: true) + 1e-6).sqrt().reciprocal() * (1 + x[1])
  },
  Spelling("power of a half", rows) { x in
    x[0] * (x[0].power(2).mean(-1, keepDims: true) + 1e-6).power(-0.5) * x[1]
  },
  Spelling("without kept axes", rows) { x in
    x[0] * (x[0].square().mean(-1) + 1e-6).rsqrt().unsqueezed(-1) * x[1]
  },
  Spelling("f16 by way of f32", rows, dtype: .f16, within: 1e-3) { x in
    let wide = x[0].converted(to: .f32)
    return (wide * (wide.power(2).mean(-1, keepDims: true) + 1e-6).rsqrt()).converted(to: .f16) * x[1]
  },
  Spelling("bf16 by way of f32", rows, dtype: .bf16, within: 1e-2) { x in
    let wide = x[0].converted(to: .f32)
    return x[1] * (wide * (wide.power(2).mean(-1, keepDims: true) + 1e-6).rsqrt()).converted(to: .bf16)
  },
  Spelling("f16 in f16", rows, dtype: .f16, within: 1e-2) { x in
    x[0] * (x[0].power(2).mean(-1, keepDims: true) + 1e-3).rsqrt() * x[1]
  },
  Spelling("behind a residual", [[12, 64], [64], [12, 64]]) { x in
    let y = x[0] + x[2]
    return y * (y.power(2).mean(-1, keepDims: true) + 1e-6).rsqrt() * x[1]
  },
  Spelling("of three axes", [[3, 4, 64], [64]]) { x in
    x[0] * (x[0].power(2).mean(-1, keepDims: true) + 1e-6).rsqrt() * x[1]
  },
]

private let layer: [Spelling] = [
  Spelling("mean and squares of what is left", rows) { x in
    let m = x[0].mean(-1, keepDims: true)
    let v = ((x[0] - m) * (x[0] - m)).mean(-1, keepDims: true)
    return (x[0] - m) / (v + 1e-5).sqrt() * x[1] + x[2]
  },
  Spelling("rsqrt", rows) { x in
    let d = x[0] - x[0].mean(-1, keepDims: true)
    return d * (d.power(2).mean(-1, keepDims: true) + 1e-5).rsqrt() * x[1] + x[2]
  },
  Spelling("E[x²] - E[x]²", rows, within: 1e-4) { x in
    let m = x[0].mean(-1, keepDims: true)
    let v = x[0].square().mean(-1, keepDims: true) - m * m
    return (x[0] - m) * (v + 1e-5).rsqrt() * x[1] + x[2]
  },
  Spelling("Tensor.variance", rows) { x in
    let m = x[0].mean(-1, keepDims: true)
    let v = x[0].variance(-1, correction: 0, keepDims: true)
    return (x[0] - m) / (v + 1e-5).sqrt() * x[1] + x[2]
  },
  Spelling("Tensor.standardDeviation", rows) { x in
    let m = x[0].mean(-1, keepDims: true)
    return x[1] * (x[0] - m) / (x[0].standardDeviation(-1, keepDims: true) + 1e-5) + x[2]
  },
  Spelling("varianceAndMean", rows) { x in
    let (v, m) = x[0].varianceAndMean(-1, correction: 0, keepDims: true)
    return (x[0] - m) / (v + 1e-5).sqrt() * x[1] + x[2]
  },
  Spelling("f16 by way of f32", rows, dtype: .f16, within: 2e-3) { x in
    let wide = x[0].converted(to: .f32)
    let d = wide - wide.mean(-1, keepDims: true)
    return (d * (d.square().mean(-1, keepDims: true) + 1e-5).rsqrt()).converted(to: .f16) * x[1] + x[2]
  },
  Spelling("over two axes", [[6, 8, 16], [8, 16], [8, 16]]) { x in
    let m = x[0].mean(-2, -1, keepDims: true)
    let v = (x[0] - m).square().mean(-2, -1, keepDims: true)
    return (x[0] - m) / (v + 1e-5).sqrt() * x[1] + x[2]
  },
  Spelling("over the first axis", [[64, 12], [12], [12]]) { x in
    let m = x[0].mean(0)
    let v = (x[0] - m).square().mean(0)
    return (x[0] - m) / (v + 1e-5).sqrt() * x[1] + x[2]
  },
  Spelling("over channels of an image", [[2, 8, 5, 6], [8], [8]]) { x in
    let m = x[0].mean(1, keepDims: true)
    let v = (x[0] - m).square().mean(1, keepDims: true)
    return (x[0] - m) / (v + 1e-5).sqrt() * x[1].reshaped(8, 1, 1) + x[2].reshaped(1, 8, 1, 1)
  },
  Spelling("batch norm of an image", [[4, 8, 5, 6], [8], [8]]) { x in
    let m = x[0].mean(0, 2, 3, keepDims: true)
    let v = (x[0] - m).square().mean(0, 2, 3, keepDims: true)
    return (x[0] - m) / (v + 1e-5).sqrt() * x[1].reshaped(1, 8, 1, 1) + x[2].reshaped(1, 8, 1, 1)
  },
]

private let groups: [Spelling] = [
  Spelling("group norm", [[2, 8, 5, 6], [8], [8]]) { x in
    let g = x[0].reshaped(2, 4, 60)
    let m = g.mean(-1, keepDims: true)
    let v = (g - m).square().mean(-1, keepDims: true)
    let y = ((g - m) / (v + 1e-5).sqrt()).reshaped(2, 8, 5, 6)
    return y * x[1].reshaped(1, 8, 1, 1) + x[2].reshaped(1, 8, 1, 1)
  },
  Spelling("group norm, -1", [[2, 8, 5, 6], [8], [8]]) { x in
    let g = x[0].reshaped(2, 4, -1)
    let m = g.mean(-1, keepDims: true)
    let v = g.variance(-1, correction: 0, keepDims: true)
    let y = ((g - m) / (v + 1e-5).sqrt()).reshaped(x[0].shape.dims)
    return y * x[1].reshaped(1, 8, 1, 1) + x[2].reshaped(1, 8, 1, 1)
  },
  Spelling("group norm over three axes", [[2, 8, 5, 6], [8], [8]]) { x in
    let g = x[0].reshaped(2, 4, 2, 5, 6)
    let m = g.mean(2, 3, 4, keepDims: true)
    let v = (g - m).square().mean(2, 3, 4, keepDims: true)
    let y = ((g - m) * (v + 1e-5).rsqrt()).reshaped(2, 8, 5, 6)
    return y * x[1].reshaped(1, 8, 1, 1) + x[2].reshaped(1, 8, 1, 1)
  },
  Spelling("group norm without weights", [[2, 8, 5, 6]]) { x in
    let g = x[0].reshaped(2, 4, 60)
    let m = g.mean(-1, keepDims: true)
    let v = (g - m).square().mean(-1, keepDims: true)
    return ((g - m) / (v + 1e-5).sqrt()).reshaped(2, 8, 5, 6)
  },
  Spelling("instance norm", [[2, 8, 5, 6], [8], [8]]) { x in
    let m = x[0].mean(2, 3, keepDims: true)
    let v = (x[0] - m).square().mean(2, 3, keepDims: true)
    return (x[0] - m) / (v + 1e-5).sqrt() * x[1].reshaped(8, 1, 1) + x[2].reshaped(8, 1, 1)
  },
  Spelling("instance norm by reshape", [[2, 8, 5, 6], [8], [8]]) { x in
    let g = x[0].reshaped(2, 8, 30)
    let d = g - g.mean(-1, keepDims: true)
    let y = (d * (d.square().mean(-1, keepDims: true) + 1e-5).rsqrt()).reshaped(2, 8, 5, 6)
    return y * x[1].reshaped(8, 1, 1) + x[2].reshaped(8, 1, 1)
  },
  Spelling("group norm and silu", [[2, 8, 5, 6], [8], [8]]) { x in
    let g = x[0].reshaped(2, 4, 60)
    let m = g.mean(-1, keepDims: true)
    let v = (g - m).square().mean(-1, keepDims: true)
    let y = ((g - m) / (v + 1e-5).sqrt()).reshaped(2, 8, 5, 6)
    return (y * x[1].reshaped(1, 8, 1, 1) + x[2].reshaped(1, 8, 1, 1)).silu()
  },
  Spelling("library group norm", [[2, 8, 5, 6], [8], [8]]) { x in x[0].groupNorm(4, weight: x[1], bias: x[2]) },
  Spelling("rmsnorm of heads", [[6, 32], [8]]) { x in
    let h = x[0].reshaped(6, 4, 8)
    return (h * (h.square().mean(-1, keepDims: true) + 1e-6).rsqrt() * x[1]).reshaped(6, 32)
  },
]

private let softmax: [Spelling] = [
  Spelling("softmax", [[12, 64]]) { x in
    let e = (x[0] - x[0].max(-1, keepDims: true)).exp()
    return e / e.sum(-1, keepDims: true)
  },
  Spelling("softmax without maximum", [[12, 64]]) { x in x[0].exp() / x[0].exp().sum(-1, keepDims: true) },
  Spelling("softmax times reciprocal", [[12, 64]]) { x in
    let e = (x[0] - x[0].max(-1).unsqueezed(-1)).exp()
    return e * (1 / e.sum(-1, keepDims: true))
  },
  Spelling("softmax with temperature and mask", [[12, 64], [12, 64]]) { x in
    let s = Tensor.select(x[1] > 0, x[0] / 0.7, -1e9)
    let e = (s - s.max(-1, keepDims: true)).exp()
    return e / e.sum(-1, keepDims: true)
  },
  Spelling("softmax as exp of log softmax", [[12, 64]]) { x in
    (x[0] - x[0].logSumExp(-1, keepDims: true)).exp()
  },
  Spelling("softmax over columns", [[12, 64]]) { x in
    let e = (x[0] - x[0].max(0)).exp()
    return e / e.sum(0)
  },
  Spelling("log softmax", [[12, 64]]) { x in
    let s = x[0] - x[0].max(-1, keepDims: true)
    return s - s.exp().sum(-1, keepDims: true).log()
  },
  Spelling("log of softmax", [[12, 64]]) { x in x[0].softmax().log() },
  Spelling("log sum exp", [[12, 64]]) { x in
    let m = x[0].max(-1, keepDims: true)
    return x[0] - (m + (x[0] - m).exp().sum(-1, keepDims: true).log())
  },
  Spelling("entropy", [[12, 64]]) { x in
    let p = x[0].softmax()
    return -(p * (p + 1e-9).log()).sum(-1)
  },
]

private let losses: [Spelling] = [
  Spelling("gather", [[12, 64]]) { x in
    let target = Tensor.arange(12) * 5
    let m = x[0].max(-1, keepDims: true)
    let l = m + (x[0] - m).exp().sum(-1, keepDims: true).log()
    return (l - x[0].gathering(target.unsqueezed(-1), axis: -1)).squeezed()
  },
  Spelling("gather of log softmax", [[12, 64]]) { x in
    let target = Tensor.arange(12) * 5
    return -x[0].logSoftmax().gathering(target.unsqueezed(-1), axis: -1).squeezed()
  },
  Spelling("logSumExp less gather", [[12, 64]]) { x in
    let target = Tensor.arange(12) * 5
    return x[0].logSumExp(-1) - x[0].takingAlong(target.unsqueezed(-1), axis: -1).squeezed([-1])
  },
  Spelling("one-hot by comparison", [[12, 64]]) { x in
    let target = Tensor.arange(12) * 5
    let hot = (Tensor.arange(64) .== target.unsqueezed(-1)).converted(to: .f32)
    let s = x[0] - x[0].max(-1, keepDims: true)
    return s.exp().sum(-1).log() - (s * hot).sum(-1)
  },
  Spelling("one-hot of log softmax", [[12, 64]]) { x in
    let target = Tensor.arange(12) * 5
    let hot = Tensor.arange(64) .== target.unsqueezed(-1)
    return -Tensor.select(hot, x[0].logSoftmax(), 0).sum(-1)
  },
  Spelling("mean of gather", [[12, 64]], temporaries: 1) { x in
    let target = Tensor.arange(12) * 5
    return (x[0].logSumExp(-1) - x[0].gathering(target.unsqueezed(-1), axis: -1).squeezed([-1])).mean()
  },
  Spelling("library cross entropy", [[12, 64]]) { x in
    x[0].crossEntropy(Tensor.arange(12) * 5, reduction: .none)
  },
  Spelling("of soft targets", [[12, 64], [12, 64]]) { x in
    let s = x[0] - x[0].max(-1, keepDims: true)
    return -(x[1] * (s - s.exp().sum(-1, keepDims: true).log())).sum(-1)
  },
]

private let gates: [Spelling] = [
  Spelling("silu gate", [[16, 64], [64, 96], [64, 96]], kernels: 2, temporaries: 1) { x in
    x[0].matmul(x[1]).silu() * x[0].matmul(x[2])
  },
  Spelling("silu gate of one row", [[1, 64], [64, 96], [64, 96]], kernels: 2, temporaries: 1) { x in
    x[0].matmul(x[1]).silu() * x[0].matmul(x[2])
  },
]

@Suite struct SpellingTests {
  @Test(arguments: rootMeanSquare, [DynamicShapes.fixed, .all])
  func rms_norm(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: layer, [DynamicShapes.fixed, .all])
  func layer_norm(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: groups, [DynamicShapes.fixed, .all])
  func group_norm(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: softmax, [DynamicShapes.fixed, .all])
  func softmax_and_log_softmax(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: losses, [DynamicShapes.fixed, .all])
  func cross_entropy(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }

  @Test(arguments: gates, [DynamicShapes.fixed, .all])
  func gated_products(_ spelling: Spelling, _ dynamic: DynamicShapes) throws { try spelling.check(dynamic) }
}

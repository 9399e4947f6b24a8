// Programs over rows: softmax, layer norm, rms norm.
// Surprise: rms norm is written out, as the code of language models does.
import Tensors
import TensorTypes

extension Workload {
  static let norms = [softmax, layerNorm, rmsNorm]

  private static let epsilon = 1e-5
  private static let (rows, columns) = (8192, 1024)
  private static let x = NamedArray.normal("lx", rows, columns)
  private static let weight = NamedArray.uniform("lw", columns, from: 0.5, to: 1.5)
  private static let bias = NamedArray.normal("lb", columns, scale: 0.1)

  private static let softmax = Workload(
    "nr_softmax", "softmax rows of [8192,2048]", read: 8192 * 2048 * 4, written: 8192 * 2048 * 4,
    flops: 5 * 8192 * 2048, inputs: [.normal("sx", 8192, 2048, scale: 3)]
  ) { [$0[0].softmax(-1)] }

  private static let layerNorm = Workload(
    "nr_layernorm", "layernorm fwd [8192,1024]", read: rows * columns * 4, written: rows * columns * 4,
    flops: 8 * rows * columns, inputs: [x, weight, bias]
  ) { [$0[0].layerNorm([Dim(columns)], weight: $0[1], bias: $0[2], eps: epsilon)] }

  private static let rmsNorm = Workload(
    "nr_rmsnorm", "rmsnorm fwd [8192,1024]", read: rows * columns * 4, written: rows * columns * 4,
    flops: 5 * rows * columns, inputs: [x, weight]
  ) { inputs in
    let (x, weight) = (inputs[0], inputs[1])
    return [weight * (x * (x.square().mean(-1, keepDims: true) + epsilon).rsqrt())]
  }
}

// Products of matrices: square ones, a few rows against a layer's weight, a two-layer perceptron; and attention.
// Surprise: flops of causal attention count the half that is needed, whatever a kernel computes.
import Tensors
import TensorTypes

extension Workload {
  static let products: [Workload] =
    [512, 1024, 2048].flatMap { n in [DType.f32, .bf16].map { square(n, $0) } }
    + [1, 8].flatMap { m in [DType.f32, .bf16].map { skinny(m, $0) } } + [perceptron]

  private static func converted(
    _ arrays: [NamedArray], _ dtype: DType
  ) -> @Sendable () throws -> (state: [Tensor], inputs: [Tensor]) {
    { ([], try arrays.map { try $0.tensor().converted(to: dtype) }) }
  }

  private static func square(_ n: Int, _ dtype: DType) -> Workload {
    let bytes = n * n * dtype.size
    return Workload(
      "mm_\(n)_\(dtype)", "\(n)^3 \(dtype) in/out", read: 2 * bytes, written: bytes, flops: 2 * n * n * n,
      peak: dtype == .bf16 ? .bf16 : .f32, tolerance: dtype == .bf16 ? 2e-2 : 2e-3,
      make: converted([.normal("a", n, n), .normal("b", n, n)], dtype)
    ) { _, inputs in [inputs[0].matmul(inputs[1])] }
  }

  private static func skinny(_ m: Int, _ dtype: DType) -> Workload {
    let n = 4096
    return Workload(
      "mm_skinny\(m)_\(dtype)", "[\(m),4096]@[4096,4096]^T \(dtype) (a layer's weight)", read: n * n * dtype.size,
      written: m * n * dtype.size, flops: 2 * m * n * n, peak: dtype == .bf16 ? .bf16 : .f32,
      tolerance: dtype == .bf16 ? 2e-2 : 2e-3,
      make: converted([.normal("a", m, n), .normal("w", n, n, scale: 1.0 / 64)], dtype)
    ) { _, inputs in [inputs[0].linear(weight: inputs[1])] }
  }

  private static let (width, hidden) = (768, 3072)
  private static let perceptron = Workload(
    "mm_mlp", "gelu(x@W1+b1)@W2+b2, x[1024,768], hidden 3072",
    read: (1024 * width + 2 * width * hidden) * 4, written: 1024 * width * 4, flops: 4 * 1024 * width * hidden,
    inputs: [
      .normal("x", 1024, width), .normal("w1", width, hidden, scale: 1 / Double(width).squareRoot()),
      .normal("b1", hidden, scale: 0.1), .normal("w2", hidden, width, scale: 1 / Double(hidden).squareRoot()),
      .normal("b2", width, scale: 0.1),
    ]
  ) { inputs in
    let (x, w1, b1, w2, b2) = (inputs[0], inputs[1], inputs[2], inputs[3], inputs[4])
    return [(x.matmul(w1) + b1).gelu(approximate: .tanh).matmul(w2) + b2]
  }

  static let attention: [Workload] = {
    let (batch, heads, tokens, depth) = (4, 12, 1024, 64)
    let elements = batch * heads * tokens * depth
    return [
      Workload(
        "at_sdpa", "causal SDPA fwd B=4 H=12 T=1024 D=64; flops count the causal half", read: 3 * elements * 4,
        written: elements * 4, flops: 2 * elements * tokens,
        inputs: ["q", "k", "v"].map { .normal($0, batch, heads, tokens, depth) }
      ) { [Tensor.scaledDotProductAttention($0[0], $0[1], $0[2], isCausal: true)] }
    ]
  }()
}

// Programs whose every element stands alone: a gelu, a chain of eight operations, an Adam step.
// Surprise: written as a user writes them, one operator after the other; putting them together is the compiler's work.
import Tensors

extension Workload {
  static let pointwise = [gelu, chain, adam]

  private static let size = 4096

  private static let gelu = Workload(
    "pw_gelu", "gelu_tanh(x*w+b) [4096,4096]", read: size * size * 4, written: size * size * 4,
    flops: 12 * size * size, inputs: [.normal("x", size, size), .normal("w", size), .normal("b", size)]
  ) { inputs in
    let (x, w, b) = (inputs[0], inputs[1], inputs[2])
    return [(x * w + b).gelu(approximate: .tanh)]
  }

  private static let chain = Workload(
    "pw_chain8", "8 pointwise ops on two [4096,4096]", read: 2 * size * size * 4, written: size * size * 4,
    flops: 11 * size * size, inputs: [.normal("x", size, size), .normal("y", size, size)]
  ) { inputs in
    let (x, y) = (inputs[0], inputs[1])
    var a = x * y
    a = a + 1.0
    a = a.sigmoid()
    a = a * x
    a = a - y
    a = a.abs()
    a = a.sqrt()
    return [a.clamped(max: 2.0)]
  }

  private static let parameters = 50_000_000

  /// State: parameters and the two moments. Input: the gradient.
  private static let adam = Workload(
    "pw_adam", "Adam update, 50M params, in place", read: 16 * parameters, written: 12 * parameters,
    flops: 13 * parameters,
    make: {
      let state = [
        try NamedArray.normal("p", parameters).tensor(), try NamedArray.normal("m", parameters, scale: 0.1).tensor(),
        try NamedArray.uniform("v", parameters, to: 0.01).tensor(),
      ]
      return (state, [try NamedArray.normal("g", parameters, scale: 0.1).tensor()])
    }
  ) { state, inputs in
    let gradient = inputs[0]
    let (rate, decay1, decay2, epsilon) = (1e-3, 0.9, 0.999, 1e-8)
    let bias1 = 1 - power(decay1, 10)
    let bias2 = 1 - power(decay2, 10)
    state[1] *= decay1
    state[1] += gradient * (1 - decay1)
    state[2] *= decay2
    state[2] += gradient * gradient * (1 - decay2)
    state[0] -= state[1] / (state[2].sqrt() / bias2.squareRoot() + epsilon) * (rate / bias1)
    return [state[0]]
  }

  private static func power(_ base: Double, _ exponent: Int) -> Double {
    (0..<exponent).reduce(1) { product, _ in product * base }
  }
}

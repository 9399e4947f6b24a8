// GPT-2 small (124M parameters, random ones): tokens to all logits. Not a loader of published weights (LanguageModels).
import Tensors
import TensorTypes

struct GPT2 {
  struct Norm {
    var weight: Tensor
    var bias: Tensor
    init(_ source: ParameterSource) rethrows {
      weight = try source(.constant(1, GPT2.width))
      bias = try source(.constant(0, GPT2.width))
    }
    func callAsFunction(_ x: Tensor) -> Tensor { x.layerNorm([Dim(GPT2.width)], weight: weight, bias: bias) }
  }

  struct Linear {
    var weight: Tensor
    var bias: Tensor
    init(_ source: ParameterSource, _ name: String, _ inner: Int, _ outer: Int, scale: Double) rethrows {
      weight = try source(.normal(name, inner, outer, scale: scale))
      bias = try source(.constant(0, outer))
    }
    func callAsFunction(_ x: Tensor) -> Tensor { x.matmul(weight) + bias }
  }

  struct Block {
    var norm1: Norm, norm2: Norm
    var qkv: Linear, projection: Linear, up: Linear, down: Linear

    init(_ source: ParameterSource, _ number: Int) rethrows {
      let (width, name) = (GPT2.width, "h\(number)_")
      let small = 0.02 / Double(2 * GPT2.layers).squareRoot()
      norm1 = try Norm(source)
      norm2 = try Norm(source)
      qkv = try Linear(source, name + "qkv", width, 3 * width, scale: 0.02)
      projection = try Linear(source, name + "proj", width, width, scale: small)
      up = try Linear(source, name + "fc", width, 4 * width, scale: 0.02)
      down = try Linear(source, name + "out", 4 * width, width, scale: small)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
      let (batch, tokens) = (x.shape[0], x.shape[1])
      let joined = qkv(norm1(x)).reshaped(batch, tokens, 3, GPT2.heads, GPT2.width / GPT2.heads)
      let parts = joined.permuted([2, 0, 3, 1, 4]).unbound()
      let seen = Tensor.scaledDotProductAttention(parts[0], parts[1], parts[2], isCausal: true)
      let y = x + projection(seen.transposed(1, 2).reshaped(batch, tokens, GPT2.width))
      return y + down(up(norm2(y)).gelu(approximate: .tanh))
    }
  }

  static let (layers, width, heads, vocabulary, longest) = (12, 768, 12, 50257, 1024)
  var tokens: Tensor, positions: Tensor
  var norm: Norm
  var blocks: [Block]

  init(_ source: ParameterSource) rethrows {
    tokens = try source(.normal("wte", Self.vocabulary, Self.width, scale: 0.02))
    positions = try source(.normal("wpe", Self.longest, Self.width, scale: 0.01))
    norm = try Norm(source)
    blocks = try (0..<Self.layers).map { try Block(source, $0) }
  }

  /// Indices [batch, tokens] to logits [batch, tokens, vocabulary].
  func callAsFunction(_ indices: Tensor) -> Tensor {
    var x = tokens.embedding(indices) + positions[TensorIndex.range(start: 0, end: indices.shape[1], step: 1)]
    for block in blocks { x = block(x) }
    return norm(x).matmul(tokens.transposed(0, 1))
  }
}

extension Workload {
  static let gpt2: Workload = {
    let (batch, tokens, width) = (1, 512, GPT2.width)
    let weights = GPT2.layers * 12 * width * width + GPT2.vocabulary * width
    return model(
      "gpt2_fwd", "GPT-2 124M forward, B=1 T=512, all logits", read: weights * 4,
      written: batch * tokens * GPT2.vocabulary * 4,
      flops: 2 * batch * tokens * weights + GPT2.layers * 2 * batch * tokens * tokens * width, tolerance: 5e-3,
      inputs: [.integers("ids", batch, tokens, below: GPT2.vocabulary)], build: { try GPT2($0) }
    ) { model, rest in model(rest[rest.startIndex]) }
  }()
}

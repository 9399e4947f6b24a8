// The layers of a Llama as the paper names them: each holds its weights and is called with the states of the tokens.
// Not the reading of them from a file. Surprise: attention is given the model's cache, to which it appends.
import Basics
import Tensors
import TensorTypes

extension Llama {
  /// A product and, where the model has one, the bias after it.
  struct Projection: Sendable {
    var weight: LinearWeight
    var bias: Tensor?

    func callAsFunction(_ x: Tensor) -> Tensor {
      let product = weight(x)
      return bias.map { product + $0 } ?? product
    }
  }

  /// The root mean square of each token's state made 1 (Zhang and Sennrich 2019).
  struct Norm: Sendable {
    var weight: Tensor
    var epsilon: Double

    func callAsFunction(_ x: Tensor) -> Tensor { x.rmsNorm(weight.shape.dims, weight: weight, eps: epsilon) }
  }

  /// Heads of queries that share fewer of keys and values (Ainslie 2023), with rotary positions (Su 2021).
  struct Attention: Sendable {
    var query: Projection
    var key: Projection
    var value: Projection
    var output: Projection
    var headWidth: Int
    var layout: RotaryLayout

    /// - Parameter number: of the layer, whose part of the cache grows by the tokens.
    func callAsFunction(
      _ x: Tensor, _ positions: KVCache.Positions, _ cache: inout KVCache, layer number: Int
    ) throws(Diagnostic) -> Tensor {
      let tokens = x.shape[0]
      func heads(_ part: Projection) -> Tensor {
        part(x).reshaped(tokens, part.weight.rows / headWidth, headWidth)
      }
      func turned(_ x: Tensor) -> Tensor {
        x.rotated(cosines: positions.cosines, sines: positions.sines, layout: layout)
      }
      let (q, k, v) = (heads(query), heads(key), heads(value))
      let start = cache.length
      let (queries, newKeys) = (turned(q), turned(k))
      let (keys, values) = try cache.append(newKeys, v, layer: number)
      let mixed = Tensor.scaledDotProductAttention(
        queries.transposed(0, 1), keys.transposed(0, 1), values.transposed(0, 1), isCausal: true, start: start,
        groupsQueries: true)
      return output(mixed.transposed(0, 1).reshaped(tokens, query.weight.rows))
    }
  }

  /// SwiGLU (Shazeer 2020).
  struct FeedForward: Sendable {
    var gate: Projection
    var up: Projection
    var down: Projection

    func callAsFunction(_ x: Tensor) -> Tensor { down(gate(x).swiglu(up(x))) }
  }

  struct Layer: Sendable {
    var attentionNorm: Norm
    var attention: Attention
    var feedForwardNorm: Norm
    var feedForward: FeedForward
  }
}

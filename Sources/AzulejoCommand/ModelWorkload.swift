// Models as workloads: one step of a language model, which `explain --model` and `generate --compare` time, and a text of
// an encoder. Not a conversation: the same token at the same position again and again. Surprise: the cache starts as if it
// held `position` tokens, so that attention has something to read.
import Basics
import Insight
import LanguageModels
import TensorTypes
import Tensors

extension Workload {
  /// Tokens that the cache holds when the step is taken.
  private static let position = 128

  /// The step that takes `tokens` after others and makes the next.
  static func step(of generator: TextGenerator, tokens: Int = 1) throws -> Workload {
    let model = generator.model
    let position = max(min(position, model.configuration.context - tokens), 0)
    let c = model.configuration
    let cacheBytes = c.layers * 2 * position * c.keyHeads * c.headWidth * 4
    return Workload(
      "step of \(generator.path.split(separator: "/").last ?? "model")",
      tokens == 1 ? "one token after \(position)" : "\(tokens) tokens after \(position)",
      read: model.weightBytes + cacheBytes, written: model.vocabulary * 4, flops: 2 * model.weightCount * tokens,
      make: {
        let cache = try KVCache(model, capacity: position + tokens)
        var tensors = cache.tensors
        tensors[0] = Tensor.zeros(tensors[0].shape.dims)
        return (tensors, [Tensor([Int64](repeating: 1, count: tokens))])
      },
      function: { state, inputs in
        // Taken out, so that the cache is the only holder.
        var cache = KVCache(state, length: Dim(position))
        state = []
        let logits = try model(inputs[0], &cache)
        state = cache.tensors
        return [logits]
      })
  }

  /// The embedding of a text of `tokens`.
  static func embedding(by encoder: BertEncoder, tokens: Int) -> Workload {
    let width = encoder.configuration.width
    return Workload(
      "embedding of \(tokens) tokens", "a text of \(tokens) tokens", read: 0, written: width * 4, flops: 0,
      make: { ([], [Tensor([Int64](repeating: 1, count: tokens))]) },
      function: { _, inputs in [try encoder(inputs[0])] })
  }
}

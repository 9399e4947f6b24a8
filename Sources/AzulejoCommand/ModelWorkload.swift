// One step of a language model as a workload: what `explain --model` and `generate --compare` time.
// Not a conversation: the same token at the same position again and again. Surprise: the cache starts as if it held
// `position` tokens, so that attention has something to read.
import Basics
import Insight
import LanguageModels
import TensorTypes
import Tensors

extension Workload {
  /// Tokens that the cache holds when the step is taken.
  private static let position = 128

  /// The step that makes one token after others.
  static func step(of generator: TextGenerator) throws -> Workload {
    let model = generator.model
    let position = min(position, model.configuration.context - 1)
    let c = model.configuration
    let cacheBytes = c.layers * 2 * position * c.keyHeads * c.headWidth * 4
    return Workload(
      "step of \(generator.path.split(separator: "/").last ?? "model")", "one token after \(position)",
      read: model.weightBytes + cacheBytes, written: model.vocabulary * 4, flops: 2 * model.weightCount,
      make: {
        let cache = try KVCache(model, capacity: position + 1)
        var tensors = cache.tensors
        tensors[0] = Tensor.zeros(tensors[0].shape.dims)
        return (tensors, [Tensor([Int64(1)])])
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
}

// Grouped-query attention over a cache in one launch. Surprise: a single query streams keys and values where they are;
// many queries pack them first, block by block, and no scores are kept.
import Basics
import Engine
import Tensors
import TensorTypes

extension ModelOperations {
  /// Grouped-query attention (Ainslie 2023): q [queries, heads, width], keys and values [keys, key heads, width];
  /// query t sees keys 0...(start + t), or all keys if `start` is nil. Result [queries, heads * width].
  static func attention(_ q: Tensor, _ keys: Tensor, _ values: Tensor, start: Int?) throws(Diagnostic) -> Tensor {
    let (query, key, value) = (try q.view, try keys.view, try values.view)
    let (tokens, heads, width, groups) = (query.extent(0), query.extent(1), query.extent(2), key.extent(1))
    let result = try Engine.current.allocate(.f32, [tokens, groups, heads / groups, width])
    // A single query sees every key: no mask, and no number of the start in the kernel.
    let mask = tokens == 1 ? nil : start
    try ScaledAttention.run(
      query.splitting(1, outer: groups).permuted([1, 2, 0, 3]), key.permuted([1, 0, 2]).inserting(1),
      value.permuted([1, 0, 2]).inserting(1), mask: mask.map { .causal(start: $0) } ?? ScaledAttention.Mask.none,
      scale: 1 / Double(width).squareRoot(), into: result.permuted([1, 2, 0, 3]),
      outer: [Dim(groups), Dim(heads / groups)])
    return try Tensor(result).reshaped(to: [tokens, heads * width])
  }
}

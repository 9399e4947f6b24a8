// Attention by scaled dot products: two products and one masked softmax.
// Surprise: a query that sees no key gives zeros, not NaN.
import Basics
import Engine
import GraphIR
import TensorTypes

private enum Attention {
  /// Softmax of scores; a row of -infinity gives zeros.
  private static func weights(_ x: Term) -> [Term] {
    let peak = x.max()
    let e = (x - (peak .== -.infinity).select(0, peak)).exp()
    let sum = e.sum()
    return [e / (sum .== 0).select(1, sum)]
  }
  /// Operands: scores, the scale.
  static let plain = RowOperation("attention") { x in weights(x[0] * x[1]) }
  /// Operands: scores, the scale, what is added.
  static let biased = RowOperation("attention biased") { x in weights(x[0] * x[1] + x[2]) }
  /// Operands: scores, the scale, whether a key is seen.
  static let masked = RowOperation("attention masked") { x in
    weights((x[2] .!= 0).select(x[0] * x[1], -.infinity))
  }
  /// Operands: scores, the scale, numbers of queries and of keys.
  static let causal = RowOperation("attention causal") { x in
    weights((x[3] .<= x[2]).select(x[0] * x[1], -.infinity))
  }
}

extension Tensor {
  /// softmax(query · keyᵀ · scale + mask) · value. PyTorch: `nn.functional.scaled_dot_product_attention`.
  ///
  /// query [.., queries, width], key [.., keys, width], value [.., keys, out]; leading axes broadcast. A
  /// bool `mask` says
  /// which keys a query sees, another is added; with `isCausal` query i sees keys 0...i. `scale` is 1 /
  /// sqrt(width) unless
  /// given. With `groupsQueries` axis -3 has heads, and several heads of the query share one of key and value.
  public static func scaledDotProductAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor? = nil, isCausal: Bool = false,
    scale: Double? = nil, groupsQueries: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line) { () throws(Diagnostic) in
      var (q, k, v) = (try query.view, try key.view, try value.view)
      guard q.rank >= 2, k.rank >= 2, v.rank >= 2, q.extents[q.rank - 1] == k.extents[k.rank - 1],
        k.extents[k.rank - 2] == v.extents[v.rank - 2]
      else {
        throw Diagnostic(
          .shape, "attention: query \(q.extents), key \(k.extents) and value \(v.extents) do not meet",
          remedy: "give [.., queries, width], [.., keys, width] and [.., keys, out]")
      }
      guard mask == nil || !isCausal else {
        throw Diagnostic(
          .argument, "attention: a mask and isCausal are given", remedy: "put the causal part into the mask")
      }
      let queryExtents = q.extents
      if groupsQueries { (q, k, v) = try grouped(q, k, v) }
      let (scores, rank) = try scores(q, k)
      let weights = try visible(
        scores, mask: mask, shared: groupsQueries ? q.extents[q.rank - 3] : nil, isCausal,
        scale ?? 1 / Double(q.extents[q.rank - 1]).squareRoot())
      // Labels: batch axes from the end, then queries, keys, out.
      let batch = { (count: Int) in (0..<count).reversed().map { 3 + $0 } }
      let result = try Product.contract(
        Factor(view: weights.view, labels: batch(rank - 2) + [0, 1]),
        Factor(view: v, labels: batch(v.rank - 2) + [1, 2]),
        out: batch(Swift.max(rank, v.rank) - 2) + [0, 2], "attention")
      guard groupsQueries else { return result }
      // [.., key heads, shared, queries, out] back to [.., heads, queries, out].
      var extents = try result.view.extents
      extents.replaceSubrange((extents.count - 4)...(extents.count - 3), with: [queryExtents[queryExtents.count - 3]])
      return try result.reshaped(to: extents)
    }
  }

  /// Heads of the query split into those of the key and the ones that share it.
  private static func grouped(
    _ q: TensorView, _ k: TensorView, _ v: TensorView
  ) throws(Diagnostic) -> (TensorView, TensorView, TensorView) {
    let heads = q.rank >= 3 ? q.extents[q.rank - 3] : 0
    let shared = k.rank >= 3 ? k.extents[k.rank - 3] : 0
    guard shared > 0, v.rank >= 3, v.extents[v.rank - 3] == shared, heads % shared == 0 else {
      throw Diagnostic(
        .shape, "attention: \(heads) heads of the query share \(shared) of the key \(k.extents) and value \(v.extents)",
        remedy: "the key's heads must divide the query's, on axis -3")
    }
    let split = q.splitting(q.rank - 3, outer: shared)
    return (split, k.inserting(k.rank - 2), v.inserting(v.rank - 2))
  }

  /// query · keyᵀ, and its rank.
  private static func scores(_ q: TensorView, _ k: TensorView) throws(Diagnostic) -> (Tensor, Int) {
    let batch = { (count: Int) in (0..<count).reversed().map { 3 + $0 } }
    let rank = Swift.max(q.rank, k.rank)
    let made = try Product.contract(
      Factor(view: q, labels: batch(q.rank - 2) + [0, 1]), Factor(view: k, labels: batch(k.rank - 2) + [2, 1]),
      out: batch(rank - 2) + [0, 2], "attention")
    return (made, rank)
  }

  /// The softmax of the scores that are seen. `shared`: heads of the query for one of the key, where they are split.
  private static func visible(
    _ scores: Tensor, mask: Tensor?, shared: Int?, _ isCausal: Bool, _ scale: Double
  ) throws(Diagnostic) -> Tensor {
    let domain = try scores.view.extents
    let dtype = scores.dtype
    var operation = Attention.plain
    var operands: [PointwiseOperand] = [scores.operand, .scalar(.floating(scale))]
    if isCausal {
      operation = Attention.causal
      let queries = try Tensor.arange(Dim(domain[domain.count - 2])).view.inserting(1)
      operands += [.tensor(Tensor(queries)), Tensor.arange(Dim(domain[domain.count - 1])).operand]
    } else if let mask {
      operation = mask.dtype == .bool ? Attention.masked : Attention.biased
      var view = try mask.view
      if let shared, view.rank >= 3 {
        // [.., heads, queries, keys] meets scores whose heads are split.
        let axis = view.rank - 3
        let isRepeated = view.extents[axis] == 1
        guard isRepeated || view.extents[axis] % shared == 0 else {
          throw Diagnostic(
            .shape, "attention: a mask \(view.extents) for groups of \(shared) heads",
            remedy: "give axis -3 of the mask the heads of the query")
        }
        view = view.splitting(axis, outer: isRepeated ? 1 : view.extents[axis] / shared)
      }
      guard broadcastable(view.extents, domain) else {
        throw Diagnostic(
          .shape, "attention: a mask \(view.extents) for scores \(domain)",
          remedy: "the mask must broadcast to [.., queries, keys]")
      }
      operands.append(.tensor(Tensor(view)))
    }
    return try operation(
      operands, domain: domain, axes: [domain.count - 1], compute: dtype.computeDType, [.full(dtype)])[0]
  }

  private static func broadcastable(_ extents: [Int], _ target: [Int]) -> Bool {
    extents.count <= target.count && zip(extents.reversed(), target.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
  }
}

// Grouped-query attention as one graph, for functions that are captured: the compiler fuses it as it finds fit.
// Not the eager way, which has launches of its own. Surprise: positions are slices of one iota, so that the compiler sees
// which keys a causal mask hides.
import Basics
import Engine
import GraphIR
import Scalars
import TensorTypes
import Tensors

extension ModelOperations {
  // Labels: 0 key heads, 1 query heads of one key head, 2 queries, 3 width, 4 keys. Without queries: 2 is missing.
  private static let manyQueries = attentionProgram("attention", hasQueries: true, isCausal: false)
  private static let manyCausalQueries = attentionProgram("causal attention", hasQueries: true, isCausal: true)
  private static let oneQuery = attentionProgram("attention of one query", hasQueries: false, isCausal: false)

  private static func attentionProgram(_ name: String, hasQueries: Bool, isCausal: Bool) -> Program {
    let query = hasQueries ? [0, 1, 2, 3] : [0, 1, 3]
    let labels = [query, [0, 4, 3], [0, 4, 3], []] + (isCausal ? [[2], [4]] : [])
    return Program(name, axes: labels) { builder, values throws(Diagnostic) in
      let last = query.count - 1
      let pairs = ContractionAxes(batch: [.init(0, 0)], contracted: [.init(last, 2)])
      let scores = try builder.append(.contraction(pairs), values[0], values[1])
      let shape = builder.shape(scores)
      var logits = try builder.append(.multiply, scores, builder.broadcast(values[3], shape))
      if isCausal {
        let queries = try builder.restoring(values[4], [0, 1, 3], shape)
        let visible = try builder.append(.lessOrEqual, builder.broadcast(values[5], shape), queries)
        let hidden = try builder.filled(ScalarConstant(.f32, -.infinity), shape)
        logits = try builder.append(.select, visible, logits, hidden)
      }
      let top = try builder.append(.reduce(.maximum, axes: [last]), logits)
      let e = try builder.append(.exp, builder.append(.subtract, logits, builder.restoring(top, [last], shape)))
      let sum = try builder.append(.reduce(.sum, axes: [last]), e)
      let weights = try builder.append(.divide, e, builder.restoring(sum, [last], shape))
      return [
        try builder.append(
          .contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(last, 1)])), weights, values[2])
      ]
    }
  }

  /// As ``attention(_:_:_:start:)`` while a function is captured; query t sees keys 0...(start + t), or all.
  static func capturedAttention(
    _ q: Tensor, _ keys: Tensor, _ values: Tensor, start: Dim?
  ) throws(Diagnostic) -> Tensor {
    let (tokens, count) = (q.shape[0], keys.shape[0])
    let (query, key) = (try q.view, try keys.view)
    let (heads, width, groups) = (query.extent(1), query.extent(2), key.extent(1))
    let shared = heads / groups
    let split = try q.reshaped(dims: [tokens, Dim(groups), Dim(shared), Dim(width)])
    let byHead = [keys.permuted([1, 0, 2]), values.permuted([1, 0, 2])]
    let scale = Operand.scalar(ScalarOperand(ScalarConstant(.f32, 1 / Double(width).squareRoot())))
    func run(_ program: Program, _ queries: Tensor, _ more: [Operand]) throws(Diagnostic) -> Tensor {
      var operands = [Operand.tensor(try queries.view)]
      for part in byHead { operands.append(.tensor(try part.view)) }
      return Tensor(try Engine.current.run(program, operands + [scale] + more, [.fresh(.f32, [])])[0])
    }
    if tokens.isKnown(1) {
      // A single query sees every key.
      let mixed = try run(oneQuery, Tensor(split.view.removing(0)), [])
      return try mixed.reshaped(to: [1, heads * width])
    }
    let queries = split.permuted([1, 2, 0, 3])
    var mixed: Tensor
    if let start {
      let positions = Tensor.arange(count)
      let seen = positions[start..<(start + tokens)]
      mixed = try run(manyCausalQueries, queries, [.tensor(seen.view), .tensor(positions.view)])
    } else {
      mixed = try run(manyQueries, queries, [])
    }
    mixed = mixed.permuted([2, 0, 1, 3])
    return try mixed.reshaped(dims: [tokens, Dim(heads * width)])
  }
}

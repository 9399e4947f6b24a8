// Grouped-query attention as three launches: scores, softmax, mix. Not one fused kernel yet.
// Surprise: queries go in blocks, so that the scores of a long text never become the largest tensor of the process; and
// a single query is a product with a vector, which reads keys and values where they are instead of packing them.
import Basics
import Engine
import GraphIR
import Scalars
import Tensors
import TensorTypes

extension ModelOperations {
  /// Bytes that the scores of one block of queries may take.
  private static let scoreBytes = 4 << 20
  /// A block is at least this high, or packing the keys would cost more than the product.
  private static let fewestQueries = 16

  /// The three programs for heads of one width, which is a number in them.
  private struct Programs {
    let scores: Program
    let mix: Program
    let singleScores: Program
    let singleMix: Program

    private static let table = ProgramTable()

    init(width: Int) {
      // Labels: 0 key heads, 1 query heads of one key head, 2 queries, 3 width, 4 keys.
      func program(_ name: String, _ labels: [[Int]], _ axes: ContractionAxes) -> Program {
        let full = "\(name) of width \(width)"
        return Self.table.program(full) {
          Program(full, axes: labels, fixedLabels: [3]) { builder, values throws(Diagnostic) in
            [try builder.append(.contraction(axes), values[0], values[1])]
          }
        }
      }
      scores = program(
        "scores", [[0, 1, 2, 3], [0, 4, 3]], ContractionAxes(batch: [.init(0, 0)], contracted: [.init(3, 2)]))
      mix = program(
        "mix", [[0, 1, 2, 4], [0, 4, 3]], ContractionAxes(batch: [.init(0, 0)], contracted: [.init(3, 1)]))
      let batch = [ContractionAxes.Pair(0, 0), .init(1, 1)]
      singleScores = program(
        "scores of one query", [[0, 1, 3], [0, 1, 4, 3]], ContractionAxes(batch: batch, contracted: [.init(2, 3)]))
      singleMix = program(
        "mix of one query", [[0, 1, 4], [0, 1, 4, 3]], ContractionAxes(batch: batch, contracted: [.init(2, 2)]))
    }
  }

  private static let causalSoftmax = Program("causal softmax", axes: [[0, 2, 4], [], []]) {
    builder, values throws(Diagnostic) in
    let (scores, scale, start) = (values[0], values[1], values[2])
    let shape = builder.shape(scores)
    let query = try builder.append(.add, builder.append(.iota(axis: 1, shape)), builder.broadcast(start, shape))
    let visible = try builder.append(.lessOrEqual, builder.append(.iota(axis: 2, shape)), query)
    let scaled = try builder.append(.multiply, scores, builder.broadcast(scale, shape))
    let hidden = try builder.filled(ScalarConstant(.f32, -.infinity), shape)
    return [try softmax(&builder, builder.append(.select, visible, scaled, hidden))]
  }

  private static let plainSoftmax = Program("scaled softmax", axes: [[0, 2, 4], []]) {
    builder, values throws(Diagnostic) in
    let scale = try builder.broadcast(values[1], builder.shape(values[0]))
    return [try softmax(&builder, builder.append(.multiply, values[0], scale))]
  }

  private static func softmax(_ builder: inout GraphBuilder, _ x: Value) throws(Diagnostic) -> Value {
    let shape = builder.shape(x)
    let top = try builder.append(.reduce(.maximum, axes: [2]), x)
    let e = try builder.append(.exp, builder.append(.subtract, x, builder.restoring(top, [2], shape)))
    let sum = try builder.append(.reduce(.sum, axes: [2]), e)
    return try builder.append(.divide, e, builder.restoring(sum, [2], shape))
  }

  /// Grouped-query attention (Ainslie 2023): q [queries, heads, width], keys and values [keys, key heads, width];
  /// query t sees keys 0...(start + t), or all keys if `start` is nil. Result [queries, heads * width].
  static func attention(_ q: Tensor, _ keys: Tensor, _ values: Tensor, start: Int?) throws(Diagnostic) -> Tensor {
    let (query, key, value) = (try q.contiguous().view, try keys.view, try values.view)
    let (tokens, heads, width) = (query.extents[0], query.extents[1], query.extents[2])
    let (count, groups) = (key.extents[0], key.extents[1])
    let result = try Engine.current.allocate(.f32, [tokens, heads * width])
    /// [queries, heads, width] as [key heads, query heads of one, queries, width].
    func grouped(_ view: TensorView) -> TensorView {
      var split = view
      split.extents = [tokens, groups, heads / groups, width]
      split.strides = TensorView.contiguousStrides(split.extents)
      return split.permuted([1, 2, 0, 3])
    }
    let (queries, outputs) = (grouped(query), grouped(result))
    let (byHead, valuesByHead) = (key.permuted([1, 0, 2]), value.permuted([1, 0, 2]))
    let programs = Programs(width: width)
    let scale = ScalarOperand(ScalarConstant(.f32, 1 / Double(width).squareRoot()))
    if tokens == 1 {
      try attendOnce(programs, queries, byHead, valuesByHead, scale, into: outputs)
      return Tensor(result)
    }
    let limit = max(scoreBytes / (heads * count * 4), fewestQueries)
    let blocks = (tokens + limit - 1) / limit
    // One size for all lengths of text, so that the allocator gives the same memory again and again.
    let elements = heads * min(limit, tokens) * count
    let scores = try Engine.current.allocate(.f32, [blocks == 1 ? elements : max(scoreBytes / 4, elements)])
    for block in 0..<blocks {
      let (first, end) = (tokens * block / blocks, tokens * (block + 1) / blocks)
      let seen = start.map { min(count, $0 + end) } ?? count
      try attend(
        programs, queries.sliced(2, start: first, count: end - first), byHead.sliced(1, start: 0, count: seen),
        valuesByHead.sliced(1, start: 0, count: seen), scale, start: start.map { $0 + first }, scores: scores,
        into: outputs.sliced(2, start: first, count: end - first))
    }
    return Tensor(result)
  }

  /// A block of queries [key heads, shared, queries, width] over keys and values [key heads, keys, width].
  private static func attend(
    _ programs: Programs, _ queries: TensorView, _ keys: TensorView, _ values: TensorView, _ scale: ScalarOperand,
    start: Int?, scores memory: TensorView, into output: TensorView
  ) throws(Diagnostic) {
    let engine = try Engine.current
    let shape = Array(queries.extents[..<3]) + [keys.extents[1]]
    func scores(_ extents: [Int]) -> TensorView {
      TensorView(memory.storage, offset: memory.offset, .f32, extents: extents)
    }
    let (scores, rows) = (scores(shape), scores([shape[0] * shape[1], shape[2], shape[3]]))
    _ = try engine.run(programs.scores, [.tensor(queries), .tensor(keys)], [.existing(scores)])
    // In place: a row is read before it is written.
    if let start {
      let first = Operand.scalar(ScalarOperand(.i64, bits: Int64(start)))
      _ = try engine.run(causalSoftmax, [.tensor(rows), .scalar(scale), first], [.existing(rows)])
    } else {
      _ = try engine.run(plainSoftmax, [.tensor(rows), .scalar(scale)], [.existing(rows)])
    }
    _ = try engine.run(programs.mix, [.tensor(scores), .tensor(values)], [.existing(output)])
  }

  /// One query, which sees every key.
  private static func attendOnce(
    _ programs: Programs, _ query: TensorView, _ keys: TensorView, _ values: TensorView, _ scale: ScalarOperand,
    into output: TensorView
  ) throws(Diagnostic) {
    let engine = try Engine.current
    let (groups, shared, count) = (keys.extents[0], query.extents[1], keys.extents[1])
    /// [key heads, query heads of one, 1, width] without the axis of queries.
    func single(_ view: TensorView) -> TensorView {
      var flat = view
      flat.extents.remove(at: 2)
      flat.strides.remove(at: 2)
      return flat
    }
    /// Every query head of a key head sees the same rows.
    func repeated(_ view: TensorView) -> TensorView {
      view.inserting(1).expanded(to: [groups, shared] + view.extents[1...])
    }
    let scores = try engine.run(
      programs.singleScores, [.tensor(single(query)), .tensor(repeated(keys))],
      [.fresh(.f32, [groups, shared, count])])[0]
    var rows = scores
    (rows.extents, rows.strides) = ([groups * shared, 1, count], [count, count, 1])
    _ = try engine.run(plainSoftmax, [.tensor(rows), .scalar(scale)], [.existing(rows)])
    _ = try engine.run(
      programs.singleMix, [.tensor(scores), .tensor(repeated(values))], [.existing(single(output))])
  }
}

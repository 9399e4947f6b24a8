// The composites of transformer models as programs: each is one launch. Not a model, and no hand-written kernel.
// Surprise: positions are launch arguments, so one kernel serves every step of a generation.
import Basics
import Engine
import GraphIR
import Scalars
import Tensors
import TensorTypes

enum ModelOperations {
  // MARK: Products

  // Labels: 0 rows of the weight, 1 inner, 2 tokens.
  private static let linearProgram = Program("linear", axes: [[2, 1], [0, 1]]) { builder, values throws(Diagnostic) in
    let wide = try builder.convert(values[1], to: .f32)
    return [try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 1)])), values[0], wide)]
  }

  /// x [tokens, inner] . weight [rows, inner]^T.
  static func linear(_ x: Tensor, _ weight: Tensor) throws(Diagnostic) -> Tensor {
    let (a, w) = (try x.view, try weight.view)
    guard a.rank == 2, w.rank == 2, a.extents[1] == w.extents[1] else {
      throw Diagnostic(.shape, "linear: \(a.extents) does not meet a weight \(w.extents)")
    }
    let views = try Engine.current.run(
      linearProgram, [.tensor(a), .tensor(w)], [.fresh(.f32, [a.extents[0], w.extents[0]])])
    return Tensor(views[0])
  }

  private static let rowsProgram = Program("rows", axes: [[0, 1], [2]]) { builder, values throws(Diagnostic) in
    var shape = builder.shape(values[0])
    shape[0] = builder.shape(values[1])[0]
    let spread = try builder.restoring(values[1], [1], shape)
    return [try builder.convert(builder.append(.gather(axis: 0), values[0], spread), to: .f32)]
  }

  /// Rows `indices` (i64 [n]) of a table [rows, columns], in f32.
  static func rows(_ table: Tensor, _ indices: Tensor) throws(Diagnostic) -> Tensor {
    let (source, index) = (try table.view, try indices.view)
    let views = try Engine.current.run(
      rowsProgram, [.tensor(source), .tensor(index)], [.fresh(.f32, [index.elementCount, source.extents[1]])])
    return Tensor(views[0])
  }

  // MARK: Norms and activations

  private static let rmsNormOperation = RowOperation("rmsnorm") { builder, values, axes throws(Diagnostic) in
    let (x, weight, epsilon, scale) = (values[0], values[1], values[2], values[3])
    let shape = builder.shape(x)
    let squares = try builder.append(.multiply, x, x)
    let sum = axes.isEmpty ? squares : try builder.append(.reduce(.sum, axes: axes), squares)
    let kept = builder.shape(sum)
    let mean = try builder.append(.multiply, sum, builder.broadcast(scale, kept))
    let root = try builder.append(.reciprocalSquareRoot, builder.append(.add, mean, builder.broadcast(epsilon, kept)))
    let spread = axes.isEmpty ? root : try builder.restoring(root, axes, shape)
    return [try builder.append(.multiply, builder.append(.multiply, x, spread), weight)]
  }

  /// x / sqrt(mean(x^2) + epsilon) * weight, over the last axis (Zhang and Sennrich 2019).
  static func rmsNorm(_ x: Tensor, weight: Tensor, epsilon: Double) throws(Diagnostic) -> Tensor {
    let view = try x.view
    let count = Double(view.extents[view.rank - 1])
    return try rmsNormOperation(
      [.tensor(x), .tensor(weight), .scalar(.floating(epsilon)), .scalar(.floating(1 / count))],
      domain: view.extents, axes: [view.rank - 1], compute: .f32, [.full(.f32)])[0]
  }

  private static let gatedOperation = PointwiseOperation("swiglu", .promoted) { builder, values throws(Diagnostic) in
    let swish = try builder.append(.multiply, values[0], builder.append(.sigmoid, values[0]))
    return try builder.append(.multiply, swish, values[1])
  }

  /// gate * sigmoid(gate) * up (Shazeer 2020).
  static func gated(_ gate: Tensor, _ up: Tensor) throws(Diagnostic) -> Tensor {
    try gatedOperation([.tensor(gate), .tensor(up)])
  }

  private static let addOperation = PointwiseOperation("residual", .promoted) { builder, values throws(Diagnostic) in
    try builder.append(.add, values[0], values[1])
  }

  static func sum(_ a: Tensor, _ b: Tensor) throws(Diagnostic) -> Tensor {
    try addOperation([.tensor(a), .tensor(b)])
  }

  // MARK: Rotary positions

  private static let rotation = Program("rotary") { builder, values throws(Diagnostic) in
    let (a, b, cosine, sine) = (values[0], values[1], values[2], values[3])
    let first = try builder.append(
      .subtract, builder.append(.multiply, a, cosine), builder.append(.multiply, b, sine))
    let second = try builder.append(.add, builder.append(.multiply, a, sine), builder.append(.multiply, b, cosine))
    return [first, second]
  }

  /// Rotates pairs of the last axis of x [tokens, heads, width]; tables are [tokens, width / 2].
  static func rotated(
    _ x: Tensor, cosine: Tensor, sine: Tensor, layout: RotaryLayout
  ) throws(Diagnostic) -> Tensor {
    let source = try x.view
    let result = try Engine.current.allocate(.f32, source.extents)
    let half = source.extents[2] / 2
    func pair(_ view: TensorView, _ which: Int) -> TensorView {
      switch layout {
      case .interleaved: view.sliced(2, start: which, count: half, step: 2)
      case .halves: view.sliced(2, start: which * half, count: half)
      }
    }
    let extents = [source.extents[0], source.extents[1], half]
    let tables = [try cosine.view, try sine.view].map { $0.inserting(1).expanded(to: extents) }
    _ = try Engine.current.runPointwise(
      rotation, [.tensor(pair(source, 0)), .tensor(pair(source, 1)), .tensor(tables[0]), .tensor(tables[1])],
      [.existing(pair(result, 0)), .existing(pair(result, 1))])
    return Tensor(result)
  }

  // MARK: Attention

  // Labels: 0 key heads, 1 query heads of one key head, 2 queries, 3 width, 4 keys.
  private static let scoresProgram = Program("scores", axes: [[0, 1, 2, 3], [0, 4, 3]]) {
    builder, values throws(Diagnostic) in
    let axes = ContractionAxes(batch: [.init(0, 0)], contracted: [.init(3, 2)])
    return [try builder.append(.contraction(axes), values[0], values[1])]
  }

  private static let mixProgram = Program("mix", axes: [[0, 1, 2, 4], [0, 4, 3]]) {
    builder, values throws(Diagnostic) in
    let axes = ContractionAxes(batch: [.init(0, 0)], contracted: [.init(3, 1)])
    return [try builder.append(.contraction(axes), values[0], values[1])]
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
    let share = try builder.append(.reciprocal, sum)
    return try builder.append(.multiply, e, builder.restoring(share, [2], shape))
  }

  /// Grouped-query attention (Ainslie 2023): q [queries, heads, width], keys and values [keys, key heads, width];
  /// query t sees keys 0...(start + t), or all keys if `start` is nil. Result [queries, heads * width].
  static func attention(_ q: Tensor, _ keys: Tensor, _ values: Tensor, start: Int?) throws(Diagnostic) -> Tensor {
    let engine = try Engine.current
    let (query, key, value) = (try q.contiguous().view, try keys.view, try values.view)
    let (tokens, heads, width) = (query.extents[0], query.extents[1], query.extents[2])
    let (count, groups) = (key.extents[0], key.extents[1])
    let shared = heads / groups
    func grouped(_ view: TensorView) -> TensorView {
      var split = view
      split.extents = [tokens, groups, shared, width]
      split.strides = TensorView.contiguousStrides(split.extents)
      return split.permuted([1, 2, 0, 3])
    }
    let scores = try engine.run(
      scoresProgram, [.tensor(grouped(query)), .tensor(key.permuted([1, 0, 2]))],
      [.fresh(.f32, [groups, shared, tokens, count])])[0]
    var rows = scores
    (rows.extents, rows.strides) = ([heads, tokens, count], TensorView.contiguousStrides([heads, tokens, count]))
    let scale = Operand.scalar(ScalarOperand(ScalarConstant(.f32, 1 / Double(width).squareRoot())))
    let weights: TensorView
    if let start {
      let first = Operand.scalar(ScalarOperand(.i64, bits: Int64(start)))
      weights = try engine.run(causalSoftmax, [.tensor(rows), scale, first], [.fresh(.f32, rows.extents)])[0]
    } else {
      weights = try engine.run(plainSoftmax, [.tensor(rows), scale], [.fresh(.f32, rows.extents)])[0]
    }
    var split = weights
    (split.extents, split.strides) = (scores.extents, scores.strides)
    let result = try engine.allocate(.f32, [tokens, heads * width])
    _ = try engine.run(
      mixProgram, [.tensor(split), .tensor(value.permuted([1, 0, 2]))], [.existing(grouped(result))])
    return Tensor(result)
  }
}

/// Which elements of a head rotate together.
enum RotaryLayout: Sendable {
  /// Neighbours (2i, 2i + 1), as Llama files in GGUF are stored.
  case interleaved
  /// i and i + width / 2, as GPT-NeoX and Hugging Face store them.
  case halves
}

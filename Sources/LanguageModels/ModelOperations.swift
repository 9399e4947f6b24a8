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
    guard a.rank == 2, w.rank == 2, a.dim(1) == w.dim(1) else {
      throw Diagnostic(.shape, "linear: \(a.hints) does not meet a weight \(w.hints)")
    }
    let views = try Engine.current.run(
      linearProgram, [.tensor(a), .tensor(w)], [.fresh(.f32, [a.hints[0], w.hints[0]])])
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
      rowsProgram, [.tensor(source), .tensor(index)], [.fresh(.f32, [index.hints.reduce(1, *), source.hints[1]])])
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
    let count = Double(view.extent(view.rank - 1))
    return try rmsNormOperation(
      [.tensor(x), .tensor(weight), .scalar(.floating(epsilon)), .scalar(.floating(1 / count))],
      domain: view.hints, axes: [view.rank - 1], compute: .f32, [.full(.f32)])[0]
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

  /// Rotates pairs of the last axis of x [tokens, heads, width]; tables are [tokens, pairs]. Elements after the pairs
  /// stay as they are.
  static func rotated(
    _ x: Tensor, cosine: Tensor, sine: Tensor, layout: RotaryLayout
  ) throws(Diagnostic) -> Tensor {
    let source = try x.view
    let half = try cosine.view.extent(1)
    let rest = source.extent(2) - 2 * half
    func pair(_ view: TensorView, _ which: Int) -> TensorView {
      switch layout {
      case .interleaved: view.sliced(2, start: 0, count: 2 * half).sliced(2, start: which, count: half, step: 2)
      case .halves: view.sliced(2, start: which * half, count: half)
      }
    }
    let extents = [source.hints[0], source.hints[1], half]
    let tables = try [cosine.view, sine.view].map { view throws(Diagnostic) in
      try view.inserting(1).expanded(to: extents)
    }
    let operands = [pair(source, 0), pair(source, 1)] + tables
    if Trace.current != nil {
      // Joined as values: whoever reads them may rotate on the fly.
      let made = try Engine.current.runPointwise(
        rotation, operands.map { .tensor($0) }, [.fresh(.f32, extents), .fresh(.f32, extents)])
      var parts = made.map { Tensor($0) }
      if layout == .interleaved {
        let both = Tensor.concatenated(made.map { Tensor($0.inserting(3)) }, axis: 3)
        var dims = source.dims
        dims[2] = Dim(2 * half)
        parts = [try both.reshaped(dims: dims)]
      }
      if rest > 0 { parts.append(Tensor(source.sliced(2, start: 2 * half, count: rest))) }
      return parts.count == 1 ? parts[0] : Tensor.concatenated(parts, axis: 2)
    }
    let result = try Engine.current.allocate(.f32, source.hints)
    _ = try Engine.current.runPointwise(
      rotation, operands.map { .tensor($0) }, [.existing(pair(result, 0)), .existing(pair(result, 1))])
    if rest > 0 {
      func tail(_ view: TensorView) -> TensorView { view.sliced(2, start: 2 * half, count: rest) }
      try Tensor.copy(tail(source), into: tail(result))
    }
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

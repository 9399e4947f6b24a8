// The operations that encoders add to those of decoders: LayerNorm after a residual, exact GELU, pooling.
// Surprise: a residual sum and the norm after it are one launch, and a bias is added in the launch that follows it.
import Basics
import Engine
import GraphIR
import Scalars
import Tensors
import TensorTypes

extension ModelOperations {
  /// Sums the terms, then LayerNorm over the last axis; operands: weight, bias, epsilon, 1 / width, terms...
  private static let layerNormOperation = RowOperation("sum layernorm") { builder, values, axes throws(Diagnostic) in
    let (weight, bias, epsilon, scale) = (values[0], values[1], values[2], values[3])
    let shape = builder.shape(values[4])
    var x = values[4]
    for term in values[5...] { x = try builder.append(.add, x, term) }
    func mean(_ value: Value) throws(Diagnostic) -> Value {
      let sum = axes.isEmpty ? value : try builder.append(.reduce(.sum, axes: axes), value)
      return try builder.append(.multiply, sum, builder.broadcast(scale, builder.shape(sum)))
    }
    func spread(_ value: Value) throws(Diagnostic) -> Value {
      axes.isEmpty ? value : try builder.restoring(value, axes, shape)
    }
    let centred = try builder.append(.subtract, x, spread(mean(x)))
    let variance = try mean(builder.append(.multiply, centred, centred))
    let safe = try builder.append(.add, variance, builder.broadcast(epsilon, builder.shape(variance)))
    let root = try builder.append(.reciprocalSquareRoot, safe)
    let normal = try builder.append(.multiply, centred, spread(root))
    return [try builder.append(.add, builder.append(.multiply, normal, weight), bias)]
  }

  /// LayerNorm (Ba 2016) of the sum of `terms`, each [tokens, width] or broadcast to it.
  static func layerNorm(
    sumOf terms: [Tensor], weight: Tensor, bias: Tensor, epsilon: Double
  ) throws(Diagnostic) -> Tensor {
    let first = try terms[0].view
    let extents = first.hints
    let width = first.extent(extents.count - 1)
    let scalars: [PointwiseOperand] = [.scalar(.floating(epsilon)), .scalar(.floating(1 / Double(width)))]
    return try layerNormOperation(
      [.tensor(weight), .tensor(bias)] + scalars + terms.map { .tensor($0) }, domain: extents,
      axes: [extents.count - 1], compute: .f32, [.full(.f32)])[0]
  }

  private static let geluOperation = PointwiseOperation("bias gelu", .promoted) { builder, values throws(Diagnostic) in
    let x = try builder.append(.add, values[0], values[1])
    let shape = builder.shape(x)
    func constant(_ value: Double) throws(Diagnostic) -> Value {
      try builder.filled(ScalarConstant(builder.dtype(x), value), shape)
    }
    let scaled = try builder.append(.multiply, x, constant(0.5.squareRoot()))
    let grown = try builder.append(.add, builder.append(.erf, scaled), constant(1))
    return try builder.append(.multiply, builder.append(.multiply, x, constant(0.5)), grown)
  }

  /// GELU of x + bias, with the error function (Hendrycks and Gimpel 2016), not its tanh approximation.
  static func gelu(_ x: Tensor, bias: Tensor) throws(Diagnostic) -> Tensor {
    try geluOperation([.tensor(x), .tensor(bias)])
  }

  private static let meanOperation = RowOperation("mean rows") { builder, values, axes throws(Diagnostic) in
    let sum = axes.isEmpty ? values[0] : try builder.append(.reduce(.sum, axes: axes), values[0])
    return [try builder.append(.multiply, sum, builder.broadcast(values[1], builder.shape(sum)))]
  }

  /// The mean of the rows of x [tokens, width].
  static func meanOfRows(_ x: Tensor) throws(Diagnostic) -> Tensor {
    let extents = try x.view.hints
    // A capture knows the count as a symbol.
    if x.shape[0].knownValue == nil { return x.mean(0) }
    return try meanOperation(
      [.tensor(x), .scalar(.floating(1 / Double(extents[0])))], domain: extents, axes: [0], compute: .f32,
      [.reduced(.f32)])[0]
  }

  private static let unitOperation = RowOperation("unit length") { builder, values, axes throws(Diagnostic) in
    let x = values[0]
    let squares = try builder.append(.multiply, x, x)
    let sum = axes.isEmpty ? squares : try builder.append(.reduce(.sum, axes: axes), squares)
    let smallest = try builder.broadcast(values[1], builder.shape(sum))
    let length = try builder.append(.maximum, builder.append(.squareRoot, sum), smallest)
    let spread = axes.isEmpty ? length : try builder.restoring(length, axes, builder.shape(x))
    return [try builder.append(.divide, x, spread)]
  }

  /// x [width] divided by its length; a length below 1e-12 counts as that, as in PyTorch.
  static func unitLength(_ x: Tensor) throws(Diagnostic) -> Tensor {
    try unitOperation(
      [.tensor(x), .scalar(.floating(1e-12))], domain: x.view.hints, axes: [0], compute: .f32, [.full(.f32)])[0]
  }
}

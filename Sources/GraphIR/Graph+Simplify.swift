// Local simplifications that change no bit of any result: moves that cancel, conversions that lose nothing, folding.
// Not algebra on floats (x * 0, reassociation). Surprise: constants are folded only through basic instructions, whose
// result is the same on every machine; `exp` of a constant is left to the backend that runs it.
import Basics
import Scalars
import TensorTypes

extension Graph {
  /// What one local rule makes of a node on its new operands; nil: no rule holds.
  func simplification(
    of node: GraphNode, _ operands: [Value], _ builder: inout GraphBuilder
  ) throws(Diagnostic) -> Value? {
    try Simplifier(node: node, operands: operands).replacement(&builder)
  }
}

private struct Simplifier {
  let node: GraphNode
  let operands: [Value]

  func replacement(_ builder: inout GraphBuilder) throws(Diagnostic) -> Value? {
    let (definition, payload) = node.primitive.entry
    switch definition.lowering {
    case .pointwise:
      if let constant = folded(builder) { return try builder.append(.constant(constant), []) }
      return try pointwise(payload, &builder)
    case .reindex: return try reindexed(payload, &builder)
    case .reduction:
      if case .reduce(_, let axes) = payload, axes.isEmpty { return operands[0] }
      return nil
    default: return nil
    }
  }

  private func source(_ value: Value, _ builder: GraphBuilder) -> GraphNode { builder.graph[value] }

  /// The value of a pointwise node on 0-d constants.
  private func folded(_ builder: GraphBuilder) -> ScalarConstant? {
    var dtypes: [DType] = []
    var inputs: [ScalarValue] = []
    for operand in operands {
      guard case .constant(let constant) = source(operand, builder).primitive else { return nil }
      dtypes.append(constant.dtype)
      inputs.append(constant.value)
    }
    guard let program = node.primitive.scalarProgram(operandDTypes: dtypes), program.isExactEverywhere,
      let value = program.evaluate(inputs)
    else { return nil }
    switch value {
    case .float(let x): return ScalarConstant(node.type.dtype, x)
    case .integer(let x): return ScalarConstant(node.type.dtype, integer: x)
    }
  }

  private func pointwise(_ payload: Payload, _ builder: inout GraphBuilder) throws(Diagnostic) -> Value? {
    if operands.count == 2 { return neutral(builder) }
    guard operands.count == 1 else { return nil }
    let inner = source(operands[0], builder)
    if case .dtype(let dtype) = payload {
      if builder.dtype(operands[0]) == dtype { return operands[0] }
      // The payload is that of `convert` or `bitcast`; only a conversion of a conversion may lose its middle.
      guard case .convert = node.primitive, case .convert(let middle) = inner.primitive else { return nil }
      let first = builder.dtype(inner.operands[0])
      guard first.converts(exactlyTo: middle) else { return nil }
      // An integer seen as a float saturates where the integer itself would wrap.
      if !first.isFloating && middle.isFloating && dtype.isInteger { return nil }
      return try builder.convert(inner.operands[0], to: dtype)
    }
    let isInvolution = node.primitive == .negate || node.primitive == .not
    return isInvolution && inner.primitive == node.primitive ? inner.operands[0] : nil
  }

  /// The other operand of x * 1, x / 1, and, for integers, x + 0 and x - 0. (For floats -0 + 0 is 0.)
  private func neutral(_ builder: GraphBuilder) -> Value? {
    func number(_ value: Value) -> Double? {
      var node = source(value, builder)
      while case .broadcast = node.primitive { node = source(node.operands[0], builder) }
      guard case .constant(let constant) = node.primitive else { return nil }
      return constant.doubleValue
    }
    let isInteger = node.type.dtype.isInteger
    switch node.primitive {
    case .multiply: return number(operands[1]) == 1 ? operands[0] : number(operands[0]) == 1 ? operands[1] : nil
    case .divide: return number(operands[1]) == 1 ? operands[0] : nil
    case .add where isInteger:
      return number(operands[1]) == 0 ? operands[0] : number(operands[0]) == 0 ? operands[1] : nil
    case .subtract where isInteger: return number(operands[1]) == 0 ? operands[0] : nil
    case _: return nil
    }
  }

  /// Every element of the result is one of the operand's.
  private func repeatsElements(_ payload: Payload) -> Bool {
    switch payload {
    case .shape, .permutation, .slice, .repeated: true
    default: false
    }
  }

  private func reindexed(_ payload: Payload, _ builder: inout GraphBuilder) throws(Diagnostic) -> Value? {
    let operand = operands[0]
    let inner = source(operand, builder)
    if case .broadcast = inner.primitive, builder.shape(inner.operands[0]).rank == 0, repeatsElements(payload) {
      return try builder.broadcast(inner.operands[0], node.type.shape)
    }
    switch payload {
    case .shape(let shape):
      if builder.shape(operand) == shape { return operand }
      guard case .reshape = inner.primitive else { return nil }
      return builder.shape(inner.operands[0]) == shape
        ? inner.operands[0] : try builder.append(.reshape(shape), inner.operands)
    case .repeated(let shape):
      if builder.shape(operand) == shape { return operand }
      guard case .broadcast = inner.primitive else { return nil }
      return try builder.append(.broadcast(shape), inner.operands)
    case .permutation(let permutation):
      if permutation == Array(permutation.indices) { return operand }
      guard case .permute(let first) = inner.primitive else { return nil }
      let both = permutation.map { first[$0] }
      return both == Array(both.indices) ? inner.operands[0] : try builder.append(.permute(both), inner.operands)
    case .slice(let starts, let counts, let steps):
      let isWhole = counts == builder.shape(operand).dims && starts.allSatisfy { $0.isKnown(0) }
      if isWhole && steps.allSatisfy({ $0 == 1 }) { return operand }
      guard case .slice(let first, _, let strides) = inner.primitive else { return nil }
      let moved = starts.indices.map { first[$0] + starts[$0] * strides[$0] }
      return try builder.append(
        .slice(starts: moved, counts: counts, steps: zip(steps, strides).map { $0 * $1 }), inner.operands)
    case .pad(let low, let high): return (low + high).allSatisfy { $0.isKnown(0) } ? operand : nil
    case .axis(let axis):
      if operands.count == 1 { return operand }
      // One slice, several times, is that slice repeated.
      guard builder.shape(operand)[axis].isKnown(1), operands.allSatisfy({ $0 == operand }) else { return nil }
      return try builder.broadcast(operand, node.type.shape)
    case .windows(_, let size, let step, _):
      // A window of one element is the element.
      return size == 1 && step == 1 ? try builder.append(.reshape(node.type.shape), operand) : nil
    default: return nil
    }
  }
}

extension DType {
  /// Whether every value of this dtype is a value of `other`.
  package func converts(exactlyTo other: DType) -> Bool {
    if self == other { return true }
    switch self {
    case .bool: return true
    // bf16 has eight significant bits. Signed numbers wrap in unsigned dtypes.
    case .u8: return other.size > 1
    case .i8: return other.size > 1 && other.isSigned
    case .i16: return other == .i32 || other == .i64 || other == .f32 || other == .f64
    case .u16: return other.isInteger ? other.size > 2 : other == .f32 || other == .f64
    case .i32: return other == .i64 || other == .f64
    case .u32: return other == .i64 || other == .u64 || other == .f64
    case .i64, .u64, .f64: return false
    case .f16, .bf16: return other == .f32 || other == .f64
    case .f8e4m3fn, .f8e5m2: return other.isFloating && other.size > 1
    case .f32: return other == .f64
    }
  }
}

// Masks: bool tensors from comparisons and classifications, logic on them, and choosing by them.
// Not data-dependent selection (`masked(by:)`, `nonzero`), whose result's shape depends on values.
import Basics
import Engine
import GraphIR
import TensorTypes

private enum Masks {
  private static func onFloats(_ name: String, otherwise: Double, _ test: @escaping @Sendable (Term) -> Term)
    -> PointwiseOperation
  {
    PointwiseOperation(name, .comparison) { x in
      x[0].dtype.isFloating ? test(x[0]) : x[0].constant(otherwise, .bool).like(x[0])
    }
  }
  static let isNaN = onFloats("isnan", otherwise: 0) { $0.isNaN }
  static let isFinite = onFloats("isfinite", otherwise: 1) { $0.apply(.isFinite) }
  static let isInfinite = onFloats("isinf", otherwise: 0) { $0.abs() .== .infinity }
  static let isPositiveInfinity = onFloats("isposinf", otherwise: 0) { $0 .== .infinity }
  static let isNegativeInfinity = onFloats("isneginf", otherwise: 0) { $0 .== -.infinity }
  static let signBit = PointwiseOperation("signbit", .comparison) { x in
    if x[0].dtype.isFloating { return x[0].apply(.signBit) }
    return x[0].dtype == .bool ? x[0].constant(0, .bool).like(x[0]) : x[0] .< 0
  }
  static let not = PointwiseOperation("logical_not", .comparison) { x in !x[0].truth }
  static let and = PointwiseOperation("logical_and", .comparison) { x in x[0].truth && x[1].truth }
  static let or = PointwiseOperation("logical_or", .comparison) { x in x[0].truth || x[1].truth }
  static let xor = PointwiseOperation("logical_xor", .comparison) { x in x[0].truth.apply(.xor, x[1].truth) }
  static let isClose = PointwiseOperation("isclose", .comparison) { x in
    let (a, b) = (x[0], x[1])
    let near = ((a - b).abs() .<= x[3] + x[2] * b.abs()) && a.apply(.isFinite) && b.apply(.isFinite)
    return near || (a .== b)
  }
  static let bothNaN = PointwiseOperation("both nan", .comparison) { x in x[0].isNaN && x[1].isNaN }
  static let select = PointwiseOperation("select", .selection, movesOnly: true) { builder, values throws(Diagnostic) in
    try builder.append(.select, values)
  }
}

extension Tensor {
  /// Where x is not a number. PyTorch: `isnan`.
  public func isNaN(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.isNaN(file, line, operand)
  }

  /// Where x is neither NaN nor infinite. PyTorch: `isfinite`.
  public func isFinite(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.isFinite(file, line, operand)
  }

  /// Where x is infinite. PyTorch: `isinf`.
  public func isInfinite(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.isInfinite(file, line, operand)
  }

  /// Where x is +infinity. PyTorch: `isposinf`.
  public func isPositiveInfinity(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.isPositiveInfinity(file, line, operand)
  }

  /// Where x is -infinity. PyTorch: `isneginf`.
  public func isNegativeInfinity(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.isNegativeInfinity(file, line, operand)
  }

  /// Where the sign bit is set. PyTorch: `signbit`.
  public func signBit(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.signBit(file, line, operand)
  }

  /// Where x is 0. PyTorch: `logical_not`.
  public func logicalNot(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.not(file, line, operand)
  }

  /// Where x equals `other`. PyTorch: `eq`.
  public func equal(to other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Arithmetic.equal(file, line, operand, other.operand)
  }

  /// Where x differs from `other`. PyTorch: `ne`.
  public func notEqual(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Arithmetic.notEqual(file, line, operand, other.operand)
  }

  /// Where x < `other`. PyTorch: `lt`.
  public func less(than other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Arithmetic.less(file, line, operand, other.operand)
  }

  /// Where x ≤ `other`. PyTorch: `le`.
  public func lessOrEqual(to other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Arithmetic.lessOrEqual(file, line, operand, other.operand)
  }

  /// Where both are not 0. PyTorch: `logical_and`.
  public func logicalAnd(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.and(file, line, operand, other.operand)
  }

  /// Where one is not 0. PyTorch: `logical_or`.
  public func logicalOr(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.or(file, line, operand, other.operand)
  }

  /// Where exactly one is not 0. PyTorch: `logical_xor`.
  public func logicalXor(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Masks.xor(file, line, operand, other.operand)
  }

  /// Where |x - other| ≤ absolute + relative · |other|. PyTorch: `isclose`.
  public func isClose(
    to other: Tensor, relative: Double = 1e-5, absolute: Double = 1e-8, equalNaN: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let near = Masks.isClose(
      file, line, operand, other.operand, .scalar(.floating(relative)), .scalar(.floating(absolute)))
    return equalNaN ? near.logicalOr(Masks.bothNaN(file, line, operand, other.operand), file: file, line: line) : near
  }

  /// Whether all elements are close. PyTorch: `allclose`.
  ///
  /// - Throws: the first mistake on the way here.
  public func isAllClose(
    to other: Tensor, relative: Double = 1e-5, absolute: Double = 1e-8, equalNaN: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) throws(Diagnostic) -> Bool {
    let near = isClose(to: other, relative: relative, absolute: absolute, equalNaN: equalNaN, file: file, line: line)
    return try near.all(file: file, line: line).item(file: file, line: line)
  }

  /// Whether shape and all elements are equal. PyTorch: `equal`.
  ///
  /// - Throws: the first mistake on the way here.
  public func isEqual(
    to other: Tensor, file: StaticString = #fileID, line: UInt = #line
  ) throws(Diagnostic) -> Bool {
    guard try view.dims == other.view.dims else { return false }
    return try equal(to: other, file: file, line: line).all(file: file, line: line).item(file: file, line: line)
  }

  /// `whenTrue` where the mask is not 0, else `whenFalse`. PyTorch: `where`.
  public static func select(
    _ mask: Tensor, _ whenTrue: some TensorOrScalar, _ whenFalse: some TensorOrScalar,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Masks.select(file, line, mask.operand, whenTrue.operand, whenFalse.operand) }

  /// This tensor where `mask` is not 0, else `other`. PyTorch: `x.where(mask, other)`.
  public func kept(
    where mask: Tensor, else other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Masks.select(file, line, mask.operand, operand, other.operand) }

  /// `value` where `mask` is not 0; the dtype stays. PyTorch: `masked_fill`.
  public func filled(
    where mask: Tensor, with value: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Masks.select(file, line, mask.operand, value.operand, operand).converted(to: dtype, file: file, line: line)
  }
}

// Signs, rounding, division with a rounding rule, minima and maxima, clamps, and the parts of a float.
// Not transcendental functions. Surprise: rounding an integer tensor gives it back, as in PyTorch.
import Basics
import Engine
import GraphIR
import TensorTypes

/// How a quotient is rounded.
public enum QuotientRounding: Sendable {
  /// Toward zero.
  case truncated
  /// Toward minus infinity.
  case floored
}

private enum Rounding {
  /// `primitive` on floats; integers are already round.
  private static func operation(_ name: String, _ primitive: Primitive) -> PointwiseOperation {
    PointwiseOperation(name, .promoted) { x in x[0].dtype.isFloating ? x[0].apply(primitive) : x[0] }
  }
  static let floor = operation("floor", .floor)
  static let ceil = operation("ceil", .ceil)
  static let truncate = operation("truncate", .truncate)
  static let round = operation("round", .roundEven)
  static let roundScaled = PointwiseOperation("round scaled", .promoted) { x in
    x[0].dtype.isFloating ? (x[0] * x[1]).apply(.roundEven) / x[1] : x[0]
  }
  static let roundCoarse = PointwiseOperation("round coarse", .promoted) { x in
    x[0].dtype.isFloating ? (x[0] / x[1]).apply(.roundEven) * x[1] : x[0]
  }
  static let fraction = PointwiseOperation("fraction", .promoted) { x in x[0] - x[0].apply(.truncate) }
  static let absolute = PointwiseOperation("absolute", .promoted) { x in
    x[0].dtype == .bool ? x[0] : x[0].abs()
  }
  static let sign = PointwiseOperation("sign", .promoted) { x in
    x[0].dtype == .bool ? x[0] : x[0].apply(.sign)
  }
  static let divideTruncated = PointwiseOperation("divide truncated", .promoted) { x in
    let quotient = x[0] / x[1]
    return quotient.dtype.isFloating ? quotient.apply(.truncate) : quotient
  }
  static let divideFloored = PointwiseOperation(.floorDivide, .promoted)
  static let truncatedRemainder = PointwiseOperation(.truncatedRemainder, .promoted, roundsOperands: true)
  static let minimum = PointwiseOperation(.minimum, .promoted)
  static let maximum = PointwiseOperation(.maximum, .promoted)
  static let numberMinimum = PointwiseOperation("fmin", .promoted) { x in
    x[0].isNaN.select(x[1], x[1].isNaN.select(x[0], x[0].minimum(x[1])))
  }
  static let numberMaximum = PointwiseOperation("fmax", .promoted) { x in
    x[0].isNaN.select(x[1], x[1].isNaN.select(x[0], x[0].maximum(x[1])))
  }
  static let clamp = PointwiseOperation("clamp", .promoted) { x in x[0].maximum(x[1]).minimum(x[2]) }
  static let copySign = PointwiseOperation(.copySign, .floating)
  static let nextAfter = PointwiseOperation("nextafter", .floating, movesOnly: true) {
    builder, values throws(Diagnostic) in try builder.append(.nextAfter, values)
  }
  static let heaviside = PointwiseOperation("heaviside", .promoted) { x in
    let zero = x[0].constant(0)
    // NaN is not above zero.
    return (x[0] .== zero).select(x[1], (x[0] .> zero).select(x[0].constant(1), zero))
  }
  static let lerp = PointwiseOperation("lerp", .promoted) { x in
    let (start, end, weight) = (x[0], x[1], x[2])
    let gap = end - start
    return (weight.abs() .< 0.5).select(start + weight * gap, end - gap * (1 - weight))
  }
  static let addMultiplied = PointwiseOperation("addcmul", .promoted) { x in x[0] + x[3] * x[1] * x[2] }
  static let addDivided = PointwiseOperation("addcdiv", .promoted) { x in x[0] + x[3] * x[1] / x[2] }
  static let replacingNaN = PointwiseOperation("nan_to_num", .promoted) { x in
    guard x[0].dtype.isFloating else { return x[0] }
    let finite = (x[0] .== .infinity).select(x[2], (x[0] .== -.infinity).select(x[3], x[0]))
    return x[0].isNaN.select(x[1], finite)
  }
}

extension Tensor {
  /// One of two, the other maybe a number that the dtype does not hold.
  private func bounded(
    _ operation: PointwiseOperation, _ other: PointwiseOperand, isLow: Bool, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      try operation([operand, operation.bound(other, isLow: isLow, among: [operand, other])])
    }
  }

  /// The largest integer not above x. PyTorch: `floor`.
  public func floor(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.floor(file, line, operand)
  }

  /// The smallest integer not below x. PyTorch: `ceil`.
  public func ceil(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.ceil(file, line, operand)
  }

  /// The integer part. PyTorch: `trunc`.
  public func truncated(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.truncate(file, line, operand)
  }

  /// x minus its integer part. PyTorch: `frac`.
  public func fraction(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.fraction(file, line, operand)
  }

  /// |x|. PyTorch: `abs`.
  public func abs(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.absolute(file, line, operand)
  }

  /// -1, 0 or 1. PyTorch: `sign`.
  public func sign(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.sign(file, line, operand)
  }

  /// The nearest integer, or the nearest number with `decimals` digits; ties go to the even one. PyTorch: `round`.
  public func rounded(decimals: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    if decimals == 0 { return Rounding.round(file, line, operand) }
    var scale = 1.0
    for _ in 0..<Swift.min(decimals.magnitude, 400) { scale *= 10 }
    let operation = decimals > 0 ? Rounding.roundScaled : Rounding.roundCoarse
    return operation(file, line, operand, .scalar(.floating(scale)))
  }

  /// The quotient rounded to an integer; the dtype stays. PyTorch: `div(rounding_mode=)`.
  public func divided(
    by other: some TensorOrScalar, rounding: QuotientRounding, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    switch rounding {
    case .truncated: Rounding.divideTruncated(file, line, operand, other.operand)
    case .floored: Rounding.divideFloored(file, line, operand, other.operand)
    }
  }

  /// The quotient rounded toward minus infinity. PyTorch: `floor_divide`.
  public func floorDivided(by other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.divideFloored(file, line, operand, other.operand)
  }

  /// The remainder with the sign of `other`. PyTorch: `remainder`.
  public func remainder(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Arithmetic.remainder(file, line, operand, other.operand)
  }

  /// The remainder with the sign of x. PyTorch: `fmod`.
  public func truncatedRemainder(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line)
    -> Tensor
  {
    Rounding.truncatedRemainder(file, line, operand, other.operand)
  }

  /// The smaller element; NaN if one is NaN. PyTorch: `minimum`.
  public func minimum(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    bounded(Rounding.minimum, other.operand, isLow: false, file, line)
  }

  /// The larger element; NaN if one is NaN. PyTorch: `maximum`.
  public func maximum(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    bounded(Rounding.maximum, other.operand, isLow: true, file, line)
  }

  /// The smaller element; the other one if one is NaN. PyTorch: `fmin`.
  public func numberMinimum(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    bounded(Rounding.numberMinimum, other.operand, isLow: false, file, line)
  }

  /// The larger element; the other one if one is NaN. PyTorch: `fmax`.
  public func numberMaximum(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    bounded(Rounding.numberMaximum, other.operand, isLow: true, file, line)
  }

  /// |x| with the sign of `other`. PyTorch: `copysign`.
  public func copySign(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.copySign(file, line, operand, other.operand)
  }

  /// The next float after x in the direction of `other`. PyTorch: `nextafter`.
  public func nextAfter(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.nextAfter(file, line, operand, other.operand)
  }

  /// 0 below zero, 1 above, `values` at zero. PyTorch: `heaviside`.
  public func heaviside(_ values: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Rounding.heaviside(file, line, operand, values.operand)
  }

  /// x kept between `low` and `high`; where they cross, `high` wins. PyTorch: `clamp`.
  public func clamped(
    _ low: some TensorOrScalar, _ high: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let operands = [operand, low.operand, high.operand]
      return try Rounding.clamp([
        operand, Rounding.clamp.bound(low.operand, isLow: true, among: operands),
        Rounding.clamp.bound(high.operand, isLow: false, among: operands),
      ])
    }
  }

  /// x but at least `low`. PyTorch: `clamp(min=)`.
  public func clamped(min low: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    maximum(low, file: file, line: line)
  }

  /// x but at most `high`. PyTorch: `clamp(max=)`.
  public func clamped(max high: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    minimum(high, file: file, line: line)
  }

  /// The point at `weight` on the way from x to `end`. PyTorch: `lerp`.
  public func lerp(
    _ end: some TensorOrScalar, _ weight: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Rounding.lerp(file, line, operand, end.operand, weight.operand) }

  /// x + value · a · b. PyTorch: `addcmul`.
  public func addingProduct(
    _ a: Tensor, _ b: Tensor, value: some Scalar = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Rounding.addMultiplied(file, line, operand, a.operand, b.operand, value.operand) }

  /// x + value · a / b. PyTorch: `addcdiv`.
  public func addingQuotient(
    _ a: Tensor, _ b: Tensor, value: some Scalar = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Rounding.addDivided(file, line, operand, a.operand, b.operand, value.operand) }

  /// NaN and the infinities replaced; without arguments by 0 and the dtype's largest and lowest. PyTorch: `nan_to_num`.
  public func replacingNaN(
    with nan: Double = 0, positiveInfinity: Double? = nil, negativeInfinity: Double? = nil,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if !dtype.isFloating { return self }
    let largest = dtype.largestFinite
    return Rounding.replacingNaN(
      file, line, operand, .scalar(.floating(nan)), .scalar(.floating(positiveInfinity ?? largest)),
      .scalar(.floating(negativeInfinity ?? -largest)))
  }
}

extension DType {
  /// A number as elements of this dtype have it: a fraction is cut off for integers.
  func number(_ number: Number) -> Number {
    guard case .floating(let x) = number, !isFloating else { return number }
    return .integer(Int64(exactly: x.rounded(.towardZero)) ?? (x > 0 ? .max : x < 0 ? .min : 0))
  }

  /// The largest finite float; 0 for other dtypes.
  var largestFinite: Double {
    switch self {
    case .f16: 65504
    case .bf16: 3.3895313892515355e38
    case .f32: Double(Float.greatestFiniteMagnitude)
    case .f64: Double.greatestFiniteMagnitude
    case .f8e4m3fn: 448
    case .f8e5m2: 57344
    case .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: 0
    }
  }
}

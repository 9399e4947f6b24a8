// Where the bits of an IEEE float are, for formulas that work on them. Not a codec: those are in NarrowFormat.
import TensorTypes

struct BinaryFormat: Sendable {
  let dtype: DType
  /// The signed integer dtype of equal size.
  let integer: DType
  let fractionBits: Int64
  let bias: Int64

  /// nil for integer dtypes.
  init?(_ dtype: DType) {
    self.dtype = dtype
    switch dtype {
    case .f16: (integer, fractionBits, bias) = (.i16, 10, 15)
    case .bf16: (integer, fractionBits, bias) = (.i16, 7, 127)
    case .f32: (integer, fractionBits, bias) = (.i32, 23, 127)
    case .f64: (integer, fractionBits, bias) = (.i64, 52, 1023)
    case .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64, .f8e4m3fn, .f8e5m2: return nil
    }
  }

  /// The integer with only the sign bit set.
  var signMask: Int64 { -1 << Int64(dtype.size * 8 - 1) }
  /// 1.5 * 2^fractionBits: adding it leaves the nearest integer in the low bits of the sum.
  var roundingShift: Double { 1.5 * Double(1 << fractionBits) }

  func bits(_ x: ScalarExpr) -> ScalarExpr { x.bitcast(to: integer) }
  func float(_ bits: ScalarExpr) -> ScalarExpr { bits.bitcast(to: dtype) }
  func signBits(_ x: ScalarExpr) -> ScalarExpr { .apply(.and, bits(x), .integer(signMask)) }
  /// |magnitude| with the sign bits of `signs`; the magnitude's own sign must be clear.
  func withSign(_ magnitude: ScalarExpr, _ signs: ScalarExpr) -> ScalarExpr {
    float(.apply(.xor, bits(magnitude), signs))
  }
}

extension ScalarExpr {
  /// Calls `body` with f32 or f64; half floats are widened around it.
  static func computed(
    _ operands: ScalarExpr..., body: @escaping @Sendable (BinaryFormat, [ScalarExpr]) -> ScalarExpr
  ) -> ScalarExpr {
    ScalarExpr(
      .typed(operands) { dtype, operands in
        guard let format = BinaryFormat(dtype.computeDType) else { return .apply(.exp, operands[0]) }
        if format.dtype == dtype { return body(format, operands) }
        return body(format, operands.map { $0.converted(to: format.dtype) }).converted(to: dtype)
      })
  }

  static func absolute(_ x: ScalarExpr) -> ScalarExpr { .apply(.absolute, x) }
  static func squareRoot(_ x: ScalarExpr) -> ScalarExpr { .apply(.squareRoot, x) }
  static func multiplyAdd(_ a: ScalarExpr, _ b: ScalarExpr, _ c: ScalarExpr) -> ScalarExpr {
    .apply(.multiplyAdd, a, b, c)
  }

  /// Horner's rule; the lowest coefficient comes first.
  static func polynomial(_ x: ScalarExpr, _ coefficients: [Double]) -> ScalarExpr {
    var sum = ScalarExpr.constant(coefficients[coefficients.count - 1])
    for coefficient in coefficients.dropLast().reversed() { sum = multiplyAdd(sum, x, .constant(coefficient)) }
    return sum
  }
}

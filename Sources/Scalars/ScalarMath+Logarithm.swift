// log and its relatives: x = 2^e m with m around 1, log x = e ln 2 + log m, log m = f + (a small correction), f = m - 1.
// f32: own Remez fit on m in [2/3, 4/3]. f64: fdlibm's e_log (Sun Microsystems), m in [sqrt 1/2, sqrt 2].
// Surprise: the exponent becomes a float by bit tricks, since many machines convert no 64-bit integers.
import TensorTypes

extension ScalarMath {
  /// log x in pieces, for x positive and finite; anything else gives nonsense that `finishedLogarithm` replaces.
  struct LogarithmParts {
    /// e, as a float.
    var exponent: ScalarExpr
    /// m - 1, exact.
    var f: ScalarExpr
    /// log m - f.
    var correction: ScalarExpr
  }

  /// x = 2^e m, e as a float, m in [low, 2 low) where `low` has the bits `lowBits`.
  static func exponentAndFraction(_ x: ScalarExpr, _ format: BinaryFormat, lowBits: Int64)
    -> (exponent: ScalarExpr, fraction: ScalarExpr)
  {
    let fractionBits = format.fractionBits
    let one = format.bias << fractionBits
    let small = x .< .constant(format.dtype == .f32 ? 0x1p-126 : 0x1p-1022)
    let lift = Double(1 << fractionBits)
    let bits = format.bits(small.select(x * .constant(lift), x)) + .integer(one - lowBits)
    let fraction = format.float(.apply(.and, bits, .integer(1 << fractionBits - 1)) + .integer(lowBits))
    // 2^fractionBits with the biased exponent in its low bits.
    let carrier = (format.bias + fractionBits) << fractionBits
    let biased = format.float(
      .apply(.or, .apply(.shiftRightLogical, bits, .integer(fractionBits)), .integer(carrier)))
    let offset = lift + Double(format.bias)
    let exponent = biased - small.select(.constant(offset + Double(fractionBits)), .constant(offset))
    return (exponent, fraction)
  }

  static func logarithmParts(_ x: ScalarExpr, _ format: BinaryFormat) -> LogarithmParts {
    let lowBits: Int64 = format.dtype == .f32 ? 0x3f2a_aaab : 0x3fe6_a09e_0000_0000
    let (exponent, m) = exponentAndFraction(x, format, lowBits: lowBits)
    let f = m - 1.0
    let square = f * f
    if format.dtype == .f32 {
      // (log(1 + f) - f + f^2 / 2) / f^3; error relative to log m: 1e-9.
      let tail = ScalarExpr.polynomial(
        f,
        [
          0.3333333432674408, -0.24999810755252838, 0.1999976485967636, -0.166800856590271, 0.14298953115940094,
          -0.12187926471233368, 0.10822049528360367, -0.12881489098072052, 0.11729927361011505,
        ])
      return LogarithmParts(
        exponent: exponent, f: f, correction: .multiplyAdd(-0.5, square, (f * square) * tail))
    }
    let s = f / (f + 2.0)
    let z = s * s
    let series =
      z
      * ScalarExpr.polynomial(
        z,
        [
          6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
          1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
        ])
    let half = square * 0.5
    return LogarithmParts(exponent: exponent, f: f, correction: .multiplyAdd(s, half + series, -half))
  }

  /// `value` where x is positive and finite; else what a logarithm is there.
  static func finishedLogarithm(_ value: ScalarExpr, of x: ScalarExpr) -> ScalarExpr {
    let finite = (x .< .constant(.infinity)).select(value, x)
    return (x .> 0.0).select(finite, (x .== 0.0).select(.constant(-.infinity), .constant(.nan)))
  }

  /// Measured: f32 0.85 ulp, f64 1 ulp.
  static func log(_ x: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let parts = logarithmParts(x, format)
    let (high, low) = ln2Parts(format)
    let rest = parts.f + ScalarExpr.multiplyAdd(parts.exponent, .constant(low), parts.correction)
    return finishedLogarithm(.multiplyAdd(parts.exponent, .constant(high), rest), of: x)
  }

  /// Exact for powers of two.
  static func log2(_ x: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let parts = logarithmParts(x, format)
    let natural = parts.f + parts.correction
    let (high, low) =
      format.dtype == .f32
      ? (1.4426950216293335, 1.925963033500011e-08) : (1.4426950408889634, 2.0355273740931033e-17)
    let rest = ScalarExpr.multiplyAdd(natural, .constant(low), parts.exponent)
    return finishedLogarithm(.multiplyAdd(natural, .constant(high), rest), of: x)
  }
}

// MARK: Formulas for primitives

extension ScalarExpr {
  private static let ln2 = 0.6931471805599453

  package static func log2(_ x: ScalarExpr) -> ScalarExpr { computed(x) { ScalarMath.log2($1[0], $0) } }

  package static func log10(_ x: ScalarExpr) -> ScalarExpr {
    computed(x) { format, operands in
      let (high, low) =
        format.dtype == .f32
        ? (0.4342944920063019, -1.0103049952192578e-08) : (0.4342944819032518, 1.098319650216765e-17)
      let natural = ScalarExpr.apply(.log, operands[0])
      let result = multiplyAdd(natural, .constant(high), natural * .constant(low))
      return (absolute(natural) .== .constant(.infinity)).select(natural, result)
    }
  }

  /// log(1 + x): with u = 1 + x rounded, log u and the first order of what rounding lost.
  package static func log1p(_ x: ScalarExpr) -> ScalarExpr {
    let u = 1.0 + x
    let back = u - 1.0
    // The lost part is 0 where the quotient would be 0/0 or inf/inf.
    let lost = (back .== x).select(0.0, (x - back) / u)
    return (x .== 0.0).select(x, .apply(.log, u) + lost)
  }

  /// log1p(a + a^2 / (1 + sqrt(a^2 + 1))); log(2a) where a^2 may overflow.
  package static func asinh(_ x: ScalarExpr) -> ScalarExpr {
    let a = absolute(x)
    let square = a * a
    let near = log1p(a + square / (1.0 + squareRoot(square + 1.0)))
    return copySign((a .> 1e9).select(.apply(.log, a) + .constant(ln2), near), x)
  }

  package static func acosh(_ x: ScalarExpr) -> ScalarExpr {
    let t = x - 1.0
    let near = log1p(t + squareRoot(t * (t + 2.0)))
    let result = (x .> 1e9).select(.apply(.log, x) + .constant(ln2), near)
    return (x .< 1.0).select(.constant(.nan), result)
  }

  /// log1p(2a / (1 - a)) / 2.
  package static func atanh(_ x: ScalarExpr) -> ScalarExpr {
    let a = absolute(x)
    return copySign(0.5 * log1p((a + a) / (1.0 - a)), x)
  }

  /// log(e^x + e^y) without overflow; equal infinities give themselves.
  package static func logAddExp(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    let distance = (x .== y).select(0.0, absolute(x - y))
    return .apply(.maximum, x, y) + log1p(.apply(.exp, -distance))
  }
}

// exp and its relatives: e^x = 2^n e^r with n = round(x / ln 2) and |r| <= ln 2 / 2.
// Coefficients: own Remez fits, rounded one after another; the measured bounds are those of ScalarMathTests.
// Surprise: n is never converted; adding 1.5 * 2^fractionBits (+ an offset) leaves it, biased, in the low bits.
import TensorTypes

extension ScalarMath {
  private static let ln2 = 0.6931471805599453
  private static let log2e = 1.4426950408889634

  /// ln 2 as the sum of two values of the format.
  static func ln2Parts(_ format: BinaryFormat) -> (Double, Double) {
    format.dtype == .f32 ? (0.6931471824645996, -1.9046542121259336e-09) : (ln2, 2.3190468138462996e-17)
  }

  /// (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2. Relative error of e^r: f32 3.3e-9, f64 7e-18.
  private static func exponentialTail(_ r: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    format.dtype == .f32
      ? .polynomial(
        r, [0.4999999403953552, 0.16666515171527863, 0.041668083518743515, 0.008369381539523602, 0.0013841470936313272])
      : .polynomial(
        r,
        [
          0.5000000000000011, 0.16666666666666424, 0.04166666666652559, 0.00833333333349004, 0.0013888888944855768,
          0.00019841269501909433, 2.4801492026982026e-05, 2.755760397006909e-06, 2.7630536187174775e-07,
          2.4990676207888307e-08,
        ])
  }

  /// The same, with the error relative to e^r - 1: f32 3.4e-9, f64 8e-19.
  private static func exponentialMinusOneTail(_ r: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    format.dtype == .f32
      ? .polynomial(
        r,
        [
          0.5, 0.16666635870933533, 0.041666511446237564, 0.008341505192220211, 0.0013930073473602533,
          0.0001503571547800675,
        ])
      : .polynomial(
        r,
        [
          0.5, 0.16666666666666677, 0.041666666666666685, 0.008333333333321851, 0.001388888888889613,
          0.00019841269884998116, 2.4801587262732057e-05, 2.7557245619143037e-06, 2.755735340269217e-07,
          2.5108521428589423e-08, 2.0884267621898523e-09,
        ])
  }

  /// x = n ln 2 + r. `shifted` has n + offset in its low bits, as an integer.
  private static func reduced(_ x: ScalarExpr, _ format: BinaryFormat, offset: Int64)
    -> (shifted: ScalarExpr, n: ScalarExpr, r: ScalarExpr)
  {
    let shift = format.roundingShift + Double(offset)
    let (high, low) = ln2Parts(format)
    let shifted = ScalarExpr.multiplyAdd(x, .constant(log2e), .constant(shift))
    let n = shifted - .constant(shift)
    let r = ScalarExpr.multiplyAdd(n, .constant(-low), .multiplyAdd(n, .constant(-high), x))
    return (format.bits(shifted), n, r)
  }

  /// 2^n where the low bits of `shifted` are n + bias, and 2^n is a normal number.
  private static func powerOfTwo(_ shifted: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    format.float(.apply(.shiftLeft, shifted, .integer(format.fractionBits)))
  }

  /// p * 2^n where the low bits of `shifted` are n + 2 * bias, rounded once also where that is denormal or infinite.
  private static func scaled(_ p: ScalarExpr, _ shifted: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let one = ScalarExpr.integer(1)
    let lower = powerOfTwo(.apply(.shiftRightLogical, shifted, one), format)
    let upper = powerOfTwo(.apply(.shiftRightLogical, shifted + one, one), format)
    return p * lower * upper
  }

  /// The arguments beyond which e^x is 0 or infinity.
  private static func exponentialRange(_ format: BinaryFormat) -> (Double, Double) {
    format.dtype == .f32 ? (-104, 89) : (-746, 710)
  }

  private static func exponential(of r: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    .multiplyAdd(.multiplyAdd(exponentialTail(r, format), r, 1.0), r, 1.0)
  }

  /// Measured: f32 0.85 ulp, f64 1 ulp.
  static func exp(_ x: ScalarExpr, _ format: BinaryFormat, isNeverPositive: Bool = false) -> ScalarExpr {
    let bounded = boundedExponent(x, format, isNeverPositive: isNeverPositive)
    let (shifted, _, r) = reduced(bounded, format, offset: 2 * format.bias)
    return scaled(exponential(of: r, format), shifted, format)
  }

  private static func boundedExponent(_ x: ScalarExpr, _ format: BinaryFormat, isNeverPositive: Bool) -> ScalarExpr {
    let (low, high) = exponentialRange(format)
    return isNeverPositive ? (x .< .constant(low)).select(.constant(low), x) : clamped(x, low, high)
  }

  /// e^x of `.input(0)`, which is at most 0 or NaN; nil where `expansion` has no exp.
  package static func exponentialOfNonPositive(dtype: DType) -> ScalarExpr? {
    BinaryFormat(dtype).map { exp(.input(0), $0, isNeverPositive: true) }
  }

  /// e^x of `.input(0)` in parts, for processors that scale by a power of two in one instruction, rounding once:
  /// `mantissa`, of the remainder of x as its `.input(0)`, * 2^exponent, the exponent an integral float. The product has the
  /// bits of `exp` if the mantissa is told some number within ``exponentialRemainderLimit`` where the remainder is larger
  /// or NaN: there the exponent alone decides (0, infinity, NaN), and nothing else needs a clamp.
  package static func exponentialParts(dtype: DType) -> (
    remainder: ScalarExpr, mantissa: ScalarExpr, exponent: ScalarExpr
  )? {
    guard let format = BinaryFormat(dtype) else { return nil }
    let (_, n, r) = reduced(.input(0), format, offset: 0)
    return (r, exponential(of: .input(0), format), n)
  }
  /// A little more than ln 2 / 2, the most that the remainder can be where it matters.
  package static let exponentialRemainderLimit = 0.5

  /// e^(x + tail) for a tail far below x, as a product to twice the precision needs it.
  static func exp(_ x: ScalarExpr, tail: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let (low, high) = exponentialRange(format)
    let (shifted, _, r) = reduced(clamped(x, low, high), format, offset: 2 * format.bias)
    return scaled(exponential(of: r + tail, format), shifted, format)
  }

  /// e^x for arguments known to be between about -80 and 0: no clamp, one scale. NaN stays.
  static func expOfModest(_ x: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let (shifted, _, r) = reduced(x, format, offset: format.bias)
    return exponential(of: r, format) * powerOfTwo(shifted, format)
  }

  /// 2^x; exact for integers.
  static func exp2(_ x: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let bounded = format.dtype == .f32 ? clamped(x, -151, 129) : clamped(x, -1076, 1025)
    let shift = ScalarExpr.constant(format.roundingShift + Double(2 * format.bias))
    let shifted = bounded + shift
    let r = (bounded - (shifted - shift)) * .constant(ln2)
    return scaled(exponential(of: r, format), format.bits(shifted), format)
  }

  /// e^x - 1 = 2 (2^(n-1) (e^r - 1) + (2^(n-1) - 1/2)); halved, because 2^n may be infinite where the result is not.
  static func expm1(_ x: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let (low, high) = format.dtype == .f32 ? (-20.0, 89.0) : (-40, 710)
    let (shifted, _, r) = reduced(clamped(x, low, high), format, offset: format.bias - 1)
    let half = powerOfTwo(shifted, format)
    let inner = ScalarExpr.multiplyAdd(exponentialMinusOneTail(r, format), r * r, r)
    let result = ScalarExpr.multiplyAdd(half, inner, half - 0.5) * 2.0
    // -0 would come out as +0.
    return (x .== 0.0).select(x, result)
  }

  /// e^2|x| - 1 = t gives tanh |x| = t / (t + 2), with full relative accuracy near 0. Measured: f32 2.3 ulp, f64 4 ulp:
  /// three roundings. Two branches (a polynomial near 0, 1 - 2 / (t + 2) beyond) reach 1.2 ulp for a quarter more work.
  static func tanh(_ x: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let a = ScalarExpr.absolute(x)
    let limit = ScalarExpr.constant(format.dtype == .f32 ? 10 : 20)
    let bounded = (a .> limit).select(limit, a)
    let (shifted, _, r) = reduced(bounded + bounded, format, offset: format.bias)
    let scale = powerOfTwo(shifted, format)
    let inner = ScalarExpr.multiplyAdd(exponentialMinusOneTail(r, format), r * r, r)
    let t = ScalarExpr.multiplyAdd(scale, inner, scale - 1.0)
    return format.withSign(t / (t + 2.0), format.signBits(x))
  }
}

// MARK: Formulas for primitives

extension ScalarExpr {
  package static func exp2(_ x: ScalarExpr) -> ScalarExpr { computed(x) { ScalarMath.exp2($1[0], $0) } }

  /// e^x - 1, with full relative accuracy near 0.
  package static func expm1(_ x: ScalarExpr) -> ScalarExpr { computed(x) { ScalarMath.expm1($1[0], $0) } }

  package static func sigmoid(_ x: ScalarExpr) -> ScalarExpr { 1.0 / (1.0 + .apply(.exp, -x)) }

  /// With t = e^a - 1: (t + t / (t + 1)) / 2; where e^a may overflow, around e^(a/2).
  package static func sinh(_ x: ScalarExpr) -> ScalarExpr {
    computed(x) { format, operands in
      let a = absolute(operands[0])
      let large = a .> 40.0
      let t = ScalarMath.expm1(large.select(a * 0.5, a), format)
      let whole = t + 1.0
      let magnitude = large.select((whole * 0.5) * whole, (t + t / whole) * 0.5)
      return format.withSign(magnitude, format.signBits(operands[0]))
    }
  }

  package static func cosh(_ x: ScalarExpr) -> ScalarExpr {
    let a = absolute(x)
    let large = a .> 40.0
    let e = ScalarExpr.apply(.exp, large.select(a * 0.5, a))
    return large.select((e * 0.5) * e, 0.5 * e + 0.5 / e)
  }
}

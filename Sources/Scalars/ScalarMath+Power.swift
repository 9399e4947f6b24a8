// pow: e^(y log|x|), then the signs and the special cases of IEEE 754 and C.
// f32 computes in f64. f64 carries the logarithm and the product to twice the precision (T. Dekker's sums and products);
// the series of log m in s = (m - 1) / (m + 1) is an own Remez fit, error 2.6e-18 of its tail.
// Surprise: pow(x, 0) and pow(1, y) are 1 even where the other operand is NaN.
import TensorTypes

extension ScalarMath {
  /// Measured: f32 0.6 ulp, f64 1.2 ulp.
  static func power(_ x: ScalarExpr, _ y: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    guard let double = BinaryFormat(.f64) else { return x }
    if format.dtype == .f64 {
      return signedPower(x, y, double, magnitude: precisePower(.absolute(x), y, double))
    }
    let base = x.converted(to: .f64)
    let exponent = y.converted(to: .f64)
    let magnitude = exp(exponent * log(.absolute(base), double), double)
    return signedPower(base, exponent, double, magnitude: magnitude).converted(to: format.dtype)
  }

  /// `magnitude` is |x|^y; NaN is allowed where x is +-1 or y is 0.
  private static func signedPower(
    _ x: ScalarExpr, _ y: ScalarExpr, _ format: BinaryFormat, magnitude: ScalarExpr
  ) -> ScalarExpr {
    let infinity = ScalarExpr.constant(.infinity)
    let half = y * 0.5
    let whole = ScalarExpr.apply(.floor, y) .== y
    let even = ScalarExpr.apply(.floor, half) .== half
    let negative = format.bits(x) .< 0
    // 1 to an infinite power: the logarithm is 0, the product NaN.
    let settled = ScalarExpr.apply(
      .and, .absolute(x) .== 1.0, ScalarExpr.absolute(y) .== infinity
    ).select(1.0, magnitude)
    let odd = ScalarExpr.apply(.and, whole, .apply(.not, even))
    let signed = ScalarExpr.apply(.and, negative, odd).select(-settled, settled)
    let finiteNegative = ScalarExpr.apply(.and, x .< 0.0, -infinity .< x)
    let real = ScalarExpr.apply(.and, finiteNegative, .apply(.not, whole)).select(.constant(.nan), signed)
    return ScalarExpr.apply(.or, y .== 0.0, x .== 1.0).select(1.0, real)
  }

  /// a * b exactly, as high + low.
  private static func product(_ a: ScalarExpr, _ b: ScalarExpr) -> (ScalarExpr, ScalarExpr) {
    let high = a * b
    return (high, .multiplyAdd(a, b, -high))
  }

  /// a + b exactly where |a| >= |b| or a is 0.
  private static func sum(_ a: ScalarExpr, _ b: ScalarExpr) -> (ScalarExpr, ScalarExpr) {
    let high = a + b
    return (high, b - (high - a))
  }

  private static func precisePower(_ a: ScalarExpr, _ y: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let (exponent, m) = exponentAndFraction(a, format, lowBits: 0x3fe6_a09e_0000_0000)
    // s = (m - 1) / (m + 1)
    let numerator = m - 1.0
    let denominator = m + 1.0
    let denominatorLow = m - (denominator - 1.0)
    let inverse = 1.0 / denominator
    let s = numerator * inverse
    let residue = ScalarExpr.multiplyAdd(-s, denominatorLow, .multiplyAdd(-s, denominator, numerator))
    let sLow = residue * inverse
    // z = s^2, cube = s^3
    let (z, zLost) = product(s, s)
    let zLow = ScalarExpr.multiplyAdd(s + s, sLow, zLost)
    let (cube, cubeLost) = product(z, s)
    let cubeLow = ScalarExpr.multiplyAdd(z, sLow, .multiplyAdd(zLow, s, cubeLost))
    // weight = 2/3 + z (2/5 + ...)
    let series =
      z
      * ScalarExpr.polynomial(
        z,
        [
          0.40000000000000613, 0.28571428570900925, 0.2222222237616424, 0.18181796910042544, 0.15386184276004436,
          0.13270003767289024, 0.13075704147482678,
        ])
    let twoThirds = 0.6666666666666666
    let weight = series + .constant(twoThirds)
    let weightLow = (series - (weight - .constant(twoThirds))) + 3.700743415417188e-17
    let (t, tLost) = product(cube, weight)
    let tLow = ScalarExpr.multiplyAdd(cube, weightLow, .multiplyAdd(cubeLow, weight, tLost))
    // log a = exponent ln 2 + 2 s + t; the first piece of ln 2 has 32 bits, so that its product is exact.
    let (first, firstLost) = sum(exponent * 0.6931471803691238, s + s)
    let (high, highLost) = sum(first, t)
    let low = (firstLost + highLost) + ScalarExpr.multiplyAdd(exponent, 1.9082149292705877e-10, tLow + (sLow + sLow))
    let infinity = ScalarExpr.constant(.infinity)
    let logarithm = (a .> 0.0).select((a .< infinity).select(high, a), (a .== 0.0).select(-infinity, a))
    // y log a
    let whole = y * logarithm
    let wholeLow = ScalarExpr.multiplyAdd(y, low, .multiplyAdd(y, logarithm, -whole))
    let modest = ScalarExpr.absolute(whole) .< 1000.0
    return exp(whole, tail: modest.select(wholeLow, 0.0), format)
  }
}

// lgamma and digamma: Stirling's series at z >= 8, the recurrence below, the reflection formula for negative x.
// Own arrangement; the coefficients are Bernoulli numbers. f32 computes in f64, which makes the zeros of lgamma accurate.
// Surprise: in f64 the error is absolute near the zeros: about 1e-14.
import TensorTypes

extension ScalarExpr {
  private static let pi = 3.141592653589793

  /// Calls `body` with operands in f64.
  private static func widened(
    _ x: ScalarExpr, body: @escaping @Sendable (ScalarExpr) -> ScalarExpr
  ) -> ScalarExpr {
    .typed(x) { dtype, operands in body(operands[0].converted(to: .f64)).converted(to: dtype) }
  }

  /// log |gamma(x)|; infinite at 0, -1, -2, ...
  package static func lgamma(_ x: ScalarExpr) -> ScalarExpr {
    widened(x) { x in
      let reflects = x .< 0.0
      let z = reflects.select(1.0 - x, x)
      let small = z .< 8.0
      var product = z
      for i in 1..<8 { product = product * (z + .constant(Double(i))) }
      let w = small.select(z + 8.0, z)
      let inverse = 1.0 / w
      let series = polynomial(
        inverse * inverse,
        [1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188, -691.0 / 360360, 1.0 / 156, -3617.0 / 122400])
      let halfLogTwoPi = 0.9189385332046728
      let stirling =
        multiplyAdd(w - 0.5, .apply(.log, w) - 1.0, .constant(halfLogTwoPi - 0.5)) + inverse * series
      let direct = stirling - .apply(.log, small.select(product, 1.0))
      let fraction = x - .apply(.roundEven, x)
      let sine = absolute(.apply(.sin, fraction * .constant(pi)))
      // pi / sine would overflow, and the sine lose bits: gamma is 1 / x there.
      let tiny = absolute(x) .< 1e-300
      let reflected = tiny.select(-.apply(.log, absolute(x)), .apply(.log, .constant(pi) / sine) - direct)
      // The zeros, which the sum above misses by a rounding.
      let zero = ScalarExpr.apply(.or, x .== 1.0, x .== 2.0)
      let result = zero.select(0.0, reflects.select(reflected, direct))
      let infinity = ScalarExpr.constant(.infinity)
      // Not only infinities: large negative numbers are integers, and there the reflection is inf - inf.
      let pole = ScalarExpr.apply(.and, reflects, sine .== 0.0)
      return ScalarExpr.apply(.or, pole, absolute(x) .== infinity).select(infinity, result)
    }
  }

  /// The derivative of lgamma; at -0 and 0 an infinity of the opposite sign, NaN at -1, -2, ...
  package static func digamma(_ x: ScalarExpr) -> ScalarExpr {
    widened(x) { x in
      let reflects = x .< 0.0
      let z = reflects.select(1.0 - x, x)
      let small = z .< 8.0
      // 1/z + 1/(z+1) + ... as one quotient.
      var numerator = ScalarExpr.constant(1)
      var denominator = z
      for i in 1..<8 {
        let term = z + .constant(Double(i))
        numerator = multiplyAdd(term, numerator, denominator)
        denominator = denominator * term
      }
      let w = small.select(z + 8.0, z)
      let inverse = 1.0 / w
      let square = inverse * inverse
      let series = polynomial(
        square,
        [1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132, -691.0 / 32760, 1.0 / 12, -3617.0 / 8160])
      let stirling = .apply(.log, w) - multiplyAdd(square, series, inverse * 0.5)
      let direct = stirling - small.select(numerator, 0.0) / small.select(denominator, 1.0)
      let fraction = x - .apply(.roundEven, x)
      let angle = fraction * .constant(pi)
      let reflected = direct - .constant(pi) * .apply(.cos, angle) / .apply(.sin, angle)
      let pole = (fraction .== 0.0).select(.constant(.nan), reflected)
      return (x .== 0.0).select(-1.0 / x, reflects.select(pole, direct))
    }
  }
}

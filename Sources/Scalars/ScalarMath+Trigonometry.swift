// sin, cos, atan and what follows from them. Reduction: |x| = n pi/2 + r by Cody and Waite with fused products.
// Coefficients: f32 Cephes sinf/cosf (S. Moshier), f64 fdlibm k_sin/k_cos (Sun Microsystems); atan: own Remez fits.
// Surprise: f32 reduces in f64, f64 to twice its precision, both good up to |x| = 2^50; beyond that sin is 0 and cos 1.
// Infinities give NaN.
import TensorTypes

extension ScalarMath {
  private static let twoOverPi = 0.6366197723675814
  /// pi/2 in three pieces of 53 bits.
  private static let halfPi = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)

  /// sin(x + quarterTurns * pi/2). Measured: f32 1.5 ulp, f64 1 ulp.
  static func sine(_ x: ScalarExpr, _ format: BinaryFormat, quarterTurns: Int64) -> ScalarExpr {
    let magnitude = ScalarExpr.absolute(x)
    // Beyond the limit the angle is taken as 0; infinity * 0 is the NaN that is wanted.
    let a = (magnitude .> 0x1p50).select(magnitude * 0.0, magnitude)
    let (quadrant, sine, cosine) = format.dtype == .f32 ? sineAndCosineSingle(a) : sineAndCosineDouble(a, format)
    let turned = quarterTurns == 0 ? quadrant : quadrant + .integer(quarterTurns)
    let odd = ScalarExpr.apply(.and, turned, 1) .!= 0
    let toSign = ScalarExpr.integer(Int64(format.dtype.size * 8 - 2))
    let flip = ScalarExpr.apply(.shiftLeft, .apply(.and, turned, 2), toSign)
    let signs = quarterTurns == 0 ? ScalarExpr.apply(.xor, flip, format.signBits(x)) : flip
    return format.withSign(odd.select(cosine, sine), signs)
  }

  /// n (mod 4 in the low bits, of the format's integer dtype), and sin r and cos r, for a not negative.
  private static func sineAndCosineSingle(_ a: ScalarExpr) -> (ScalarExpr, ScalarExpr, ScalarExpr) {
    let wide = a.converted(to: .f64)
    let shift = ScalarExpr.constant(0x1.8p52)
    let shifted = ScalarExpr.multiplyAdd(wide, .constant(twoOverPi), shift)
    let n = shifted - shift
    let rest = ScalarExpr.multiplyAdd(n, .constant(-halfPi.1), .multiplyAdd(n, .constant(-halfPi.0), wide))
    let r = rest.converted(to: .f32)
    let z = r * r
    let sine = ScalarExpr.multiplyAdd(
      r * z, .polynomial(z, [-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4]), r)
    let cosine = ScalarExpr.multiplyAdd(
      z * z, .polynomial(z, [4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5]),
      .multiplyAdd(z, -0.5, 1.0))
    return (shifted.bitcast(to: .i64).converted(to: .i32), sine, cosine)
  }

  private static func sineAndCosineDouble(_ a: ScalarExpr, _ format: BinaryFormat)
    -> (ScalarExpr, ScalarExpr, ScalarExpr)
  {
    let shift = ScalarExpr.constant(format.roundingShift)
    let shifted = ScalarExpr.multiplyAdd(a, .constant(twoOverPi), shift)
    let n = shifted - shift
    // Exact: a and n * pi/2's first piece are multiples of 2^-52 (or a is the only term), and close.
    let first = ScalarExpr.multiplyAdd(n, .constant(-halfPi.0), a)
    let second = n * .constant(halfPi.1)
    let r = first - second
    let lost = ScalarExpr.multiplyAdd(n, .constant(halfPi.1), -second)
    let tail = ((first - r) - second) - ScalarExpr.multiplyAdd(n, .constant(halfPi.2), lost)
    let z = r * r
    let cube = z * r
    let sineTail = ScalarExpr.polynomial(
      z,
      [
        8.33333333332248946124e-03, -1.98412698298579493134e-04, 2.75573137070700676789e-06,
        -2.50507602534068634195e-08, 1.58969099521155010221e-10,
      ])
    let sine =
      r - ((z * (0.5 * tail - cube * sineTail) - tail) + cube * 1.66666666666666324348e-01)
    let cosineTail =
      z
      * ScalarExpr.polynomial(
        z,
        [
          4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05,
          -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11,
        ])
    let half = z * 0.5
    let w = 1.0 - half
    let cosine = w + (((1.0 - w) - half) + (z * cosineTail - r * tail))
    return (format.bits(shifted), sine, cosine)
  }

  /// atan|x| = base + atan t with |t| <= tan(pi/8): around 0, pi/4 and pi/2. Measured: f32 1.8 ulp, f64 1 ulp.
  static func atan(_ x: ScalarExpr, _ format: BinaryFormat) -> ScalarExpr {
    let a = ScalarExpr.absolute(x)
    let steep = a .> 2.414213562373095
    let middle = a .> 0.41421356237309503
    let t =
      steep.select(-1.0, middle.select(a - 1.0, a)) / steep.select(a, middle.select(a + 1.0, 1.0))
    let z = t * t
    // (atan t / t - 1) / z.
    let tail =
      format.dtype == .f32
      ? ScalarExpr.polynomial(
        z,
        [-0.33333316445350647, 0.19998528063297272, -0.14244386553764343, 0.10599097609519958, -0.060897793620824814]
      )
      : ScalarExpr.polynomial(
        z,
        [
          -0.333333333333332, 0.19999999999953655, -0.14285714280196654, 0.11111110783309827, -0.09090897751407095,
          0.07692060088914279, -0.06663102592192095, 0.05847879010251473, -0.050392609186092355, 0.038063532795849404,
          -0.017906188033589673,
        ])
    let (high, low) = format.dtype == .f32 ? (1.5707963705062866, -4.371138828673793e-08) : (halfPi.0, halfPi.1)
    let base = steep.select(.constant(high), middle.select(.constant(high / 2), t - t))
    // base * (low / high) is what base lacks: both are pi/2 or pi/4 rounded.
    let inner = ScalarExpr.multiplyAdd(base, .constant(low / high), (t * z) * tail)
    return format.withSign(base + (inner + t), format.signBits(x))
  }
}

// MARK: Formulas for primitives

extension ScalarExpr {
  package static func tan(_ x: ScalarExpr) -> ScalarExpr { .apply(.sin, x) / .apply(.cos, x) }

  package static func asin(_ x: ScalarExpr) -> ScalarExpr {
    .apply(.atan, x / squareRoot((1.0 - x) * (1.0 + x)))
  }

  package static func acos(_ x: ScalarExpr) -> ScalarExpr { 2.0 * .apply(.atan, squareRoot((1.0 - x) / (1.0 + x))) }

  /// The angle of the point (x, y), in -pi ... pi; signs of zero count, as in C.
  package static func atan2(_ y: ScalarExpr, _ x: ScalarExpr) -> ScalarExpr {
    let across = absolute(x)
    let up = absolute(y)
    // 0/0 and inf/inf are the only quotients that are NaN without a NaN operand.
    let same = (up .== 0.0).select(0.0, 1.0)
    let angle = ScalarExpr.apply(.atan, (up .== across).select(same, up / across))
    return copySign(signBit(x).select(.constant(3.141592653589793) - angle, angle), y)
  }

  /// sqrt(x^2 + y^2) without overflow; infinite if either is, even beside NaN.
  package static func hypot(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    let a = absolute(x)
    let b = absolute(y)
    let large = ScalarExpr.apply(.maximum, a, b)
    let ratio = ScalarExpr.apply(.minimum, a, b) / large
    let finite = (large .== 0.0).select(large, large * squareRoot(multiplyAdd(ratio, ratio, 1.0)))
    let infinity = ScalarExpr.constant(.infinity)
    return (a .== infinity).select(a, (b .== infinity).select(b, finite))
  }
}

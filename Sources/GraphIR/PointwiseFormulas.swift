// The formulas of pointwise primitives that are more than one instruction. Not approximations of instructions: those
// are the backends' (`ScalarMath`). Surprise: one formula serves f32 and f64, so no step may assume a width.
import Scalars
import TensorTypes

enum PointwiseFormulas {
  private static let pi = 3.14159265358979323846
  private static let ln2 = 0.69314718055994530942

  private static func absolute(_ x: ScalarExpr) -> ScalarExpr { .apply(.absolute, x) }
  private static func exp(_ x: ScalarExpr) -> ScalarExpr { .apply(.exp, x) }
  private static func log(_ x: ScalarExpr) -> ScalarExpr { .apply(.log, x) }
  private static func sqrt(_ x: ScalarExpr) -> ScalarExpr { .apply(.squareRoot, x) }
  private static func floor(_ x: ScalarExpr) -> ScalarExpr { .apply(.floor, x) }

  // MARK: Exponentials

  static func exp2(_ x: ScalarExpr) -> ScalarExpr { .apply(.power, 2.0, x) }
  /// Kahan's: the error of exp near 1 cancels against that of log.
  static func expm1(_ x: ScalarExpr) -> ScalarExpr {
    let u = exp(x)
    let minusOne = u - 1.0
    let corrected = minusOne * x / log(u)
    let large = absolute(x) .> .constant(1)
    return (u .== 1.0).select(x, large.select(minusOne, corrected))
  }
  static func log2(_ x: ScalarExpr) -> ScalarExpr { log(x) / .constant(ln2) }
  static func log10(_ x: ScalarExpr) -> ScalarExpr { log(x) / 2.30258509299404568402 }
  static func log1p(_ x: ScalarExpr) -> ScalarExpr {
    let u = 1.0 + x
    let corrected = log(u) * x / (u - 1.0)
    return (u .== 1.0).select(x, (absolute(x) .> 1.0).select(log(u), corrected))
  }
  static func sigmoid(_ x: ScalarExpr) -> ScalarExpr { 1.0 / (1.0 + exp(-x)) }

  // MARK: Angles

  static func tan(_ x: ScalarExpr) -> ScalarExpr { .apply(.sin, x) / .apply(.cos, x) }
  static func asin(_ x: ScalarExpr) -> ScalarExpr { .apply(.atan, x / sqrt((1.0 - x) * (1.0 + x))) }
  static func acos(_ x: ScalarExpr) -> ScalarExpr { 2.0 * .apply(.atan, sqrt((1.0 - x) / (1.0 + x))) }
  static func atan2(_ y: ScalarExpr, _ x: ScalarExpr) -> ScalarExpr {
    let small = ScalarExpr.apply(.minimum, absolute(x), absolute(y))
    let large = ScalarExpr.apply(.maximum, absolute(x), absolute(y))
    // 0/0 and inf/inf are the only quotients that are NaN without a NaN operand.
    let ratio = (small .== large).select(ScalarExpr(.convert(large .!= 0.0, .input(0))), small / large)
    let octant = ScalarExpr.apply(.atan, ratio)
    let quadrant = (absolute(y) .> absolute(x)).select(.constant(pi / 2) - octant, octant)
    let half = signBit(x).select(.constant(pi) - quadrant, quadrant)
    return copySign(half, y)
  }

  // MARK: Hyperbolic functions

  /// Around exp(|x|/2), whose square overflows no earlier than the result.
  static func sinh(_ x: ScalarExpr) -> ScalarExpr {
    let a = absolute(x)
    let root = exp(a * 0.5)
    let large = (0.5 * root) * root - (0.5 / root) / root
    let e = expm1(a)
    let small = 0.5 * (e + e / (e + 1.0))
    return copySign((a .> 1.0).select(large, small), x)
  }
  static func cosh(_ x: ScalarExpr) -> ScalarExpr {
    let root = exp(absolute(x) * 0.5)
    return (0.5 * root) * root + (0.5 / root) / root
  }
  static func asinh(_ x: ScalarExpr) -> ScalarExpr {
    let a = absolute(x)
    let square = a * a
    let small = log1p(a + square / (1.0 + sqrt(square + 1.0)))
    return copySign((a .> 1e9).select(log(a) + .constant(ln2), small), x)
  }
  static func acosh(_ x: ScalarExpr) -> ScalarExpr {
    let t = x - 1.0
    return (x .> 1e9).select(log(x) + .constant(ln2), log1p(t + sqrt(t * (t + 2.0))))
  }
  static func atanh(_ x: ScalarExpr) -> ScalarExpr {
    let a = absolute(x)
    return copySign(0.5 * log1p(2.0 * a / (1.0 - a)), x)
  }

  // MARK: Error and gamma functions

  static func erfc(_ x: ScalarExpr) -> ScalarExpr { 1.0 - .apply(.erf, x) }
  /// Winitzki's estimate and three steps of Newton.
  static func erfinv(_ x: ScalarExpr) -> ScalarExpr {
    let logarithm = log((1.0 - x) * (1.0 + x))
    let half = 4.330746750799873 + 0.5 * logarithm
    var y = sqrt(sqrt(half * half - logarithm / 0.147) - half)
    y = copySign(y, x)
    for _ in 0..<3 { y = y - (ScalarExpr.apply(.erf, y) - x) * (0.886226925452758 * exp(y * y)) }
    let infinity = x * .constant(.infinity)
    return (absolute(x) .== 1.0).select(infinity, y)
  }
  /// Lanczos' sum with g = 7, and the reflection below 1/2.
  static func lgamma(_ x: ScalarExpr) -> ScalarExpr {
    let coefficients = [
      676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
      -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
    ]
    let reflects = x .< 0.5
    let z = reflects.select(-x, x - 1.0)
    var sum: ScalarExpr = .constant(coefficients[0]) / (z + 1.0) + 0.99999999999980993
    for (i, c) in coefficients.enumerated().dropFirst() { sum = sum + .constant(c) / (z + .constant(Double(i + 1))) }
    let t = z + 7.5
    let direct = 0.91893853320467274178 + (z + 0.5) * log(t) - t + log(sum)
    let fraction = x - floor(x)
    let reflected = .constant(1.1447298858494002) - log(absolute(.apply(.sin, fraction * .constant(pi)))) - direct
    let result = reflects.select(reflected, direct)
    return (absolute(x) .== .constant(.infinity)).select(absolute(x), result)
  }
  /// The recurrence up to 8 and the asymptotic series, and the reflection below 1/2.
  static func digamma(_ x: ScalarExpr) -> ScalarExpr {
    let reflects = x .< 0.5
    var z = reflects.select(1.0 - x, x)
    var shift = z - z
    for _ in 0..<8 {
      let low = z .< 8.0
      shift = low.select(shift - 1.0 / z, shift)
      z = low.select(z + 1.0, z)
    }
    let inverse = 1.0 / z
    let square = inverse * inverse
    // Constants are folded here: a quotient of two literals has no dtype to take.
    let terms = [1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132]
    var series = ScalarExpr.constant(terms[4]) * square
    for term in terms.dropLast().reversed() { series = (series + .constant(term)) * square }
    let direct = shift + log(z) - 0.5 * inverse - series
    let angle = (x - floor(x)) * .constant(pi)
    let reflected = direct - .constant(pi) * .apply(.cos, angle) / .apply(.sin, angle)
    return (x .== 0.0).select(-1.0 / x, reflects.select(reflected, direct))
  }

  // MARK: Signs and neighbours

  /// Widening keeps the sign, of NaN too, and gives every format the same place for it.
  static func signBit(_ x: ScalarExpr) -> ScalarExpr {
    ScalarExpr(.convert(x, .wider)).bitcast(to: .i64) .< 0
  }
  static func copySign(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    let magnitude = absolute(x)
    return signBit(y).select(-magnitude, magnitude)
  }
  /// On the bits: the neighbour of a float other than 0 is the neighbour of its bits as an integer.
  static func nextAfter(_ x: ScalarExpr, _ y: ScalarExpr, _ dtype: DType) -> ScalarExpr {
    let integer: DType
    switch dtype.size {
    case 2: integer = .i16
    case 4: integer = .i32
    default: integer = .i64
    }
    let a = x.converted(to: dtype.computeDType)
    let b = y.converted(to: dtype.computeDType)
    let bits = x.bitcast(to: integer)
    let lowest = ScalarExpr.integer(Int64.min >> Int64(64 - 8 * dtype.size))
    let one = ScalarExpr.integer(1)
    // A typed one: literals alone have no dtype to take.
    let smallest = (bits - bits) + one
    let fromZero = (b .> 0.0).select(smallest, .apply(.or, smallest, lowest))
    let away = ScalarExpr.apply(.equal, (b .> a), (a .> 0.0))
    let stepped = (a .== 0.0).select(fromZero, away.select(bits + one, bits - one))
    let moved = stepped.bitcast(to: dtype)
    return (a .!= a).select(x, (b .!= b).select(y, (a .== b).select(y, moved)))
  }

  // MARK: Division

  /// As PyTorch: the quotient after taking the remainder off, so that 1 / 0.1 is 9.
  static func floorDivideFloats(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    let rest = ScalarExpr.apply(.remainder, x, y)
    let exact = (x - rest) / y
    let opposite = ScalarExpr.apply(.and, rest .!= 0.0, .apply(.xor, y .< 0.0, rest .< 0.0))
    let quotient = opposite.select(exact - 1.0, exact)
    let whole = floor(quotient)
    let nearest = (quotient - whole .> 0.5).select(whole + 1.0, whole)
    let result = (quotient .!= 0.0).select(nearest, copySign(quotient, x / y))
    return (y .== 0.0).select(x / y, result)
  }
  static func floorDivideIntegers(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    let quotient = x / y
    let rest = x - quotient * y
    let opposite = ScalarExpr.apply(.and, rest .!= 0, .apply(.xor, y .< 0, rest .< 0))
    return opposite.select(quotient - 1, quotient)
  }
  static func remainder(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    let rest = ScalarExpr.apply(.remainder, x, y)
    let opposite = ScalarExpr.apply(.and, rest .!= 0, .apply(.xor, y .< 0, rest .< 0))
    return opposite.select(rest + y, rest)
  }

  /// By squaring; one step for each bit an exponent can have.
  static func powerIntegers(_ x: ScalarExpr, _ y: ScalarExpr, bits: Int) -> ScalarExpr {
    var square = x
    var exponent = y
    var result = ScalarExpr.apply(.and, y, 1).selectNonzero(x, 1)
    for _ in 1..<bits {
      square = square * square
      exponent = .apply(.shiftRight, exponent, 1)
      result = ScalarExpr.apply(.and, exponent, 1).selectNonzero(result * square, result)
    }
    let odd = ScalarExpr.apply(.and, y, 1) .!= 0
    let inverse = (x .== 1).select(x, (x + 1 .== 0).select(odd.select(x, -x), x - x))
    return (y .< 0).select(inverse, result)
  }

  // MARK: Random words

  /// Ten rounds on four 32-bit words held in i64; the counter's high words are 0.
  static func philox(counter: ScalarExpr, key: ScalarExpr, word: Int) -> ScalarExpr {
    let mask = ScalarExpr.integer(0xffff_ffff)
    func low(_ x: ScalarExpr) -> ScalarExpr { .apply(.and, x, mask) }
    func high(_ x: ScalarExpr) -> ScalarExpr { .apply(.shiftRightLogical, x, 32) }
    func xor(_ a: ScalarExpr, _ b: ScalarExpr) -> ScalarExpr { .apply(.xor, a, b) }
    let zero = counter - counter
    var words = [low(counter), high(counter), zero, zero]
    var keys = [low(key), high(key)]
    for round in 0..<10 {
      if round > 0 { keys = [low(keys[0] + 0x9E37_79B9), low(keys[1] + 0xBB67_AE85)] }
      let first = words[0] * 0xD251_1F53
      let second = words[2] * 0xCD9E_8D57
      words = [
        xor(xor(high(second), words[1]), keys[0]), low(second), xor(xor(high(first), words[3]), keys[1]), low(first),
      ]
    }
    return words[word]
  }
}

extension ScalarExpr {
  /// Selects by an integer being other than 0.
  fileprivate func selectNonzero(_ whenTrue: ScalarExpr, _ whenFalse: ScalarExpr) -> ScalarExpr {
    (self .!= 0).select(whenTrue, whenFalse)
  }
}

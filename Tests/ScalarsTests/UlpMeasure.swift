// How far a formula, run in reference arithmetic, is from a Double function, in units of the last place of its dtype.
// Surprise: errors of denormal results are counted in steps of the smallest denormal.
import Scalars
import TensorTypes

/// Repeatable random bits (SplitMix64).
struct RandomBits: RandomNumberGenerator {
  var state: UInt64 = 1
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Arguments of a float dtype: special values, all magnitudes, and values between bounds.
struct Samples {
  static let special: [Double] = [
    0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 0.25, 1.5, -1.5, 10, -10, 100, -100, .infinity, -.infinity, .nan, 1e-30,
    -1e-30, 1e30, -1e30, 0.6931471805599453, 88.7, 88.73, -87.4, -103.9, 709.7, 709.8, -745.2, -708.5,
    1.5707963267948966, 3.141592653589793, 0.7853981633974483, 9.01, -9.02, 0.927, 0.4142, 2.4143, 1e9, -1e9,
  ]

  static func values(_ dtype: DType, in ranges: [ClosedRange<Double>], count: Int) -> [Double] {
    var random = RandomBits()
    var made = special
    made += dtype == .f32 ? [0x1p-149, -0x1p-149, 0x1.fffffep127, 0x1p-126] : [0x1p-1074, .greatestFiniteMagnitude]
    for _ in 0..<count {
      // A uniform bit pattern is uniform in the exponent.
      made.append(
        dtype == .f32
          ? Double(Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))) : Double(bitPattern: random.next()))
    }
    for range in ranges { for _ in 0..<count { made.append(Double.random(in: range, using: &random)) } }
    return made.map { ScalarReference.rounded($0, to: dtype) }
  }
}

/// The distance of `value` from `expected` in units of the last place; 0 where they are the same special value.
func ulps(_ value: Double, from expected: Double, _ dtype: DType) -> Double {
  if expected.isNaN || value.isNaN { return expected.isNaN && value.isNaN ? 0 : .infinity }
  let rounded = ScalarReference.rounded(expected, to: dtype)
  if rounded == value {
    return rounded == 0 && rounded.sign != value.sign ? .infinity : abs(value - expected).isNaN ? 0 : distance()
  }
  return distance()
  func distance() -> Double {
    if value.isInfinite || rounded.isInfinite { return value == rounded ? 0 : .infinity }
    let unit = dtype == .f32 ? Double(Float(rounded).ulp) : rounded.ulp
    return abs(value - expected) / unit
  }
}

/// The worst error of a formula over arguments.
struct Accuracy: CustomStringConvertible {
  var worst = 0.0
  var place: [Double] = []
  var value = 0.0
  var expected = 0.0
  var description: String { "\(worst) ulp at \(place): \(value) for \(expected)" }

  /// Arguments whose expected value `skips` says are outside the claim are left out.
  static func measure(
    _ formula: ScalarExpr, _ dtype: DType, _ arguments: [[Double]], skips: ([Double]) -> Bool = { _ in false },
    _ function: ([Double]) -> Double
  ) -> Accuracy? {
    guard let first = arguments.first,
      let program = ScalarProgram(formula, inputs: first.map { _ in dtype })
    else { return nil }
    var accuracy = Accuracy()
    for argument in arguments where !skips(argument) {
      guard let value = program.evaluate(argument.map { .float($0) })?.doubleValue else { return nil }
      let expected = function(argument)
      let error = ulps(value, from: expected, dtype)
      if error > accuracy.worst {
        accuracy = Accuracy(worst: error, place: argument, value: value, expected: expected)
      }
    }
    return accuracy
  }
}

// The expansions and formulas against libm in Double. The bounds are the promises; what is measured is a little less.
import Foundation
import Scalars
import TensorTypes
import Testing

/// Random arguments of each kind for a function; enough to find a wrong coefficient, small enough for a debug build.
private let count = 1000

/// A function of one element, its promise in f32 and f64, and where to look.
struct UnaryCase: Sendable, CustomTestStringConvertible {
  var name: String
  var formula: @Sendable (DType) -> ScalarExpr?
  var function: @Sendable (Double) -> Double
  var single: Double
  var double: Double
  var ranges: [ClosedRange<Double>]
  /// Largest |x| of the promise.
  var limit: (single: Double, double: Double) = (.infinity, .infinity)
  var testDescription: String { name }

  static func expansion(
    _ instruction: ScalarInstruction, _ ranges: [ClosedRange<Double>], single: Double = 2, double: Double = 4,
    limit: (Double, Double) = (.infinity, .infinity), _ function: @escaping @Sendable (Double) -> Double
  ) -> UnaryCase {
    UnaryCase(
      name: instruction.rawValue, formula: { ScalarMath.expansion(of: instruction, dtype: $0) }, function: function,
      single: single, double: double, ranges: ranges, limit: limit)
  }
  static func formula(
    _ name: String, _ formula: ScalarExpr, _ ranges: [ClosedRange<Double>], single: Double = 4, double: Double = 4,
    limit: (Double, Double) = (.infinity, .infinity), _ function: @escaping @Sendable (Double) -> Double
  ) -> UnaryCase {
    UnaryCase(
      name: name, formula: { _ in formula }, function: function, single: single, double: double, ranges: ranges,
      limit: limit)
  }
}

private let x = ScalarExpr.input(0)

private let expansions: [UnaryCase] = [
  .expansion(.exp, [-105...90, -1...1, -750...712], { exp($0) }),
  .expansion(.log, [0...2, 0.99...1.01, 0...1e6], { log($0) }),
  .expansion(.sin, [-4...4, -100...100, -1e6...1e6, -1e9...1e9], limit: (1e15, 1e15), { sin($0) }),
  .expansion(.cos, [-4...4, -100...100, -1e6...1e6, -1e9...1e9], limit: (1e15, 1e15), { cos($0) }),
  .expansion(.tanh, [-10...10, -1...1, -25...25], single: 2.5, { tanh($0) }),
  .expansion(.erf, [-4...4, -1...1, -7...7], { erf($0) }),
  .expansion(.atan, [-4...4, -0.5...0.5, -100...100], { atan($0) }),
]

private let formulas: [UnaryCase] = [
  .formula("exp2", .exp2(x), [-152...130, -1...1, -1080...1026], { exp2($0) }),
  .formula("expm1", .expm1(x), [-25...90, -1...1, -40...712], { expm1($0) }),
  .formula("log2", .log2(x), [0...2, 0.99...1.01, 0...1e6], { log2($0) }),
  .formula("log10", .log10(x), [0...2, 0.99...1.01, 0...1e6], { log10($0) }),
  .formula("log1p", .log1p(x), [-1...1, -0.01...0.01, 0...1e6], { log1p($0) }),
  .formula("sinh", .sinh(x), [-1...1, -91...91, -712...712], { sinh($0) }),
  .formula("cosh", .cosh(x), [-1...1, -91...91, -712...712], { cosh($0) }),
  .formula("asinh", .asinh(x), [-1...1, -100...100], { asinh($0) }),
  .formula("acosh", .acosh(x), [1...2, 1...100, 1...1.001], { acosh($0) }),
  .formula("atanh", .atanh(x), [-1...1, -0.01...0.01], { atanh($0) }),
  // 1 / (1 + e^-x) is denormal where e^-x is infinite already: such results are 0.
  .formula("sigmoid", .sigmoid(x), [-87...100, -1...1], limit: (87, 708), { 1 / (1 + exp(-$0)) }),
  .formula("tan", .tan(x), [-4...4, -1e5...1e5], limit: (1e15, 1e15), { tan($0) }),
  .formula("asin", .asin(x), [-1...1, 0.99...1], { asin($0) }),
  .formula("acos", .acos(x), [-1...1, 0.99...1], { acos($0) }),
  .formula("erfc", .erfc(x), [-4...4, 0...11, 0...28], single: 6, double: 8, { erfc($0) }),
]

@Suite struct ScalarMathTests {
  @Test(arguments: expansions + formulas, [DType.f32, .f64])
  func formula_is_within_its_bound(_ entry: UnaryCase, dtype: DType) throws {
    let formula = try #require(entry.formula(dtype))
    let arguments = Samples.values(dtype, in: entry.ranges, count: count).map { [$0] }
    let limit = dtype == .f32 ? entry.limit.single : entry.limit.double
    let accuracy = try #require(
      Accuracy.measure(formula, dtype, arguments, skips: { $0[0].isFinite && abs($0[0]) > limit }) {
        entry.function($0[0])
      })
    let bound = dtype == .f32 ? entry.single : entry.double
    #expect(accuracy.worst <= bound, "\(entry.name) \(dtype): \(accuracy)")
  }
}

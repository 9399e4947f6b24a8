// The associative operations of reductions and scans, each with its identity. Not arg-reductions, which carry an index.
// Surprise: log(e^a + e^b) is no instruction: it meets by a formula, since a scan cannot be scaled by what comes later.
import Foundation
import TensorTypes

package enum Monoid: String, Sendable, Hashable, CaseIterable {
  case sum, product, minimum, maximum, and, or
  case logSumExp = "logsumexp"

  /// How two partial results meet; nil: by `formula`.
  package var instruction: ScalarInstruction? {
    switch self {
    case .sum: .add
    case .product: .multiply
    case .minimum: .minimum
    case .maximum: .maximum
    case .and: .and
    case .or: .or
    case .logSumExp: nil
    }
  }

  /// How two partial results, the inputs 0 and 1, meet where no instruction says it.
  package static let formulaOfLogSumExp = ScalarExpr.logAddExp(.input(0), .input(1))

  /// Whether results are rounded: floats are then carried wider.
  package var accumulates: Bool {
    switch self {
    case .sum, .product, .logSumExp: true
    case .minimum, .maximum, .and, .or: false
    }
  }

  /// Whether what rounding does to a short part it does to the whole, too: such parts are of no use unless they are wider
  /// than the result. What rounding does to a short sum, by contrast, is little beside a long one.
  package var keepsErrorsOfParts: Bool {
    switch self {
    case .product: true
    case .sum, .logSumExp, .minimum, .maximum, .and, .or: false
    }
  }

  /// What partial results of elements of `dtype` are kept in.
  package func partialDType(_ dtype: DType) -> DType {
    dtype.isFloating && keepsErrorsOfParts ? .f64 : dtype.computeDType
  }

  /// Whether elements of `dtype` combine to one of `dtype`.
  package func isDefined(on dtype: DType) -> Bool {
    let isOrdinary = (instruction ?? .add).resultDType([dtype, dtype]) == dtype
    return isOrdinary && (instruction != nil || dtype.isFloating)
  }

  /// Two partial results of `dtype` in reference semantics: as the instruction, or by libm in Double.
  package func combined(_ a: ScalarValue, _ b: ScalarValue, _ dtype: DType) -> ScalarValue {
    if let instruction { return ScalarReference.evaluate(instruction, dtype, [a, b]) ?? a }
    let (x, y) = (a.doubleValue, b.doubleValue)
    if x.isNaN || y.isNaN { return .float(.nan) }
    let distance = x == y ? 0 : (x - y).magnitude
    return .float(ScalarReference.rounded(Swift.max(x, y) + Foundation.log1p(Foundation.exp(-distance)), to: dtype))
  }

  /// The value that changes nothing.
  package func identity(_ dtype: DType) -> ScalarConstant {
    switch self {
    case .sum: ScalarConstant(dtype, integer: 0)
    case .product: ScalarConstant(dtype, integer: 1)
    case .minimum:
      dtype.highestBits.map { ScalarConstant(dtype, integer: $0) } ?? ScalarConstant(dtype, .infinity)
    case .maximum:
      dtype.integerRange.map { ScalarConstant(dtype, integer: $0.lowerBound) } ?? ScalarConstant(dtype, -.infinity)
    case .and: ScalarConstant(dtype, integer: dtype == .bool ? 1 : -1)
    case .or: ScalarConstant(dtype, integer: 0)
    case .logSumExp: Monoid.maximum.identity(dtype)
    }
  }
}

/// Reductions and scans that give a position instead of a value.
package enum ArgMonoid: String, Sendable, Hashable, CaseIterable {
  case maximum = "argmax"
  case minimum = "argmin"
}

// The associative operations of reductions and scans, each with its identity. Not arg-reductions, which carry an index.
import TensorTypes

public enum Monoid: String, Sendable, Hashable, CaseIterable {
  case sum, product, minimum, maximum, and, or

  /// How two partial results meet.
  public var instruction: ScalarInstruction {
    switch self {
    case .sum: .add
    case .product: .multiply
    case .minimum: .minimum
    case .maximum: .maximum
    case .and: .and
    case .or: .or
    }
  }

  /// The value that changes nothing.
  public func identity(_ dtype: DType) -> ScalarConstant {
    switch self {
    case .sum: ScalarConstant(dtype, integer: 0)
    case .product: ScalarConstant(dtype, integer: 1)
    case .minimum:
      dtype.highestBits.map { ScalarConstant(dtype, integer: $0) } ?? ScalarConstant(dtype, .infinity)
    case .maximum:
      dtype.integerRange.map { ScalarConstant(dtype, integer: $0.lowerBound) } ?? ScalarConstant(dtype, -.infinity)
    case .and: ScalarConstant(dtype, integer: dtype == .bool ? 1 : -1)
    case .or: ScalarConstant(dtype, integer: 0)
    }
  }
}

/// Reductions and scans that give a position instead of a value.
public enum ArgMonoid: String, Sendable, Hashable, CaseIterable {
  case maximum = "argmax"
  case minimum = "argmin"
}

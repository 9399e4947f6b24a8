// The scalar instructions: all that a backend must implement on elements, beside the tile operations.
// Not the pointwise primitives of GraphIR, which are written in these. Surprise: comparisons give bool,
// minimum/maximum propagate NaN, shifts by 64 or more and float-to-integer conversions are defined.

import TensorTypes

/// One operation on elements. All operands have one dtype unless the table below says otherwise.
package enum ScalarInstruction: String, Sendable, Hashable, CaseIterable {
  // Arithmetic. Integers wrap. Integer `divide` and `remainder` truncate; a zero divisor faults (and gives 0).
  case add, subtract, multiply, divide, remainder
  /// `a * b + c`, rounded once for floats.
  case multiplyAdd = "fma"
  case negate, absolute
  /// NaN if either operand is NaN.
  case minimum, maximum
  // Rounding to an integral value; floats only.
  case floor, ceil, truncate
  /// To the nearest integral value, ties to even.
  case roundEven
  case squareRoot = "sqrt"
  // Transcendental functions; floats only.
  case exp, log, sin, cos, tanh, erf, atan
  /// IEEE 754 pow.
  case power = "pow"
  // Bits; integers and bool.
  case and, or, xor, not
  /// Amounts outside 0..<width give 0 (or the sign for an arithmetic right shift).
  case shiftLeft = "shl"
  /// Arithmetic for signed dtypes, logical for unsigned.
  case shiftRight = "shr"
  case shiftRightLogical = "lshr"
  // Comparisons: operands of one dtype, result bool. A comparison with NaN is false, except `notEqual`.
  case equal = "eq"
  case notEqual = "ne"
  case less = "lt"
  case lessOrEqual = "le"
  /// `select(condition: bool, whenTrue, whenFalse)`.
  case select

  /// What dtypes it is defined on, and what it gives.
  package enum Class: Sendable {
    /// All numbers; of bool only the extrema.
    case arithmetic
    case floatOnly
    /// Integers and bool.
    case bits
    /// Integers, without bool.
    case shift
    case comparison
    case select
  }

  /// A row of the table.
  private typealias Row = (operands: Int, class: Class, isCostly: Bool)

  private var row: Row {
    switch self {
    case .negate, .absolute: (1, .arithmetic, false)
    case .add, .subtract, .multiply, .divide, .remainder, .minimum, .maximum: (2, .arithmetic, false)
    case .multiplyAdd: (3, .arithmetic, false)
    case .floor, .ceil, .truncate, .roundEven, .squareRoot: (1, .floatOnly, false)
    case .exp, .log, .sin, .cos, .tanh, .erf, .atan: (1, .floatOnly, true)
    case .power: (2, .floatOnly, true)
    case .not: (1, .bits, false)
    case .and, .or, .xor: (2, .bits, false)
    case .shiftLeft, .shiftRight, .shiftRightLogical: (2, .shift, false)
    case .equal, .notEqual, .less, .lessOrEqual: (2, .comparison, false)
    case .select: (3, .select, false)
    }
  }

  package var operandCount: Int { row.operands }
  package var `class`: Class { row.class }
  /// Worth keeping in memory rather than computing twice. These are made of formulas: see `ScalarMath`.
  package var isCostly: Bool { row.isCostly }

  /// The result for operands of these dtypes; nil where the instruction is not defined on them.
  package func resultDType(_ operands: [DType]) -> DType? {
    guard operands.count == operandCount, self == .select || !operands.contains(where: \.isStorageOnly) else {
      return nil
    }
    switch self.class {
    case .select: return operands[0] == .bool && operands[1] == operands[2] ? operands[1] : nil
    case .comparison: return operands[0] == operands[1] ? .bool : nil
    case .arithmetic:
      guard operands.allSatisfy({ $0 == operands[0] }) else { return nil }
      return operands[0] == .bool && self != .minimum && self != .maximum ? nil : operands[0]
    case .floatOnly: return operands.allSatisfy { $0 == operands[0] && $0.isFloating } ? operands[0] : nil
    case .bits: return operands.allSatisfy { $0 == operands[0] && !$0.isFloating } ? operands[0] : nil
    case .shift:
      return operands.allSatisfy { $0 == operands[0] && !$0.isFloating && $0 != .bool } ? operands[0] : nil
    }
  }

  /// Floating operations counted for one element (an fma is two; a transcendental counts as one, as papers do).
  package var flops: Int { self == .multiplyAdd ? 2 : 1 }
}

// The scalar instructions: all that a backend must implement on elements, beside the tile operations.
// Not the pointwise primitives of GraphIR, which are written in these. Surprise: comparisons give bool,
// minimum/maximum propagate NaN, shifts by 64 or more and float-to-integer conversions are defined.

import TensorTypes

/// One operation on elements. All operands have one dtype unless the table below says otherwise.
public enum ScalarInstruction: String, Sendable, Hashable, CaseIterable {
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

  public var operandCount: Int {
    switch self {
    case .negate, .absolute, .floor, .ceil, .truncate, .roundEven, .squareRoot, .exp, .log, .sin, .cos, .tanh, .erf,
      .atan, .not:
      1
    case .add, .subtract, .multiply, .divide, .remainder, .minimum, .maximum, .power, .and, .or, .xor, .shiftLeft,
      .shiftRight, .shiftRightLogical, .equal, .notEqual, .less, .lessOrEqual:
      2
    case .multiplyAdd, .select: 3
    }
  }

  public enum Class: Sendable { case arithmetic, floatOnly, bits, comparison, select }

  public var `class`: Class {
    switch self {
    case .add, .subtract, .multiply, .divide, .remainder, .multiplyAdd, .negate, .absolute, .minimum, .maximum:
      .arithmetic
    case .floor, .ceil, .truncate, .roundEven, .squareRoot, .exp, .log, .sin, .cos, .tanh, .erf, .atan, .power:
      .floatOnly
    case .and, .or, .xor, .not, .shiftLeft, .shiftRight, .shiftRightLogical: .bits
    case .equal, .notEqual, .less, .lessOrEqual: .comparison
    case .select: .select
    }
  }

  /// The result for operands of these dtypes; nil where the instruction is not defined on them.
  public func resultDType(_ operands: [DType]) -> DType? {
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
    case .bits:
      guard operands.allSatisfy({ $0 == operands[0] && !$0.isFloating }) else { return nil }
      switch self {
      case .shiftLeft, .shiftRight, .shiftRightLogical: return operands[0] == .bool ? nil : operands[0]
      case .add, .subtract, .multiply, .divide, .remainder, .multiplyAdd, .negate, .absolute, .minimum, .maximum,
        .floor, .ceil, .truncate, .roundEven, .squareRoot, .exp, .log, .sin, .cos, .tanh, .erf, .atan, .power, .and,
        .or,
        .xor, .not, .equal, .notEqual, .less, .lessOrEqual, .select:
        return operands[0]
      }
    }
  }

  /// Worth keeping in memory rather than computing twice.
  public var isCostly: Bool {
    switch self {
    case .exp, .log, .sin, .cos, .tanh, .erf, .atan, .power: true
    case .add, .subtract, .multiply, .divide, .remainder, .multiplyAdd, .negate, .absolute, .minimum, .maximum,
      .floor, .ceil, .truncate, .roundEven, .squareRoot, .and, .or, .xor, .not, .shiftLeft, .shiftRight,
      .shiftRightLogical, .equal, .notEqual, .less, .lessOrEqual, .select:
      false
    }
  }

  /// Floating operations counted for one element (an fma is two; a transcendental counts as one, as papers do).
  public var flops: Int { self == .multiplyAdd ? 2 : 1 }
}

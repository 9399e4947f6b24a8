// The scalar instructions: all that a backend must implement on elements, beside the tile operations.
// Not the pointwise primitives of GraphIR, which are written in these, nor the formulas of transcendental ones, which rows of
// the table name. Surprise: comparisons give bool, minimum/maximum propagate NaN, shifts by 64 or more and float-to-integer
// conversions are defined.
import Foundation
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
  // Transcendental functions; floats only. Each row of the table has what they mean and a formula.
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

  /// How results follow the operands: what is known of a result whose operands are known as ranges only.
  package enum Course: Sendable {
    /// Up or down in each operand, the others standing still: the ends of the ranges decide.
    case monotone
    /// Up from 0; NaN below.
    case risingFromZero
    /// Between -1 and 1, of slope at most 1.
    case wave
    /// Poles, jumps or turns: whoever needs more has a rule.
    case other
  }

  /// A function that is no machine's instruction: what it means is libm's function in Double, and the formula says the same
  /// in basic instructions.
  typealias Transcendental = (
    meaning: @Sendable (_ x: Double, _ y: Double) -> Double,
    formula: @Sendable (_ x: ScalarExpr, _ y: ScalarExpr, BinaryFormat) -> ScalarExpr
  )

  /// A row of the table.
  private typealias Row = (operands: Int, class: Class, course: Course, function: Transcendental?)

  private var row: Row {
    switch self {
    case .negate: (1, .arithmetic, .monotone, nil)
    case .absolute: (1, .arithmetic, .other, nil)
    case .add, .subtract, .minimum, .maximum: (2, .arithmetic, .monotone, nil)
    case .multiply, .divide, .remainder: (2, .arithmetic, .other, nil)
    case .multiplyAdd: (3, .arithmetic, .other, nil)
    case .floor, .ceil, .truncate, .roundEven: (1, .floatOnly, .monotone, nil)
    case .squareRoot: (1, .floatOnly, .risingFromZero, nil)
    case .exp: (1, .floatOnly, .monotone, ({ x, _ in Foundation.exp(x) }, { ScalarMath.exp($0, $2) }))
    case .log: (1, .floatOnly, .risingFromZero, ({ x, _ in Foundation.log(x) }, { ScalarMath.log($0, $2) }))
    case .sin: (1, .floatOnly, .wave, ({ x, _ in Foundation.sin(x) }, { ScalarMath.sine($0, $2, quarterTurns: 0) }))
    case .cos: (1, .floatOnly, .wave, ({ x, _ in Foundation.cos(x) }, { ScalarMath.sine($0, $2, quarterTurns: 1) }))
    case .tanh: (1, .floatOnly, .monotone, ({ x, _ in Foundation.tanh(x) }, { ScalarMath.tanh($0, $2) }))
    case .erf: (1, .floatOnly, .monotone, ({ x, _ in Foundation.erf(x) }, { ScalarMath.erf($0, $2) }))
    case .atan: (1, .floatOnly, .monotone, ({ x, _ in Foundation.atan(x) }, { ScalarMath.atan($0, $2) }))
    case .power: (2, .floatOnly, .other, ({ Foundation.pow($0, $1) }, { ScalarMath.power($0, $1, $2) }))
    case .not: (1, .bits, .other, nil)
    case .and, .or, .xor: (2, .bits, .other, nil)
    case .shiftLeft, .shiftRight, .shiftRightLogical: (2, .shift, .other, nil)
    case .equal, .notEqual, .less, .lessOrEqual: (2, .comparison, .other, nil)
    case .select: (3, .select, .other, nil)
    }
  }

  package var operandCount: Int { row.operands }
  package var `class`: Class { row.class }
  package var course: Course { row.course }
  var transcendental: Transcendental? { row.function }
  /// Worth keeping in memory rather than computing twice: a transcendental function, which is made of a formula.
  package var isCostly: Bool { row.function != nil }

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

// The formulas of transcendental instructions, flattened once per process.
// Not the formulas themselves (Scalars). Surprise: nil means that no formula is known for the dtype.
import Scalars
import Synchronization
import TensorTypes

enum ScalarPrograms {
  /// What is computed: an instruction, how partial results meet, or a form of exp for what is known here.
  enum Formula: Hashable {
    case instruction(ScalarInstruction)
    case logAddExp
    case exponentialOfNonPositive
    case exponentialRemainder, exponentialMantissa, exponentialExponent
  }
  private struct Key: Hashable {
    var formula: Formula
    var dtype: DType
  }
  private static let known = Mutex<[Key: ScalarProgram]>([:])

  static func program(_ formula: Formula, _ dtype: DType) -> ScalarProgram? {
    let key = Key(formula: formula, dtype: dtype)
    if let program = known.withLock({ $0[key] }) { return program }
    var operands = 1
    let expression: ScalarExpr?
    switch formula {
    case .instruction(let instruction):
      operands = instruction.operandCount
      expression = ScalarMath.expansion(of: instruction, dtype: dtype)
    case .logAddExp:
      operands = 2
      expression = Monoid.formulaOfLogSumExp
    case .exponentialOfNonPositive: expression = ScalarMath.exponentialOfNonPositive(dtype: dtype)
    case .exponentialRemainder: expression = ScalarMath.exponentialParts(dtype: dtype)?.remainder
    case .exponentialMantissa: expression = ScalarMath.exponentialParts(dtype: dtype)?.mantissa
    case .exponentialExponent: expression = ScalarMath.exponentialParts(dtype: dtype)?.exponent
    }
    guard let expression, let program = ScalarProgram(expression, inputs: [DType](repeating: dtype, count: operands))
    else { return nil }
    known.withLock { $0[key] = program }
    return program
  }
}

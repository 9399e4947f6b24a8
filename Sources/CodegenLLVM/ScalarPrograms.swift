// The formulas of transcendental instructions, flattened once per process.
// Not the formulas themselves (Scalars). Surprise: nil means that no formula is known for the dtype.
import Scalars
import Synchronization
import TensorTypes

enum ScalarPrograms {
  private struct Key: Hashable {
    var instruction: ScalarInstruction
    var dtype: DType
  }
  private static let known = Mutex<[Key: ScalarProgram]>([:])

  static func program(_ instruction: ScalarInstruction, _ dtype: DType) -> ScalarProgram? {
    let key = Key(instruction: instruction, dtype: dtype)
    if let program = known.withLock({ $0[key] }) { return program }
    guard let expression = ScalarMath.expansion(of: instruction, dtype: dtype) else { return nil }
    let inputs = [DType](repeating: dtype, count: instruction.operandCount)
    guard let program = ScalarProgram(expression, inputs: inputs) else { return nil }
    known.withLock { $0[key] = program }
    return program
  }
}

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
    guard let expression = expansion(instruction, dtype) else { return nil }
    let inputs = [DType](repeating: dtype, count: instruction.operandCount)
    guard let program = ScalarProgram(expression, inputs: inputs) else { return nil }
    known.withLock { $0[key] = program }
    return program
  }

  /// Until Scalars has them: exp in f32 alone.
  private static func expansion(_ instruction: ScalarInstruction, _ dtype: DType) -> ScalarExpr? {
    guard instruction == .exp, dtype == .f32 else { return nil }
    let x = ScalarExpr.input(0)
    let low = ScalarExpr.apply(.maximum, x, -104.0)
    let bounded = ScalarExpr.apply(.minimum, low, 88.8)
    let n = ScalarExpr.apply(.roundEven, bounded * 1.44269504088896341)
    var r = ScalarExpr.apply(.multiplyAdd, n, -0.693359375, bounded)
    r = .apply(.multiplyAdd, n, 2.12194440e-4, r)
    var p = ScalarExpr.constant(1.9875691500E-4)
    for k in [1.3981999507E-3, 8.3334519073E-3, 4.1665795894E-2, 1.6666665459E-1, 5.0000001201E-1] {
      p = .apply(.multiplyAdd, p, r, .constant(k))
    }
    let y = ScalarExpr.apply(.multiplyAdd, p, r * r, r) + 1.0
    let whole = n.converted(to: .i32)
    let half = ScalarExpr.apply(.shiftRight, whole, 1)
    func power(_ e: ScalarExpr) -> ScalarExpr { ScalarExpr.apply(.shiftLeft, e + 127, 23).bitcast(to: .f32) }
    return y * power(half) * power(whole - half)
  }
}

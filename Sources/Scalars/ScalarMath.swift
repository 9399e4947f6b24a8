// Transcendental instructions as formulas in basic ones, for backends that have no better: branch-free, no tables.
// Not the meaning of the instructions (ScalarReference, by libm); tests compare the two. Surprise: rounding is part of
// the formulas, so they must be compiled without reassociation, and `multiplyAdd` must round once.
import TensorTypes

package enum ScalarMath {
  /// The instruction on `.input(0)` (and `.input(1)`) of `dtype`; nil where the instruction is basic, or not defined.
  /// Half floats compute in f32 and round once.
  package static func expansion(of instruction: ScalarInstruction, dtype: DType) -> ScalarExpr? {
    guard let format = BinaryFormat(dtype.computeDType) else { return nil }
    let wide = dtype.computeDType
    let x = ScalarExpr.input(0).converted(to: wide)
    let result: ScalarExpr
    switch instruction {
    case .exp: result = exp(x, format)
    case .log: result = log(x, format)
    case .sin: result = sine(x, format, quarterTurns: 0)
    case .cos: result = sine(x, format, quarterTurns: 1)
    case .tanh: result = tanh(x, format)
    case .erf: result = erf(x, format)
    case .atan: result = atan(x, format)
    case .power: result = power(x, ScalarExpr.input(1).converted(to: wide), format)
    default: return nil
    }
    return result.converted(to: dtype)
  }

  /// `low` where x is below it, `high` where x is above it; NaN stays. Not min and max: those need more instructions.
  static func clamped(_ x: ScalarExpr, _ low: Double, _ high: Double) -> ScalarExpr {
    let raised = (x .< .constant(low)).select(.constant(low), x)
    return (raised .> .constant(high)).select(.constant(high), raised)
  }
}

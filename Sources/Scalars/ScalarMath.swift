// Transcendental instructions as formulas in basic ones, for backends that have no better: branch-free, no tables.
// Not the meaning of the instructions (libm, in their table); tests compare the two. Surprise: rounding is part of
// the formulas, so they must be compiled without reassociation, and `multiplyAdd` must round once.
import TensorTypes

package enum ScalarMath {
  /// The instruction on `.input(0)` (and `.input(1)`) of `dtype`; nil where the instruction is basic, or not defined.
  /// Half floats compute in f32 and round once.
  package static func expansion(of instruction: ScalarInstruction, dtype: DType) -> ScalarExpr? {
    let wide = dtype.computeDType
    guard let format = BinaryFormat(wide), let function = instruction.transcendental else { return nil }
    let (x, y) = (ScalarExpr.input(0).converted(to: wide), ScalarExpr.input(1).converted(to: wide))
    return function.formula(x, y, format).converted(to: dtype)
  }

  /// `low` where x is below it, `high` where x is above it; NaN stays. Not min and max: those need more instructions.
  static func clamped(_ x: ScalarExpr, _ low: Double, _ high: Double) -> ScalarExpr {
    let raised = (x .< .constant(low)).select(.constant(low), x)
    return (raised .> .constant(high)).select(.constant(high), raised)
  }
}

// The records of pointwise primitives with one operand. Formulas of more than a line are in Scalars.
import Scalars
import TensorTypes

enum PointwiseUnary {
  private static let x = ScalarExpr.input(0)

  /// A record of a function of one element whose result has the operand's dtype, or bool.
  private static func record(
    _ primitive: Primitive, _ name: String, _ meaning: String, on dtypes: DTypes, _ formula: ScalarExpr,
    staysInStorage: Bool = false
  ) -> PrimitiveDefinition {
    PrimitiveDefinition(
      name: name, meaning: meaning, constraints: ["the operand is \(dtypes)"], lowering: .pointwise(formula),
      dtypes: dtypes, staysInStorage: staysInStorage, type: TypeRules.unary,
      make: { if case .none = $0 { primitive } else { nil } })
  }

  static let negate = record(.negate, "negate", "-x; integers wrap.", on: .numbers, -x)
  static let absolute = record(.absolute, "absolute", "|x|; integers wrap.", on: .numbers, .apply(.absolute, x))
  static let sign = record(
    .sign, "sign", "-1, 0 or 1; 0 for NaN.", on: .numbers,
    ScalarExpr(.convert(0 .< x, .input(0))) - ScalarExpr(.convert(x .< 0, .input(0))))

  static let floor = record(.floor, "floor", "The largest integer not above x.", on: .floats, .apply(.floor, x))
  static let ceil = record(.ceil, "ceil", "The smallest integer not below x.", on: .floats, .apply(.ceil, x))
  static let truncate = record(
    .truncate, "truncate", "The integer part of x.", on: .floats, .apply(.truncate, x))
  static let roundEven = record(
    .roundEven, "roundeven", "The nearest integer, ties to even.", on: .floats, .apply(.roundEven, x))

  static let squareRoot = record(
    .squareRoot, "sqrt", "The square root; NaN below 0.", on: .floats, .apply(.squareRoot, x))
  static let reciprocalSquareRoot = record(
    .reciprocalSquareRoot, "rsqrt", "1 / sqrt(x).", on: .floats, 1 / .apply(.squareRoot, x))
  static let reciprocal = record(.reciprocal, "reciprocal", "1 / x.", on: .floats, 1 / x)

  static let exp = record(.exp, "exp", "e^x.", on: .floats, .apply(.exp, x))
  static let exp2 = record(.exp2, "exp2", "2^x.", on: .floats, .exp2(x))
  static let expm1 = record(.expm1, "expm1", "e^x - 1, exact near 0.", on: .floats, .expm1(x))
  static let log = record(.log, "log", "The natural logarithm.", on: .floats, .apply(.log, x))
  static let log2 = record(.log2, "log2", "The logarithm to base 2.", on: .floats, .log2(x))
  static let log10 = record(.log10, "log10", "The logarithm to base 10.", on: .floats, .log10(x))
  static let log1p = record(.log1p, "log1p", "log(1 + x), exact near 0.", on: .floats, .log1p(x))

  static let sin = record(.sin, "sin", "The sine.", on: .floats, .apply(.sin, x))
  static let cos = record(.cos, "cos", "The cosine.", on: .floats, .apply(.cos, x))
  static let tan = record(.tan, "tan", "The tangent.", on: .floats, .tan(x))
  static let asin = record(.asin, "asin", "The inverse sine.", on: .floats, .asin(x))
  static let acos = record(.acos, "acos", "The inverse cosine.", on: .floats, .acos(x))
  static let atan = record(.atan, "atan", "The inverse tangent.", on: .floats, .apply(.atan, x))
  static let sinh = record(.sinh, "sinh", "The hyperbolic sine.", on: .floats, .sinh(x))
  static let cosh = record(.cosh, "cosh", "The hyperbolic cosine.", on: .floats, .cosh(x))
  static let tanh = record(.tanh, "tanh", "The hyperbolic tangent.", on: .floats, .apply(.tanh, x))
  static let asinh = record(
    .asinh, "asinh", "The inverse hyperbolic sine.", on: .floats, .asinh(x))
  static let acosh = record(
    .acosh, "acosh", "The inverse hyperbolic cosine.", on: .floats, .acosh(x))
  static let atanh = record(
    .atanh, "atanh", "The inverse hyperbolic tangent.", on: .floats, .atanh(x))

  static let sigmoid = record(
    .sigmoid, "sigmoid", "1 / (1 + e^-x).", on: .floats, .sigmoid(x))
  static let erf = record(.erf, "erf", "The error function.", on: .floats, .apply(.erf, x))
  static let erfc = record(
    .erfc, "erfc", "1 - erf(x), exact for large x.", on: .floats, .erfc(x))
  static let erfinv = record(
    .erfinv, "erfinv", "The inverse error function.", on: .floats, .erfinv(x))
  static let lgamma = record(.lgamma, "lgamma", "log |gamma(x)|.", on: .floats, .lgamma(x))
  static let digamma = record(
    .digamma, "digamma", "The derivative of log gamma(x).", on: .floats, .digamma(x))

  static let not = record(
    .not, "not", "Every bit inverted; of bool: the other truth.", on: .bits, .apply(.not, x))
  static let isNaN = record(.isNaN, "isnan", "Whether x is NaN (bool).", on: .floats, x .!= x)
  static let isFinite = record(
    .isFinite, "isfinite", "Whether x is neither NaN nor infinite (bool).", on: .floats,
    .apply(.absolute, x) .< .constant(.infinity))
  static let signBit = record(
    .signBit, "signbit", "Whether the sign bit is set (bool), also of -0 and NaN.", on: .floats,
    .signBit(x))

  /// By the raw value of the target.
  static let convert = DType.allCases.map { dtype in
    PrimitiveDefinition(
      name: "convert",
      meaning: "The value in another dtype: float to integer truncates and saturates, NaN gives 0, to bool is x != 0.",
      constraints: [],
      lowering: .pointwise(x.converted(to: dtype)), dtypes: .all, staysInStorage: true, type: TypeRules.convert,
      make: { if case .dtype(let dtype) = $0 { .convert(dtype) } else { nil } })
  }

  /// By the raw value of the target.
  static let bitcast = DType.allCases.map { dtype in
    PrimitiveDefinition(
      name: "bitcast",
      meaning: "The same bits as a dtype of equal size.",
      constraints: ["both dtypes have one size", "the target is not bool"],
      lowering: .pointwise(x.bitcast(to: dtype)), dtypes: .all, staysInStorage: true, type: TypeRules.bitcast,
      make: { if case .dtype(let dtype) = $0 { .bitcast(dtype) } else { nil } })
  }
}

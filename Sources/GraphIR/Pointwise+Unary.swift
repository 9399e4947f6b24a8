// The records of pointwise operations with one operand. Formulas of more than a line are in Scalars.
import Basics
import Scalars
import TensorTypes

extension Primitive {
  private static let x = ScalarExpr.input(0)

  /// A function of one element whose result has the operand's dtype, or bool.
  private static func unary(
    _ name: String, _ meaning: String, on dtypes: DTypes, _ formula: ScalarExpr
  ) -> Primitive {
    .pointwise(Pointwise(name, meaning, operands: 1, on: dtypes, formula))
  }

  package static let negate = unary("negate", "-x; integers wrap.", on: .numbers, -x)
  package static let absolute = unary("absolute", "|x|; integers wrap.", on: .numbers, .apply(.absolute, x))
  package static let sign = unary(
    "sign", "-1, 0 or 1; 0 for NaN.", on: .numbers,
    ScalarExpr(.convert(0 .< x, .input(0))) - ScalarExpr(.convert(x .< 0, .input(0))))

  package static let floor = unary("floor", "The largest integer not above x.", on: .floats, .apply(.floor, x))
  package static let ceil = unary("ceil", "The smallest integer not below x.", on: .floats, .apply(.ceil, x))
  package static let truncate = unary("truncate", "The integer part of x.", on: .floats, .apply(.truncate, x))
  package static let roundEven = unary(
    "roundeven", "The nearest integer, ties to even.", on: .floats, .apply(.roundEven, x))

  package static let squareRoot = unary("sqrt", "The square root; NaN below 0.", on: .floats, .apply(.squareRoot, x))
  package static let reciprocalSquareRoot = unary("rsqrt", "1 / sqrt(x).", on: .floats, 1 / .apply(.squareRoot, x))
  package static let reciprocal = unary("reciprocal", "1 / x.", on: .floats, 1 / x)

  package static let exp = unary("exp", "e^x.", on: .floats, .apply(.exp, x))
  package static let exp2 = unary("exp2", "2^x.", on: .floats, .exp2(x))
  package static let expm1 = unary("expm1", "e^x - 1, exact near 0.", on: .floats, .expm1(x))
  package static let log = unary("log", "The natural logarithm.", on: .floats, .apply(.log, x))
  package static let log2 = unary("log2", "The logarithm to base 2.", on: .floats, .log2(x))
  package static let log10 = unary("log10", "The logarithm to base 10.", on: .floats, .log10(x))
  package static let log1p = unary("log1p", "log(1 + x), exact near 0.", on: .floats, .log1p(x))

  package static let sin = unary("sin", "The sine.", on: .floats, .apply(.sin, x))
  package static let cos = unary("cos", "The cosine.", on: .floats, .apply(.cos, x))
  package static let tan = unary("tan", "The tangent.", on: .floats, .tan(x))
  package static let asin = unary("asin", "The inverse sine.", on: .floats, .asin(x))
  package static let acos = unary("acos", "The inverse cosine.", on: .floats, .acos(x))
  package static let atan = unary("atan", "The inverse tangent.", on: .floats, .apply(.atan, x))
  package static let sinh = unary("sinh", "The hyperbolic sine.", on: .floats, .sinh(x))
  package static let cosh = unary("cosh", "The hyperbolic cosine.", on: .floats, .cosh(x))
  package static let tanh = unary("tanh", "The hyperbolic tangent.", on: .floats, .apply(.tanh, x))
  package static let asinh = unary("asinh", "The inverse hyperbolic sine.", on: .floats, .asinh(x))
  package static let acosh = unary("acosh", "The inverse hyperbolic cosine.", on: .floats, .acosh(x))
  package static let atanh = unary("atanh", "The inverse hyperbolic tangent.", on: .floats, .atanh(x))

  package static let sigmoid = unary("sigmoid", "1 / (1 + e^-x).", on: .floats, .sigmoid(x))
  package static let erf = unary("erf", "The error function.", on: .floats, .apply(.erf, x))
  package static let erfc = unary("erfc", "1 - erf(x), exact for large x.", on: .floats, .erfc(x))
  package static let erfinv = unary("erfinv", "The inverse error function.", on: .floats, .erfinv(x))
  package static let lgamma = unary("lgamma", "log |gamma(x)|.", on: .floats, .lgamma(x))
  package static let digamma = unary("digamma", "The derivative of log gamma(x).", on: .floats, .digamma(x))

  package static let not = unary("not", "Every bit inverted; of bool: the other truth.", on: .bits, .apply(.not, x))
  package static let isNaN = unary("isnan", "Whether x is NaN (bool).", on: .floats, x .!= x)
  package static let isFinite = unary(
    "isfinite", "Whether x is neither NaN nor infinite (bool).", on: .floats,
    .apply(.absolute, x) .< .constant(.infinity))
  package static let signBit = unary(
    "signbit", "Whether the sign bit is set (bool), also of -0 and NaN.", on: .floats,
    .signBit(x))

  /// Those above, for who asks for all.
  static let unaryOperations: [Primitive] = [
    .negate, .absolute, .sign, .floor, .ceil, .truncate, .roundEven, .squareRoot, .reciprocalSquareRoot, .reciprocal,
    .exp, .exp2, .expm1, .log, .log2, .log10, .log1p, .sin, .cos, .tan, .asin, .acos, .atan, .sinh, .cosh, .tanh,
    .asinh, .acosh, .atanh, .sigmoid, .erf, .erfc, .erfinv, .lgamma, .digamma, .not, .isNaN, .isFinite, .signBit,
  ]
}

/// The records of what carries a dtype, by its raw value.
enum Conversions {
  static let samples: [Primitive] = [.convert(.f16), .bitcast(.i32)]

  static let convert = DType.allCases.map { dtype in
    PrimitiveDefinition(
      name: "convert",
      meaning: "The value in another dtype: float to integer truncates and saturates, NaN gives 0, to bool is x != 0.",
      constraints: [],
      formula: .input(0).converted(to: dtype), dtypes: .all, staysInStorage: true,
      type: { question throws(Diagnostic) in
        TensorType(dtype, try question.onlyOperand().shape)
      })
  }

  static let bitcast = DType.allCases.map { dtype in
    PrimitiveDefinition(
      name: "bitcast",
      meaning: "The same bits as a dtype of equal size.",
      constraints: ["both dtypes have one size", "the target is not bool"],
      formula: .input(0).bitcast(to: dtype), dtypes: .all, staysInStorage: true,
      type: { question throws(Diagnostic) in
        let operand = try question.onlyOperand()
        try question.require(
          operand.dtype.size == dtype.size, 1, .dtype,
          "\(operand.dtype) has \(operand.dtype.size) bytes, \(dtype) has \(dtype.size)")
        try question.require(dtype != .bool || operand.dtype == .bool, 2, .dtype, "from \(operand.dtype) to bool")
        return TensorType(dtype, operand.shape)
      })
  }
}

// Elementary functions, one element at a time: exponentials, roots, trigonometry, special functions.
// Not operators, rounding or masks, which have files of their own. Surprise: integers give f32, as in PyTorch.
import GraphIR

private enum Elementary {
  static let exp = PointwiseOperation(.exp, .floating)
  static let exp2 = PointwiseOperation(.exp2, .floating)
  static let expm1 = PointwiseOperation(.expm1, .floating)
  static let log = PointwiseOperation(.log, .floating)
  static let log2 = PointwiseOperation(.log2, .floating)
  static let log10 = PointwiseOperation(.log10, .floating)
  static let log1p = PointwiseOperation(.log1p, .floating)
  static let sqrt = PointwiseOperation(.squareRoot, .floating)
  static let rsqrt = PointwiseOperation(.reciprocalSquareRoot, .floating)
  static let reciprocal = PointwiseOperation(.reciprocal, .floating)
  static let sin = PointwiseOperation(.sin, .floating)
  static let cos = PointwiseOperation(.cos, .floating)
  static let tan = PointwiseOperation(.tan, .floating)
  static let asin = PointwiseOperation(.asin, .floating)
  static let acos = PointwiseOperation(.acos, .floating)
  static let atan = PointwiseOperation(.atan, .floating)
  static let sinh = PointwiseOperation(.sinh, .floating)
  static let cosh = PointwiseOperation(.cosh, .floating)
  static let tanh = PointwiseOperation(.tanh, .floating)
  static let asinh = PointwiseOperation(.asinh, .floating)
  static let acosh = PointwiseOperation(.acosh, .floating)
  static let atanh = PointwiseOperation(.atanh, .floating)
  static let sigmoid = PointwiseOperation(.sigmoid, .floating)
  static let erf = PointwiseOperation(.erf, .floating)
  static let erfc = PointwiseOperation(.erfc, .floating)
  static let erfinv = PointwiseOperation(.erfinv, .floating)
  static let lgamma = PointwiseOperation(.lgamma, .floating)
  static let digamma = PointwiseOperation(.digamma, .floating)
  static let square = PointwiseOperation("square", .promoted) { x in x[0] * x[0] }
  static let sinc = PointwiseOperation("sinc", .floating) { x in
    let angle = x[0] * Double.pi
    return (x[0] .== 0).select(1, angle.apply(.sin) / angle)
  }
  static let logit = PointwiseOperation("logit", .floating) { x in (x[0] / (1 - x[0])).log() }
  static let logitClamped = PointwiseOperation("logit clamped", .floating) { x in
    // Above a half the bounds cross, and PyTorch lets the lower one win where x is below it.
    let (low, high) = (x[1], 1 - x[1])
    let clamped = (x[0] .< low).select(low, (x[0] .> high).select(high, x[0]))
    return (clamped / (1 - clamped)).log()
  }
  static let radians = PointwiseOperation("radians", .floating) { x in x[0] * (Double.pi / 180) }
  static let degrees = PointwiseOperation("degrees", .floating) { x in x[0] * (180 / Double.pi) }
  static let power = PointwiseOperation("power", .promoted, roundsOperands: true) { x in
    x[0].dtype == .bool ? x[0] || !x[1] : x[0].power(x[1])
  }
  static let atan2 = PointwiseOperation(.atan2, .floating)
  static let hypot = PointwiseOperation("hypot", .floating) { x in
    let (a, b) = (x[0].abs(), x[1].abs())
    let (large, small) = (a.maximum(b), a.minimum(b))
    let ratio = (large .== 0).select(0, small / large)
    let length = large * (1 + ratio * ratio).sqrt()
    // An infinite side wins over NaN: that of infinity / infinity, and the other side.
    return ((a .== .infinity) || (b .== .infinity)).select(.infinity, length)
  }
  static let logAddExp = PointwiseOperation("logaddexp", .floating) { x in
    let large = x[0].maximum(x[1])
    let gap = -(x[0] - x[1]).abs()
    return (x[0] .== x[1]).select(x[0] + 0.6931471805599453, large + gap.exp().log1p())
  }
  static let logAddExp2 = PointwiseOperation("logaddexp2", .floating) { x in
    let large = x[0].maximum(x[1])
    let gap = -(x[0] - x[1]).abs()
    return (x[0] .== x[1]).select(x[0] + 1, large + gap.apply(.exp2).log1p() * 1.4426950408889634)
  }
  static let xlogy = PointwiseOperation("xlogy", .floating) { x in
    x[1].isNaN.select(x[1], (x[0] .== 0).select(0, x[0] * x[1].log()))
  }
  static let xlog1py = PointwiseOperation("xlog1py", .floating) { x in
    x[1].isNaN.select(x[1], (x[0] .== 0).select(0, x[0] * x[1].log1p()))
  }
  /// By powers of two that all are normal numbers. Going down, the first ones leave so much to the last that digits are
  /// lost only once.
  static let ldexp = PointwiseOperation("ldexp", .floating) { x in
    let (highest, lowest, digits) = x[0].dtype == .f64 ? (1023, -1022, 53) : (127, -126, 24)
    var (scaled, exponent) = (x[0], x[1])
    func step(_ condition: Term, _ power: Int) {
      let factor = Double(sign: .plus, exponent: power, significand: 1)
      scaled = scaled * condition.select(factor, 1, scaled.dtype)
      exponent = exponent - condition.select(Double(power), 0, exponent.dtype)
    }
    for _ in 0..<2 {
      step(exponent .> Double(highest), highest)
      step(exponent .< Double(lowest), lowest + digits)
    }
    // What is left beyond changes no 0 and no infinity; an infinite exponent makes NaN of them.
    let isFinite = exponent - exponent .== 0
    let last = exponent.minimum(Double(highest)).maximum(exponent.constant(Double(lowest)))
    return scaled * isFinite.select(last, exponent).apply(.exp2)
  }
}

extension Tensor {
  /// e^x. PyTorch: `exp`.
  public func exp(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.exp(file, line, operand)
  }

  /// 2^x. PyTorch: `exp2`.
  public func exp2(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.exp2(file, line, operand)
  }

  /// e^x - 1, exact near 0. PyTorch: `expm1`.
  public func expm1(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.expm1(file, line, operand)
  }

  /// The natural logarithm. PyTorch: `log`.
  public func log(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.log(file, line, operand)
  }

  /// The logarithm to base 2. PyTorch: `log2`.
  public func log2(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.log2(file, line, operand)
  }

  /// The logarithm to base 10. PyTorch: `log10`.
  public func log10(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.log10(file, line, operand)
  }

  /// log(1 + x), exact near 0. PyTorch: `log1p`.
  public func log1p(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.log1p(file, line, operand)
  }

  /// The square root; NaN below 0. PyTorch: `sqrt`.
  public func sqrt(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.sqrt(file, line, operand)
  }

  /// 1 / sqrt(x). PyTorch: `rsqrt`.
  public func rsqrt(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.rsqrt(file, line, operand)
  }

  /// 1 / x. PyTorch: `reciprocal`.
  public func reciprocal(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.reciprocal(file, line, operand)
  }

  /// The sine. PyTorch: `sin`.
  public func sin(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.sin(file, line, operand)
  }

  /// The cosine. PyTorch: `cos`.
  public func cos(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.cos(file, line, operand)
  }

  /// The tangent. PyTorch: `tan`.
  public func tan(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.tan(file, line, operand)
  }

  /// The inverse sine. PyTorch: `asin`.
  public func asin(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.asin(file, line, operand)
  }

  /// The inverse cosine. PyTorch: `acos`.
  public func acos(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.acos(file, line, operand)
  }

  /// The inverse tangent. PyTorch: `atan`.
  public func atan(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.atan(file, line, operand)
  }

  /// The hyperbolic sine. PyTorch: `sinh`.
  public func sinh(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.sinh(file, line, operand)
  }

  /// The hyperbolic cosine. PyTorch: `cosh`.
  public func cosh(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.cosh(file, line, operand)
  }

  /// The hyperbolic tangent. PyTorch: `tanh`.
  public func tanh(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.tanh(file, line, operand)
  }

  /// The inverse hyperbolic sine. PyTorch: `asinh`.
  public func asinh(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.asinh(file, line, operand)
  }

  /// The inverse hyperbolic cosine. PyTorch: `acosh`.
  public func acosh(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.acosh(file, line, operand)
  }

  /// The inverse hyperbolic tangent. PyTorch: `atanh`.
  public func atanh(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.atanh(file, line, operand)
  }

  /// 1 / (1 + e^-x). PyTorch: `sigmoid`.
  public func sigmoid(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.sigmoid(file, line, operand)
  }

  /// The error function. PyTorch: `erf`.
  public func erf(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.erf(file, line, operand)
  }

  /// 1 - erf(x), exact for large x. PyTorch: `erfc`.
  public func erfc(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.erfc(file, line, operand)
  }

  /// The inverse error function. PyTorch: `erfinv`.
  public func erfinv(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.erfinv(file, line, operand)
  }

  /// log |gamma(x)|. PyTorch: `lgamma`.
  public func lgamma(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.lgamma(file, line, operand)
  }

  /// The derivative of log gamma(x). PyTorch: `digamma`.
  public func digamma(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.digamma(file, line, operand)
  }

  /// x · x. PyTorch: `square`.
  public func square(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    // A power of truth is an integer, as in PyTorch.
    if failure == nil, dtype == .bool { return converted(to: .i64, file: file, line: line) }
    return Elementary.square(file, line, operand)
  }

  /// sin(πx) / (πx); 1 at 0. PyTorch: `sinc`.
  public func sinc(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.sinc(file, line, operand)
  }

  /// Degrees as radians. PyTorch: `deg2rad`.
  public func radians(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.radians(file, line, operand)
  }

  /// Radians as degrees. PyTorch: `rad2deg`.
  public func degrees(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.degrees(file, line, operand)
  }

  /// log(x / (1 - x)), with x kept `eps` away from 0 and 1 if given. PyTorch: `logit`.
  public func logit(eps: Double? = nil, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    guard let eps else { return Elementary.logit(file, line, operand) }
    return Elementary.logitClamped(file, line, operand, .scalar(.floating(eps)))
  }

  /// x^exponent; integers wrap. PyTorch: `pow`.
  public func power(_ exponent: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.power(file, line, operand, exponent.operand)
  }

  /// The angle of the point (x, self). PyTorch: `atan2`.
  public func atan2(_ x: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.atan2(file, line, operand, x.operand)
  }

  /// sqrt(x² + other²), without overflow on the way. PyTorch: `hypot`.
  public func hypot(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.hypot(file, line, operand, other.operand)
  }

  /// log(e^x + e^other). PyTorch: `logaddexp`.
  public func logAddExp(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.logAddExp(file, line, operand, other.operand)
  }

  /// log2(2^x + 2^other). PyTorch: `logaddexp2`.
  public func logAddExp2(_ other: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.logAddExp2(file, line, operand, other.operand)
  }

  /// x · log(y); 0 where x is 0. PyTorch: `xlogy`.
  public func xlogy(_ y: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.xlogy(file, line, operand, y.operand)
  }

  /// x · log(1 + y); 0 where x is 0. PyTorch: `special.xlog1py`.
  public func xlog1py(_ y: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.xlog1py(file, line, operand, y.operand)
  }

  /// x · 2^exponent. PyTorch: `ldexp`.
  public func ldexp(_ exponent: some TensorOrScalar, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Elementary.ldexp(file, line, operand, exponent.operand)
  }
}

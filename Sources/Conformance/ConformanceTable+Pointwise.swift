// Pointwise operators: arithmetic, elementary functions, rounding, comparisons, masks.
import Basics
import TensorTypes
import Tensors

extension ConformanceTable {
  mutating func addPointwise() {
    addArithmetic()
    addPowers()
    addBounds()
    addBits()
    addElementary()
    addComparisons()
    addConversions()
  }

  private mutating func addArithmetic() {
    tensor("add", "__radd__") { a throws(Diagnostic) in
      if let number = a.number(1, "other"), a.value(-1, "alpha") == nil { return try a.tensor(0) + number }
      let other = try a.tensor(1, "other")
      guard let alpha = a.value(-1, "alpha")?.asTensor else { return try a.tensor(0) + other }
      return try a.tensor(0) + alpha * other
    }
    tensor("sub") { a throws(Diagnostic) in
      if let number = a.number(1, "other"), a.value(-1, "alpha") == nil { return try a.tensor(0) - number }
      let other = try a.tensor(1, "other")
      guard let alpha = a.value(-1, "alpha")?.asTensor else { return try a.tensor(0) - other }
      return try a.tensor(0) - alpha * other
    }
    tensor("rsub", "__rsub__") { a throws(Diagnostic) in
      let x = try a.tensor(0)
      guard let alpha = a.value(-1, "alpha")?.asTensor else { return try a.tensor(1, "other") - x }
      return try a.tensor(1, "other") - alpha * x
    }
    binary("mul", "__rmul__", number: { $0 * $1 }) { $0 * $1 }
    tensor("div", "true_divide") { a throws(Diagnostic) in
      let x = try a.tensor(0)
      if let number = a.number(1, "other"), a.value(-1, "rounding_mode") == nil { return x / number }
      switch (a.string(-1, "rounding_mode"), a.tensorOrNumber(1, "other")) {
      case ("trunc", let y?): return x.divided(by: y, rounding: .truncated)
      case ("floor", let y?): return x.divided(by: y, rounding: .floored)
      default: return try x / a.tensor(1, "other")
      }
    }
    binary("__rdiv__") { $1 / $0 }
    either("floor_divide") { $0.floorDivided(by: $1) }
    binary("remainder", number: { $0 % $1 }) { $0 % $1 }
    binary("__rmod__") { $1 % $0 }
    binary("fmod", number: { $0.truncatedRemainder($1) }) { $0.truncatedRemainder($1) }
    unary("neg", "negative") { -$0 }
    unary("positive") { $0 }
    unary("abs") { $0.abs() }
    unary("sign", "sgn") { $0.sign() }
    either("copysign") { $0.copySign($1) }
    either("nextafter") { $0.nextAfter($1) }
    tensor("addcmul") { a throws(Diagnostic) in
      try a.tensor(0).addingProduct(a.tensor(1), a.tensor(2), value: a.number(-1, "value") ?? .integer(1))
    }
    tensor("addcdiv") { a throws(Diagnostic) in
      try a.tensor(0).addingQuotient(a.tensor(1), a.tensor(2), value: a.number(-1, "value") ?? .integer(1))
    }
    tensor("lerp") { a throws(Diagnostic) in try a.tensor(0).lerp(a.tensor(1, "end"), a.tensor(2, "weight")) }
  }

  private mutating func addPowers() {
    tensor("pow") { a throws(Diagnostic) in
      if let number = a.number(1, "exponent") { return try a.tensor(0).power(number) }
      return try a.tensor(0).power(a.tensor(1, "exponent"))
    }
    binary("__rpow__") { $1.power($0) }
    tensor("float_power") { a throws(Diagnostic) in
      let x = try a.tensor(0).converted(to: .f64)
      if let number = a.number(1, "exponent") { return x.power(number) }
      return x.power(try a.tensor(1, "exponent").converted(to: .f64))
    }
    unary("square") { $0.square() }
  }

  private mutating func addBounds() {
    tensor("clamp", "clip") { a throws(Diagnostic) in
      let x = try a.tensor(0)
      switch (a.tensorOrNumber(1, "min"), a.tensorOrNumber(2, "max")) {
      case (let low?, let high?): return x.clamped(low, high)
      case (let low?, nil): return x.clamped(min: low)
      case (nil, let high?): return x.clamped(max: high)
      case (nil, nil): return x
      }
    }
    tensor("clamp_min") { a throws(Diagnostic) in
      guard let low = a.tensorOrNumber(1, "min") else { return try a.tensor(0) }
      return try a.tensor(0).clamped(min: low)
    }
    tensor("clamp_max") { a throws(Diagnostic) in
      guard let high = a.tensorOrNumber(1, "max") else { return try a.tensor(0) }
      return try a.tensor(0).clamped(max: high)
    }
    either("maximum", "max.binary") { $0.maximum($1) }
    either("minimum", "min.binary") { $0.minimum($1) }
    either("fmax") { $0.numberMaximum($1) }
    either("fmin") { $0.numberMinimum($1) }
    tensor("heaviside") { a throws(Diagnostic) in
      guard let values = a.tensorOrNumber(1, "values") else { return try a.tensor(0).heaviside(a.tensor(1, "values")) }
      return try a.tensor(0).heaviside(values)
    }
  }

  private mutating func addBits() {
    binary("bitwise_and", "__rand__") { $0 & $1 }
    binary("bitwise_or", "__ror__") { $0 | $1 }
    binary("bitwise_xor", "__rxor__") { $0 ^ $1 }
    unary("bitwise_not") { ~$0 }
    binary("bitwise_left_shift") { $0 << $1 }
    binary("bitwise_right_shift") { $0 >> $1 }
  }

  private mutating func addElementary() {
    unary("exp") { $0.exp() }
    unary("exp2") { $0.exp2() }
    unary("expm1") { $0.expm1() }
    unary("log") { $0.log() }
    unary("log2") { $0.log2() }
    unary("log10") { $0.log10() }
    unary("log1p") { $0.log1p() }
    unary("sqrt") { $0.sqrt() }
    unary("rsqrt") { $0.rsqrt() }
    unary("reciprocal") { $0.reciprocal() }
    unary("sin") { $0.sin() }
    unary("cos") { $0.cos() }
    unary("tan") { $0.tan() }
    unary("asin") { $0.asin() }
    unary("acos") { $0.acos() }
    unary("atan") { $0.atan() }
    unary("sinh") { $0.sinh() }
    unary("cosh") { $0.cosh() }
    unary("tanh") { $0.tanh() }
    unary("asinh") { $0.asinh() }
    unary("acosh") { $0.acosh() }
    unary("atanh") { $0.atanh() }
    unary("sigmoid") { $0.sigmoid() }
    unary("erf") { $0.erf() }
    unary("erfc") { $0.erfc() }
    unary("erfinv") { $0.erfinv() }
    unary("lgamma") { $0.lgamma() }
    unary("digamma") { $0.digamma() }
    unary("sinc") { $0.sinc() }
    unary("deg2rad") { $0.radians() }
    unary("rad2deg") { $0.degrees() }
    tensor("logit") { a throws(Diagnostic) in try a.tensor(0).logit(eps: a.double(1, "eps")) }
    either("atan2") { $0.atan2($1) }
    either("hypot") { $0.hypot($1) }
    either("logaddexp") { $0.logAddExp($1) }
    either("logaddexp2") { $0.logAddExp2($1) }
    either("xlogy") { $0.xlogy($1) }
    binary("special.xlog1py") { $0.xlog1py($1) }
    either("ldexp") { $0.ldexp($1) }
    unary("floor") { $0.floor() }
    unary("ceil") { $0.ceil() }
    unary("trunc") { $0.truncated() }
    unary("frac") { $0.fraction() }
    tensor("round") { a throws(Diagnostic) in try a.tensor(0).rounded(decimals: a.int(-1, "decimals", else: 0)) }
    tensor("nan_to_num") { a throws(Diagnostic) in
      try a.tensor(0).replacingNaN(
        with: a.double(1, "nan", else: 0), positiveInfinity: a.double(2, "posinf"),
        negativeInfinity: a.double(3, "neginf"))
    }
  }

  private mutating func addComparisons() {
    binary("eq", number: { $0 .== $1 }) { $0 .== $1 }
    binary("ne", number: { $0 .!= $1 }) { $0 .!= $1 }
    binary("lt", number: { $0 < $1 }) { $0 < $1 }
    binary("le", number: { $0 <= $1 }) { $0 <= $1 }
    binary("gt", number: { $0 > $1 }) { $0 > $1 }
    binary("ge", number: { $0 >= $1 }) { $0 >= $1 }
    either("logical_and") { $0.logicalAnd($1) }
    either("logical_or") { $0.logicalOr($1) }
    either("logical_xor") { $0.logicalXor($1) }
    unary("logical_not") { $0.logicalNot() }
    unary("isnan") { $0.isNaN() }
    unary("isfinite") { $0.isFinite() }
    unary("isinf") { $0.isInfinite() }
    unary("isposinf") { $0.isPositiveInfinity() }
    unary("isneginf") { $0.isNegativeInfinity() }
    unary("isreal") { .ones(like: $0, dtype: .bool) }
    unary("signbit") { $0.signBit() }
    tensor("isclose") { a throws(Diagnostic) in
      try a.tensor(0).isClose(
        to: a.tensor(1, "other"), relative: a.double(-1, "rtol", else: 1e-5),
        absolute: a.double(-1, "atol", else: 1e-8),
        equalNaN: a.bool(-1, "equal_nan"))
    }
    add("allclose") { a throws(Diagnostic) in
      .bool(
        try a.tensor(0).isAllClose(
          to: a.tensor(1, "other"), relative: a.double(-1, "rtol", else: 1e-5),
          absolute: a.double(-1, "atol", else: 1e-8), equalNaN: a.bool(-1, "equal_nan")))
    }
    add("equal") { a throws(Diagnostic) in .bool(try a.tensor(0).isEqual(to: a.tensor(1, "other"))) }
    tensor("where") { a throws(Diagnostic) in
      // The recorder passes the tensor first: x.where(mask, other).
      try a.tensor(0).kept(where: a.tensor(1, "condition"), else: a.tensor(2, "other"))
    }
    tensor("masked_fill") { a throws(Diagnostic) in
      try a.tensor(0).filled(where: a.tensor(1, "mask"), with: a.tensor(2, "value"))
    }
  }

  private mutating func addConversions() {
    let conversions: [(String, DType)] = [
      ("bfloat16", .bf16), ("bool", .bool), ("byte", .u8), ("char", .i8), ("double", .f64), ("float", .f32),
      ("half", .f16), ("int", .i32), ("long", .i64), ("short", .i16),
    ]
    for (name, dtype) in conversions { unary(name) { $0.converted(to: dtype) } }
    tensor("to") { a throws(Diagnostic) in
      for place in 1..<Swift.max(a.places.count, 1) {
        if case .tensor(let other)? = a.value(place) { return try a.tensor(0).converted(to: other.dtype) }
        if let dtype = try a.dtype(place) { return try a.tensor(0).converted(to: dtype) }
      }
      return try a.tensor(0).converted(to: a.dtype(else: a.tensor(0).dtype))
    }
    unary("clone", "contiguous", "alias_copy") { $0.copied() }
    add("item") { a throws(Diagnostic) in .number(try a.tensor(0).item(as: Double.self)) }
  }
}

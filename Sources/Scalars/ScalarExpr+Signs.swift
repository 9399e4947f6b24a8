// Formulas on signs, neighbours, quotients and whole powers, as PyTorch defines them. Not approximations: all are exact.
// Surprise: the sign bit counts, so -0 and NaNs have signs here.
import TensorTypes

extension ScalarExpr {
  /// Whether the sign bit is set (bool), also of -0 and NaN; for integers whether x < 0.
  package static func signBit(_ x: ScalarExpr) -> ScalarExpr {
    .typed(x) { dtype, operands in
      guard let format = BinaryFormat(dtype) else { return operands[0] .< 0 }
      return format.bits(operands[0]) .< 0
    }
  }

  /// |x| with the sign bit of y.
  package static func copySign(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    .typed(x, y) { dtype, operands in
      guard let format = BinaryFormat(dtype) else {
        let magnitude = absolute(operands[0])
        return (operands[1] .< 0).select(-magnitude, magnitude)
      }
      return format.withSign(absolute(operands[0]), format.signBits(operands[1]))
    }
  }

  /// The next value of the dtype after x in the direction of y; of half floats too. nil (no program) for integers.
  package static func nextAfter(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    .typed(x, y) { dtype, operands in
      guard let format = BinaryFormat(dtype) else { return .apply(.floor, operands[0]) }
      let (x, y) = (operands[0], operands[1])
      let bits = format.bits(x)
      // Away from zero the bits grow, as an integer, whatever the sign.
      let grows = ScalarExpr.apply(.equal, x .< y, x .> 0.0)
      let stepped = format.float(bits + grows.select(1, -1))
      let smallest = format.float(.apply(.or, format.signBits(y), 1))
      let moved = (x .== 0.0).select(smallest, stepped)
      let result = (x .== y).select(y, moved)
      return (x .!= x).select(x, (y .!= y).select(y, result))
    }
  }

  /// x / y rounded toward minus infinity, as `torch.floor_divide`: 1 // 0.1 is 9. Integers fault where y is 0.
  package static func floorDivide(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    .typed(x, y) { dtype, operands in
      let (x, y) = (operands[0], operands[1])
      guard dtype.isFloating else {
        let quotient = x / y
        return disagree(x - quotient * y, y).select(quotient - 1, quotient)
      }
      let rest = ScalarExpr.apply(.remainder, x, y)
      let exact = (x - rest) / y
      let quotient = disagree(rest, y).select(exact - 1.0, exact)
      let below = ScalarExpr.apply(.floor, quotient)
      let whole = ((quotient - below) .> 0.5).select(below + 1.0, below)
      let result = (quotient .== 0.0).select(copySign(quotient, x / y), whole)
      return (y .== 0.0).select(x / y, result)
    }
  }

  /// Python's `%`: the remainder with the sign of y. Integers fault where y is 0; floats give NaN.
  package static func remainder(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    let rest = ScalarExpr.apply(.remainder, x, y)
    return disagree(rest, y).select(rest + y, rest)
  }

  /// A remainder that is not 0 and has not the sign of the divisor.
  private static func disagree(_ rest: ScalarExpr, _ divisor: ScalarExpr) -> ScalarExpr {
    .apply(.and, rest .!= 0, .apply(.xor, rest .< 0, divisor .< 0))
  }

  /// x^y of integers, by squaring; wraps. A negative y gives 0 unless x is 1 or -1.
  package static func integerPower(_ x: ScalarExpr, _ y: ScalarExpr) -> ScalarExpr {
    .typed(x, y) { dtype, operands in
      let (x, y) = (operands[0], operands[1])
      func isOdd(_ value: ScalarExpr) -> ScalarExpr { .apply(.and, value, 1) .!= 0 }
      var square = x
      var exponent = y
      var result = isOdd(y).select(x, 1)
      // One step for each bit that an exponent can have.
      for _ in 1..<(dtype.size * 8 - (dtype.isSigned ? 1 : 0)) {
        square = square * square
        exponent = .apply(.shiftRight, exponent, 1)
        result = isOdd(exponent).select(result * square, result)
      }
      let inverse = (x .== 1).select(x, (x .== -1).select(isOdd(y).select(x, -x), x - x))
      return (y .< 0).select(inverse, result)
    }
  }
}

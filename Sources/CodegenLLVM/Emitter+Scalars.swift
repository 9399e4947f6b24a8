// Every ScalarInstruction on registers of any dtype and width. The semantics are ScalarInstruction's comments.
// Not libm: transcendental functions are formulas in these instructions (ScalarMath), expanded and emitted inline.
// Surprise: nothing here may become a library call, so rounding, fma and conversions have a spelled-out form for old targets.
import CLLVM
import Scalars
import TensorTypes

extension Emitter {
  /// `dtype` is that of the value operands. `onZeroDivisor` is told which lanes divide by zero.
  func apply(
    _ instruction: ScalarInstruction, _ a: [IR], _ dtype: DType, onZeroDivisor: (IR) -> Void
  ) -> IR {
    if dtype == .f16 || dtype == .bf16, instruction != .select {
      let wide = a.map { widened($0, dtype) }
      let result = apply(instruction, wide, .f32, onZeroDivisor: onZeroDivisor)
      return instruction.class == .comparison ? result : narrowed(result, dtype)
    }
    let isFloat = dtype.isFloating
    switch instruction {
    case .add: return binary(isFloat ? LLVMFAdd : LLVMAdd, a[0], a[1])
    case .subtract: return binary(isFloat ? LLVMFSub : LLVMSub, a[0], a[1])
    case .multiply: return binary(isFloat ? LLVMFMul : LLVMMul, a[0], a[1])
    case .divide: return isFloat ? binary(LLVMFDiv, a[0], a[1]) : divided(a, dtype, remainder: false, onZeroDivisor)
    case .remainder: return isFloat ? floatRemainder(a, dtype) : divided(a, dtype, remainder: true, onZeroDivisor)
    case .multiplyAdd: return isFloat ? fused(a, dtype) : add(binary(LLVMMul, a[0], a[1]), a[2])
    case .negate: return isFloat ? LLVMBuildFNeg(builder, a[0], "") : LLVMBuildNeg(builder, a[0], "")
    case .absolute:
      if isFloat { return magnitude(a[0]) }
      return dtype.isSigned ? call("llvm.abs", [LLVMTypeOf(a[0])], [a[0], flag(false)]) : a[0]
    case .minimum, .maximum: return extremum(a, dtype, maximum: instruction == .maximum)
    case .floor, .ceil, .truncate, .roundEven: return rounded(instruction, a[0], dtype)
    case .squareRoot: return call("llvm.sqrt", a[0])
    case .and: return and(a[0], a[1])
    case .or: return or(a[0], a[1])
    case .xor: return binary(LLVMXor, a[0], a[1])
    case .not: return not(a[0])
    case .shiftLeft, .shiftRight, .shiftRightLogical: return shifted(instruction, a, dtype)
    case .equal: return isFloat ? compare(LLVMRealOEQ, a[0], a[1]) : compare(LLVMIntEQ, a[0], a[1])
    case .notEqual: return isFloat ? compare(LLVMRealUNE, a[0], a[1]) : compare(LLVMIntNE, a[0], a[1])
    case .less, .lessOrEqual: return ordered(instruction, a, dtype)
    case .select: return select(a[0], a[1], a[2])
    default: return transcendental(instruction, a, dtype, onZeroDivisor: onZeroDivisor)
    }
  }

  private func ordered(_ instruction: ScalarInstruction, _ a: [IR], _ dtype: DType) -> IR {
    let strict = instruction == .less
    if dtype.isFloating { return compare(strict ? LLVMRealOLT : LLVMRealOLE, a[0], a[1]) }
    if dtype.isSigned { return compare(strict ? LLVMIntSLT : LLVMIntSLE, a[0], a[1]) }
    return compare(strict ? LLVMIntULT : LLVMIntULE, a[0], a[1])
  }

  /// The select forms below are one max instruction, one unordered compare and one blend on x86.
  func extremum(_ a: [IR], _ dtype: DType, maximum: Bool) -> IR {
    if dtype == .bool { return maximum ? or(a[0], a[1]) : and(a[0], a[1]) }
    guard dtype.isFloating else {
      let name = (dtype.isSigned ? "llvm.s" : "llvm.u") + (maximum ? "max" : "min")
      return call(name, a[0], a[1])
    }
    let chosen = select(compare(maximum ? LLVMRealOGT : LLVMRealOLT, a[0], a[1]), a[0], a[1])
    return select(compare(LLVMRealUNO, a[0], a[0]), a[0], chosen)
  }

  private func divided(_ a: [IR], _ dtype: DType, remainder: Bool, _ onZeroDivisor: (IR) -> Void) -> IR {
    let zero = integer(0, like: a[1])
    let byZero = compare(LLVMIntEQ, a[1], zero)
    // Nothing to report only where every lane's divisor is a number other than 0.
    if LLVMIsNull(byZero) == 0 { onZeroDivisor(byZero) }
    var safe = select(byZero, integer(1, like: a[1]), a[1])
    guard dtype.isSigned else {
      return select(byZero, zero, binary(remainder ? LLVMURem : LLVMUDiv, a[0], safe))
    }
    // The one quotient that overflows wraps to itself, as if divided by 1.
    let lowest = integer(dtype.integerRange?.lowerBound ?? 0, like: a[0])
    let overflows = and(compare(LLVMIntEQ, a[0], lowest), compare(LLVMIntEQ, a[1], integer(-1, like: a[1])))
    safe = select(overflows, integer(1, like: a[1]), safe)
    return select(byZero, zero, binary(remainder ? LLVMSRem : LLVMSDiv, a[0], safe))
  }

  private func shifted(_ instruction: ScalarInstruction, _ a: [IR], _ dtype: DType) -> IR {
    let width = Int64(dtype.size * 8)
    let inside = compare(LLVMIntULT, a[1], integer(width, like: a[1]))
    if instruction == .shiftRight, dtype.isSigned {
      return binary(LLVMAShr, a[0], select(inside, a[1], integer(width - 1, like: a[1])))
    }
    let amount = select(inside, a[1], integer(0, like: a[1]))
    let moved = binary(instruction == .shiftLeft ? LLVMShl : LLVMLShr, a[0], amount)
    return select(inside, moved, integer(0, like: a[0]))
  }

  // MARK: Rounding and fma

  private func rounded(_ instruction: ScalarInstruction, _ x: IR, _ dtype: DType) -> IR {
    let name: String
    switch instruction {
    case .floor: name = "llvm.floor"
    case .ceil: name = "llvm.ceil"
    case .truncate: name = "llvm.trunc"
    case _: name = "llvm.roundeven"
    }
    if target.hasRounding { return call(name, x) }
    // Adding and subtracting 2^mantissa rounds to even; larger values are integral (or NaN) already.
    let lanes = lanes(x)
    let big = real(dtype == .f64 ? 0x1p52 : 0x1p23, dtype, lanes)
    let magnitude = self.magnitude(x)
    let near = binary(LLVMFSub, binary(LLVMFAdd, magnitude, big), big)
    let one = real(1, dtype, lanes)
    let zero = real(0, dtype, lanes)
    let isNegative = compare(LLVMIntSLT, bits(x, dtype), LLVMConstNull(bitsType(dtype, lanes)))
    var result = near
    switch instruction {
    case .truncate: result = binary(LLVMFSub, near, select(compare(LLVMRealOGT, near, magnitude), one, zero))
    case .floor, .ceil:
      // On magnitudes: away from zero where the sign asks for it, towards zero elsewhere.
      let below = binary(LLVMFSub, near, select(compare(LLVMRealOGT, near, magnitude), one, zero))
      let above = binary(LLVMFAdd, near, select(compare(LLVMRealOLT, near, magnitude), one, zero))
      result = instruction == .floor ? select(isNegative, above, below) : select(isNegative, below, above)
    case _: break
    }
    result = call("llvm.copysign", result, x)
    return select(compare(LLVMRealOLT, magnitude, big), result, x)
  }

  func fused(_ a: [IR], _ dtype: DType) -> IR {
    if target.hasFusedMultiplyAdd { return call("llvm.fma", [LLVMTypeOf(a[0])], a) }
    return dtype == .f32 ? fusedInDouble(a) : fusedByParts(a, dtype)
  }

  /// The product of two f32 is exact in f64; the sum is rounded to odd there, so that the last rounding is the only one.
  private func fusedInDouble(_ a: [IR]) -> IR {
    let wide = a.map { cast(LLVMFPExt, $0, f64) }
    let product = binary(LLVMFMul, wide[0], wide[1])
    let (sum, error) = exactSum(product, wide[2])
    return cast(LLVMFPTrunc, roundedToOdd(sum, error), f32)
  }

  private func roundedToOdd(_ sum: IR, _ error: IR) -> IR {
    let lanes = lanes(sum)
    let zero = real(0, .f64, lanes)
    let raw = bits(sum, .f64)
    let isEven = compare(LLVMIntEQ, and(raw, integer(1, like: raw)), integer(0, like: raw))
    // Magnitude grows where the error has the sum's sign.
    let sameSign = compare(
      LLVMIntSGE, binary(LLVMXor, raw, bits(error, .f64)), LLVMConstNull(LLVMTypeOf(raw)))
    let step = select(sameSign, integer(1, like: raw), integer(-1, like: raw))
    let isInexact = and(compare(LLVMRealOLT, zero, magnitude(error)), finite(sum))
    let moved = select(and(isEven, isInexact), add(raw, step), raw)
    return LLVMBuildCast(builder, LLVMBitCast, moved, vector(f64, lanes), "")
  }

  private func finite(_ x: IR) -> IR {
    compare(LLVMRealOLT, magnitude(x), real(.infinity, .f64, lanes(x)))
  }

  /// Knuth's two-sum: a + b = sum + error exactly.
  func exactSum(_ a: IR, _ b: IR) -> (sum: IR, error: IR) {
    let sum = binary(LLVMFAdd, a, b)
    let other = binary(LLVMFSub, sum, a)
    let error = binary(
      LLVMFAdd, binary(LLVMFSub, a, binary(LLVMFSub, sum, other)), binary(LLVMFSub, b, other))
    return (sum, error)
  }

  /// f64 without hardware: Dekker's exact product. Within half a unit and a hair; factors beyond 2^996 overflow.
  private func fusedByParts(_ a: [IR], _ dtype: DType) -> IR {
    let splitter = real(0x1p27 + 1, dtype, lanes(a[0]))
    func halves(_ x: IR) -> (high: IR, low: IR) {
      let scaled = binary(LLVMFMul, x, splitter)
      let high = binary(LLVMFSub, scaled, binary(LLVMFSub, scaled, x))
      return (high, binary(LLVMFSub, x, high))
    }
    let product = binary(LLVMFMul, a[0], a[1])
    let x = halves(a[0])
    let y = halves(a[1])
    var error = binary(LLVMFSub, binary(LLVMFMul, x.high, y.high), product)
    error = binary(LLVMFAdd, error, binary(LLVMFMul, x.high, y.low))
    error = binary(LLVMFAdd, error, binary(LLVMFMul, x.low, y.high))
    error = binary(LLVMFAdd, error, binary(LLVMFMul, x.low, y.low))
    let (sum, rest) = exactSum(product, a[2])
    let precise = binary(LLVMFAdd, sum, binary(LLVMFAdd, error, rest))
    return select(compare(LLVMRealUNO, precise, precise), sum, precise)
  }

  /// a - trunc(a / b) * b without rounding: the quotient is taken off 24 bits at a time.
  private func floatRemainder(_ a: [IR], _ dtype: DType) -> IR {
    let lanes = lanes(a[0])
    let wide = a.map { cast(LLVMFPExt, $0, f64) }
    let divisor = magnitude(wide[1])
    let start = magnitude(wide[0])
    let zero = real(0, .f64, lanes)
    func mustContinue(_ rest: IR) -> IR {
      and(and(compare(LLVMRealOGE, rest, divisor), finite(rest)), nonzero(divisor))
    }
    func nonzero(_ x: IR) -> IR { compare(LLVMRealOGT, x, zero) }
    let rest = whileLoop([start], { self.any(mustContinue($0[0])) }) { carried in
      let active = mustContinue(carried[0])
      var (rest, divisor) = (carried[0], divisor)
      var unit: IR?
      if dtype == .f64 {
        // A rest of 2^900 divisors and more is one of multiples of them too, whose quotient does not overflow.
        for _ in 0..<2 {
          let multiple = binary(LLVMFMul, divisor, real(0x1p900, .f64, lanes))
          divisor = select(compare(LLVMRealOLE, multiple, rest), multiple, divisor)
        }
        // Products by parts overflow near the end of f64.
        if !target.hasFusedMultiplyAdd {
          let isHuge = compare(LLVMRealOGE, rest, real(0x1p900, .f64, lanes))
          let scale = select(isHuge, real(0x1p-100, .f64, lanes), real(1, .f64, lanes))
          (rest, divisor) = (binary(LLVMFMul, rest, scale), binary(LLVMFMul, divisor, scale))
          unit = select(isHuge, real(0x1p100, .f64, lanes), real(1, .f64, lanes))
        }
      }
      let quotient = rounded(.truncate, binary(LLVMFDiv, rest, divisor), .f64)
      let kept = and(bits(quotient, .f64), integer(~0x1fff_ffff, like: bits(quotient, .f64)))
      func less(_ head: IR) -> IR {
        let head: IR = LLVMBuildCast(builder, LLVMBitCast, head, vector(f64, lanes), "")
        return fused([LLVMBuildFNeg(builder, head, ""), divisor, rest], .f64)
      }
      let difference = less(kept)
      // A quotient rounded up leaves a negative rest: of one divisor at most while quotients are exact integers, beyond them
      // of many, so that the next smaller head is taken.
      let next = less(binary(LLVMSub, kept, integer(0x2000_0000, like: kept)))
      let isLarge = compare(LLVMRealOGE, quotient, real(0x1p24, .f64, lanes))
      let corrected = select(isLarge, next, binary(LLVMFAdd, difference, divisor))
      let positive = select(compare(LLVMRealOLT, difference, zero), corrected, difference)
      return [select(active, unit.map { binary(LLVMFMul, positive, $0) } ?? positive, carried[0])]
    }[0]
    let isValid = and(finite(wide[0]), and(nonzero(divisor), compare(LLVMRealOEQ, divisor, divisor)))
    let result = call("llvm.copysign", select(isValid, rest, real(.nan, .f64, lanes)), wide[0])
    return dtype == .f64 ? result : cast(LLVMFPTrunc, result, f32)
  }

  // MARK: Formulas

  private func transcendental(
    _ instruction: ScalarInstruction, _ a: [IR], _ dtype: DType, onZeroDivisor: (IR) -> Void
  ) -> IR {
    if instruction == .exp { return exponential(a[0], dtype, isNeverPositive: false) }
    let result = emit(.instruction(instruction), a, dtype, onZeroDivisor: onZeroDivisor)
    guard instruction == .sin || instruction == .cos else { return result }
    return correctingHugeAngles(result, a[0], instruction, dtype)
  }

  /// What the formula of `instruction` gives.
  func formula(_ instruction: ScalarInstruction, _ x: IR, _ dtype: DType) -> IR {
    emit(.instruction(instruction), [x], dtype)
  }

  private func emit(
    _ formula: ScalarPrograms.Formula, _ a: [IR], _ dtype: DType, onZeroDivisor: (IR) -> Void = { _ in }
  ) -> IR {
    guard let program = ScalarPrograms.program(formula, dtype) else {
      fail("\(formula) on \(dtype)")
      return a[0]
    }
    return emit(program, a, onZeroDivisor: onZeroDivisor)
  }

  /// log(e^a + e^b).
  func logAddExp(_ a: IR, _ b: IR, _ dtype: DType) -> IR {
    guard dtype == .f16 || dtype == .bf16 else { return emit(.logAddExp, [a, b], dtype) }
    return narrowed(emit(.logAddExp, [widened(a, dtype), widened(b, dtype)], .f32), dtype)
  }

  /// e^x in f32 or f64. `isNeverPositive`: x is at most 0, or NaN.
  func exponential(_ x: IR, _ dtype: DType, isNeverPositive: Bool) -> IR {
    guard dtype == .f32, target.hasScaling, lanes(x) == target.lanes else {
      return emit(isNeverPositive ? .exponentialOfNonPositive : .instruction(.exp), [x], dtype)
    }
    let all: IR = LLVMConstInt(i16, 0xffff, 0)
    // All lanes; 2: the smaller magnitude, with the sign of the first, and the limit where that is NaN; 4: the current rounding.
    let remainder = emit(.exponentialRemainder, [x], dtype)
    let limit = constant(ScalarConstant(dtype, ScalarMath.exponentialRemainderLimit), target.lanes)
    let bounded = call(
      "llvm.x86.avx512.mask.range.ps.512", [], [remainder, limit, word(2), remainder, all, word(4)])
    let mantissa = emit(.exponentialMantissa, [bounded], dtype)
    let exponent = emit(.exponentialExponent, [x], dtype)
    return call("llvm.x86.avx512.mask.scalef.ps.512", [], [mantissa, exponent, mantissa, all, word(4)])
  }

  /// A sum of f64 with what its additions lost. An infinite one has lost NaN, and stays what it is; so does a negative zero.
  func corrected(_ sum: IR, error: IR) -> IR {
    let isWrong = compare(LLVMRealOGT, magnitude(error), real(0, .f64, lanes(sum)))
    return select(isWrong, binary(LLVMFAdd, sum, error), sum)
  }

  func emit(_ program: ScalarProgram, _ inputs: [IR], onZeroDivisor: (IR) -> Void) -> IR {
    let lanes = lanes(inputs[0])
    var values: [IR] = []
    for node in program.nodes {
      switch node.operation {
      case .input(let i): values.append(inputs[i])
      case .constant(let constant): values.append(self.constant(constant, lanes))
      case .apply(let instruction, let operands):
        let dtype = program.nodes[operands[operands.count - 1]].dtype
        values.append(
          apply(instruction, operands.map { values[$0] }, dtype, onZeroDivisor: onZeroDivisor))
      case .convert(let i): values.append(convert(values[i], program.nodes[i].dtype, node.dtype))
      case .bitcast(let i): values.append(bitcast(values[i], program.nodes[i].dtype, node.dtype))
      }
    }
    return values[values.count - 1]
  }
}

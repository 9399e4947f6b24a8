// Conversions between dtypes in registers, for all inputs: what `ScalarExpr.convert` and `.bitcast` mean.
// Not loads and stores. Surprise: narrow floats go through f32, in integer code where the target has no instruction.
import CLLVM
import TensorTypes

extension Emitter {
  func bits(_ value: IR, _ dtype: DType) -> IR {
    dtype == .f32 || dtype == .f64
      ? LLVMBuildCast(builder, LLVMBitCast, value, bitsType(dtype, lanes(value)), "") : value
  }

  func bitcast(_ value: IR, _ from: DType, _ to: DType) -> IR {
    if from == to { return value }
    if from == .bool { return cast(LLVMZExt, value, i8) }
    if to == .bool { return compare(LLVMIntNE, value, integer(0, like: value)) }
    let raw = bits(value, from)
    return to == .f32 || to == .f64
      ? LLVMBuildCast(builder, LLVMBitCast, raw, type(to, lanes(value)), "") : raw
  }

  func convert(_ value: IR, _ from: DType, _ to: DType) -> IR {
    if from == to { return value }
    switch (from.isFloating, to.isFloating) {
    case (true, true): return convertFloat(value, from, to)
    case (true, false):
      let through = from.computeDType
      return toInteger(through == from ? value : widened(value, from), through, to)
    case (false, true): return toFloat(value, from, to)
    case (false, false):
      if to == .bool { return compare(LLVMIntNE, value, integer(0, like: value)) }
      let size = from == .bool ? 0 : from.size
      if to.size == size { return value }
      if to.size < size { return cast(LLVMTrunc, value, scalarType(to)) }
      return cast(from.isSigned ? LLVMSExt : LLVMZExt, value, scalarType(to))
    }
  }

  private func convertFloat(_ value: IR, _ from: DType, _ to: DType) -> IR {
    let single: IR
    switch from {
    case .f16, .bf16, .f8e4m3fn, .f8e5m2: single = widened(value, from)
    case .f64: single = to == .f64 ? value : cast(LLVMFPTrunc, value, f32)
    case .f32, .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: single = value
    }
    switch to {
    case .f64: return cast(LLVMFPExt, single, f64)
    case .f16, .bf16, .f8e4m3fn, .f8e5m2: return narrowed(single, to)
    case .f32, .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: return single
    }
  }

  private func toFloat(_ value: IR, _ from: DType, _ to: DType) -> IR {
    let through: DType = to == .f64 ? .f64 : .f32
    let wide = from.size < 4 ? cast(from.isSigned ? LLVMSExt : LLVMZExt, value, i32) : value
    // Shorter unsigned numbers are positive in 32 bits.
    let isUnsigned = from == .u32 || from == .u64
    let single = cast(isUnsigned ? LLVMUIToFP : LLVMSIToFP, wide, scalarType(through))
    return to.computeDType == to ? single : narrowed(single, to)
  }

  /// Truncates and saturates; NaN gives 0.
  private func toInteger(_ value: IR, _ from: DType, _ to: DType) -> IR {
    let lanes = lanes(value)
    if to == .bool { return compare(LLVMRealUNE, value, real(0, from, lanes)) }
    let wide = to.size < 4 ? i32 : scalarType(to)
    let isUnsigned = to == .u32 || to == .u64
    let whole = call(
      isUnsigned ? "llvm.fptoui.sat" : "llvm.fptosi.sat", [vector(wide, lanes), LLVMTypeOf(value)], [value])
    guard to.size < 4, let range = to.integerRange else { return whole }
    let low = call("llvm.smax", whole, integer(range.lowerBound, like: whole))
    let clamped = call("llvm.smin", low, integer(range.upperBound, like: whole))
    return cast(LLVMTrunc, clamped, scalarType(to))
  }

  // MARK: Narrow floats

  /// Bits of f16, bf16 or an 8-bit float to f32.
  func widened(_ value: IR, _ dtype: DType) -> IR {
    let lanes = lanes(value)
    let word = cast(LLVMZExt, value, i32)
    func float(_ bits: IR) -> IR { LLVMBuildCast(builder, LLVMBitCast, bits, vector(f32, lanes), "") }
    func shift(_ x: IR, _ amount: Int64) -> IR { binary(LLVMShl, x, integer(amount, like: x)) }
    if dtype == .bf16 { return float(shift(word, 16)) }
    // The upper half of an f16.
    if dtype == .f8e5m2 {
      return widened(binary(LLVMShl, cast(LLVMZExt, value, i16), integer(8, .i16, lanes)), .f16)
    }
    if dtype == .f8e4m3fn {
      let magnitude = and(word, integer(0x7f, like: word))
      let scaled = bits(binary(LLVMFMul, float(shift(magnitude, 20)), real(0x1p120, .f32, lanes)), .f32)
      let isNaN = compare(LLVMIntEQ, magnitude, integer(0x7f, like: word))
      let sign = shift(and(word, integer(0x80, like: word)), 24)
      return float(or(sign, select(isNaN, integer(0x7fc0_0000, like: word), scaled)))
    }
    if target.hasHalfConversion {
      // The fence as in `narrowed`: what is asked of the f32 is not asked of the f16.
      return call(
        "llvm.arithmetic.fence",
        cast(LLVMFPExt, LLVMBuildCast(builder, LLVMBitCast, value, vector(f16, lanes), ""), f32))
    }
    let sign = shift(and(word, integer(0x8000, like: word)), 16)
    let magnitude = and(word, integer(0x7fff, like: word))
    let moved = shift(magnitude, 13)
    let scaled = bits(binary(LLVMFMul, float(moved), real(0x1p112, .f32, lanes)), .f32)
    let special = or(moved, integer(0x7f80_0000, like: word))
    let isSpecial = compare(LLVMIntUGE, magnitude, integer(0x7c00, like: word))
    return float(or(sign, select(isSpecial, special, scaled)))
  }

  /// f32 to bits of f16, bf16 or an 8-bit float, to nearest even.
  func narrowed(_ value: IR, _ dtype: DType) -> IR {
    let lanes = lanes(value)
    let raw = bits(value, .f32)
    func lit(_ x: Int64) -> IR { integer(x, like: raw) }
    func shift(_ x: IR, _ amount: Int64) -> IR { binary(LLVMLShr, x, lit(amount)) }
    if dtype == .f8e4m3fn || dtype == .f8e5m2 { return narrowedToByte(raw, dtype) }
    if dtype == .bf16 {
      let carry = add(and(shift(raw, 16), lit(1)), lit(0x7fff))
      let near = shift(add(raw, carry), 16)
      let isNaN = compare(LLVMRealUNO, value, value)
      return cast(LLVMTrunc, select(isNaN, lit(0x7fc0), near), i16)
    }
    if target.hasHalfConversion {
      // Without the fence LLVM would choose and compare in f16, and, in machine code, call fminf for it.
      let fenced = call("llvm.arithmetic.fence", value)
      return LLVMBuildCast(builder, LLVMBitCast, cast(LLVMFPTrunc, fenced, f16), vector(i16, lanes), "")
    }
    // Scaling up and down again overflows what f16 cannot hold; adding a power of two rounds at f16's last place.
    let magnitude = self.magnitude(value)
    let base = binary(
      LLVMFMul, binary(LLVMFMul, magnitude, real(0x1p112, .f32, lanes)), real(0x1p-110, .f32, lanes))
    let doubled = add(raw, raw)
    let exponent = call("llvm.umax", and(doubled, lit(0xff00_0000)), lit(0x7100_0000))
    let bias: IR = LLVMBuildCast(
      builder, LLVMBitCast, add(shift(exponent, 1), lit(0x0780_0000)), vector(f32, lanes), "")
    let rounded = bits(binary(LLVMFAdd, base, bias), .f32)
    let nonsign = add(and(shift(rounded, 13), lit(0x7c00)), and(rounded, lit(0xfff)))
    let isNaN = compare(LLVMIntUGT, doubled, lit(0xff00_0000))
    let sign = and(shift(raw, 16), lit(0x8000))
    return cast(LLVMTrunc, or(sign, select(isNaN, lit(0x7e00), nonsign)), i16)
  }

  /// Bits of f32 to an 8-bit float, to nearest even; what is too large becomes infinity, or the
  /// largest number where there is none.
  private func narrowedToByte(_ raw: IR, _ dtype: DType) -> IR {
    let lanes = lanes(raw)
    let (fractionBits, bias, overflow): (Int64, Int64, Int64) = dtype == .f8e4m3fn ? (3, 7, 0x7e) : (2, 15, 0x7c)
    func lit(_ x: Int64) -> IR { integer(x, like: raw) }
    func shift(_ x: IR, _ amount: Int64) -> IR { binary(LLVMLShr, x, lit(amount)) }
    let lost = 23 - fractionBits
    let magnitude = and(raw, lit(0x7fff_ffff))
    // Normal numbers: half a unit more, minus one where the last bit that stays is even, then the exponent is rebased.
    let odd = and(shift(magnitude, lost), lit(1))
    let rebased = add(magnitude, lit((1 << (lost - 1)) - 1 - (127 - bias) << 23))
    let normal = shift(add(rebased, odd), lost)
    // Denormal ones: a power of two whose last place is theirs, added in f32, rounds.
    let unit = (127 - bias + 1 + lost) << 23
    let float = LLVMBuildCast(builder, LLVMBitCast, magnitude, vector(f32, lanes), "")!
    let place = LLVMBuildCast(builder, LLVMBitCast, lit(unit), vector(f32, lanes), "")!
    let denormal = binary(LLVMSub, bits(binary(LLVMFAdd, float, place), .f32), lit(unit))
    let isDenormal = compare(LLVMIntULT, magnitude, lit((127 - bias + 1) << 23))
    let near = call("llvm.umin", select(isDenormal, denormal, normal), lit(overflow))
    let isNaN = compare(LLVMIntUGT, magnitude, lit(0x7f80_0000))
    let sign = and(shift(raw, 24), lit(0x80))
    return cast(LLVMTrunc, or(sign, select(isNaN, lit(0x7f), near)), i8)
  }
}

// sin and cos of angles beyond what the formulas reduce: one function per module, called for single lanes.
// Not the formulas (Scalars), which the function uses for the rest below pi/4. Surprise: the angle's fraction of a turn comes
// from a product with those 192 bits of 2/pi that its exponent asks for (Payne and Hanek): nothing is lost at any size.
import CLLVM
import Scalars
import Targets
import TensorTypes

extension Emitter {
  /// Formulas of sin and cos are good up to here.
  private static let largestAngle = 0x1p50

  /// sin or cos of `x`, where `usual` is right for all but huge lanes. Devices keep what the formula gives: they have no
  /// functions of ours.
  func correctingHugeAngles(_ usual: IR, _ x: IR, _ instruction: ScalarInstruction, _ dtype: DType) -> IR {
    guard !target.architecture.isDevice else { return usual }
    let lanes = lanes(x)
    let size = magnitude(x)
    let isHuge = and(
      compare(LLVMRealOGT, size, real(Self.largestAngle, dtype, lanes)),
      compare(LLVMRealOLT, size, real(.infinity, dtype, lanes)))
    let function = hugeAngle(instruction, dtype)
    let before = currentBlock
    let inside = block("huge")
    let after = block("usual")
    LLVMBuildCondBr(builder, any(isHuge), inside, after)
    position(inside)
    enterScope()
    let corrected = loop(from: index(0), to: index(lanes), [usual]) { lane, results in
      let element = lanes == 1 ? x : LLVMBuildExtractElement(builder, x, lane, "")!
      var argument: LLVMValueRef? = element
      let made: IR = LLVMBuildCall2(builder, function.type, function.value, &argument, 1, "")
      if lanes == 1 { return [made] }
      let whole: IR = LLVMBuildInsertElement(builder, results[0], made, lane, "")
      return [select(isHuge, whole, results[0])]
    }[0]
    leaveScope()
    let latch = currentBlock
    LLVMBuildBr(builder, after)
    position(after)
    return phi([(usual, before), (corrected, latch)])
  }

  private func hugeAngle(_ instruction: ScalarInstruction, _ dtype: DType) -> (value: LLVMValueRef, type: LLVMTypeRef) {
    let name = "huge_\(instruction)_\(dtype)"
    if let known = helpers[name] { return known }
    var parameter: LLVMTypeRef? = scalarType(dtype)
    let type: LLVMTypeRef = LLVMFunctionType(scalarType(dtype), &parameter, 1, 0)
    let made: LLVMValueRef = LLVMAddFunction(module, name, type)
    LLVMSetLinkage(made, LLVMInternalLinkage)
    for (key, value) in [
      ("target-cpu", target.processor), ("target-features", target.featureList), ("no-builtins", ""),
    ] {
      let attribute = LLVMCreateStringAttribute(
        context, key, UInt32(key.utf8.count), value, UInt32(value.utf8.count))
      LLVMAddAttributeAtIndex(made, azulejo_llvm_function_index, attribute)
    }
    helpers[name] = (made, type)
    let (outer, here) = (function, currentBlock)
    _ = begin(made)
    LLVMBuildRet(builder, reduced(LLVMGetParam(made, 0), instruction, dtype))
    resume(outer, at: here)
    return (made, type)
  }

  /// |x| = m * 2^e with m of 53 bits; m times 192 bits of 2/pi, the first of them worth 2 after the product with 2^e, is |x| in
  /// quarter turns modulo 4, as a fixed-point number of 2 and 190 bits.
  private func reduced(_ x: IR, _ instruction: ScalarInstruction, _ dtype: DType) -> IR {
    func long(_ value: UInt64) -> IR { LLVMConstInt(i64, value, 0) }
    func shifted(_ opcode: LLVMOpcode, _ a: IR, _ bits: UInt64) -> IR { binary(opcode, a, long(bits)) }
    let i128: LLVMTypeRef = LLVMIntTypeInContext(context, 128)
    let bits = bits(convert(magnitude(x), dtype, .f64), .f64)
    let m = or(and(bits, long(0xf_ffff_ffff_ffff)), long(0x10_0000_0000_0000))
    // 1075 is the exponent's bias and the 52 bits of the fraction; bit 63 of the table is worth 1.
    let first = binary(LLVMSub, shifted(LLVMLShr, bits, 52), long(1075 - 62))
    let (word, rest) = (shifted(LLVMLShr, first, 6), and(first, long(63)))
    let table = constants(Self.twoOverPi.map { Int(Int64(bitPattern: $0)) }, i64)
    let words = (0..<4).map { i -> IR in LLVMBuildExtractElement(builder, table, add(word, long(UInt64(i))), "") }
    let window = (0..<3).map { call("llvm.fshl", [i64], [words[$0], words[$0 + 1], rest]) }
    func product(_ a: IR, plus carry: IR) -> (high: IR, low: IR) {
      let wide = binary(LLVMMul, cast(LLVMZExt, m, i128), cast(LLVMZExt, a, i128))
      let sum = add(wide, cast(LLVMZExt, carry, i128))
      let high = binary(LLVMLShr, sum, LLVMConstInt(i128, 64, 0))
      return (cast(LLVMTrunc, high, i64), cast(LLVMTrunc, sum, i64))
    }
    let low = product(window[2], plus: long(0))
    let middle = product(window[1], plus: low.high)
    let high = add(binary(LLVMMul, m, window[0]), middle.high)
    // The nearest quarter turn, and how far beyond it: a signed fraction of 128 bits.
    let fraction = call("llvm.fshl", [i64], [high, middle.low, long(2)])
    let tail = call("llvm.fshl", [i64], [middle.low, low.low, long(2)])
    let isBelow = compare(LLVMIntSLT, fraction, long(0))
    var quarters = add(shifted(LLVMLShr, high, 62), cast(LLVMZExt, isBelow, i64))
    let flip = cast(LLVMSExt, isBelow, i64)
    let (top, bottom) = (binary(LLVMXor, fraction, flip), binary(LLVMXor, tail, flip))
    // Exact in two pieces: 53 bits and those behind them.
    func real(_ a: IR, _ scale: Double) -> IR {
      binary(LLVMFMul, cast(LLVMUIToFP, a, f64), self.real(scale, .f64, 1))
    }
    let head = real(and(top, long(~0x7ff)), 0x1p-64)
    let behind = real(call("llvm.fshl", [i64], [and(top, long(0x7ff)), bottom, long(53)]), 0x1p-117)
    let half = (high: self.real(1.5707963267948966, .f64, 1), low: self.real(6.123233995736766e-17, .f64, 1))
    let angle = binary(LLVMFMul, head, half.high)
    let lost = fused([head, half.high, LLVMBuildFNeg(builder, angle, "")], .f64)
    let correction = fused([head, half.low, fused([behind, half.high, lost], .f64)], .f64)
    let size = binary(LLVMFAdd, angle, correction)
    let turned = select(isBelow, LLVMBuildFNeg(builder, size, ""), size)
    let r = convert(turned, .f64, dtype)
    if instruction == .cos { quarters = add(quarters, long(1)) }
    let isOdd = compare(LLVMIntNE, and(quarters, long(1)), long(0))
    let value = select(isOdd, formula(.cos, r, dtype), formula(.sin, r, dtype))
    var isNegative = compare(LLVMIntNE, and(quarters, long(2)), long(0))
    if instruction == .sin {
      isNegative = binary(LLVMXor, isNegative, compare(LLVMRealOLT, x, self.real(0, dtype, 1)))
    }
    return select(isNegative, LLVMBuildFNeg(builder, value, ""), value)
  }

  /// 64 zeros and the first 1216 bits of 2/pi: as many as the largest f64 reaches.
  private static let twoOverPi: [UInt64] = [
    0, 0xa2f9_836e_4e44_1529, 0xfc27_57d1_f534_ddc0, 0xdb62_9599_3c43_9041, 0xfe51_63ab_debb_c561,
    0xb724_6e3a_424d_d2e0, 0x0649_2eea_09d1_921c, 0xfe1d_eb1c_b129_a73e, 0xe882_35f5_2ebb_4484,
    0xe99c_7026_b45f_7e41, 0x3991_d639_8353_39f4, 0x9c84_5f8b_bdf9_283b, 0x1ff8_97ff_de05_980f,
    0xef2f_118b_5a0a_6d1f, 0x6d36_7ecf_27cb_09b7, 0x4f46_3f66_9e5f_ea2d, 0x7527_bac7_ebe5_f17b,
    0x3d07_39f7_8a52_92ea, 0x6bfb_5fb1_1f8d_5d08, 0x5603_3046_fc7b_6bab,
  ]
}

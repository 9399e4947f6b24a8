// One order for elements of every dtype: integers whose signed order is the one that positions are asked in.
// Not comparisons of values (ScalarInstruction). Surprise: all NaNs are one key at an end of the order, and -0 is 0.
import CLLVM
import TensorTypes

extension Emitter {
  /// Which end of the keys' order NaN has.
  enum NaNPlace { case first, last }

  /// The dtype of `orderKey`'s result in memory: signed, as wide as the element.
  func orderKeyDType(_ dtype: DType) -> DType {
    switch dtype {
    case .bool, .u8, .i8, .f8e4m3fn, .f8e5m2: .i8
    case .i16, .u16, .f16, .bf16: .i16
    case .i32, .u32, .f32: .i32
    case .i64, .u64, .f64: .i64
    }
  }

  /// A signed integer per lane; ascending with the value, or descending where `reversed`.
  func orderKey(_ value: IR, _ dtype: DType, reversed: Bool, nan: NaNPlace) -> IR {
    let key: IR
    switch dtype {
    case .bool: key = cast(LLVMZExt, value, i8)
    case .u8, .u16, .u32, .u64:
      key = binary(LLVMXor, value, integer(orderKeyDType(dtype).integerRange?.lowerBound ?? 0, like: value))
    case .i8, .i16, .i32, .i64: key = value
    case .f16: return floatOrderKey(value, dtype, infinity: 0x7c00, reversed, nan)
    case .bf16: return floatOrderKey(value, dtype, infinity: 0x7f80, reversed, nan)
    case .f8e4m3fn: return floatOrderKey(value, dtype, infinity: 0x7e, reversed, nan)
    case .f8e5m2: return floatOrderKey(value, dtype, infinity: 0x7c, reversed, nan)
    case .f32: return floatOrderKey(value, dtype, infinity: 0x7f80_0000, reversed, nan)
    case .f64: return floatOrderKey(value, dtype, infinity: 0x7ff0_0000_0000_0000, reversed, nan)
    }
    return reversed ? not(key) : key
  }

  private func floatOrderKey(_ value: IR, _ dtype: DType, infinity: Int64, _ reversed: Bool, _ nan: NaNPlace) -> IR {
    let range = orderKeyDType(dtype).integerRange ?? 0...0
    let raw = bits(value, dtype)
    let magnitude = and(raw, integer(range.upperBound, like: raw))
    let zero = integer(0, like: raw)
    let signed = select(compare(LLVMIntSLT, raw, zero), binary(LLVMSub, zero, magnitude), magnitude)
    let isNaN = compare(LLVMIntUGT, magnitude, integer(infinity, like: raw))
    let extreme = integer(nan == .last ? range.upperBound : range.lowerBound, like: raw)
    return select(isNaN, extreme, reversed ? not(signed) : signed)
  }

  /// The smallest key, in every lane.
  func lowestOrderKey(_ dtype: DType, _ lanes: Int) -> IR {
    let key = orderKeyDType(dtype)
    return integer(key.integerRange?.lowerBound ?? 0, key, lanes)
  }
}

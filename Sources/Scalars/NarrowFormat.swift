// The float formats of 16 and 8 bits in integer code: exact on every machine, with or without hardware for them.
// Not fast; generated kernels convert with instructions. Surprise: a Double is rounded once, to nearest even; the format
// without infinities saturates, infinity too, as in PyTorch (others make NaN of it).
import TensorTypes

/// A binary float format of at most 16 bits: one sign bit, `exponentBits`, the rest significand. Elements are in the
/// low bits of a word.
package struct NarrowFormat: Sendable, Hashable {
  package let width: Int
  package let exponentBits: Int
  /// Without infinities the largest exponent is one like others, and only the significand of all ones there is NaN.
  package let hasInfinity: Bool
  /// IEEE binary16.
  package static let f16 = NarrowFormat(width: 16, exponentBits: 5, hasInfinity: true)
  /// The upper half of binary32.
  package static let bf16 = NarrowFormat(width: 16, exponentBits: 8, hasInfinity: true)
  /// The two 8-bit formats of the Open Compute Project.
  package static let f8e4m3fn = NarrowFormat(width: 8, exponentBits: 4, hasInfinity: false)
  package static let f8e5m2 = NarrowFormat(width: 8, exponentBits: 5, hasInfinity: true)

  /// nil for wider floats and integers.
  package init?(_ dtype: DType) {
    switch dtype {
    case .f16: self = .f16
    case .bf16: self = .bf16
    case .f8e4m3fn: self = .f8e4m3fn
    case .f8e5m2: self = .f8e5m2
    case .f32, .f64, .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: return nil
    }
  }

  private init(width: Int, exponentBits: Int, hasInfinity: Bool) {
    self.width = width
    self.exponentBits = exponentBits
    self.hasInfinity = hasInfinity
  }

  private var significandBits: Int { width - 1 - exponentBits }
  private var bias: Int { (1 << (exponentBits - 1)) - 1 }
  private var signBit: UInt16 { 1 << UInt16(width - 1) }
  /// What is too large: infinity, or the largest number where there is none.
  private var overflow: UInt16 {
    hasInfinity ? UInt16((1 << exponentBits) - 1) << UInt16(significandBits) : signBit - 2
  }

  /// The nearest value, ties to even. NaN becomes the quiet NaN with the sign kept; in 16 bits the upper payload bits
  /// are kept too, in 8 bits all are ones.
  package func encode(_ value: Double) -> UInt16 {
    let bits = value.bitPattern
    let sign = bits >> 63 == 1 ? signBit : 0
    let fraction = bits & ((1 << 52) - 1)
    let exponent = Int(bits >> 52 & 0x7ff)
    if exponent == 0x7ff {
      if fraction == 0 { return sign | overflow }
      if width == 8 { return sign | (signBit - 1) }
      return sign | overflow | 1 << UInt16(significandBits - 1) | UInt16(fraction >> UInt64(52 - significandBits))
    }
    // Denormal Doubles are far below half of the smallest value of any of the formats.
    if exponent == 0 { return sign }
    // Biased exponent in the target; at 0 or below the result is denormal and loses 1 - e more bits.
    let target = exponent - 1023 + bias
    let lost = 52 - significandBits + max(0, 1 - target)
    if lost > 54 { return sign }
    let significand = fraction | 1 << 52
    var kept = significand >> UInt64(lost)
    let rest = significand & ((1 << UInt64(lost)) - 1)
    let half = UInt64(1) << UInt64(lost - 1)
    if rest > half || (rest == half && kept & 1 == 1) { kept += 1 }
    // The implicit bit carries into the exponent field: a denormal that rounds up becomes the smallest normal.
    let magnitude = UInt64(max(0, target - 1)) << UInt64(significandBits) + kept
    return sign | UInt16(min(magnitude, UInt64(overflow)))
  }

  /// The exact value.
  package func decode(_ element: UInt16) -> Double {
    let isNegative = element & signBit != 0
    let sign: UInt64 = isNegative ? 1 << 63 : 0
    let magnitude = element & (signBit - 1)
    let exponent = Int(magnitude) >> significandBits
    let fraction = UInt64(element) & ((1 << UInt64(significandBits)) - 1)
    let wide = fraction << UInt64(52 - significandBits)
    if hasInfinity ? exponent == (1 << exponentBits) - 1 : magnitude == signBit - 1 {
      return Double(bitPattern: sign | 0x7ff << 52 | wide)
    }
    if exponent == 0 {
      let magnitude = Double(fraction) * Double(sign: .plus, exponent: 1 - bias - significandBits, significand: 1)
      return isNegative ? -magnitude : magnitude
    }
    return Double(bitPattern: sign | UInt64(exponent - bias + 1023) << 52 | wide)
  }
}

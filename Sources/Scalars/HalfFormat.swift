// The two 16-bit float formats in integer code: exact on every machine, with or without hardware for them.
// Not fast; generated kernels convert with instructions. Surprise: a Double is rounded once, to nearest even.

/// A 16-bit binary float format: one sign bit, `exponentBits`, the rest significand.
public struct HalfFormat: Sendable, Hashable {
  public let exponentBits: Int
  /// IEEE binary16.
  public static let f16 = HalfFormat(exponentBits: 5)
  /// The upper half of binary32.
  public static let bf16 = HalfFormat(exponentBits: 8)

  private var significandBits: Int { 15 - exponentBits }
  private var bias: Int { (1 << (exponentBits - 1)) - 1 }
  private var infinity: UInt16 { UInt16((1 << exponentBits) - 1) << UInt16(significandBits) }

  /// The nearest value, ties to even; NaN becomes the quiet NaN with the sign and the upper payload bits kept.
  public func encode(_ value: Double) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(bits >> 48) & 0x8000
    let fraction = bits & ((1 << 52) - 1)
    let exponent = Int(bits >> 52 & 0x7ff)
    if exponent == 0x7ff {
      if fraction == 0 { return sign | infinity }
      return sign | infinity | 1 << UInt16(significandBits - 1) | UInt16(fraction >> UInt64(52 - significandBits))
    }
    // Denormal Doubles are far below half of the smallest value of either format.
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
    return sign | UInt16(min(magnitude, UInt64(infinity)))
  }

  /// The exact value.
  public func decode(_ half: UInt16) -> Double {
    let sign = UInt64(half & 0x8000) << 48
    let exponent = Int(half & 0x7fff) >> significandBits
    let fraction = UInt64(half) & ((1 << UInt64(significandBits)) - 1)
    let wide = fraction << UInt64(52 - significandBits)
    if exponent == (1 << exponentBits) - 1 { return Double(bitPattern: sign | 0x7ff << 52 | wide) }
    if exponent == 0 {
      let magnitude = Double(fraction) * Double(sign: .plus, exponent: 1 - bias - significandBits, significand: 1)
      return sign == 0 ? magnitude : -magnitude
    }
    return Double(bitPattern: sign | UInt64(exponent - bias + 1023) << 52 | wide)
  }
}

// A constant element with its dtype, held as bits. Surprise: floats are held as Double bits, exactly as written,
// and rounded to the dtype only where used.
import TensorTypes

package struct ScalarConstant: Sendable, Hashable, CustomStringConvertible {
  package let dtype: DType
  /// Double bits for floats, the value for integers, 0 or 1 for bool.
  package let bits: UInt64

  package init(_ dtype: DType, _ value: Double) {
    self.dtype = dtype
    if dtype.isFloating {
      bits = value.bitPattern
    } else if dtype == .u64 {
      bits = UInt64(bitPattern: ScalarReference.truncated(value, to: .u64))
    } else if dtype == .bool {
      bits = value != 0 ? 1 : 0
    } else {
      bits = UInt64(bitPattern: Int64(exactly: value.rounded(.towardZero)) ?? (value > 0 ? .max : value < 0 ? .min : 0))
    }
  }

  package init(_ dtype: DType, integer value: Int64) {
    self.dtype = dtype
    bits =
      dtype.isFloating
      ? Double(value).bitPattern : UInt64(bitPattern: dtype == .bool && value != 0 ? 1 : value)
  }

  package var doubleValue: Double {
    if dtype == .u64 { return Double(bits) }
    return dtype.isFloating ? Double(bitPattern: bits) : Double(Int64(bitPattern: bits))
  }
  package var integerValue: Int64 {
    dtype.isFloating
      ? Int64(exactly: Double(bitPattern: bits).rounded(.towardZero)) ?? 0 : Int64(bitPattern: bits)
  }
  /// "1.5:f32", "inf:f32", "3:i64".
  package var description: String { (dtype.isFloating ? "\(doubleValue)" : "\(integerValue)") + ":\(dtype)" }
}

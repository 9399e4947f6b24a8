// One element of any dtype as reference code holds it: the exact value of a float as a Double, of anything else as an
// Int64 (bool: 0 or 1; u64: its bits). Not a constant of a program, see `ScalarConstant`. Surprise: it does not know its
// dtype, so an element of u64 beyond Int64.max looks negative until `ScalarReference.convert` is told.
import TensorTypes

public enum ScalarValue: Sendable, Hashable {
  case float(Double)
  case integer(Int64)

  /// The value as a Double; large integers are rounded.
  package var doubleValue: Double {
    switch self {
    case .float(let value): value
    case .integer(let value): Double(value)
    }
  }

  /// The value as an integer: floats truncate and saturate, NaN gives 0.
  package var integerValue: Int64 {
    switch self {
    case .float(let value): ScalarReference.truncated(value, to: .i64)
    case .integer(let value): value
    }
  }
}

extension ScalarConstant {
  /// The element this constant is: floats rounded to the dtype.
  package var value: ScalarValue {
    dtype.isFloating
      ? .float(ScalarReference.rounded(doubleValue, to: dtype))
      : .integer(ScalarReference.wrapped(Int64(bitPattern: bits), to: dtype))
  }
}

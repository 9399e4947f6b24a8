// Swift types that tensors are made from and read into. Not dtypes: bf16 has no Swift type and reads as Float.
import Basics
import Scalars
import TensorTypes

/// A Swift type with a dtype of the same memory layout.
public protocol Element: Sendable {
  static var dtype: DType { get }
  /// From the reference representations; used when a tensor of another dtype is read.
  init(element value: ElementValue)
}

/// An element on its way out of a tensor: a float as Double or an integer.
public enum ElementValue: Sendable {
  case floating(Double)
  case integer(Int64)

  var double: Double {
    switch self {
    case .floating(let value): value
    case .integer(let value): Double(value)
    }
  }
  /// Truncated and saturated; NaN gives 0.
  var integer: Int64 {
    switch self {
    case .floating(let value):
      value.isNaN ? 0 : Int64(exactly: value.rounded(.towardZero)) ?? (value > 0 ? .max : .min)
    case .integer(let value): value
    }
  }
}

extension Float: Element {
  public static var dtype: DType { .f32 }
  public init(element value: ElementValue) { self = Float(value.double) }
}
extension Double: Element {
  public static var dtype: DType { .f64 }
  public init(element value: ElementValue) { self = value.double }
}
extension Bool: Element {
  public static var dtype: DType { .bool }
  public init(element value: ElementValue) {
    switch value {
    case .floating(let x): self = x != 0
    case .integer(let x): self = x != 0
    }
  }
}
extension UInt8: Element {
  public static var dtype: DType { .u8 }
  public init(element value: ElementValue) { self = UInt8(truncatingIfNeeded: value.integer) }
}
extension Int8: Element {
  public static var dtype: DType { .i8 }
  public init(element value: ElementValue) { self = Int8(truncatingIfNeeded: value.integer) }
}
extension Int16: Element {
  public static var dtype: DType { .i16 }
  public init(element value: ElementValue) { self = Int16(truncatingIfNeeded: value.integer) }
}
extension Int32: Element {
  public static var dtype: DType { .i32 }
  public init(element value: ElementValue) { self = Int32(truncatingIfNeeded: value.integer) }
}
extension Int64: Element {
  public static var dtype: DType { .i64 }
  public init(element value: ElementValue) { self = value.integer }
}
extension Int: Element {
  public static var dtype: DType { .i64 }
  public init(element value: ElementValue) { self = Int(value.integer) }
}

/// A Swift number beside tensors: `x * 2`, `x + 0.5`. It lifts a tensor's category, never its width (PyTorch's rule).
public protocol Scalar: Sendable {
  var scalarValue: ScalarValue { get }
}

/// The three kinds of Swift numbers an operation sees.
public enum ScalarValue: Sendable, Hashable {
  case bool(Bool)
  case integer(Int64)
  case floating(Double)

  package var category: DType.Category {
    switch self {
    case .bool: .bool
    case .integer: .integer
    case .floating: .floating
    }
  }

  package func constant(_ dtype: DType) -> ScalarConstant {
    switch self {
    case .bool(let value): ScalarConstant(dtype, integer: value ? 1 : 0)
    case .integer(let value): ScalarConstant(dtype, integer: value)
    case .floating(let value): ScalarConstant(dtype, value)
    }
  }
  package var double: Double {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .integer(let value): Double(value)
    case .floating(let value): value
    }
  }
}

extension Bool: Scalar { public var scalarValue: ScalarValue { .bool(self) } }
extension Int: Scalar { public var scalarValue: ScalarValue { .integer(Int64(self)) } }
extension Int8: Scalar { public var scalarValue: ScalarValue { .integer(Int64(self)) } }
extension Int16: Scalar { public var scalarValue: ScalarValue { .integer(Int64(self)) } }
extension Int32: Scalar { public var scalarValue: ScalarValue { .integer(Int64(self)) } }
extension Int64: Scalar { public var scalarValue: ScalarValue { .integer(self) } }
extension UInt8: Scalar { public var scalarValue: ScalarValue { .integer(Int64(self)) } }
extension Float: Scalar { public var scalarValue: ScalarValue { .floating(Double(self)) } }
extension Double: Scalar { public var scalarValue: ScalarValue { .floating(self) } }

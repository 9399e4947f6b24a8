// Swift types that tensors are made from and read into. Not dtypes: bf16 and the 8-bit floats have no Swift type and read
// as Float.
import Basics
import Scalars
import TensorTypes

/// A Swift type with a dtype of the same memory layout.
public protocol Element: Sendable {
  static var dtype: DType { get }
  /// From the reference representations; used when a tensor of another dtype is read.
  init(element value: ScalarValue)
}

extension Float: Element {
  public static var dtype: DType { .f32 }
  public init(element value: ScalarValue) { self = Float(value.doubleValue) }
}
extension Double: Element {
  public static var dtype: DType { .f64 }
  public init(element value: ScalarValue) { self = value.doubleValue }
}
extension Bool: Element {
  public static var dtype: DType { .bool }
  public init(element value: ScalarValue) {
    switch value {
    case .float(let x): self = x != 0
    case .integer(let x): self = x != 0
    }
  }
}
extension Element where Self: FixedWidthInteger {
  public init(element value: ScalarValue) { self = Self(truncatingIfNeeded: value.integerValue) }
}
extension UInt8: Element { public static var dtype: DType { .u8 } }
extension UInt16: Element { public static var dtype: DType { .u16 } }
extension UInt32: Element { public static var dtype: DType { .u32 } }
extension UInt64: Element { public static var dtype: DType { .u64 } }
extension Int8: Element { public static var dtype: DType { .i8 } }
extension Int16: Element { public static var dtype: DType { .i16 } }
extension Int32: Element { public static var dtype: DType { .i32 } }
extension Int64: Element { public static var dtype: DType { .i64 } }
extension Int: Element { public static var dtype: DType { .i64 } }

/// A tensor or a Swift number: what most second arguments may be.
public protocol TensorOrScalar: Sendable {
  var asOperand: OperandValue { get }
}

/// A tensor or a number on its way into an operation.
public struct OperandValue: Sendable {
  package let operand: PointwiseOperand
}

extension Tensor: TensorOrScalar {
  public var asOperand: OperandValue { OperandValue(operand: .tensor(self)) }
}

/// A Swift number beside tensors: `x * 2`, `x + 0.5`. It lifts a tensor's category, never its width (PyTorch's rule).
public protocol Scalar: TensorOrScalar {
  var number: Number { get }
}

extension Scalar {
  public var asOperand: OperandValue { OperandValue(operand: .scalar(number)) }
}

extension TensorOrScalar {
  var operand: PointwiseOperand { asOperand.operand }
}

/// The three kinds of Swift numbers an operation sees.
public enum Number: Sendable, Hashable {
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
  /// - Throws: a number that `dtype` does not hold; unsigned dtypes hold what is as far below 0 as they reach above it.
  package func requireFit(_ dtype: DType, _ name: String) throws(Diagnostic) {
    let isFitting: Bool
    if let range = dtype.integerRange, dtype != .bool {
      let low = range.lowerBound < 0 ? range.lowerBound : -range.upperBound
      switch self {
      case .bool: isFitting = true
      case .integer(let value): isFitting = value >= low && value <= range.upperBound
      case .floating(let value):
        let whole = value.rounded(.towardZero)
        // 2^63 is no i64, though its Double is that of the largest one.
        let end = dtype == .u64 ? 0x1p64 : range.upperBound == .max ? 0x1p63 : Double(range.upperBound) + 1
        isFitting = whole >= Double(low) && whole < end
      }
    } else if dtype.isFloating, double.isFinite {
      isFitting = double.magnitude <= dtype.largestFinite
    } else {
      isFitting = true
    }
    guard isFitting else {
      throw Diagnostic(
        .argument, "\(name): \(text) does not fit \(dtype)",
        remedy: "give a number that \(dtype) holds, or a wider dtype")
    }
  }

  private var text: String {
    switch self {
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .floating(let value): "\(value)"
    }
  }

  package var double: Double {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .integer(let value): Double(value)
    case .floating(let value): value
    }
  }
  /// Of an integer; wide enough for differences of them.
  package var whole: Int128 {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .integer(let value): Int128(value)
    case .floating(let value): Int128(exactly: value.rounded(.towardZero)) ?? 0
    }
  }
}

extension Number: Scalar { public var number: Number { self } }
extension Bool: Scalar { public var number: Number { .bool(self) } }
extension Int: Scalar { public var number: Number { .integer(Int64(self)) } }
extension Int8: Scalar { public var number: Number { .integer(Int64(self)) } }
extension Int16: Scalar { public var number: Number { .integer(Int64(self)) } }
extension Int32: Scalar { public var number: Number { .integer(Int64(self)) } }
extension Int64: Scalar { public var number: Number { .integer(self) } }
extension UInt8: Scalar { public var number: Number { .integer(Int64(self)) } }
extension UInt16: Scalar { public var number: Number { .integer(Int64(self)) } }
extension UInt32: Scalar { public var number: Number { .integer(Int64(self)) } }
extension Float: Scalar { public var number: Number { .floating(Double(self)) } }
extension Double: Scalar { public var number: Number { .floating(self) } }

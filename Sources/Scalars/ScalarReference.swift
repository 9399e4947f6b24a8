// What every scalar instruction means, in plain Swift: the ground truth of both interpreters and of the conformance of
// backends. Not fast code, and not a copy of `ScalarMath`: transcendental functions are libm's in Double, which their table
// names.
// Surprise: half floats compute in f32 (`DType.computeDType`) and are rounded after each instruction.
import TensorTypes

package enum ScalarReference {
  // MARK: Instructions

  /// An instruction on float operands of `dtype`, given exactly; the result is rounded to `dtype`.
  /// Comparisons give 1 or 0; `select` takes the condition as its first operand, not zero being true.
  package static func evaluate(
    _ instruction: ScalarInstruction, _ dtype: DType, _ a: Double, _ b: Double = 0, _ c: Double = 0
  ) -> Double {
    switch dtype {
    case .f64: return arithmetic(instruction, a, b, c)
    case .f32, .f16, .bf16:
      switch instruction {
      case .add, .subtract, .multiply, .divide, .remainder, .multiplyAdd, .squareRoot:
        let narrow = Double(arithmetic(instruction, Float(a), Float(b), Float(c)))
        return dtype == .f32 ? narrow : rounded(narrow, to: dtype)
      case .select: return a != 0 ? b : c
      default: return rounded(arithmetic(instruction, a, b, c), to: dtype)
      }
    case .f8e4m3fn, .f8e5m2:
      preconditionFailure("\(instruction.rawValue) on \(dtype): it is only stored")
    case .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64:
      preconditionFailure("\(instruction.rawValue) on \(dtype): integers go through the Int64 variant")
    }
  }

  /// An instruction on integer or bool operands of `dtype`; wraps to its width. nil: the divisor is zero (the
  /// instruction then faults and gives 0). Comparisons give 1 or 0; `select` takes the condition first.
  /// Elements of u64 are the bits of an Int64.
  package static func evaluate(
    _ instruction: ScalarInstruction, _ dtype: DType, _ a: Int64, _ b: Int64 = 0, _ c: Int64 = 0
  ) -> Int64? {
    let width = Int64(dtype.size * 8)
    switch instruction {
    case .add: return wrapped(a &+ b, to: dtype)
    case .subtract: return wrapped(a &- b, to: dtype)
    case .multiply: return wrapped(a &* b, to: dtype)
    case .divide where dtype == .u64:
      return b == 0 ? nil : Int64(bitPattern: UInt64(bitPattern: a) / UInt64(bitPattern: b))
    case .remainder where dtype == .u64:
      return b == 0 ? nil : Int64(bitPattern: UInt64(bitPattern: a) % UInt64(bitPattern: b))
    case .divide: return b == 0 ? nil : wrapped(a.dividedReportingOverflow(by: b).partialValue, to: dtype)
    // Not `remainderReportingOverflow`: that is min % -1 = 0 with a trap on some targets.
    case .remainder: return b == 0 ? nil : b == -1 ? 0 : a % b
    case .multiplyAdd: return wrapped(a &* b &+ c, to: dtype)
    case .negate: return wrapped(0 &- a, to: dtype)
    case .absolute: return dtype.isSigned && a < 0 ? wrapped(0 &- a, to: dtype) : a
    case .minimum: return isLess(b, a, dtype) ? b : a
    case .maximum: return isLess(a, b, dtype) ? b : a
    case .and: return a & b
    case .or: return a | b
    case .xor: return a ^ b
    case .not: return dtype == .bool ? 1 - a : wrapped(~a, to: dtype)
    case .shiftLeft: return b >= 0 && b < width ? wrapped(a << b, to: dtype) : 0
    case .shiftRight where dtype.isSigned: return b >= 0 && b < width ? a >> b : a < 0 ? -1 : 0
    case .shiftRight, .shiftRightLogical:
      guard b >= 0 && b < width else { return 0 }
      let bits = UInt64(bitPattern: a) & (width == 64 ? .max : (1 << UInt64(width)) - 1)
      return wrapped(Int64(bitPattern: bits >> UInt64(b)), to: dtype)
    case .equal: return a == b ? 1 : 0
    case .notEqual: return a != b ? 1 : 0
    case .less: return isLess(a, b, dtype) ? 1 : 0
    case .lessOrEqual: return isLess(b, a, dtype) ? 0 : 1
    case .select: return a != 0 ? b : c
    default: preconditionFailure("\(instruction.rawValue) is not defined on \(dtype)")
    }
  }

  /// The order of elements of an integer dtype or bool.
  @inline(__always)
  package static func isLess(_ a: Int64, _ b: Int64, _ dtype: DType) -> Bool {
    dtype == .u64 ? UInt64(bitPattern: a) < UInt64(bitPattern: b) : a < b
  }

  /// An instruction on operands of `dtype` (for `select`: the dtype of the two choices). nil: integer divisor zero.
  package static func evaluate(_ instruction: ScalarInstruction, _ dtype: DType, _ operands: [ScalarValue])
    -> ScalarValue?
  {
    func operand(_ i: Int) -> ScalarValue { i < operands.count ? operands[i] : .integer(0) }
    return evaluate(instruction, dtype, operand(0), operand(1), operand(2))
  }

  static func evaluate(
    _ instruction: ScalarInstruction, _ dtype: DType, _ a: ScalarValue, _ b: ScalarValue, _ c: ScalarValue
  ) -> ScalarValue? {
    if instruction == .select { return a.integerValue != 0 ? b : c }
    if dtype.isFloating {
      let value = evaluate(instruction, dtype, a.doubleValue, b.doubleValue, c.doubleValue)
      return instruction.class == .comparison ? .integer(Int64(value)) : .float(value)
    }
    return evaluate(instruction, dtype, a.integerValue, b.integerValue, c.integerValue).map { .integer($0) }
  }

  private static func arithmetic<F: BinaryFloatingPoint>(_ instruction: ScalarInstruction, _ a: F, _ b: F, _ c: F) -> F
  {
    switch instruction {
    case .add: return a + b
    case .subtract: return a - b
    case .multiply: return a * b
    case .divide: return a / b
    case .remainder: return a.truncatingRemainder(dividingBy: b)
    case .multiplyAdd: return c.addingProduct(a, b)
    case .negate: return -a
    case .absolute: return a.magnitude
    // As IEEE 754-2019 minimum: -0 is less than +0. Backends may give either zero.
    case .minimum: return a.isNaN ? a : b.isNaN ? b : a < b || (a == b && a.sign == .minus) ? a : b
    case .maximum: return a.isNaN ? a : b.isNaN ? b : a > b || (a == b && a.sign == .plus) ? a : b
    case .floor: return a.rounded(.down)
    case .ceil: return a.rounded(.up)
    case .truncate: return a.rounded(.towardZero)
    case .roundEven: return a.rounded(.toNearestOrEven)
    case .squareRoot: return a.squareRoot()
    case .equal: return a == b ? 1 : 0
    case .notEqual: return a != b ? 1 : 0
    case .less: return a < b ? 1 : 0
    case .lessOrEqual: return a <= b ? 1 : 0
    case .select: return a != 0 ? b : c
    default:
      guard let function = instruction.transcendental else {
        preconditionFailure("\(instruction.rawValue) is not defined on floats")
      }
      return F(function.meaning(Double(a), Double(b)))
    }
  }

  // MARK: Conversions

  /// Value conversion as programs and tiles do it. Float to integer truncates and saturates, NaN gives 0; integer to
  /// integer keeps the low bits; to bool is `!= 0` (NaN is true); to narrower floats goes through f32, as in PyTorch.
  package static func convert(_ value: ScalarValue, from: DType, to: DType) -> ScalarValue {
    switch value {
    case .float(let x):
      if to.isFloating { return .float(convert(x, to: to)) }
      return .integer(to == .bool ? (x != 0 ? 1 : 0) : truncated(x, to: to))
    case .integer(let x):
      switch to {
      case .f64: return .float(from == .u64 ? Double(UInt64(bitPattern: x)) : Double(x))
      // Not through Double: that would round twice.
      case .f32, .f16, .bf16, .f8e4m3fn, .f8e5m2:
        let single = from == .u64 ? Float(UInt64(bitPattern: x)) : Float(x)
        return .float(rounded(Double(single), to: to))
      case .bool: return .integer(x != 0 ? 1 : 0)
      case .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: return .integer(wrapped(x, to: to))
      }
    }
  }

  /// Float to float conversion.
  package static func convert(_ value: Double, to dtype: DType) -> Double {
    dtype == .f64 ? value : rounded(Double(Float(value)), to: dtype)
  }

  /// The nearest value of a float dtype, ties to even; overflow gives infinity (the largest where there is none). Integer
  /// dtypes leave it as it is.
  package static func rounded(_ value: Double, to dtype: DType) -> Double {
    switch dtype {
    case .f32: Double(Float(value))
    case .f16: NarrowFormat.f16.decode(NarrowFormat.f16.encode(value))
    case .bf16: NarrowFormat.bf16.decode(NarrowFormat.bf16.encode(value))
    case .f8e4m3fn: NarrowFormat.f8e4m3fn.decode(NarrowFormat.f8e4m3fn.encode(value))
    case .f8e5m2: NarrowFormat.f8e5m2.decode(NarrowFormat.f8e5m2.encode(value))
    case .f64, .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: value
    }
  }

  /// The integer an integer dtype holds after keeping only its low bits; bool keeps the lowest.
  package static func wrapped(_ value: Int64, to dtype: DType) -> Int64 {
    switch dtype {
    case .bool: value & 1
    case .u8: Int64(UInt8(truncatingIfNeeded: value))
    case .i8: Int64(Int8(truncatingIfNeeded: value))
    case .i16: Int64(Int16(truncatingIfNeeded: value))
    case .i32: Int64(Int32(truncatingIfNeeded: value))
    case .u16: Int64(UInt16(truncatingIfNeeded: value))
    case .u32: Int64(UInt32(truncatingIfNeeded: value))
    case .i64, .u64, .f16, .bf16, .f32, .f64, .f8e4m3fn, .f8e5m2: value
    }
  }

  /// Float to integer: truncates, saturates to the range of `dtype`; NaN gives 0. Of u64, the bits of an Int64.
  package static func truncated(_ value: Double, to dtype: DType) -> Int64 {
    guard let range = dtype.integerRange, !value.isNaN else { return 0 }
    if dtype == .u64 {
      return value >= 0x1p64 ? -1 : value <= 0 ? 0 : Int64(bitPattern: UInt64(value))
    }
    // Double(Int64.max) is 2^63, one too much: hence `>=`.
    if value >= Double(range.upperBound) { return range.upperBound }
    if value <= Double(range.lowerBound) { return range.lowerBound }
    return Int64(value)
  }

  // MARK: Bits and memory

  /// The bits of an element in memory, in the low `dtype.size` bytes.
  package static func bits(of value: ScalarValue, _ dtype: DType) -> UInt64 {
    switch dtype {
    case .f64: value.doubleValue.bitPattern
    case .f32: UInt64(Float(value.doubleValue).bitPattern)
    case .f16: UInt64(NarrowFormat.f16.encode(value.doubleValue))
    case .bf16: UInt64(NarrowFormat.bf16.encode(value.doubleValue))
    case .f8e4m3fn: UInt64(NarrowFormat.f8e4m3fn.encode(value.doubleValue))
    case .f8e5m2: UInt64(NarrowFormat.f8e5m2.encode(value.doubleValue))
    case .bool: value.integerValue != 0 ? 1 : 0
    case .u8, .i8: UInt64(UInt8(truncatingIfNeeded: value.integerValue))
    case .i16, .u16: UInt64(UInt16(truncatingIfNeeded: value.integerValue))
    case .i32, .u32: UInt64(UInt32(truncatingIfNeeded: value.integerValue))
    case .i64, .u64: UInt64(bitPattern: value.integerValue)
    }
  }

  /// The element that `bits(of:_:)` encodes.
  package static func value(bits: UInt64, _ dtype: DType) -> ScalarValue {
    switch dtype {
    case .f64: .float(Double(bitPattern: bits))
    case .f32: .float(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))))
    case .f16: .float(NarrowFormat.f16.decode(UInt16(truncatingIfNeeded: bits)))
    case .bf16: .float(NarrowFormat.bf16.decode(UInt16(truncatingIfNeeded: bits)))
    case .f8e4m3fn: .float(NarrowFormat.f8e4m3fn.decode(UInt16(UInt8(truncatingIfNeeded: bits))))
    case .f8e5m2: .float(NarrowFormat.f8e5m2.decode(UInt16(UInt8(truncatingIfNeeded: bits))))
    case .bool: .integer(UInt8(truncatingIfNeeded: bits) != 0 ? 1 : 0)
    case .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: .integer(wrapped(Int64(bitPattern: bits), to: dtype))
    }
  }

  /// Reads one element; no alignment is asked.
  package static func load(_ pointer: UnsafeRawPointer, _ dtype: DType) -> ScalarValue {
    switch dtype.size {
    case 1: value(bits: UInt64(pointer.load(as: UInt8.self)), dtype)
    case 2: value(bits: UInt64(pointer.loadUnaligned(as: UInt16.self)), dtype)
    case 4: value(bits: UInt64(pointer.loadUnaligned(as: UInt32.self)), dtype)
    default: value(bits: pointer.loadUnaligned(as: UInt64.self), dtype)
    }
  }

  /// Writes one element; no alignment is asked. Floats are rounded to the dtype.
  package static func store(_ value: ScalarValue, _ pointer: UnsafeMutableRawPointer, _ dtype: DType) {
    let bits = bits(of: value, dtype)
    switch dtype.size {
    case 1: pointer.storeBytes(of: UInt8(truncatingIfNeeded: bits), as: UInt8.self)
    case 2: pointer.storeBytes(of: UInt16(truncatingIfNeeded: bits), as: UInt16.self)
    case 4: pointer.storeBytes(of: UInt32(truncatingIfNeeded: bits), as: UInt32.self)
    default: pointer.storeBytes(of: bits, as: UInt64.self)
    }
  }

  /// Reads one element of a float dtype.
  package static func loadDouble(_ pointer: UnsafeRawPointer, _ dtype: DType) -> Double {
    load(pointer, dtype).doubleValue
  }

  /// Reads one element of an integer dtype or bool.
  package static func loadInteger(_ pointer: UnsafeRawPointer, _ dtype: DType) -> Int64 {
    load(pointer, dtype).integerValue
  }
}

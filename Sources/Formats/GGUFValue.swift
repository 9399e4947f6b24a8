// A metadata value of a GGUF file, typed as the file types it.
// Not a Swift dictionary value to cast. Surprise: arrays stay in the file and are read on demand, so opening a model
// with a vocabulary of 50,000 strings makes no strings.

import Basics

/// The type of a metadata value, with the number GGUF gives it.
public enum GGUFValueType: UInt32, Sendable, Hashable, CustomStringConvertible {
  /// In the order of their numbers, from 0.
  case u8, i8, u16, i16, u32, i32, f32, bool, string, array, u64, i64, f64

  /// Bytes of a value in the file; the least for strings and arrays, whose lengths vary.
  public var minimumBytes: Int {
    switch self {
    case .u8, .i8, .bool: 1
    case .u16, .i16: 2
    case .u32, .i32, .f32: 4
    case .u64, .i64, .f64: 8
    case .string: 8
    case .array: 12
    }
  }

  /// "u32".
  public var description: String {
    switch self {
    case .u8: "u8"
    case .i8: "i8"
    case .u16: "u16"
    case .i16: "i16"
    case .u32: "u32"
    case .i32: "i32"
    case .f32: "f32"
    case .bool: "bool"
    case .string: "string"
    case .array: "array"
    case .u64: "u64"
    case .i64: "i64"
    case .f64: "f64"
    }
  }
}

/// A metadata value.
public enum GGUFValue: Sendable {
  /// An integer; ``integer`` reads all of them.
  case u8(UInt8), i8(Int8), u16(UInt16), i16(Int16), u32(UInt32), i32(Int32), u64(UInt64), i64(Int64)
  /// A floating-point number; ``number`` reads these and integers.
  case f32(Float), f64(Double)
  /// A truth value; the file holds 0 or 1.
  case bool(Bool)
  /// Text; bytes that are not UTF-8 have become U+FFFD.
  case string(String)
  /// An array, left in the file.
  case array(GGUFArray)

  /// The value's type.
  public var type: GGUFValueType {
    switch self {
    case .u8: .u8
    case .i8: .i8
    case .u16: .u16
    case .i16: .i16
    case .u32: .u32
    case .i32: .i32
    case .u64: .u64
    case .i64: .i64
    case .f32: .f32
    case .f64: .f64
    case .bool: .bool
    case .string: .string
    case .array: .array
    }
  }

  /// Any integer type as `Int`; nil for other types and for a `u64` beyond `Int.max`.
  public var integer: Int? {
    switch self {
    case .u8(let value): Int(value)
    case .i8(let value): Int(value)
    case .u16(let value): Int(value)
    case .i16(let value): Int(value)
    case .u32(let value): Int(value)
    case .i32(let value): Int(value)
    case .u64(let value): Int(exactly: value)
    case .i64(let value): Int(value)
    case .f32, .f64, .bool, .string, .array: nil
    }
  }

  /// Any number as `Double`; nil for other types.
  public var number: Double? {
    switch self {
    case .f32(let value): Double(value)
    case .f64(let value): value
    case .u64(let value): Double(value)
    case .u8, .i8, .u16, .i16, .u32, .i32, .i64: integer.map { Double($0) }
    case .bool, .string, .array: nil
    }
  }

  /// The text of a string; nil for other types.
  public var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The value of a bool; nil for other types.
  public var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// Whether the other means the same; integers of any type do where they are equal.
  func isSame(as other: GGUFValue) -> Bool {
    switch (self, other) {
    case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
    case (.bool(let a), .bool(let b)): a == b
    case (.f32(let a), .f32(let b)): a.bitPattern == b.bitPattern
    case (.f64(let a), .f64(let b)): a.bitPattern == b.bitPattern
    case (.u64(let a), .u64(let b)): a == b
    case (.array(let a), .array(let b)):
      a.elementType == b.elementType && a.count == b.count
        && a.bytes.withUnsafeBytes { a in b.bytes.withUnsafeBytes { b in a.elementsEqual(b) } }
    default: integer != nil && integer == other.integer
    }
  }

  /// An array; nil for other types.
  public var array: GGUFArray? {
    if case .array(let value) = self { value } else { nil }
  }
}

/// An array in the metadata of a GGUF file. Its elements are read from the mapped file each time they are asked for.
public struct GGUFArray: Sendable {
  /// The type of all elements.
  public let elementType: GGUFValueType
  /// Number of elements.
  public let count: Int
  /// The encoded elements. Their structure was checked when the file was opened.
  public let bytes: MappedBytes

  /// The elements as values.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` for a bool that is neither 0 nor 1.
  public func values() throws(Diagnostic) -> [GGUFValue] {
    var cursor = ByteCursor(bytes.file, at: bytes.offset)
    var values: [GGUFValue] = []
    values.reserveCapacity(count)
    for _ in 0..<count { values.append(try cursor.value(of: elementType, "array element", depth: 0)) }
    return values
  }

  /// The elements as `Int`s.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if they are not integers, or beyond `Int.max`.
  public func integers() throws(Diagnostic) -> [Int] {
    try mapped("integers") { $0.integer }
  }

  /// The elements as `Float`s, rounded to nearest.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if they are not numbers.
  public func floats() throws(Diagnostic) -> [Float] {
    if elementType == .f32 { return bytes.copied(as: Float.self) }
    return try mapped("numbers") { $0.number.map { Float($0) } }
  }

  /// The elements as `String`s; bytes that are not UTF-8 become U+FFFD (see ``forEachString(_:)`` for the bytes).
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if they are not strings.
  public func strings() throws(Diagnostic) -> [String] {
    var strings: [String] = []
    strings.reserveCapacity(count)
    try forEachString { strings.append(String(decoding: $0, as: UTF8.self)) }
    return strings
  }

  /// Calls `body` with the bytes of each string in turn, not copied; they are valid during the call only.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if the elements are not strings.
  public func forEachString(_ body: (UnsafeRawBufferPointer) -> Void) throws(Diagnostic) {
    guard elementType == .string else { throw mismatch("strings") }
    var cursor = ByteCursor(bytes.file, at: bytes.offset)
    for _ in 0..<count { try cursor.stringBytes("array element").withUnsafeBytes(body) }
  }

  private func mapped<Element>(
    _ wanted: String, _ convert: (GGUFValue) -> Element?
  ) throws(Diagnostic) -> [Element] {
    var cursor = ByteCursor(bytes.file, at: bytes.offset)
    var elements: [Element] = []
    elements.reserveCapacity(count)
    for _ in 0..<count {
      guard let element = convert(try cursor.value(of: elementType, "array element", depth: 0)) else {
        throw mismatch(wanted)
      }
      elements.append(element)
    }
    return elements
  }

  private func mismatch(_ wanted: String) -> Diagnostic {
    bytes.file.malformed("the metadata array at byte \(bytes.offset) holds \(elementType), \(wanted) were expected")
  }
}

// MARK: - Reading

extension ByteCursor {
  /// Deeper arrays are refused: a chain of nested headers costs 12 bytes a level and would exhaust the stack.
  static let maximumArrayDepth = 8

  /// A string's bytes after its 64-bit length.
  mutating func stringBytes(_ what: @autoclosure () -> String) throws(Diagnostic) -> MappedBytes {
    let count: UInt64 = try read("the length of \(what())")
    return try take(count, what())
  }

  mutating func value(
    of type: GGUFValueType, _ what: @autoclosure () -> String, depth: Int
  ) throws(Diagnostic) -> GGUFValue {
    switch type {
    case .u8: return .u8(try read(what()))
    case .i8: return .i8(try read(what()))
    case .u16: return .u16(try read(what()))
    case .i16: return .i16(try read(what()))
    case .u32: return .u32(try read(what()))
    case .i32: return .i32(try read(what()))
    case .u64: return .u64(try read(what()))
    case .i64: return .i64(try read(what()))
    case .f32: return .f32(Float(bitPattern: try read(what())))
    case .f64: return .f64(Double(bitPattern: try read(what())))
    case .bool:
      let start = offset
      let byte: UInt8 = try read(what())
      guard byte <= 1 else { throw file.malformed("\(what()) at byte \(start): a bool is 0 or 1, found \(byte)") }
      return .bool(byte == 1)
    case .string:
      return .string(try stringBytes(what()).withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
    case .array: return .array(try array(what(), depth: depth))
    }
  }

  /// An array's header; walks over the elements to find where it ends, keeping none of them.
  private mutating func array(_ what: @autoclosure () -> String, depth: Int) throws(Diagnostic) -> GGUFArray {
    guard depth < Self.maximumArrayDepth else {
      throw file.malformed("\(what()) nests arrays deeper than \(Self.maximumArrayDepth)")
    }
    let number: UInt32 = try read("the element type of \(what())")
    guard let type = GGUFValueType(rawValue: number) else {
      throw file.malformed("\(what()): \(number) is no metadata type (0...12 are)")
    }
    let count: UInt64 = try read("the element count of \(what())")
    guard count <= UInt64(remaining / type.minimumBytes) else {
      throw file.malformed(
        "\(what()) claims \(count) elements of \(type), \(remaining) bytes are left", remedy: Self.fetchAgain)
    }
    let start = offset
    switch type {
    case .string: for _ in 0..<count { _ = try stringBytes(what()) }
    case .array: for _ in 0..<count { _ = try array(what(), depth: depth + 1) }
    case .u8, .i8, .u16, .i16, .u32, .i32, .f32, .bool, .u64, .i64, .f64:
      _ = try take(count * UInt64(type.minimumBytes), what())
    }
    return GGUFArray(
      elementType: type, count: Int(count),
      bytes: MappedBytes(file: file, uncheckedOffset: start, count: offset - start))
  }
}

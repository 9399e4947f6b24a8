// The header of a NumPy array: magic, version, and a Python dictionary literal of exactly three keys.
// Not a Python parser: what numpy.save writes is read, anything else is an error. Surprise: Python objects are refused,
// not skipped: their data is a pickle, which can run code.

import Basics
import TensorTypes

struct NpyHeader: Equatable {
  let dtype: DType
  let shape: [Int]
  let isFortranOrder: Bool
  let isBigEndian: Bool
  /// Where the elements begin.
  let dataOffset: Int

  static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// Longer dictionaries are refused; numpy itself refuses more than 10,000 bytes.
  static let maximumBytes = 1 << 16
  static let maximumRank = 64
  /// Magic, version and the longer of the two length fields.
  static let preambleBytes = 12

  /// Bytes of the elements.
  let byteCount: Int

  /// Reads the header at the beginning of `bytes`; `name` is the file (and entry) that errors name.
  init(_ bytes: UnsafeRawBufferPointer, name: String) throws(Diagnostic) {
    let (start, count) = try Self.dictionary(bytes, name: name)
    guard count <= bytes.count - start else {
      throw Self.malformed(name, "claims a header of \(count) bytes, \(bytes.count - start) are left")
    }
    var parser = LiteralParser(text: [UInt8](bytes[start..<start + count]), name: name)
    let fields = try parser.dictionary()
    guard fields.map(\.key).sorted() == ["descr", "fortran_order", "shape"] else {
      throw Self.malformed(name, "the header has keys \(fields.map(\.key)), expected descr, fortran_order and shape")
    }
    var dtype: (DType, isBigEndian: Bool)?
    var shape: [Int]?
    var isFortranOrder: Bool?
    for (key, value) in fields {
      switch (key, value) {
      case ("descr", .text(let text)): dtype = try Self.dtype(text, name: name)
      case ("fortran_order", .bool(let value)): isFortranOrder = value
      case ("shape", .tuple(let extents)): shape = extents
      case ("descr", .fields(let text)):
        throw Self.malformed(
          name, "is a structured array: its elements are records \(text), a tensor's are plain numbers",
          remedy: "save each field as an array of its own: array['field']")
      default: throw Self.malformed(name, "the header's \(key) is a \(value.kind)", remedy: Self.plainArrays)
      }
    }
    guard let dtype, let shape, let isFortranOrder else { throw Self.malformed(name, "the header is incomplete") }
    guard shape.count <= Self.maximumRank, let byteCount = CheckedSize.bytes(shape, dtype.0) else {
      throw Self.malformed(
        name, "shape \(shape.prefix(8)) of \(dtype.0) has more bytes than a machine can address")
    }
    self.byteCount = byteCount
    self.dtype = dtype.0
    self.isBigEndian = dtype.isBigEndian
    self.shape = shape
    self.isFortranOrder = isFortranOrder
    self.dataOffset = start + count
  }

  /// Where the dictionary lies.
  static func dictionary(
    _ bytes: UnsafeRawBufferPointer, name: String
  ) throws(Diagnostic) -> (start: Int, count: Int) {
    guard bytes.count >= 10 else { throw malformed(name, "has \(bytes.count) bytes, an array has 10 or more") }
    guard bytes.prefix(magic.count).elementsEqual(magic) else { throw malformed(name, "is not a NumPy array") }
    let version = (bytes[6], bytes[7])
    var start = 10, count = Int(bytes[8]) | Int(bytes[9]) << 8
    switch version {
    case (1, 0): break
    case (2, 0), (3, 0):
      guard bytes.count >= preambleBytes else { throw malformed(name, "is cut short in its header") }
      start = preambleBytes
      count |= Int(bytes[10]) << 16 | Int(bytes[11]) << 24
    default:
      throw malformed(name, "is NumPy format version \(version.0).\(version.1), 1.0, 2.0 and 3.0 are supported")
    }
    guard count <= maximumBytes else {
      throw malformed(name, "claims a header of \(count) bytes, at most \(maximumBytes) are allowed")
    }
    return (start, count)
  }

  private static let plainArrays = "save arrays of plain numbers"

  /// The dtype of a description such as "<f4".
  private static func dtype(_ text: String, name: String) throws(Diagnostic) -> (DType, isBigEndian: Bool) {
    let hasOrder = text.first.map { "<>|=".contains($0) } ?? false
    let code = hasOrder ? text.dropFirst() : text[...]
    guard let dtype = DType.allCases.first(where: { $0.npyName.map { $0 == code } ?? false }) else {
      let (what, remedy) = reason(code)
      throw malformed(name, "has elements of type '\(text)', \(what)", remedy: remedy)
    }
    return (dtype, text.first == ">" && dtype.size > 1)
  }

  /// Why elements of a NumPy type are not read, and what to save instead.
  private static func reason(_ code: Substring) -> (what: String, remedy: String) {
    switch code.first {
    case "O": ("which are Python objects: they are never loaded, since a pickle can run code", plainArrays)
    case "c": ("complex numbers, which no tensor here holds", "save array.real and array.imag")
    case "V":
      (
        "raw bytes: NumPy has no name for bfloat16 and the 8-bit floats and drops it when it saves",
        "save them as safetensors, or array.astype('float32')"
      )
    case "U", "S", "a": ("texts, which no tensor holds", plainArrays)
    case "M", "m": ("dates or durations, which no tensor holds", "save array.astype('int64')")
    case "f" where code.count > 1 && code.dropFirst().allSatisfy(\.isNumber), "g":
      ("a float wider than 64 bits, which is not supported", "save array.astype('float64')")
    default: ("which is not supported", plainArrays)
    }
  }

  static func malformed(_ name: String, _ what: String, remedy: String? = ByteCursor.fetchAgain) -> Diagnostic {
    Diagnostic(.format, "\(name): \(what)", remedy: remedy)
  }

  /// A version 1 header for an array in C order, padded so that the elements start at a multiple of 64.
  ///
  /// - Throws: A `.dtype` ``Basics/Diagnostic`` for bf16 and the 8-bit floats, which NumPy has no name for.
  static func bytes(_ dtype: DType, _ shape: [Int], name: String) throws(Diagnostic) -> [UInt8] {
    guard let type = dtype.npyName else {
      throw Diagnostic(.dtype, "\(name): NumPy has no \(dtype)", remedy: "convert to f32 first, or write safetensors")
    }
    let order = dtype.size > 1 ? "<" : "|"
    let extents = shape.map { "\($0)" }.joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = [UInt8]("{'descr': '\(order)\(type)', 'fortran_order': False, 'shape': (\(extents)), }".utf8)
    while (10 + text.count + 1) % 64 != 0 { text.append(UInt8(ascii: " ")) }
    text.append(UInt8(ascii: "\n"))
    guard text.count <= Int(UInt16.max) else {
      throw Diagnostic(.argument, "\(name): a shape of rank \(shape.count) does not fit a NumPy header")
    }
    return magic + [1, 0, UInt8(truncatingIfNeeded: text.count), UInt8(truncatingIfNeeded: text.count >> 8)] + text
  }
}

extension DType {
  /// NumPy's code without the byte order; nil for bf16 and the 8-bit floats.
  var npyName: String? {
    switch self {
    case .bool: "b1"
    case .u8: "u1"
    case .i8: "i1"
    case .i16: "i2"
    case .i32: "i4"
    case .i64: "i8"
    case .f16: "f2"
    case .u16: "u2"
    case .u32: "u4"
    case .u64: "u8"
    case .bf16, .f8e4m3fn, .f8e5m2: nil
    case .f32: "f4"
    case .f64: "f8"
    }
  }
}

/// Reads `{'key': 'text' | True | False | (1, 2), ...}`.
private struct LiteralParser {
  enum Value {
    case text(String), bool(Bool), tuple([Int])
    /// A list of fields, as it is written.
    case fields(String)

    var kind: String {
      switch self {
      case .text: "string"
      case .bool: "bool"
      case .tuple: "tuple"
      case .fields: "list"
      }
    }
  }

  let text: [UInt8]
  let name: String
  private var position = 0

  init(text: [UInt8], name: String) {
    self.text = text
    self.name = name
  }

  mutating func dictionary() throws(Diagnostic) -> [(key: String, value: Value)] {
    var fields: [(key: String, value: Value)] = []
    try expect("{")
    while !accept("}") {
      let key = try string()
      try expect(":")
      fields.append((key, try value()))
      guard fields.count <= 3 else { throw malformed("a fourth field") }
      if !accept(",") {
        try expect("}")
        break
      }
    }
    skipSpace()
    guard position == text.count else { throw malformed("nothing more") }
    return fields
  }

  private mutating func value() throws(Diagnostic) -> Value {
    skipSpace()
    if position < text.count, isQuote(text[position]) { return .text(try string()) }
    if accept("True") { return .bool(true) }
    if accept("False") { return .bool(false) }
    if position < text.count, text[position] == UInt8(ascii: "[") { return .fields(try list()) }
    try expect("(")
    var extents: [Int] = []
    while !accept(")") {
      extents.append(try integer())
      guard extents.count <= NpyHeader.maximumRank else {
        throw malformed("a rank of at most \(NpyHeader.maximumRank)")
      }
      if !accept(",") {
        // In Python (2) is the number 2, which is no shape.
        if extents.count == 1 { try expect(",") }
        try expect(")")
        break
      }
    }
    return .tuple(extents)
  }

  /// A list up to the bracket that closes it, its first part as text.
  private mutating func list() throws(Diagnostic) -> String {
    let start = position
    var depth = 0
    repeat {
      guard position < text.count else { throw malformed("']'") }
      if text[position] == UInt8(ascii: "[") { depth += 1 }
      if text[position] == UInt8(ascii: "]") { depth -= 1 }
      position += 1
    } while depth > 0
    let shown = text[start..<position].prefix(80)
    return String(decoding: shown, as: UTF8.self) + (shown.count < position - start ? "..." : "")
  }

  private mutating func string() throws(Diagnostic) -> String {
    skipSpace()
    guard position < text.count, isQuote(text[position]) else { throw malformed("a string") }
    let quote = text[position]
    let start = position + 1
    guard let end = text[start...].firstIndex(of: quote) else { throw malformed("a closing quote") }
    guard !text[start..<end].contains(UInt8(ascii: "\\")) else { throw malformed("a string without escapes") }
    position = end + 1
    return String(decoding: text[start..<end], as: UTF8.self)
  }

  private mutating func integer() throws(Diagnostic) -> Int {
    skipSpace()
    let start = position
    while position < text.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[position]) { position += 1 }
    guard let value = Int(String(decoding: text[start..<position], as: UTF8.self)) else {
      position = start
      throw malformed("an extent from 0 to 2^63 - 1")
    }
    _ = accept("L")  // as Python 2 wrote them
    return value
  }

  private func isQuote(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") }

  private mutating func skipSpace() {
    while position < text.count, text[position] == 0x20 || text[position] == 0x0a { position += 1 }
  }

  private mutating func accept(_ token: String) -> Bool {
    skipSpace()
    guard text[position...].starts(with: token.utf8) else { return false }
    position += token.utf8.count
    return true
  }

  private mutating func expect(_ token: String) throws(Diagnostic) {
    guard accept(token) else { throw malformed("'\(token)'") }
  }

  private func malformed(_ expected: String) -> Diagnostic {
    let found = String(decoding: text[position...].prefix(12), as: UTF8.self)
    return NpyHeader.malformed(
      name, "byte \(position) of the header: expected \(expected), found \(found.debugDescription)")
  }
}

// JSON values, read and written. Not a mapping to Swift types (no Codable).
// Surprise: objects keep their members in file order and may hold a key twice; look-up finds the last one.

/// A JSON value. Read with ``JSON/init(parsing:)``, walked with the subscripts and the typed views.
public enum JSON: Sendable, Hashable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent that fits 64 bits.
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSON])
  case object([Member])

  public struct Member: Sendable, Hashable {
    public var key: String
    public var value: JSON
    public init(_ key: String, _ value: JSON) {
      self.key = key
      self.value = value
    }
  }

  /// The member called `key`; nil for other values and unknown keys. Linear: iterate `members` of a large object.
  public subscript(key: String) -> JSON? { members?.last { $0.key == key }?.value }

  /// The element at `index`; nil for other values and indices outside.
  public subscript(index: Int) -> JSON? {
    guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
    return elements[index]
  }

  public var isNull: Bool { self == .null }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
  public var members: [Member]? { if case .object(let value) = self { value } else { nil } }
  /// The integer; nil for numbers with a fraction or an exponent.
  public var int: Int? { if case .integer(let value) = self { value } else { nil } }
  /// Any number.
  public var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    case .null, .bool, .string, .array, .object: nil
    }
  }
}

// MARK: - Reading

extension JSON {
  /// Values nested deeper than this are refused: a hostile file must not exhaust the stack.
  private static let deepest = 256

  /// Parses UTF-8 text.
  /// - Throws: ``Diagnostic`` of kind `format` with the byte offset of the first mistake.
  public init(parsing bytes: some Collection<UInt8>) throws(Diagnostic) {
    let result: Result<JSON, Diagnostic>? = bytes.withContiguousStorageIfAvailable { buffer in
      var parser = Parser(bytes: buffer)
      return parser.document()
    }
    if let result {
      self = try result.get()
    } else {
      try self.init(parsing: Array(bytes))
    }
  }

  public init(parsing text: String) throws(Diagnostic) { try self.init(parsing: Array(text.utf8)) }

  private struct Parser {
    let bytes: UnsafeBufferPointer<UInt8>
    var position = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    mutating func document() -> Result<JSON, Diagnostic> {
      do throws(Diagnostic) {
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw mistake("text after the end of the value") }
        return .success(value)
      } catch {
        return .failure(error)
      }
    }

    func mistake(_ what: String) -> Diagnostic {
      Diagnostic(.format, "JSON, byte \(position): \(what)", remedy: "check that the file is complete and is JSON")
    }

    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
      while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    mutating func value(depth: Int) throws(Diagnostic) -> JSON {
      guard depth < deepest else { throw mistake("nested deeper than \(deepest) levels") }
      skipSpace()
      guard let first = next else { throw mistake("the text ends where a value should be") }
      switch first {
      case UInt8(ascii: "{"): return try object(depth: depth)
      case UInt8(ascii: "["): return try array(depth: depth)
      case UInt8(ascii: "\""): return .string(try string())
      case UInt8(ascii: "t"): return try word("true", .bool(true))
      case UInt8(ascii: "f"): return try word("false", .bool(false))
      case UInt8(ascii: "n"): return try word("null", .null)
      case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
      default: throw mistake("a value cannot start with this byte")
      }
    }

    mutating func word(_ word: StaticString, _ value: JSON) throws(Diagnostic) -> JSON {
      let length = word.utf8CodeUnitCount
      guard position + length <= bytes.count,
        (0..<length).allSatisfy({ bytes[position + $0] == word.utf8Start[$0] })
      else { throw mistake("expected \(word)") }
      position += length
      return value
    }

    mutating func object(depth: Int) throws(Diagnostic) -> JSON {
      var members: [Member] = []
      position += 1
      skipSpace()
      if next == UInt8(ascii: "}") {
        position += 1
        return .object(members)
      }
      while true {
        skipSpace()
        guard next == UInt8(ascii: "\"") else { throw mistake("expected a member name in quotes") }
        let key = try string()
        skipSpace()
        guard next == UInt8(ascii: ":") else { throw mistake("expected ':' after the member name") }
        position += 1
        members.append(Member(key, try value(depth: depth + 1)))
        skipSpace()
        guard let byte = next, byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") else {
          throw mistake("expected ',' or '}' in an object")
        }
        position += 1
        if byte == UInt8(ascii: "}") { return .object(members) }
      }
    }

    mutating func array(depth: Int) throws(Diagnostic) -> JSON {
      var elements: [JSON] = []
      position += 1
      skipSpace()
      if next == UInt8(ascii: "]") {
        position += 1
        return .array(elements)
      }
      while true {
        elements.append(try value(depth: depth + 1))
        skipSpace()
        guard let byte = next, byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") else {
          throw mistake("expected ',' or ']' in an array")
        }
        position += 1
        if byte == UInt8(ascii: "]") { return .array(elements) }
      }
    }

    mutating func number() throws(Diagnostic) -> JSON {
      let start = position
      func isDigit(_ byte: UInt8?) -> Bool { byte.map { $0 >= 0x30 && $0 <= 0x39 } ?? false }
      if next == UInt8(ascii: "-") { position += 1 }
      guard isDigit(next) else { throw mistake("expected a digit") }
      let leadingZero = next == UInt8(ascii: "0")
      position += 1
      guard !(leadingZero && isDigit(next)) else { throw mistake("a number cannot start with 0") }
      while isDigit(next) { position += 1 }
      var isInteger = true
      if next == UInt8(ascii: ".") {
        isInteger = false
        position += 1
        guard isDigit(next) else { throw mistake("expected a digit after the point") }
        while isDigit(next) { position += 1 }
      }
      if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
        isInteger = false
        position += 1
        if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
        guard isDigit(next) else { throw mistake("expected a digit in the exponent") }
        while isDigit(next) { position += 1 }
      }
      let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
      if isInteger, let value = Int(text) { return .integer(value) }
      guard let value = Double(text) else { throw mistake("not a number: \(text)") }
      return .number(value)
    }

    mutating func string() throws(Diagnostic) -> String {
      position += 1
      let start = position
      while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
      if next == UInt8(ascii: "\"") {
        let plain = UnsafeBufferPointer(rebasing: bytes[start..<position])
        position += 1
        guard let text = String(validating: plain, as: UTF8.self) else { throw mistake("a string is not UTF-8") }
        return text
      }
      var content = Array(bytes[start..<position])
      while let byte = next, byte >= 0x20 {
        position += 1
        if byte == UInt8(ascii: "\"") {
          guard let text = String(validating: content, as: UTF8.self) else { throw mistake("a string is not UTF-8") }
          return text
        }
        if byte == UInt8(ascii: "\\") { try escape(into: &content) } else { content.append(byte) }
      }
      throw mistake(next == nil ? "the text ends inside a string" : "a control character inside a string")
    }

    mutating func escape(into content: inout [UInt8]) throws(Diagnostic) {
      guard let byte = next else { throw mistake("the text ends inside a string") }
      position += 1
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
      case UInt8(ascii: "b"): content.append(0x08)
      case UInt8(ascii: "f"): content.append(0x0C)
      case UInt8(ascii: "n"): content.append(0x0A)
      case UInt8(ascii: "r"): content.append(0x0D)
      case UInt8(ascii: "t"): content.append(0x09)
      case UInt8(ascii: "u"):
        var code = try fourHexDigits()
        // A surrogate pair is one scalar; a lone half has no meaning and becomes U+FFFD.
        if code >= 0xD800, code < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
          bytes[position + 1] == UInt8(ascii: "u")
        {
          let mark = position
          position += 2
          let low = try fourHexDigits()
          if low >= 0xDC00, low < 0xE000 {
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
          } else {
            position = mark
          }
        }
        content.append(contentsOf: String(Character(Unicode.Scalar(code) ?? "\u{FFFD}")).utf8)
      default: throw mistake("unknown escape in a string")
      }
    }

    mutating func fourHexDigits() throws(Diagnostic) -> UInt32 {
      var code: UInt32 = 0
      for _ in 0..<4 {
        guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
          throw mistake("expected four hexadecimal digits after \\u")
        }
        code = code << 4 | UInt32(digit)
        position += 1
      }
      return code
    }
  }
}

// MARK: - Writing

extension JSON: CustomStringConvertible {
  /// The value on one line, members in their order. Infinities and NaN, which JSON lacks, are written as null.
  public var description: String {
    var text = ""
    write(to: &text)
    return text
  }

  private func write(to text: inout String) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .number(let value): text += value.isFinite ? value.description : "null"
    case .string(let value): Self.quote(value, to: &text)
    case .array(let elements):
      text += "["
      for (index, element) in elements.enumerated() {
        if index > 0 { text += ", " }
        element.write(to: &text)
      }
      text += "]"
    case .object(let members):
      text += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { text += ", " }
        Self.quote(member.key, to: &text)
        text += ": "
        member.value.write(to: &text)
      }
      text += "}"
    }
  }

  private static func quote(_ value: String, to text: inout String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\0"..<" ", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(elements.map { Member($0.0, $0.1) }) }
}

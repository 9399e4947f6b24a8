// Reads JSON text from front to back: whole values, or the members of an object one by one for whoever knows what should
// come and refuses the rest before it takes memory. Not a tree: that is `JSON`, 16 to 48 bytes for each value.
// Surprise: it stands before the next value; whoever is handed it for a member or an element must read that value.

extension JSON {
  /// Parses UTF-8 text.
  /// - Throws: ``Diagnostic`` of kind `format` with the byte offset of the first mistake.
  package init(parsing bytes: some Collection<UInt8>) throws(Diagnostic) {
    let result: Result<JSON, Diagnostic>? = bytes.withContiguousStorageIfAvailable { buffer in
      Result { () throws(Diagnostic) in
        var reader = JSONReader(buffer) {
          Diagnostic(.format, $0, remedy: "check that the file is complete and is JSON")
        }
        let value = try reader.value()
        try reader.end()
        return value
      }
    }
    if let result {
      self = try result.get()
    } else {
      try self.init(parsing: Array(bytes))
    }
  }

  package init(parsing text: String) throws(Diagnostic) { try self.init(parsing: Array(text.utf8)) }
}

package struct JSONReader {
  /// Values nested deeper than this are refused: a hostile file must not exhaust the stack.
  private static let deepest = 256

  package enum Kind {
    case null, bool, number, string, array, object
  }

  private let bytes: UnsafeBufferPointer<UInt8>
  private let diagnostic: (String) -> Diagnostic
  private var position = 0
  private var depth = 0

  /// - Parameters:
  ///   - bytes: The text, which outlives the reader.
  ///   - diagnostic: Says a mistake in the text, given as "JSON, byte 3: expected a digit".
  package init(_ bytes: UnsafeBufferPointer<UInt8>, diagnostic: @escaping (String) -> Diagnostic) {
    self.bytes = bytes
    self.diagnostic = diagnostic
  }

  private func mistake(_ what: String) -> Diagnostic { diagnostic("JSON, byte \(position): \(what)") }

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  /// Nothing but white space is left.
  package mutating func end() throws(Diagnostic) {
    skipSpace()
    guard position == bytes.count else { throw mistake("text after the end of the value") }
  }

  /// What the value is that comes next, by its first byte.
  package mutating func kind() throws(Diagnostic) -> Kind {
    skipSpace()
    guard let first = next else { throw mistake("the text ends where a value should be") }
    switch first {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    default: throw mistake("a value cannot start with this byte")
    }
  }

  package mutating func value() throws(Diagnostic) -> JSON {
    switch try kind() {
    case .object:
      var members: [JSON.Member] = []
      try object { key, reader throws(Diagnostic) in members.append(JSON.Member(key, try reader.value())) }
      return .object(members)
    case .array:
      var elements: [JSON] = []
      try array { reader throws(Diagnostic) in elements.append(try reader.value()) }
      return .array(elements)
    case .string: return .string(try string())
    case .number: return try number()
    case .null: return try word("null", .null)
    case .bool: return next == UInt8(ascii: "t") ? try word("true", .bool(true)) : try word("false", .bool(false))
    }
  }

  /// Reads a value and keeps nothing of it.
  package mutating func skip() throws(Diagnostic) {
    switch try kind() {
    case .object: try object { _, reader throws(Diagnostic) in try reader.skip() }
    case .array: try array { reader throws(Diagnostic) in try reader.skip() }
    case .null, .bool, .number, .string: _ = try value()
    }
  }

  /// An object; `each` reads the value of a member.
  package mutating func object(
    _ each: (_ key: String, inout JSONReader) throws(Diagnostic) -> Void
  ) throws(Diagnostic) {
    try list(from: "{", to: "}", "an object") { reader throws(Diagnostic) in
      reader.skipSpace()
      guard reader.next == UInt8(ascii: "\"") else { throw reader.mistake("expected a member name in quotes") }
      let key = try reader.string()
      reader.skipSpace()
      guard reader.next == UInt8(ascii: ":") else { throw reader.mistake("expected ':' after the member name") }
      reader.position += 1
      try each(key, &reader)
    }
  }

  /// An array; `each` reads an element.
  package mutating func array(_ each: (inout JSONReader) throws(Diagnostic) -> Void) throws(Diagnostic) {
    try list(from: "[", to: "]", "an array", each)
  }

  private mutating func list(
    from first: Unicode.Scalar, to last: Unicode.Scalar, _ name: String,
    _ each: (inout JSONReader) throws(Diagnostic) -> Void
  ) throws(Diagnostic) {
    guard depth < Self.deepest else { throw mistake("nested deeper than \(Self.deepest) levels") }
    depth += 1
    defer { depth -= 1 }
    skipSpace()
    guard next == UInt8(ascii: first) else { throw mistake("expected \(name)") }
    position += 1
    skipSpace()
    if next == UInt8(ascii: last) {
      position += 1
      return
    }
    while true {
      try each(&self)
      skipSpace()
      guard let byte = next, byte == UInt8(ascii: ",") || byte == UInt8(ascii: last) else {
        throw mistake("expected ',' or '\(last)' in \(name)")
      }
      position += 1
      if byte == UInt8(ascii: last) { return }
    }
  }

  private mutating func word(_ word: StaticString, _ value: JSON) throws(Diagnostic) -> JSON {
    let length = word.utf8CodeUnitCount
    guard position + length <= bytes.count,
      (0..<length).allSatisfy({ bytes[position + $0] == word.utf8Start[$0] })
    else { throw mistake("expected \(word)") }
    position += length
    return value
  }

  private mutating func number() throws(Diagnostic) -> JSON {
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

  /// A string with its escapes taken out.
  package mutating func string() throws(Diagnostic) -> String {
    skipSpace()
    guard next == UInt8(ascii: "\"") else { throw mistake("expected a string") }
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

  private mutating func escape(into content: inout [UInt8]) throws(Diagnostic) {
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

  private mutating func fourHexDigits() throws(Diagnostic) -> UInt32 {
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

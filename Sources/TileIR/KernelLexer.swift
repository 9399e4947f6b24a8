// Words of the text form of kernels, each with its line and column. Not a parser: any sequence of words is fine here.
// Surprise: a number is whatever starts with a digit and goes on like a name; its reader says whether it is one.
import Basics
import Scalars
import TensorTypes

struct KernelLexer {
  enum Kind: Equatable {
    case name(String)
    case quoted(String)
    /// `%12`
    case value(Int)
    /// `$3`
    case shared(Int)
    case number(String)
    case punctuation(Character)
    case end
  }

  struct Token {
    var kind: Kind
    var line: Int
    var column: Int

    var spelling: String {
      switch kind {
      case .name(let text), .number(let text): "'\(text)'"
      case .quoted(let text): "\"\(text)\""
      case .value(let n): "'%\(n)'"
      case .shared(let n): "'$\(n)'"
      case .punctuation(let character): "'\(character)'"
      case .end: "the end"
      }
    }
  }

  private let bytes: [UInt8]
  private var position = 0
  private var line = 1
  private var lineStart = 0

  private init(_ text: String) { bytes = Array(text.utf8) }

  static func tokens(_ text: String) throws(Diagnostic) -> [Token] {
    var lexer = KernelLexer(text)
    var tokens: [Token] = []
    repeat { tokens.append(try lexer.next()) } while tokens[tokens.count - 1].kind != .end
    return tokens
  }

  static func startsName(_ byte: UInt8) -> Bool {
    (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")) || byte == UInt8(ascii: "_")
  }
  static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
  static func continuesName(_ byte: UInt8) -> Bool { startsName(byte) || isDigit(byte) || byte == UInt8(ascii: ".") }

  /// Words that mean something where a user's name may stand; such names are quoted.
  static func isReserved(_ name: String) -> Bool {
    let head = String(name.prefix { $0 != "." })
    return TileKeyword(rawValue: head) != nil || ScalarInstruction(rawValue: head) != nil
      || DimOperation(rawValue: name) != nil || name == "inf" || name == "nan" || tileAxis(name) != nil
  }

  /// The number of "t3".
  static func tileAxis(_ name: String) -> Int? {
    guard name.utf8.first == UInt8(ascii: "t"), name.utf8.count > 1, name.utf8.dropFirst().allSatisfy(isDigit) else {
      return nil
    }
    return Int(name.dropFirst())
  }

  static func failure(_ token: Token, _ message: String) -> Diagnostic {
    Diagnostic(.format, "kernel text \(token.line):\(token.column): \(message)")
  }

  private mutating func skipBlanks() {
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\n") {
        line += 1
        lineStart = position + 1
      } else if byte == UInt8(ascii: "/"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "/") {
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
        continue
      } else if byte != UInt8(ascii: " "), byte != UInt8(ascii: "\t"), byte != UInt8(ascii: "\r") {
        return
      }
      position += 1
    }
  }

  private mutating func take(_ belongs: (UInt8) -> Bool) -> String {
    let start = position
    while position < bytes.count, belongs(bytes[position]) { position += 1 }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private mutating func next() throws(Diagnostic) -> Token {
    skipBlanks()
    var token = Token(kind: .end, line: line, column: position - lineStart + 1)
    guard position < bytes.count else { return token }
    let byte = bytes[position]
    if Self.startsName(byte) {
      token.kind = .name(take(Self.continuesName))
    } else if Self.isDigit(byte) {
      token.kind = .number(number())
    } else if byte == UInt8(ascii: "\"") {
      token.kind = .quoted(try quoted(token))
    } else if byte == UInt8(ascii: "%") || byte == UInt8(ascii: "$"), position + 1 < bytes.count,
      Self.isDigit(bytes[position + 1])
    {
      position += 1
      let digits = take(Self.isDigit)
      guard let n = Int(digits) else { throw Self.failure(token, "the number \(digits) is too large") }
      token.kind = byte == UInt8(ascii: "%") ? .value(n) : .shared(n)
    } else if byte < 128, "@(){}[],:=+-*/%?<".utf8.contains(byte) {
      position += 1
      token.kind = .punctuation(Character(UnicodeScalar(byte)))
    } else {
      throw Self.failure(token, "a byte that starts no word: 0x\(String(byte, radix: 16))")
    }
    return token
  }

  private mutating func number() -> String {
    var text = take(Self.continuesName)
    // The sign of an exponent, "1e-05".
    if let last = text.utf8.last, last | 0x20 == UInt8(ascii: "e"), position < bytes.count,
      bytes[position] == UInt8(ascii: "-") || bytes[position] == UInt8(ascii: "+")
    {
      text += String(UnicodeScalar(bytes[position]))
      position += 1
      text += take(Self.isDigit)
    }
    return text
  }

  private mutating func quoted(_ token: Token) throws(Diagnostic) -> String {
    var content: [UInt8] = []
    position += 1
    while position < bytes.count, bytes[position] != UInt8(ascii: "\n") {
      let byte = bytes[position]
      position += 1
      if byte == UInt8(ascii: "\"") { return String(decoding: content, as: UTF8.self) }
      if byte != UInt8(ascii: "\\") {
        content.append(byte)
        continue
      }
      guard position < bytes.count else { break }
      let escaped = bytes[position]
      position += 1
      if escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\") {
        content.append(escaped)
      } else if escaped == UInt8(ascii: "u"), position < bytes.count, bytes[position] == UInt8(ascii: "{") {
        position += 1
        let digits = take { Self.isDigit($0) || Self.startsName($0) }
        guard let code = UInt32(digits, radix: 16), let scalar = UnicodeScalar(code), position < bytes.count,
          bytes[position] == UInt8(ascii: "}")
        else { throw Self.failure(token, "a malformed \\u{...} in a quoted name") }
        position += 1
        content += Array(String(scalar).utf8)
      } else {
        throw Self.failure(token, "an unknown escape in a quoted name")
      }
    }
    throw Self.failure(token, "a quoted name without end")
  }
}

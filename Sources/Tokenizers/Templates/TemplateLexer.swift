// Cuts the text of a chat template (Jinja) into literal text and the tokens inside its tags.
// Surprise: white space around block tags goes as Hugging Face sets it: the line break after one (`trim_blocks`) and the
// indent before one (`lstrip_blocks`).

import Basics

/// A piece of a template.
enum TemplateToken: Hashable {
  case text(String)
  /// `{{` and `}}`
  case outputBegin, outputEnd
  /// `{%` and `%}`
  case blockBegin, blockEnd
  case name(String)
  case string(String)
  case integer(Int)
  case number(Double)
  /// An operator or a bracket.
  case sign(String)
  case end
}

struct TemplateLexer {
  private let source: [Unicode.Scalar]
  private var position = 0
  private var line = 1
  private(set) var tokens: [(token: TemplateToken, line: Int)] = []
  /// How the last tag leaves the text after it.
  private var trimming = Trimming.nothing
  /// Whether the text begins at the start of a line, as seen by the indent rule.
  private var isLineStart = true

  private enum Trimming { case nothing, oneLineBreak, allSpace }

  static func tokens(of source: String) throws(Diagnostic) -> [(token: TemplateToken, line: Int)] {
    var lexer = TemplateLexer(source)
    try lexer.run()
    return lexer.tokens
  }

  private init(_ text: String) {
    var scalars: [Unicode.Scalar] = []
    for scalar in text.unicodeScalars {
      // \r\n and \r count as \n, as in Jinja.
      if scalar == "\n", scalars.last == "\r" { scalars.removeLast() }
      if scalars.last == "\r" { scalars[scalars.count - 1] = "\n" }
      scalars.append(scalar)
    }
    if scalars.last == "\r" { scalars[scalars.count - 1] = "\n" }
    if scalars.last == "\n" { scalars.removeLast() }
    source = scalars
  }

  private func mistake(_ what: String) -> Diagnostic { ChatTemplate.mistake(what, line: line) }

  private func at(_ index: Int) -> Unicode.Scalar? { index < source.count ? source[index] : nil }

  private func starts(with text: StaticString, at index: Int) -> Bool {
    let length = text.utf8CodeUnitCount
    guard index + length <= source.count else { return false }
    return (0..<length).allSatisfy { source[index + $0].value == UInt32(text.utf8Start[$0]) }
  }

  private mutating func add(_ token: TemplateToken) { tokens.append((token, line)) }

  private mutating func run() throws(Diagnostic) {
    while true {
      let start = position
      while position < source.count,
        !(source[position] == "{" && (at(position + 1) == "{" || at(position + 1) == "%" || at(position + 1) == "#"))
      {
        position += 1
      }
      addText(start..<position)
      guard position < source.count else { break }
      let kind = source[position + 1]
      position += 2
      if at(position) == "-" || at(position) == "+" { position += 1 }
      switch kind {
      case "#": try comment()
      case "%":
        try block()
      default:
        add(.outputBegin)
        try tag(closing: "}}")
        add(.outputEnd)
      }
    }
    add(.end)
  }

  /// Adds the text before the tag at `position`, without what the tags on its two sides take away.
  private mutating func addText(_ range: Range<Int>) {
    var (start, end) = (range.lowerBound, range.upperBound)
    switch trimming {
    case .nothing: break
    case .oneLineBreak:
      isLineStart = start < end && source[start] == "\n"
      if isLineStart { start += 1 }
    case .allSpace:
      while start < end, source[start].properties.isWhitespace { start += 1 }
      isLineStart = start > range.lowerBound && source[start - 1] == "\n"
    }
    if end < source.count {
      let mark = at(end + 2)
      if mark == "-" {
        while end > start, source[end - 1].properties.isWhitespace { end -= 1 }
      } else if mark != "+", at(end + 1) != "{" {
        var indent = end
        while indent > start, source[indent - 1] != "\n", source[indent - 1].properties.isWhitespace { indent -= 1 }
        if indent > start ? source[indent - 1] == "\n" : isLineStart { end = indent }
      }
    }
    if start < end { add(.text(Self.string(source[start..<end]))) }
    line += source[range].count { $0 == "\n" }
    trimming = .nothing
    isLineStart = false
  }

  private static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var text = ""
    text.unicodeScalars.append(contentsOf: scalars)
    return text
  }

  private mutating func comment() throws(Diagnostic) {
    while position < source.count, !starts(with: "#}", at: position) {
      if source[position] == "\n" { line += 1 }
      position += 1
    }
    guard position < source.count else { throw mistake("a comment is not closed") }
    trimming = at(position - 1) == "-" ? .allSpace : at(position - 1) == "+" ? .nothing : .oneLineBreak
    position += 2
  }

  private mutating func block() throws(Diagnostic) {
    add(.blockBegin)
    let first = tokens.count
    try tag(closing: "%}")
    guard tokens.count == first + 1, tokens[first].token == .name("raw") else {
      add(.blockEnd)
      return
    }
    tokens.removeLast(2)
    try rawText()
  }

  /// Everything up to `{% endraw %}` is text.
  private mutating func rawText() throws(Diagnostic) {
    let start = position
    while position < source.count {
      if starts(with: "{%", at: position) {
        let end = position
        var probe = self
        probe.position += 2
        if probe.at(probe.position) == "-" || probe.at(probe.position) == "+" { probe.position += 1 }
        probe.skipSpace()
        if probe.starts(with: "endraw", at: probe.position) {
          addText(start..<end)
          position = probe.position + 6
          return try tag(closing: "%}")
        }
      }
      position += 1
    }
    throw mistake("'raw' is not closed")
  }

  private mutating func skipSpace() {
    while let scalar = at(position), scalar.properties.isWhitespace {
      if scalar == "\n" { line += 1 }
      position += 1
    }
  }

  /// The tokens of a tag up to its closing sign, which may carry a `-` or `+`.
  private mutating func tag(closing: StaticString) throws(Diagnostic) {
    // Inside brackets "}}" may close two dictionaries.
    var depth = 0
    while true {
      skipSpace()
      guard let scalar = at(position) else { throw mistake("a tag is not closed") }
      if depth == 0 {
        let hasMark = (scalar == "-" || scalar == "+") && starts(with: closing, at: position + 1)
        if hasMark || starts(with: closing, at: position) {
          trimming = scalar == "-" ? .allSpace : scalar == "+" || closing.isOutput ? .nothing : .oneLineBreak
          position += hasMark ? 3 : 2
          return
        }
      }
      switch scalar {
      case "\"", "'": try string(quote: scalar)
      case "0"..."9": try number()
      case _ where scalar == "_" || scalar.properties.isAlphabetic:
        let start = position
        while let next = at(position), next == "_" || next.properties.isAlphabetic || ("0"..."9").contains(next) {
          position += 1
        }
        add(.name(Self.string(source[start..<position])))
      default:
        let sign = Self.signs.first { starts(with: $0, at: position) }
        guard let sign else { throw mistake("'\(scalar)' is not understood inside a tag") }
        switch scalar {
        case "(", "[", "{": depth += 1
        case ")", "]", "}": depth -= 1
        default: break
        }
        position += sign.utf8CodeUnitCount
        add(.sign("\(sign)"))
      }
    }
  }

  /// The longer ones first.
  private static let signs: [StaticString] = [
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",",
    ".", ":", "|",
  ]

  private mutating func string(quote: Unicode.Scalar) throws(Diagnostic) {
    var text = ""
    position += 1
    while let scalar = at(position), scalar != quote {
      position += 1
      if scalar == "\n" { line += 1 }
      guard scalar == "\\", let escaped = at(position) else {
        text.unicodeScalars.append(scalar)
        continue
      }
      position += 1
      switch escaped {
      case "n": text += "\n"
      case "t": text += "\t"
      case "r": text += "\r"
      case "0": text += "\0"
      case "\\", "'", "\"": text.unicodeScalars.append(escaped)
      case "\n": line += 1
      case "x": try code(digits: 2, into: &text)
      case "u": try code(digits: 4, into: &text)
      case "U": try code(digits: 8, into: &text)
      default: text.unicodeScalars.append(contentsOf: ["\\", escaped])
      }
    }
    guard position < source.count else { throw mistake("a string is not closed") }
    position += 1
    add(.string(text))
  }

  private mutating func code(digits: Int, into text: inout String) throws(Diagnostic) {
    let end = min(position + digits, source.count)
    guard end - position == digits, let value = UInt32(Self.string(source[position..<end]), radix: 16),
      let scalar = Unicode.Scalar(value)
    else { throw mistake("a string has an escape that is no character") }
    position = end
    text.unicodeScalars.append(scalar)
  }

  private mutating func number() throws(Diagnostic) {
    let start = position
    func skipDigits() { while let next = at(position), ("0"..."9").contains(next) || next == "_" { position += 1 } }
    skipDigits()
    var isInteger = true
    if at(position) == ".", let next = at(position + 1), ("0"..."9").contains(next) {
      isInteger = false
      position += 1
      skipDigits()
    }
    if at(position) == "e" || at(position) == "E" {
      let hasSign = at(position + 1) == "+" || at(position + 1) == "-"
      if let next = at(position + (hasSign ? 2 : 1)), ("0"..."9").contains(next) {
        isInteger = false
        position += hasSign ? 2 : 1
        skipDigits()
      }
    }
    let text = Self.string(source[start..<position].filter { $0 != "_" })
    if isInteger, let value = Int(text) {
      add(.integer(value))
    } else if !isInteger, let value = Double(text) {
      add(.number(value))
    } else {
      throw mistake("'\(text)' is not a number")
    }
  }
}

extension StaticString {
  /// Whether a tag closed by this sign prints a value.
  fileprivate var isOutput: Bool { utf8Start[0] == UInt8(ascii: "}") }
}

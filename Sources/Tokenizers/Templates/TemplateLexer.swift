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

  /// As messages show it.
  var shown: String {
    switch self {
    case .text: "text"
    case .outputBegin: "{{"
    case .outputEnd: "}}"
    case .blockBegin: "{%"
    case .blockEnd: "%}"
    case .name(let name): name
    case .string(let text): "'\(text)'"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .sign(let sign): sign
    case .end: "the end"
    }
  }
}

struct TemplateLexer {
  private let source: [Unicode.Scalar]
  private var position = 0
  private var line = 1
  private(set) var tokens: [(token: TemplateToken, line: Int)] = []
  /// Whether the last token ended with a line break, as seen by the indent rule.
  private var isLineStart = true

  static func tokens(of source: String) throws(Diagnostic) -> [(token: TemplateToken, line: Int)] {
    var lexer = TemplateLexer(source)
    try lexer.run()
    return lexer.tokens
  }

  private init(_ text: String) {
    var scalars: [Unicode.Scalar] = []
    var isAfterReturn = false
    for scalar in text.unicodeScalars {
      // \r\n and \r count as \n, as in Jinja.
      if !(scalar == "\n" && isAfterReturn) { scalars.append(scalar == "\r" ? "\n" : scalar) }
      isAfterReturn = scalar == "\r"
    }
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
      while position < source.count, !isOpening(position) { position += 1 }
      guard position < source.count else {
        if start < position { add(.text(PythonText.string(source[start...]))) }
        break
      }
      let kind = source[position + 1]
      if kind == "%", let end = rawBegin(position) {
        addText(start..<position, before: position)
        advance(to: end)
        try rawText()
        continue
      }
      addText(start..<position, before: position)
      advance(to: position + 2)
      if at(position) == "-" || at(position) == "+" { position += 1 }
      isLineStart = false
      switch kind {
      case "#": try comment()
      case "%":
        add(.blockBegin)
        try tag(closing: "%}")
        add(.blockEnd)
      default:
        add(.outputBegin)
        try tag(closing: "}}")
        add(.outputEnd)
      }
    }
    add(.end)
  }

  private func isOpening(_ index: Int) -> Bool {
    source[index] == "{" && (at(index + 1) == "{" || at(index + 1) == "%" || at(index + 1) == "#")
  }

  /// Moves on, counting lines.
  private mutating func advance(to end: Int) {
    while position < end {
      if source[position] == "\n" { line += 1 }
      position += 1
    }
    isLineStart = end > 0 && source[end - 1] == "\n"
  }

  /// Adds the text before the tag at `tag`, without what that tag takes away.
  private mutating func addText(_ range: Range<Int>, before tag: Int) {
    var end = range.upperBound
    let mark = at(tag + 2)
    if mark == "-" {
      while end > range.lowerBound, PythonText.isSpace(source[end - 1]) { end -= 1 }
    } else if mark != "+", at(tag + 1) != "{" {
      var indent = end
      while indent > range.lowerBound, source[indent - 1] != "\n", PythonText.isSpace(source[indent - 1]) {
        indent -= 1
      }
      if indent > range.lowerBound ? source[indent - 1] == "\n" : isLineStart { end = indent }
    }
    if range.lowerBound < end { add(.text(PythonText.string(source[range.lowerBound..<end]))) }
    // The position stands at the tag already.
    line += source[range].count { $0 == "\n" }
  }

  private func skippingSpace(_ index: Int) -> Int {
    var index = index
    while let scalar = at(index), PythonText.isSpace(scalar) { index += 1 }
    return index
  }

  /// The end of a closing sign at `index` with its mark, and of the white space that it takes; nil if there is none.
  private func closing(_ sign: StaticString, at index: Int, trims: Bool, takesPlus: Bool) -> Int? {
    if at(index) == "-", starts(with: sign, at: index + 1) { return skippingSpace(index + 3) }
    if takesPlus, at(index) == "+", starts(with: sign, at: index + 1) { return index + 3 }
    guard starts(with: sign, at: index) else { return nil }
    return trims && at(index + 2) == "\n" ? index + 3 : index + 2
  }

  private mutating func comment() throws(Diagnostic) {
    var end = position
    while end < source.count {
      if let next = closing("#}", at: end, trims: true, takesPlus: true) { return advance(to: next) }
      end += 1
    }
    throw mistake("a comment is not closed")
  }

  /// The end of `{% raw %}` at `index`.
  private func rawBegin(_ index: Int) -> Int? {
    var end = index + 2
    if at(end) == "-" || at(end) == "+" { end += 1 }
    end = skippingSpace(end)
    guard starts(with: "raw", at: end) else { return nil }
    return closing("%}", at: skippingSpace(end + 3), trims: false, takesPlus: false)
  }

  /// Everything up to `{% endraw %}` is text.
  private mutating func rawText() throws(Diagnostic) {
    let start = position
    var index = position
    while index < source.count {
      if starts(with: "{%", at: index) {
        var end = index + 2
        if at(end) == "-" || at(end) == "+" { end += 1 }
        end = skippingSpace(end)
        if starts(with: "endraw", at: end),
          let next = closing("%}", at: skippingSpace(end + 6), trims: true, takesPlus: true)
        {
          addText(start..<index, before: index)
          position = index
          return advance(to: next)
        }
      }
      index += 1
    }
    throw mistake("'raw' is not closed")
  }

  /// The tokens of a tag up to its closing sign, which may carry a `-`, and a block's a `+`.
  private mutating func tag(closing sign: StaticString) throws(Diagnostic) {
    let isBlock = sign.utf8Start[0] == UInt8(ascii: "%")
    // Inside brackets "}}" may close two dictionaries.
    var open: [Unicode.Scalar] = []
    while true {
      advance(to: skippingSpace(position))
      guard let scalar = at(position) else { throw mistake("a tag is not closed") }
      if open.isEmpty, let end = closing(sign, at: position, trims: isBlock, takesPlus: isBlock) {
        return advance(to: end)
      }
      switch scalar {
      case "\"", "'": try string(quote: scalar)
      case "0"..."9": try number()
      case _ where PythonText.isWordPart(scalar): try word()
      default:
        guard let found = Self.signs.first(where: { starts(with: $0, at: position) }) else {
          throw mistake("'\(scalar)' is not understood inside a tag")
        }
        switch scalar {
        case "(": open.append(")")
        case "[": open.append("]")
        case "{": open.append("}")
        case ")", "]", "}": guard open.popLast() == scalar else { throw mistake("'\(scalar)' closes nothing") }
        default: break
        }
        position += found.utf8CodeUnitCount
        add(.sign("\(found)"))
      }
    }
  }

  /// The longer ones first.
  private static let signs: [StaticString] = [
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",",
    ".", ":", "|", ";",
  ]

  private mutating func word() throws(Diagnostic) {
    let start = position
    while let next = at(position), PythonText.isWordPart(next) { position += 1 }
    let name = PythonText.string(source[start..<position])
    guard PythonText.isIdentifier(name) else { throw mistake("'\(name)' is no name") }
    add(.name(name))
  }

  private mutating func string(quote: Unicode.Scalar) throws(Diagnostic) {
    var text = String.UnicodeScalarView()
    let first = line
    position += 1
    while let scalar = at(position), scalar != quote {
      position += 1
      if scalar == "\n" { line += 1 }
      guard scalar == "\\", let escaped = at(position) else {
        text.append(scalar)
        continue
      }
      position += 1
      if escaped == "\n" { line += 1 }
      try escape(escaped, into: &text)
    }
    guard position < source.count else { throw mistake("a string is not closed") }
    position += 1
    tokens.append((.string(String(text)), first))
  }

  /// What Python's `unicode-escape` makes of a backslash and `escaped`.
  private mutating func escape(_ escaped: Unicode.Scalar, into text: inout String.UnicodeScalarView) throws(Diagnostic)
  {
    switch escaped {
    case "\n": break
    case "n": text.append("\n")
    case "t": text.append("\t")
    case "r": text.append("\r")
    case "a": text.append("\u{7}")
    case "b": text.append("\u{8}")
    case "f": text.append("\u{C}")
    case "v": text.append("\u{B}")
    case "\\", "'", "\"": text.append(escaped)
    case "0"..."7":
      var value = escaped.value - 0x30
      var digits = 1
      while digits < 3, let next = at(position), ("0"..."7").contains(next) {
        value = value * 8 + next.value - 0x30
        position += 1
        digits += 1
      }
      text.append(Unicode.Scalar(value) ?? "\u{FFFD}")
    case "x": try code(digits: 2, into: &text)
    case "u": try code(digits: 4, into: &text)
    case "U": try code(digits: 8, into: &text)
    case "N": throw mistake("characters by their names are not supported")
    case _ where escaped.value >= 0x80:
      // Jinja writes the character as an escape first, whose backslash the one before it then protects.
      let digits = String(escaped.value, radix: 16)
      let (letter, width) = escaped.value < 0x100 ? ("x", 2) : escaped.value < 0x10000 ? ("u", 4) : ("U", 8)
      text.append("\\")
      text.append(contentsOf: (letter + String(repeating: "0", count: width - digits.count) + digits).unicodeScalars)
    default:
      text.append("\\")
      text.append(escaped)
    }
  }

  private mutating func code(digits: Int, into text: inout String.UnicodeScalarView) throws(Diagnostic) {
    let end = min(position + digits, source.count)
    let written = source[position..<end]
    guard written.count == digits, written.allSatisfy({ $0.properties.isASCIIHexDigit }),
      let value = UInt32(PythonText.string(written), radix: 16), let scalar = Unicode.Scalar(value)
    else { throw mistake("a string has an escape that is no character") }
    position = end
    text.append(scalar)
  }

  // MARK: - Numbers

  private func isDigit(_ index: Int, _ range: ClosedRange<Unicode.Scalar> = "0"..."9") -> Bool {
    at(index).map { range.contains($0) } ?? false
  }

  /// The end of digits with single underscores between them; nil if there is no digit.
  private func digits(_ index: Int) -> Int? {
    guard isDigit(index) else { return nil }
    var end = index + 1
    while isDigit(end) || at(end) == "_" && isDigit(end + 1) { end += 1 }
    return end
  }

  private mutating func number() throws(Diagnostic) {
    let start = position
    func text(_ end: Int) -> String { PythonText.string(source[start..<end].filter { $0 != "_" }) }
    // A number after a point is the index of an element.
    if start == 0 || source[start - 1] != ".", let whole = digits(start) {
      let fraction = at(whole) == "." ? digits(whole + 1) : nil
      var end = fraction
      if at(fraction ?? whole) == "e" || at(fraction ?? whole) == "E" {
        let sign = (fraction ?? whole) + 1
        end = digits(at(sign) == "+" || at(sign) == "-" ? sign + 1 : sign) ?? end
      }
      if let end, let value = Double(text(end)) {
        position = end
        return add(.number(value))
      }
    }
    if let value = try radixNumber() { return add(.integer(value)) }
    let end: Int
    if at(start) == "0" {
      var zeros = start + 1
      while at(zeros) == "0" || at(zeros) == "_" && at(zeros + 1) == "0" { zeros += 1 }
      end = zeros
    } else {
      end = digits(start) ?? start + 1
    }
    guard let value = Int(text(end)) else { throw mistake("the number \(text(end)) has more than 64 bits") }
    position = end
    add(.integer(value))
  }

  /// `0x1f`, `0o17`, `0b101`.
  private mutating func radixNumber() throws(Diagnostic) -> Int? {
    guard at(position) == "0", let letter = at(position + 1) else { return nil }
    let radix: Int
    switch letter {
    case "x", "X": radix = 16
    case "o", "O": radix = 8
    case "b", "B": radix = 2
    default: return nil
    }
    func isPart(_ index: Int) -> Bool {
      at(index).flatMap { $0.isASCII ? Character($0).hexDigitValue : nil }.map { $0 < radix } ?? false
    }
    var end = position + 2
    while isPart(end) || at(end) == "_" && isPart(end + 1) { end += 1 }
    let written = source[(position + 2)..<end].filter { $0 != "_" }
    guard !written.isEmpty else { return nil }
    let text = PythonText.string(written)
    guard let value = Int(text, radix: radix) else {
      throw mistake("the number 0\(letter)\(text) has more than 64 bits")
    }
    position = end
    return value
  }
}

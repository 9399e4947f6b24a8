// Python's view of text: what is space, a letter, a word; cases, search and cutting by scalars.
// Not grapheme clusters and not canonical equivalence: Python's strings are scalars, and so are a model's tokens.

enum PythonText {
  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars)
    return String(text)
  }

  // MARK: - Classes

  /// `str.isspace`, and `\s` of its patterns.
  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x80
      ? (0x09...0x0D).contains(scalar.value) || (0x1C...0x20).contains(scalar.value) : scalar.properties.isWhitespace
  }

  static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  /// `str.isalnum`
  static func isLetterOrNumber(_ scalar: Unicode.Scalar) -> Bool {
    isLetter(scalar) || scalar.properties.numericType != nil
  }

  /// `\w`
  static func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || isLetterOrNumber(scalar) || scalar.value >= 0x80 && scalar.properties.isXIDContinue
  }

  static func isIdentifier(_ text: String) -> Bool {
    guard let first = text.unicodeScalars.first, first == "_" || first.properties.isXIDStart else { return false }
    return text.unicodeScalars.dropFirst().allSatisfy { $0.properties.isXIDContinue }
  }

  /// Whether `repr` shows the scalar itself.
  static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x7F { return scalar.value >= 0x20 }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }

  // MARK: - Cases

  static func isUpper(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isUppercase }
  static func isLower(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isLowercase }
  static func isTitle(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.generalCategory == .titlecaseLetter }
  static func isCased(_ scalar: Unicode.Scalar) -> Bool { isUpper(scalar) || isLower(scalar) || isTitle(scalar) }

  static func uppercased(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars { result += scalar.properties.uppercaseMapping }
    return result
  }

  static func lowercased(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = ""
    for index in scalars.indices { result += lowercased(scalars, index) }
    return result
  }

  /// A sigma at the end of a word has a form of its own.
  private static func lowercased(_ scalars: [Unicode.Scalar], _ index: Int) -> String {
    guard scalars[index] == "\u{3A3}" else { return scalars[index].properties.lowercaseMapping }
    var before = index - 1
    while before >= 0, scalars[before].properties.isCaseIgnorable { before -= 1 }
    var after = index + 1
    while after < scalars.count, scalars[after].properties.isCaseIgnorable { after += 1 }
    let isFinal =
      before >= 0 && scalars[before].properties.isCased && !(after < scalars.count && scalars[after].properties.isCased)
    return isFinal ? "\u{3C2}" : "\u{3C3}"
  }

  static func capitalized(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    guard let first = scalars.first else { return "" }
    var result = first.properties.titlecaseMapping
    for index in scalars.indices.dropFirst() { result += lowercased(scalars, index) }
    return result
  }

  /// `str.title`: letters after something that has no case are capitals.
  static func titled(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = ""
    var isInWord = false
    for index in scalars.indices {
      result += isInWord ? lowercased(scalars, index) : scalars[index].properties.titlecaseMapping
      isInWord = isCased(scalars[index])
    }
    return result
  }

  static func caseSwapped(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = ""
    for index in scalars.indices {
      let scalar = scalars[index]
      result +=
        isUpper(scalar)
        ? lowercased(scalars, index) : isLower(scalar) ? scalar.properties.uppercaseMapping : String(scalar)
    }
    return result
  }

  /// The filter `title`: words begin after white space, hyphens and opening brackets.
  static func wordsTitled(_ text: String) -> String {
    var result = ""
    var rest = String.UnicodeScalarView()
    var isStart = true
    func flush() { result += lowercased(String(rest)) }
    for scalar in text.unicodeScalars {
      if isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar) {
        flush()
        rest = .init()
        result.unicodeScalars.append(scalar)
        isStart = true
      } else if isStart {
        result += scalar.properties.uppercaseMapping
        isStart = false
      } else {
        rest.append(scalar)
      }
    }
    flush()
    return result
  }

  // MARK: - Search and cutting

  /// Where `piece` begins in `text`, in bytes; UTF-8 of one is never found inside a character of the other.
  static func find(_ piece: [UInt8], in text: [UInt8], from start: Int) -> Int? {
    guard start <= text.count else { return nil }
    guard !piece.isEmpty else { return start }
    guard piece.count <= text.count - start else { return nil }
    if piece.count == 1 { return text[start...].firstIndex(of: piece[0]) }
    // Knuth, Morris and Pratt (1977): linear, whatever the texts are. `borders[n]`: the longest proper beginning of the
    // first n bytes that is also their end.
    var borders = [0, 0]
    for index in 1..<piece.count {
      var border = borders[index]
      while border > 0, piece[border] != piece[index] { border = borders[border] }
      borders.append(piece[border] == piece[index] ? border + 1 : 0)
    }
    var matched = 0
    for index in start..<text.count {
      while matched > 0, piece[matched] != text[index] { matched = borders[matched] }
      if piece[matched] == text[index] { matched += 1 }
      if matched == piece.count { return index + 1 - matched }
    }
    return nil
  }

  /// Where `piece` begins last in the first `end` bytes of `text`.
  static func findLast(_ piece: [UInt8], in text: [UInt8], before end: Int? = nil) -> Int? {
    let end = end ?? text.count
    return find(piece.reversed(), in: text[..<end].reversed(), from: 0).map { end - piece.count - $0 }
  }

  static func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

  /// The number of scalars in UTF-8 bytes.
  static func scalarCount(_ bytes: some Sequence<UInt8>) -> Int { bytes.count { $0 & 0xC0 != 0x80 } }

  static func scalarCount(_ text: String) -> Int {
    var text = text
    return text.withUTF8 { scalarCount($0) }
  }

  static func split(_ text: String, at separator: String, most: Int, fromEnd: Bool = false) -> [String] {
    let (bytes, separator) = (Array(text.utf8), Array(separator.utf8))
    var parts: [String] = []
    if fromEnd {
      let (backwards, wanted) = (Array(bytes.reversed()), Array(separator.reversed()))
      var end = 0
      while parts.count < most, let at = find(wanted, in: backwards, from: end) {
        parts.append(self.text(backwards[end..<at].reversed()))
        end = at + wanted.count
      }
      parts.append(self.text(backwards[end...].reversed()))
      return parts.reversed()
    }
    var start = 0
    while parts.count < most, let end = find(separator, in: bytes, from: start) {
      parts.append(self.text(bytes[start..<end]))
      start = end + separator.count
    }
    parts.append(self.text(bytes[start...]))
    return parts
  }

  /// Split at white space, none of it kept but in what is left after the last cut.
  static func words(_ text: String, most: Int, fromEnd: Bool = false) -> [String] {
    var rest = Array(text.unicodeScalars)[...]
    var parts: [String] = []
    func isSpace(_ scalar: Unicode.Scalar) -> Bool { PythonText.isSpace(scalar) }
    while true {
      if fromEnd {
        while let last = rest.last, isSpace(last) { rest.removeLast() }
      } else {
        rest = rest.drop(while: isSpace)
      }
      guard !rest.isEmpty else { break }
      guard parts.count < most else {
        parts.append(string(rest))
        break
      }
      if fromEnd {
        let start = rest.lastIndex(where: isSpace).map { $0 + 1 } ?? rest.startIndex
        parts.append(string(rest[start...]))
        rest = rest[..<start]
      } else {
        let end = rest.firstIndex(where: isSpace) ?? rest.endIndex
        parts.append(string(rest[..<end]))
        rest = rest[end...]
      }
    }
    return fromEnd ? parts.reversed() : parts
  }

  /// `str.splitlines`
  static func lines(_ text: String, keepingEnds: Bool = false) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var lines: [String] = []
    var start = 0
    var index = 0
    while index < scalars.count {
      switch scalars[index].value {
      case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029:
        let end = index
        if scalars[index] == "\r", index + 1 < scalars.count, scalars[index + 1] == "\n" { index += 1 }
        index += 1
        lines.append(string(scalars[start..<(keepingEnds ? index : end)]))
        start = index
      default: index += 1
      }
    }
    if start < scalars.count { lines.append(string(scalars[start...])) }
    return lines
  }

  /// Python's strip: white space, or the given scalars.
  static func stripped(_ text: String, of characters: String? = nil, left: Bool = true, right: Bool = true) -> String {
    let set = characters.map { Set($0.unicodeScalars) }
    func isOuter(_ scalar: Unicode.Scalar) -> Bool { set.map { $0.contains(scalar) } ?? isSpace(scalar) }
    var rest = text.unicodeScalars[...]
    if left { rest = rest.drop(while: isOuter) }
    if right { while let last = rest.last, isOuter(last) { rest.removeLast() } }
    return String(rest)
  }

  /// `str.replace`
  static func replaced(_ text: String, _ old: String, by new: String, most: Int) -> String {
    guard old.isEmpty else { return split(text, at: old, most: most).joined(separator: new) }
    // Between all scalars, as often as asked for.
    var result = ""
    var count = 0
    for scalar in text.unicodeScalars {
      if count < most { result += new }
      count += 1
      result.unicodeScalars.append(scalar)
    }
    return count < most ? result + new : result
  }

  /// As Python's repr quotes it.
  static func quoted(_ text: String) -> String {
    let quote: Unicode.Scalar =
      text.unicodeScalars.contains("'") && !text.unicodeScalars.contains("\"") ? "\"" : "'"
    var result = String.UnicodeScalarView()
    func hex(_ letter: String, _ scalar: Unicode.Scalar, _ width: Int) {
      let digits = String(scalar.value, radix: 16)
      result.append(
        contentsOf: "\\\(letter)\(String(repeating: "0", count: width - digits.count))\(digits)".unicodeScalars)
    }
    result.append(quote)
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result.append(contentsOf: ["\\", "\\"])
      case "\n": result.append(contentsOf: ["\\", "n"])
      case "\r": result.append(contentsOf: ["\\", "r"])
      case "\t": result.append(contentsOf: ["\\", "t"])
      case quote: result.append(contentsOf: ["\\", scalar])
      case _ where isPrintable(scalar): result.append(scalar)
      default:
        if scalar.value < 0x100 {
          hex("x", scalar, 2)
        } else if scalar.value < 0x10000 {
          hex("u", scalar, 4)
        } else {
          hex("U", scalar, 8)
        }
      }
    }
    result.append(quote)
    return String(result)
  }
}

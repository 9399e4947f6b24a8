// What happens to a text before it is cut: composing, lower case, replacing, as the steps of a tokenizer.json say.
// Not the cutting. Surprise: each step works on the whole text between added tokens, in the order of the file.

import Basics

/// A step that changes texts.
enum TextNormalizer: Sendable {
  /// BERT's cleaning, accents and lower case.
  case bert(BertNormalizer)
  case composed
  case decomposed
  case lowercase
  /// All marks go, also those that take a place of their own, which BERT's accents are not.
  case withoutMarks
  case prepend([UInt32])
  case replace(SplitPattern, [UInt32])
  case strip(left: Bool, right: Bool)
  /// One space between words, none around them.
  case collapsedSpaces
  /// A map of SentencePiece; `byCharacter`: the way of the library `tokenizers`.
  case mapped(CharacterMap, byCharacter: Bool)

  func applied(to scalars: [UInt32]) -> [UInt32] {
    switch self {
    case .bert(let normalizer): return normalizer.normalized(scalars)
    case .composed: return CanonicalForm.composed(scalars)
    case .decomposed: return CanonicalForm.decomposed(scalars)
    case .lowercase: return Self.lowercased(scalars)
    case .withoutMarks:
      return scalars.filter { scalar in
        switch Unicode.Scalar(scalar)?.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: false
        default: true
        }
      }
    case .prepend(let text): return scalars.isEmpty ? scalars : text + scalars
    case .replace(let pattern, let text):
      var matcher = SplitMatcher(pattern, scalars[...])
      var result: [UInt32] = []
      var position = 0
      for match in matcher.matches() {
        result += scalars[position..<match.lowerBound] + text
        position = match.upperBound
      }
      return result + scalars[position...]
    case .strip(let left, let right):
      func isSpace(_ scalar: UInt32) -> Bool { Unicode.Scalar(scalar)?.properties.isWhitespace ?? false }
      var kept = scalars[...]
      if left { kept = kept.drop(while: isSpace) }
      if right { while let last = kept.last, isSpace(last) { kept.removeLast() } }
      return Array(kept)
    case .collapsedSpaces:
      var result: [UInt32] = []
      for scalar in scalars where scalar != 0x20 || result.last.map({ $0 != 0x20 }) ?? false { result.append(scalar) }
      // SentencePiece takes a sign written in the text for the space it stands for, at the end only.
      while result.last == 0x20 || result.last == TextCutter.spaceSign { result.removeLast() }
      return result
    case .mapped(let map, let byCharacter): return byCharacter ? map.mappedByCharacter(scalars) : map.mapped(scalars)
    }
  }

  /// How many scalars the first `count` become, as the library `tokenizers` follows them: what is put in the place of a
  /// match stands where the match ended.
  func length(ofStart count: Int, of scalars: [UInt32]) -> Int {
    switch self {
    case .bert, .composed, .decomposed, .lowercase, .withoutMarks: applied(to: Array(scalars.prefix(count))).count
    case .prepend(let text): text.count + count
    case .replace(let pattern, let text): Self.length(ofStart: count, of: scalars, replacing: pattern, by: text.count)
    case .strip(let left, _):
      left ? applied(to: Array(scalars.prefix(count)) + [0x61]).count - 1 : count
    // SentencePiece puts its sign before what is left, and the library follows no scalar that its map takes away.
    case .collapsedSpaces, .mapped: count
    }
  }

  private static func length(
    ofStart count: Int, of scalars: [UInt32], replacing pattern: SplitPattern, by replaced: Int
  ) -> Int {
    var matcher = SplitMatcher(pattern, scalars[...])
    var length = count
    for match in matcher.matches() where match.lowerBound < count {
      length -= Swift.min(match.upperBound, count) - match.lowerBound
      if match.upperBound <= count { length += replaced }
    }
    return length
  }

  /// Each scalar by itself: no rule for a sigma at the end of a word.
  static func lowercased(_ scalars: [UInt32]) -> [UInt32] {
    var result: [UInt32] = []
    result.reserveCapacity(scalars.count)
    for value in scalars {
      if value < 128 {
        result.append(value >= 0x41 && value <= 0x5A ? value + 32 : value)
      } else if let scalar = Unicode.Scalar(value) {
        for lower in scalar.properties.lowercaseMapping.unicodeScalars { result.append(lower.value) }
      }
    }
    return result
  }

  /// How many times as long a text may become, as far as that is not the same for all vocabularies.
  var growth: Int {
    switch self {
    // An empty match leaves what is around it.
    case .replace(let pattern, let text): text.count + (pattern.mayBeEmpty ? 1 : 0)
    case .mapped(let map, _): map.longestText
    case .bert, .composed, .decomposed, .lowercase, .withoutMarks, .prepend, .strip, .collapsedSpaces: 1
    }
  }

  /// Whether texts come out in lower case.
  var lowercases: Bool {
    switch self {
    case .lowercase: true
    case .bert(let normalizer): normalizer.lowercases
    case .composed, .decomposed, .withoutMarks, .prepend, .replace, .strip, .collapsedSpaces, .mapped: false
    }
  }
}

extension [TextNormalizer] {
  func applied(to text: String) -> String { applied(to: text, following: 0).text }

  /// The text, and how many scalars its first `start` have become.
  func applied(to text: String, following start: Int) -> (text: String, start: Int) {
    if isEmpty { return (text, start) }
    var scalars = text.unicodeScalars.map(\.value)
    var start = Swift.min(start, scalars.count)
    for step in self {
      if start > 0 { start = step.length(ofStart: start, of: scalars) }
      scalars = step.applied(to: scalars)
    }
    return (String(scalars), start)
  }
}

extension String {
  /// The text of scalars; what is none becomes U+FFFD.
  init(_ scalars: some Sequence<UInt32>) {
    self.init()
    for value in scalars { unicodeScalars.append(Unicode.Scalar(value) ?? "\u{FFFD}") }
  }
}

/// SentencePiece's map of characters: a double array of UTF-8 prefixes and the texts they become.
struct CharacterMap: Sendable, Hashable {
  private let units: [UInt32]
  private let texts: [UInt8]
  /// Bytes of the longest text that a character may become.
  let longestText: Int

  /// - Throws: a Diagnostic for a map whose parts do not fit together.
  init(_ bytes: [UInt8]) throws(Diagnostic) {
    func mistake(_ what: String) -> Diagnostic {
      Diagnostic(
        .format, "the map of characters (precompiled_charsmap) is damaged: \(what)", remedy: "fetch the model again")
    }
    func word(_ index: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << UInt32(8 * $1) }
    }
    guard bytes.count >= 4 else { throw mistake("it has \(bytes.count) bytes") }
    let count = Int(word(0))
    guard count % 4 == 0, count >= 4, count <= bytes.count - 4 else {
      throw mistake("\(count) bytes of \(bytes.count) are said to be its array")
    }
    units = (0..<count / 4).map { word(4 + 4 * $0) }
    texts = Array(bytes[(4 + count)...])
    guard texts.last == 0 || texts.isEmpty else { throw mistake("its last text has no end") }
    longestText = texts.split(separator: 0).reduce(0) { max($0, $1.count) }
    guard longestText <= 256 else { throw mistake("a character becomes \(longestText) bytes") }
  }

  /// The prefixes of `bytes` that have a text, shortest first: their lengths and where the text begins.
  private func prefixes(_ bytes: ArraySlice<UInt8>) -> [(length: Int, text: Int)] {
    func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & (1 << 9)) >> 6)) }
    var found: [(Int, Int)] = []
    var node = offset(units[0])
    // No entry has more than a few characters. In a damaged array the way may lead in a circle.
    for (index, byte) in bytes.prefix(256).enumerated() {
      guard byte != 0 else { break }
      node ^= Int(byte)
      guard units.indices.contains(node), units[node] & (1 << 31 | 0xFF) == UInt32(byte) else { break }
      let unit = units[node]
      node ^= offset(unit)
      guard units.indices.contains(node) else { break }
      if unit >> 8 & 1 == 1 { found.append((index + 1, Int(units[node] & (1 << 31 - 1)))) }
    }
    return found
  }

  private func text(at start: Int) -> [UInt8] {
    guard start < texts.count else { return [] }
    return Array(texts[start...].prefix { $0 != 0 })
  }

  private static func scalars(_ bytes: [UInt8]) -> [UInt32] {
    String(decoding: bytes, as: UTF8.self).unicodeScalars.map(\.value)
  }

  /// SentencePiece's way: the longest prefix each time.
  func mapped(_ scalars: [UInt32]) -> [UInt32] {
    let bytes = Array(String(scalars).utf8)
    var result: [UInt8] = []
    var position = 0
    while position < bytes.count {
      if let longest = prefixes(bytes[position...]).last {
        result += text(at: longest.text)
        position += longest.length
      } else {
        result.append(bytes[position])
        position += 1
        while position < bytes.count, bytes[position] & 0xC0 == 0x80 {
          result.append(bytes[position])
          position += 1
        }
      }
    }
    return Self.scalars(result)
  }

  /// The way of the library `tokenizers`: whole characters of less than 6 bytes, else scalar by scalar; of several
  /// entries that begin a character the shortest decides, and stands for all of it.
  func mappedByCharacter(_ scalars: [UInt32]) -> [UInt32] {
    var result: [UInt32] = []
    func mapped(_ bytes: [UInt8]) -> [UInt32]? {
      prefixes(bytes[...]).first.map { Self.scalars(text(at: $0.text)) }
    }
    for character in String(scalars) {
      let bytes = Array(character.utf8)
      if bytes.count < 6, let whole = mapped(bytes) {
        result += whole
        continue
      }
      for scalar in character.unicodeScalars {
        result += mapped(Array(String(Character(scalar)).utf8)) ?? [scalar.value]
      }
    }
    return result
  }
}

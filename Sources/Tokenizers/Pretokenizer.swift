// Cuts a text into the words inside which byte pairs may merge: rules run one after the other, each on the pieces of the
// one before. The common patterns are hand-made scanners that give what their regular expression (quoted beside them)
// gives with leftmost, ordered alternatives; any other pattern is run as it is (`SplitPattern`).
// Surprise: a piece's end counts as the end of the text for looks ahead.

import Basics

/// A list of cutting rules.
struct Pretokenizer: Sendable, Hashable {
  var rules: [SplitRule]

  init(rules: [SplitRule]) { self.rules = rules }

  /// The words, as ranges of scalars. What a rule removes is in none.
  func words(in text: ScalarText) -> [Range<Int>] {
    var pieces = text.count > 0 ? [0..<text.count] : []
    for rule in rules {
      var finer: [Range<Int>] = []
      finer.reserveCapacity(text.count / 3 + 1)
      for piece in pieces { rule.cut(piece, of: text, into: &finer) }
      pieces = finer
    }
    return pieces
  }
}

/// One way to cut.
enum SplitRule: Sendable, Hashable {
  /// Each digit is a word of its own.
  case eachNumber
  case numberRuns
  case numberTriples
  case gpt2
  /// Llama 3 (three digits), Qwen 2 (one).
  case words(digits: Int)
  /// GPT-4o, Tekken: a word also ends where capitals begin again.
  case casedWords(digits: Int, contractions: Bool)
  /// BERT's: white space goes, signs stand alone.
  case bertWords
  case pattern(PatternSplit)

  /// The regular expression that the rule stands for; what it does not cover becomes words too.
  var pattern: String {
    switch self {
    case .bertWords: return #"[^\s\p{P}$+<=>^`|~]+|[\p{P}$+<=>^`|~]"#
    case .pattern(let split): return split.pattern.source
    case .eachNumber: return #"\p{N}"#
    case .numberRuns: return #"\p{N}+"#
    case .numberTriples: return #"\p{N}{1,3}"#
    case .gpt2: return #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    case .words(let digits):
      return #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + Self.numbers(digits)
        + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    case .casedWords(let digits, let contractions):
      let (upper, lower) = (#"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#, #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#)
      let tail = contractions ? "(?i:'s|'t|'re|'ve|'m|'ll|'d)?" : ""
      return #"[^\r\n\p{L}\p{N}]?\#(upper)*\#(lower)+\#(tail)|[^\r\n\p{L}\p{N}]?\#(upper)+\#(lower)*\#(tail)|"#
        + Self.numbers(digits) + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }
  }

  private static func numbers(_ digits: Int) -> String { digits == 1 ? #"\p{N}"# : #"\p{N}{1,\#(digits)}"# }

  /// Whether the pattern matches every character, so that nothing lies between its matches.
  var coversEverything: Bool {
    switch self {
    case .eachNumber, .numberRuns, .numberTriples, .bertWords, .pattern: false
    case .gpt2, .words, .casedWords: true
    }
  }

  /// The scanner of a pattern; nil where there is none.
  private static func scanner(of pattern: String) -> SplitRule? {
    let all: [SplitRule] = [
      .eachNumber, .numberRuns, .numberTriples, .gpt2, .words(digits: 1), .words(digits: 3),
      .casedWords(digits: 3, contractions: true), .casedWords(digits: 1, contractions: false),
    ]
    return all.first { $0.pattern == pattern }
  }

  /// The rule of a pattern: a scanner where there is one for it and for what becomes of matches, else the pattern itself.
  ///
  /// - Throws: a Diagnostic that quotes a pattern that cannot be used.
  init(
    pattern: String, _ behavior: PatternSplit.Behavior = .isolated, isInverted: Bool = false
  ) throws(Diagnostic) {
    if let rule = Self.scanner(of: pattern) {
      switch (behavior, isInverted) {
      case (.isolated, false):
        self = rule
        return
      case (.removed, true) where rule.coversEverything, (.isolated, true) where rule.coversEverything:
        self = rule
        return
      default: break
      }
    }
    self = .pattern(PatternSplit(pattern: try SplitPattern(pattern), behavior: behavior, isInverted: isInverted))
  }

  /// Appends the pieces of a piece.
  func cut(_ piece: Range<Int>, of text: ScalarText, into pieces: inout [Range<Int>]) {
    switch self {
    case .pattern(let split): split.cut(piece, of: text, into: &pieces)
    case .bertWords:
      var start = piece.lowerBound
      for index in piece {
        let scalar = Unicode.Scalar(text.scalars[index]) ?? " "
        let isSpace = text.classes[index].contains(.space)
        guard isSpace || scalar.isSign else { continue }
        if index > start { pieces.append(start..<index) }
        if !isSpace { pieces.append(index..<index + 1) }
        start = index + 1
      }
      if piece.upperBound > start { pieces.append(start..<piece.upperBound) }
    case .eachNumber, .numberRuns, .numberTriples, .gpt2, .words, .casedWords:
      var scanner = WordScanner(text: text, position: piece.lowerBound, end: piece.upperBound)
      while scanner.position < piece.upperBound {
        let start = scanner.position
        scanner.position = scanner.end(of: self)
        pieces.append(start..<scanner.position)
      }
    }
  }
}

extension Unicode.Scalar {
  /// Punctuation, and all of ASCII's signs, also those that Unicode calls symbols.
  fileprivate var isSign: Bool {
    switch value {
    case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
    case 0..<0x80: false
    default: ScalarClass(self).contains(.punctuation)
    }
  }
}

/// A pattern, and what becomes of its matches.
struct PatternSplit: Sendable, Hashable {
  /// The words of tokenizer.json.
  enum Behavior: String, Sendable, Hashable, CaseIterable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"
  }
  var pattern: SplitPattern
  var behavior = Behavior.isolated
  /// What lies between matches is taken for the matches.
  var isInverted = false

  func cut(_ piece: Range<Int>, of text: ScalarText, into pieces: inout [Range<Int>]) {
    var matcher = SplitMatcher(pattern, text.scalars[piece])
    var parts: [(range: Range<Int>, isMatch: Bool)] = []
    var start = piece.lowerBound
    for match in matcher.matches() {
      if match.lowerBound > start { parts.append((start..<match.lowerBound, isInverted)) }
      parts.append((match, !isInverted))
      start = match.upperBound
    }
    if piece.upperBound > start { parts.append((start..<piece.upperBound, isInverted)) }
    let words =
      switch behavior {
      case .isolated: parts.map(\.range)
      case .removed: parts.filter { !$0.isMatch }.map(\.range)
      case .contiguous: Self.joined(parts) { $1.isMatch == $0 }
      case .mergedWithPrevious: Self.joined(parts) { $1.isMatch && !$0 }
      case .mergedWithNext: Array(Self.joined(parts.reversed()) { $1.isMatch && !$0 }.reversed())
      }
    // An empty match cuts, but is no word.
    for word in words where !word.isEmpty { pieces.append(word) }
  }

  /// Parts that go to the one before them; `joins` is told whether that one was a match.
  private static func joined(
    _ parts: [(range: Range<Int>, isMatch: Bool)], _ joins: (Bool, (range: Range<Int>, isMatch: Bool)) -> Bool
  ) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var wasMatch = false
    for part in parts {
      if let last = result.last, joins(wasMatch, part) {
        let all = min(last.lowerBound, part.range.lowerBound)..<max(last.upperBound, part.range.upperBound)
        result[result.count - 1] = all
      } else {
        result.append(part.range)
      }
      wasMatch = part.isMatch
    }
    return result
  }
}

/// A position in a text and one method per alternative of the patterns; each gives the end of its match or nil.
private struct WordScanner {
  let text: ScalarText
  var position: Int
  var end: Int

  func end(of rule: SplitRule) -> Int {
    switch rule {
    // These are cut elsewhere.
    case .bertWords, .pattern: return end
    case .eachNumber: return number(atMost: 1) ?? run(from: position) { !$0.contains(.number) }
    case .numberRuns: return number(atMost: .max) ?? run(from: position) { !$0.contains(.number) }
    case .numberTriples: return number(atMost: 3) ?? run(from: position) { !$0.contains(.number) }
    case .gpt2:
      return contraction(at: position, foldingCase: false)
        ?? afterOptionalSpace { $0.contains(.letter) }
        ?? afterOptionalSpace { $0.contains(.number) }
        ?? afterOptionalSpace { $0.isDisjoint(with: [.space, .letter, .number]) }
        ?? spaces()
    case .words(let digits):
      return contraction(at: position, foldingCase: true)
        ?? letters()
        ?? number(atMost: digits)
        ?? symbols(tail: { $0 == 0x0A || $0 == 0x0D })
        ?? lines()
        ?? spaces()
    case .casedWords(let digits, let contractions):
      return casedLetters(contractions: contractions)
        ?? number(atMost: digits)
        ?? symbols(tail: { $0 == 0x0A || $0 == 0x0D || $0 == 0x2F })
        ?? lines()
        ?? spaces()
    }
  }

  private func run(from start: Int, while isInside: (ScalarClass) -> Bool) -> Int {
    var index = start
    while index < end, isInside(text.classes[index]) { index += 1 }
    return index
  }

  private func number(atMost digits: Int) -> Int? {
    var index = position
    while index < end, index - position < digits, text.classes[index].contains(.number) { index += 1 }
    return index > position ? index : nil
  }

  /// ` ?X+`
  private func afterOptionalSpace(_ isInside: (ScalarClass) -> Bool) -> Int? {
    let start = text.scalars[position] == 0x20 ? position + 1 : position
    let stop = run(from: start, while: isInside)
    return stop > start ? stop : nil
  }

  /// `[^\r\n\p{L}\p{N}]?\p{L}+`
  private func letters() -> Int? {
    let start = text.classes[position].isDisjoint(with: [.newline, .letter, .number]) ? position + 1 : position
    let stop = run(from: start) { $0.contains(.letter) }
    return stop > start ? stop : nil
  }

  /// ` ?[^\s\p{L}\p{N}]+[tail]*`
  private func symbols(tail: (UInt32) -> Bool) -> Int? {
    guard var index = afterOptionalSpace({ $0.isDisjoint(with: [.space, .letter, .number]) }) else { return nil }
    while index < end, tail(text.scalars[index]) { index += 1 }
    return index
  }

  /// `\s*[\r\n]+`: everything up to the last line break of a run of spaces.
  private func lines() -> Int? {
    var index = run(from: position) { $0.contains(.space) }
    while index > position, !text.classes[index - 1].contains(.newline) { index -= 1 }
    return index > position ? index : nil
  }

  /// `\s+(?!\S)|\s+`: a run of spaces leaves its last one to the word that follows, unless it is the only one.
  private func spaces() -> Int {
    let stop = run(from: position) { $0.contains(.space) }
    return stop < end && stop - position > 1 ? stop - 1 : max(stop, position + 1)
  }

  private func contraction(at start: Int, foldingCase: Bool) -> Int? {
    guard start + 1 < end, text.scalars[start] == 0x27 else { return nil }
    func letter(_ index: Int) -> UInt32 {
      guard index < end else { return 0 }
      let scalar = text.scalars[index]
      guard foldingCase else { return scalar }
      // U+017F, the long s, folds to s.
      return scalar == 0x17F ? 0x73 : scalar >= 0x41 && scalar <= 0x5A ? scalar + 0x20 : scalar
    }
    switch (letter(start + 1), letter(start + 2)) {
    case (0x73, _), (0x74, _), (0x6D, _), (0x64, _): return start + 2  // s t m d
    case (0x72, 0x65), (0x76, 0x65), (0x6C, 0x6C): return start + 3  // re ve ll
    default: return nil
    }
  }

  private func casedLetters(contractions: Bool) -> Int? {
    let first = text.classes[position]
    let hasPrefix = first.isDisjoint(with: [.newline, .letter, .number])
    let starts = hasPrefix ? [position + 1, position] : [position]
    let body = starts.lazy.compactMap(lowerEnding).first ?? starts.lazy.compactMap(upperBeginning).first
    guard let body else { return nil }
    return contractions ? contraction(at: body, foldingCase: true) ?? body : body
  }

  private func isUpper(_ kind: ScalarClass) -> Bool {
    kind.contains(.mark) || kind.contains(.letter) && !kind.contains(.lower)
  }

  private func isLower(_ kind: ScalarClass) -> Bool {
    kind.contains(.mark) || kind.contains(.letter) && !kind.contains(.upper)
  }

  /// `U*L+`: when nothing in L follows the greedy U*, it gives back up to its last scalar that is in L too.
  private func lowerEnding(from start: Int) -> Int? {
    let middle = run(from: start, while: isUpper)
    let stop = run(from: middle, while: isLower)
    if stop > middle { return stop }
    var index = middle
    while index > start, !isLower(text.classes[index - 1]) { index -= 1 }
    return index > start ? index : nil
  }

  /// `U+L*`
  private func upperBeginning(from start: Int) -> Int? {
    let middle = run(from: start, while: isUpper)
    return middle > start ? run(from: middle, while: isLower) : nil
  }
}

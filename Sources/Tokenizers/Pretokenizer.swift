// Cuts a text into the words inside which byte pairs may merge. Each pattern is a hand-made scanner that gives what
// its regular expression (quoted beside it) gives with leftmost, ordered alternatives, in linear time.
// Surprise: rules run one after the other, each on the pieces of the one before, and a piece's end counts as the end of
// the text for `(?!\S)`.

import Basics

/// A list of cutting rules.
struct Pretokenizer: Sendable, Hashable {
  var rules: [SplitRule]

  /// The rules that GGUF files name in `tokenizer.ggml.pre`.
  /// - Throws: ``Diagnostic`` that lists the known names.
  init(named name: String) throws(Diagnostic) {
    guard let rules = Self.known.first(where: { $0.names.contains(name) })?.rules else {
      let names = Self.known.flatMap(\.names).filter { !$0.isEmpty }.sorted().joined(separator: ", ")
      throw Diagnostic(
        .format, "unknown pre-tokenizer '\(name)': this text would be cut wrongly",
        remedy: "use a model whose tokenizer.ggml.pre is one of: \(names)")
    }
    self.rules = rules
  }

  init(rules: [SplitRule]) { self.rules = rules }

  private static let known: [(names: Set<String>, rules: [SplitRule])] = [
    (
      [
        "", "default", "gpt-2", "gpt2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v1-en", "jina-v2-es",
        "jina-v2-de", "jina-v2-code", "roberta-bpe", "mpt", "olmo", "jais", "mellum", "exaone4", "a.x-4.0",
      ], [.gpt2]
    ),
    (
      ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "granite-docling"],
      [.eachNumber, .gpt2]
    ),
    (
      ["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "dbrx", "smaug-bpe"],
      [.words(digits: 3)]
    ),
    (["qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan"], [.words(digits: 1)]),
    (["gpt-4o", "llama4", "kanana2"], [.casedWords(digits: 3, contractions: true)]),
    (["tekken"], [.casedWords(digits: 1, contractions: false)]),
  ]

  /// Where each word ends, as scalar indices.
  func wordEnds(in text: ScalarText) -> [Int] {
    var ends = text.count > 0 ? [text.count] : []
    for rule in rules {
      var finer: [Int] = []
      finer.reserveCapacity(text.count / 3 + 1)
      var scanner = WordScanner(text: text, position: 0, end: 0)
      for end in ends {
        scanner.end = end
        while scanner.position < end {
          scanner.position = scanner.end(of: rule)
          finer.append(scanner.position)
        }
      }
      ends = finer
    }
    return ends
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

  /// The regular expression that the rule stands for; what it does not cover becomes words too.
  var pattern: String {
    switch self {
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
    case .eachNumber, .numberRuns, .numberTriples: false
    case .gpt2, .words, .casedWords: true
    }
  }

  /// The rule of a pattern found in a file; nil for patterns that have no scanner here.
  init?(pattern: String) {
    let all: [SplitRule] = [
      .eachNumber, .numberRuns, .numberTriples, .gpt2, .words(digits: 1), .words(digits: 3),
      .casedWords(digits: 3, contractions: true), .casedWords(digits: 1, contractions: false),
    ]
    guard let rule = all.first(where: { $0.pattern == pattern }) else { return nil }
    self = rule
  }
}

/// A position in a text and one method per alternative of the patterns; each gives the end of its match or nil.
private struct WordScanner {
  let text: ScalarText
  var position: Int
  var end: Int

  func end(of rule: SplitRule) -> Int {
    switch rule {
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

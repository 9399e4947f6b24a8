// The steps of a tokenizer.json before and after the model: normalizers, pre-tokenizers, decoders.
// Not the model. Surprise: a step that is not known is an error that names it, never one left out.

import Basics

struct TokenizerSteps {
  private let json: JSON

  init(_ json: JSON) { self.json = json }

  private func mistake(_ what: String) -> Diagnostic { TokenizerFile.mistake(what) }

  /// A step, the steps of a Sequence, or none for null.
  static func steps(of value: JSON?, _ key: String) -> [JSON] {
    guard let value, !value.isNull else { return [] }
    guard value["type"]?.string == "Sequence" else { return [value] }
    return (value[key]?.array ?? []).flatMap { steps(of: $0, key) }
  }

  /// Steps come from strangers: a dozen that double a text make a page of a word, forty of them fill every memory.
  private func check(_ growths: [Int], _ what: String) throws(Diagnostic) {
    guard growths.count <= Self.mostSteps else { throw mistake("\(growths.count) \(what) are too many") }
    var growth = 1
    for one in growths {
      let (product, overflows) = growth.multipliedReportingOverflow(by: max(one, 1))
      guard !overflows, product <= Self.mostGrowth else {
        throw mistake("its \(what) may make a text more than \(Self.mostGrowth) times as long")
      }
      growth = product
    }
  }

  private static let (mostSteps, mostGrowth) = (100, 256)

  private static func scalars(_ text: String) -> [UInt32] { text.unicodeScalars.map(\.value) }

  // MARK: - Normalizers

  func normalizers() throws(Diagnostic) -> [TextNormalizer] {
    var result: [TextNormalizer] = []
    for step in Self.steps(of: json["normalizer"], "normalizers") { result.append(try normalizer(step)) }
    try check(result.map(\.growth), "normalizers")
    return result
  }

  private func normalizer(_ step: JSON) throws(Diagnostic) -> TextNormalizer {
    switch step["type"]?.string {
    case "BertNormalizer":
      let lowercases = step["lowercase"]?.bool ?? true
      return .bert(
        BertNormalizer(
          cleansText: step["clean_text"]?.bool ?? true, spacesIdeographs: step["handle_chinese_chars"]?.bool ?? true,
          stripsAccents: step["strip_accents"]?.bool ?? lowercases, lowercases: lowercases))
    case "NFC": return .composed
    case "NFD": return .decomposed
    case "Lowercase": return .lowercase
    case "StripAccents": return .withoutMarks
    case "Prepend": return .prepend(Self.scalars(step["prepend"]?.string ?? ""))
    case "Strip": return .strip(left: step["strip_left"]?.bool ?? true, right: step["strip_right"]?.bool ?? true)
    case "Replace": return .replace(try pattern(of: step), Self.scalars(step["content"]?.string ?? ""))
    case "Precompiled":
      guard let text = step["precompiled_charsmap"]?.string, let bytes = Self.bytes(base64: text) else {
        throw mistake("normalizer 'Precompiled' has no map in base64")
      }
      return .mapped(try CharacterMap(bytes), byCharacter: true)
    case let other: throw mistake("normalizer '\(other ?? "?")' is not supported")
    }
  }

  /// A regular expression, or a text to be found as it is.
  private func pattern(of step: JSON) throws(Diagnostic) -> SplitPattern {
    if let pattern = step["pattern"]?["Regex"]?.string { return try SplitPattern(pattern) }
    guard let text = step["pattern"]?["String"]?.string, !text.isEmpty else {
      throw mistake("the step '\(step["type"]?.string ?? "?")' has no pattern")
    }
    return try SplitPattern(literal: text)
  }

  private static func bytes(base64 text: String) -> [UInt8]? {
    var result: [UInt8] = []
    var (buffer, bits) = (UInt32(0), 0)
    for byte in text.utf8 {
      let value: UInt8
      switch byte {
      case 0x41...0x5A: value = byte - 0x41
      case 0x61...0x7A: value = byte - 0x61 + 26
      case 0x30...0x39: value = byte - 0x30 + 52
      case 0x2B: value = 62
      case 0x2F: value = 63
      case 0x3D: continue
      default: return nil
      }
      buffer = buffer << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        result.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
      }
    }
    return result
  }

  // MARK: - Pre-tokenizers

  /// Whether words reach the model as bytes: its tokens are written in the byte alphabet, which is the last step and the
  /// only one of its kind. Elsewhere the alphabet is a change of the text like others.
  var isByteLevel: Bool {
    let types = Self.steps(of: json["pre_tokenizer"], "pretokenizers").map { $0["type"]?.string }
    return types.last == "ByteLevel" && types.count { $0 == "ByteLevel" } == 1
  }

  private static let signs = #"[\p{P}$+<=>^`|~]"#

  /// - Parameter endsInBytes: the model takes bytes, the last step leaves them as they are.
  func cutting(endsInBytes: Bool) throws(Diagnostic) -> [TextCutter.Step] {
    var steps: [TextCutter.Step] = []
    for step in Self.steps(of: json["pre_tokenizer"], "pretokenizers") {
      func cut(_ pattern: String, _ behavior: PatternSplit.Behavior) throws(Diagnostic) {
        steps.append(.cut(try SplitRule(pattern: pattern, behavior)))
      }
      switch step["type"]?.string {
      case "ByteLevel":
        if step["add_prefix_space"]?.bool ?? true { steps.append(.spaceBefore) }
        if step["use_regex"]?.bool ?? true { steps.append(.cut(.gpt2)) }
        if !endsInBytes { steps.append(.byteAlphabet) }
      case "Split": steps.append(.cut(try split(step)))
      case "Digits": steps.append(.cut(step["individual_digits"]?.bool ?? false ? .eachNumber : .numberRuns))
      case "Punctuation": try cut(Self.signs, behavior(of: step, standard: .isolated))
      case "BertPreTokenizer": steps.append(.cut(.bertWords))
      case "Whitespace":
        steps.append(.cut(.pattern(try Self.words())))
      case "WhitespaceSplit": try cut(#"\s"#, .removed)
      case "CharDelimiterSplit":
        guard let delimiter = step["delimiter"]?.string, !delimiter.isEmpty else {
          throw mistake("pre-tokenizer 'CharDelimiterSplit' has no delimiter")
        }
        steps.append(.cut(.pattern(PatternSplit(pattern: try SplitPattern(literal: delimiter), behavior: .removed))))
      case "Metaspace": steps.append(try spaceSigns(step))
      case let other: throw mistake("pre-tokenizer '\(other ?? "?")' is not supported")
      }
    }
    try check(steps.map { if case .byteAlphabet = $0 { 4 } else { 1 } }, "pre-tokenizers")
    return steps
  }

  /// Words and runs of signs; what a word is, Unicode says here, not Oniguruma.
  private static func words() throws(Diagnostic) -> PatternSplit {
    let pattern = try SplitPattern(#"\p{UnicodeWord}+|[^\p{UnicodeWord}\s]+"#)
    return PatternSplit(pattern: pattern, behavior: .removed, isInverted: true)
  }

  private func behavior(of step: JSON, standard: PatternSplit.Behavior?) throws(Diagnostic) -> PatternSplit.Behavior {
    guard let name = step["behavior"]?.string ?? standard?.rawValue,
      let behavior = PatternSplit.Behavior(rawValue: name)
    else {
      throw mistake("the behaviour '\(step["behavior"]?.string ?? "?")' of a pre-tokenizer is not supported")
    }
    return behavior
  }

  private func split(_ step: JSON) throws(Diagnostic) -> SplitRule {
    let (behavior, isInverted) = (try behavior(of: step, standard: nil), step["invert"]?.bool ?? false)
    if let pattern = step["pattern"]?["Regex"]?.string {
      return try SplitRule(pattern: pattern, behavior, isInverted: isInverted)
    }
    return .pattern(PatternSplit(pattern: try pattern(of: step), behavior: behavior, isInverted: isInverted))
  }

  private func spaceSigns(_ step: JSON) throws(Diagnostic) -> TextCutter.Step {
    let sign = step["replacement"]?.string ?? "\u{2581}"
    guard Self.scalars(sign) == [TextCutter.spaceSign] else {
      throw mistake("pre-tokenizer 'Metaspace' with '\(sign)' for spaces is not supported")
    }
    let before: TextCutter.Before
    switch step["prepend_scheme"]?.string {
    case "always": before = .missing
    case "first": before = .first
    case "never": before = .never
    case nil: before = step["add_prefix_space"]?.bool ?? true ? .missing : .never
    case let other?: throw mistake("pre-tokenizer 'Metaspace' with prepend_scheme '\(other)' is not supported")
    }
    return .spaceSigns(before, cuts: step["split"]?.bool ?? true)
  }

  // MARK: - Decoders

  func decoder() throws(Diagnostic) -> TokenDecoder {
    let list = Self.steps(of: json["decoder"], "decoders")
    var steps: [TokenDecoder.Step] = []
    for step in list { steps.append(try decoding(step)) }
    try check(steps.map { if case .replace(_, let text) = $0 { text.count } else { 1 } }, "decoders")
    return TokenDecoder(steps: steps, separator: json["decoder"].map(\.isNull) ?? true ? " " : "")
  }

  private func decoding(_ step: JSON) throws(Diagnostic) -> TokenDecoder.Step {
    switch step["type"]?.string {
    case "ByteLevel": return .byteAlphabet
    case "WordPiece":
      return .wordPieces(prefix: step["prefix"]?.string ?? "##", cleansUp: step["cleanup"]?.bool ?? true)
    case "Metaspace":
      if case .spaceSigns(.never, _) = try spaceSigns(step) { return .spaceSigns(dropsFirst: false) }
      return .spaceSigns(dropsFirst: true)
    case "Replace": return .replace(try pattern(of: step), Self.scalars(step["content"]?.string ?? ""))
    case "ByteFallback": return .bytesByName
    case "Fuse": return .joined
    case "Strip":
      let content = Self.scalars(step["content"]?.string ?? " ")
      let (start, stop) = (step["start"]?.int ?? 0, step["stop"]?.int ?? 0)
      guard content.count == 1, (0...4096).contains(start), (0...4096).contains(stop)
      else { throw mistake("decoder 'Strip' does not say what it takes away") }
      return .strip(content[0], start: start, stop: stop)
    case "BPEDecoder": return .wordEnds(step["suffix"]?.string ?? "</w>")
    case let other: throw mistake("decoder '\(other ?? "?")' is not supported")
    }
  }
}

extension SplitPattern {
  /// Finds `literal` as it is.
  init(literal: String) throws(Diagnostic) {
    var pattern = ""
    for scalar in literal.unicodeScalars {
      if scalar.value < 128, !scalar.properties.isAlphabetic, scalar.properties.numericType == nil { pattern += "\\" }
      pattern.unicodeScalars.append(scalar)
    }
    try self.init(pattern)
  }
}

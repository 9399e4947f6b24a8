// From tokens' texts to a text, by the decoder of a tokenizer.json: each of its steps is done, in their order.
// Not what byte-level and SentencePiece's models do by themselves, which knows no steps and works id by id: `followsModel`
// says where the two are the same. Surprise: without a decoder the tokens are put together with spaces.

import Basics

/// The decoder of a tokenizer.json.
struct TokenDecoder: Sendable, Hashable {
  enum Step: Sendable, Hashable {
    /// Bytes written in the alphabet; what is no UTF-8 becomes U+FFFD.
    case byteAlphabet
    /// Pieces inside a word lose this beginning, words get a space before them.
    case wordPieces(prefix: String, cleansUp: Bool)
    /// Signs for spaces become spaces, those of the first token go where encoding had put one.
    case spaceSigns(dropsFirst: Bool)
    case replace(SplitPattern, [UInt32])
    /// Tokens that stand for a byte become characters together.
    case bytesByName
    /// All become one.
    case joined
    case strip(UInt32, start: Int, stop: Int)
    /// The end of a word becomes a space, but for the last.
    case wordEnds(String)
  }

  var steps: [Step]
  /// Between the texts that are left in the end.
  var separator = ""

  /// Whether `bytes(of:)` of a model, joined, is the same; then nothing is to be looked at but one id.
  func followsModel(_ model: Tokenizer.Model) -> Bool {
    switch model {
    case .bytePairs: return steps == [.byteAlphabet]
    case .wordPieces: return false
    case .pieces:
      guard case .replace(let pattern, [0x20])? = steps.first, pattern.source == "\u{2581}" else { return false }
      let rest = steps.dropFirst()
      return rest == [.bytesByName, .joined] || rest == [.bytesByName, .joined, .strip(0x20, start: 1, stop: 0)]
    }
  }

  /// Whether a token's text stays as it is when others come after it, but for the end of it that waits anyway. Where all
  /// texts have become one, most steps look at the whole of it.
  var keepsWhatItGave: Bool {
    let joint = steps.firstIndex { $0 == .joined || $0 == .byteAlphabet } ?? steps.count
    return steps.dropFirst(joint + 1).allSatisfy { step in
      switch step {
      case .joined: true
      case .strip(_, _, let stop): stop == 0
      case .byteAlphabet, .wordPieces, .spaceSigns, .replace, .bytesByName, .wordEnds: false
      }
    }
  }

  func decoded(_ tokens: [String]) -> String {
    var texts = tokens
    for step in steps { texts = Self.applied(step, to: texts) }
    return texts.joined(separator: separator)
  }

  private static func applied(_ step: Step, to texts: [String]) -> [String] {
    switch step {
    case .byteAlphabet:
      let bytes = texts.flatMap { ByteAlphabet.decoded(Array($0.utf8)) ?? Array($0.utf8) }
      return [String(decoding: bytes, as: UTF8.self)]
    case .wordPieces(let prefix, let cleansUp):
      return texts.enumerated().map { index, text in
        var text = text
        if index > 0 { text = text.utf8.starts(with: prefix.utf8) ? cut(text, prefix) : " " + text }
        return cleansUp ? cleaned(text) : text
      }
    case .spaceSigns(let dropsFirst):
      return texts.enumerated().map { index, text in
        let isDropped = index == 0 && dropsFirst
        return String(
          text.unicodeScalars.compactMap { $0.value == TextCutter.spaceSign ? isDropped ? nil : 0x20 : $0.value })
      }
    case .replace(let pattern, let new):
      let step = TextNormalizer.replace(pattern, new)
      return texts.map { String(step.applied(to: $0.unicodeScalars.map(\.value))) }
    case .bytesByName: return byNames(texts)
    case .joined: return [texts.joined()]
    case .strip(let scalar, let start, let stop):
      return texts.map { text in
        var kept = text.unicodeScalars.map(\.value)[...]
        for _ in 0..<start where kept.first == scalar { kept.removeFirst() }
        for _ in 0..<stop where kept.last == scalar { kept.removeLast() }
        return String(kept)
      }
    case .wordEnds(let suffix):
      return texts.enumerated().map { index, text in
        suffix.isEmpty ? text : PythonText.replaced(text, suffix, by: index == texts.count - 1 ? "" : " ", most: .max)
      }
    }
  }

  private static func cut(_ text: String, _ prefix: String) -> String {
    PythonText.text(text.utf8.dropFirst(prefix.utf8.count))
  }

  /// Signs go back to the word before them.
  private static func cleaned(_ text: String) -> String {
    let pairs = [
      (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
      (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ]
    return pairs.reduce(text) { PythonText.replaced($0, $1.0, by: $1.1, most: .max) }
  }

  /// A run of bytes that is no UTF-8 becomes U+FFFD for each.
  private static func byNames(_ texts: [String]) -> [String] {
    var (result, bytes): ([String], [UInt8]) = ([], [])
    func flush() {
      guard !bytes.isEmpty else { return }
      result.append(String(validating: bytes, as: UTF8.self) ?? String(repeating: "\u{FFFD}", count: bytes.count))
      bytes = []
    }
    for text in texts {
      if let byte = PieceEncoder.byte(named: Array(text.utf8)[...]) {
        bytes.append(byte)
      } else {
        flush()
        result.append(text)
      }
    }
    flush()
    return result
  }
}

// From tokens' texts to a text, by the decoder of a tokenizer.json: each of its steps is done, in their order (by
// `DecoderStream`, token by token).
// Not what byte-level and SentencePiece's models do by themselves, which knows no steps and works id by id: `followsModel`
// says where the two are the same. Surprise: without a decoder the tokens are put together with spaces.

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

  func decoded(_ tokens: some Sequence<String>) -> String {
    var stream = DecoderStream(self)
    var text = ""
    for token in tokens { text += stream.append(token) }
    return text + stream.finish()
  }

  /// A text behind the first loses the sign of a word's inside, or gets a space before it.
  static func wordPiece(_ text: String, isFirst: Bool, prefix: String, cleansUp: Bool) -> String {
    var text = text
    if !isFirst { text = text.utf8.starts(with: prefix.utf8) ? cut(text, prefix) : " " + text }
    return cleansUp ? cleaned(text) : text
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
}

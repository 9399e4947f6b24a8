// Token ids to text piece by piece, for printing while a model speaks.
// Surprise: a piece may be empty: an incomplete character waits for its remaining bytes, and everything does where a
// decoder looks at the whole text.

/// Decodes ids one at a time; the pieces joined equal `decode` of all ids.
public struct StreamingDecoder: Sendable {
  private let tokenizer: Tokenizer
  private let skippingSpecialTokens: Bool
  private var pending: [UInt8] = []
  private var isFirst = true
  /// For decoders that look at more than one token: the last ones, and how many scalars of their text have been given.
  private var ids: [Int32] = []
  private var given = 0

  public init(_ tokenizer: Tokenizer, skippingSpecialTokens: Bool = true) {
    self.tokenizer = tokenizer
    self.skippingSpecialTokens = skippingSpecialTokens
  }

  /// The text that `id` completes: whole characters only. Bytes that no continuation can save become U+FFFD.
  public mutating func append(_ id: Int32) -> String {
    if skippingSpecialTokens, tokenizer.isControl(id) { return "" }
    if let decoder = tokenizer.decoder {
      ids.append(id)
      return decoder.keepsWhatItGave ? newText(isLast: false) : ""
    }
    var bytes = tokenizer.bytes(of: id)
    if isFirst, tokenizer.dropsFirstSpace, bytes.first == 0x20 { bytes.removeFirst() }
    isFirst = false
    return append(bytes: bytes)
  }

  /// The text of all tokens behind what was given: up to a character that the next token may still change.
  private mutating func newText(isLast: Bool) -> String {
    // Bytes are characters or none all together; what is before them was given when it came.
    if !isLast, let last = ids.last, tokenizer.isByteOfRun(last) { return "" }
    let text = scalars(ids)
    var end = text.count
    if !isLast {
      // The next token may be a sign that leans on this word, or the rest of a character.
      while end > given, text[end - 1] == "\u{FFFD}" || text[end - 1] == " " { end -= 1 }
    }
    var new = String.UnicodeScalarView()
    if end > given { new.append(contentsOf: text[given..<end]) }
    given = max(given, end)
    if given == text.count { forgetGiven() }
    return String(new)
  }

  /// Where nothing waits, what comes is told by the last token and what follows it: a step looks at neighbours only. So a
  /// long text does not make each new token dearer. A token that stands for a byte may belong to a character before it.
  private mutating func forgetGiven() {
    guard ids.count > 1, let last = ids.last else { return }
    let own = scalars([last])
    if own.isEmpty || own.contains("\u{FFFD}") { return }
    (ids, given) = ([last], own.count)
  }

  private func scalars(_ ids: [Int32]) -> [Unicode.Scalar] {
    Array(tokenizer.decode(ids, skippingSpecialTokens: false).unicodeScalars)
  }

  mutating func append(bytes: some Sequence<UInt8>) -> String {
    pending.append(contentsOf: bytes)
    let complete = pending.count - Self.incompleteTail(of: pending)
    defer { pending.removeFirst(complete) }
    return String(decoding: pending[..<complete], as: UTF8.self)
  }

  /// What is left when no more ids come: U+FFFD for a character cut short.
  public mutating func finish() -> String {
    if tokenizer.decoder != nil { return newText(isLast: true) }
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end begin a character without finishing it (0...3).
  static func incompleteTail(of bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let lead = bytes[bytes.count - length]
      if lead & 0xC0 == 0x80 { continue }
      let width =
        lead >= 0xF0 && lead <= 0xF4 ? 4 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead >= 0xC2 && lead < 0xE0 ? 2 : 1
      guard width > length else { return 0 }
      guard length > 1 else { return 1 }
      // The second byte is restricted after four leads: no overlong forms, surrogates, or values beyond U+10FFFF.
      let second = bytes[bytes.count - length + 1]
      let lowest: UInt8 = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80
      let highest: UInt8 = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF
      return second >= lowest && second <= highest ? length : 0
    }
    return 0
  }
}

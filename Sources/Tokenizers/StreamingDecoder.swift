// Token ids to text piece by piece, for printing while a model speaks.
// Surprise: a piece may be empty: an incomplete character waits for its remaining bytes, a run of tokens that stand for
// bytes for its end, and everything does where a decoder looks at the whole text.

/// Decodes ids one at a time; the pieces joined equal `decode` of all ids.
package struct StreamingDecoder: Sendable {
  private let tokenizer: Tokenizer
  private let skippingSpecialTokens: Bool
  private var pending: [UInt8] = []
  private var isFirst = true
  /// Where a decoder of the file makes the text.
  private var stream: DecoderStream?

  package init(_ tokenizer: Tokenizer, skippingSpecialTokens: Bool = true) {
    self.tokenizer = tokenizer
    self.skippingSpecialTokens = skippingSpecialTokens
    stream = tokenizer.decoder.map(DecoderStream.init)
  }

  /// The text that `id` completes: whole characters only. Bytes that no continuation can save become U+FFFD.
  package mutating func append(_ id: Int32) -> String {
    if skippingSpecialTokens, tokenizer.isControl(id) { return "" }
    if stream != nil { return tokenizer.isKnown(id) ? stream?.append(tokenizer.text(of: id)) ?? "" : "" }
    var bytes = tokenizer.bytes(of: id)
    if isFirst, tokenizer.dropsFirstSpace, bytes.first == 0x20 { bytes.removeFirst() }
    isFirst = false
    return append(bytes: bytes)
  }

  mutating func append(bytes: some Sequence<UInt8>) -> String {
    pending.append(contentsOf: bytes)
    let complete = pending.count - Self.incompleteTail(of: pending)
    defer { pending.removeFirst(complete) }
    return String(decoding: pending[..<complete], as: UTF8.self)
  }

  /// What is left when no more ids come: U+FFFD for a character cut short.
  package mutating func finish() -> String {
    if let rest = stream?.finish() { return rest }
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

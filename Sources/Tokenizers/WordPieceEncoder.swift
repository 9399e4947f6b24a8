// BERT's words and pieces: cleaning and splitting of text, then greedy longest pieces of each word.
// Surprise: accents go before lower-casing, and a word that cannot be covered is one [UNK], not several.

/// Cleans a text as BERT's own tokenizer does; `BertWords` cuts it.
struct BertNormalizer: Sendable, Hashable {
  var cleansText = true
  var spacesIdeographs = true
  var stripsAccents = true
  var lowercases = true

  func normalized(_ scalars: [UInt32]) -> [UInt32] {
    var result = cleaned(scalars)
    if stripsAccents { result = CanonicalForm.decomposed(result).filter { !Self.isAccent($0) } }
    return lowercases ? TextNormalizer.lowercased(result) : result
  }

  private static func isAccent(_ scalar: UInt32) -> Bool {
    scalar >= 0x300 && Unicode.Scalar(scalar)?.properties.generalCategory == .nonspacingMark
  }

  private func cleaned(_ scalars: [UInt32]) -> [UInt32] {
    var result: [UInt32] = []
    result.reserveCapacity(scalars.count)
    for value in scalars {
      guard var scalar = Unicode.Scalar(value) else { continue }
      if cleansText {
        if Self.isDropped(scalar) { continue }
        if scalar.properties.isWhitespace { scalar = " " }
      }
      if spacesIdeographs, Self.isIdeograph(scalar.value) {
        result.append(contentsOf: [0x20, scalar.value, 0x20])
      } else {
        result.append(scalar.value)
      }
    }
    return result
  }

  private static func isDropped(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "\t", "\n", "\r": return false
    case "\0", "\u{FFFD}": return true
    default:
      switch scalar.properties.generalCategory {
      case .control, .format, .privateUse, .surrogate: return true
      default: return false
      }
    }
  }

  /// The CJK blocks that BERT separates; Hangul and kana are not among them.
  private static func isIdeograph(_ value: UInt32) -> Bool {
    switch value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F, 0x2B920...0x2CEAF,
      0xF900...0xFAFF, 0x2F800...0x2FA1F:
      return true
    default: return false
    }
  }
}

/// Covers a word with the longest pieces of the vocabulary, from left to right.
struct WordPieceEncoder: Sendable {
  var unknown: Int32
  /// What pieces inside a word begin with.
  var continuation: [UInt8] = Array("##".utf8)
  var longestWord = 100
  /// Added tokens that the model itself does not know: never pieces of a word.
  private let outside: Set<Int32>
  private let longestPiece: Int

  init(tokens: TokenTable, unknown: Int32, outside: Set<Int32> = []) {
    self.unknown = unknown
    self.outside = outside
    longestPiece = tokens.longest
  }

  func encode(_ word: UnsafeBufferPointer<UInt8>, tokens: TokenTable, into ids: inout [Int32]) {
    let scalars = word.count { $0 & 0xC0 != 0x80 }
    guard scalars <= longestWord else { return ids.append(unknown) }
    let kept = ids.count
    var start = 0
    while start < word.count {
      let lead = start > 0 ? continuation : []
      var (end, found) = (start, Int32?.none)
      let rest = UnsafeBufferPointer(rebasing: word[start..<min(word.count, start + longestPiece)])
      tokens.forEachPrefix(
        of: rest, after: lead, isEnd: { start + $0 == word.count || word[start + $0] & 0xC0 != 0x80 }
      ) { length, id in
        if !outside.contains(id) { (end, found) = (start + length, id) }
      }
      guard let found else {
        ids.removeLast(ids.count - kept)
        return ids.append(unknown)
      }
      ids.append(found)
      start = end
    }
  }

  // MARK: - Decoding

  func bytes(of text: ArraySlice<UInt8>) -> [UInt8] {
    text.starts(with: continuation) ? Array(text.dropFirst(continuation.count)) : [0x20] + text
  }
}

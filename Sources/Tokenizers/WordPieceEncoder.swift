// BERT's words and pieces: cleaning and splitting of text, then greedy longest pieces of each word.
// Surprise: accents go before lower-casing, and a word that cannot be covered is one [UNK], not several.

/// Cleans a text and cuts it into words as BERT's own tokenizer does.
struct BertNormalizer: Sendable, Hashable {
  var cleansText = true
  var spacesIdeographs = true
  var stripsAccents = true
  var lowercases = true

  func forEachWord(of utf8: UnsafeBufferPointer<UInt8>, _ body: ([UInt8]) -> Void) {
    var scalars = cleaned(utf8)
    if stripsAccents {
      scalars = CanonicalForm.decomposed(scalars).filter {
        $0 < 0x300 || Unicode.Scalar($0)?.properties.generalCategory != .nonspacingMark
      }
    }
    var word: [UInt8] = []
    func finish() {
      if !word.isEmpty { body(word) }
      word.removeAll(keepingCapacity: true)
    }
    func take(_ scalar: Unicode.Scalar) {
      if scalar.properties.isWhitespace {
        finish()
      } else if Self.isPunctuation(scalar) {
        finish()
        word.append(contentsOf: UTF8.encode(scalar) ?? .init())
        finish()
      } else {
        word.append(contentsOf: UTF8.encode(scalar) ?? .init())
      }
    }
    for value in scalars {
      guard let scalar = Unicode.Scalar(value) else { continue }
      if lowercases {
        for lower in scalar.properties.lowercaseMapping.unicodeScalars { take(lower) }
      } else {
        take(scalar)
      }
    }
    finish()
  }

  private func cleaned(_ utf8: UnsafeBufferPointer<UInt8>) -> [UInt32] {
    var result: [UInt32] = []
    result.reserveCapacity(utf8.count)
    for scalar in String(decoding: utf8, as: UTF8.self).unicodeScalars {
      var scalar = scalar
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

  private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    // All of ASCII's signs, also those that Unicode calls symbols.
    case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
    case 0..<0x80: return false
    default: return ScalarClass(scalar).contains(.punctuation)
    }
  }
}

/// Covers a word with the longest pieces of the vocabulary, from left to right.
struct WordPieceEncoder: Sendable {
  var unknown: Int32
  /// What pieces inside a word begin with.
  var continuation: [UInt8] = Array("##".utf8)
  var longestWord = 100
  /// Decoding puts signs back to the word before them.
  var cleansUp = true
  private let longestPiece: Int

  init(tokens: TokenTable, unknown: Int32) {
    self.unknown = unknown
    longestPiece = (0..<tokens.count).map { tokens.text(Int32($0)).count }.max() ?? 0
  }

  func encode(_ word: [UInt8], tokens: TokenTable, into ids: inout [Int32]) {
    let scalars = word.count { $0 & 0xC0 != 0x80 }
    guard scalars <= longestWord else { return ids.append(unknown) }
    let kept = ids.count
    var start = 0
    while start < word.count {
      let lead = start > 0 ? continuation : []
      var end = min(word.count, start + longestPiece)
      var found: Int32?
      while end > start {
        if end == word.count || word[end] & 0xC0 != 0x80 {
          found = lead.withUnsafeBufferPointer { lead in
            word.withUnsafeBufferPointer { tokens.id(ofJoined: lead, UnsafeBufferPointer(rebasing: $0[start..<end])) }
          }
          if found != nil { break }
        }
        end -= 1
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

  func decode(_ pieces: some Sequence<ArraySlice<UInt8>>) -> String {
    var text = ""
    for (index, piece) in pieces.enumerated() {
      let bytes = index == 0 ? Array(piece) : bytes(of: piece)
      let piece = String(decoding: bytes, as: UTF8.self)
      text += cleansUp && Self.leaning.contains(piece) ? String(piece.dropFirst()) : piece
    }
    return text
  }

  /// Pieces that lose the space before them.
  private static let leaning: Set<String> = [" .", " ?", " !", " ,", " n't", " 'm", " 's", " 've", " 're"]
}

// Tokens that are found in a text as they are written, before it is cut: "<|im_start|>", "[CLS]".
// Surprise: of several that begin at one place the longest wins, of overlapping ones the first; one that must stand alone
// and does not hides what overlaps it, as in the library `tokenizers`.

import Basics

/// The added tokens of a vocabulary, sorted by their bytes, so that a prefix is a contiguous range.
struct AddedTokens: Sendable {
  struct Token: Sendable {
    var id: Int32
    var text: [UInt8]
    /// Control tokens are recognised only on request; a user's tokens always.
    var isControl: Bool
    /// Swallows white space to its left and right.
    var stripsLeft = false
    var stripsRight = false
    /// Only where no letter or digit touches it.
    var isWholeWord = false
    /// Found in the normalized text, not in the raw one.
    var isNormalized = false
  }

  private let tokens: [Token]
  private let ranges: [Range<Int32>]
  var isEmpty: Bool { tokens.isEmpty }

  init(_ tokens: [Token]) {
    let sorted = tokens.filter { !$0.text.isEmpty }.sorted { $0.text.lexicographicallyPrecedes($1.text) }
    var ranges = [Range<Int32>](repeating: 0..<0, count: 256)
    for (index, token) in sorted.enumerated() {
      let byte = Int(token.text[0])
      let index = Int32(index)
      ranges[byte] = ranges[byte].isEmpty ? index..<(index + 1) : ranges[byte].lowerBound..<(index + 1)
    }
    self.tokens = sorted
    self.ranges = ranges
  }

  /// - Throws: a Diagnostic for a token longer than any real one: from each place of a text so much may be looked at.
  static func check(_ tokens: [Token]) throws(Diagnostic) {
    guard let long = tokens.first(where: { $0.text.count > longestToken }) else { return }
    throw Diagnostic(
      .format, "the added token \(long.id) has \(long.text.count) bytes, at most \(longestToken) are supported",
      remedy: "the model file is damaged or was made to do harm: fetch it again")
  }

  private static let longestToken = 512

  enum Piece {
    case text(Range<Int>)
    case token(Int32)
  }

  /// Cuts UTF-8 text into added tokens and what lies between them.
  func pieces(of text: UnsafeBufferPointer<UInt8>, includingControl: Bool) -> [Piece] {
    var pieces: [Piece] = []
    var start = 0
    var position = 0
    // The white space looked at last, to the right of a token: tokens inside it need not look again.
    var spaces = 0..<0
    while position < text.count {
      guard !ranges[Int(text[position])].isEmpty,
        let token = longest(at: position, in: text, includingControl: includingControl)
      else {
        position += 1
        continue
      }
      let end = position + token.text.count
      guard !token.isWholeWord || standsAlone(position..<end, in: text) else {
        position = end
        continue
      }
      var left = position
      if token.stripsLeft {
        while let (scalar, before) = Self.scalar(before: left, in: text), before >= start,
          scalar.properties.isWhitespace
        {
          left = before
        }
      }
      if left > start { pieces.append(.text(start..<left)) }
      pieces.append(.token(token.id))
      // What it swallows may still begin another token: that is found where it stands, as in the library.
      position = end
      start = end
      if token.stripsRight {
        if spaces.contains(start) { start = spaces.upperBound }
        while let (scalar, after) = Self.scalar(at: start, in: text), scalar.properties.isWhitespace { start = after }
        if end < start { spaces = end..<start }
      }
    }
    if start < text.count { pieces.append(.text(start..<text.count)) }
    return pieces
  }

  private func longest(at start: Int, in text: UnsafeBufferPointer<UInt8>, includingControl: Bool) -> Token? {
    var low = Int(ranges[Int(text[start])].lowerBound)
    var high = Int(ranges[Int(text[start])].upperBound)
    var found: Token?
    var depth = 1
    while low < high {
      // Of the tokens that agree so far, those that end here sort first.
      if tokens[low].text.count == depth, includingControl || !tokens[low].isControl { found = tokens[low] }
      guard start + depth < text.count else { break }
      let byte = text[start + depth]
      if high - low == 1 {
        // The only one left: no search.
        let token = tokens[low].text
        guard token.count > depth, token[depth] == byte else { break }
        depth += 1
        continue
      }
      func count(before isBefore: (UInt8) -> Bool) -> Int {
        var (first, last) = (low, high)
        while first < last {
          let middle = (first + last) / 2
          let token = tokens[middle].text
          if token.count <= depth || isBefore(token[depth]) { first = middle + 1 } else { last = middle }
        }
        return first
      }
      (low, high) = (count { $0 < byte }, count { $0 <= byte })
      depth += 1
    }
    return found
  }

  private func standsAlone(_ range: Range<Int>, in text: UnsafeBufferPointer<UInt8>) -> Bool {
    let left = Self.scalar(before: range.lowerBound, in: text)?.scalar.isWordPart ?? false
    let right = Self.scalar(at: range.upperBound, in: text)?.scalar.isWordPart ?? false
    return !left && !right
  }

  private static func scalar(
    at start: Int, in text: UnsafeBufferPointer<UInt8>
  ) -> (scalar: Unicode.Scalar, end: Int)? {
    guard start < text.count else { return nil }
    var end = start + 1
    while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
    let decoded = String(decoding: UnsafeBufferPointer(rebasing: text[start..<end]), as: UTF8.self)
    return decoded.unicodeScalars.first.map { ($0, end) }
  }

  private static func scalar(
    before end: Int, in text: UnsafeBufferPointer<UInt8>
  ) -> (scalar: Unicode.Scalar, start: Int)? {
    guard end > 0 else { return nil }
    var start = end - 1
    while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
    return scalar(at: start, in: text).map { ($0.scalar, start) }
  }
}

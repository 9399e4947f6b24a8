// Tokens that are found in the raw text before anything else looks at it: "<|im_start|>", "[CLS]".
// Surprise: of several that begin at one place the longest wins, of overlapping ones the first.

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
  }

  private let tokens: [Token]
  private let ranges: [Range<Int32>]

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

  enum Piece {
    case text(Range<Int>)
    case token(Int32)
  }

  /// Cuts UTF-8 text into added tokens and what lies between them.
  func pieces(of text: UnsafeBufferPointer<UInt8>, includingControl: Bool) -> [Piece] {
    var pieces: [Piece] = []
    var start = 0
    var position = 0
    while position < text.count {
      guard !ranges[Int(text[position])].isEmpty,
        let token = longest(at: position, in: text, includingControl: includingControl)
      else {
        position += 1
        continue
      }
      var left = position
      if token.stripsLeft { while left > start, isSpace(text[left - 1]) { left -= 1 } }
      if left > start { pieces.append(.text(start..<left)) }
      pieces.append(.token(token.id))
      position += token.text.count
      if token.stripsRight { while position < text.count, isSpace(text[position]) { position += 1 } }
      start = position
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
      // Of the tokens that agree so far, one that ends here sorts first.
      if tokens[low].text.count == depth {
        let token = tokens[low]
        if includingControl || !token.isControl, !token.isWholeWord || standsAlone(start..<(start + depth), in: text) {
          found = token
        }
      }
      guard start + depth < text.count else { break }
      let byte = text[start + depth]
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
    func isWord(_ byte: UInt8) -> Bool {
      byte >= 0x80 || byte == 0x5F || (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte & 0xDF)
    }
    let left = range.lowerBound > 0 && isWord(text[range.lowerBound - 1])
    let right = range.upperBound < text.count && isWord(text[range.upperBound])
    return !left && !right
  }

  private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}

// Encoders whose pieces are characters, not bytes in an alphabet: SentencePiece's two models and byte pairs over
// characters. Not the cutting into words. Surprise: what has no piece is written as its bytes where the vocabulary has a
// token for each of them ("<0x41>"), else it is one unknown token for a whole run.

/// Covers a text with pieces of the vocabulary.
struct PieceEncoder: Sendable {
  enum Method: Sendable {
    /// Neighbours are joined in the order of a list.
    case ranked(PairRanks, takesWholeWords: Bool)
    /// Neighbours are joined into the piece with the best score: SentencePiece's BPE.
    case scored([Float])
    /// The pieces with the best sum of scores: SentencePiece's unigram model.
    case best([Double], unknownScore: Double)
  }

  let method: Method
  /// Stands for what has no piece; nil drops it.
  let unknown: Int32?
  /// A run of unknown pieces is one token.
  let joinsUnknown: Bool
  /// A token for each byte, -1 where there is none; empty: bytes never stand in.
  private let byteTokens: [Int32]
  /// Bytes of the longest piece.
  private let longest: Int
  /// Pieces that texts are covered with; empty: all.
  private let isPiece: [Bool]

  /// - Parameter fallsBack: whether bytes stand in, where the vocabulary has tokens for them.
  init(
    _ method: Method, tokens: TokenTable, unknown: Int32?, joinsUnknown: Bool, fallsBack: Bool, isPiece: [Bool] = []
  ) {
    self.method = method
    self.unknown = unknown
    self.joinsUnknown = joinsUnknown
    self.isPiece = isPiece
    longest = tokens.longest
    byteTokens = fallsBack ? (0..<256).map { tokens.id(of: Self.name(ofByte: UInt8($0))) ?? -1 } : []
  }

  /// "<0x0A>".
  static func name(ofByte byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return "<0x\(digits.count == 1 ? "0" : "")\(digits)>"
  }

  /// Whether bytes may stand in: their tokens are then written as bytes.
  var fallsBack: Bool { !byteTokens.isEmpty }

  static let byteNameLength = 6

  /// The byte that a token's text stands for.
  static func byte(named text: ArraySlice<UInt8>) -> UInt8? {
    guard text.count == byteNameLength, text.starts(with: Array("<0x".utf8)), text.last == UInt8(ascii: ">")
    else { return nil }
    return UInt8(String(decoding: text.dropFirst(3).prefix(2), as: UTF8.self), radix: 16)
  }

  /// Appends the tokens of one word.
  func encode(_ word: UnsafeBufferPointer<UInt8>, tokens: TokenTable, into ids: inout [Int32]) {
    guard !word.isEmpty else { return }
    switch method {
    case .ranked(let ranks, let takesWholeWords):
      if takesWholeWords, let id = piece(word, 0..<word.count, tokens) { return ids.append(id) }
      encodeRanked(word, ranks, tokens, into: &ids)
    case .scored(let scores): encodeScored(word, scores, tokens, into: &ids)
    case .best(let scores, let unknownScore): encodeBest(word, scores, unknownScore, tokens, into: &ids)
    }
  }

  private func piece(_ word: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ tokens: TokenTable) -> Int32? {
    guard range.count <= longest, let id = tokens.id(of: UnsafeBufferPointer(rebasing: word[range])) else { return nil }
    return isPiece.isEmpty || isPiece[Int(id)] ? id : nil
  }

  /// Appends what stands for bytes without a piece. `isRun`: the token before stands for such too.
  private func appendUnknown(_ bytes: Slice<UnsafeBufferPointer<UInt8>>, isRun: Bool, into ids: inout [Int32]) {
    if !byteTokens.isEmpty, bytes.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
      for byte in bytes { ids.append(byteTokens[Int(byte)]) }
    } else if let unknown, !(isRun && joinsUnknown) {
      ids.append(unknown)
    }
  }

  private static func isBoundary(_ index: Int, of word: UnsafeBufferPointer<UInt8>) -> Bool {
    index == word.count || word[index] & 0xC0 != 0x80
  }

  private static func widths(_ word: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    while start < word.count {
      var end = start + 1
      while end < word.count, word[end] & 0xC0 == 0x80 { end += 1 }
      ranges.append(start..<end)
      start = end
    }
    return ranges
  }

  // MARK: - Byte pairs over characters

  private func encodeRanked(
    _ word: UnsafeBufferPointer<UInt8>, _ ranks: PairRanks, _ tokens: TokenTable, into ids: inout [Int32]
  ) {
    var symbols: [Int32] = []
    var isRun = false
    for range in Self.widths(word) {
      if let id = piece(word, range, tokens) {
        symbols.append(id)
        isRun = false
      } else {
        appendUnknown(word[range], isRun: isRun, into: &symbols)
        isRun = true
      }
    }
    ranks.merge(&symbols)
    ids += symbols
  }

  // MARK: - SentencePiece's BPE

  private func encodeScored(
    _ word: UnsafeBufferPointer<UInt8>, _ scores: [Float], _ tokens: TokenTable, into ids: inout [Int32]
  ) {
    var parts = Self.widths(word)
    let count = parts.count
    var next = (0..<count).map { $0 + 1 }
    var previous = (0..<count).map { $0 - 1 }
    var queue = Heap<Joint>()
    func consider(_ left: Int) {
      guard left >= 0, next[left] < count else { return }
      let joined = parts[left].lowerBound..<parts[next[left]].upperBound
      guard let id = piece(word, joined, tokens) else { return }
      queue.push(Joint(score: scores[Int(id)], left: left, length: joined.count))
    }
    for index in 0..<count { consider(index) }
    while let joint = queue.pop() {
      let left = joint.left
      // A part that was joined to another since is empty, or the pair is longer than it was.
      guard !parts[left].isEmpty, next[left] < count,
        parts[next[left]].upperBound - parts[left].lowerBound == joint.length
      else { continue }
      let right = next[left]
      parts[left] = parts[left].lowerBound..<parts[right].upperBound
      parts[right] = parts[right].lowerBound..<parts[right].lowerBound
      next[left] = next[right]
      if next[left] < count { previous[next[left]] = left }
      consider(previous[left])
      consider(left)
    }
    var index = 0
    var isRun = false
    while index < count {
      if let id = piece(word, parts[index], tokens) {
        ids.append(id)
        isRun = false
      } else {
        appendUnknown(word[parts[index]], isRun: isRun, into: &ids)
        isRun = true
      }
      index = next[index]
    }
  }

  private struct Joint: Comparable {
    var score: Float
    var left: Int
    var length: Int
    /// The best score first, of equal ones the leftmost.
    static func < (a: Joint, b: Joint) -> Bool { a.score > b.score || a.score == b.score && a.left < b.left }
  }

  // MARK: - SentencePiece's unigram model

  private func encodeBest(
    _ word: UnsafeBufferPointer<UInt8>, _ scores: [Double], _ unknownScore: Double, _ tokens: TokenTable,
    into ids: inout [Int32]
  ) {
    struct Best {
      var score = -Double.infinity
      var start = 0
      var id: Int32?
    }
    let characters = Self.widths(word)
    var places = [Best](repeating: Best(), count: word.count + 1)
    places[0].score = 0
    for character in characters {
      let (start, score) = (character.lowerBound, places[character.lowerBound].score)
      var hasCharacter = false
      let rest = UnsafeBufferPointer(rebasing: word[start..<min(word.count, start + longest)])
      tokens.forEachPrefix(of: rest, isEnd: { Self.isBoundary(start + $0, of: word) }) { length, id in
        guard isPiece.isEmpty || isPiece[Int(id)] else { return }
        let (end, sum) = (start + length, score + scores[Int(id)])
        if sum > places[end].score { places[end] = Best(score: sum, start: start, id: id) }
        if end == character.upperBound { hasCharacter = true }
      }
      if !hasCharacter, score + unknownScore > places[character.upperBound].score {
        places[character.upperBound] = Best(score: score + unknownScore, start: start, id: nil)
      }
    }
    var pieces: [Range<Int>] = []
    var end = word.count
    while end > 0 {
      pieces.append(places[end].start..<end)
      end = places[end].start
    }
    var isRun = false
    for range in pieces.reversed() {
      // A vocabulary's own unknown token in a text counts as one.
      if let id = places[range.upperBound].id, id != unknown {
        ids.append(id)
        isRun = false
      } else {
        appendUnknown(word[range], isRun: isRun, into: &ids)
        isRun = true
      }
    }
  }
}

/// A binary heap, the smallest element on top.
struct Heap<Element: Comparable> {
  private var entries: [Element] = []

  init() {}

  mutating func reserve(_ count: Int) { entries.reserveCapacity(count) }

  mutating func push(_ entry: Element) {
    entries.append(entry)
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if entries[parent] <= entry { break }
      entries[child] = entries[parent]
      child = parent
    }
    entries[child] = entry
  }

  mutating func pop() -> Element? {
    guard let top = entries.first, let last = entries.popLast() else { return nil }
    guard !entries.isEmpty else { return top }
    var hole = 0
    while true {
      var child = 2 * hole + 1
      if child >= entries.count { break }
      if child + 1 < entries.count, entries[child + 1] < entries[child] { child += 1 }
      if last <= entries[child] { break }
      entries[hole] = entries[child]
      hole = child
    }
    entries[hole] = last
    return top
  }
}

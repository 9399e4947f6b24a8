// Byte-pair merging of one pre-tokenized word: neighbours are joined in the order of the merge list.
// Not a pre-tokenizer. Surprise: a word may be a whole document without spaces, so long words use a heap.

import Basics

/// The merge list as a table from two neighbours to their rank and the token they become.
struct PairRanks: Sendable {
  /// (left, right) packed in one word; `empty` marks a free slot.
  private var keys: [UInt64]
  private var ranks: [UInt32]
  private var results: [Int32] = []
  private let mask: Int
  /// Decides where pairs lie, never what is found: no file can be written whose pairs all collide.
  private let seed = UInt64.random(in: .min ... .max)
  private static let empty = UInt64.max
  private static let never = UInt32.max

  /// Words up to this length are merged by repeated scans, which beat a heap there.
  private static let shortWord = 32

  /// - Parameters:
  ///   - merges: pairs written "left right" as the vocabulary writes them, in order of rank.
  ///   - outside: tokens that no pair becomes.
  init(tokens: TokenTable, merges: [String], outside: Set<Int32> = []) throws(Diagnostic) {
    let capacity = TokenTable.capacity(for: merges.count)
    mask = capacity - 1
    keys = [UInt64](repeating: Self.empty, count: capacity)
    ranks = [UInt32](repeating: Self.never, count: capacity)
    results.reserveCapacity(merges.count)
    for (rank, merge) in merges.enumerated() {
      var merge = merge
      let triple = merge.withUTF8 { text -> (left: Int32, right: Int32, joined: Int32)? in
        // The left part has at least one byte, so a space in first place belongs to it.
        guard let space = text.dropFirst().firstIndex(of: UInt8(ascii: " ")) else { return nil }
        let left = UnsafeBufferPointer(rebasing: text[..<space])
        let right = UnsafeBufferPointer(rebasing: text[(space + 1)...])
        guard let leftID = tokens.id(of: left), let rightID = tokens.id(of: right),
          let joined = tokens.id(ofJoined: left, right)
        else { return nil }
        return (leftID, rightID, joined)
      }
      guard let triple else {
        throw Diagnostic(
          .format, "tokenizer merge \(rank) is '\(merge)', whose parts or their union are not in the vocabulary",
          remedy: "the model file is damaged or was converted wrongly: fetch it again")
      }
      results.append(triple.joined)
      if !outside.contains(triple.joined) { insert(Self.key(triple.left, triple.right), rank: UInt32(rank)) }
    }
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  private func place(_ key: UInt64) -> Int { TokenTable.place((key ^ seed) &* 0x9e37_79b9_7f4a_7c15) & mask }

  private mutating func insert(_ key: UInt64, rank: UInt32) {
    var slot = place(key)
    while keys[slot] != Self.empty {
      if keys[slot] == key { return }
      slot = (slot + 1) & mask
    }
    keys[slot] = key
    ranks[slot] = rank
  }

  private func rank(_ left: Int32, _ right: Int32) -> UInt32 {
    let key = Self.key(left, right)
    var slot = place(key)
    while keys[slot] != key {
      if keys[slot] == Self.empty { return Self.never }
      slot = (slot + 1) & mask
    }
    return ranks[slot]
  }

  /// Joins neighbours until no pair of the list is left.
  func merge(_ symbols: inout [Int32]) {
    if symbols.count > Self.shortWord {
      mergeLong(&symbols)
    } else {
      mergeShort(&symbols)
    }
  }

  private func mergeShort(_ symbols: inout [Int32]) {
    guard symbols.count > 1 else { return }
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: symbols.count) { pairs in
      var count = symbols.count
      for index in 0..<(count - 1) { pairs[index] = rank(symbols[index], symbols[index + 1]) }
      while count > 1 {
        var best = 0
        for index in 1..<max(count - 1, 1) where pairs[index] < pairs[best] { best = index }
        guard pairs[best] != Self.never else { break }
        symbols[best] = results[Int(pairs[best])]
        for index in (best + 1)..<max(count - 1, best + 1) {
          symbols[index] = symbols[index + 1]
          pairs[index] = index + 1 < count - 1 ? pairs[index + 1] : Self.never
        }
        count -= 1
        if best > 0 { pairs[best - 1] = rank(symbols[best - 1], symbols[best]) }
        if best + 1 < count { pairs[best] = rank(symbols[best], symbols[best + 1]) }
      }
      symbols.removeLast(symbols.count - count)
    }
  }

  /// A linked list of symbols and a heap of (rank, position): n log n. An entry whose pair has changed since is stale
  /// and is recognised by comparing its rank with the one noted for its position.
  private func mergeLong(_ symbols: inout [Int32]) {
    let count = symbols.count
    var previous = [Int32](unsafeUninitializedCapacity: count) { buffer, used in
      for index in 0..<count { buffer[index] = Int32(index) - 1 }
      used = count
    }
    var next = [Int32](unsafeUninitializedCapacity: count) { buffer, used in
      for index in 0..<count { buffer[index] = Int32(index) + 1 }
      used = count
    }
    var pairs = [UInt32](repeating: Self.never, count: count)
    var queue = Heap<UInt64>()
    queue.reserve(count)
    for index in 0..<(count - 1) {
      pairs[index] = rank(symbols[index], symbols[index + 1])
      if pairs[index] != Self.never { queue.push(UInt64(pairs[index]) << 32 | UInt64(index)) }
    }
    func note(_ index: Int) {
      let right = Int(next[index])
      pairs[index] = right < count ? rank(symbols[index], symbols[right]) : Self.never
      if pairs[index] != Self.never { queue.push(UInt64(pairs[index]) << 32 | UInt64(index)) }
    }
    while let entry = queue.pop() {
      let index = Int(entry & 0xffff_ffff)
      guard pairs[index] == UInt32(entry >> 32) else { continue }
      let absorbed = Int(next[index])
      symbols[index] = results[Int(pairs[index])]
      pairs[absorbed] = Self.never
      next[index] = next[absorbed]
      if Int(next[index]) < count { previous[Int(next[index])] = Int32(index) }
      note(index)
      if previous[index] >= 0 { note(Int(previous[index])) }
    }
    var kept = 0
    var index = 0
    while index < count {
      symbols[kept] = symbols[index]
      kept += 1
      index = Int(next[index])
    }
    symbols.removeLast(count - kept)
  }
}

/// Byte pairs over the byte alphabet.
struct BytePairEncoder: Sendable {
  private let ranks: PairRanks
  private let byteTokens: [Int32]
  /// A word that is a token as a whole is taken as it is, whatever the merges would make of it.
  let takesWholeWords: Bool
  /// Tokens that the model itself does not know (added ones, control tokens): never found in a text's words.
  private let outside: Set<Int32>

  /// - Parameters:
  ///   - merges: pairs written "left right" in the byte alphabet, in order of rank.
  ///   - unknown: stands for bytes that have no token of their own; nil drops them.
  init(
    tokens: TokenTable, merges: [String], unknown: Int32?, takesWholeWords: Bool, outside: Set<Int32> = []
  ) throws(Diagnostic) {
    ranks = try PairRanks(tokens: tokens, merges: merges, outside: outside)
    self.takesWholeWords = takesWholeWords
    self.outside = outside
    byteTokens = ByteAlphabet.scalars.map { scalar in
      let id = tokens.id(of: String(Character(Unicode.Scalar(scalar) ?? " ")))
      return id.flatMap { outside.contains($0) ? nil : $0 } ?? unknown ?? -1
    }
  }

  /// Appends the tokens of one word, given as raw bytes.
  func encode(_ word: UnsafeBufferPointer<UInt8>, tokens: TokenTable, into ids: inout [Int32]) {
    if takesWholeWords, let id = tokens.id(of: ByteAlphabet.text(word)), !outside.contains(id) { return ids.append(id) }
    var symbols: [Int32] = []
    for byte in word where byteTokens[Int(byte)] >= 0 { symbols.append(byteTokens[Int(byte)]) }
    ranks.merge(&symbols)
    ids.append(contentsOf: symbols)
  }
}

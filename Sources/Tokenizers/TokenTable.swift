// The vocabulary's texts in one flat array, found again by an open-addressing hash.
// Not a Dictionary<String, Int>: filling one with 50,000 entries costs as much as a whole warm start may.
// Surprise: where a text lies differs from table to table, so that no file can be written whose texts all collide.

import Basics

/// Token texts by id, and ids by text. Texts are kept as the file writes them (byte alphabet included).
struct TokenTable: Sendable {
  private var bytes: [UInt8] = []
  private var ends: [UInt32] = []
  private var slots: [Int32] = []
  private let mask: Int
  private let seed: UInt64

  /// - Parameter seed: decides where texts lie, never what is found.
  init(_ texts: some Collection<String>, seed: UInt64 = .random(in: .min ... .max)) {
    self.seed = seed
    let capacity = Self.capacity(for: texts.count)
    mask = capacity - 1
    slots = [Int32](repeating: -1, count: capacity)
    ends.reserveCapacity(texts.count)
    bytes.reserveCapacity(texts.count * 8)
    for text in texts {
      bytes.append(contentsOf: text.utf8)
      ends.append(UInt32(truncatingIfNeeded: bytes.count))
    }
    bytes.withUnsafeBufferPointer { all in
      for id in ends.indices {
        let text = UnsafeBufferPointer(rebasing: all[range(id)])
        var slot = Self.place(Self.hash(text, seed)) & mask
        // A text that occurs twice keeps its first id.
        while slots[slot] >= 0 {
          if Self.equal(text, UnsafeBufferPointer(rebasing: all[range(Int(slots[slot]))])) { break }
          slot = (slot + 1) & mask
        }
        if slots[slot] < 0 { slots[slot] = Int32(id) }
      }
    }
  }

  var count: Int { ends.count }

  /// Bytes of the longest text.
  var longest: Int { ends.indices.reduce(0) { max($0, range($1).count) } }

  /// More bytes than any piece of a real vocabulary has. Covering a text looks at so many from each of its places.
  static let longestPiece = 1024

  /// - Throws: a Diagnostic for a text that makes covering texts with pieces too dear.
  func checkPieces() throws(Diagnostic) {
    guard let id = ends.indices.first(where: { range($0).count > Self.longestPiece }) else { return }
    throw Diagnostic(
      .format, "token \(id) of the vocabulary has \(range(id).count) bytes, which no piece of a word has",
      remedy: "the model file is damaged or was made to do harm: fetch it again")
  }

  private func range(_ id: Int) -> Range<Int> { (id == 0 ? 0 : Int(ends[id - 1]))..<Int(ends[id]) }

  /// The text of a token as the file writes it.
  func text(_ id: Int32) -> ArraySlice<UInt8> { bytes[range(Int(id))] }

  func id(of text: String) -> Int32? {
    var text = text
    return text.withUTF8 { id(of: $0) }
  }

  func id(of text: UnsafeBufferPointer<UInt8>) -> Int32? {
    find(hash: Self.hash(text, seed)) { Self.equal(text, $0) }
  }

  /// The id of two texts written one after the other; neither is copied.
  func id(ofJoined left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Int32? {
    find(hash: Self.hash(right, Self.hash(left, seed))) { text in
      text.count == left.count + right.count
        && Self.equal(left, UnsafeBufferPointer(rebasing: text[..<left.count]))
        && Self.equal(right, UnsafeBufferPointer(rebasing: text[left.count...]))
    }
  }

  /// Calls `body` with each beginning of `text`, behind `lead`, that is a token: its length and id. `isEnd` says which
  /// lengths count. The hash is carried along: nothing is read twice.
  func forEachPrefix(
    of text: UnsafeBufferPointer<UInt8>, after lead: [UInt8] = [], isEnd: (Int) -> Bool, _ body: (Int, Int32) -> Void
  ) {
    lead.withUnsafeBufferPointer { lead in
      var hash = Self.hash(lead, seed)
      for length in 1...max(text.count, 1) where length <= text.count {
        hash = Self.hash(UnsafeBufferPointer(rebasing: text[length - 1..<length]), hash)
        guard isEnd(length) else { continue }
        let found = find(hash: hash) { known in
          known.count == lead.count + length && Self.equal(lead, UnsafeBufferPointer(rebasing: known[..<lead.count]))
            && Self.equal(
              UnsafeBufferPointer(rebasing: text[..<length]), UnsafeBufferPointer(rebasing: known[lead.count...]))
        }
        if let found { body(length, found) }
      }
    }
  }

  @inline(__always)
  private func find(hash: UInt64, where isEqual: (UnsafeBufferPointer<UInt8>) -> Bool) -> Int32? {
    bytes.withUnsafeBufferPointer { all in
      var slot = Self.place(hash) & mask
      while slots[slot] >= 0 {
        if isEqual(UnsafeBufferPointer(rebasing: all[range(Int(slots[slot]))])) { return slots[slot] }
        slot = (slot + 1) & mask
      }
      return nil
    }
  }

  /// At most half full, so that an unsuccessful search stays short.
  static func capacity(for count: Int) -> Int {
    var capacity = 16
    while capacity < count * 2 { capacity *= 2 }
    return capacity
  }

  /// The most entries that a search may pass.
  var longestSearch: Int {
    var (longest, run) = (0, 0)
    for slot in 0..<(2 * slots.count) {
      run = slots[slot & mask] >= 0 ? run + 1 : 0
      longest = max(longest, run)
    }
    return min(longest, slots.count)
  }

  /// The first place of a text.
  func place(of text: String) -> Int {
    var text = text
    return text.withUTF8 { Self.place(Self.hash($0, seed)) & mask }
  }

  /// Every bit of a hash in every bit of the place: texts that share only the low bits of theirs do not share it.
  @inline(__always) static func place(_ hash: UInt64) -> Int {
    let mixed = (hash ^ (hash >> 32)) &* 0xd6e8_feb8_6659_fd93
    return Int(truncatingIfNeeded: mixed ^ (mixed >> 32))
  }

  /// Byte by byte, so that hash(a + b) continues hash(a). The shift brings high bits down to the low ones.
  private static func hash(_ text: UnsafeBufferPointer<UInt8>, _ start: UInt64) -> UInt64 {
    var value = start
    for byte in text { value = (value ^ UInt64(byte)) &* 0x9e37_79b9_7f4a_7c15 ^ (value >> 29) }
    return value
  }

  private static func equal(_ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    for index in 0..<a.count where a[index] != b[index] { return false }
    return true
  }
}

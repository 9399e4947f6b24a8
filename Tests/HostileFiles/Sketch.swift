// Bytes in the making that remember where their numbers are, so that a mutation can lie about one of them.
// Not a writer of valid files only: what is drawn is mostly valid. Surprise: everything follows from a seed.

import RandomGraphs

struct Sketch {
  private(set) var bytes: [UInt8] = []
  /// Where integers lie: counts, sizes, offsets, types.
  private(set) var numbers: [Range<Int>] = []

  mutating func add(_ value: some FixedWidthInteger) {
    let start = bytes.count
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    numbers.append(start..<bytes.count)
  }
  mutating func add(_ value: Float) { add(value.bitPattern) }
  /// A length of 64 bits, then the text.
  mutating func add(_ text: String) {
    add(UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }
  mutating func add(raw: some Sequence<UInt8>) { bytes.append(contentsOf: raw) }
  mutating func pad(to alignment: Int) {
    while bytes.count % alignment != 0 { bytes.append(0) }
  }
}

/// Random choices, and the numbers that break arithmetic.
extension SeededGenerator {
  static let hostile: [Int64] = [
    0, 1, -1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 127, 128, 255, 256, 65535, 65536, 1 << 24, 1 << 31 - 1, 1 << 31, 1 << 32,
    1 << 40, 1 << 53, 1 << 60, 1 << 61, 1 << 62, .max, .max - 1, .max - 63, .min, -2, 99_999_999,
  ]

  mutating func hostileNumber() -> Int64 {
    once(in: 3) ? Int64(bitPattern: next()) >> Int64(below(64)) : pick(Self.hostile)
  }

  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

  /// Mostly a word, now and then something that texts can hold and readers trip over.
  mutating func word() -> String {
    let odd = [
      "", "a", "é", "\u{1f9f1}", "\u{0}", "\"", "\\", "x.y", " ", "\u{7f}\u{1b}[31m", "Ġthe", "##s", "▁", "[UNK]",
      String(repeating: "a", count: 300), "../x", "__metadata__", "general.alignment",
    ]
    return once(in: 4) ? pick(odd) : "t\(below(30))"
  }
}

/// Changes of a file: numbers first, then anything.
enum Mutation {
  static func apply(_ sketch: Sketch, _ random: inout SeededGenerator) -> [UInt8] {
    var bytes = sketch.bytes
    // One of eight is left as it is: valid files must stay readable.
    for _ in 0..<random.pick([0, 1, 1, 1, 2, 2, 3, 4]) {
      guard !bytes.isEmpty else { break }
      if !sketch.numbers.isEmpty, !random.once(in: 3) {
        let range = random.pick(sketch.numbers)
        guard range.upperBound <= bytes.count else { continue }
        let value = random.hostileNumber()
        for (place, index) in range.enumerated() { bytes[index] = UInt8(truncatingIfNeeded: value >> Int64(8 * place)) }
      } else {
        change(&bytes, &random)
      }
    }
    return bytes
  }

  static func change(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    let position = random.below(bytes.count)
    let count = min(1 + random.below(40), bytes.count - position)
    switch random.below(7) {
    case 0: bytes[position] = UInt8(truncatingIfNeeded: random.next())
    case 1: bytes[position] ^= 1 << UInt8(random.below(8))
    case 2: bytes.insert(contentsOf: random.bytes(1 + random.below(9)), at: position)
    case 3: bytes.removeSubrange(position..<position + count)
    case 4: bytes.insert(contentsOf: Array(bytes[position..<position + count]), at: random.below(bytes.count + 1))
    case 5: bytes.removeLast(random.below(bytes.count - position + 1))
    default: for i in position..<position + count { bytes[i] = random.once(in: 2) ? 0 : 0xff }
    }
  }

  /// Changes of a text by its tokens: runs of letters and digits, and single signs.
  static func apply(text: String, _ random: inout SeededGenerator) -> String {
    var tokens: [Substring] = []
    var start = text.startIndex
    func kind(_ character: Character) -> Int { character.isLetter ? 1 : character.isNumber ? 2 : 0 }
    for index in text.indices {
      let next = text.index(after: index)
      if next == text.endIndex || kind(text[next]) != kind(text[index]) || kind(text[index]) == 0 {
        tokens.append(text[start..<next])
        start = next
      }
    }
    for _ in 0..<random.pick([0, 1, 1, 2, 3]) where !tokens.isEmpty {
      let place = random.below(tokens.count)
      switch random.below(6) {
      case 0: tokens.remove(at: place)
      case 1: tokens.insert(tokens[random.below(tokens.count)], at: place)
      case 2: tokens.swapAt(place, random.below(tokens.count))
      case 3: tokens[place] = tokens[random.below(tokens.count)]
      case 4:
        let numbers = tokens.indices.filter { tokens[$0].first?.isNumber ?? false }
        if !numbers.isEmpty { tokens[random.pick(numbers)] = Substring("\(random.hostileNumber())") }
      default: tokens[place] = Substring(random.word())
      }
    }
    return tokens.joined()
  }
}

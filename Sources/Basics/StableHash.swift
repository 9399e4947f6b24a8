// A 128-bit hash that is equal in every process, on every machine: names of cached objects and plans.
// Not cryptographic, and not `Hasher` (whose seed differs per process). Surprise: it takes words, not bytes; a text is
// eight bytes a word and its length.

/// Two independent 64-bit streams of multiply and shift, with a final avalanche.
package struct StableHash: Sendable, Hashable, CustomStringConvertible {
  private var low: UInt64 = 0xcbf2_9ce4_8422_2325
  private var high: UInt64 = 0x9e37_79b9_7f4a_7c15

  package init() {}

  @inline(__always) package mutating func combine(_ value: UInt64) {
    low = (low ^ value) &* 0xff51_afd7_ed55_8ccd
    // Without the shift a difference in high bits would never reach the low ones.
    low ^= low >> 32
    high = ((high << 23 | high >> 41) &+ value) &* 0xc4ce_b9fe_1a85_ec53
    high ^= high >> 29
  }

  @inline(__always) package mutating func combine(byte: UInt8) { combine(UInt64(byte)) }

  @inline(__always) package mutating func combine(_ value: Int) { combine(UInt64(bitPattern: Int64(value))) }

  /// Both words of another hash.
  @inline(__always) package mutating func combine(_ other: StableHash) {
    combine(other.low)
    combine(other.high)
  }

  /// The text is followed by its length, so that ("ab", "c") differs from ("a", "bc").
  package mutating func combine(_ text: String) {
    var copy = text
    copy.withUTF8 { combine(UnsafeRawBufferPointer($0)) }
  }

  /// As a text of these bytes.
  package mutating func combine(_ bytes: UnsafeRawBufferPointer) {
    let words = bytes.count / 8
    for i in 0..<words { combine(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * i, as: UInt64.self))) }
    var rest: UInt64 = 0
    for i in (8 * words..<bytes.count).reversed() { rest = rest << 8 | UInt64(bytes[i]) }
    combine(rest)
    combine(bytes.count)
  }

  @inline(__always) private static func avalanche(_ word: UInt64) -> UInt64 {
    var x = word
    x = (x ^ (x >> 33)) &* 0xff51_afd7_ed55_8ccd
    x = (x ^ (x >> 33)) &* 0xc4ce_b9fe_1a85_ec53
    return x ^ (x >> 33)
  }

  /// Half of the digest as a number: a checksum.
  package var word: UInt64 { Self.avalanche(low ^ Self.avalanche(high)) }

  /// 32 hexadecimal digits.
  package var description: String {
    [Self.avalanche(low), Self.avalanche(high &+ low)].map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }
}

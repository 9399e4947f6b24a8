// A 128-bit hash that is equal in every process, on every machine: names of cached objects.
// Not cryptographic, and not `Hasher` (whose seed differs per process).

/// Two independent 64-bit FNV-1a style streams with a final avalanche.
public struct StableHash: Sendable, Hashable, CustomStringConvertible {
  private var low: UInt64 = 0xcbf2_9ce4_8422_2325
  private var high: UInt64 = 0x9e37_79b9_7f4a_7c15

  public init() {}

  public mutating func combine(byte: UInt8) {
    low = (low ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
    high = ((high << 23 | high >> 41) ^ UInt64(byte)) &* 0xff51_afd7_ed55_8ccd
  }

  public mutating func combine(_ value: UInt64) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) { combine(byte: UInt8(truncatingIfNeeded: value >> shift)) }
  }

  public mutating func combine(_ value: Int) { combine(UInt64(bitPattern: Int64(value))) }

  /// Both words of another hash.
  public mutating func combine(_ other: StableHash) {
    combine(other.low)
    combine(other.high)
  }

  /// The text is followed by its length, so that ("ab", "c") differs from ("a", "bc").
  public mutating func combine(_ text: String) {
    var count = 0
    for byte in text.utf8 {
      combine(byte: byte)
      count += 1
    }
    combine(count)
  }

  private static func avalanche(_ word: UInt64) -> UInt64 {
    var x = word
    x = (x ^ (x >> 33)) &* 0xff51_afd7_ed55_8ccd
    x = (x ^ (x >> 33)) &* 0xc4ce_b9fe_1a85_ec53
    return x ^ (x >> 33)
  }

  /// Half of the digest as a number: a checksum.
  public var word: UInt64 { Self.avalanche(low ^ Self.avalanche(high)) }

  /// 32 hexadecimal digits.
  public var description: String {
    [Self.avalanche(low), Self.avalanche(high &+ low)].map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }
}

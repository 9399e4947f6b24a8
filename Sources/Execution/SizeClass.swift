// The capacities that blocks of memory come in, so that a freed block fits the next request of about its size.
// Two families: small blocks are cut from slabs and kept per thread, spans are mappings of their own.
// Surprise: only spans put their padding behind the capacity, in a page of its own.

/// A capacity, by number.
package struct SizeClass: Sendable, Hashable {
  package var number: Int

  /// Readable bytes behind every block: vector loads may run over the end.
  package static let padding = 64
  package static let alignment = 64
  package static let hugePage = 2 << 20

  /// Behind the capacity of a span; its padding. So a power of two fits its class without a rest.
  static let tailPage = 4096

  // Numbers 0 ..< 16: 64, 128, ... 1024. Then four per power of two up to 32 KB, padding included in both.
  static let linearCount = 16
  static let smallCount = linearCount + 4 * 5
  // Then eight per power of two, padding not included.
  static let largestSmall = 32 << 10
  static let largestByteCount: UInt = 1 << 45
  static let count = smallCount + 8 * 30

  package var isSmall: Bool { number < Self.smallCount }

  @inline(__always) package init(number: Int) { self.number = number }

  /// The class of blocks that hold `byteCount` bytes and the padding; nil if that is negative or more than any machine has.
  @inline(__always) package init?(holding byteCount: Int) {
    // Negative numbers are large ones here.
    guard UInt(bitPattern: byteCount) <= Self.largestByteCount else { return nil }
    let bytes = byteCount &+ Self.padding
    if bytes <= 1024 {
      number = (bytes &- 1) >> 6
    } else if bytes <= Self.largestSmall {
      // The two bits under the leading one choose among four.
      let exponent = Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount
      number = Self.linearCount + (exponent - 10) * 4 + ((bytes - 1) >> (exponent - 2)) & 3
    } else {
      // From 2 MB on, classes of one capacity are one class.
      let rounded = byteCount <= Self.hugePage ? byteCount : ((byteCount - 1) | (Self.hugePage - 1)) + 1
      let last = max(rounded, Self.largestSmall + 1) - 1
      let exponent = Int.bitWidth - 1 - last.leadingZeroBitCount
      number = Self.smallCount + (exponent - 15) * 8 + (last >> (exponent - 3)) & 7
    }
  }

  /// Bytes of a block: of a small one with its padding, of a span without.
  package var capacity: Int {
    if number < Self.linearCount { return (number + 1) << 6 }
    if isSmall {
      let step = number - Self.linearCount
      return (5 + step & 3) << (step >> 2 + 8)
    }
    let step = number - Self.smallCount
    let bytes = (9 + step & 7) << (step >> 3 + 12)
    return bytes < Self.hugePage ? bytes : (bytes + Self.hugePage - 1) & ~(Self.hugePage - 1)
  }
}

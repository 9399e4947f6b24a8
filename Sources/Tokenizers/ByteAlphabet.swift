// GPT-2's byte alphabet: each of the 256 bytes is written as one printable scalar in vocabularies and merges.
// Surprise: a space is "Ġ" (U+0120) there, a newline "Ċ".

/// The two directions of the alphabet.
enum ByteAlphabet {
  /// The scalar that stands for a byte: printable Latin-1 for itself, the other 68 bytes from U+0100 on, in order.
  static let scalars: [UInt16] = {
    var next: UInt16 = 0x100
    return (0..<256).map { byte in
      if isPrintable(UInt8(byte)) { return UInt16(byte) }
      defer { next += 1 }
      return next
    }
  }()

  /// The byte of each scalar below U+0144, -1 for those that stand for none.
  static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = Int16(byte) }
    return table
  }()

  private static func isPrintable(_ byte: UInt8) -> Bool {
    (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
  }
}

extension ByteAlphabet {
  /// Bytes written in the alphabet.
  static func text(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    for byte in bytes { text.unicodeScalars.append(Unicode.Scalar(scalars[Int(byte)]) ?? "\u{FFFD}") }
    return text
  }

  /// The bytes that a text in the alphabet stands for; nil when a scalar of it stands for none.
  static func decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(text.count)
    var lead: UInt16?
    for unit in text {
      if let high = lead {
        let scalar = Int(high << 6 | UInt16(unit & 0x3F))
        guard scalar < bytes.count, bytes[scalar] >= 0 else { return nil }
        decoded.append(UInt8(bytes[scalar]))
        lead = nil
      } else if unit < 0x80 {
        guard bytes[Int(unit)] >= 0 else { return nil }
        decoded.append(unit)
      } else {
        // Every scalar of the alphabet has at most two UTF-8 units.
        guard unit < 0xE0 else { return nil }
        lead = UInt16(unit & 0x1F)
      }
    }
    return decoded
  }
}

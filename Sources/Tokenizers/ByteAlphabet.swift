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

// A text cut into Unicode scalars, each with the character classes that the pre-tokenizer patterns ask for.
// Not grapheme clusters: the patterns speak of scalars. `\s` is White_Space, `\p{L}` and `\p{N}` general categories.

/// What a pattern can ask of a scalar.
struct ScalarClass: OptionSet, Sendable {
  var rawValue: UInt8
  static let letter = ScalarClass(rawValue: 1)
  static let number = ScalarClass(rawValue: 2)
  static let space = ScalarClass(rawValue: 4)
  static let newline = ScalarClass(rawValue: 8)
  /// Lu, Lt.
  static let upper = ScalarClass(rawValue: 16)
  /// Ll.
  static let lower = ScalarClass(rawValue: 32)
  static let mark = ScalarClass(rawValue: 64)
  static let punctuation = ScalarClass(rawValue: 128)

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init(_ scalar: Unicode.Scalar) {
    self = scalar.value < 128 ? Self.ascii[Int(scalar.value)] : Self(looking: scalar)
  }

  private static let ascii = (0..<128).map { Self(looking: Unicode.Scalar(UInt8($0))) }

  private init(looking scalar: Unicode.Scalar) {
    let properties = scalar.properties
    switch properties.generalCategory {
    case .uppercaseLetter, .titlecaseLetter: self = [.letter, .upper]
    case .lowercaseLetter: self = [.letter, .lower]
    case .modifierLetter, .otherLetter: self = .letter
    case .nonspacingMark, .spacingMark, .enclosingMark: self = .mark
    case .decimalNumber, .letterNumber, .otherNumber: self = .number
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation, .otherPunctuation:
      self = .punctuation
    default: self = []
    }
    if properties.isWhitespace { insert(.space) }
    if scalar == "\n" || scalar == "\r" { insert(.newline) }
  }
}

/// Scalars, their classes, and where each begins in the UTF-8 bytes.
struct ScalarText {
  private(set) var scalars: [UInt32] = []
  private(set) var classes: [ScalarClass] = []
  /// One more than scalars: the last is the length in bytes.
  private(set) var offsets: [Int] = []

  /// - Parameter utf8: well-formed UTF-8, as a String gives it.
  init(utf8: UnsafeBufferPointer<UInt8>) {
    scalars.reserveCapacity(utf8.count)
    classes.reserveCapacity(utf8.count)
    offsets.reserveCapacity(utf8.count + 1)
    var offset = 0
    while offset < utf8.count {
      offsets.append(offset)
      let lead = UInt32(utf8[offset])
      let width = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
      var value = lead < 0x80 ? lead : lead & (0xFF >> UInt32(width + 1))
      for next in (offset + 1)..<(offset + width) { value = value << 6 | UInt32(utf8[next] & 0x3F) }
      scalars.append(value)
      classes.append(ScalarClass(Unicode.Scalar(value) ?? "\u{FFFD}"))
      offset += width
    }
    offsets.append(offset)
  }

  var count: Int { scalars.count }
}

// Sets of scalars as patterns name them: ranges and Unicode properties, joined, inverted, intersected.
// Not a list of members. Surprise: the ASCII members are kept as bits beside, since most texts ask for nothing else.

/// A set of scalars.
struct ScalarSet: Sendable, Hashable {
  private indirect enum Part: Sendable, Hashable {
    case range(UInt32, UInt32)
    /// General categories, one bit each.
    case categories(UInt32)
    case spaces
    case word
    case unicodeWord
    case han
    case inverted(ScalarSet)
    case both(ScalarSet, ScalarSet)
  }
  private var parts: [Part] = []
  private var low: UInt64 = 0
  private var high: UInt64 = 0

  init() {}

  private init(_ part: Part) {
    parts = [part]
    note()
  }

  private mutating func note() {
    (low, high) = (0, 0)
    for value in 0..<UInt32(128) where parts.contains(where: { Self.contains($0, value) }) {
      if value < 64 { low |= 1 << UInt64(value) } else { high |= 1 << UInt64(value - 64) }
    }
  }

  /// How many parts a look at a scalar may meet.
  var weight: Int {
    parts.reduce(0) { sum, part in
      switch part {
      case .inverted(let set): sum + set.weight
      case .both(let a, let b): sum + a.weight + b.weight
      case .range, .categories, .spaces, .word, .unicodeWord, .han: sum + 1
      }
    }
  }

  mutating func insert(_ range: ClosedRange<UInt32>) {
    parts.append(.range(range.lowerBound, range.upperBound))
    note()
  }

  mutating func formUnion(_ other: ScalarSet) {
    parts += other.parts
    (low, high) = (low | other.low, high | other.high)
  }

  func inverted() -> ScalarSet { ScalarSet(.inverted(self)) }

  func intersection(_ other: ScalarSet) -> ScalarSet { ScalarSet(.both(self, other)) }

  /// The only member of a set made of one literal.
  var single: UInt32? {
    guard parts.count == 1, case .range(let from, let to) = parts[0], from == to else { return nil }
    return from
  }

  /// With the other case of each member, as simple folding has it.
  func foldingCase() -> ScalarSet {
    var result = self
    for part in parts {
      guard case .range(let from, let to) = part, to - from < 0x400 else { continue }
      for value in from...to {
        guard let scalar = Unicode.Scalar(value) else { continue }
        let properties = scalar.properties
        for text in [properties.lowercaseMapping, properties.uppercaseMapping] where text.unicodeScalars.count == 1 {
          if let other = text.unicodeScalars.first?.value, other != value { result.parts.append(.range(other, other)) }
        }
        // Signs of units and old letters that fold to ASCII ones.
        switch value | 0x20 {
        case 0x73 where value < 0x80: result.parts.append(.range(0x17F, 0x17F))
        case 0x6B where value < 0x80: result.parts.append(.range(0x212A, 0x212A))
        default: break
        }
      }
    }
    result.note()
    return result
  }

  @inline(__always)
  func contains(_ value: UInt32) -> Bool {
    if value < 64 { return low >> UInt64(value) & 1 != 0 }
    if value < 128 { return high >> UInt64(value - 64) & 1 != 0 }
    for part in parts where Self.contains(part, value) { return true }
    return false
  }

  private static func contains(_ part: Part, _ value: UInt32) -> Bool {
    switch part {
    case .range(let from, let to): return value >= from && value <= to
    case .categories(let mask): return mask >> category(value) & 1 != 0
    case .spaces: return Unicode.Scalar(value)?.properties.isWhitespace ?? false
    case .word:
      return Unicode.Scalar(value)?.isWordPartOfPattern ?? false
    case .unicodeWord: return Unicode.Scalar(value)?.isWordPart ?? false
    case .han: return hanRanges.contains { $0.contains(value) }
    case .inverted(let set): return !set.parts.contains { contains($0, value) }
    case .both(let a, let b):
      return a.parts.contains { contains($0, value) } && b.parts.contains { contains($0, value) }
    }
  }

  // MARK: - Properties

  static let spaces = ScalarSet(.spaces)
  static let word = ScalarSet(.word)
  static let digits = ScalarSet(.categories(mask(["Nd"])))

  private static let names: [String] = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
    "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
  ]

  private static func mask(_ wanted: [String]) -> UInt32 {
    var mask: UInt32 = 0
    for (bit, name) in names.enumerated() where wanted.contains(where: { name.hasPrefix($0) }) {
      mask |= 1 << UInt32(bit)
    }
    return mask
  }

  private static func category(_ value: UInt32) -> UInt32 {
    guard let scalar = Unicode.Scalar(value) else { return 27 }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter: return 0
    case .lowercaseLetter: return 1
    case .titlecaseLetter: return 2
    case .modifierLetter: return 3
    case .otherLetter: return 4
    case .nonspacingMark: return 5
    case .spacingMark: return 6
    case .enclosingMark: return 7
    case .decimalNumber: return 8
    case .letterNumber: return 9
    case .otherNumber: return 10
    case .connectorPunctuation: return 11
    case .dashPunctuation: return 12
    case .openPunctuation: return 13
    case .closePunctuation: return 14
    case .initialPunctuation: return 15
    case .finalPunctuation: return 16
    case .otherPunctuation: return 17
    case .mathSymbol: return 18
    case .currencySymbol: return 19
    case .modifierSymbol: return 20
    case .otherSymbol: return 21
    case .spaceSeparator: return 22
    case .lineSeparator: return 23
    case .paragraphSeparator: return 24
    case .control: return 25
    case .format: return 26
    case .surrogate: return 27
    case .privateUse: return 28
    case .unassigned: return 29
    @unknown default: return 29
    }
  }

  /// `\p{name}`; nil for names that are not known.
  init?(property name: String) {
    switch name {
    case "Han", "Script=Han", "sc=Han": self.init(.han)
    case "Word": self = .word
    // Not a name that a file could mean.
    case "UnicodeWord": self.init(.unicodeWord)
    case "Letter": self.init(.categories(Self.mask(["L"])))
    case "Number": self.init(.categories(Self.mask(["N"])))
    case "Punct", "Punctuation": self.init(.categories(Self.mask(["P"])))
    case "White_Space", "Space": self = .spaces
    default:
      guard (1...2).contains(name.count), Self.mask([name]) != 0 else { return nil }
      self.init(.categories(Self.mask([name])))
    }
  }

  /// Scripts.txt of Unicode: Han.
  private static let hanRanges: [ClosedRange<UInt32>] = [
    0x2E80...0x2E99, 0x2E9B...0x2EF3, 0x2F00...0x2FD5, 0x3005...0x3005, 0x3007...0x3007, 0x3021...0x3029,
    0x3038...0x303B, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFA6D, 0xFA70...0xFAD9, 0x16FE2...0x16FE3,
    0x16FF0...0x16FF1, 0x20000...0x2A6DF, 0x2A700...0x2B739, 0x2B740...0x2B81D, 0x2B820...0x2CEA1, 0x2CEB0...0x2EBE0,
    0x2EBF0...0x2EE5D, 0x2F800...0x2FA1D, 0x30000...0x3134A, 0x31350...0x323AF,
  ]
}

extension Unicode.Scalar {
  /// `\w` of a pattern in a tokenizer.json: as Oniguruma has it, with Latin-1's raised digits and fractions.
  var isWordPartOfPattern: Bool {
    switch value {
    case 0xB2, 0xB3, 0xB9, 0xBC...0xBE: true
    case 0x200C, 0x200D: false
    default: isWordPart
    }
  }

  /// `\w` as Unicode has it: letters, marks, digits, connectors.
  var isWordPart: Bool {
    if value < 128 { return value == 0x5F || properties.isAlphabetic || (0x30...0x39).contains(value) }
    if properties.isAlphabetic || properties.isJoinControl { return true }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
    default: return false
    }
  }
}

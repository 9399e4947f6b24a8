// The quantised encodings of GGUF files, each one record: layouts as published with ggml, checked against its decoder.
// The linear ones: those that look elements up are in QuantizedFormat+Lookup. Surprise: e / 32 % 4 and the like are
// spelled as terms, so that code generators can turn them into index arithmetic.

extension QuantizedFormat {
  /// Every encoding that can be decoded, by its ggml number.
  public static let all: [QuantizedFormat] = [
    q4_0, q4_1, q5_0, q5_1, q8_0, q2_K, q3_K, q4_K, q5_K, q6_K, tq2_0, tq1_0, mxfp4, nvfp4, iq4_NL, iq4_XS, iq2_XXS,
    iq2_XS, iq2_S, iq3_XXS, iq3_S, iq1_S, iq1_M,
  ]

  /// The encoding with a ggml number; nil if it is not one of ``all``.
  public init?(ggmlID: UInt32) {
    guard let format = Self.all.first(where: { $0.ggmlID == ggmlID }) else { return nil }
    self = format
  }

  /// 4 bits, symmetric: 32 elements in 18 bytes.
  public static let q4_0 = QuantizedFormat(
    name: "Q4_0", ggmlID: 2, blockElements: 32, fields: [("d", 2), ("qs", 16)],
    quant: .unsigned([nibbles(at: 2)], bias: 8), scale: .half(at: 0, 32))

  /// 4 bits with a minimum: 32 elements in 20 bytes.
  public static let q4_1 = QuantizedFormat(
    name: "Q4_1", ggmlID: 3, blockElements: 32, fields: [("d", 2), ("m", 2), ("qs", 16)],
    quant: .unsigned([nibbles(at: 4)]), scale: .half(at: 0, 32), minimum: .half(at: 2, 32))

  /// 5 bits, symmetric: 32 elements in 22 bytes.
  public static let q5_0 = QuantizedFormat(
    name: "Q5_0", ggmlID: 6, blockElements: 32, fields: [("d", 2), ("qh", 4), ("qs", 16)],
    quant: .unsigned([nibbles(at: 6), highBits(at: 2)], bias: 16), scale: .half(at: 0, 32))

  /// 5 bits with a minimum: 32 elements in 24 bytes.
  public static let q5_1 = QuantizedFormat(
    name: "Q5_1", ggmlID: 7, blockElements: 32, fields: [("d", 2), ("m", 2), ("qh", 4), ("qs", 16)],
    quant: .unsigned([nibbles(at: 8), highBits(at: 4)]), scale: .half(at: 0, 32), minimum: .half(at: 2, 32))

  /// 8 bits, symmetric: 32 elements in 34 bytes.
  public static let q8_0 = QuantizedFormat(
    name: "Q8_0", ggmlID: 8, blockElements: 32, fields: [("d", 2), ("qs", 32)],
    quant: .signed([BitSlice(byte: .map(2, .term(1, 1)), shift: .map(0), bits: 8, position: 0)]),
    scale: .half(at: 0, 32))

  /// 2 bits, groups of 16 with 4-bit scales and minima: 256 elements in 84 bytes.
  public static let q2_K = QuantizedFormat(
    name: "Q2_K", ggmlID: 10, blockElements: 256,
    fields: [("scales", 16), ("qs", 64), ("d", 2), ("dmin", 2)],
    quant: .unsigned([pairs(at: 16)]),
    scale: Factor(
      offset: 80,
      group: .unsigned([BitSlice(byte: .map(0, .term(1, 16)), shift: .map(0), bits: 4, position: 0)]),
      groupElements: 16),
    minimum: Factor(
      offset: 82,
      group: .unsigned([BitSlice(byte: .map(0, .term(1, 16)), shift: .map(4), bits: 4, position: 0)]),
      groupElements: 16),
    subtractsMinimum: true)

  /// 3 bits, groups of 16 with 6-bit scales: 256 elements in 110 bytes.
  public static let q3_K = QuantizedFormat(
    name: "Q3_K", ggmlID: 11, blockElements: 256,
    fields: [("hmask", 32), ("qs", 64), ("scales", 12), ("d", 2)],
    quant: .unsigned(
      [
        pairs(at: 32),
        BitSlice(byte: .map(0, .term(1, 1, 32)), shift: .map(0, .term(1, 32)), bits: 1, position: 2),
      ], bias: 4),
    scale: Factor(
      offset: 108,
      group: .unsigned(
        [
          BitSlice(byte: .map(96, .term(1, 16, 8)), shift: .map(0, .term(4, 128)), bits: 4, position: 0),
          BitSlice(byte: .map(104, .term(1, 16, 4)), shift: .map(0, .term(2, 64)), bits: 2, position: 4),
        ], bias: 32),
      groupElements: 16))

  /// 4 bits, groups of 32 with 6-bit scales and minima: 256 elements in 144 bytes.
  public static let q4_K = QuantizedFormat(
    name: "Q4_K", ggmlID: 12, blockElements: 256,
    fields: [("d", 2), ("dmin", 2), ("scales", 12), ("qs", 128)],
    quant: .unsigned([nibblesOf64(at: 16)]),
    scale: sixBitScale, minimum: sixBitMinimum, subtractsMinimum: true)

  /// 5 bits, groups of 32 with 6-bit scales and minima: 256 elements in 176 bytes.
  public static let q5_K = QuantizedFormat(
    name: "Q5_K", ggmlID: 13, blockElements: 256,
    fields: [("d", 2), ("dmin", 2), ("scales", 12), ("qh", 32), ("qs", 128)],
    quant: .unsigned([
      nibblesOf64(at: 48),
      BitSlice(byte: .map(16, .term(1, 1, 32)), shift: .map(0, .term(1, 32)), bits: 1, position: 4),
    ]),
    scale: sixBitScale, minimum: sixBitMinimum, subtractsMinimum: true)

  /// 6 bits, groups of 16 with 8-bit scales: 256 elements in 210 bytes.
  public static let q6_K = QuantizedFormat(
    name: "Q6_K", ggmlID: 14, blockElements: 256,
    fields: [("ql", 128), ("qh", 64), ("scales", 16), ("d", 2)],
    quant: .unsigned(
      [
        BitSlice(
          byte: .map(0, .term(64, 128), .term(1, 1, 64)), shift: .map(0, .term(4, 64, 2)), bits: 4, position: 0),
        BitSlice(
          byte: .map(128, .term(32, 128), .term(1, 1, 32)), shift: .map(0, .term(2, 32, 4)), bits: 2, position: 4),
      ], bias: 32),
    scale: Factor(
      offset: 208,
      group: .signed([BitSlice(byte: .map(192, .term(1, 16)), shift: .map(0), bits: 8, position: 0)]),
      groupElements: 16))

  /// Ternary in 2 bits: 256 elements in 66 bytes.
  public static let tq2_0 = QuantizedFormat(
    name: "TQ2_0", ggmlID: 35, blockElements: 256, fields: [("qs", 64), ("d", 2)],
    quant: .unsigned([pairs(at: 0)], bias: 1), scale: .half(at: 64, 256))

  // MARK: Bit patterns that several formats share

  /// 32 elements in 16 bytes: low nibbles first, then high ones.
  private static func nibbles(at base: Int) -> BitSlice {
    BitSlice(byte: .map(base, .term(1, 1, 16)), shift: .map(0, .term(4, 16)), bits: 4, position: 0)
  }

  /// A fifth bit each for 32 elements, as one little-endian 32-bit word.
  private static func highBits(at base: Int) -> BitSlice {
    BitSlice(byte: .map(base, .term(1, 8)), shift: .map(0, .term(1, 1, 8)), bits: 1, position: 4)
  }

  /// 128 elements in 32 bytes, twice: bits 0-1 hold the first 32 elements, bits 2-3 the next...
  private static func pairs(at base: Int) -> BitSlice {
    BitSlice(
      byte: .map(base, .term(32, 128), .term(1, 1, 32)), shift: .map(0, .term(2, 32, 4)), bits: 2, position: 0)
  }

  /// 64 elements in 32 bytes, four times: low nibbles first, then high ones.
  private static func nibblesOf64(at base: Int) -> BitSlice {
    BitSlice(
      byte: .map(base, .term(32, 64), .term(1, 1, 32)), shift: .map(0, .term(4, 32, 2)), bits: 4, position: 0)
  }

  /// Eight 6-bit scales of the 12 bytes at 4: groups 0-3 in bits 0-5 of bytes 0-3, groups 4-7 split over two bytes.
  private static let sixBitScale = Factor(
    offset: 0,
    group: .unsigned([
      BitSlice(byte: .map(4, .term(1, 32), .term(4, 128)), shift: .map(0), bits: 4, position: 0),
      BitSlice(byte: .map(4, .term(1, 32, 4)), shift: .map(4, .term(2, 128)), bits: 2, position: 4),
    ]), groupElements: 32)

  /// Eight 6-bit minima of the same 12 bytes.
  private static let sixBitMinimum = Factor(
    offset: 2,
    group: .unsigned([
      BitSlice(byte: .map(8, .term(1, 32)), shift: .map(0, .term(4, 128)), bits: 4, position: 0),
      BitSlice(byte: .map(8, .term(1, 32, 4)), shift: .map(4, .term(2, 128)), bits: 2, position: 4),
    ]), groupElements: 32)

  private init(
    name: String, ggmlID: UInt32, blockElements: Int, fields: [(name: String, bytes: Int)], quant: PackedInteger,
    scale: Factor, minimum: Factor? = nil, subtractsMinimum: Bool = false
  ) {
    self.init(
      name: name, ggmlID: ggmlID, blockElements: blockElements, fields: fields,
      decoding: .linear(
        Linear(quant: quant, scale: scale, minimum: minimum, subtractsMinimum: subtractsMinimum)))
  }

  init(
    name: String, ggmlID: UInt32, blockElements: Int, fields: [(name: String, bytes: Int)], decoding: Decoding
  ) {
    self.name = name
    self.ggmlID = ggmlID
    self.blockElements = blockElements
    var offset = 0
    var placed: [Field] = []
    for field in fields {
      placed.append(Field(name: field.name, offset: offset, bytes: field.bytes))
      offset += field.bytes
    }
    self.fields = placed
    self.blockBytes = offset
    self.decoding = decoding
  }
}

extension QuantizedFormat.IndexMap {
  fileprivate static func map(_ base: Int, _ terms: Term...) -> Self { Self(base: base, terms: terms) }
}

extension QuantizedFormat.IndexMap.Term {
  fileprivate static func term(_ stride: Int, _ divisor: Int, _ modulus: Int? = nil) -> Self {
    Self(stride: stride, divisor: divisor, modulus: modulus)
  }
}

extension QuantizedFormat.PackedInteger {
  fileprivate static func unsigned(_ slices: [QuantizedFormat.BitSlice], bias: Int = 0) -> Self {
    Self(slices: slices, isSigned: false, bias: bias)
  }
  fileprivate static func signed(_ slices: [QuantizedFormat.BitSlice]) -> Self {
    Self(slices: slices, isSigned: true, bias: 0)
  }
}

extension QuantizedFormat.Factor {
  fileprivate static func half(at offset: Int, _ elements: Int) -> Self {
    Self(offset: offset, group: nil, groupElements: elements)
  }
}

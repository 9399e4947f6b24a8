// Block-quantised encodings described as data: where each field lies and how an element is put together from bits.
// Not a kernel: product kernels are generated from this description. Surprise: linear formats have no decoder of their
// own; the reference decoder below interprets the description, so a description that decodes right is right.

/// A block-quantised encoding.
///
/// A block holds ``blockElements`` consecutive elements of the last axis in ``blockBytes`` bytes. Element `e` of a
/// ``Linear`` format is
///
///     scale(e) * quant(e) - minimum(e)       minimum subtracted (K formats)
///     scale(e) * quant(e) + minimum(e)       minimum added (Q4_1, Q5_1)
///
/// where `scale(e)` and `minimum(e)` are a half float of the block, times a small integer of the element's group where
/// the format has groups. All arithmetic is in `Float`, in the order written. The other formats look their elements up
/// in a table; each has a decoder.
public struct QuantizedFormat: Sendable, Hashable, CustomStringConvertible {
  /// A named part of a block, for printing and for checks that nothing overlaps.
  public struct Field: Sendable, Hashable {
    /// The name ggml gives it.
    public let name: String
    /// First byte in the block.
    public let offset: Int
    /// Number of bytes.
    public let bytes: Int
  }

  /// `base + sum of stride * ((e / divisor) % modulus)` of an element's index `e` in its block.
  public struct IndexMap: Sendable, Hashable {
    /// One summand: `stride * (e / divisor % modulus)`.
    public struct Term: Sendable, Hashable {
      /// What the quotient is multiplied with.
      public let stride: Int
      /// At least 1.
      public let divisor: Int
      /// Nil where the quotient needs no remainder.
      public let modulus: Int?
    }
    /// The map's value where all terms are 0.
    public let base: Int
    /// The summands.
    public let terms: [Term]

    /// The map's value for `element`.
    public func callAsFunction(_ element: Int) -> Int {
      terms.reduce(base) { sum, term in
        let quotient = element / term.divisor
        return sum + term.stride * (term.modulus.map { quotient % $0 } ?? quotient)
      }
    }
  }

  /// Some bits of one byte, and where they go in an integer.
  public struct BitSlice: Sendable, Hashable {
    /// Which byte of the block.
    public let byte: IndexMap
    /// The lowest bit taken from it.
    public let shift: IndexMap
    /// How many bits are taken.
    public let bits: Int
    /// The bit of the result that the lowest of them becomes.
    public let position: Int
  }

  /// A small integer put together from bit slices: `(slices, sign-extended if isSigned) - bias`.
  public struct PackedInteger: Sendable, Hashable {
    /// The parts, lowest bits first.
    public let slices: [BitSlice]
    /// Whether the joined bits are a two's complement number of their width.
    public let isSigned: Bool
    /// Subtracted last.
    public let bias: Int

    /// Bits of the joined slices.
    public var width: Int { slices.reduce(0) { $0 + $1.bits } }
  }

  /// A half float of the block, times an integer of the element's group.
  public struct Factor: Sendable, Hashable {
    /// Byte of the block where the little-endian half float lies.
    public let offset: Int
    /// Nil where the half float is used as it is.
    public let group: PackedInteger?
    /// Consecutive elements that share the factor: ``QuantizedFormat/blockElements`` without groups.
    public let groupElements: Int
  }

  /// "Q4_K".
  public let name: String
  /// The number of this encoding in GGUF files.
  public let ggmlID: UInt32
  /// Elements in a block.
  public let blockElements: Int
  /// Bytes in a block.
  public let blockBytes: Int
  /// The parts of a block in the order they lie there.
  public let fields: [Field]
  let decoding: Decoding

  /// The arithmetic of a format whose elements are integers times a factor.
  public struct Linear: Sendable {
    /// The element's integer.
    public let quant: PackedInteger
    /// What the integer is multiplied with.
    public let scale: Factor
    /// What is added or subtracted; nil for symmetric formats.
    public let minimum: Factor?
    /// Whether ``minimum`` is subtracted.
    public let subtractsMinimum: Bool
  }

  enum Decoding: Sendable {
    case linear(Linear)
    case lookup(@Sendable (BlockBytes, UnsafeMutablePointer<Float>) -> Void)
  }

  /// How elements are computed; nil for formats that look them up.
  public var linear: Linear? {
    if case .linear(let linear) = decoding { linear } else { nil }
  }

  /// The name.
  public var description: String { name }

  /// Formats with one ggml number are one format: there is a single record of each.
  public static func == (a: QuantizedFormat, b: QuantizedFormat) -> Bool { a.ggmlID == b.ggmlID }
  /// Hashes the ggml number.
  public func hash(into hasher: inout Hasher) { hasher.combine(ggmlID) }

  /// Bytes of `elements` consecutive elements, which must fill whole blocks; nil if they do not or on overflow.
  public func byteCount(elements: Int) -> Int? {
    guard elements >= 0, elements % blockElements == 0 else { return nil }
    let (bytes, overflow) = (elements / blockElements).multipliedReportingOverflow(by: blockBytes)
    return overflow ? nil : bytes
  }
}

// MARK: - The reference decoder

extension QuantizedFormat {
  /// The elements of all whole blocks in `bytes`, one by one from the description: exact, and slow on purpose.
  ///
  /// Trailing bytes that fill no block are left out.
  public func decode(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    let count = bytes.count / blockBytes * blockElements
    return [Float](unsafeUninitializedCapacity: count) { output, initialized in
      if let start = output.baseAddress { decode(bytes, to: start) }
      initialized = count
    }
  }

  /// As above, into memory with room for the elements.
  func decode(_ bytes: UnsafeRawBufferPointer, to output: UnsafeMutablePointer<Float>) {
    let table = decodingTable
    for block in 0..<bytes.count / blockBytes {
      let start = block * blockBytes
      let source = UnsafeRawBufferPointer(rebasing: bytes[start..<start + blockBytes])
      let target = output + block * blockElements
      switch decoding {
      case .lookup(let decode): decode(BlockBytes(bytes: source), target)
      case .linear:
        guard let table else { continue }
        for element in 0..<blockElements {
          (target + element).initialize(to: table.value(of: element, in: source))
        }
      }
    }
  }

  /// The elements of one or more blocks given as an array.
  public func decode(_ block: [UInt8]) -> [Float] { block.withUnsafeBytes { decode($0) } }

  /// The index maps of all linear formats, evaluated at the first use of one.
  private static let decodingTables = Dictionary(
    uniqueKeysWithValues: all.compactMap { format in
      format.linear.map { (format.ggmlID, DecodingTable($0, elements: format.blockElements)) }
    })

  private var decodingTable: DecodingTable? { Self.decodingTables[ggmlID] }
}

/// The index maps of a format, evaluated once for each element of a block.
private struct DecodingTable: Sendable {
  struct Slice: Sendable {
    let byte: Int, shift: UInt8, mask: UInt8, position: Int
  }
  struct Integer: Sendable {
    let slices: [[Slice]]
    let signBits: Int
    let bias: Int

    init(_ packed: QuantizedFormat.PackedInteger, elements: Int) {
      slices = (0..<elements).map { element in
        packed.slices.map { slice in
          Slice(
            byte: slice.byte(element), shift: UInt8(slice.shift(element)), mask: UInt8((1 << slice.bits) - 1),
            position: slice.position)
        }
      }
      signBits = packed.isSigned ? Int.bitWidth - packed.width : 0
      bias = packed.bias
    }

    func value(of element: Int, in block: UnsafeRawBufferPointer) -> Int {
      var joined = 0
      for slice in slices[element] { joined |= Int((block[slice.byte] >> slice.shift) & slice.mask) << slice.position }
      return (joined << signBits) >> signBits - bias
    }
  }

  let quant: Integer
  let scale: (offset: Int, group: Integer?)
  let minimum: (offset: Int, group: Integer?)?
  let subtractsMinimum: Bool

  init(_ format: QuantizedFormat.Linear, elements: Int) {
    quant = Integer(format.quant, elements: elements)
    scale = (format.scale.offset, format.scale.group.map { Integer($0, elements: elements) })
    minimum = format.minimum.map { ($0.offset, $0.group.map { Integer($0, elements: elements) }) }
    subtractsMinimum = format.subtractsMinimum
  }

  func value(of element: Int, in block: UnsafeRawBufferPointer) -> Float {
    let product = factor(scale, element, block) * Float(quant.value(of: element, in: block))
    guard let minimum else { return product }
    let shift = factor(minimum, element, block)
    return subtractsMinimum ? product - shift : product + shift
  }

  private func factor(
    _ factor: (offset: Int, group: Integer?), _ element: Int, _ block: UnsafeRawBufferPointer
  ) -> Float {
    let bits = UInt16(block[factor.offset]) | UInt16(block[factor.offset + 1]) << 8
    let half = Float(Float16(bitPattern: bits))
    return factor.group.map { half * Float($0.value(of: element, in: block)) } ?? half
  }
}

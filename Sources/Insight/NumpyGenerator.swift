// numpy's default random numbers (SeedSequence, PCG64, ziggurat), bit for bit: other programs can be given the very same
// inputs from a seed. Not the generator of `Tensor.random`, which is counter-based.
// Surprise: 32-bit draws use the low half of a 64-bit word first and keep the high half for the next 32-bit draw.
import Foundation

/// What `numpy.random.default_rng(seed)` gives, for a seed of 32 bits.
package struct NumpyGenerator: Sendable {
  private var state: UInt128
  private let increment: UInt128
  private var spare: UInt32?

  private static let multiplier = UInt128(0x2360_ED05_1FC6_5DA4) << 64 | 0x4385_DF64_9FCC_F645

  package init(seed: UInt32) {
    let words = SeedSequence(entropy: seed).state(4)
    let start = UInt128(words[0]) << 64 | UInt128(words[1])
    increment = (UInt128(words[2]) << 64 | UInt128(words[3])) << 1 | 1
    state = (increment &+ start) &* Self.multiplier &+ increment
  }

  /// Seeded with the CRC-32 of a name, so that every array has numbers of its own.
  package init(name: String) { self.init(seed: Self.checksum(name.utf8)) }

  /// The CRC-32 of zip and PNG.
  static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var remainder = UInt32.max
    for byte in bytes {
      remainder ^= UInt32(byte)
      for _ in 0..<8 { remainder = remainder >> 1 ^ (remainder & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    return ~remainder
  }

  @inline(__always) mutating func next64() -> UInt64 {
    state = state &* Self.multiplier &+ increment
    let mixed = UInt64(truncatingIfNeeded: state >> 64) ^ UInt64(truncatingIfNeeded: state)
    let turn = UInt64(truncatingIfNeeded: state >> 122)
    return mixed >> turn | mixed << ((64 &- turn) & 63)
  }

  @inline(__always) mutating func next32() -> UInt32 {
    if let word = spare {
      spare = nil
      return word
    }
    let word = next64()
    spare = UInt32(truncatingIfNeeded: word >> 32)
    return UInt32(truncatingIfNeeded: word)
  }

  /// In 0 ..< 1, with 24 bits.
  @inline(__always) mutating func nextUniform() -> Float { Float(next32() >> 8) * 0x1p-24 }

  @inline(__always) private mutating func nextNormal(_ table: borrowing Ziggurat.Rows) -> Float {
    while true {
      let word = next32()
      let layer = Int(word & 0xff)
      let isNegative = word >> 8 & 1 == 1
      let position = word >> 9
      let size = Float(position) * table.width(layer)
      let x = isNegative ? -size : size
      if position < table.limit(layer) { return x }
      if layer == 0 { return nextTail(isNegative: position >> 8 & 1 == 1) }
      let height = (table.height(layer - 1) - table.height(layer)) * nextUniform() + table.height(layer)
      if Double(height) < exp(-0.5 * Double(x) * Double(x)) { return x }
    }
  }

  /// Beyond the last layer: Marsaglia's exponential tail.
  private mutating func nextTail(isNegative: Bool) -> Float {
    let edge = Float(Ziggurat.edge)
    while true {
      let x = -Float(1 / Ziggurat.edge) * log1p(-nextUniform())
      let y = -log1p(-nextUniform())
      if y + y > x * x { return isNegative ? -(edge + x) : edge + x }
    }
  }

  // MARK: Arrays

  /// `standard_normal(count, dtype=float32) * float32(scale)`.
  mutating func fillNormal(_ buffer: UnsafeMutableBufferPointer<Float>, scale: Double) {
    let scale = Float(scale)
    Ziggurat.standard.withRows { table in
      for i in buffer.indices { buffer[i] = nextNormal(table) * scale }
    }
  }

  /// `random(count, dtype=float32) * float32(high - low) + float32(low)`, each step rounded.
  mutating func fillUniform(_ buffer: UnsafeMutableBufferPointer<Float>, _ low: Double, _ high: Double) {
    let (span, low) = (Float(high - low), Float(low))
    for i in buffer.indices {
      let scaled = nextUniform() * span
      buffer[i] = scaled + low
    }
  }

  /// `integers(0, bound, count)`: Lemire's rejection.
  /// - Precondition: 0 < bound < 2^32.
  package mutating func integers(_ count: Int, below bound: Int) -> [Int64] {
    precondition(bound > 0 && bound < 1 << 32, "the bound of random integers is 1 ..< 2^32")
    guard bound > 1 else { return [Int64](repeating: 0, count: count) }
    let span = UInt32(bound)
    let threshold = (0 &- span) % span
    return (0..<count).map { _ in
      var product = UInt64(next32()) * UInt64(span)
      while UInt32(truncatingIfNeeded: product) < threshold { product = UInt64(next32()) * UInt64(span) }
      return Int64(product >> 32)
    }
  }
}

/// Spreads a seed over as many words as are asked for.
private struct SeedSequence {
  private var pool: [UInt32] = []

  init(entropy: UInt32) {
    var constant: UInt32 = 0x43B0_D7E5
    func hashed(_ value: UInt32) -> UInt32 {
      let mixed = value ^ constant
      constant &*= 0x931E_8875
      let product = mixed &* constant
      return product ^ product >> 16
    }
    pool = [hashed(entropy), hashed(0), hashed(0), hashed(0)]
    for source in 0..<4 {
      for target in 0..<4 where source != target {
        let mixed = 0xCA01_F9DD &* pool[target] &- 0x4973_F715 &* hashed(pool[source])
        pool[target] = mixed ^ mixed >> 16
      }
    }
  }

  func state(_ count: Int) -> [UInt64] {
    var constant: UInt32 = 0x8B51_F9DD
    func word(_ i: Int) -> UInt64 {
      let mixed = pool[i & 3] ^ constant
      constant &*= 0x58F3_8DED
      let product = mixed &* constant
      return UInt64(product ^ product >> 16)
    }
    return (0..<count).map { i in
      let low = word(2 * i)
      return word(2 * i + 1) << 32 | low
    }
  }
}

/// The normal curve cut into 256 layers of equal area.
private struct Ziggurat: Sendable {
  /// Where the last layer ends and the tail begins.
  static let edge = 3.6541528853610088
  static let standard = Ziggurat()

  private var widths = [Float](repeating: 0, count: 256)
  private var heights = [Float](repeating: 0, count: 256)
  private var limits = [UInt32](repeating: 0, count: 256)

  private init() {
    let steps = 0x1p23
    func curve(_ x: Double) -> Double { exp(-0.5 * x * x) }
    let area = Self.edge * curve(Self.edge) + (Double.pi / 2).squareRoot() * erfc(Self.edge / 2.0.squareRoot())
    var x = Self.edge
    var height = curve(x)
    widths[0] = Float(area / height / steps)
    heights[0] = 1
    limits[0] = UInt32((x * height / area * steps).rounded())
    widths[255] = Float(x / steps)
    heights[255] = Float(height)
    for layer in stride(from: 254, to: 0, by: -1) {
      let next = (-2 * log(area / x + height)).squareRoot()
      limits[layer + 1] = UInt32((next / x * steps).rounded())
      x = next
      height = curve(x)
      widths[layer] = Float(x / steps)
      heights[layer] = Float(height)
    }
  }

  /// The tables without bounds checks: a layer is 8 bits.
  struct Rows: ~Copyable {
    fileprivate let widths: UnsafePointer<Float>
    fileprivate let heights: UnsafePointer<Float>
    fileprivate let limits: UnsafePointer<UInt32>
    @inline(__always) func width(_ layer: Int) -> Float { widths[layer] }
    @inline(__always) func height(_ layer: Int) -> Float { heights[layer] }
    @inline(__always) func limit(_ layer: Int) -> UInt32 { limits[layer] }
  }

  func withRows(_ body: (borrowing Rows) -> Void) {
    widths.withUnsafeBufferPointer { widths in
      heights.withUnsafeBufferPointer { heights in
        limits.withUnsafeBufferPointer { limits in
          guard let w = widths.baseAddress, let h = heights.baseAddress, let l = limits.baseAddress else { return }
          body(Rows(widths: w, heights: h, limits: l))
        }
      }
    }
  }
}

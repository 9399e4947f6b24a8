// Many elements into one: sums, products, extremes, in whatever order a machine takes them.
// The bound is the classical one: n roundings of partial results that are never larger than the sum of magnitudes.
// Surprise: a sum of numbers that all are multiples of one power of two, and not too large, has no rounding in any order;
// there the enclosure is a point, which is what makes whole numbers good test data.
import Scalars
import TensorTypes

/// How partial results of a sum or product are kept.
struct Accumulation {
  /// Half a unit in the last place of 1.
  let roundoff: Double
  let largest: Double
  let leastNormal: Double
  let leastNumber: Double

  /// Partial results in `dtype` itself, each rounded to it, as scatters keep them.
  init(in dtype: DType) {
    switch dtype {
    case .f16: (roundoff, largest, leastNormal, leastNumber) = (0x1p-11, 65504, 0x1p-14, 0x1p-24)
    case .bf16: (roundoff, largest, leastNormal, leastNumber) = (0x1p-8, 0x1.fep127, 0x1p-126, 0x1p-133)
    case .f64: (roundoff, largest, leastNormal, leastNumber) = (0x1p-53, .greatestFiniteMagnitude, 0x1p-1022, 0x1p-1074)
    case .f32, .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64, .f8e4m3fn, .f8e5m2:
      (roundoff, largest, leastNormal, leastNumber) = (
        0x1p-24, Double(Float.greatestFiniteMagnitude), 0x1p-126, 0x1p-149
      )
    }
  }
}

extension Monoid {
  /// What `elements` combine to, in any order, in elements of `dtype`; partial results are kept in the compute dtype, or
  /// where `roundsEach` in `dtype`.
  func enclosure(_ elements: [Enclosure], _ dtype: DType, roundsEach: Bool = false) -> Enclosure {
    let kept = Accumulation(in: roundsEach ? dtype : dtype.computeDType)
    guard dtype.isFloating else {
      var total = identity(dtype).value
      for element in elements {
        guard case .integer(let x) = element else { return .unknown }
        total = combined(total, .integer(x), dtype)
      }
      return Enclosure(total)
    }
    switch self {
    case .sum: return Enclosure.sum(elements, dtype, kept)
    case .product: return Enclosure.product(elements, dtype, kept)
    case .minimum, .maximum:
      var total = Enclosure(identity(dtype).value)
      for element in elements { total = instruction?.enclosure([total, element], dtype) ?? .unknown }
      return total
    // What a formula rounds depends on the order; bits of floats have no order.
    case .and, .or, .logSumExp: return .unknown
    }
  }
}

extension Enclosure {
  /// Sum of `elements` (of `dtype`, or products of two), rounded to `dtype`.
  static func sum(_ elements: [Enclosure], _ dtype: DType, _ kept: Accumulation) -> Enclosure {
    var (low, high, magnitude) = (0.0, 0.0, 0.0)
    var infinities: Set<Double> = []
    var quantum = Double.infinity
    var (mayBeNaN, isExact) = (false, true)
    for element in elements {
      guard case .float(let a, let b, let unsure) = element else { return element == .nan ? .nan : .unknown }
      if unsure { mayBeNaN = true }
      if a.isInfinite || b.isInfinite {
        guard a == b else { return .unknown }
        infinities.insert(a)
        continue
      }
      if a != b { isExact = false }
      low += a
      high += b
      magnitude += max(a.magnitude, b.magnitude)
      if a != 0 { quantum = min(quantum, a.lowestBit) }
    }
    if elements.contains(.nan) || infinities.count > 1 { return .nan }
    // Where a partial result may overflow, the order decides.
    if !(magnitude < kept.largest / 2) { return .unknown }
    if let infinity = infinities.first { return .float(low: infinity, high: infinity, mayBeNaN: mayBeNaN) }
    isExact = isExact && magnitude <= quantum / (2 * kept.roundoff) && quantum >= kept.leastNumber
    let count = Double(elements.count + 1)
    let error = isExact ? 0 : 1.01 * count * ((kept.roundoff + 0x1p-53) * magnitude + kept.leastNumber)
    return rounded(low - error, high + error, mayBeNaN, dtype)
  }

  private static func rounded(_ low: Double, _ high: Double, _ mayBeNaN: Bool, _ dtype: DType) -> Enclosure {
    // Through the compute dtype, as machines do.
    func narrowed(_ x: Double) -> Double {
      ScalarReference.rounded(ScalarReference.rounded(x, to: dtype.computeDType), to: dtype)
    }
    return Enclosure.float(low: narrowed(low), high: narrowed(high), mayBeNaN: mayBeNaN).withUnsignedZero
  }

  static func product(_ elements: [Enclosure], _ dtype: DType, _ kept: Accumulation) -> Enclosure {
    var total = Enclosure.float(low: 1, high: 1, mayBeNaN: false)
    var (most, least) = (1.0, 1.0)
    var (isWhole, hasZero, mayBeNaN) = (true, false, false)
    for element in elements {
      guard case .float(let a, let b, let unsure) = element else { return element == .nan ? .nan : .unknown }
      if unsure { mayBeNaN = true }
      if a == 0 && b == 0 {
        hasZero = true
        continue
      }
      isWhole = isWhole && a == b && a == a.rounded()
      most *= max(1, a.magnitude, b.magnitude)
      least *= min(1, a.magnitude, b.magnitude)
      total = ScalarInstruction.multiply.enclosure([total, .float(low: a, high: b, mayBeNaN: false)], .f64)
    }
    if elements.contains(.nan) { return .nan }
    // Where a partial result may overflow or lose digits, the order decides.
    guard most < kept.largest, least > kept.leastNormal else { return .unknown }
    if hasZero { return .float(low: -0.0, high: 0.0, mayBeNaN: mayBeNaN) }
    guard case .float(let low, let high, let unsure) = total else { return .unknown }
    let isExact = isWhole && most <= 0.5 / kept.roundoff
    let magnitude = max(low.magnitude, high.magnitude)
    let error = isExact ? 0 : 1.01 * Double(elements.count + 1) * (kept.roundoff + 0x1p-53) * magnitude
    return rounded(low - error, high + error, mayBeNaN || unsure, dtype)
  }

  /// The product of two elements as a term of a sum: rounded or not, as machines like.
  static func term(_ a: Enclosure, _ b: Enclosure, _ dtype: DType) -> Enclosure {
    guard dtype.isFloating else { return ScalarInstruction.multiply.enclosure([a, b], dtype) }
    let wide = ScalarInstruction.multiply.enclosure([a, b], .f64)
    // What overflows the compute dtype overflows or not, depending on whether it is rounded before it is added.
    if a.isFinite, b.isFinite, case .float(let low, let high, _) = wide,
      !(max(low.magnitude, high.magnitude) < Accumulation(in: dtype.computeDType).largest)
    {
      return .unknown
    }
    // Of f64 the product itself is rounded, or is not.
    if dtype.computeDType == .f64, case .float(let low, let high, let unsure) = wide, low.isFinite, high.isFinite,
      !isExact(a, b, low)
    {
      return .float(low: low.nextDown, high: high.nextUp, mayBeNaN: unsure)
    }
    return wide
  }

  /// Two numbers whose product is `product` to the last bit.
  private static func isExact(_ a: Enclosure, _ b: Enclosure, _ product: Double) -> Bool {
    guard case .float(let x, let otherX, _) = a, case .float(let y, let otherY, _) = b, x == otherX, y == otherY else {
      return false
    }
    return x == 0 || y == 0 || (product.magnitude >= 0x1p-960 && (-product).addingProduct(x, y) == 0)
  }
}

extension Enclosure {
  fileprivate var isFinite: Bool {
    if case .float(let low, let high, _) = self { low.isFinite && high.isFinite } else { false }
  }
}

extension Double {
  /// The value of the lowest bit that is set; of a finite number that is not zero.
  fileprivate var lowestBit: Double {
    let shift = significandBitPattern.trailingZeroBitCount
    let exponent = isNormal ? exponent - 52 : -1074
    let trailing = significandBitPattern == 0 ? 52 : shift
    return Double(sign: .plus, exponent: exponent + min(trailing, 52), significand: 1)
  }
}

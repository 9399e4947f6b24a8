// What an element may be: the error model that says when two machines disagree and when they only rounded differently.
// Interval arithmetic on top of the reference semantics. Not a tolerance: where every correct machine gives the same bits,
// the interval is a point. Surprise: the ends are ordered with -0 below +0, so that one zero of known sign is a point too.
import Scalars
import TensorTypes

/// Values of one element that a correct machine may give.
package enum Enclosure: Sendable, Hashable {
  /// Integers and bool are known or not: nothing that rounds gives a neighbour.
  case integer(Int64)
  /// A float from `low` to `high`, and NaN if `mayBeNaN`.
  case float(low: Double, high: Double, mayBeNaN: Bool)
  case nan
  /// Anything: rounding decided a branch, an index or an overflow on the way here.
  case unknown

  package init(_ value: ScalarValue) {
    switch value {
    case .integer(let integer): self = .integer(integer)
    case .float(let x): self = x.isNaN ? .nan : .float(low: x, high: x, mayBeNaN: false)
    }
  }

  package func contains(_ value: ScalarValue) -> Bool {
    switch (self, value) {
    case (.unknown, _): true
    case (.integer(let known), .integer(let x)): known == x
    case (.nan, .float(let x)): x.isNaN
    case (.float(let low, let high, let mayBeNaN), .float(let x)):
      x.isNaN ? mayBeNaN : low.isNotAbove(x) && x.isNotAbove(high)
    case (.integer, .float), (.nan, .integer), (.float, .integer): false
    }
  }

  /// Whether a correct machine gives one value only, the zeros being one and the NaNs being one.
  var isExact: Bool {
    switch self {
    case .integer, .nan: true
    case .float(let low, let high, let mayBeNaN): low == high && !mayBeNaN
    case .unknown: false
    }
  }

  /// The same bits everywhere: not a NaN, and no zero of unknown sign.
  var isOneBitPattern: Bool {
    switch self {
    case .integer: true
    case .float(let low, let high, let mayBeNaN): low.bitPattern == high.bitPattern && !mayBeNaN
    case .nan, .unknown: false
    }
  }

  var mayBeNaN: Bool {
    switch self {
    case .integer: false
    case .float(_, _, let mayBeNaN): mayBeNaN
    case .nan, .unknown: true
    }
  }

  /// Values among which the extremes of a function are that is monotone in each operand.
  var corners: [ScalarValue]? {
    switch self {
    case .integer(let x): [.integer(x)]
    case .nan: [.float(.nan)]
    case .unknown: nil
    case .float(let low, let high, let mayBeNaN):
      (low.bitPattern == high.bitPattern ? [.float(low)] : [.float(low), .float(high)])
        + (mayBeNaN ? [.float(.nan)] : [])
    }
  }

  /// The smallest enclosure of both.
  func joined(_ other: Enclosure) -> Enclosure {
    switch (self, other) {
    case (.nan, .nan): return .nan
    case (.integer(let a), .integer(let b)): return a == b ? self : .unknown
    case (.float(let a, let b, _), .float(let c, let d, _)):
      return .float(
        low: a.isNotAbove(c) ? a : c, high: b.isNotAbove(d) ? d : b, mayBeNaN: mayBeNaN || other.mayBeNaN)
    case (.nan, .float(let low, let high, _)), (.float(let low, let high, _), .nan):
      return .float(low: low, high: high, mayBeNaN: true)
    case (.unknown, _), (_, .unknown), (.integer, _), (_, .integer): return .unknown
    }
  }

  /// The enclosure of `values`; of none, nothing is known.
  static func hull(_ values: some Sequence<ScalarValue>) -> Enclosure {
    var result: Enclosure?
    for value in values { result = result?.joined(Enclosure(value)) ?? Enclosure(value) }
    return result ?? .unknown
  }

  /// A zero at an end may have either sign.
  var withUnsignedZero: Enclosure {
    guard case .float(let low, let high, let mayBeNaN) = self else { return self }
    return .float(low: low == 0 ? -0.0 : low, high: high == 0 ? 0.0 : high, mayBeNaN: mayBeNaN)
  }

  /// Both ends moved outwards by `units` in the last place of `dtype`, but not across zero: no function below does that.
  func widened(_ units: Int, _ dtype: DType) -> Enclosure {
    guard case .float(var low, var high, let mayBeNaN) = self else { return self }
    for _ in 0..<units {
      if low != 0 { low = low.neighbour(below: true, dtype) }
      if high != 0 { high = high.neighbour(below: false, dtype) }
    }
    return .float(low: low, high: high, mayBeNaN: mayBeNaN)
  }
}

extension Enclosure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .integer(let x): "\(x)"
    case .nan: "nan"
    case .unknown: "anything"
    case .float(let low, let high, let mayBeNaN):
      (low.bitPattern == high.bitPattern ? "\(low)" : "\(low)...\(high)") + (mayBeNaN ? " or nan" : "")
    }
  }
}

extension Double {
  /// With -0 below +0. Neither is NaN.
  func isNotAbove(_ other: Double) -> Bool {
    self < other || self == other && (self != 0 || sign == .minus || other.sign == .plus)
  }

  /// The next value of `dtype`. Infinities stay, except that the largest number is next to them.
  func neighbour(below: Bool, _ dtype: DType) -> Double {
    switch dtype {
    case .f64: below ? nextDown : nextUp
    case .f32: Double(below ? Float(self).nextDown : Float(self).nextUp)
    case .f16, .bf16, .f8e4m3fn, .f8e5m2:
      // Narrow floats round from f32, so a unit of theirs is what their own rounding moves.
      ScalarReference.rounded(below ? self - halfUnit(dtype) : self + halfUnit(dtype), to: dtype)
    case .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: self
    }
  }

  private func halfUnit(_ dtype: DType) -> Double {
    let (digits, least): (Int, Double) =
      switch dtype {
      case .f16: (10, 0x1p-24)
      case .f8e4m3fn: (3, 0x1p-9)
      case .f8e5m2: (2, 0x1p-16)
      case .bf16, .f32, .f64, .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: (7, 0x1p-133)
      }
    guard isFinite else { return 0 }
    return Swift.max(Double(sign: .plus, exponent: exponent - digits, significand: 1), least)
  }
}

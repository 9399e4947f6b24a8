// The class of a launch: what the kernel was made for, and nothing else. Not the exact extents.
// Surprise: packed into six words; a launch that does not fit is refused, never truncated.
import TensorTypes

/// dtypes, ranks, extent classes and stride classes of all operands and destinations.
struct Signature: Hashable, Sendable {
  private var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
  private var bits = 0
  private(set) var overflows = false

  mutating func append(_ value: Int, bits count: Int) {
    // A field never straddles two words: the rest of a word that is too short stays empty.
    if bits % 64 + count > 64 { bits += 64 - bits % 64 }
    let shifted = UInt64(truncatingIfNeeded: value) << UInt64(bits % 64)
    switch bits / 64 {
    case 0: words.0 |= shifted
    case 1: words.1 |= shifted
    case 2: words.2 |= shifted
    case 3: words.3 |= shifted
    case 4: words.4 |= shifted
    case 5: words.5 |= shifted
    default: overflows = true
    }
    bits += count
  }

  mutating func append(_ view: TensorView, smallAxis: (Int) -> Bool) {
    append(Int(view.dtype.rawValue) << 4 | view.rank, bits: 9)
    var axis = view.rank - 1
    while axis >= 0 {
      let extentClass = ExtentClass(view.hints[axis], distinguishesSmall: smallAxis(axis))
      append(extentClass.rawValue | StrideClass(view, axis).rawValue << 2, bits: 4)
      axis -= 1
    }
  }

  mutating func append(scalar dtype: DType) { append(1 << 8 | Int(dtype.rawValue), bits: 9) }

  static func == (a: Signature, b: Signature) -> Bool { a.words == b.words && a.bits == b.bits }
  func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    if bits > 128 {
      hasher.combine(words.2)
      hasher.combine(words.3)
      hasher.combine(words.4)
      hasher.combine(words.5)
    }
  }
}

enum ExtentClass: Int {
  case one, general, small
  /// The largest extent that counts as small.
  static let smallBound = 8
  init(_ extent: Int, distinguishesSmall: Bool) {
    self = extent == 1 ? .one : distinguishesSmall && extent <= Self.smallBound ? .small : .general
  }
}

enum StrideClass: Int {
  /// The axis repeats one element.
  case zero
  case unit
  /// The next axis' stride times its extent: no gap between rows.
  case contiguous
  case arbitrary

  init(_ view: TensorView, _ axis: Int) {
    let stride = view.strides[axis]
    if view.hints[axis] == 1 || stride == 0 {
      self = .zero
    } else if stride == 1 {
      self = .unit
    } else if axis + 1 < view.rank, view.strides[axis + 1] != 0, view.hints[axis + 1] != 1,
      stride == view.strides[axis + 1] * view.hints[axis + 1]
    {
      self = .contiguous
    } else {
      self = .arbitrary
    }
  }
}

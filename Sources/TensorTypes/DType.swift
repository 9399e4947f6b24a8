// The element types and PyTorch's promotion between them.
// Not the Swift types that hold elements (Tensors' `Element`). Surprise: bool is one byte in memory, 0 or 1, and the
// 8-bit floats are only stored: nothing computes in them.
import Basics

/// The type of a tensor's elements.
public enum DType: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
  case bool, u8, i8, i16, i32, i64, f16, bf16, f32, f64
  case u16, u32, u64
  /// 8-bit floats, stored and converted only: four exponent bits without infinities (the largest is 448, which is also
  /// what larger numbers become), and five exponent bits as the upper half of f16.
  case f8e4m3fn, f8e5m2

  /// Bytes of one element in memory.
  public var size: Int {
    switch self {
    case .bool, .u8, .i8, .f8e4m3fn, .f8e5m2: 1
    case .i16, .u16, .f16, .bf16: 2
    case .i32, .u32, .f32: 4
    case .i64, .u64, .f64: 8
    }
  }

  public enum Category: Int, Sendable, Comparable {
    case bool, integer, floating
    public static func < (a: Category, b: Category) -> Bool { a.rawValue < b.rawValue }
  }

  public var category: Category {
    switch self {
    case .bool: .bool
    case .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: .integer
    case .f16, .bf16, .f32, .f64, .f8e4m3fn, .f8e5m2: .floating
    }
  }

  public var isFloating: Bool { category == .floating }
  public var isInteger: Bool { category == .integer }
  /// Whether elements may be negative.
  public var isSigned: Bool {
    switch self {
    case .bool, .u8, .u16, .u32, .u64: false
    case .i8, .i16, .i32, .i64, .f16, .bf16, .f32, .f64, .f8e4m3fn, .f8e5m2: true
    }
  }

  /// Whether elements can only be moved and converted, as PyTorch's 8-bit floats.
  public var isStorageOnly: Bool { self == .f8e4m3fn || self == .f8e5m2 }

  /// "f32"; the spelling of every text form.
  public var description: String {
    switch self {
    case .bool: "bool"
    case .u8: "u8"
    case .i8: "i8"
    case .i16: "i16"
    case .i32: "i32"
    case .i64: "i64"
    case .f16: "f16"
    case .bf16: "bf16"
    case .f32: "f32"
    case .f64: "f64"
    case .u16: "u16"
    case .u32: "u32"
    case .u64: "u64"
    case .f8e4m3fn: "f8e4m3fn"
    case .f8e5m2: "f8e5m2"
    }
  }

  public init?(_ name: some StringProtocol) {
    guard let match = Self.allCases.first(where: { $0.description == name }) else { return nil }
    self = match
  }

  /// The dtype in which arithmetic on elements of this dtype is done: narrow floats compute in f32.
  public var computeDType: DType { isFloating && size < 4 ? .f32 : self }

  /// Smallest and largest value of an integer dtype (bool counts as 0...1) as far as Int64 holds them: those of u64
  /// beyond are missing (see ``highestBits``). nil for floats.
  public var integerRange: ClosedRange<Int64>? {
    switch self {
    case .bool: 0...1
    case .u8: 0...255
    case .i8: -128...127
    case .i16: -32768...32767
    case .i32: Int64(Int32.min)...Int64(Int32.max)
    case .i64: Int64.min...Int64.max
    case .u16: 0...65535
    case .u32: 0...Int64(UInt32.max)
    case .u64: 0...Int64.max
    case .f16, .bf16, .f32, .f64, .f8e4m3fn, .f8e5m2: nil
    }
  }

  /// The largest value of an integer dtype as the bits of an Int64: of u64 all ones. nil for floats.
  public var highestBits: Int64? { self == .u64 ? -1 : integerRange?.upperBound }

  /// The dtype two tensors meet in, as PyTorch's `torch.promote_types`.
  ///
  /// - Throws: A `.dtype` ``Basics/Diagnostic`` where PyTorch has no such dtype: u16, u32 and u64 meet floats only, the
  ///   8-bit floats nothing but themselves.
  public func promoted(with other: DType) throws(Diagnostic) -> DType {
    if self == other { return self }
    if isStorageOnly || other.isStorageOnly {
      let stored = isStorageOnly ? self : other
      throw Diagnostic(
        .dtype, "\(self) and \(other) meet in no dtype: \(stored) is only stored",
        remedy: "convert it first: converted(to: .f32)")
    }
    let (low, high) = category <= other.category ? (self, other) : (other, self)
    if isWideUnsigned || other.isWideUnsigned {
      if low.category != high.category, high.isFloating { return high }
      throw Diagnostic(
        .dtype, "\(self) and \(other) meet in no dtype: u16, u32 and u64 are promoted to floats only",
        remedy: "convert one of them first, as converted(to: .i64)")
    }
    if low.category != high.category { return high }
    switch (low, high) {
    case (.u8, .i8), (.i8, .u8): return .i16
    case (.f16, .bf16), (.bf16, .f16): return .f32
    case (.u8, let wide), (let wide, .u8): return wide
    default: return low.size >= high.size ? low : high
    }
  }

  /// Refuses dtypes that are only stored.
  ///
  /// - Throws: A `.dtype` ``Basics/Diagnostic`` that names the operation and says to convert.
  package func requireArithmetic(_ operation: @autoclosure () -> String) throws(Diagnostic) {
    guard isStorageOnly else { return }
    throw Diagnostic(
      .dtype, "\(operation()): \(self) is only stored, nothing computes in it",
      remedy: "convert it first: converted(to: .f32)")
  }

  private var isWideUnsigned: Bool { self == .u16 || self == .u32 || self == .u64 }

  /// The dtype a tensor of this dtype meets a Swift scalar of `category` in: a scalar only lifts the category.
  public func promoted(withScalar category: Category) -> DType {
    if category <= self.category { return self }
    return category == .floating ? .f32 : .i64
  }

  /// What true division and float-only functions of this dtype return.
  public var floatingResult: DType { isFloating ? self : .f32 }
}

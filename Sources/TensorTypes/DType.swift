// The ten element types and PyTorch's promotion between them.
// Not the Swift types that hold elements (Tensors' `Element`). Surprise: bool is one byte in memory, 0 or 1.

/// The type of a tensor's elements.
public enum DType: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
  case bool, u8, i8, i16, i32, i64, f16, bf16, f32, f64

  /// Bytes of one element in memory.
  public var size: Int {
    switch self {
    case .bool, .u8, .i8: 1
    case .i16, .f16, .bf16: 2
    case .i32, .f32: 4
    case .i64, .f64: 8
    }
  }

  public enum Category: Int, Sendable, Comparable {
    case bool, integer, floating
    public static func < (a: Category, b: Category) -> Bool { a.rawValue < b.rawValue }
  }

  public var category: Category {
    switch self {
    case .bool: .bool
    case .u8, .i8, .i16, .i32, .i64: .integer
    case .f16, .bf16, .f32, .f64: .floating
    }
  }

  public var isFloating: Bool { category == .floating }
  public var isInteger: Bool { category == .integer }
  public var isSigned: Bool { self != .bool && self != .u8 }

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
    }
  }

  public init?(_ name: some StringProtocol) {
    guard let match = Self.allCases.first(where: { $0.description == name }) else { return nil }
    self = match
  }

  /// The dtype in which arithmetic on elements of this dtype is done: half floats compute in f32.
  public var computeDType: DType { self == .f16 || self == .bf16 ? .f32 : self }

  /// Smallest and largest value of an integer dtype (bool counts as 0...1); nil for floats.
  public var integerRange: ClosedRange<Int64>? {
    switch self {
    case .bool: 0...1
    case .u8: 0...255
    case .i8: -128...127
    case .i16: -32768...32767
    case .i32: Int64(Int32.min)...Int64(Int32.max)
    case .i64: Int64.min...Int64.max
    case .f16, .bf16, .f32, .f64: nil
    }
  }

  /// The dtype two tensors meet in, as PyTorch's `torch.promote_types`.
  public func promoted(with other: DType) -> DType {
    if self == other { return self }
    let (low, high) = category <= other.category ? (self, other) : (other, self)
    if low.category != high.category { return high }
    switch (low, high) {
    case (.u8, .i8), (.i8, .u8): return .i16
    case (.f16, .bf16), (.bf16, .f16): return .f32
    case (.u8, let wide), (let wide, .u8): return wide
    default: return low.size >= high.size ? low : high
    }
  }

  /// The dtype a tensor of this dtype meets a Swift scalar of `category` in: a scalar only lifts the category.
  public func promoted(withScalar category: Category) -> DType {
    if category <= self.category { return self }
    return category == .floating ? .f32 : .i64
  }

  /// What true division and float-only functions of this dtype return.
  public var floatingResult: DType { isFloating ? self : .f32 }
}

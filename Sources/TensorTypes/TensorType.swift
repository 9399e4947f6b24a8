// Shapes and the type of a tensor value in the IRs. Not the user's `Tensor`.

/// The extents of a value, outermost axis first.
public struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
  public var dims: [Dim]
  public init(_ dims: [Dim]) { self.dims = dims }
  public init(_ extents: [Int]) { dims = extents.map { Dim($0) } }
  public init(arrayLiteral elements: Dim...) { dims = elements }

  public var rank: Int { dims.count }
  public subscript(axis: Int) -> Dim {
    get { dims[axis] }
    set { dims[axis] = newValue }
  }
  public var elementCount: Dim { dims.reduce(1, *) }
  /// All extents as numbers; nil if one is symbolic.
  public var knownExtents: [Int]? {
    var extents: [Int] = []
    for dim in dims {
      guard let value = dim.knownValue else { return nil }
      extents.append(value)
    }
    return extents
  }
  /// Strides, in elements, of the row-major layout.
  public var contiguousStrides: [Dim] {
    var strides = [Dim](repeating: 1, count: rank)
    for axis in stride(from: rank - 2, through: 0, by: -1) { strides[axis] = strides[axis + 1] * dims[axis + 1] }
    return strides
  }
  /// "[2, s0]".
  public var description: String { "[" + dims.map(\.description).joined(separator: ", ") + "]" }
}

/// dtype and shape: "f32[2, s0]".
public struct TensorType: Sendable, Hashable, CustomStringConvertible {
  public var dtype: DType
  public var shape: Shape
  public init(_ dtype: DType, _ shape: Shape) {
    self.dtype = dtype
    self.shape = shape
  }
  public var description: String { "\(dtype)\(shape)" }
}

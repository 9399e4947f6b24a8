// A strided window on a storage: what the engine launches on. Not the user's Tensor, which adds failure and value semantics.
// Surprise: the offset is in bytes, strides are in elements; an expanded axis has stride 0.
import Execution
import Scalars
import TensorTypes

package struct TensorView: Sendable {
  /// Not for other modules: a view that were made anew of another one's storage would lose its path, and whoever read it
  /// would read memory that is not there. Views are made from views, by changing a copy.
  var storage: Storage
  /// Bytes from the storage's base to the first element.
  package var offset: Int
  package var dtype: DType
  /// The sizes at hand, without a word to a capture: for memory, for shapes of results, for messages, for what is not
  /// captured. A number that decides or goes into a graph is read by `extents`, or asked of `dims`.
  @usableFromInline package var hints: [Int]
  /// Elements between neighbours on each axis.
  package var strides: [Int]
  /// How the elements are reached from a value that somebody records; nil: nobody does.
  @usableFromInline package var path: ViewPath?
  /// False while a function is captured: nothing can be read, and the strides say nothing.
  package private(set) var hasMemory = true

  /// The sizes as numbers. While a function is captured, reading those that are symbols is a guard: the plan serves
  /// the sizes that were captured, and no others.
  @inlinable package var extents: [Int] {
    get {
      path?.readSizes()
      return hints
    }
    set { hints = newValue }
  }

  /// One of `extents`.
  @inlinable package func extent(_ axis: Int) -> Int {
    path?.readSize(axis)
    return hints[axis]
  }

  package init(_ storage: Storage, offset: Int = 0, _ dtype: DType, extents: [Int], strides: [Int]? = nil) {
    self.storage = storage
    self.offset = offset
    self.dtype = dtype
    self.hints = extents
    self.strides = strides ?? Self.contiguousStrides(extents)
  }

  /// A view of a capture, at the sizes at hand. It has a storage of its own, so that who holds it alone may write.
  init(path: ViewPath, _ dtype: DType, extents: [Int]) {
    self.init(Storage(borrowing: UnsafeRawBufferPointer(start: nil, count: 0), owner: path), dtype, extents: extents)
    self.path = path
    hasMemory = false
  }

  /// The elements that `path` leads to.
  package init(reading path: ViewPath, _ dtype: DType) {
    self.init(path: path, dtype, extents: path.cell.trace.sizes(of: path))
  }

  /// The extents as the user sees them: symbolic where a capture does not know them.
  package var dims: [Dim] {
    guard !hasMemory, let path else { return hints.map { Dim($0) } }
    return zip(path.dims, hints).map { $0.isKnown(1) ? Dim($1) : $0 }
  }

  /// The extent of one axis. While a function is captured it is asked of the capture: who needs several takes `dims`.
  @inlinable package func dim(_ axis: Int) -> Dim {
    guard let dim = path?.dims[axis], !dim.isKnown(1) else { return Dim(hints[axis]) }
    return dim
  }

  /// Equal for the same elements of the same memory, as long as somebody holds the storage.
  struct Identity: Hashable, Sendable {
    private let storage: ObjectIdentifier
    private let offset: Int
    private let dtype: DType
    private let extents: [Int]
    private let strides: [Int]

    init(_ view: TensorView) {
      (storage, offset, dtype) = (ObjectIdentifier(view.storage), view.offset, view.dtype)
      (extents, strides) = (view.hints, view.strides)
    }
  }

  /// Writing to one of the two shows in the other.
  package func sharesMemory(with other: TensorView) -> Bool { storage === other.storage }
  /// Equal for views of one memory.
  package var memory: ObjectIdentifier { ObjectIdentifier(storage) }
  /// Nobody else holds the memory.
  package mutating func holdsMemoryAlone() -> Bool { isKnownUniquelyReferenced(&storage) }

  @inline(__always) package var rank: Int { hints.count }
  /// A number like `extents`: a guard where those are. Whoever makes extents asks `CheckedSize`: their product is an Int.
  package var elementCount: Int {
    path?.readSizes()
    // Every launch asks, of every operand.
    return hints.withUnsafeBufferPointer { extents in extents.reduce(1, *) }
  }
  package var base: UnsafeMutableRawPointer { storage.address + offset }

  package static func contiguousStrides(_ extents: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: extents.count)
    var axis = extents.count - 2
    while axis >= 0 {
      strides[axis] = strides[axis + 1] * max(extents[axis + 1], 1)
      axis -= 1
    }
    return strides
  }

  /// Row-major without gaps; axes of extent 1 may have any stride.
  package var isContiguous: Bool {
    // Every new tensor asks.
    hints.withUnsafeBufferPointer { extents in
      strides.withUnsafeBufferPointer { strides in
        var expected = 1
        var axis = extents.count - 1
        while axis >= 0 {
          if extents[axis] != 1 {
            if strides[axis] != expected { return false }
            expected *= extents[axis]
          }
          axis -= 1
        }
        return true
      }
    }
  }
}

/// What a launch reads: a tensor, or an element handed over as a launch argument.
package enum Operand: Sendable {
  case tensor(TensorView)
  case scalar(ScalarOperand)
}

/// A Swift number beside tensors, already in the dtype the program computes in.
package struct ScalarOperand: Sendable {
  package var dtype: DType
  /// The element's bits in the low bytes.
  package var bits: Int64
  /// While a function is captured: the extents that the number comes from, so that it does not become a constant.
  package var count: SymbolicCount?
  package init(_ dtype: DType, bits: Int64, count: SymbolicCount? = nil) {
    self.dtype = dtype
    self.bits = bits
    self.count = count
  }

  /// The element.
  var constant: ScalarConstant {
    switch ScalarReference.value(bits: UInt64(bitPattern: bits), dtype) {
    case .float(let number): ScalarConstant(dtype, number)
    case .integer(let number): ScalarConstant(dtype, integer: number)
    }
  }
}

/// `dim + offset`, as a number beside tensors.
package final class SymbolicCount: Sendable {
  let dim: Dim
  let offset: Double
  /// How it promotes: as a mean's divisor, or as a position.
  package let category: DType.Category
  package init(_ dim: Dim, offset: Double = 0, category: DType.Category = .floating) {
    self.dim = dim
    self.offset = offset
    self.category = category
  }
}

/// Where a launch writes: memory of its own, or a window of a tensor that the caller holds alone.
package enum Destination: Sendable {
  case fresh(DType, [Int])
  case existing(TensorView)

  package var dtype: DType {
    switch self {
    case .fresh(let dtype, _): dtype
    case .existing(let view): view.dtype
    }
  }
}

// What a plan was made for: the leaves of its arguments, and which of their extents may vary.
// Not the guards on answers (DimGuard), which come from running the function. Surprise: there is no identity of tensors
// in it, so one plan serves every model of a structure.
import Basics
import Engine
import GraphIR
import Tensors
import TensorTypes

/// One leaf as a plan expects it.
enum LeafSignature: Sendable, Hashable {
  case tensor(DType, [ExtentSignature])
  /// A `Dim` argument: always a symbol.
  case dim(symbol: Int)
  case value(PlainValue)
  case count(Int)
}

enum ExtentSignature: Sendable, Hashable {
  case fixed(Int)
  case symbol(Int)
}

/// The leaves of all arguments, the state's first.
struct CallSignature: Sendable, Hashable {
  var leaves: [LeafSignature] = []
  /// Where symbol i is read.
  var symbols: [SymbolSource] = []

  enum SymbolSource: Sendable, Hashable {
    case extent(leaf: Int, axis: Int)
    case dim(leaf: Int)
  }

  /// Why a leaf does not fit.
  enum Mismatch: Sendable, Hashable {
    case structure
    case dtype(leaf: Int)
    case extent(leaf: Int, axis: Int)
    case value(leaf: Int)
  }

  /// The exact signature of `leaves`; extents in `dynamic` become symbols, unless they are 0 or 1.
  init(_ leaves: ContiguousArray<Leaf>, dynamic: Set<DynamicExtent>) throws(Diagnostic) {
    for (i, leaf) in leaves.enumerated() {
      switch leaf {
      case .tensor(let tensor):
        let view = try tensor.view
        var extents: [ExtentSignature] = []
        for (axis, extent) in view.extents.enumerated() {
          if extent > 1, dynamic.contains(DynamicExtent(leaf: i, axis: axis)) {
            extents.append(.symbol(symbols.count))
            symbols.append(.extent(leaf: i, axis: axis))
          } else {
            extents.append(.fixed(extent))
          }
        }
        self.leaves.append(.tensor(view.dtype, extents))
      case .dim(let dim):
        _ = try dim.value
        self.leaves.append(.dim(symbol: symbols.count))
        symbols.append(.dim(leaf: i))
      case .value(let value): self.leaves.append(.value(value))
      case .count(let count): self.leaves.append(.count(count))
      }
    }
  }

  /// The type of tensor leaf `i`.
  func type(_ i: Int) -> TensorType? {
    guard case .tensor(let dtype, let extents) = leaves[i] else { return nil }
    return TensorType(
      dtype,
      Shape(
        extents.map { extent in
          switch extent {
          case .fixed(let number): Dim(number)
          case .symbol(let id): Dim.symbol(id)
          }
        }))
  }

  /// nil: the leaves fit.
  func mismatch(_ given: ContiguousArray<Leaf>) -> Mismatch? {
    guard given.count == leaves.count else { return .structure }
    for i in leaves.indices {
      switch (leaves[i], given[i]) {
      case (.tensor(let dtype, let extents), .tensor(let tensor)):
        // Members one by one: a copy of the view would be counted in and out again.
        let body = tensor.body
        guard body.view.extents.count == extents.count else { return .structure }
        if body.view.dtype != dtype { return .dtype(leaf: i) }
        for axis in extents.indices {
          let given = body.view.extents[axis]
          switch extents[axis] {
          case .fixed(let extent): if given != extent { return .extent(leaf: i, axis: axis) }
          // 0 and 1 have plans of their own: they change what broadcasting and reductions mean.
          case .symbol: if given < 2 { return .extent(leaf: i, axis: axis) }
          }
        }
      case (.dim, .dim): break
      case (.value(let a), .value(let b)): if a != b { return .value(leaf: i) }
      case (.count(let a), .count(let b)): if a != b { return .structure }
      default: return .structure
      }
    }
    return nil
  }

  /// The values of the symbols.
  func values(_ given: ContiguousArray<Leaf>) throws(Diagnostic) -> [Int] {
    var values: [Int] = []
    values.reserveCapacity(symbols.count)
    for source in symbols {
      switch source {
      case .extent(let leaf, let axis):
        guard case .tensor(let tensor) = given[leaf] else { continue }
        values.append(tensor.body.view.extents[axis])
      case .dim(let leaf):
        guard case .dim(let dim) = given[leaf] else { continue }
        values.append(try dim.value)
      }
    }
    return values
  }
}

/// An extent that took more than one value.
struct DynamicExtent: Sendable, Hashable {
  var leaf: Int
  var axis: Int
}

// What kinds of operation there are, for whoever does not ask for one of them: most code below does something for a few
// operations and one thing for all others. Not their details, which are the payloads of `TileOperation`.
// Surprise: a new operation says here what it is, and analyses that know nothing of it are told the careful answer by kind.
import TensorTypes

extension TileOperation {
  package enum Kind: Sendable, Hashable, CaseIterable {
    /// An index value: where this instance is, a launch's argument, a number, arithmetic on those.
    case index
    /// A tile made of nothing but its elements' places: computed anywhere, at no cost.
    case source
    case load
    /// No value.
    case store
    /// Each element of the result from the elements at its place.
    case elementwise
    /// The operand's elements at other places.
    case movement
    /// Elements of the result from many of the operand, along axes.
    case across
    /// Products of two tiles added to a third.
    case product
    /// A loop, and what stands for values of one.
    case control
  }

  package var kind: Kind {
    switch self {
    case .programID, .argument, .index, .indexBinary: .index
    case .splat, .splatArgument, .coordinates: .source
    case .load: .load
    case .store: .store
    case .map, .convert, .bitcast: .elementwise
    case .broadcast, .transpose: .movement
    case .reduce, .argReduce, .scan, .argScan, .sortOrder: .across
    case .dot: .product
    case .loop, .result, .regionArgument: .control
    }
  }
}

extension TileOperation.Kind {
  /// An element follows from few others, so that it may be computed where it is needed.
  package var isPointwise: Bool {
    switch self {
    case .source, .load, .elementwise, .movement: true
    case .index, .store, .across, .product, .control: false
    }
  }
}

/// How an index value comes about.
package enum IndexForm: Sendable, Hashable {
  case constant(Int)
  case argument(Int)
  case programID(axis: Int)
  /// A loop's counter.
  case counter
  case binary(DimOperation, TileValue, TileValue)
}

extension TileNode {
  /// nil: a tile, or no value.
  package var indexForm: IndexForm? {
    switch operation {
    case .index(let constant): .constant(constant)
    case .argument(let i): .argument(i)
    case .programID(let axis): .programID(axis: axis)
    case .regionArgument where dtype == nil: .counter
    case .indexBinary(let operation, let a, let b): .binary(operation, a, b)
    default: nil
    }
  }
}

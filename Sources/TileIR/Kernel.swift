// TileIR: kernels as values, for people's kernels and the compiler's alike. One arena of nodes; a value is an Int32.
// Nothing here knows a machine: no layouts on tiles, no vector widths, no threads.
// Surprise: an extent may be an index value ("the whole row"), and nothing broadcasts implicitly.
//
// A kernel is a list of phases with a barrier between them, unless one is *beside* the one before. A phase is a grid of independent program instances; each
// runs the phase's region on *index values* (64-bit integers: program ids, launch arguments, loop counters) and *tiles*
// (rectangular blocks of elements of one dtype). Memory is reached only through `load` and `store` on buffers, whose
// axes each have an extent and a stride. Floats follow IEEE 754 with the default rounding; NaN payloads are unspecified.
import Scalars
import TensorTypes

/// A value of a kernel: an index into its arena.
package struct TileValue: Sendable, Hashable {
  package var id: Int32
  package init(_ id: Int) { self.id = Int32(id) }
}

/// The extent of a tile's axis: a constant, or an index value known when the instance starts.
package enum Extent: Sendable, Hashable {
  case constant(Int)
  case value(TileValue)
}

/// The coordinate of an access on one axis of a buffer: `start + scale * t[tileAxis] + indirect[...]`.
package struct AxisMap: Sendable, Hashable {
  /// An index value.
  package var start: TileValue
  /// The tile axis that walks this buffer axis; nil: the coordinate is the same for the whole tile.
  package var tileAxis: Int?
  package var scale: Int
  /// Compared with the buffer's extent: outside it a load gives the fill and a store does nothing.
  /// Unguarded coordinates are promised to be inside, or, in loads, 0 on an axis of stride 0, whose one element is there also
  /// where it is repeated no times.
  package var guarded: Bool
  /// A tile of i64 added to the coordinate (gather, scatter); its extents equal the tile's or are 1.
  /// Always checked, hence without a guard: an index outside the extent sets the launch's fault word and accesses nothing
  /// (a load gives the fill). Elements that another axis's guard excludes are not checked.
  /// A negative index is such a fault: wrapping is done by whoever makes the index.
  package var indirect: TileValue?

  package init(
    _ start: TileValue, tileAxis: Int? = nil, scale: Int = 1, guarded: Bool = false, indirect: TileValue? = nil
  ) {
    self.start = start
    self.tileAxis = tileAxis
    self.scale = scale
    self.guarded = guarded
    self.indirect = indirect
  }
}

/// Which elements of a buffer a load or store touches. One map per buffer axis.
/// A tile axis in no map repeats the same elements (a bias row), a tile axis may walk several buffer axes (a diagonal).
package struct Access: Sendable, Hashable {
  package var buffer: Int
  package var axes: [AxisMap]
  /// Reads `dtype` elements from a buffer of u8, starting at the addressed byte (headers of packed blocks); may be unaligned.
  package var reinterpreted: DType?
  package init(_ buffer: Int, _ axes: [AxisMap], reinterpreted: DType? = nil) {
    self.buffer = buffer
    self.axes = axes
    self.reinterpreted = reinterpreted
  }
}

package enum StoreMode: Sendable, Hashable {
  case plain
  /// The output will not be read soon: where the target can, it bypasses the caches if it exceeds the last of them.
  case streaming
  /// Combines with what is there. Element order: ascending tile coordinates, row-major, within an instance; a phase
  /// whose instances may meet in one element runs on a grid of one, or on a backend with atomics.
  case accumulate(Monoid)
}

/// Operations in execution order, with arguments (loop counter, carried tiles) and yields.
package struct Region: Sendable, Hashable {
  package var arguments: [TileValue]
  package var operations: [TileValue]
  package var yields: [TileValue]
  package init(arguments: [TileValue] = [], operations: [TileValue] = [], yields: [TileValue] = []) {
    self.arguments = arguments
    self.operations = operations
    self.yields = yields
  }
}

/// What a node does. Index operations have no dtype and no shape; tile operations have both.
package enum TileOperation: Sendable, Hashable {
  // Index values
  /// Coordinate of this instance in the phase's grid. Axis 0 runs fastest.
  case programID(Int)
  /// Launch argument `i` of the kernel, a 64-bit integer: an extent, a stride, an offset.
  case argument(Int)
  case index(Int)
  case indexBinary(DimOperation, TileValue, TileValue)
  // Tiles without operands
  case splat(ScalarConstant)
  /// Launch argument `i` of the kernel as an element of the node's dtype (its bits in the low bytes), in every place.
  case splatArgument(Int)
  /// i64: `start + scale * t[axis]`; axis nil: `start` everywhere.
  case coordinates(start: TileValue, axis: Int?, scale: Int)
  // Memory
  case load(Access, fill: ScalarConstant)
  /// No value. No two instances of a phase write one element, except by `accumulate`.
  case store(Access, TileValue, StoreMode)
  // Elements
  /// Operands of one shape; the dtype follows `ScalarInstruction.resultDType`.
  case map(ScalarInstruction, [TileValue])
  /// To the node's dtype, as `ScalarExpr.convert` defines it.
  case convert(TileValue)
  case bitcast(TileValue)
  // Shape
  /// Extent 1 to the node's extent, on any axes.
  case broadcast(TileValue)
  /// Axis i of the result is axis `permutation[i]` of the operand.
  case transpose(TileValue, permutation: [Int])
  // Across elements. Reduced axes keep extent 1.
  /// Order of combination is fixed by the kernel and the target's vector width, never by the number of threads.
  case reduce(Monoid, axes: [Int], TileValue)
  /// i64 position, on `axis`, of the first maximum or minimum; a NaN counts as the winner.
  case argReduce(ArgMonoid, axis: Int, TileValue)
  /// Inclusive, ascending on `axis`.
  case scan(Monoid, axis: Int, TileValue)
  /// i64: the position of the running maximum or minimum (the last among equals, as torch.cummax).
  case argScan(ArgMonoid, axis: Int, TileValue)
  /// i64: stable sort order on `axis`; NaN is the largest.
  case sortOrder(axis: Int, descending: Bool, TileValue)
  /// `[.., m, n] += [.., m, k] . [.., k, n]` on the last two axes (leading axes have extent 1); the node's dtype is the accumulator's,
  /// operands are converted to it element by element unless the target has a wider-accumulating dot. The products are
  /// added up from 0 and then to the accumulator: dots of a long inner extent in slices are a blocked sum.
  case dot(accumulator: TileValue, TileValue, TileValue)
  // Control
  /// `region.arguments` = [counter] + carried; runs `count` times; yields become the next carried values.
  case loop(count: TileValue, initial: [TileValue], Region)
  /// The i-th final carried value of a loop.
  case result(TileValue, Int)
  /// A region's argument.
  case regionArgument
}

package struct TileNode: Sendable, Hashable {
  package var operation: TileOperation
  /// nil: an index value, or no value.
  package var dtype: DType?
  package var shape: [Extent]
}

/// Where a buffer's elements are. Strides are index values, in elements.
package enum BufferLayout: Sendable, Hashable {
  /// A launch's buffer: one stride per axis; the constant 0 repeats an element, the constant 1 promises unit stride.
  case strided([TileValue])
  /// Kernel scratch, row-major, rows padded by `pad` elements.
  case rowMajor(pad: Int)
  /// Kernel scratch in column panels: the last axis c is split, element (.., r, c) at `(.., c / width, r, c mod width)`,
  /// each panel row padded by `pad`. Columns behind the extent are padding: stores may write them up to the end of the last
  /// panel, loads may name them without a guard and give unspecified elements. Only the last panel's exist in memory: a
  /// code generator need not evaluate columns that no store keeps.
  case panels(width: Int, pad: Int)
}

package struct Buffer: Sendable, Hashable {
  package enum Role: String, Sendable, Hashable { case input, output, scratch }
  package var name: String
  package var dtype: DType
  /// Index values.
  package var shape: [TileValue]
  package var layout: BufferLayout
  package var role: Role
}

/// A grid of independent instances. Extents are index values over launch arguments and constants only.
package struct Phase: Sendable, Hashable {
  package var grid: [TileValue]
  package var body: Region
  /// No barrier to the phase before: the instances of both are independent, as if they were one grid.
  package var isBeside: Bool
  package init(grid: [TileValue], body: Region, isBeside: Bool = false) {
    self.grid = grid
    self.body = body
    self.isBeside = isBeside
  }
}

/// Phases, their buffers and arguments. Launch buffers (inputs and outputs) are numbered before scratch.
package struct Kernel: Sendable, Hashable {
  package var name: String
  package internal(set) var nodes: [TileNode] = []
  package internal(set) var buffers: [Buffer] = []
  /// Names of launch arguments, for text and messages.
  package internal(set) var arguments: [String] = []
  package internal(set) var phases: [Phase] = []

  package init(name: String) { self.name = name }

  package subscript(value: TileValue) -> TileNode { nodes[Int(value.id)] }
}

extension TileOperation {
  /// Tile and index operands, in order; regions' yields are operands of their loop.
  package var operands: [TileValue] {
    func accessed(_ access: Access) -> [TileValue] {
      access.axes.flatMap { axis in axis.indirect.map { [axis.start, $0] } ?? [axis.start] }
    }
    switch self {
    case .programID, .argument, .index, .splat, .splatArgument, .regionArgument: return []
    case .indexBinary(_, let a, let b): return [a, b]
    case .coordinates(let start, _, _): return [start]
    case .load(let access, _): return accessed(access)
    case .store(let access, let value, _): return accessed(access) + [value]
    case .map(_, let values): return values
    case .convert(let a), .bitcast(let a), .broadcast(let a), .transpose(let a, _), .reduce(_, _, let a),
      .argReduce(_, _, let a), .scan(_, _, let a), .argScan(_, _, let a), .sortOrder(_, _, let a), .result(let a, _):
      return [a]
    case .dot(let accumulator, let a, let b): return [accumulator, a, b]
    case .loop(let count, let initial, let region): return [count] + initial + region.yields
    }
  }
}

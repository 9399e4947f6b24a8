// The primitives: the closed vocabulary that capture, differentiation and fusion speak. About 85.
// Not the users' surface (composites on Tensor), and no record: those are in the rooms of the families, to which each case
// leads here.
// Surprise: primitives never broadcast and never promote; `Tensors` inserts `broadcast` and `convert` first.
import Basics
import Scalars
import TensorTypes

package enum Primitive: Sendable, Hashable {
  // MARK: Leaves
  /// Launch tensor `i`.
  case parameter(Int)
  /// The element in launch argument slot `i` (its bits in the low bytes), 0-d.
  case scalar(argument: Int)
  /// 0-d.
  case constant(ScalarConstant)
  /// i64: the coordinate on `axis`; the node's type gives the shape.
  case iota(axis: Int, Shape)

  // MARK: Pointwise
  /// An operation that its record describes: the static members, in `Pointwise+Unary` and `Pointwise+Binary`.
  case pointwise(Pointwise)
  case convert(DType)
  /// The same bits as a dtype of equal size.
  case bitcast(DType)
  /// Word `word` (0..<4) of Philox4x32-10 for (i64 counter, i64 key), as i64 in 0..<2^32.
  case philox(word: Int)

  // MARK: Reindexing: the same elements elsewhere
  /// To `shape`: axes are aligned at the right; extent 1 and missing axes repeat.
  case broadcast(Shape)
  case reshape(Shape)
  /// Axis i of the result is axis `permutation[i]` of the operand.
  case permute([Int])
  /// Elements start, start + step, ... (`count` of them) on each axis; a negative step walks back.
  case slice(starts: [Dim], counts: [Dim], steps: [Int])
  /// `low` and `high` (not negative) elements of the second operand (0-d) around each axis.
  case pad(low: [Dim], high: [Dim])
  case concatenate(axis: Int)
  /// Appends an axis of extent `size`: result[.., i, .., j] = x[.., i * step + j * dilation, ..]; `axis` counts windows.
  case windows(axis: Int, size: Int, step: Int, dilation: Int)

  // MARK: Across elements
  /// Reduced axes are dropped. Floats accumulate in the compute dtype, sums of integers in the operand's dtype.
  case reduce(Monoid, axes: [Int])
  /// i64; the first position; NaN wins.
  case argReduce(ArgMonoid, axis: Int)
  case scan(Monoid, axis: Int)
  /// i64: the last position among equals, as `torch.cummax`; NaN wins.
  case argScan(ArgMonoid, axis: Int)
  /// i64; stable; NaN is the largest.
  case sortOrder(axis: Int, descending: Bool)
  /// Sum of products over `contracted` axes. Result axes: batch, free of the left, free of the right; in operand order.
  case contraction(ContractionAxes)
  /// (x, indices: i64): result[.., k, ..] = x[.., indices[.., k, ..], ..]. Other extents are equal; an index outside
  /// faults.
  case gather(axis: Int)
  /// (base, indices: i64, updates): base with updates at indices on `axis`. nil replaces (the last one wins).
  case scatter(axis: Int, combine: Monoid?)
  /// (base, update): base with the elements start, start + step, ... on each axis replaced by the update's. A range write:
  /// what a cache or a slice assignment is made of; its bytes are the update's where the base may be overwritten.
  case assign(starts: [Dim], steps: [Int])

  // MARK: Doors
  /// A subgraph with the operands as its parameters and one result.
  /// One result of a graph that stands for its own: other results are calls with the same operands.
  case call(GraphReference, output: Int)
}

extension Primitive {
  /// The record of this primitive. A look-up in static tables: it allocates nothing.
  package var definition: PrimitiveDefinition { entry.definition }

  /// What the primitive carries beside its operands.
  package var payload: Payload { entry.payload }

  package var name: String { entry.definition.name }

  /// The record and the payload. A new primitive that is no pointwise operation is a case, a line in both directions here,
  /// and in the room of its family a record and a sample.
  package var entry: (definition: PrimitiveDefinition, payload: Payload) {
    switch self {
    case .parameter(let index): (Leaves.parameter, .number(index))
    case .scalar(let argument): (Leaves.scalar, .number(argument))
    case .constant(let constant): (Leaves.constant, .constant(constant))
    case .iota(let axis, let shape): (Leaves.iota, .iota(axis: axis, shape))

    case .pointwise(let operation): (operation.definition, .none)
    case .convert(let dtype): (Conversions.convert[Int(dtype.rawValue)], .dtype(dtype))
    case .bitcast(let dtype): (Conversions.bitcast[Int(dtype.rawValue)], .dtype(dtype))
    case .philox(let word): (Philox.philox[Swift.max(0, Swift.min(3, word))], .number(word))

    case .broadcast(let shape): (Reindexing.broadcast, .repeated(shape))
    case .reshape(let shape): (Reindexing.reshape, .shape(shape))
    case .permute(let permutation): (Reindexing.permute, .permutation(permutation))
    case .slice(let starts, let counts, let steps):
      (Reindexing.slice, .slice(starts: starts, counts: counts, steps: steps))
    case .pad(let low, let high): (Reindexing.pad, .pad(low: low, high: high))
    case .concatenate(let axis): (Reindexing.concatenate, .axis(axis))
    case .windows(let axis, let size, let step, let dilation):
      (Reindexing.windows, .windows(axis: axis, size: size, step: step, dilation: dilation))

    case .reduce(let monoid, let axes): (Rows.reduce(monoid), .reduce(monoid, axes: axes))
    case .argReduce(let monoid, let axis): (Rows.argReduce(monoid), .argAxis(monoid, axis: axis))
    case .scan(let monoid, let axis): (Rows.scan(monoid), .scan(monoid, axis: axis))
    case .argScan(let monoid, let axis): (Rows.argScan(monoid), .argAxis(monoid, axis: axis))
    case .sortOrder(let axis, let descending): (Rows.sortOrder, .sort(axis: axis, descending: descending))
    case .contraction(let axes): (Products.contraction, .contraction(axes))
    case .gather(let axis): (Indexed.gather, .axis(axis))
    case .scatter(let axis, let combine): (Indexed.scatter(combine), .scatter(axis: axis, combine: combine))
    case .assign(let starts, let steps): (Indexed.assign, .assign(starts: starts, steps: steps))
    case .call(let graph, let output): (Calls.call, .graph(graph, output: output))
    }
  }

  /// The primitive of this name with another payload; nil for a payload of another kind.
  package func with(_ payload: Payload) -> Primitive? {
    switch (self, payload) {
    case (.parameter, .number(let index)): .parameter(index)
    case (.scalar, .number(let argument)): .scalar(argument: argument)
    case (.constant, .constant(let constant)): .constant(constant)
    case (.iota, .iota(let axis, let shape)): .iota(axis: axis, shape)
    case (.pointwise, .none): self
    case (.convert, .dtype(let dtype)): .convert(dtype)
    case (.bitcast, .dtype(let dtype)): .bitcast(dtype)
    case (.philox, .number(let word)): .philox(word: word)
    case (.broadcast, .repeated(let shape)): .broadcast(shape)
    case (.reshape, .shape(let shape)): .reshape(shape)
    case (.permute, .permutation(let permutation)): .permute(permutation)
    case (.slice, .slice(let starts, let counts, let steps)): .slice(starts: starts, counts: counts, steps: steps)
    case (.pad, .pad(let low, let high)): .pad(low: low, high: high)
    case (.concatenate, .axis(let axis)): .concatenate(axis: axis)
    case (.windows, .windows(let axis, let size, let step, let dilation)):
      .windows(axis: axis, size: size, step: step, dilation: dilation)
    case (.reduce, .reduce(let monoid, let axes)): .reduce(monoid, axes: axes)
    case (.argReduce, .argAxis(let monoid, let axis)): .argReduce(monoid, axis: axis)
    case (.scan, .scan(let monoid, let axis)): .scan(monoid, axis: axis)
    case (.argScan, .argAxis(let monoid, let axis)): .argScan(monoid, axis: axis)
    case (.sortOrder, .sort(let axis, let descending)): .sortOrder(axis: axis, descending: descending)
    case (.contraction, .contraction(let axes)): .contraction(axes)
    case (.gather, .axis(let axis)): .gather(axis: axis)
    case (.scatter, .scatter(let axis, let combine)): .scatter(axis: axis, combine: combine)
    case (.assign, .assign(let starts, let steps)): .assign(starts: starts, steps: steps)
    case (.call, .graph(let graph, let output)): .call(graph, output: output)
    default: nil
    }
  }
}

// MARK: All of them

extension Primitive {
  /// One primitive for each name, in the order of the enum and of the records: for tests, documentation and the parser. Not
  /// a list to dispatch on. Operands of a sample are not given; tests make them from the record.
  package static let samples: [Primitive] =
    Leaves.samples + unaryOperations + Conversions.samples + binaryOperations + Philox.samples + ternaryOperations
    + Reindexing.samples + Rows.samples + Products.samples + Indexed.samples + Calls.samples

  private static let samplesByName: [String: Primitive] = Dictionary(
    samples.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

  /// The sample of this name.
  static func named(_ name: String) -> Primitive? {
    samplesByName[name] ?? Pointwise.added(name)
  }
}

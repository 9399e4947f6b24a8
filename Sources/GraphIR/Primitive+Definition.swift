// From a primitive to its record: the one switch that names them all. Not the records, which are in the rooms beside.
import Scalars
import TensorTypes

extension Primitive {
  /// The record of this primitive. A look-up in static tables: it allocates nothing.
  package var definition: PrimitiveDefinition { entry.definition }

  /// What the primitive carries beside its operands.
  package var payload: Payload { entry.payload }

  package var name: String { entry.definition.name }

  /// The record and the payload. A new primitive that is no pointwise operation is a case, a record, a line in both
  /// directions here and a sample.
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

    case .reduce(let monoid, let axes): (Across.reduce(monoid), .reduce(monoid, axes: axes))
    case .argReduce(let monoid, let axis): (Across.argReduce(monoid), .argAxis(monoid, axis: axis))
    case .scan(let monoid, let axis): (Across.scan(monoid), .scan(monoid, axis: axis))
    case .argScan(let monoid, let axis): (Across.argScan(monoid), .argAxis(monoid, axis: axis))
    case .sortOrder(let axis, let descending): (Across.sortOrder, .sort(axis: axis, descending: descending))
    case .contraction(let axes): (Across.contraction, .contraction(axes))
    case .gather(let axis): (Across.gather, .axis(axis))
    case .scatter(let axis, let combine): (Across.scatter(combine), .scatter(axis: axis, combine: combine))
    case .assign(let starts, let steps): (Across.assign, .assign(starts: starts, steps: steps))
    case .call(let graph, let output): (Across.call, .graph(graph, output: output))
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

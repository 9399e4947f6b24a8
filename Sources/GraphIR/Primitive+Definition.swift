// From a primitive to its record: the one switch that names them all. Not the records, which are in the rooms beside.
import Scalars
import TensorTypes

extension Primitive {
  /// The record of this primitive. A look-up in static tables: it allocates nothing.
  public var definition: PrimitiveDefinition { entry.definition }

  /// What the primitive carries beside its operands.
  package var payload: Payload { entry.payload }

  public var name: String { entry.definition.name }

  /// The record and the payload. A new primitive is a case, a record, a line here and a sample.
  package var entry: (definition: PrimitiveDefinition, payload: Payload) {
    switch self {
    case .parameter(let index): (Leaves.parameter, .number(index))
    case .scalar(let argument): (Leaves.scalar, .number(argument))
    case .constant(let constant): (Leaves.constant, .constant(constant))
    case .iota(let axis, let shape): (Leaves.iota, .iota(axis: axis, shape))

    case .negate: (PointwiseUnary.negate, .none)
    case .absolute: (PointwiseUnary.absolute, .none)
    case .sign: (PointwiseUnary.sign, .none)
    case .floor: (PointwiseUnary.floor, .none)
    case .ceil: (PointwiseUnary.ceil, .none)
    case .truncate: (PointwiseUnary.truncate, .none)
    case .roundEven: (PointwiseUnary.roundEven, .none)
    case .squareRoot: (PointwiseUnary.squareRoot, .none)
    case .reciprocalSquareRoot: (PointwiseUnary.reciprocalSquareRoot, .none)
    case .reciprocal: (PointwiseUnary.reciprocal, .none)
    case .exp: (PointwiseUnary.exp, .none)
    case .exp2: (PointwiseUnary.exp2, .none)
    case .expm1: (PointwiseUnary.expm1, .none)
    case .log: (PointwiseUnary.log, .none)
    case .log2: (PointwiseUnary.log2, .none)
    case .log10: (PointwiseUnary.log10, .none)
    case .log1p: (PointwiseUnary.log1p, .none)
    case .sin: (PointwiseUnary.sin, .none)
    case .cos: (PointwiseUnary.cos, .none)
    case .tan: (PointwiseUnary.tan, .none)
    case .asin: (PointwiseUnary.asin, .none)
    case .acos: (PointwiseUnary.acos, .none)
    case .atan: (PointwiseUnary.atan, .none)
    case .sinh: (PointwiseUnary.sinh, .none)
    case .cosh: (PointwiseUnary.cosh, .none)
    case .tanh: (PointwiseUnary.tanh, .none)
    case .asinh: (PointwiseUnary.asinh, .none)
    case .acosh: (PointwiseUnary.acosh, .none)
    case .atanh: (PointwiseUnary.atanh, .none)
    case .sigmoid: (PointwiseUnary.sigmoid, .none)
    case .erf: (PointwiseUnary.erf, .none)
    case .erfc: (PointwiseUnary.erfc, .none)
    case .erfinv: (PointwiseUnary.erfinv, .none)
    case .lgamma: (PointwiseUnary.lgamma, .none)
    case .digamma: (PointwiseUnary.digamma, .none)
    case .not: (PointwiseUnary.not, .none)
    case .isNaN: (PointwiseUnary.isNaN, .none)
    case .isFinite: (PointwiseUnary.isFinite, .none)
    case .signBit: (PointwiseUnary.signBit, .none)
    case .convert(let dtype): (PointwiseUnary.convert[Int(dtype.rawValue)], .dtype(dtype))
    case .bitcast(let dtype): (PointwiseUnary.bitcast[Int(dtype.rawValue)], .dtype(dtype))

    case .add: (PointwiseBinary.add, .none)
    case .subtract: (PointwiseBinary.subtract, .none)
    case .multiply: (PointwiseBinary.multiply, .none)
    case .divide: (PointwiseBinary.divide, .none)
    case .floorDivide: (PointwiseBinary.floorDivide, .none)
    case .remainder: (PointwiseBinary.remainder, .none)
    case .truncatedRemainder: (PointwiseBinary.truncatedRemainder, .none)
    case .power: (PointwiseBinary.power, .none)
    case .atan2: (PointwiseBinary.atan2, .none)
    case .minimum: (PointwiseBinary.minimum, .none)
    case .maximum: (PointwiseBinary.maximum, .none)
    case .and: (PointwiseBinary.and, .none)
    case .or: (PointwiseBinary.or, .none)
    case .xor: (PointwiseBinary.xor, .none)
    case .shiftLeft: (PointwiseBinary.shiftLeft, .none)
    case .shiftRight: (PointwiseBinary.shiftRight, .none)
    case .equal: (PointwiseBinary.equal, .none)
    case .notEqual: (PointwiseBinary.notEqual, .none)
    case .less: (PointwiseBinary.less, .none)
    case .lessOrEqual: (PointwiseBinary.lessOrEqual, .none)
    case .copySign: (PointwiseBinary.copySign, .none)
    case .nextAfter: (PointwiseBinary.nextAfter, .none)
    case .philox(let word): (PointwiseBinary.philox[Swift.max(0, Swift.min(3, word))], .number(word))
    case .select: (PointwiseTernary.select, .none)
    case .multiplyAdd: (PointwiseTernary.multiplyAdd, .none)

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
    case .call(let graph): (Across.call, .graph(graph))
    }
  }
}

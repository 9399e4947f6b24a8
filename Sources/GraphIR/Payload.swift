// What a primitive carries beside its operands, and the parts it consists of. Text, parser, hash and other extents know
// parts only. Not operands, which are values of the graph. Surprise: payloads of the same kind may belong to different
// primitives, whose name is said besides.
import Scalars
import TensorTypes

/// What a primitive carries beside its operands. Primitives with equal kinds of payload share text, hash and parser.
package enum Payload: Sendable, Hashable {
  case none
  case number(Int)
  case constant(ScalarConstant)
  case iota(axis: Int, Shape)
  case dtype(DType)
  case shape(Shape)
  /// As `shape`, for repetition.
  case repeated(Shape)
  case permutation([Int])
  case slice(starts: [Dim], counts: [Dim], steps: [Int])
  case pad(low: [Dim], high: [Dim])
  case axis(Int)
  case windows(axis: Int, size: Int, step: Int, dilation: Int)
  case reduce(Monoid, axes: [Int])
  case argAxis(ArgMonoid, axis: Int)
  case scan(Monoid, axis: Int)
  case sort(axis: Int, descending: Bool)
  case contraction(ContractionAxes)
  case scatter(axis: Int, combine: Monoid?)
  case assign(starts: [Dim], steps: [Int])
  /// A result of a graph.
  case graph(GraphReference, output: Int)
}

/// A part of a payload.
package enum PayloadField: Sendable, Hashable {
  case integer(Int)
  case integers([Int])
  case extents([Dim])
  case flag(Bool)
  case dtype(DType)
  case constant(ScalarConstant)
  case monoid(Monoid)
  /// A monoid, or nothing that combines.
  case combine(Monoid?)
  case winner(ArgMonoid)
  case pairs([ContractionAxes.Pair])
  case graph(GraphReference)
}

extension Payload {
  /// Hands over the parts with their names, in the order of the text. No list: warm starts hash every node.
  package func forEachField(_ body: (_ name: String, PayloadField) -> Void) {
    switch self {
    case .none: return
    case .number(let number): body("n", .integer(number))
    case .constant(let constant): body("value", .constant(constant))
    case .iota(let axis, let shape):
      body("axis", .integer(axis))
      body("shape", .extents(shape.dims))
    case .dtype(let dtype): body("dtype", .dtype(dtype))
    case .shape(let shape), .repeated(let shape): body("shape", .extents(shape.dims))
    case .permutation(let permutation): body("permutation", .integers(permutation))
    case .slice(let starts, let counts, let steps):
      body("starts", .extents(starts))
      body("counts", .extents(counts))
      body("steps", .integers(steps))
    case .pad(let low, let high):
      body("low", .extents(low))
      body("high", .extents(high))
    case .axis(let axis): body("axis", .integer(axis))
    case .windows(let axis, let size, let step, let dilation):
      body("axis", .integer(axis))
      body("size", .integer(size))
      body("step", .integer(step))
      body("dilation", .integer(dilation))
    case .reduce(let monoid, let axes):
      body("monoid", .monoid(monoid))
      body("axes", .integers(axes))
    case .argAxis(let monoid, let axis):
      body("monoid", .winner(monoid))
      body("axis", .integer(axis))
    case .scan(let monoid, let axis):
      body("monoid", .monoid(monoid))
      body("axis", .integer(axis))
    case .sort(let axis, let descending):
      body("axis", .integer(axis))
      body("descending", .flag(descending))
    case .contraction(let axes):
      body("batch", .pairs(axes.batch))
      body("contracted", .pairs(axes.contracted))
    case .scatter(let axis, let combine):
      body("axis", .integer(axis))
      body("combine", .combine(combine))
    case .assign(let starts, let steps):
      body("starts", .extents(starts))
      body("steps", .integers(steps))
    case .graph(let reference, let output):
      body("output", .integer(output))
      body("graph", .graph(reference))
    }
  }

  /// The parts with their names, in the order of the text.
  package var fields: [(name: String, value: PayloadField)] {
    var fields: [(String, PayloadField)] = []
    forEachField { fields.append(($0, $1)) }
    return fields
  }

  /// A payload of this kind with other parts, which are of the same kinds in the same order.
  package func with(_ fields: [PayloadField]) -> Payload {
    var rest = FieldReader(fields)
    switch self {
    case .none: return .none
    case .number: return .number(rest.integer())
    case .constant: return .constant(rest.constant())
    case .iota: return .iota(axis: rest.integer(), Shape(rest.extents()))
    case .dtype: return .dtype(rest.dtype())
    case .shape: return .shape(Shape(rest.extents()))
    case .repeated: return .repeated(Shape(rest.extents()))
    case .permutation: return .permutation(rest.integers())
    case .slice: return .slice(starts: rest.extents(), counts: rest.extents(), steps: rest.integers())
    case .pad: return .pad(low: rest.extents(), high: rest.extents())
    case .axis: return .axis(rest.integer())
    case .windows:
      return .windows(axis: rest.integer(), size: rest.integer(), step: rest.integer(), dilation: rest.integer())
    case .reduce: return .reduce(rest.monoid(), axes: rest.integers())
    case .argAxis: return .argAxis(rest.winner(), axis: rest.integer())
    case .scan: return .scan(rest.monoid(), axis: rest.integer())
    case .sort: return .sort(axis: rest.integer(), descending: rest.flag())
    case .contraction: return .contraction(ContractionAxes(batch: rest.pairs(), contracted: rest.pairs()))
    case .scatter: return .scatter(axis: rest.integer(), combine: rest.combine())
    case .assign: return .assign(starts: rest.extents(), steps: rest.integers())
    case .graph:
      let output = rest.integer()
      return .graph(rest.graph(), output: output)
    }
  }

  /// The extents and starts in it.
  package var extents: [Dim] {
    var extents: [Dim] = []
    forEachField { if case .extents(let dims) = $1 { extents += dims } }
    return extents
  }

  /// With other extents and starts.
  package func mapExtents(_ map: (Dim) -> Dim) -> Payload {
    with(
      fields.map { field -> PayloadField in
        if case .extents(let dims) = field.value { .extents(dims.map(map)) } else { field.value }
      })
  }
}

/// Takes fields one after the other. Another kind than the one asked for is a mistake of ours.
private struct FieldReader {
  private var rest: ArraySlice<PayloadField>
  init(_ fields: [PayloadField]) { rest = fields[...] }

  private mutating func next<T>(_ value: (PayloadField) -> T?) -> T {
    guard let field = rest.popFirst(), let value = value(field) else {
      preconditionFailure("a payload was given parts of another")
    }
    return value
  }

  mutating func integer() -> Int { next { if case .integer(let value) = $0 { value } else { nil } } }
  mutating func integers() -> [Int] { next { if case .integers(let value) = $0 { value } else { nil } } }
  mutating func extents() -> [Dim] { next { if case .extents(let value) = $0 { value } else { nil } } }
  mutating func flag() -> Bool { next { if case .flag(let value) = $0 { value } else { nil } } }
  mutating func dtype() -> DType { next { if case .dtype(let value) = $0 { value } else { nil } } }
  mutating func constant() -> ScalarConstant { next { if case .constant(let value) = $0 { value } else { nil } } }
  mutating func monoid() -> Monoid { next { if case .monoid(let value) = $0 { value } else { nil } } }
  mutating func combine() -> Monoid? { next { if case .combine(let value) = $0 { .some(value) } else { nil } } }
  mutating func winner() -> ArgMonoid { next { if case .winner(let value) = $0 { value } else { nil } } }
  mutating func pairs() -> [ContractionAxes.Pair] { next { if case .pairs(let value) = $0 { value } else { nil } } }
  mutating func graph() -> GraphReference { next { if case .graph(let value) = $0 { value } else { nil } } }
}

// One random node: a primitive of some lowering, a payload of its kind that fits the values at hand, operands.
// Not a list of primitives: what a node needs is asked of the type rules. Surprise: a payload that the rules refuse is
// simply not used, so the proposals here may be careless.
import Basics
import GraphIR
import Scalars
import TensorTypes

extension RandomGraph {
  /// The primitives' samples by what they do.
  package static let pointwise = samples(.pointwise)
  private static let reindexing = samples(.reindexing)
  private static let across = samples(.across)
  private static let leaves = samples(.leaves)

  private static func samples(_ family: Lowering.Family) -> [Primitive] {
    Primitive.samples.filter { $0.definition.lowering.family == family }
  }

  /// Adds a node and what it needs. Throws where the rules refuse it.
  mutating func addNode() throws(Diagnostic) {
    switch random.below(21) {
    case 0..<8: try addPointwise(random.pick(pointwise))
    case 8..<13: try addAcross(random.pick(Self.across))
    case 13..<18: try addReindexing(random.pick(Self.reindexing))
    case 18: try addLeaf(random.pick(Self.leaves))
    case 19: try addRows()
    case _: try addJoined()
    }
  }

  // MARK: Leaves

  private mutating func addLeaf(_ sample: Primitive) throws(Diagnostic) {
    let shape = shape()
    switch sample.payload {
    case .constant:
      let scalar = try builder.append(.constant(constant(dtype())), [])
      keep(try builder.broadcast(scalar, shape))
    case .iota:
      guard shape.rank > 0 else { return }
      keep(try append(sample, .iota(axis: random.below(shape.rank), shape), []))
    default: values.append(parameter(TensorType(dtype(), shape)))
    }
  }

  /// `sample` with another payload, on `operands`.
  private mutating func append(
    _ sample: Primitive, _ payload: Payload, _ operands: [Value]
  ) throws(Diagnostic) -> Value {
    guard let primitive = sample.with(payload) else {
      throw Diagnostic(.compiler, "\(sample.name) takes no payload like \(payload)")
    }
    return try builder.append(primitive, operands)
  }

  // MARK: Pointwise

  private mutating func addPointwise(_ sample: Primitive) throws(Diagnostic) {
    let first = anyValue()
    let shape = builder.shape(first)
    var primitive = sample
    switch sample.payload {
    case .dtype:
      guard let made = sample.with(.dtype(random.pick(Self.dtypes))) else { return }
      primitive = made
    case .number:
      guard let made = sample.with(.number(random.below(4))) else { return }
      primitive = made
    default: break
    }
    // The first operand's own dtype if the record has it.
    let members = primitive.definition.dtypes.members
    let dtype = members.contains(builder.dtype(first)) ? builder.dtype(first) : random.pick(members)
    let x = TensorType(dtype, shape)
    let candidates = [[x], [x, x], [x, x, x], [TensorType(.bool, shape), x, x]]
    guard let types = candidates.first(where: { (try? primitive.resultType($0)) != nil }) else { return }
    var operands: [Value] = []
    for (i, type) in types.enumerated() {
      if i == 0, type.dtype == builder.dtype(first) || builder.dtype(first) != dtype {
        operands.append(try builder.convert(first, to: type.dtype))
      } else {
        operands.append(try value(type))
      }
    }
    if primitive.dividesIntegers(operandDTypes: types.map(\.dtype)) {
      let one = try builder.filled(ScalarConstant(dtype, integer: 1), shape)
      operands[operands.count - 1] = try builder.append(.or, operands[operands.count - 1], one)
    }
    keep(try builder.append(primitive, operands))
  }

  // MARK: Reindexing

  private mutating func addReindexing(_ sample: Primitive) throws(Diagnostic) {
    let operand = anyValue()
    let shape = builder.shape(operand)
    let rank = shape.rank
    let axis = rank > 0 ? random.below(rank) : 0
    var operands = [operand]
    let payload: Payload
    switch sample.payload {
    case .repeated:
      let lead = random.below(2) == 0 ? [] : [random.pick(extents)]
      payload = .repeated(Shape(lead + shape.dims.map { $0.isKnown(1) ? random.pick(extents) : $0 }))
    case .shape: payload = .shape(reshaped(shape))
    case .permutation: payload = .permutation(Array(0..<rank).shuffled(using: &random))
    case .slice:
      let ranges = shape.dims.map { range($0) }
      payload = .slice(starts: ranges.map(\.start), counts: ranges.map(\.count), steps: ranges.map(\.step))
    case .pad:
      operands.append(try value(TensorType(builder.dtype(operand), [])))
      payload = .pad(
        low: shape.dims.map { _ in Dim(random.below(3)) }, high: shape.dims.map { _ in Dim(random.below(3)) })
    case .axis:
      for _ in 0..<random.below(3) {
        var other = shape
        if rank > 0 { other[axis] = random.pick(extents) }
        operands.append(try value(TensorType(builder.dtype(operand), other)))
      }
      payload = .axis(axis)
    case .windows:
      payload = .windows(
        axis: axis, size: 1 + random.below(3), step: 1 + random.below(2), dilation: 1 + random.below(2))
    default: return
    }
    keep(try append(sample, payload, operands))
  }

  /// Axes merged, split or with extents of 1 added and removed.
  private mutating func reshaped(_ shape: Shape) -> Shape {
    var dims = shape.dims
    switch random.below(5) {
    case 0: return [shape.elementCount]
    case 1 where dims.count > 1:
      let axis = random.below(dims.count - 1)
      dims[axis] *= dims.remove(at: axis + 1)
    case 2 where !dims.isEmpty:
      let axis = random.below(dims.count)
      guard let extent = dims[axis].knownValue, extent > 1 else { return shape }
      guard let factor = (2...extent).first(where: { extent % $0 == 0 }) else { return shape }
      dims[axis] = Dim(extent / factor)
      dims.insert(Dim(factor), at: axis)
    case 3: dims.removeAll { $0.isKnown(1) }
    case _: dims.insert(1, at: random.below(dims.count + 1))
    }
    return Shape(dims)
  }

  /// Two axes that are no neighbours in memory, since one is repeated or both are moved, as one axis: what is done to it
  /// later meets the passes that take such axes apart again.
  private mutating func addJoined() throws(Diagnostic) {
    var value = anyValue()
    let rank = builder.shape(value).rank
    guard rank > 0 else { return }
    let axis: Int
    if rank > 1, random.once(in: 2) {
      axis = random.below(rank - 1)
      var order = Array(0..<rank)
      order.swapAt(axis, axis + 1)
      value = try builder.append(.permute(order), value)
    } else {
      // In front of an axis (the whole again and again) or behind it (each element several times).
      axis = random.below(rank)
      var dims = builder.shape(value).dims
      let place = random.once(in: 2) ? axis : axis + 1
      dims.insert(1, at: place)
      let apart = try builder.append(.reshape(Shape(dims)), value)
      dims[place] = random.pick(extents)
      value = try builder.broadcast(apart, Shape(dims))
    }
    var dims = builder.shape(value).dims
    dims[axis] *= dims.remove(at: axis + 1)
    guard isSmall(Shape(dims)) else { return }
    keep(try builder.append(.reshape(Shape(dims)), value))
    if !random.once(in: 4) { try addPointwise(random.pick(pointwise)) }
  }

  /// A part of an axis, forwards or backwards.
  private mutating func range(_ extent: Dim) -> (start: Dim, count: Dim, step: Int) {
    switch random.below(6) {
    case 0: return (extent - 1, extent, -1)
    case 1: return (0, (extent + 1) / 2, 2)
    case 2: return (1, extent - 1, 1)
    case 3:
      guard let known = extent.knownValue, known > 0 else { return (0, extent, 1) }
      let start = random.below(known)
      return (Dim(start), Dim(1 + random.below(known - start)), 1)
    case _: return (0, extent, 1)
    }
  }

  // MARK: Across elements

  private mutating func addAcross(_ sample: Primitive) throws(Diagnostic) {
    var operand = anyValue()
    let shape = builder.shape(operand)
    let rank = shape.rank
    guard rank > 0 else { return }
    let axis = random.below(rank)
    switch sample.payload {
    case .reduce:
      let monoid = random.pick(Monoid.allCases)
      let axes = random.below(3) == 0 ? (0..<rank).filter { _ in random.below(2) == 0 } : [axis]
      operand = try defined(operand, monoid.dtypes)
      let made = try append(sample, .reduce(monoid, axes: axes), [operand])
      keep(made)
      if random.once(in: 2) { try combine(builder.restoring(made, axes, shape), with: operand) }
    case .argAxis: keep(try append(sample, .argAxis(random.pick(ArgMonoid.allCases), axis: axis), [operand]))
    case .scan:
      let monoid = random.pick(Monoid.allCases)
      keep(try append(sample, .scan(monoid, axis: axis), [try defined(operand, monoid.dtypes)]))
    case .sort: keep(try append(sample, .sort(axis: axis, descending: random.below(2) == 0), [operand]))
    case .contraction: try addContraction(sample, operand)
    case .axis:
      var chosen = shape
      chosen[axis] = random.pick(extents)
      keep(try append(sample, .axis(axis), [operand, try indices(chosen, below: shape[axis])]))
    case .scatter:
      let combine = random.pick([nil] + Monoid.allCases.map { $0 })
      if let combine { operand = try defined(operand, combine.dtypes) }
      var chosen = shape
      chosen[axis] = random.pick(extents)
      let places = try indices(chosen, below: shape[axis])
      let updates = try value(TensorType(builder.dtype(operand), chosen))
      keep(try append(sample, .scatter(axis: axis, combine: combine), [operand, places, updates]))
    case .assign:
      let ranges = shape.dims.map { range($0) }
      let update = try value(TensorType(builder.dtype(operand), Shape(ranges.map(\.count))))
      keep(
        try append(sample, .assign(starts: ranges.map(\.start), steps: ranges.map(\.step)), [operand, update]))
    default: return
    }
  }

  /// The value, converted where `dtypes` does not have its own.
  private mutating func defined(_ value: Value, _ dtypes: DTypes) throws(Diagnostic) -> Value {
    if dtypes.contains(builder.dtype(value)) { return value }
    return try builder.convert(value, to: random.pick(dtypes.members))
  }

  /// Positions on an axis of `extent` elements: never outside, whatever they are made of.
  private mutating func indices(_ shape: Shape, below extent: Dim) throws(Diagnostic) -> Value {
    let any = try value(TensorType(.i64, shape))
    let zero = try builder.filled(ScalarConstant(.i64, integer: 0), shape)
    // The last position, as a value: the end of the coordinates on that axis.
    let positions = try builder.append(.iota(axis: 0, [extent]), [])
    let last = try builder.append(.slice(starts: [extent - 1], counts: [1], steps: [1]), positions)
    let most = try builder.broadcast(builder.append(.reshape([]), last), shape)
    return try builder.append(.minimum, builder.append(.maximum, any, zero), most)
  }

  private mutating func addContraction(_ sample: Primitive, _ given: Value) throws(Diagnostic) {
    let left = try defined(given, sample.definition.dtypes)
    let shape = builder.shape(left)
    var axes = ContractionAxes(contracted: [])
    var right: [Dim] = []
    for axis in 0..<shape.rank {
      switch random.below(4) {
      case 0, 1:
        axes.contracted.append(.init(axis, right.count))
        right.append(shape[axis])
      case 2 where axes.batch.count == axis:
        axes.batch.append(.init(axis, right.count))
        right.append(shape[axis])
      case _: break
      }
    }
    for _ in 0..<random.below(3) { right.append(random.pick(extents)) }
    let other = try value(TensorType(builder.dtype(left), Shape(right)))
    let made = try append(sample, .contraction(axes), [left, other])
    // What is multiplied is the result times the contracted extents.
    let work = Shape(builder.shape(made).dims + axes.contracted.map { shape[$0.left] })
    let isCheap = calls.allSatisfy { call in work.elementCount.evaluated(call).map { $0 <= 40_000 } ?? false }
    if isCheap { keep(made) }
  }

  // MARK: Rows, as norms and softmax have them

  private mutating func addRows() throws(Diagnostic) {
    let given = anyValue()
    let shape = builder.shape(given)
    guard shape.rank > 0 else { return }
    let x = try defined(given, .floats)
    let axes = [shape.rank - 1]
    let top = try builder.append(.reduce(.maximum, axes: axes), x)
    let shifted = try builder.append(.subtract, x, builder.restoring(top, axes, shape))
    let curve = try builder.append(random.below(2) == 0 ? .exp : .sigmoid, shifted)
    let sum = try builder.append(.reduce(.sum, axes: axes), curve)
    keep(try builder.append(.divide, curve, builder.restoring(sum, axes, shape)))
  }

  /// A statistic beside what it was made of.
  private mutating func combine(_ statistic: Value, with value: Value) throws(Diagnostic) {
    let binary = Self.pointwise.filter {
      (try? $0.resultType([builder.type(statistic), builder.type(value)])) == builder.type(value)
        && !$0.dividesIntegers(operandDTypes: [builder.dtype(statistic), builder.dtype(value)])
    }
    guard !binary.isEmpty else { return }
    keep(try builder.append(random.pick(binary), value, statistic))
  }
}

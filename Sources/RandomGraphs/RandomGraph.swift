// Random well-typed graphs, drawn from the records of the primitives: a new primitive is in them without a line here.
// Not random elements: those are `GraphCase`'s. Surprise: every graph is a function of its seed alone, so a failing seed
// is a whole bug report; and no graph faults, because divisors and indices are made harmless.
import Basics
import GraphIR
import Scalars
import TensorTypes

package struct RandomGraph {
  var random: SeededGenerator
  var builder: GraphBuilder
  /// Values to draw operands from, the newest last.
  var values: [Value] = []
  /// Extents that shapes are drawn from: few, so that shapes meet.
  var extents: [Dim] = [1]
  var calls: [[Int]] = [[]]
  /// Most elements of one value, at any size.
  let mostElements: Int
  /// The pointwise primitives that nodes are drawn from.
  let pointwise: [Primitive]
  private var parameters = 0

  /// A case of about `size` nodes; with `symbolic` some extents are symbols, and there are calls of several sizes.
  package static func make(
    seed: Int, size: Int = 24, symbolic: Bool = false, mostElements: Int = 2048,
    pointwise: [Primitive] = RandomGraph.pointwise
  ) -> GraphCase {
    var maker = RandomGraph(seed: seed, symbolic: symbolic, mostElements: mostElements, pointwise: pointwise)
    maker.addLeaves()
    var attempts = 0
    while maker.builder.graph.nodes.count < size, attempts < size * 8 {
      try? maker.addNode()
      attempts += 1
    }
    return maker.finish(seed)
  }

  private init(seed: Int, symbolic: Bool, mostElements: Int, pointwise: [Primitive]) {
    self.pointwise = pointwise
    random = SeededGenerator(seed: seed)
    builder = GraphBuilder(name: "random\(seed)")
    self.mostElements = mostElements
    let numbers = [1, 2, 2, 3, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33]
    func extent(_ random: inout SeededGenerator) -> Int { random.once(in: 24) ? 0 : random.pick(numbers) }
    for _ in 0..<(1 + random.below(3)) { extents.append(Dim(extent(&random))) }
    guard symbolic else { return }
    let symbols = 1 + random.below(2)
    for i in 0..<symbols {
      let made = builder.extent("n\(i)")
      extents += [made, made]
    }
    calls = (0..<3).map { _ in (0..<symbols).map { _ in extent(&random) } }
  }

  // MARK: Leaves

  private mutating func addLeaves() {
    for _ in 0..<(2 + random.below(3)) { values.append(parameter(TensorType(dtype(), shape()))) }
    if random.once(in: 4) {
      let dtype = dtype()
      values.append(builder.scalar("scalar", dtype))
      let element: ScalarValue = dtype.isFloating ? .float(0.75) : .integer(1)
      let bits = Int(truncatingIfNeeded: ScalarReference.bits(of: element, dtype))
      calls = calls.map { $0 + [bits] }
    }
  }

  /// f32 most often: it has the most code of its own.
  mutating func dtype() -> DType { random.once(in: 2) ? .f32 : random.pick(Self.dtypes) }
  /// Those that something is computed in: the others have no operation but conversions, tested for every value.
  static let dtypes = DTypes.computed.members

  mutating func shape() -> Shape {
    for _ in 0..<8 {
      let rank = random.pick([0, 1, 1, 2, 2, 2, 2, 3, 3, 4])
      let shape = Shape((0..<rank).map { _ in random.pick(extents) })
      if isSmall(shape) { return shape }
    }
    return []
  }

  /// Few elements at the sizes of every call, and no extent below 0, which only a part of nothing has.
  func isSmall(_ shape: Shape) -> Bool {
    calls.allSatisfy { call in
      guard let count = shape.elementCount.evaluated(call), count <= mostElements else { return false }
      return shape.dims.allSatisfy { dim in dim.evaluated(call).map { $0 >= 0 } ?? false }
    }
  }

  /// A parameter, contiguous or a view of something larger.
  mutating func parameter(_ type: TensorType) -> Value {
    parameters += 1
    let shape = type.shape
    var strides = shape.contiguousStrides
    switch random.below(8) {
    case 0 where shape.rank > 1:
      // Transposed.
      let order = Array(0..<shape.rank).shuffled(using: &random)
      let inner = Shape(order.map { shape[$0] }).contiguousStrides
      for (place, axis) in order.enumerated() { strides[axis] = inner[place] }
    case 1: strides = strides.map { $0 * 2 }
    case 2 where shape.rank > 0: strides[random.below(shape.rank)] = 0
    case 3 where shape.rank > 0:
      let axis = random.below(shape.rank)
      strides[axis] = 0 - strides[axis]
    case _: break
    }
    return builder.parameter("p\(parameters - 1)", type, strides: strides)
  }

  // MARK: Operands

  /// A value of exactly this type: a known one, or one that is made for it.
  mutating func value(_ type: TensorType) throws(Diagnostic) -> Value {
    guard isSmall(type.shape) else { throw Diagnostic(.shape, "\(type) has too many elements") }
    let known = values.filter { builder.type($0) == type }
    if !known.isEmpty, !random.once(in: 8) { return random.pick(known) }
    let alike = values.filter { builder.shape($0) == type.shape }
    if !alike.isEmpty, random.once(in: 2) { return try builder.convert(random.pick(alike), to: type.dtype) }
    let smaller = values.filter { builder.shape($0).repeats(to: type.shape) }
    if !smaller.isEmpty, random.once(in: 2) {
      return try builder.broadcast(try builder.convert(random.pick(smaller), to: type.dtype), type.shape)
    }
    guard parameters < 7 else { return try builder.filled(constant(type.dtype), type.shape) }
    let made = parameter(type)
    values.append(made)
    return made
  }

  mutating func constant(_ dtype: DType) -> ScalarConstant {
    if dtype.isFloating {
      let usual = [0, 1, 1.5, -2, 0.1, 3]
      return ScalarConstant(dtype, random.pick(random.once(in: 4) ? [-0.0, .infinity, .nan, -.nan, 1e-300] : usual))
    }
    return ScalarConstant(dtype, integer: random.pick(dtype == .bool ? [0, 1] : [0, 1, 2, 100]))
  }

  /// A recent value more often than an old one, so that graphs are deep as well as wide.
  mutating func anyValue() -> Value {
    random.once(in: 2) ? random.pick(values) : random.pick(Array(values.suffix(3)))
  }

  /// Adds a value if it is small enough to be worth more.
  mutating func keep(_ value: Value) { if isSmall(builder.shape(value)) { values.append(value) } }

  // MARK: The end

  private mutating func finish(_ seed: Int) -> GraphCase {
    var outputs = [values[values.count - 1]]
    for _ in 0..<random.below(4) {
      let output = anyValue()
      if !outputs.contains(output) { outputs.append(output) }
    }
    var made = GraphCase(builder.finish(outputs), calls: calls, seed: seed)
    if random.once(in: 3) { made.donations = donations(made.graph) }
    return made
  }

  /// As a compiled function donates its state: memory of the same type that is not handed back as it was.
  private mutating func donations(_ graph: Graph) -> [Int: Int] {
    var made: [Int: Int] = [:]
    for (index, output) in graph.outputs.enumerated() where graph[output].primitive.payload.isComputed {
      let fit = graph.parameters.indices.filter { number in
        let parameter = graph.parameters[number]
        let isReturned = graph.outputs.contains { graph[$0].primitive == .parameter(number) }
        return parameter.type == graph.type(output) && !isReturned && !made.values.contains(number)
          && parameter.strides == parameter.type.shape.contiguousStrides
      }
      if !fit.isEmpty { made[index] = random.pick(fit) }
    }
    return made
  }
}

extension Payload {
  /// Not a launch's own value.
  fileprivate var isComputed: Bool { if case .number = self { false } else { true } }
}

extension Shape {
  /// Whether `broadcast` takes this shape to `target`.
  fileprivate func repeats(to target: Shape) -> Bool {
    rank <= target.rank && zip(dims.reversed(), target.dims.reversed()).allSatisfy { $0.isKnown(1) || $0 == $1 }
  }
}

extension GraphCase {
  /// Case `number` of `seed`: random graphs of all sizes, and now and then an attention, which chance does not write.
  package static func random(seed: Int, number: Int) -> GraphCase {
    var random = SeededGenerator(seed: seed, name: "\(number)")
    let own = Int(truncatingIfNeeded: random.next() >> 33)
    if random.once(in: 40), let attention = try? AttentionSample.random(&random).sample(seed: own) { return attention }
    let size = random.pick([6, 10, 16, 24, 24, 36, 60])
    return RandomGraph.make(seed: own, size: size, symbolic: random.once(in: 2))
  }
}

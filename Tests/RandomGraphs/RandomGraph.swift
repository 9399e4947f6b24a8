// Random well-typed graphs for round trips, passes and parsers. Not random values: those come with the interpreter.
// Surprise: every graph is a function of its seed alone, so a failing seed is a whole bug report.
import Basics
import GraphIR
import Scalars
import TensorTypes

/// SplitMix64: small, and the same everywhere.
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  package init(seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9e37_79b9_7f4a_7c15 &+ 1 }
  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  package mutating func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &self) }
  package mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}

package struct RandomGraph {
  private var random: SeededGenerator
  private var builder: GraphBuilder
  private var values: [Value] = []
  private let symbolic: Bool

  /// A graph of about `size` nodes; with `symbolic` some extents are symbols.
  package static func make(seed: Int, size: Int = 24, symbolic: Bool = false) -> Graph {
    var maker = RandomGraph(seed: seed, symbolic: symbolic)
    maker.addLeaves()
    var attempts = 0
    while maker.builder.graph.nodes.count < size, attempts < size * 8 {
      maker.addNode()
      attempts += 1
    }
    let count = maker.builder.graph.nodes.count
    return maker.builder.finish([Value(count - 1), maker.random.pick(maker.values)])
  }

  private init(seed: Int, symbolic: Bool) {
    random = SeededGenerator(seed: seed)
    builder = GraphBuilder(name: "random\(seed)")
    self.symbolic = symbolic
  }

  private mutating func addLeaves() {
    let extents: [Dim] = symbolic ? [builder.extent("rows"), builder.extent("the columns"), 3] : [2, 3, 1]
    for (index, dtype) in [DType.f32, .f32, .i64, .bool, .f64, .f16, .u8].enumerated() {
      let rank = index == 0 ? 2 : random.below(4)
      let shape = Shape((0..<rank).map { _ in random.pick(extents) })
      let strides = random.below(4) == 0 ? Shape(shape.dims).contiguousStrides.map { $0 * 2 } : nil
      values.append(builder.parameter("p\(index)", TensorType(dtype, shape), strides: strides))
    }
    values.append(builder.scalar("rate", random.pick([.f32, .i64, .bf16])))
  }

  private mutating func addNode() {
    let sample = random.pick(Primitive.samples)
    let operand = random.pick(values)
    let shape = builder.shape(operand)
    let rank = shape.rank
    let axis = rank > 0 ? random.below(rank) : 0
    var operands = [operand]
    var primitive = sample
    switch sample {
    case .parameter, .scalar, .call: return
    case .constant:
      operands = []
      let dtype = random.pick(DType.allCases)
      let constant =
        dtype.isFloating
        ? ScalarConstant(dtype, random.pick([0, -0.0, 1.5, -2, .infinity, .nan, -.nan, 1e-300, 0.1]))
        : ScalarConstant(dtype, integer: random.pick(dtype == .bool ? [0, 1] : [0, 1, 2, 100]))
      primitive = .constant(constant)
    case .iota:
      operands = []
      guard rank > 0 else { return }
      primitive = .iota(axis: axis, shape)
    case .convert: primitive = .convert(random.pick(DType.allCases))
    case .bitcast: primitive = .bitcast(random.pick(DType.allCases))
    case .broadcast: primitive = .broadcast(Shape([2] + shape.dims))
    case .reshape:
      primitive = .reshape(random.below(2) == 0 ? [shape.elementCount] : Shape(shape.dims + [1]))
    case .permute: primitive = .permute(Array(0..<rank).shuffled(using: &random))
    case .slice:
      guard shape.dims.allSatisfy({ $0.knownValue != nil }) else { return }
      primitive = .slice(
        starts: shape.dims.map { Dim(max(0, ($0.knownValue ?? 1) - 1)) },
        counts: shape.dims.map { Dim(random.below(max(1, $0.knownValue ?? 1)) + 1) }, steps: shape.dims.map { _ in -1 })
    case .pad:
      guard let filler = values.first(where: { builder.type($0) == TensorType(builder.dtype(operand), []) }) else {
        return
      }
      operands.append(filler)
      primitive = .pad(
        low: shape.dims.map { _ in Dim(random.below(3)) }, high: shape.dims.map { _ in Dim(random.below(3)) })
    case .concatenate:
      operands.append(operand)
      primitive = .concatenate(axis: axis)
    case .windows: primitive = .windows(axis: axis, size: 1 + random.below(2), step: 1, dilation: 1)
    case .reduce: primitive = .reduce(random.pick(Monoid.allCases), axes: rank > 1 ? [0, 1] : [axis])
    case .argReduce: primitive = .argReduce(random.pick(ArgMonoid.allCases), axis: axis)
    case .scan: primitive = .scan(random.pick(Monoid.allCases), axis: axis)
    case .argScan: primitive = .argScan(random.pick(ArgMonoid.allCases), axis: axis)
    case .sortOrder: primitive = .sortOrder(axis: axis, descending: random.below(2) == 0)
    case .contraction:
      operands.append(operand)
      primitive = .contraction(ContractionAxes(contracted: [.init(axis, axis)]))
    case .gather, .scatter:
      // Positions in the axis itself are never outside.
      guard rank > 0, let indices = try? builder.append(.iota(axis: axis, shape), []) else { return }
      operands.append(indices)
      if case .scatter = sample {
        operands.append(operand)
        primitive = .scatter(axis: axis, combine: random.pick([nil, .sum, .maximum]))
      } else {
        primitive = .gather(axis: axis)
      }
    case .assign:
      guard let known = shape.knownExtents, !known.contains(0) else { return }
      let starts = known.map { random.below($0) }
      let counts = zip(known, starts).map { Dim(random.below($0 - $1) + 1) }
      guard
        let update = try? builder.append(
          .slice(starts: starts.map { Dim($0) }, counts: counts, steps: known.map { _ in 1 }), operand),
        let moved = try? builder.append(.negate, update)
      else { return }
      operands.append(moved)
      primitive = .assign(
        starts: zip(known, counts).map { Dim($0 - ($1.knownValue ?? 0)) }, steps: known.map { _ in 1 })
    case .divide, .floorDivide, .remainder, .truncatedRemainder:
      // Integers would fault at 0.
      guard builder.dtype(operand).isFloating else { return }
      operands.append(operand)
    case .select:
      guard let condition = values.first(where: { builder.type($0) == TensorType(.bool, shape) }) else { return }
      operands = [condition, operand, operand]
    case .multiplyAdd: operands = [operand, operand, operand]
    case .negate, .absolute, .sign, .floor, .ceil, .truncate, .roundEven, .squareRoot, .reciprocalSquareRoot,
      .reciprocal, .exp, .exp2, .expm1, .log, .log2, .log10, .log1p, .sin, .cos, .tan, .asin, .acos, .atan, .sinh,
      .cosh, .tanh, .asinh, .acosh, .atanh, .sigmoid, .erf, .erfc, .erfinv, .lgamma, .digamma, .not, .isNaN,
      .isFinite, .signBit:
      break
    case .add, .subtract, .multiply, .power, .atan2, .minimum, .maximum, .and, .or, .xor, .shiftLeft, .shiftRight,
      .equal, .notEqual, .less, .lessOrEqual, .copySign, .nextAfter, .philox:
      operands.append(values.last { builder.type($0) == builder.type(operand) } ?? operand)
    }
    // A refused payload is not used: the next attempt takes another.
    if let made = try? builder.append(primitive, operands) {
      let elements = builder.shape(made).elementCount.knownValue ?? 0
      if elements <= 200 { values.append(made) }
    }
  }
}

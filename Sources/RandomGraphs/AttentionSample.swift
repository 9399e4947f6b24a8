// Attentions as graphs, with every mask and form of softmax that models write. Tests choose theirs, the fuzzer any.
// Surprise: scores have four axes, [key heads, query heads of one key head, queries, keys], and the result is permuted.
import Basics
import GraphIR
import Scalars
import TensorTypes

/// An attention over [key heads, query heads of one, queries, keys] and what surrounds it.
package struct AttentionSample: Sendable {
  package enum Mask: CaseIterable, Sendable { case none, causal, boolean, added, slopes }
  package enum Softmax: CaseIterable, Sendable {
    case plain, reciprocal, hiddenRowsAreZero, shiftedWhereFinite, unshifted
  }
  package var heads = 2
  package var shared = 1
  package var queries = 5
  package var keys = 7
  package var width = 8
  package var outWidth = 8
  package var dtype = DType.f32
  package var mask = Mask.none
  package var softmax = Softmax.plain
  /// Of the first query, for the causal mask.
  package var start = 0
  /// Keys and values lie in a cache [capacity, heads, width] with more rows than are read.
  package var isCached = false
  package var isSymbolic = true
  /// Keys that nobody sees, by the boolean mask.
  package var hidden: Int?

  /// Any mask, any sizes.
  static func random(_ random: inout SeededGenerator) -> AttentionSample {
    let isCached = random.once(in: 2)
    return AttentionSample(
      heads: 1 + random.below(3), shared: 1 + random.below(2), queries: random.pick([1, 1, 2, 5, 9, 17]),
      keys: random.pick([1, 2, 7, 16, 33]), width: random.pick([1, 4, 8, 16]), outWidth: random.pick([1, 8, 16]),
      dtype: random.pick([.f32, .f32, .f16, .bf16]), mask: random.pick(Mask.allCases),
      softmax: random.pick(Softmax.allCases), start: random.below(9), isCached: isCached,
      isSymbolic: random.once(in: 2))
  }

  /// The graph with elements drawn from `seed`.
  func sample(seed: Int) throws -> GraphCase {
    let graph = try graph()
    let call = arguments(graph).map { Int(truncatingIfNeeded: $0) }
    return GraphCase(graph, calls: [call], seed: seed, values: .fractions)
  }

  package func graph() throws -> Graph {
    var b = GraphBuilder(name: "attention")
    func dim(_ name: String, _ value: Int) -> Dim { isSymbolic ? b.extent(name) : Dim(value) }
    let (n, t, s) = (Dim(heads), queries == 1 ? 1 : dim("t", queries), dim("s", keys))
    let (g, d, e) = (Dim(shared), Dim(width), Dim(outWidth))
    let first = b.scalar("start", .i64)
    let q = b.parameter("q", TensorType(dtype, [n, g, t, d]))
    func cached(_ name: String, _ width: Dim) throws -> Value {
      if isCached {
        let whole = b.parameter(name, TensorType(dtype, [Dim(keys + 3), n, width]))
        let read = try b.append(.slice(starts: [0, 0, 0], counts: [s, n, width], steps: [1, 1, 1]), whole)
        return try b.append(.permute([1, 0, 2]), read)
      }
      return b.parameter(name, TensorType(dtype, [n, s, width]))
    }
    let (k, v) = (try cached("k", d), try cached("v", e))
    let shape: Shape = [n, g, t, s]
    let product = try b.append(
      .contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(3, 2)])), q, k)
    let scores = try b.convert(product, to: .f32)
    let scaled = try b.append(.multiply, scores, b.filled(ScalarConstant(.f32, 0.37), shape))
    let x = try masked(scaled, &b, from: first)
    let weights = try divided(b.append(.exp, shifted(x, &b)), &b)
    let mixed = try b.append(
      .contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(3, 1)])),
      b.convert(weights, to: dtype), v)
    // As models continue: queries first.
    return b.finish([try b.append(.permute([2, 0, 1, 3]), mixed)])
  }

  /// - Parameter first: the first query's number.
  private func masked(_ x: Value, _ b: inout GraphBuilder, from first: Value) throws -> Value {
    let shape = b.shape(x)
    let hiddenScore = try b.filled(ScalarConstant(.f32, -.infinity), shape)
    switch mask {
    case .none: return x
    case .causal:
      let row = try b.append(.add, b.append(.iota(axis: 2, shape)), b.broadcast(first, shape))
      let seen = try b.append(.lessOrEqual, b.append(.iota(axis: 3, shape)), row)
      return try b.append(.select, seen, x, hiddenScore)
    case .boolean:
      let given = b.parameter("mask", TensorType(.bool, [shape[2], shape[3]]))
      return try b.append(.select, b.broadcast(given, shape), x, hiddenScore)
    case .added:
      let given = b.parameter("mask", TensorType(.f32, [shape[0], 1, shape[2], shape[3]]))
      return try b.append(.add, x, b.broadcast(given, shape))
    case .slopes:
      let far = try b.append(.subtract, b.append(.iota(axis: 3, shape)), b.append(.iota(axis: 2, shape)))
      let slope = b.parameter("slope", TensorType(.f32, [shape[0], 1, 1, 1]))
      return try b.append(
        .multiplyAdd, b.append(.convert(.f32), far), b.broadcast(slope, shape), x)
    }
  }

  /// What the exponential is taken of.
  private func shifted(_ x: Value, _ b: inout GraphBuilder) throws -> Value {
    if softmax == .unshifted { return x }
    let top = try b.append(.reduce(.maximum, axes: [3]), x)
    let kept = b.shape(top)
    let zero = try b.filled(ScalarConstant(.f32, 0), kept)
    var shift = top
    if softmax == .hiddenRowsAreZero {
      let isHidden = try b.append(.equal, top, b.filled(ScalarConstant(.f32, -.infinity), kept))
      shift = try b.append(.select, isHidden, zero, top)
    } else if softmax == .shiftedWhereFinite {
      shift = try b.append(.select, b.append(.isFinite, top), top, zero)
    }
    return try b.append(.subtract, x, b.restoring(shift, [3], b.shape(x)))
  }

  /// Each row of exponentials, divided by its sum.
  private func divided(_ exponentials: Value, _ b: inout GraphBuilder) throws -> Value {
    let shape = b.shape(exponentials)
    let sum = try b.append(.reduce(.sum, axes: [3]), exponentials)
    switch softmax {
    case .plain, .shiftedWhereFinite, .unshifted:
      return try b.append(.divide, exponentials, b.restoring(sum, [3], shape))
    case .reciprocal:
      let inverse = try b.append(.reciprocal, sum)
      return try b.append(.multiply, exponentials, b.restoring(inverse, [3], shape))
    case .hiddenRowsAreZero:
      let kept = b.shape(sum)
      let isEmpty = try b.append(.equal, sum, b.filled(ScalarConstant(.f32, 0), kept))
      let divisor = try b.append(.select, isEmpty, b.filled(ScalarConstant(.f32, 1), kept), sum)
      return try b.append(.divide, exponentials, b.restoring(divisor, [3], shape))
    }
  }

  /// The launch arguments of the graph.
  package func arguments(_ graph: Graph) -> [UInt64] {
    graph.arguments.map { name in
      switch name {
      case "t": UInt64(queries)
      case "s": UInt64(keys)
      default: UInt64(bitPattern: Int64(start))
      }
    }
  }

  /// Extents and elements of each parameter.
  package func tensors(_ graph: Graph, seed: Int) -> [(extents: [Int], elements: [Double])] {
    var random = SeededGenerator(seed: seed)
    let symbols = arguments(graph).map { Int(truncatingIfNeeded: $0) }
    return graph.parameters.map { parameter in
      let extents = parameter.type.shape.dims.map { $0.evaluated(symbols) ?? 0 }
      let elements = (0..<extents.reduce(1, *)).map { i -> Double in
        if parameter.type.dtype == .bool {
          return hidden.map { i / keys == $0 } ?? false ? 0 : random.below(4) == 0 ? 0 : 1
        }
        let value = Double(random.below(65) - 32) / 16
        return parameter.name == "slope" ? -abs(value) / 4 : value
      }
      return (extents, elements)
    }
  }
}

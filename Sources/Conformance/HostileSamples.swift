// Calls of functions that no recording has: random numbers, all kinds of subscripts, control flow. Each with arguments
// that are right, to be made hostile. Not a second table of operations: what the table can say is not here.
// Surprise: a test reads the library's public functions and demands each of them here or in the table.
import Basics
import Capture
import TensorTypes
import Tensors

/// A right call that is not recorded.
struct HostileSample: Sendable {
  let name: String
  let arguments: ConformanceArguments
  let operation: ConformanceOperation
  let mayBeCaptured: Bool

  init(
    _ name: String, _ places: [ConformanceValue], mayBeCaptured: Bool = true,
    run: @escaping @Sendable (ConformanceArguments) throws -> Tensor
  ) {
    self.name = name
    self.mayBeCaptured = mayBeCaptured
    arguments = ConformanceArguments(places: places, names: [:])
    operation = ConformanceOperation(tolerance: .elements) { a throws(Diagnostic) in
      do { return .tensor(try run(a)) } catch let error as Diagnostic { throw error } catch {
        throw Diagnostic(.compiler, "\(error)")
      }
    }
  }
}

enum HostileSamples {
  static let all = random + subscripts + extents + control + plain

  private static let x = ConformanceValue.tensor(Tensor.arange(24, dtype: .f32).reshaped(2, 3, 4))

  private static let angles = ConformanceValue.tensor(Tensor.arange(3, dtype: .f32).reshaped(3, 1))

  private static func list(_ values: Int...) -> ConformanceValue { .list(values.map { .integer($0) }) }

  private static let random: [HostileSample] = [
    HostileSample("uniform", [list(2, 3)]) { a in
      var generator = RandomGenerator(seed: 1)
      return try generator.uniform(a.dims(0))
    },
    HostileSample("normal", [list(2, 3), .number(0), .number(1)]) { a in
      var generator = RandomGenerator(seed: 1)
      return try generator.normal(a.dims(0), mean: a.double(1) ?? 0, deviation: a.double(2) ?? 1)
    },
    HostileSample("integers", [list(2, 3), .integer(0), .integer(9)]) { a in
      var generator = RandomGenerator(seed: 1)
      let (low, high) = (try a.required(1), try a.required(2))
      return try generator.integers(a.dims(0), in: low..<Swift.max(low, high), dtype: a.dtype(else: .i64))
    },
    HostileSample("bernoulli", [list(2, 3), .number(0.5)]) { a in
      var generator = RandomGenerator(seed: 1)
      return try generator.bernoulli(a.dims(0), probability: a.double(1) ?? 0)
    },
    HostileSample("permutation", [.integer(5)]) { a in
      var generator = RandomGenerator(seed: 1)
      return try generator.permutation(a.required(0))
    },
    HostileSample("dropout", [x, .number(0.5)]) { a in
      var generator = RandomGenerator(seed: 1)
      return try a.tensor(0).dropout(a.double(1) ?? 0, using: &generator)
    },
    // From the generator that all share: each draw is another one.
    HostileSample("random", [list(2, 3)], mayBeCaptured: false) { a in try Tensor.random(a.dims(0)) },
    HostileSample("randomNormal", [list(2, 3)], mayBeCaptured: false) { a in try Tensor.randomNormal(a.dims(0)) },
    HostileSample("randomIntegers", [list(2, 3), .integer(1), .integer(9)], mayBeCaptured: false) { a in
      let (low, high) = (try a.required(1), try a.required(2))
      return try Tensor.randomIntegers(a.dims(0), in: low..<Swift.max(low, high))
    },
  ]

  private static let subscripts: [HostileSample] = [
    HostileSample("x[i]", [x, .integer(1)]) { a in try a.tensor(0)[a.required(1)] },
    HostileSample("x[i, j, k]", [x, .integer(1), .integer(-1), .integer(0)]) { a in
      try a.tensor(0)[a.required(1), a.required(2), a.required(3)]
    },
    HostileSample("x[a..<b]", [x, .integer(0), .integer(2)]) { a in
      let (low, high) = (try a.required(1), try a.required(2))
      return try a.tensor(0)[low..<Swift.max(low, high)]
    },
    HostileSample("x[a...b]", [x, .integer(0), .integer(1)]) { a in
      let (low, high) = (try a.required(1), try a.required(2))
      return try a.tensor(0)[low...Swift.max(low, high)]
    },
    HostileSample("x[a...]", [x, .integer(1)]) { a in try a.tensor(0)[a.required(1)...] },
    HostileSample("x[..<a]", [x, .integer(1)]) { a in try a.tensor(0)[..<a.required(1)] },
    HostileSample("x[...a]", [x, .integer(1)]) { a in try a.tensor(0)[...a.required(1)] },
    HostileSample("x[..., a]", [x, .integer(1)]) { a in try a.tensor(0)[..., a.required(1)] },
    HostileSample("x[stride(to:)]", [x, .integer(0), .integer(3), .integer(2)]) { a in
      let step = try a.required(3)
      return try a.tensor(0)[.all, stride(from: a.required(1), to: a.required(2), by: step == 0 ? 1 : step)]
    },
    HostileSample("x[stride(through:)]", [x, .integer(2), .integer(0), .integer(-1)]) { a in
      let step = try a.required(3)
      return try a.tensor(0)[.all, stride(from: a.required(1), through: a.required(2), by: step == 0 ? 1 : step)]
    },
    HostileSample("x[[Int]]", [x, list(0, 1, 1)]) { a in try a.tensor(0)[a.ints(1) ?? []] },
    HostileSample("x[tensor, tensor]", [x, .tensor(Tensor([0, 1])), .tensor(Tensor([[2], [0]]))]) { a in
      try a.tensor(0)[a.tensor(1), a.tensor(2)]
    },
    HostileSample("x[slice] = v", [x, .integer(0), .integer(3), .integer(2), .tensor(Tensor(Float(7)))]) { a in
      var y = try a.tensor(0)
      y[.all, .slice(try a.int(1), try a.int(2), by: try a.int(3, else: 1))] = try a.tensor(4)
      return y
    },
    HostileSample("x[i, a..<b] = v", [x, .integer(1), .integer(1), .integer(3), .tensor(Tensor(Float(7)))]) { a in
      var y = try a.tensor(0)
      let (low, high) = (try a.required(2), try a.required(3))
      y[try a.required(1), low..<Swift.max(low, high)] = try a.tensor(4)
      return y
    },
    HostileSample("x[tensor] = v", [x, .tensor(Tensor([0, 1])), .tensor(Tensor(Float(7)))]) { a in
      var y = try a.tensor(0)
      y[try a.tensor(1)] = try a.tensor(2)
      return y
    },
  ]

  /// Extents and places as ``Dim``s.
  private static let extents: [HostileSample] = [
    HostileSample("x[Dim]", [x, .extent(1)]) { a in try a.tensor(0)[a.dim(1)] },
    HostileSample("x[Dim] = v", [x, .extent(1)]) { a in
      var y = try a.tensor(0)
      y[try a.dim(1)] = Tensor(Float(7))
      return y
    },
    HostileSample("x[..., a..<Dim]", [x, .integer(1), .extent(3)]) { a in
      try a.tensor(0)[..., a.required(1)..<a.dim(2)]
    },
    HostileSample("x[.all, Dim..<Dim] = v", [x, .extent(1), .extent(2)]) { a in
      var y = try a.tensor(0)
      y[.all, try a.dim(1)..<a.dim(2)] = Tensor(Float(7))
      return y
    },
    HostileSample("zeros(Dim)", [.extent(3), .extent(2)]) { a in try Tensor.zeros(a.dim(0), a.dim(1)) + 1 },
    HostileSample("arange(Dim)", [.extent(5)]) { a in try Tensor.arange(a.dim(0)) },
    HostileSample("expanded(Dim)", [.tensor(Tensor([Float(1), 2])), .extent(3)]) { a in
      try a.tensor(0).expanded(a.dim(1), 2)
    },
    HostileSample("expanded(Dim, Dim)", [.tensor(Tensor([[Float(1)]])), .extent(3), .extent(4)]) { a in
      try a.tensor(0).expanded(a.dim(1), a.dim(2)) * 2
    },
    HostileSample("reshaped(Dim)", [x, .extent(4)]) { a in try a.tensor(0).reshaped(a.dim(1), -1) * 2 },
    HostileSample("reshaped(Dim * Dim)", [x, .extent(2), .extent(3)]) { a in
      try a.tensor(0).reshaped(a.dim(1) * a.dim(2), 4) + 1
    },
    HostileSample("narrowed(Dim)", [x, .integer(1), .extent(0), .extent(2)]) { a in
      try a.tensor(0).narrowed(a.required(1), start: a.dim(2), count: a.dim(3)) * 2
    },
    HostileSample("random(Dim)", [.extent(3)]) { a in
      var generator = RandomGenerator(seed: 1)
      return try generator.uniform([a.dim(0), 2])
    },
    HostileSample("Tensor(Dim)", [x, .extent(3)]) { a in try a.tensor(0) * Tensor(a.dim(1)) },
    HostileSample("attention from Dim", [x, x, x, .extent(1)]) { a in
      try Tensor.scaledDotProductAttention(a.tensor(0), a.tensor(1), a.tensor(2), isCausal: true, start: a.dim(3))
    },
    HostileSample("summed(to: Dim)", [x, .extent(1)]) { a in try a.tensor(0).summed(to: [a.dim(1), 4]) },
  ]

  /// What the table says in another way.
  private static let plain: [HostileSample] = [
    HostileSample("swiglu", [x, x]) { a in try a.tensor(0).swiglu(a.tensor(1)) },
    HostileSample("rotated, interleaved", [x, angles, angles]) { a in
      try a.tensor(0).rotated(cosines: a.tensor(1), sines: a.tensor(2), layout: .interleaved)
    },
    HostileSample("rotated, halves", [x, angles, angles]) { a in
      try a.tensor(0).rotated(cosines: a.tensor(1), sines: a.tensor(2), layout: .halves)
    },
    HostileSample(
      "embedding in f64", [.tensor(Tensor.arange(6, dtype: .f16).reshaped(3, 2)), .tensor(Tensor([2, 0]))]
    ) {
      try $0.tensor(0).embedding($0.tensor(1), dtype: .f64)
    },
    HostileSample("expandedDims", [x, .integer(1)]) { a in try a.tensor(0).expandedDims(at: a.required(1)) },
    HostileSample("remainder", [x, .number(3)]) { a in try a.tensor(0).remainder(a.double(1) ?? 1) },
    HostileSample("select", [x, x, .number(1)]) { a in
      try Tensor.select(a.tensor(0) > 0, a.tensor(1), a.double(2) ?? 1)
    },
    HostileSample("maxPool1d", [x, .integer(2), .integer(1)]) { a in
      try a.tensor(0).maxPool1d(PerAxis(a.required(1)), dilation: PerAxis(a.required(2)))
    },
    HostileSample("maxPool2d", [x, .integer(2), .integer(1)]) { a in
      try a.tensor(0).maxPool2d(PerAxis(a.required(1)), stride: PerAxis(a.required(2)))
    },
    HostileSample("maxPool3d", [x, .integer(1), .integer(0)]) { a in
      try a.tensor(0).unsqueezed(0).maxPool3d(PerAxis(a.required(1)), padding: PerAxis(a.required(2)))
    },
  ]

  private static let control: [HostileSample] = [
    HostileSample("cond", [.tensor(Tensor(true)), x]) { a in
      let x = try a.tensor(1)
      return try cond(a.tensor(0), { x + 1 }, else: { x * 2 })
    },
    HostileSample("whileLoop", [.tensor(Tensor(Float(1))), .number(50)]) { a in
      let most = try a.double(1) ?? 50
      return try whileLoop(a.tensor(0), while: { ($0 < most).logicalAnd($0 < 100).logicalAnd($0 > 0) }, { $0 * 2 })
    },
    HostileSample("scan", [.tensor(Tensor(Float(0))), x]) { a in
      try scan(a.tensor(0), over: a.tensor(1)) { sum, row in
        let next = sum + row.sum()
        return (next, next)
      }.results
    },
    HostileSample("map", [x, .integer(0)]) { a in
      let axis = try a.required(1)
      return try map(over: a.tensor(0)) { $0.sum(axis) }
    },
  ]
}

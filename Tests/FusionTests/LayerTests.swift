// Kernels and bytes of whole layers, counted; and that small ones compute what their graphs mean.
import Basics
import Fusion
import GraphIR
import Scalars
import TensorTypes
import Testing

private func values(_ graph: Graph, _ arguments: [UInt64]) throws -> [Memory] {
  let symbols = arguments.map { Int($0) }
  return try graph.parameters.enumerated().map { number, parameter in
    var count = 1
    for (dim, stride) in zip(parameter.type.shape.dims, parameter.strides) {
      count += try (#require(dim.evaluated(symbols)) - 1) * #require(stride.evaluated(symbols))
    }
    let elements = (0..<count).map { i -> ScalarValue in
      let x = (i * 37 + number * 11) % 23 - 11
      return parameter.type.dtype.isFloating ? .float(Double(x) / 16) : .integer(Int64(x & 127))
    }
    return Memory(ReferenceTensor(parameter.type.dtype, [count], elements).bytes)
  }
}

private let donatedCache = [Donation(output: 1, parameter: 0)]

private func scheduled(_ graph: Graph, _ donations: [Donation] = []) throws -> Schedule {
  try Fuser.schedule(graph, SchedulingContext(target: .x86Version4, donations: donations))
}

@Test func a_decode_step_of_llama_computes_what_its_graph_means() throws {
  let graph = try LlamaDecode.graph(.small).verified()
  let sample = AgreementCase(graph: graph, parameters: try values(graph, [3]), arguments: [3])
  let difference = try sample.disagreement(donations: donatedCache)
  #expect(difference == nil)
  let optimized = AgreementCase(graph: try graph.optimized(), parameters: sample.parameters, arguments: [3])
  let second = try optimized.disagreement(with: sample.reference(), donations: donatedCache)
  #expect(second == nil)
}

@Test func a_layer_of_llama_decode_is_at_most_eight_kernels_and_layers_share_them() throws {
  let graph = try LlamaDecode.graph(.smol)
  let schedule = try scheduled(graph, donatedCache)
  let names = schedule.steps.map(\.kernel.name)
  #expect(schedule.steps.count <= 8 * 4, "\(names)")
  #expect(Set(schedule.steps.map(\.kernel.text)).count <= 10, "\(names)")
  #expect(!schedule.refusals.contains { $0.reason == .readAfterWrite })
}

@Test func two_layers_of_gpt2_compute_what_their_graph_means() throws {
  let graph = try GPT2Prefill.graph(layers: 2, heads: 2, headWidth: 4, tokens: nil).verified()
  let sample = AgreementCase(graph: graph, parameters: try values(graph, [5]), arguments: [5])
  let difference = try sample.disagreement()
  #expect(difference == nil)
}

@Test func a_layer_of_gpt2_is_at_most_eight_kernels_and_layers_share_them() throws {
  let graph = try GPT2Prefill.graph(layers: 4, heads: 12, headWidth: 64, tokens: 1024)
  let schedule = try scheduled(graph)
  let names = schedule.steps.map(\.kernel.name)
  #expect(schedule.steps.count <= 8 * 4, "\(names)")
  #expect(Set(schedule.steps.map(\.kernel.text)).count <= 8, "\(names)")
}

// MARK: One kernel, minimal bytes

/// Kernels and bytes of a graph of one output over [rows, columns], for 6 rows of 8.
private func cost(_ build: (inout GraphBuilder, Value, Shape) throws -> Value) throws -> (kernels: Int, bytes: Int) {
  var builder = GraphBuilder(name: "rows")
  let shape: Shape = [builder.extent("rows"), builder.extent("columns")]
  let x = builder.parameter("x", TensorType(.f32, shape))
  let y = try build(&builder, x, shape)
  let schedule = try scheduled(builder.finish([y]).optimized())
  var bytes = 0
  for step in schedule.steps { bytes += try #require(step.cost(schedule.graph, arguments: [6, 8])).bytes }
  return (schedule.steps.count, bytes)
}

private let once = 2 * 6 * 8 * 4

@Test func softmax_reads_and_writes_its_rows_once() throws {
  let (kernels, bytes) = try cost { builder, x, shape in
    let top = try builder.restoring(builder.append(.reduce(.maximum, axes: [1]), x), [1], shape)
    let e = try builder.append(.exp, builder.append(.subtract, x, top))
    return try builder.append(
      .divide, e, builder.restoring(builder.append(.reduce(.sum, axes: [1]), e), [1], shape))
  }
  #expect(kernels == 1 && bytes == once)
}

@Test func layernorm_reads_and_writes_its_rows_once() throws {
  let (kernels, bytes) = try cost { builder, x, shape in
    let n = try builder.filled(ScalarConstant(.f32, 8), [shape[0]])
    let mean = try builder.append(.divide, builder.append(.reduce(.sum, axes: [1]), x), n)
    let centred = try builder.append(.subtract, x, builder.restoring(mean, [1], shape))
    let squares = try builder.append(.reduce(.sum, axes: [1]), builder.append(.multiply, centred, centred))
    let scale = try builder.append(.reciprocalSquareRoot, builder.append(.divide, squares, n))
    let normal = try builder.append(.multiply, centred, builder.restoring(scale, [1], shape))
    let weight = builder.parameter("w", TensorType(.f32, [shape[1]]))
    return try builder.append(.multiply, normal, builder.broadcast(weight, shape))
  }
  #expect(kernels == 1 && bytes == once + 8 * 4)
}

@Test func a_chain_of_pointwise_operations_is_one_kernel() throws {
  let (kernels, bytes) = try cost { builder, x, shape in
    var y = x
    for primitive in [Primitive.exp, .tanh, .sigmoid, .absolute, .squareRoot, .negate, .sin, .cos] {
      y = try builder.append(primitive, y)
    }
    return try builder.append(.add, y, x)
  }
  #expect(kernels == 1 && bytes == once)
}

@Test func cross_entropy_of_rows_is_one_kernel_that_writes_a_number_for_each() throws {
  let (kernels, bytes) = try cost { builder, x, shape in
    let top = try builder.append(.reduce(.maximum, axes: [1]), x)
    let e = try builder.append(.exp, builder.append(.subtract, x, builder.restoring(top, [1], shape)))
    let sum = try builder.append(.reduce(.sum, axes: [1]), e)
    let whole = try builder.append(.add, builder.append(.log, sum), top)
    let labels = builder.parameter("labels", TensorType(.i64, [shape[0]]))
    let column = try builder.append(.iota(axis: 1, shape))
    let isLabel = try builder.append(.equal, column, builder.restoring(labels, [1], shape))
    let zero = try builder.filled(ScalarConstant(.f32, 0), shape)
    let chosen = try builder.append(.reduce(.sum, axes: [1]), builder.append(.select, isLabel, x, zero))
    return try builder.append(.subtract, whole, chosen)
  }
  #expect(kernels == 1 && bytes == 6 * 8 * 4 + 6 * 8 + 6 * 4)
}

@Test func a_reshape_between_a_product_and_its_epilogue_costs_no_kernel() throws {
  var builder = GraphBuilder(name: "split")
  let x = builder.parameter("x", TensorType(.f32, [5, 8]))
  let w = builder.parameter("w", TensorType(.f32, [8, 12]))
  let product = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), x, w)
  let split = try builder.append(.reshape([5, 3, 4]), product)
  let bias = builder.parameter("b", TensorType(.f32, [3, 4]))
  let graph = builder.finish([try builder.append(.add, split, builder.broadcast(bias, [5, 3, 4]))])
  let optimized = try graph.optimized()
  #expect(try scheduled(optimized).steps.count == 1)
  let sample = AgreementCase(graph: optimized, parameters: try values(graph, []), arguments: [])
  let difference = try sample.disagreement(
    with: AgreementCase(
      graph: graph, parameters: sample.parameters, arguments: []
    ).reference())
  #expect(difference == nil)
}

@Test func the_vector_of_a_product_is_computed_once() throws {
  var builder = GraphBuilder(name: "gated")
  let x = builder.parameter("x", TensorType(.f32, [64]))
  let w = builder.parameter("w", TensorType(.f32, [4096, 64]))
  let gated = try builder.append(.multiply, x, builder.append(.sigmoid, x))
  let y = try builder.append(.contraction(ContractionAxes(contracted: [.init(0, 1)])), gated, w)
  let schedule = try scheduled(builder.finish([y]))
  #expect(schedule.refusals.count == 1 && schedule.steps.count == 1)
  guard case .cheaperStored(let choice)? = schedule.refusals.first?.reason else {
    Issue.record("\(schedule.refusals)")
    return
  }
  // Written and read once, against an exponential and a division for every row.
  #expect(choice.stored < choice.recomputed && choice.stored > 2 * 64 * 4)
}

/// Sums over the rows, over the columns, and over the rows of another part of a + b + c + d.
private func sums(_ rows: Int, of terms: Int, kernels: Int = 3) throws -> Schedule {
  var builder = GraphBuilder(name: "sums")
  let shape: Shape = [Dim(rows), 512]
  var total = builder.parameter("x", TensorType(.f32, shape))
  for i in 1..<terms {
    total = try builder.append(.add, total, builder.parameter("x\(i)", TensorType(.f32, shape)))
  }
  let first = try builder.append(.reduce(.sum, axes: [0]), total)
  let second = try builder.append(.reduce(.maximum, axes: [1]), total)
  let third = try builder.append(.reduce(.sum, axes: [0, 1]), total)
  return try scheduled(builder.finish(Array([first, second, third].prefix(kernels))))
}

@Test func what_three_kernels_would_compute_is_stored_where_that_moves_less() throws {
  // Four terms for three: 3 x 4 reads against 4 + 1 + 3. Two for two: 2 x 2 against 2 + 1 + 2.
  let stored = try sums(4096, of: 4)
  #expect(stored.temporaries.count == 1)
  let choice = stored.refusals.compactMap { refusal in
    if case .cheaperStored(let choice) = refusal.reason { choice } else { nil }
  }.first
  let bytes = 4096 * 512 * 4
  #expect(try #require(choice).recomputed >= 12 * bytes && #require(choice).stored >= 8 * bytes)
  #expect(try sums(4096, of: 2, kernels: 2).temporaries.isEmpty)
  // A launch costs more than what is saved here.
  #expect(try sums(4, of: 4).temporaries.isEmpty)
}

@Test func an_optimizer_step_over_many_parameters_is_few_kernels() throws {
  var builder = GraphBuilder(name: "adam")
  var outputs: [Value] = []
  var donations: [Donation] = []
  for number in 0..<30 {
    let type = TensorType(.f32, number % 3 == 0 ? [Dim(64 + number)] : [Dim(8 + number), 96])
    let places = ["p", "m", "v", "g"].map { builder.parameter("\($0)\(number)", type) }
    func filled(_ x: Double) throws -> Value { try builder.filled(ScalarConstant(.f32, x), type.shape) }
    func mixed(_ old: Value, _ new: Value, _ share: Double) throws -> Value {
      try builder.append(
        .add, builder.append(.multiply, old, filled(share)), builder.append(.multiply, new, filled(1 - share)))
    }
    let m = try mixed(places[1], places[3], 0.9)
    let v = try mixed(places[2], builder.append(.multiply, places[3], places[3]), 0.999)
    let root = try builder.append(.add, builder.append(.squareRoot, v), filled(1e-8))
    let step = try builder.append(.divide, builder.append(.multiply, m, filled(1e-3)), root)
    for (i, value) in [try builder.append(.subtract, places[0], step), m, v].enumerated() {
      donations.append(Donation(output: outputs.count, parameter: 4 * number + i))
      outputs.append(value)
    }
  }
  let schedule = try scheduled(builder.finish(outputs), donations)
  #expect(schedule.temporaries.isEmpty && schedule.refusals.isEmpty)
  #expect(schedule.steps.count <= 3, "\(schedule.steps.map { $0.nests.count })")
}

@Test func an_outer_product_has_nothing_to_pack() throws {
  var builder = GraphBuilder(name: "outer")
  let x = builder.parameter("x", TensorType(.f32, [5, 1]))
  let y = builder.parameter("y", TensorType(.f32, [1, 7]))
  let product = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), x, y)
  let graph = builder.finish([product])
  let sample = AgreementCase(graph: graph, parameters: try values(graph, []), arguments: [])
  let optimized = AgreementCase(graph: try graph.optimized(), parameters: sample.parameters, arguments: [])
  let difference = try optimized.disagreement(with: sample.reference())
  #expect(difference == nil)
}

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
  let w = builder.parameter("w", TensorType(.f32, [32, 64]))
  let gated = try builder.append(.multiply, x, builder.append(.sigmoid, x))
  let y = try builder.append(.contraction(ContractionAxes(contracted: [.init(0, 1)])), gated, w)
  let schedule = try scheduled(builder.finish([y]))
  #expect(schedule.refusals.map(\.reason) == [.sharedByNests])
  #expect(schedule.steps.count == 1)
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

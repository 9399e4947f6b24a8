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

// The kernels of random graphs compute what the graphs mean, without a finding of the sanitizer.
import Basics
import Fusion
import GraphIR
import RandomGraphs
import Scalars
import TensorTypes
import Testing

@Suite struct AgreementTests {
  @Test(arguments: 0..<240) func kernels_of_random_graphs_agree_with_the_reference(_ seed: Int) throws {
    var random = RandomGraph.make(seed: seed, size: [24, 12, 16, 20][seed / 2 % 4], symbolic: seed % 2 == 0)
    // Other kinds of elements are the fuzzer's, which knows how far rounding goes.
    random.values = .whole
    let memory = try random.memory(0)
    let sample = AgreementCase(
      graph: random.graph, parameters: memory.map { Memory($0.bytes) }, arguments: random.arguments(0),
      starts: memory.map(\.offset))
    // A window or a largest element of nothing is no graph for these extents.
    guard let expected = try? sample.reference() else { return }
    #expect(try sample.disagreement(with: expected) == nil, "\(random)")
    let optimized = try random.graph.optimized().verified()
    let again = AgreementCase(
      graph: optimized, parameters: sample.parameters, arguments: sample.arguments, starts: sample.starts)
    #expect(try again.disagreement(with: expected) == nil, "\(random)\n\(optimized)")
  }
}

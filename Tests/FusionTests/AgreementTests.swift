// The kernels of random graphs compute what the graphs mean, without a finding of the sanitizer.
import Basics
import Fusion
import GraphIR
import RandomGraphs
import Scalars
import TensorTypes
import Testing

/// Small whole numbers, so that sums and products are exact in most dtypes.
private func randomCase(_ graph: Graph, seed: Int, extent: Int) throws -> AgreementCase {
  var random = SeededGenerator(seed: seed + 1000)
  let arguments = graph.arguments.map { $0 == "rate" ? ScalarReference.bits(of: .float(0.75), .f32) : UInt64(extent) }
  let symbols = arguments.map { Int(truncatingIfNeeded: $0) }
  let parameters = try graph.parameters.map { parameter in
    let extents = try parameter.type.shape.dims.map { try #require($0.evaluated(symbols)) }
    let strides = try parameter.strides.map { try #require($0.evaluated(symbols)) }
    let last = zip(extents, strides).reduce(0) { $0 + max(0, $1.0 - 1) * $1.1 }
    let dtype = parameter.type.dtype
    let elements: [ScalarValue] = (0...last).map { _ in
      let value = random.below(dtype == .bool ? 2 : 9) - (dtype.isSigned ? 4 : 0)
      return dtype.isFloating ? .float(Double(value)) : .integer(Int64(value))
    }
    return Memory(ReferenceTensor(dtype, [last + 1], elements).bytes)
  }
  return AgreementCase(graph: graph, parameters: parameters, arguments: arguments)
}

@Suite struct AgreementTests {
  @Test(arguments: 0..<240) func kernels_of_random_graphs_agree_with_the_reference(_ seed: Int) throws {
    let graph = RandomGraph.make(seed: seed, size: [24, 12, 16, 20][seed / 2 % 4], symbolic: seed % 2 == 0)
    let sample = try randomCase(graph, seed: seed, extent: [1, 3, 4, 7, 0, 2, 9][seed % 7])
    // A window or a largest element of nothing is no graph for these extents.
    guard (try? sample.reference()) != nil else { return }
    let difference = try sample.disagreement()
    #expect(difference == nil, "\(graph)")
    let optimized = try graph.optimized().verified()
    let again = AgreementCase(graph: optimized, parameters: sample.parameters, arguments: sample.arguments)
    let expected = try sample.reference()
    #expect(try again.disagreement(with: expected) == nil, "\(graph)\n\(optimized)")
  }
}

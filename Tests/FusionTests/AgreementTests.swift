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

/// Code for a kernel takes more than linear time, so that no kernel writes hundreds of results, whatever nest has them.
@Test(arguments: ["parameter", "row", "product", "row repeated", "product of a row"])
func hundreds_of_results_are_written_by_several_kernels(_ home: String) throws {
  var builder = GraphBuilder(name: "many")
  let x = builder.parameter("x", TensorType(.f32, [4, 4]))
  func total(_ value: Value) throws -> Value { try builder.append(.reduce(.sum, axes: [1]), value) }
  func product(_ value: Value) throws -> Value {
    try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 1)])), value, x)
  }
  let start =
    switch home {
    case "row": try total(x)
    case "product": try product(x)
    case "row repeated": try builder.append(.subtract, x, builder.restoring(total(x), [1], [4, 4]))
    case "product of a row": try product(builder.append(.subtract, x, builder.restoring(total(x), [1], [4, 4])))
    default: x
    }
  let shape = builder.type(start).shape
  let results = try (0..<250).map { number in
    let constant = try builder.append(.constant(ScalarConstant(.f32, Double(number))))
    return try builder.append(.multiply, start, builder.broadcast(constant, shape))
  }
  let graph = builder.finish(results)
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4))
  for step in schedule.steps {
    #expect(step.nests.reduce(0) { $0 + $1.roots.count } <= 100, "\(step.kernel.name)")
  }
  let values = (0..<16).flatMap { withUnsafeBytes(of: Float($0 % 7 - 3)) { Array($0) } }
  let sample = AgreementCase(graph: graph, parameters: [Memory(values)], arguments: [])
  #expect(try sample.disagreement() == nil)
}

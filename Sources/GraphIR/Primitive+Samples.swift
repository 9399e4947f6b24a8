// One primitive of each case and every pointwise operation, for tests, documentation and the parser, which finds records by
// name here. Not a list to dispatch on. Surprise: operands of a sample are not given; the tests make them from the record.
import Scalars
import TensorTypes

extension Primitive {
  /// One primitive for each name, in the order of the enum and of the records.
  package static let samples: [Primitive] =
    leafSamples + unaryOperations + [.convert(.f16), .bitcast(.i32)] + binaryOperations + [.philox(word: 2)]
    + ternaryOperations + structuralSamples

  private static let leafSamples: [Primitive] = [
    .parameter(0), .scalar(argument: 0), .constant(ScalarConstant(.f32, 1.5)), .iota(axis: 1, [2, 3]),
  ]

  private static let structuralSamples: [Primitive] = [
    .broadcast([4, 2, 3]), .reshape([3, 2]), .permute([1, 0]),
    .slice(starts: [1, 2], counts: [1, 2], steps: [1, -2]), .pad(low: [1, 0], high: [0, 2]), .concatenate(axis: 1),
    .windows(axis: 1, size: 2, step: 1, dilation: 1),
    .reduce(.sum, axes: [1]), .argReduce(.maximum, axis: 1), .scan(.sum, axis: 1), .argScan(.minimum, axis: 1),
    .sortOrder(axis: 1, descending: true),
    .contraction(ContractionAxes(contracted: [.init(1, 0)])), .gather(axis: 1), .scatter(axis: 1, combine: .sum),
    .assign(starts: [1, 0], steps: [1, 2]), .call(GraphReference(sampleGraph), output: 0),
  ]

  /// x: f32[2, 3] -> x + x.
  private static let sampleGraph: Graph = {
    var graph = Graph(name: "double")
    let type = TensorType(.f32, [2, 3])
    graph.parameters = [Parameter(name: "x", type: type)]
    graph.nodes = [GraphNode(.parameter(0), [], type), GraphNode(.add, [Value(0), Value(0)], type)]
    graph.outputs = [Value(1)]
    return graph
  }()

  private static let samplesByName: [String: Primitive] = Dictionary(
    samples.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

  /// The sample of this name.
  static func named(_ name: String) -> Primitive? {
    samplesByName[name] ?? Pointwise.added(name)
  }
}

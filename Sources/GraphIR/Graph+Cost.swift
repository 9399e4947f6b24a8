// What a graph costs whatever the kernels: floating operations, and the bytes that must move at least.
// Not a time. Surprise: a node's bytes are those of the node run alone; a graph's are those of one perfect kernel, that
// reads each parameter once and writes each output once.
import Scalars
import TensorTypes

/// Floating operations and bytes to and from memory.
package struct Cost: Sendable, Hashable {
  package var flops: Int
  package var bytes: Int
}

extension Graph {
  /// The cost of the whole graph for these launch arguments; nil where an extent has no value.
  package func cost(arguments: [Int] = []) -> Cost? {
    var total = Cost(flops: 0, bytes: 0)
    var read = Set<Int>()
    for (index, node) in nodes.enumerated() {
      guard let cost = cost(of: Value(index), arguments: arguments) else { return nil }
      total.flops = Swift.min(total.flops + cost.flops, CheckedSize.most)
      if case .parameter(let number) = node.primitive, read.insert(number).inserted {
        guard let bytes = node.type.byteCount(arguments) else { return nil }
        total.bytes += bytes
      }
    }
    var written = Set<Value>()
    for output in outputs where written.insert(output).inserted {
      guard let bytes = type(output).byteCount(arguments) else { return nil }
      total.bytes += bytes
    }
    return total
  }

  /// The cost of one node run alone; nil where an extent has no value. Leaves cost nothing.
  package func cost(of value: Value, arguments: [Int] = []) -> Cost? {
    let node = self[value]
    let definition = node.primitive.definition
    guard let results = node.type.shape.elementCount.evaluated(arguments),
      var bytes = node.type.byteCount(arguments)
    else { return nil }
    var sources: [(count: Int, dtype: DType)] = []
    var seen = Set<Value>()
    for operand in node.operands {
      guard let count = type(operand).shape.elementCount.evaluated(arguments) else { return nil }
      sources.append((count, type(operand).dtype))
      // What a choice leaves out is not read.
      let most = definition.lowering.readsEverything ? count : min(count, results)
      if seen.insert(operand).inserted { bytes += most * type(operand).dtype.size }
    }
    return definition.cost(
      CostQuestion(graph: self, node: node, arguments: arguments, results: results, sources: sources, bytes: bytes))
  }
}

/// What a record's cost is asked.
struct CostQuestion {
  let graph: Graph
  let node: GraphNode
  let arguments: [Int]
  /// How many elements the result has.
  let results: Int
  let sources: [(count: Int, dtype: DType)]
  /// Of the operands, each read once, and of the result.
  let bytes: Int

  /// Of a pointwise node.
  var program: ScalarProgram? { node.primitive.scalarProgram(operandDTypes: sources.map(\.dtype)) }
}

extension TensorType {
  fileprivate func byteCount(_ arguments: [Int]) -> Int? {
    shape.elementCount.evaluated(arguments).map { $0 * dtype.size }
  }
}

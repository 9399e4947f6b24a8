// What a graph costs whatever the kernels: floating operations, and the bytes that must move at least.
// Not a time. Surprise: a node's bytes are those of the node run alone; a graph's are those of one perfect kernel, that
// reads each parameter once and writes each output once.
import Basics
import Scalars
import TensorTypes

/// Floating operations and bytes to and from memory.
package struct Cost: Sendable, Hashable {
  package var flops: Int
  package var bytes: Int
  package init(flops: Int, bytes: Int) {
    self.flops = flops
    self.bytes = bytes
  }
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
      // What a reindexing or a gather leaves out is not read.
      let most = definition.lowering.readsEverything ? count : min(count, results)
      if seen.insert(operand).inserted { bytes += most * type(operand).dtype.size }
    }
    switch definition.lowering {
    case .leaf: return Cost(flops: 0, bytes: 0)
    case .pointwise:
      let program = node.primitive.scalarProgram(operandDTypes: sources.map(\.dtype))
      return Cost(flops: CheckedSize.work(program?.flops ?? 0, results), bytes: bytes)
    case .reindex, .argReduction, .argScan, .sort, .gather: return Cost(flops: 0, bytes: bytes)
    case .reduction, .scan: return Cost(flops: sources[0].dtype.isFloating ? sources[0].count : 0, bytes: bytes)
    case .contraction:
      guard let depth = contractedCount(node, arguments) else { return nil }
      return Cost(flops: node.type.dtype.isFloating ? CheckedSize.work(2 * results, depth) : 0, bytes: bytes)
    case .scatter(let monoid):
      // The base is read and written as the result; only touched elements are computed.
      return Cost(flops: monoid != nil && node.type.dtype.isFloating ? sources[2].count : 0, bytes: bytes)
    case .assign: return Cost(flops: 0, bytes: 2 * sources[1].count * sources[1].dtype.size)
    case .call:
      guard case .graph(let reference, _) = node.primitive.payload else { return nil }
      return calledCost(reference.graph, node, arguments).map { Cost(flops: $0.flops, bytes: bytes) }
    }
  }

  private func contractedCount(_ node: GraphNode, _ arguments: [Int]) -> Int? {
    guard case .contraction(let axes) = node.primitive else { return nil }
    let left = type(node.operands[0]).shape
    return axes.contracted.reduce(Dim(1)) { $0 * left[$1.left] }.evaluated(arguments)
  }

  private func calledCost(_ graph: Graph, _ node: GraphNode, _ arguments: [Int]) -> Cost? {
    var bound = [Int](repeating: 0, count: graph.arguments.count)
    for (parameter, operand) in zip(graph.parameters, node.operands) {
      for (inner, outer) in zip(parameter.type.shape.dims, type(operand).shape.dims) {
        guard case .symbol(let id)? = inner.expression else { continue }
        guard let value = outer.evaluated(arguments) else { return nil }
        bound[id] = value
      }
    }
    return graph.cost(arguments: bound)
  }
}

extension TensorType {
  fileprivate func byteCount(_ arguments: [Int]) -> Int? {
    shape.elementCount.evaluated(arguments).map { $0 * dtype.size }
  }
}

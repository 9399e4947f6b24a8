// What a nest costs as one kernel: the flops of its values, and the bytes that must move. Not a time.
// Surprise: of a tensor that is only gathered or sliced, no more counts than is read; a repeated axis counts once.
import GraphIR
import TensorTypes

extension LoopNest {
  /// The cost for these launch arguments; nil where an extent has no value.
  package func cost(_ graph: Graph, arguments: [Int]) -> Cost? {
    var cost = Cost(flops: 0, bytes: 0)
    /// Elements read of each input by those that choose; inputs of others are read whole.
    var chosen: [Value: Int] = [:]
    var whole = Set(roots.map(\.value))
    for value in body(graph) where inputs[value] == nil {
      let node = graph[value]
      guard let own = graph.cost(of: value, arguments: arguments),
        let results = node.type.shape.elementCount.evaluated(arguments)
      else { return nil }
      cost.flops += own.flops
      for (position, operand) in node.operands.enumerated() where inputs[operand] != nil {
        switch node.primitive.definition.lowering {
        case .reindex: chosen[operand, default: 0] += results
        case .gather where position == 0: chosen[operand, default: 0] += results
        case .gather, .leaf, .pointwise, .reduction, .argReduction, .scan, .argScan, .sort, .contraction, .scatter,
          .call:
          whole.insert(operand)
        }
      }
    }
    var sources: [Schedule.BufferSource: Int] = [:]
    for (value, source) in inputs {
      guard let stored = stored(graph, value, source, arguments) else { return nil }
      let read = whole.contains(value) ? stored : min(stored, chosen[value] ?? 0)
      let bytes = read * graph.type(value).dtype.size
      sources[source] = max(sources[source] ?? 0, bytes)
    }
    for root in roots {
      guard let count = graph.type(root.value).shape.elementCount.evaluated(arguments) else { return nil }
      cost.bytes += count * graph.type(root.value).dtype.size
    }
    cost.bytes += sources.values.reduce(0, +)
    return cost
  }

  /// Elements of an input in memory.
  private func stored(
    _ graph: Graph, _ value: Value, _ source: Schedule.BufferSource, _ arguments: [Int]
  ) -> Int? {
    let dims = graph.type(value).shape.dims
    var count = 1
    for (axis, dim) in dims.enumerated() {
      if case .parameter(let number) = source, graph.parameters[number].type.shape.dims == dims,
        graph.parameters[number].strides[axis].isKnown(0)
      {
        continue
      }
      guard let extent = dim.evaluated(arguments) else { return nil }
      count *= extent
    }
    return count
  }
}

// Passes over graphs: functions Graph -> Graph that keep what a launch sees (parameters, arguments, outputs).
// Not fusion. Surprise: a pass never reorders what it keeps and never iterates over a dictionary, so the same graph
// always gives the same graph.
import Basics
import TensorTypes

extension GraphBuilder {
  /// A builder with the parameters and arguments of `graph`, and no node yet.
  package init(declarationsOf graph: Graph) {
    self.init(name: graph.name)
    adopt(graph.parameters, graph.arguments)
  }
}

extension Graph {
  /// What a rewriting rule makes of a node.
  package enum Replacement: Sendable {
    /// The same primitive on the new operands.
    case keep
    /// A value of the builder, of the node's type.
    case value(Value)
  }

  /// The graph with each node replaced by what `rule` makes of it, in order. The rule gets the node, its operands in
  /// the new graph, and the builder to append to; a replacement must have the node's type.
  package func rewritten(
    _ rule: (_ node: GraphNode, _ operands: [Value], _ builder: inout GraphBuilder) throws(Diagnostic) -> Replacement
  ) throws(Diagnostic) -> Graph {
    var builder = GraphBuilder(declarationsOf: self)
    var places: [Value] = []
    places.reserveCapacity(nodes.count)
    for node in nodes {
      builder.origin = node.origin
      let operands = node.operands.map { places[Int($0.id)] }
      switch try rule(node, operands, &builder) {
      case .keep: places.append(builder.appendUnchecked(node.on(operands)))
      case .value(let value):
        let type = builder.type(value)
        if type != node.type {
          throw Diagnostic(
            .compiler, "graph \(name): \(node.primitive.name) of type \(node.type) is replaced by a \(type)")
        }
        places.append(value)
      }
    }
    return builder.finish(outputs.map { places[Int($0.id)] })
  }

  /// Without the nodes that no output needs. Parameters stay declared; nodes of unread ones go.
  package func withoutDeadNodes() -> Graph {
    let live = isLive
    if live.allSatisfy({ $0 }) { return self }
    var builder = GraphBuilder(declarationsOf: self)
    var places = [Value](repeating: Value(0), count: nodes.count)
    for (index, node) in nodes.enumerated() where live[index] {
      builder.origin = node.origin
      places[index] = builder.appendUnchecked(node.on(node.operands.map { places[Int($0.id)] }))
    }
    return builder.finish(outputs.map { places[Int($0.id)] })
  }

  /// Of each node: whether an output needs it.
  private var isLive: [Bool] {
    var live = [Bool](repeating: false, count: nodes.count)
    for output in outputs { live[Int(output.id)] = true }
    for index in nodes.indices.reversed() where live[index] {
      for operand in nodes[index].operands { live[Int(operand.id)] = true }
    }
    return live
  }

  /// The numbers of the parameters that outputs need, in order. A capture asks for them often: no graph is made for it.
  package var liveParameters: [Int] {
    let live = isLive
    return nodes.indices.compactMap { index in
      if live[index], case .parameter(let number) = nodes[index].primitive { number } else { nil }
    }.sorted()
  }
}

// MARK: Questions

extension Graph {
  /// How many operands and outputs each value is.
  package func useCounts() -> [Int] {
    var counts = [Int](repeating: 0, count: nodes.count)
    for node in nodes { for operand in node.operands { counts[Int(operand.id)] += 1 } }
    for output in outputs { counts[Int(output.id)] += 1 }
    return counts
  }

  /// The nodes that have each value as an operand.
  package func userLists() -> [[Int]] {
    var users = [[Int]](repeating: [], count: nodes.count)
    for (index, node) in nodes.enumerated() {
      for operand in node.operands where users[Int(operand.id)].last != index { users[Int(operand.id)].append(index) }
    }
    return users
  }

  /// A reindexing that leaves every axis where it is or inserts, drops or repeats axes of extent 1:
  /// the operand's tile is the result's tile.
  package func isAxisPreserving(_ value: Value) -> Bool {
    if case .broadcast = self[value].primitive { return true }
    guard case .reshape(let shape) = self[value].primitive else { return false }
    return type(self[value].operands[0]).shape.dims.filter { !$0.isKnown(1) } == shape.dims.filter { !$0.isKnown(1) }
  }

  /// A fault on integers where a divisor is 0.
  package func mayFault(_ value: Value) -> Bool {
    let node = self[value]
    return node.type.dtype.isInteger
      && node.primitive.dividesIntegers(operandDTypes: node.operands.map { type($0).dtype })
  }
}

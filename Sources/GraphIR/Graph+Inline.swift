// Calls written out: a pass that puts the nodes of called graphs in the place of their calls.
// Not an optimisation: Fusion has no notion of a call. Surprise: a called graph's symbols are its own; each is replaced by
// the extent that the operand of the call has there.
import Basics
import Scalars
import TensorTypes

extension Graph {
  /// Whether no node is a call.
  public var isFlat: Bool {
    nodes.allSatisfy { node in
      if case .call = node.primitive { return false }
      return true
    }
  }

  /// The same graph without calls.
  public func inlined() throws(Diagnostic) -> Graph {
    if isFlat { return self }
    return try rewritten { node, operands, builder throws(Diagnostic) in
      guard case .call(let reference) = node.primitive else { return .keep }
      return .value(try builder.inline(reference.graph, operands))
    }
  }
}

extension GraphBuilder {
  /// Appends the nodes of `graph` with its parameters replaced by `operands`.
  fileprivate mutating func inline(_ graph: Graph, _ operands: [Value]) throws(Diagnostic) -> Value {
    var bound = [Dim](repeating: 0, count: graph.arguments.count)
    for (parameter, operand) in zip(graph.parameters, operands) {
      for (inner, outer) in zip(parameter.type.shape.dims, shape(operand).dims) {
        if case .symbol(let id)? = inner.expression { bound[id] = outer }
      }
    }
    var places: [Value] = []
    for node in graph.nodes {
      if case .parameter(let number) = node.primitive {
        places.append(operands[number])
        continue
      }
      let moved = node.operands.map { places[Int($0.id)] }
      if case .call(let reference) = node.primitive {
        places.append(try inline(reference.graph, moved))
        continue
      }
      let type = TensorType(node.type.dtype, Shape(node.type.shape.dims.map { $0.bound { bound[$0] } }))
      places.append(appendUnchecked(GraphNode(node.primitive.bound { bound[$0] }, moved, type)))
    }
    return places[Int(graph.outputs[0].id)]
  }
}

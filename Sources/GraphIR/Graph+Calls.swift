// Calls of graphs: what a program appends to a capture, and the pass that puts the called nodes in the place of the calls.
// Not an optimisation: Fusion has no notion of a call. Surprise: a called graph's symbols are its own; each is replaced by
// the extent that the operand of the call has there.
import Basics
import TensorTypes

extension GraphBuilder {
  /// The results of a graph that is called with `operands`, whose types are those of its parameters. A graph of one
  /// primitive is that primitive.
  package mutating func call(_ reference: GraphReference, _ operands: [Value]) -> [Value] {
    let graph = reference.graph
    if graph.nodes.count <= graph.parameters.count + 1 { return inlined(graph, operands) }
    let bound = bindings(graph, operands)
    return graph.outputs.enumerated().map { number, output in
      let type = graph.type(output).bound { bound[$0] }
      return appendUnchecked(GraphNode(.call(reference, output: number), operands, type))
    }
  }

  /// Appends the nodes of `graph` with its parameters replaced by `operands`; gives its results.
  package mutating func inlined(_ graph: Graph, _ operands: [Value]) -> [Value] {
    let bound = bindings(graph, operands)
    var places: [Value] = []
    places.reserveCapacity(graph.nodes.count)
    for node in graph.nodes {
      if case .parameter(let number) = node.primitive {
        places.append(operands[number])
        continue
      }
      let moved = node.operands.map { places[Int($0.id)] }
      if case .call(let reference, let output) = node.primitive {
        places.append(inlined(reference.graph, moved)[output])
        continue
      }
      // Where an extent turns out to be 1 nothing is left to repeat or to reshape.
      let type = node.type.bound { bound[$0] }
      if moved.count == 1, node.primitive.changesShapeOnly, self.type(moved[0]) == type {
        places.append(moved[0])
      } else {
        places.append(appendUnchecked(GraphNode(node.primitive.bound { bound[$0] }, moved, type)))
      }
    }
    return graph.outputs.map { places[Int($0.id)] }
  }

  /// The extents that the symbols of `graph` stand for.
  private func bindings(_ graph: Graph, _ operands: [Value]) -> [Dim] {
    var bound = [Dim](repeating: 0, count: graph.arguments.count)
    for (parameter, operand) in zip(graph.parameters, operands) {
      for (inner, outer) in zip(parameter.type.shape.dims, shape(operand).dims) {
        if case .symbol(let id)? = inner.expression { bound[id] = outer }
      }
    }
    return bound
  }
}

extension Primitive {
  package var isCall: Bool { if case .call = self { true } else { false } }

  fileprivate var changesShapeOnly: Bool {
    switch self {
    case .reshape, .broadcast: true
    default: false
    }
  }
}

extension Graph {
  /// Whether no node is a call.
  package var isFlat: Bool {
    nodes.allSatisfy { !$0.primitive.isCall }
  }

  /// The same graph without calls.
  package func inlined() throws(Diagnostic) -> Graph {
    if isFlat { return self }
    // The results of one program are several calls.
    var known: [Call: [Value]] = [:]
    return try rewritten { node, operands, builder throws(Diagnostic) in
      guard case .call(let reference, let output) = node.primitive else { return .keep }
      let call = Call(reference: reference, operands: operands)
      let results = known[call] ?? builder.inlined(reference.graph, operands)
      if reference.graph.outputs.count > 1 { known[call] = results }
      return .value(results[output])
    }
  }
}

private struct Call: Hashable {
  var reference: GraphReference
  var operands: [Value]
}

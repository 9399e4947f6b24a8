// Calls of graphs, which stand for their own: the shared graph, and the record.
// Surprise: a call binds the called graph's symbols by the operands' shapes, and has one result; others are further calls.
import Basics
import Scalars
import TensorTypes

/// A shared immutable subgraph; equal when the graphs are equal.
package final class GraphReference: Sendable, Hashable {
  package let graph: Graph
  /// Of the graph, computed once.
  package let structuralHash: StableHash
  package init(_ graph: Graph) {
    self.graph = graph
    structuralHash = graph.structuralHash
  }
  package static func == (a: GraphReference, b: GraphReference) -> Bool {
    a === b || (a.structuralHash == b.structuralHash && a.graph == b.graph)
  }
  package func hash(into hasher: inout Hasher) { hasher.combine(structuralHash) }
}

enum Calls {
  static let samples: [Primitive] = [.call(GraphReference(sampleGraph), output: 0)]

  /// x: f32[2, 3] -> x + x.
  private static let sampleGraph: Graph = {
    var graph = Graph(name: "double")
    let type = TensorType(.f32, [2, 3])
    graph.parameters = [Parameter(name: "x", type: type)]
    graph.nodes = [GraphNode(.parameter(0), [], type), GraphNode(.add, [Value(0), Value(0)], type)]
    graph.outputs = [Value(1)]
    return graph
  }()

  static let call = PrimitiveDefinition(
    name: "call",
    meaning: "Result `output` of a graph with the operands as its parameters; its symbols are bound by their shapes.",
    constraints: [
      "the graph has the output and an operand for each parameter",
      "each operand has the parameter's type; a symbol stands for one extent",
      "the graph reads no scalar argument, and each of its symbols is an extent of a parameter",
      "the graph's parameters are contiguous",
    ],
    lowering: .call, dtypes: .all,
    type: { question throws(Diagnostic) in
      guard case .graph(let reference, let output) = question.payload else { throw question.unreachablePayload }
      let graph = reference.graph
      try question.require(
        graph.outputs.indices.contains(output) && graph.parameters.count == question.operands.count, 1, .argument,
        "\(graph.name) has \(graph.parameters.count) parameters and \(graph.outputs.count) outputs, "
          + "the call \(question.operands.count) operands and output \(output)")
      let known = try bindings(question, graph)
      let type = graph.type(graph.outputs[output])
      var dims: [Dim] = []
      for dim in type.shape.dims { dims.append(try bound(dim, known, question)) }
      return TensorType(type.dtype, Shape(dims))
    },
    value: { evaluation throws(Diagnostic) in
      guard case .graph(let reference, let output) = evaluation.payload else { throw evaluation.unreachablePayload }
      let graph = reference.graph
      var arguments = [UInt64](repeating: 0, count: graph.arguments.count)
      for (parameter, operand) in zip(graph.parameters, evaluation.operands) {
        for (dim, extent) in zip(parameter.type.shape.dims, operand.extents) {
          if case .symbol(let id)? = dim.expression { arguments[id] = UInt64(extent) }
        }
      }
      return try GraphInterpreter(graph).run(values: evaluation.operands, arguments: arguments)[output]
    },
    cost: { question in
      guard case .graph(let reference, _) = question.node.primitive.payload else { return nil }
      let graph = reference.graph
      var bound = [Int](repeating: 0, count: graph.arguments.count)
      for (parameter, operand) in zip(graph.parameters, question.node.operands) {
        for (inner, outer) in zip(parameter.type.shape.dims, question.graph.type(operand).shape.dims) {
          guard case .symbol(let id)? = inner.expression else { continue }
          guard let value = outer.evaluated(question.arguments) else { return nil }
          bound[id] = value
        }
      }
      return graph.cost(arguments: bound).map { Cost(flops: $0.flops, bytes: question.bytes) }
    })

  /// The extent each symbol of the called graph stands for.
  private static func bindings(_ question: borrowing TypeQuestion, _ graph: Graph) throws(Diagnostic) -> [Dim?] {
    for node in graph.nodes {
      if case .scalar(let argument) = node.primitive {
        throw question.broken(3, .argument, "\(graph.name) reads the scalar argument \(argument)")
      }
    }
    var bindings = [Dim?](repeating: nil, count: graph.arguments.count)
    for (parameter, operand) in zip(graph.parameters, question.operands) {
      try question.require(
        parameter.type.dtype == operand.dtype && parameter.type.shape.rank == operand.shape.rank, 2, .dtype,
        "\(parameter.name) is \(parameter.type), the operand \(operand)")
      try question.require(
        parameter.strides == parameter.type.shape.contiguousStrides, 4, "\(parameter.name) has strides of its own")
      for (inner, outer) in zip(parameter.type.shape.dims, operand.shape.dims) {
        guard case .symbol(let id)? = inner.expression, bindings.indices.contains(id) else { continue }
        try question.require(
          bindings[id] == nil || bindings[id] == outer, 2,
          "\(inner) is \(bindings[id].map(\.description) ?? "free") and \(outer)")
        bindings[id] = outer
      }
    }
    for (parameter, operand) in zip(graph.parameters, question.operands) {
      for (inner, outer) in zip(parameter.type.shape.dims, operand.shape.dims) {
        let needed = try bound(inner, bindings, question)
        try question.require(
          needed == outer, 2, "\(parameter.name) is \(parameter.type), the operand \(operand)")
      }
    }
    return bindings
  }

  private static func bound(_ dim: Dim, _ bindings: [Dim?], _ question: borrowing TypeQuestion) throws(Diagnostic)
    -> Dim
  {
    for symbol in dim.symbols where !bindings.indices.contains(symbol) || bindings[symbol] == nil {
      throw question.broken(3, .shape, "s\(symbol) is no extent of a parameter")
    }
    return dim.substituting { bindings[$0] ?? 0 }
  }
}

// Writes a Graph: every method appends one primitive with its inferred type.
// Not a checker of users' mistakes: an ill-typed operation throws the numbered constraint it breaks.
import Basics
import Scalars
import TensorTypes

package struct GraphBuilder: Sendable {
  package internal(set) var graph: Graph
  /// Where the nodes come from that are appended next; see ``GraphNode``.
  package var origin: Int32 = -1
  var symbolPlaces = SymbolPlaces()

  package init(name: String) { graph = Graph(name: name) }

  /// The finished graph. Mutating so that operands appended in the argument are part of it.
  package mutating func finish(_ outputs: [Value]) -> Graph {
    var graph = graph
    graph.outputs = outputs
    return graph
  }

  /// Takes over declarations, so that a pass keeps what a launch hands over.
  mutating func adopt(_ parameters: [Parameter], _ arguments: [String]) {
    graph.parameters = parameters
    graph.arguments = arguments
  }

  /// A node whose type is known to be right.
  package mutating func appendUnchecked(_ node: GraphNode) -> Value {
    var node = node
    if node.origin < 0 { node.origin = origin }
    graph.nodes.append(node)
    return Value(graph.nodes.count - 1)
  }

  package var nodeCount: Int { graph.nodes.count }

  /// Appends `count` nodes whose types are known to be right; they come from `origin`.
  package mutating func append(_ count: Int, _ node: (Int) -> GraphNode) {
    for i in 0..<count {
      var made = node(i)
      made.origin = origin
      graph.nodes.append(made)
    }
  }

  package func type(_ value: Value) -> TensorType { graph.type(value) }
  package func shape(_ value: Value) -> Shape { graph.type(value).shape }
  package func dtype(_ value: Value) -> DType { graph.type(value).dtype }

  package func primitive(_ value: Value) -> Primitive { graph[value].primitive }

  /// A 64-bit launch argument as a symbolic extent.
  package mutating func extent(_ name: String) -> Dim {
    graph.arguments.append(name)
    return Dim.symbol(graph.arguments.count - 1)
  }

  package mutating func parameter(_ name: String, _ type: TensorType, strides: [Dim]? = nil) -> Value {
    graph.parameters.append(Parameter(name: name, type: type, strides: strides))
    graph.nodes.append(GraphNode(.parameter(graph.parameters.count - 1), [], type))
    return Value(graph.nodes.count - 1)
  }

  /// A 0-d element handed to each launch.
  package mutating func scalar(_ name: String, _ dtype: DType) -> Value {
    graph.arguments.append(name)
    graph.nodes.append(GraphNode(.scalar(argument: graph.arguments.count - 1), [], TensorType(dtype, [])))
    return Value(graph.nodes.count - 1)
  }

  package mutating func append(_ primitive: Primitive, _ operands: [Value]) throws(Diagnostic) -> Value {
    let type = try primitive.resultType(operands.map { graph.type($0) })
    return appendUnchecked(GraphNode(primitive, operands, type))
  }

  package mutating func append(_ primitive: Primitive, _ operands: Value...) throws(Diagnostic) -> Value {
    try append(primitive, operands)
  }

  /// The 0-d constant repeated to `shape`.
  package mutating func filled(_ constant: ScalarConstant, _ shape: Shape) throws(Diagnostic) -> Value {
    let scalar = try append(.constant(constant), [])
    return try broadcast(scalar, shape)
  }

  package mutating func broadcast(_ value: Value, _ shape: Shape) throws(Diagnostic) -> Value {
    self.shape(value) == shape ? value : try append(.broadcast(shape), [value])
  }

  /// A value with `axes` of `shape` dropped, repeated along them again.
  package mutating func restoring(_ value: Value, _ axes: [Int], _ shape: Shape) throws(Diagnostic) -> Value {
    var kept = shape
    for axis in axes { kept[axis] = 1 }
    let inserted = self.shape(value) == kept ? value : try append(.reshape(kept), [value])
    return try broadcast(inserted, shape)
  }

  package mutating func convert(_ value: Value, to dtype: DType) throws(Diagnostic) -> Value {
    self.dtype(value) == dtype ? value : try append(.convert(dtype), [value])
  }
}

// Symbols replaced by other extents, in all types and payloads. Not a simplification: nodes that became trivial stay.
// Surprise: a called graph has symbols of its own, which are left alone.
import TensorTypes

extension GraphBuilder {
  /// From here and back to the first node, `symbol` is `dim`.
  package mutating func replace(symbol: Int, by dim: Dim) {
    let dims: (Int) -> Dim = { $0 == symbol ? dim : .symbol($0) }
    for i in symbolPlaces.taken(symbol, in: graph, for: dim) {
      graph.nodes[i].bind(dims)
      if case .parameter(let number) = graph.nodes[i].primitive { graph.parameters[number].bind(dims) }
    }
  }
}

/// Where symbols stand in a graph that grows: captures give hundreds of symbols other names one by one, each of which few
/// nodes have.
struct SymbolPlaces: Sendable {
  private var nodes: [Int: Set<Int>] = [:]
  private var seen = 0

  /// The nodes with `symbol`, which have those of `dim` instead from now on.
  mutating func taken(_ symbol: Int, in graph: Graph, for dim: Dim) -> Set<Int> {
    for i in graph.nodes.indices[seen...] {
      func note(_ dims: [Dim]) {
        for dim in dims { dim.forEachSymbol { nodes[$0, default: []].insert(i) } }
      }
      let node = graph.nodes[i]
      note(node.type.shape.dims)
      note(node.primitive.payload.extents)
      if case .parameter(let number) = node.primitive { note(graph.parameters[number].strides) }
    }
    seen = graph.nodes.count
    let taken = nodes.removeValue(forKey: symbol) ?? []
    for other in dim.symbols { nodes[other, default: []].formUnion(taken) }
    return taken
  }
}

extension Graph {
  /// The graph for these launch arguments: all extents are numbers.
  package func with(extents: [Int]) -> Graph { bound { Dim(extents[$0]) } }

  /// The graph with other names for its extents.
  package func renamed(_ known: (Dim) -> Dim) -> Graph { bound { known(.symbol($0)) } }

  private func bound(_ dims: (Int) -> Dim) -> Graph {
    var result = self
    for i in parameters.indices { result.parameters[i].bind(dims) }
    for i in nodes.indices { result.nodes[i].bind(dims) }
    return result
  }
}

extension Parameter {
  fileprivate mutating func bind(_ dims: (Int) -> Dim) {
    type = type.bound(dims)
    strides = strides.map { $0.bound(dims) }
  }
}

extension GraphNode {
  fileprivate mutating func bind(_ dims: (Int) -> Dim) {
    let origin = origin
    self = GraphNode(primitive.bound(dims), operands, type.bound(dims))
    self.origin = origin
  }
}

extension TensorType {
  func bound(_ dims: (Int) -> Dim) -> TensorType {
    TensorType(dtype, Shape(shape.dims.map { $0.bound(dims) }))
  }
}

extension Dim {
  func bound(_ dims: (Int) -> Dim) -> Dim { knownValue != nil ? self : substituting(dims) }
}

extension Primitive {
  /// No extent or start in it is a symbol.
  package var hasKnownExtents: Bool { payload.extents.allSatisfy { $0.knownValue != nil } }

  /// With every symbol replaced by its extent.
  func bound(_ dims: (Int) -> Dim) -> Primitive {
    let payload = payload
    if payload.extents.isEmpty { return self }
    return with(payload.mapExtents { $0.bound(dims) }) ?? self
  }
}

// Symbols replaced by other extents, in all types and payloads. Not a simplification: nodes that became trivial stay.
// Surprise: a called graph has symbols of its own, which are left alone.
import Scalars
import TensorTypes

extension GraphBuilder {
  /// From here and back to the first node, `symbol` is `dim`.
  package mutating func replace(symbol: Int, by dim: Dim) {
    graph = graph.bound { $0 == symbol ? dim : .symbol($0) }
  }
}

extension Graph {
  /// The graph for these launch arguments: all extents are numbers.
  package func with(extents: [Int]) -> Graph { bound { Dim(extents[$0]) } }

  /// The graph with other names for its extents.
  package func renamed(_ known: (Dim) -> Dim) -> Graph { bound { known(.symbol($0)) } }

  fileprivate func bound(_ dims: (Int) -> Dim) -> Graph {
    var result = self
    for i in parameters.indices {
      result.parameters[i].type = parameters[i].type.bound(dims)
      result.parameters[i].strides = parameters[i].strides.map { $0.bound(dims) }
    }
    for i in nodes.indices {
      result.nodes[i] = GraphNode(nodes[i].primitive.bound(dims), nodes[i].operands, nodes[i].type.bound(dims))
      result.nodes[i].origin = nodes[i].origin
    }
    return result
  }
}

extension TensorType {
  fileprivate func bound(_ dims: (Int) -> Dim) -> TensorType {
    TensorType(dtype, Shape(shape.dims.map { $0.bound(dims) }))
  }
}

extension Dim {
  func bound(_ dims: (Int) -> Dim) -> Dim { knownValue != nil ? self : substituting(dims) }
}

extension Primitive {
  /// No extent or start in it is a symbol.
  package var hasKnownExtents: Bool {
    let dims: [Dim] =
      switch payload {
      case .iota(_, let shape), .shape(let shape), .repeated(let shape): shape.dims
      case .slice(let starts, let counts, _): starts + counts
      case .pad(let low, let high): low + high
      case .assign(let starts, _): starts
      case .none, .number, .constant, .dtype, .permutation, .axis, .windows, .reduce, .argAxis, .scan, .sort,
        .contraction, .scatter, .graph:
        []
      }
    return dims.allSatisfy { $0.knownValue != nil }
  }

  /// With every symbol replaced by its extent.
  func bound(_ dims: (Int) -> Dim) -> Primitive {
    func all(_ list: [Dim]) -> [Dim] { list.map { $0.bound(dims) } }
    let made: Payload
    switch payload {
    case .iota(let axis, let shape): made = .iota(axis: axis, Shape(all(shape.dims)))
    case .shape(let shape): made = .shape(Shape(all(shape.dims)))
    case .repeated(let shape): made = .repeated(Shape(all(shape.dims)))
    case .slice(let starts, let counts, let steps):
      made = .slice(starts: all(starts), counts: all(counts), steps: steps)
    case .pad(let low, let high): made = .pad(low: all(low), high: all(high))
    case .assign(let starts, let steps): made = .assign(starts: all(starts), steps: steps)
    case .none, .number, .constant, .dtype, .permutation, .axis, .windows, .reduce, .argAxis, .scan, .sort,
      .contraction, .scatter, .graph:
      return self
    }
    return definition.make(made) ?? self
  }
}

// Axes of extent 1 taken out of the computation: a pass that gives equal computations one form.
// Not a change of any result's shape: outputs get their axes back. Surprise: what needs its axes where they are (gathers,
// scatters, scans) gets them back just for itself.
import Basics
import TensorTypes

extension Graph {
  /// The same graph on shapes without known extents of 1.
  package func withoutUnitAxes() throws(Diagnostic) -> Graph {
    var squeezer = Squeezer(builder: GraphBuilder(declarationsOf: self))
    for node in nodes { try squeezer.append(node, self) }
    var outputs: [Value] = []
    for output in self.outputs { outputs.append(try squeezer.whole(output, self)) }
    return squeezer.builder.finish(outputs)
  }
}

private struct Squeezer {
  var builder: GraphBuilder
  /// Each value without its axes of extent 1.
  var places: [Value] = []

  private func squeezed(_ shape: Shape) -> Shape { Shape(shape.dims.filter { !$0.isKnown(1) }) }
  private func kept(_ shape: Shape) -> [Int] { shape.dims.indices.filter { !shape[$0].isKnown(1) } }

  private mutating func reshaped(_ value: Value, _ shape: Shape) throws(Diagnostic) -> Value {
    builder.shape(value) == shape ? value : try builder.append(.reshape(shape), value)
  }

  /// The value in its own shape.
  mutating func whole(_ value: Value, _ graph: Graph) throws(Diagnostic) -> Value {
    try reshaped(places[Int(value.id)], graph.type(value).shape)
  }

  mutating func append(_ node: GraphNode, _ graph: Graph) throws(Diagnostic) {
    builder.origin = node.origin
    let small = node.operands.map { places[Int($0.id)] }
    if let made = try rewritten(node, small, graph) { return places.append(made) }
    var operands: [Value] = []
    for operand in node.operands { operands.append(try whole(operand, graph)) }
    let made = builder.appendUnchecked(node.on(operands))
    places.append(try reshaped(made, squeezed(node.type.shape)))
  }

  /// The node on operands without unit axes; nil where it needs them.
  private mutating func rewritten(_ node: GraphNode, _ small: [Value], _ graph: Graph) throws(Diagnostic) -> Value? {
    let shape = squeezed(node.type.shape)
    let sources = node.operands.map { graph.type($0).shape }
    switch node.primitive.definition.lowering {
    case .pointwise: return try builder.append(node.primitive, small)
    case .reduction:
      guard case .reduce(let monoid, let axes) = node.primitive else { return nil }
      let places = kept(sources[0])
      let left = axes.compactMap { axis in places.firstIndex(of: axis) }
      return left.isEmpty ? small[0] : try builder.append(.reduce(monoid, axes: left), small)
    case .contraction:
      guard case .contraction(let axes) = node.primitive else { return nil }
      let (left, right) = (kept(sources[0]), kept(sources[1]))
      func moved(_ pairs: [ContractionAxes.Pair]) -> [ContractionAxes.Pair] {
        pairs.compactMap { pair in
          guard let l = left.firstIndex(of: pair.left), let r = right.firstIndex(of: pair.right) else { return nil }
          return .init(l, r)
        }
      }
      return try builder.append(
        .contraction(ContractionAxes(batch: moved(axes.batch), contracted: moved(axes.contracted))), small)
    case .reindex: return try reindexed(node, small, sources, shape)
    default: return nil
    }
  }

  private mutating func reindexed(
    _ node: GraphNode, _ small: [Value], _ sources: [Shape], _ shape: Shape
  ) throws(Diagnostic) -> Value? {
    switch node.primitive.payload {
    case .shape: return try reshaped(small[0], shape)
    case .repeated(let target):
      // Axes are aligned at the right: units stay between, where what follows is repeated.
      let lead = target.rank - sources[0].rank
      var dims: [Dim] = []
      for axis in target.dims.indices where !target[axis].isKnown(1) {
        if axis >= lead { dims.append(sources[0][axis - lead]) } else if !dims.isEmpty { dims.append(1) }
      }
      while dims.first?.isKnown(1) == true { dims.removeFirst() }
      return try builder.broadcast(reshaped(small[0], Shape(dims)), shape)
    case .permutation(let permutation):
      let places = kept(sources[0])
      let moved = permutation.compactMap { places.firstIndex(of: $0) }
      return moved == Array(moved.indices) ? small[0] : try builder.append(.permute(moved), small)
    case .slice(let starts, let counts, let steps):
      // An axis that only now gets extent 1 is taken out behind the slice.
      let places = kept(sources[0])
      let isPlain = sources[0].dims.indices.allSatisfy { places.contains($0) || counts[$0].isKnown(1) }
      guard isPlain else { return nil }
      let cut = try builder.append(
        .slice(starts: places.map { starts[$0] }, counts: places.map { counts[$0] }, steps: places.map { steps[$0] }),
        small)
      return try reshaped(cut, shape)
    case .axis(let axis):
      guard !node.type.shape[axis].isKnown(1) else { return nil }
      var pieces: [Value] = []
      for (value, source) in zip(small, sources) {
        let dims = source.dims.indices.filter { $0 == axis || !source[$0].isKnown(1) }.map { source[$0] }
        pieces.append(try reshaped(value, Shape(dims)))
      }
      let place = node.type.shape.dims[..<axis].count { !$0.isKnown(1) }
      return try builder.append(.concatenate(axis: place), pieces)
    case .pad(let low, let high):
      let places = kept(sources[0])
      let isPlain = sources[0].dims.indices.allSatisfy {
        places.contains($0) || (low[$0].isKnown(0) && high[$0].isKnown(0))
      }
      guard isPlain else { return nil }
      return try reshaped(
        builder.append(.pad(low: places.map { low[$0] }, high: places.map { high[$0] }), small), shape)
    default: return nil
    }
  }
}

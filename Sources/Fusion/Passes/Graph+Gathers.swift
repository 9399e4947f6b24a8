// Gathers moved before elementwise work: a pass. The log probability of one class needs no log probabilities of the others.
// Not for tables in memory, which are read in place. Surprise: only work that the gather alone needs is moved, or that is
// done on memory; and only if no more elements are picked than there are.
import Basics
import GraphIR
import TensorTypes

extension Graph {
  /// gather(f(a, b..), i) becomes f(gather(a, i), b'..), where b' is what is the same for all elements picked from.
  func withEarlyGathers() throws(Diagnostic) -> Graph {
    guard nodes.contains(where: { if case .gather = $0.primitive { true } else { false } }) else { return self }
    var builder = GraphBuilder(declarationsOf: self)
    var places: [Value] = []
    let isCheap = cheapToPick()
    for node in nodes {
      builder.origin = node.origin
      let operands = node.operands.map { places[Int($0.id)] }
      if case .gather(let axis) = node.primitive, picksFew(node, axis) {
        var gather = EarlyGather(graph: self, isCheap: isCheap, places: places, axis: axis, indices: operands[1])
        let made = try gather.picked(node.operands[0], as: type(node.operands[0]).shape, &builder)
        if gather.moves, gather.picks {
          places.append(made)
          continue
        }
      }
      places.append(builder.appendUnchecked(node.on(operands)))
    }
    return builder.finish(outputs.map { places[Int($0.id)] })
  }

  /// Values whose elements may be computed where they are picked: nothing else needs them, or what they are made of is in
  /// memory, where it can be picked from.
  private func cheapToPick() -> [Bool] {
    var isRead = [Bool](repeating: false, count: nodes.count)
    for node in nodes {
      if case .reduction = node.primitive.definition.lowering { isRead[Int(node.operands[0].id)] = true }
    }
    var isStored = [Bool](repeating: false, count: nodes.count)
    for (index, node) in nodes.enumerated() {
      switch node.primitive.definition.lowering {
      case .leaf: isStored[index] = true
      case .pointwise: isStored[index] = node.operands.allSatisfy { isStored[Int($0.id)] }
      case .reindex:
        if case .broadcast = node.primitive {
          isStored[index] = true
        } else {
          isStored[index] = node.operands.allSatisfy { isStored[Int($0.id)] }
        }
      // A product of which rows are reduced is in memory.
      case .contraction: isStored[index] = isRead[index]
      default: break
      }
    }
    return zip(useCounts(), isStored).map { $0 == 1 || $1 }
  }

  private func picksFew(_ node: GraphNode, _ axis: Int) -> Bool {
    let (picked, all) = (node.type.shape[axis], type(node.operands[0]).shape[axis])
    if picked == all || picked.isKnown(1) { return true }
    guard let picked = picked.knownValue, let all = all.knownValue else { return false }
    return picked <= all
  }
}

/// One gather on its way up. Values are the old graph's, results the new one's.
private struct EarlyGather {
  let graph: Graph
  let isCheap: [Bool]
  let places: [Value]
  let axis: Int
  let indices: Value
  /// Elementwise work was passed; something is still gathered, so that a wrong index is found.
  var moves = false
  var picks = false

  init(graph: Graph, isCheap: [Bool], places: [Value], axis: Int, indices: Value) {
    (self.graph, self.isCheap, self.places, self.axis, self.indices) = (graph, isCheap, places, axis, indices)
  }

  /// What is picked from `value` in the form `shape`, which has other axes of extent 1 at most.
  mutating func picked(_ value: Value, as shape: Shape, _ builder: inout GraphBuilder) throws(Diagnostic) -> Value {
    let node = graph[value]
    if case .pointwise = node.primitive.definition.lowering, isCheap[Int(value.id)], !graph.mayFault(value),
      !node.operands.isEmpty
    {
      var operands: [Value] = []
      for operand in node.operands { operands.append(try picked(operand, as: shape, &builder)) }
      moves = true
      return try builder.append(node.primitive, operands)
    }
    if case .reshape = node.primitive, isCheap[Int(value.id)], graph.isAxisPreserving(value) {
      return try picked(node.operands[0], as: shape, &builder)
    }
    if case .broadcast = node.primitive, let repeated = try repeated(places[Int(value.id)], shape, &builder) {
      return repeated
    }
    picks = true
    let table = places[Int(value.id)]
    let whole = builder.shape(table) == shape ? table : try builder.append(.reshape(shape), table)
    return try builder.append(.gather(axis: axis), whole, indices)
  }

  /// A repetition along the axis, as a repetition to the shape of the indices.
  private func repeated(_ value: Value, _ shape: Shape, _ builder: inout GraphBuilder) throws(Diagnostic) -> Value? {
    guard let groups = AxisGroups(builder.shape(value), shape),
      let moved = builder.shape(value) == shape ? value : try builder.recast(value, to: shape, groups),
      case .broadcast = builder.graph[moved].primitive
    else { return nil }
    let source = builder.graph[moved].operands[0]
    let place = axis - (shape.rank - builder.shape(source).rank)
    guard place < 0 || (builder.shape(source)[place].isKnown(1) && !shape[axis].isKnown(1)) else { return nil }
    return try builder.broadcast(source, builder.shape(indices))
  }
}

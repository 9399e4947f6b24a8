// Products read decoded operands in the decoder's own axes: a pass. The reshape that makes them one axis moves to the other
// operand, and pieces joined along that axis become an axis of their own.
// Not for operands in memory, which have all shapes. Surprise: only what is computed from parameters alone is moved; any
// other operand has memory of its own, where a reshape is free.
import Basics
import GraphIR
import TensorTypes

extension Graph {
  /// product(a, reshape(decode(w))) becomes product(reshape(a), decode(w)): nothing decoded goes to memory.
  func withProductsOfDecoded() throws(Diagnostic) -> Graph {
    let joined = joinedForProducts()
    var graph = self
    if !joined.isEmpty {
      graph = try rewritten { node, operands, builder throws(Diagnostic) in
        joined.contains(node) ? .value(try builder.stacked(node, operands)) : .keep
      }.withLateReshapes().reduced()
    }
    return try graph.rewritten { node, operands, builder throws(Diagnostic) in
      guard case .contraction(let axes) = node.primitive else { return .keep }
      for isRight in [true, false] {
        if let made = try builder.movedReshape(operands, axes, isRight: isRight) { return .value(made) }
      }
      return .keep
    }.reduced()
  }

  /// Concatenations of equal pieces that a product sums over, with nothing but elementwise work and a reshape between.
  private func joinedForProducts() -> Set<GraphNode> {
    var found: Set<GraphNode> = []
    guard nodes.contains(where: { if case .concatenate = $0.primitive { true } else { false } }) else { return found }
    var users = [[Int]](repeating: [], count: nodes.count)
    for (index, node) in nodes.enumerated() { for operand in node.operands { users[Int(operand.id)].append(index) } }
    let outputs = Set(outputs)
    for (index, node) in nodes.enumerated() {
      guard case .concatenate(let axis) = node.primitive, node.operands.count > 1,
        let extent = type(node.operands[0]).shape[axis].knownValue, extent > 1,
        node.operands.allSatisfy({ type($0).shape[axis].isKnown(extent) })
      else { continue }
      var seen: Set<Int> = [index]
      var stack = [index]
      var isSummed = true
      while let next = stack.popLast(), isSummed {
        isSummed = !outputs.contains(Value(next)) && !users[next].isEmpty
        for user in users[next] where seen.insert(user).inserted {
          switch nodes[user].primitive.definition.lowering {
          case .pointwise: stack.append(user)
          case .reindex: isSummed = isSummed && isSummedOver(user, axis, users)
          default: isSummed = false
          }
        }
      }
      if isSummed { found.insert(node) }
    }
    return found
  }

  /// Node `index` is a reshape that takes `axis` and others together, and products sum over what they become.
  private func isSummedOver(_ index: Int, _ axis: Int, _ users: [[Int]]) -> Bool {
    guard case .reshape(let shape) = nodes[index].primitive,
      let groups = AxisGroups(type(nodes[index].operands[0]).shape, shape),
      let group = groups.old.firstIndex(where: { $0.contains(axis) }), groups.old[group].count > 1,
      groups.new[group].count == 1, !users[index].isEmpty
    else { return false }
    let merged = groups.new[group].lowerBound
    return users[index].allSatisfy { user in
      guard case .contraction(let axes) = nodes[user].primitive else { return false }
      return axes.contracted.contains { pair in
        (nodes[user].operands[0] == Value(index) && pair.left == merged)
          || (nodes[user].operands[1] == Value(index) && pair.right == merged)
      }
    }
  }
}

extension GraphBuilder {
  /// A concatenation as pieces with an axis of their own, reshaped.
  fileprivate mutating func stacked(_ node: GraphNode, _ operands: [Value]) throws(Diagnostic) -> Value {
    guard case .concatenate(let axis) = node.primitive else { return try append(node.primitive, operands) }
    var pieces: [Value] = []
    for operand in operands {
      var dims = shape(operand).dims
      dims.insert(1, at: axis)
      pieces.append(try append(.reshape(Shape(dims)), operand))
    }
    let stack = try append(.concatenate(axis: axis), pieces)
    return try append(.reshape(node.type.shape), stack)
  }

  /// The product with the reshape of one operand on the other; nil where there is none to move.
  fileprivate mutating func movedReshape(
    _ operands: [Value], _ axes: ContractionAxes, isRight: Bool
  ) throws(Diagnostic) -> Value? {
    let (mine, other) = (operands[isRight ? 1 : 0], operands[isRight ? 0 : 1])
    guard case .reshape = graph[mine].primitive, isDecoded(unreshaped(mine)) else { return nil }
    let source = unreshaped(mine)
    guard let groups = AxisGroups(shape(source), shape(mine)), groups.new.allSatisfy({ $0.count == 1 }) else {
      return nil
    }
    func position(_ pair: ContractionAxes.Pair, own: Bool) -> Int { own == isRight ? pair.right : pair.left }
    var dims = shape(other).dims.map { [$0] }
    for (old, new) in zip(groups.old, groups.new) where old.count > 1 {
      guard let pair = axes.contracted.first(where: { position($0, own: true) == new.lowerBound }) else { return nil }
      dims[position(pair, own: false)] = old.map { shape(source)[$0] }
    }
    guard dims.contains(where: { $0.count > 1 }) else { return nil }
    // Where each axis of the other operand begins now.
    var starts: [Int] = []
    var next = 0
    for dim in dims {
      starts.append(next)
      next += dim.count
    }
    func pairs(_ old: [ContractionAxes.Pair]) -> [ContractionAxes.Pair] {
      old.flatMap { pair in
        let (from, to) = (position(pair, own: true), position(pair, own: false))
        return groups.old[from].enumerated().map { i, axis -> ContractionAxes.Pair in
          isRight ? .init(starts[to] + i, axis) : .init(axis, starts[to] + i)
        }
      }
    }
    let moved = try append(.reshape(Shape(dims.flatMap { $0 })), other)
    let made = ContractionAxes(batch: pairs(axes.batch), contracted: pairs(axes.contracted))
    return try append(.contraction(made), isRight ? [moved, source] : [source, moved])
  }

  /// Computed element by element from parameters, and from nothing else.
  private func isDecoded(_ value: Value) -> Bool {
    var seen: Set<Value> = []
    var stack = [value]
    var computes = false
    while let value = stack.popLast() {
      guard seen.insert(value).inserted else { continue }
      if seen.count > 256 { return false }
      switch graph[value].primitive.definition.lowering {
      case .leaf: continue
      case .pointwise: computes = true
      case .reindex: break
      default: return false
      }
      stack += graph[value].operands
    }
    return computes
  }
}

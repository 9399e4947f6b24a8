// Products read what their operands are made of: a pass. A product names the axes it pairs, so that their order is free, and
// an axis along which one side only repeats is no pair: it is a row or a column of the other side.
// Not for operands in memory in another order, whose strides say the same. Surprise: where the result's axes would come out
// in another order, nothing is done.
import Basics
import GraphIR
import TensorTypes

extension Graph {
  /// product(permute(a), b) becomes product(a, b) on other axes, where `a` is computed; product(a, repeat(b)) over pairs of
  /// a repeated axis becomes product(a, b).
  func withPlainProductAxes() throws(Diagnostic) -> Graph {
    try rewritten { node, operands, builder throws(Diagnostic) in
      guard case .contraction(var axes) = node.primitive else { return .keep }
      var moved = operands
      while let (plain, pairs) = try builder.unpaired(moved, axes) { (moved, axes) = (plain, pairs) }
      for side in [0, 1] {
        guard case .permute(let order) = builder.primitive(moved[side]) else { continue }
        let source = builder.graph[moved[side]].operands[0]
        if !builder.isComputed(source) { continue }
        let free = side == 0 ? axes.leftFree(rank: order.count) : axes.rightFree(rank: order.count)
        guard zip(free, free.dropFirst()).allSatisfy({ order[$0] < order[$1] }) else { continue }
        func renamed(_ pairs: [ContractionAxes.Pair]) -> [ContractionAxes.Pair] {
          pairs.map { side == 0 ? .init(order[$0.left], $0.right) : .init($0.left, order[$0.right]) }
        }
        axes = ContractionAxes(batch: renamed(axes.batch), contracted: renamed(axes.contracted))
        moved[side] = source
      }
      return moved == operands ? .keep : .value(try builder.append(.contraction(axes), moved))
    }
  }
}

extension GraphBuilder {
  /// The operands and axes without the last pair, if one side repeats along it and the result's axes stay in order.
  fileprivate mutating func unpaired(
    _ operands: [Value], _ axes: ContractionAxes
  ) throws(Diagnostic) -> ([Value], ContractionAxes)? {
    guard let last = axes.batch.last else { return nil }
    let ranks = operands.map { shape($0).rank }
    for side in [1, 0] {
      let (own, other) = side == 1 ? (last.right, last.left) : (last.left, last.right)
      // The axis comes behind the pairs that are left: first of all free axes.
      let free = side == 1 ? axes.leftFree(rank: ranks[0]) : axes.rightFree(rank: ranks[1])
      guard free.first.map({ $0 > other }) ?? true else { continue }
      if side == 0, !axes.leftFree(rank: ranks[0]).isEmpty { continue }
      guard let plain = try withoutRepetition(operands[side], own) else { continue }
      func left(_ axis: Int) -> Int { side == 0 && axis > own ? axis - 1 : axis }
      func right(_ axis: Int) -> Int { side == 1 && axis > own ? axis - 1 : axis }
      func moved(_ pairs: [ContractionAxes.Pair]) -> [ContractionAxes.Pair] {
        pairs.map { .init(left($0.left), right($0.right)) }
      }
      let made = ContractionAxes(batch: moved(axes.batch.dropLast()), contracted: moved(axes.contracted))
      return (side == 1 ? [operands[0], plain] : [plain, operands[1]], made)
    }
    return nil
  }

  /// A value without an axis that it repeats along; nil: its elements differ there.
  private mutating func withoutRepetition(_ value: Value, _ axis: Int) throws(Diagnostic) -> Value? {
    let node = graph[value]
    switch node.primitive.payload {
    case .repeated(let target):
      let source = shape(node.operands[0])
      let place = axis - (target.rank - source.rank)
      var dims = target
      dims.dims.remove(at: axis)
      if place < 0 { return try broadcast(node.operands[0], dims) }
      guard source[place].isKnown(1), !target[axis].isKnown(1) else { return nil }
      var inner = source
      inner.dims.remove(at: place)
      return try broadcast(append(.reshape(inner), node.operands[0]), dims)
    case .permutation(let order):
      guard let plain = try withoutRepetition(node.operands[0], order[axis]) else { return nil }
      let left = order.filter { $0 != order[axis] }.map { $0 > order[axis] ? $0 - 1 : $0 }
      return try append(.permute(left), plain)
    case .none, .dtype:
      guard case .pointwise = node.primitive.definition.lowering else { return nil }
      var operands: [Value] = []
      for operand in node.operands {
        guard let plain = try withoutRepetition(operand, axis) else { return nil }
        operands.append(plain)
      }
      return try append(node.primitive, operands)
    default: return nil
    }
  }

  /// More than a parameter in another order.
  fileprivate func isComputed(_ value: Value) -> Bool {
    switch primitive(value).definition.lowering {
    case .leaf: false
    case .reindex: isComputed(graph[value].operands[0])
    default: true
    }
  }
}

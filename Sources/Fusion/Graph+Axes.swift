// Questions about how a graph's values walk their operands' axes. Not rules of single ops: those are in their records.
import GraphIR
import TensorTypes

extension Graph {
  /// Which values outputs need.
  func liveValues() -> [Bool] {
    var live = [Bool](repeating: false, count: nodes.count)
    for output in outputs { live[output] = true }
    for index in nodes.indices.reversed() where live[index] {
      for operand in nodes[index].operands { live[operand] = true }
    }
    return live
  }

  /// The live nodes that have each value as an operand, in order.
  func users(_ live: [Bool]) -> [[Int32]] {
    var users = [[Int32]](repeating: [], count: nodes.count)
    for (index, node) in nodes.enumerated() where live[index] {
      for operand in node.operands where users[operand].last != Int32(index) { users[operand].append(Int32(index)) }
    }
    return users
  }

  /// Values that need no place of their own: they can be computed wherever they are used.
  func isFree(_ value: Value) -> Bool {
    self[value].primitive.definition.lowering.isFree
  }

  /// Every path from `value` to `anchors` is pointwise, so that elements meet at equal places.
  func isElementwise(_ value: Value, over anchors: Set<Value>) -> Bool {
    guard let first = anchors.map(\.id).min() else { return true }
    var reaches: [Value: Bool] = [:]
    func visit(_ value: Value) -> Bool {
      if anchors.contains(value) { return true }
      if value.id < first { return false }
      if let known = reaches[value] { return known }
      var found = false
      for operand in self[value].operands where visit(operand) { found = true }
      reaches[value] = found
      return found
    }
    _ = visit(value)
    return reaches.allSatisfy { value, reaches in
      if !reaches { return true }
      if case .pointwise = self[value].primitive.definition.lowering { return true }
      return false
    }
  }

  /// Axes of operand 0 that a row operation walks as a whole.
  func reducedAxes(_ value: Value) -> [Int] {
    switch self[value].primitive {
    case .reduce(_, let axes): return axes.sorted()
    case .argReduce(_, let axis), .scan(_, let axis), .argScan(_, let axis), .sortOrder(let axis, _): return [axis]
    case let primitive:
      preconditionFailure("\(primitive.definition.name) is no row operation")
    }
  }
}

extension Graph {
  /// Values that some operation computes: neither given nor the same elements elsewhere.
  func computedValues() -> Set<Value> {
    var computed: Set<Value> = []
    for (index, node) in nodes.enumerated() {
      let kind = node.primitive.definition.lowering.kind
      if ![.leaf, .reindex, .assign].contains(kind) { computed.insert(Value(index)) }
    }
    return computed
  }
}

// Questions about how a graph's values walk their operands' axes. Not rules of single ops: those are in their records.
import GraphIR
import TensorTypes

extension Graph {
  /// Values that outputs need.
  func liveValues() -> Set<Value> {
    var live: Set<Value> = []
    var stack = outputs
    while let value = stack.popLast() {
      if live.insert(value).inserted { stack += self[value].operands }
    }
    return live
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

  /// A reindexing that leaves every axis where it is or inserts, drops or repeats axes of extent 1:
  /// the operand's tile is the result's tile.
  func isAxisPreserving(_ value: Value) -> Bool {
    if case .broadcast = self[value].primitive { return true }
    guard case .reshape(let shape) = self[value].primitive else { return false }
    return type(self[value].operands[0]).shape.dims.filter { !$0.isKnown(1) } == shape.dims.filter { !$0.isKnown(1) }
  }

  /// A parameter whose strides are those of its shape, or a value that will be written row-major.
  func isRowMajor(_ value: Value) -> Bool {
    guard case .parameter(let i) = self[value].primitive else { return true }
    let parameter = parameters[i]
    return zip(parameter.strides, parameter.type.shape.contiguousStrides).enumerated().allSatisfy { axis, pair in
      pair.0 == pair.1 || parameter.type.shape[axis].isKnown(1)
    }
  }

  /// Every path from `value` to `anchors` is pointwise, so that elements meet at equal places.
  func isElementwise(_ value: Value, over anchors: Set<Value>) -> Bool {
    if anchors.contains(value) { return true }
    let node = self[value]
    let reaches = node.operands.filter { reachesAny($0, anchors) }
    if reaches.isEmpty { return true }
    guard case .pointwise = node.primitive.definition.lowering else { return false }
    return reaches.allSatisfy { isElementwise($0, over: anchors) }
  }

  private func reachesAny(_ value: Value, _ anchors: Set<Value>) -> Bool {
    anchors.contains(value) || self[value].operands.contains { reachesAny($0, anchors) }
  }
}

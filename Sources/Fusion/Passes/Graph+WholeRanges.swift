// Writes into a part of a part as one write into the whole: a pass for caches and slices of slices.
// Not fusion. Surprise: capture writes through views step by step, reading each part before it is written back; what is
// read only to be written back is not read at all.
import Basics
import GraphIR
import TensorTypes

extension Graph {
  /// assign(b, assign(slice(b, S), u, T), S) becomes assign(b, u, S of T), also through axes of extent 1.
  func withWholeRanges() throws(Diagnostic) -> Graph {
    guard nodes.contains(where: { if case .assign = $0.primitive { true } else { false } }) else { return self }
    return try rewritten { node, operands, builder throws(Diagnostic) in
      guard case .assign(let starts, let steps) = node.primitive else { return .keep }
      var made: (base: Value, update: Value, starts: [Dim], steps: [Int]) = (operands[0], operands[1], starts, steps)
      while let inner = try builder.innerRange(made) { made = inner }
      if made.update == operands[1] { return .keep }
      return .value(try builder.append(.assign(starts: made.starts, steps: made.steps), made.base, made.update))
    }
  }
}

extension GraphBuilder {
  fileprivate mutating func innerRange(
    _ outer: (base: Value, update: Value, starts: [Dim], steps: [Int])
  ) throws(Diagnostic) -> (base: Value, update: Value, starts: [Dim], steps: [Int])? {
    // The update may have lost axes of extent 1 on the way.
    var update = outer.update
    let window = shape(update)
    if case .reshape = graph[update].primitive { update = graph[update].operands[0] }
    guard case .assign(let starts, let steps) = graph[update].primitive else { return nil }
    let (part, inner) = (graph[update].operands[0], graph[update].operands[1])
    var read = part
    if case .reshape = graph[read].primitive { read = graph[read].operands[0] }
    guard case .slice(let from, let counts, let strides) = graph[read].primitive,
      graph[read].operands[0] == outer.base, from == outer.starts, strides == outer.steps, counts == window.dims
    else { return nil }
    // Axes of the window that the inner write sees, in order.
    let places = window.dims.indices.filter { !window[$0].isKnown(1) }
    let innerShape = shape(part)
    let seen = innerShape.dims.indices.filter { !innerShape[$0].isKnown(1) }
    guard places.map({ window[$0] }) == seen.map({ innerShape[$0] }) else { return nil }
    var result = outer
    var dims = window.dims
    for (outerAxis, innerAxis) in zip(places, seen) {
      result.starts[outerAxis] = outer.starts[outerAxis] + starts[innerAxis] * outer.steps[outerAxis]
      result.steps[outerAxis] = outer.steps[outerAxis] * steps[innerAxis]
      dims[outerAxis] = shape(inner)[innerAxis]
    }
    result.update = shape(inner) == Shape(dims) ? inner : try append(.reshape(Shape(dims)), inner)
    return result
  }
}

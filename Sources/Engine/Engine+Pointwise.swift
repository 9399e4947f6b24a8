// Launching pointwise programs: operands of one shape, axes coalesced to as few as their strides allow.
// Surprise: most tensors become one axis here, so that one kernel serves all shapes of a dtype.
import Basics
import TensorTypes

extension Engine {
  /// All tensor operands and destinations have one shape (stride 0 where an operand repeats).
  package func runPointwise(
    _ program: Program, _ operands: [Operand], _ destinations: [Destination]
  ) throws(Diagnostic) -> [TensorView] {
    // A capture keeps the axes as they are: the compiler sees more of the program than one operation.
    if let trace = Trace.recording(operands, destinations) { return try trace.record(program, operands, destinations) }
    var results: [TensorView] = []
    for destination in destinations {
      switch destination {
      case .existing(let view): results.append(view)
      case .fresh(let dtype, let extents): results.append(try allocate(dtype, extents))
      }
    }
    if results[0].elementCount == 0 { return try run(program, operands, results.map { .existing($0) }) }
    var views = results
    for case .tensor(let view) in operands { views.append(view) }
    coalesce(&views)
    lengthenRows(&views)
    var next = results.count
    let merged = operands.map { operand in
      guard case .tensor = operand else { return operand }
      defer { next += 1 }
      return .tensor(views[next])
    }
    _ = try run(program, merged, results.indices.map { .existing(views[$0]) })
    return results
  }

  package func runPointwise(
    _ program: Program, _ operands: [Operand], _ destination: Destination
  ) throws(Diagnostic) -> TensorView {
    try runPointwise(program, operands, [destination])[0]
  }
}

/// A short last axis along which a view is not dense is read lane by lane, most lanes in vain:
/// a long axis along which a view is dense goes last instead.
private func lengthenRows(_ views: inout [TensorView]) {
  let extents = views[0].hints
  let long = 16
  guard let last = extents.last, last < long, extents.count > 1,
    views.contains(where: { ($0.strides.last ?? 0) > 1 || ($0.strides.last ?? 0) < 0 }),
    let axis = extents.indices.last(where: { axis in
      extents[axis] >= long && views.contains { $0.strides[axis] == 1 }
    })
  else { return }
  for i in views.indices {
    views[i].hints.append(views[i].hints.remove(at: axis))
    views[i].strides.append(views[i].strides.remove(at: axis))
  }
}

/// Drops axes of extent 1 and merges neighbours of one kind that every view walks without a gap.
/// `views[0]` gives the extents; gives the kinds of the axes that are left.
@discardableResult
package func coalesce(_ views: inout [TensorView], kinds: [Bool]? = nil) -> [Bool] {
  let extents = views[0].hints
  var kept: [Int] = []
  var merged: [Int] = []
  for axis in extents.indices where extents[axis] != 1 {
    if let last = kept.last, kinds == nil || kinds?[last] == kinds?[axis],
      views.allSatisfy({ $0.strides[last] == $0.strides[axis] * extents[axis] })
    {
      // The merged axis steps as its innermost part does.
      kept[kept.count - 1] = axis
      merged[merged.count - 1] *= extents[axis]
    } else {
      kept.append(axis)
      merged.append(extents[axis])
    }
  }
  if kept.count != extents.count {
    for i in views.indices {
      let strides = views[i].strides
      views[i].strides = kept.map { strides[$0] }
      views[i].hints = merged
    }
  }
  return kept.map { kinds?[$0] ?? false }
}

// Outputs that are written over parameters, as wholes: after everything that reads the old value, or with a copy.
// Not range writes (`Partition+Ranges`). Surprise: a nest computes again what it stores itself, so what a result reads is
// asked of the nest that would write it, and asked again where another result joins that nest.
import Basics
import GraphIR
import TensorTypes

/// An output that may be written into a parameter's memory: the launch passes one address for both.
package struct Donation: Sendable, Hashable {
  package var output: Int
  package var parameter: Int
  package init(output: Int, parameter: Int) {
    self.output = output
    self.parameter = parameter
  }
}

extension Partition {
  /// Outputs that overwrite parameters, each after everything that reads the old value.
  mutating func placeDonated() {
    // A chain of range writes is there already.
    var open = context.donations.filter { memory[graph.outputs[$0.output]] != target($0) }
    if open.isEmpty { return }
    var copies: [(value: Value, target: MemoryView)] = []
    var cones = open.map { parameters(readBy: [graph.outputs[$0.output]]) }
    while !open.isEmpty {
      // One whose old value no other waiting output reads.
      let next = open.indices.first { i in
        open.indices.allSatisfy { $0 == i || !cones[$0].contains(open[i].parameter) }
      }
      let donation = open.remove(at: next ?? 0)
      cones.remove(at: next ?? 0)
      let value = graph.outputs[donation.output]
      if next != nil, overwrite(value, target(donation), donation.parameter) { continue }
      refuse(value, .readAfterWrite)
      if memory[value] == nil { materialise(value) }
      if case .parameter? = memory[value]?.source {
        // What is only a view of a parameter goes before any of them is overwritten.
        move(value, to: temporary(value))
      }
      copies.append((value, target(donation)))
    }
    copies += withdrawn()
    for copy in copies { appendPointwise(copy.value, copy.target) }
  }

  private func target(_ donation: Donation) -> MemoryView {
    MemoryView(
      .parameter(donation.parameter), graph.type(graph.outputs[donation.output]),
      strides: graph.parameters[donation.parameter].strides)
  }

  /// Writes `value` over parameter `p`, if everything that reads the old value has run by then.
  private mutating func overwrite(_ value: Value, _ target: MemoryView, _ p: Int) -> Bool {
    guard graph.parameters[p].type == graph.type(value) else { return false }
    if let view = memory[value] { return overwrite(value, in: view, target, p) }
    let home = places[value].nest
    if home >= 0 {
      guard nests[home].roots.count < LoopNest.mostRoots,
        let axes = resolved(places[value].axes, shape(value), home), !isRead(p, from: home + 1)
      else { return false }
      addRoot(value, target, axes, to: home)
      if overwritesInPlace(home) { return true }
      nests[home].roots.removeLast()
      memory[value] = nil
      made[value] = -1
      return false
    }
    if reading(value, p, in: nests.count) == .elsewhere { return false }
    let before = nests.count
    write(value, target)
    if before == nests.count, !overwritesInPlace(before - 1) {
      nests[before - 1].roots.removeLast()
      appendPointwise(value, target)
      made[value] = before
    }
    return true
  }

  /// Writes what has memory over parameter `p`: the memory becomes the parameter's, or its elements are copied at the end.
  private mutating func overwrite(_ value: Value, in view: MemoryView, _ target: MemoryView, _ p: Int) -> Bool {
    // Its own elements at other places.
    if view.source == .parameter(p) { return false }
    if writesAgain(value, target) { return true }
    guard case .temporary(let t) = view.source, view.isRowMajor, target.isRowMajor, names[t] == nil,
      view.offset.isKnown(0), temporaries[t] == graph.type(value),
      // Ranges may have been written into it since it was made.
      let first = nests.firstIndex(where: { $0.roots.contains { $0.target.source == view.source } }),
      !isRead(p, from: first)
    else {
      appendPointwise(value, target)
      return true
    }
    names[t] = target.source
    return true
  }

  /// A result that the last nest has in registers goes to a second place from there, before anything it is made of is gone.
  private mutating func writesAgain(_ value: Value, _ target: MemoryView) -> Bool {
    let last = nests.count - 1
    // A value that no nest has made yet has the number before the first nest.
    guard last >= 0, made[value] == last, case .pointwise = nests[last].form,
      nests[last].axes.map(\.extent) == shape(value).dims,
      nests[last].roots.contains(where: { $0.value == value && $0.box == nil })
    else { return false }
    nests[last].roots.append(.init(value: value, target: target, axes: Array(shape(value).dims.indices)))
    if overwritesInPlace(last) { return true }
    nests[last].roots.removeLast()
    return false
  }

  /// Takes back each result that its nest cannot write in place since others joined it: it is made elsewhere, to be copied.
  private mutating func withdrawn() -> [(value: Value, target: MemoryView)] {
    var copies: [(value: Value, target: MemoryView)] = []
    for nest in nests.indices {
      while let number = nests[nest].roots.indices.first(where: { !isInPlace(nest, root: $0) }) {
        let root = nests[nest].roots[number]
        let kept = temporary(root.value)
        refuse(root.value, .readAfterWrite)
        nests[nest].roots[number].target = kept
        if memory[root.value] == root.target { memory[root.value] = kept }
        copies.append((root.value, root.target))
      }
    }
    return copies
  }
}

// MARK: What reads the old value

extension Partition {
  /// How a result reads the memory that another, or itself, overwrites.
  private enum Reading { case never, inPlace, elsewhere }

  private func overwritesInPlace(_ nest: Int) -> Bool {
    nests[nest].roots.indices.allSatisfy { isInPlace(nest, root: $0) }
  }

  /// Whether a root that overwrites a whole parameter finds the old value read only at the element that it writes, by the
  /// roots up to it; those behind it come too late, and anchors read whole rows.
  private func isInPlace(_ nest: Int, root number: Int) -> Bool {
    let writer = nests[nest].roots[number]
    guard case .parameter(let p) = writer.target.source, writer.box == nil else { return true }
    for (other, root) in nests[nest].roots.enumerated() {
      switch reading(root.value, p, in: nest) {
      case .never: continue
      case .inPlace: if other > number || root.axes != writer.axes { return false }
      case .elsewhere: return false
      }
    }
    return !parameters(readBy: nests[nest].form.anchors.flatMap { graph[$0].operands }, in: nest).contains(p)
  }

  private func isRead(_ p: Int, from first: Int) -> Bool {
    nests.indices.contains { $0 >= first && reads($0).values.contains { $0.source == .parameter(p) } }
  }

  /// Parameters that computing `values` in nest `nest` reads.
  private func parameters(readBy values: [Value], in nest: Int = .max) -> Set<Int> {
    var found: Set<Int> = []
    for view in reads(values, in: nest).values { if case .parameter(let p) = view.source { found.insert(p) } }
    return found
  }

  /// How `value`, computed in nest `nest`, reads parameter `p`.
  private func reading(_ value: Value, _ p: Int, in nest: Int) -> Reading {
    let anchors = nests.indices.contains(nest) ? nests[nest].form.anchors : []
    let parameter = graph.parameters[p]
    let whole = MemoryView(.parameter(p), parameter.type, strides: parameter.strides)
    var result = Reading.never
    var seen: Set<Value> = []
    var stack = [value]
    while let value = stack.popLast() {
      guard seen.insert(value).inserted, !anchors.contains(value) else { continue }
      if let view = read(value, in: nest) {
        if view.source != whole.source { continue }
        if view != whole { return .elsewhere }
        result = .inPlace
      } else if [.leaf, .pointwise].contains(lowering(value).kind) {
        stack += graph[value].operands
      } else if parameters(readBy: graph[value].operands, in: nest).contains(p) {
        // A moved element is read elsewhere.
        return .elsewhere
      }
    }
    return result
  }
}

// How values of a partition get memory: as results of the nest that has them in registers, or in nests of their own.
// Not the memory plan: temporaries have no addresses here. Surprise: leaving a nest prefers the smallest form of a value,
// what is repeated later is stored before the repetition.
import Basics
import GraphIR
import TensorTypes

extension Array {
  subscript(value: Value) -> Element {
    get { self[Int(value.id)] }
    set { self[Int(value.id)] = newValue }
  }
}

extension Partition {
  // MARK: Into memory

  /// Gives `value` memory.
  mutating func materialise(_ value: Value) {
    if memory[value] != nil { return }
    if places[value].nest >= 0 {
      if store(value) { return }
      leaveNest(value)
      if memory[value] != nil { return }
    }
    if let view = addressed(value) {
      made[value] = places[value].newest
      memory[value] = view
      return
    }
    let target = temporary(value)
    appendPointwise(value, target)
    made[value] = nests.count - 1
    memory[value] = target
  }

  /// `value` is needed outside the nest that has it in registers.
  mutating func leaveNest(_ value: Value, _ reason: Refusal.Reason) {
    guard nest(of: value) >= 0 else { return }
    refuse(value, reason)
    leaveNest(value)
  }

  mutating func leaveNest(_ value: Value) {
    let home = nest(of: value)
    guard home >= 0 else { return }
    let node = graph[value]
    // Where a nest has written enough, what is computed from its anchors is computed from memory.
    let isFull = nests[home].roots.count >= LoopNest.mostRoots
    if !isFull || lowering(value).isAnchor, !isSmallerBefore(node), store(value) { return }
    // An anchor can always be stored, so this ends there.
    for operand in node.operands where nest(of: operand) == home { leaveNest(operand) }
    places[value].nest = -1
    places[value].axes = []
    for operand in node.operands { places[value].newest = max(places[value].newest, newest(operand)) }
  }

  /// The operand holds the same information in as few bytes or fewer.
  private func isSmallerBefore(_ node: GraphNode) -> Bool {
    switch node.primitive.payload {
    case .repeated, .shape: return true
    // A store keeps rows together; what moves the last axis is better read than written.
    case .permutation(let permutation): return permutation.last != permutation.count - 1
    case .dtype(let dtype):
      guard case .convert = node.primitive else { return true }
      return dtype.size > graph.type(node.operands[0]).dtype.size
    default: return false
    }
  }

  /// Makes `value` a result of the nest that has it in registers, if its axes are the nest's.
  private mutating func store(_ value: Value) -> Bool {
    let home = places[value].nest
    guard let axes = resolved(places[value].axes, shape(value), home) else { return false }
    addRoot(value, temporary(value), axes, to: home)
    return true
  }

  mutating func addRoot(_ value: Value, _ target: MemoryView, _ axes: [Int], to home: Int) {
    nests[home].roots.append(.init(value: value, target: target, axes: axes))
    made[value] = home
    memory[value] = target
  }

  /// The nest's axis for each axis of a value, repetitions included; -1 stays where the extent is 1.
  /// nil: the value cannot be written by that nest.
  func resolved(_ axes: [Int], _ shape: Shape, _ home: Int) -> [Int]? {
    let loops = nests[home].form.written(nests[home].axes)
    var result = axes
    var used = Set(axes.filter { $0 >= 0 })
    for axis in axes.indices where axes[axis] < 0 && !shape[axis].isKnown(1) {
      func fits(_ loop: Int) -> Bool { !used.contains(loop) && loops[loop].extent == shape[axis] }
      let aligned = loops.count - shape.rank + axis
      guard
        let loop = loops.indices.contains(aligned) && fits(aligned) ? aligned : loops.indices.first(where: { fits($0) })
      else { return nil }
      result[axis] = loop
      used.insert(loop)
    }
    // Instances along an axis that the value does not have would all write it.
    let isOwned = loops.indices.allSatisfy { loops[$0].reduced || used.contains($0) || loops[$0].extent.isKnown(1) }
    return isOwned ? result : nil
  }

  /// Copies what is in memory to `target`, where it is read from then on.
  mutating func move(_ value: Value, to target: MemoryView) {
    earlier[value] = memory[value]
    appendPointwise(value, target)
    memory[value] = target
    made[value] = nests.count - 1
  }

  // MARK: Targets

  /// New memory for a value.
  mutating func temporary(_ value: Value) -> MemoryView {
    temporaries.append(graph.type(value))
    return MemoryView(.temporary(temporaries.count - 1), graph.type(value))
  }

  mutating func appendPointwise(_ value: Value, _ target: MemoryView) {
    let dims = shape(value).dims
    nests.append(
      LoopNest(
        name: graph.name, form: .pointwise, axes: dims.map { LoopNest.Axis(extent: $0, reduced: false) },
        roots: [.init(value: value, target: target, axes: Array(dims.indices))], inputs: [:]))
  }

  // MARK: Reads

  /// What nest `i` reads from memory.
  func reads(_ i: Int) -> [Value: MemoryView] { reads(nests[i].roots.map(\.value), in: i) }

  /// What nest `nest` reads from memory to have `values`.
  func reads(_ values: [Value], in nest: Int) -> [Value: MemoryView] {
    var inputs: [Value: MemoryView] = [:]
    var seen: Set<Int32> = []
    var stack = values
    while let value = stack.popLast() {
      guard seen.insert(value.id).inserted else { continue }
      if let view = read(value, in: nest) { inputs[value] = view } else { stack += graph[value].operands }
    }
    return inputs
  }

  /// Memory is there if a nest before this one wrote it; else the value is computed here.
  func read(_ value: Value, in nest: Int) -> MemoryView? {
    if var view = memory[value], made[value] < nest {
      view.source = named(view.source)
      return view
    }
    return earlier[value]
  }

  func named(_ source: Schedule.BufferSource) -> Schedule.BufferSource {
    if case .temporary(let t) = source { names[t] ?? source } else { source }
  }
}

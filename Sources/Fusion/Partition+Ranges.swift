// Writing ranges into memory that holds an older value (caches), pieces of a whole and borders.
// Not donated outputs as wholes (`Partition+Donated`), nor the launch's business: whether overwriting is legal is decided
// here, and a copy is made where it is not.
// Surprise: a chain of range writes on one parameter is one memory with many versions; a version is still readable where
// later writes certainly do not reach.
import Basics
import GraphIR
import TensorTypes

/// Facts about range writes that the whole graph decides, and what was written so far.
struct RangeWrites {
  /// The parameter that a write may overwrite: the chain from it ends in the output donated to it.
  private(set) var donor: [Value: Int] = [:]
  /// The last consumer of a value, through all values that may be computed where they are used.
  private(set) var horizon: [Int] = []
  private(set) var outputs: Set<Value> = []
  /// The range writes into each memory, and the values that were versions of it.
  var written: [Schedule.BufferSource: [(nest: Int, box: ElementBox)]] = [:]
  var versions: [Schedule.BufferSource: [Value]] = [:]

  init(_ graph: Graph, _ context: SchedulingContext, _ users: [[Int32]]) {
    guard graph.nodes.contains(where: { if case .assign = $0.primitive { true } else { false } }) else { return }
    horizon = Array(repeating: -1, count: graph.nodes.count)
    outputs = Set(graph.outputs)
    for output in graph.outputs { horizon[output] = Int.max }
    var declared = [Int](repeating: 0, count: graph.parameters.count)
    for node in graph.nodes { if case .parameter(let p) = node.primitive { declared[p] += 1 } }
    for index in graph.nodes.indices.reversed() {
      for user in users[index] {
        let reaches = graph.isFree(Value(Int(user))) ? max(Int(user), horizon[Int(user)]) : Int(user)
        horizon[index] = max(horizon[index], reaches)
      }
    }
    var known: Set<Value> = []
    for (i, last) in graph.outputs.enumerated() {
      var chain: [Value] = []
      var value = last
      while case .assign = graph[value].primitive, known.insert(value).inserted {
        chain.append(value)
        value = graph[value].operands[0]
      }
      guard case .parameter(let p) = graph[value].primitive,
        declared[p] == 1, context.donations.contains(Donation(output: i, parameter: p))
      else { continue }
      for write in chain { donor[write] = p }
    }
  }
}

extension Partition {
  mutating func placeAssign(_ value: Value) {
    let node = graph[value]
    let (base, update) = (node.operands[0], node.operands[1])
    guard case .assign(let starts, let steps) = node.primitive else { return }
    let box = ElementBox(starts: starts, counts: shape(update).dims, steps: steps)
    if memory[base] == nil { materialise(base) }
    var isFree = true
    let target: MemoryView
    if let view = memory[base], mayOverwrite(view, value, base) {
      let forms = forms(of: base, view.source)
      let conflicts = ranges.versions[view.source, default: forms].map { overwriteConflict($0, value, box, forms) }
      if conflicts.contains(.later) {
        (target, isFree) = (copy(base, value), false)
      } else {
        target = view
        isFree = !conflicts.contains(.earlier)
      }
    } else {
      // The nest that copies comes last: one that has the update already would write it too early.
      (target, isFree) = (copy(base, value), false)
    }
    // Where the base was copied from nobody writes.
    if ranges.versions[target.source] == nil {
      ranges.versions[target.source] = memory[base]?.source == target.source ? forms(of: base, target.source) : []
    }
    ranges.versions[target.source]?.append(value)
    let part = target.window(starts, steps, shape(update))
    let writer = writeRange(update, part, box, isFree: isFree && newest(base) < places[update].nest)
    ranges.written[target.source, default: []].append((writer, box))
    memory[value] = target
    made[value] = max(writer, made[base])
  }

  /// The memory of the base may hold the result: a temporary's, or a parameter's that is donated for it.
  private func mayOverwrite(_ view: MemoryView, _ value: Value, _ base: Value) -> Bool {
    guard shape(value) == view.shape, view.offset.isKnown(0) else { return false }
    switch view.source {
    case .parameter(let p): return ranges.donor[value] == p && view.strides == graph.parameters[p].strides
    case .temporary: return view.isRowMajor
    case .output: return false
    }
  }

  /// The base, and what it is the memory of under another shape or order.
  private func forms(of base: Value, _ source: Schedule.BufferSource) -> [Value] {
    var made = [base]
    while case .reindex = lowering(made[made.count - 1]), let operand = graph[made[made.count - 1]].operands.first,
      memory[operand]?.source == source
    {
      made.append(operand)
    }
    return made
  }

  private enum Conflict { case none, earlier, later }

  /// Whether `version` of the memory is read where `value` writes: not at all, by nests already there, or later.
  private func overwriteConflict(
    _ version: Value, _ value: Value, _ box: ElementBox, _ forms: [Value]
  ) -> Conflict {
    var result = Conflict.none
    if ranges.outputs.contains(version) { return .later }
    for id in users[version] {
      let user = Value(Int(id))
      if forms.contains(user) { continue }
      if user == value {
        // The base as its own update, elsewhere: it is read while it is written.
        if graph[value].operands[1] == version { return .later }
        continue
      }
      if case .assign = graph[user].primitive, graph[user].operands[0] == version, graph[user].operands[1] != version,
        memory[user]?.source == memory[version]?.source
      {
        continue
      }
      if case .slice(let starts, let counts, let steps) = graph[user].primitive,
        ElementBox(starts: starts, counts: counts, steps: steps).isDisjoint(from: box)
      {
        continue
      }
      if user.id > value.id || (graph.isFree(user) && ranges.horizon[user] >= Int(value.id)) { return .later }
      result = .earlier
    }
    return result
  }

  /// New memory with the base's elements.
  private mutating func copy(_ base: Value, _ value: Value) -> MemoryView {
    refuse(base, .readAfterWrite)
    let target = temporary(value)
    appendPointwise(base, target)
    return target
  }

  /// Writes `update` in the nest that has it, if that is not too early, or in one of its own.
  mutating func writeRange(_ update: Value, _ part: MemoryView, _ box: ElementBox, isFree: Bool) -> Int {
    let home = nest(of: update)
    let isLast = ranges.written[part.source, default: []].allSatisfy { $0.nest < home || $0.box.isDisjoint(from: box) }
    if home >= 0, isFree, isLast, let axes = resolved(places[update].axes, shape(update), home) {
      nests[home].roots.append(.init(value: update, target: part, axes: axes, box: box))
      return home
    }
    if home >= 0 { leaveNest(update) }
    appendPointwise(update, part)
    nests[nests.count - 1].roots[0].box = box
    return nests.count - 1
  }
}

// MARK: Joined pieces

extension Partition {
  /// A piece that may fault cannot be computed under a guard; and each of many pieces would be looked at everywhere.
  func isWrittenInPieces(_ node: GraphNode, _ axis: Int) -> Bool {
    guard node.operands.count > 1 else { return false }
    // Pieces of one element are the runs of a packed block: the product that reads them takes them one by one.
    let isLong =
      node.operands.count > Self.mostGuardedPieces
      && !node.operands.allSatisfy { shape($0)[axis].isKnown(1) && memory[$0] == nil }
    return isLong || node.operands.contains { memory[$0] == nil && (places[$0].mayFault || places[$0].nest >= 0) }
  }

  private static let mostGuardedPieces = 8

  /// Every piece is written to its place in the whole, by the nest that has it or by one of its own.
  mutating func placePieces(_ value: Value, _ axis: Int) {
    let target = temporary(value)
    var starts = [Dim](repeating: 0, count: shape(value).rank)
    let steps = [Int](repeating: 1, count: starts.count)
    var last = -1
    for piece in graph[value].operands {
      let counts = shape(piece)
      let box = ElementBox(starts: starts, counts: counts.dims, steps: steps)
      last = max(last, writeRange(piece, target.window(starts, steps, counts), box, isFree: true))
      starts[axis] += counts[axis]
    }
    memory[value] = target
    made[value] = last
  }
}

// MARK: Padding

extension Partition {
  /// Everything that reads the value reads windows of it: it will be in memory.
  func isOnlyWindowed(_ value: Value) -> Bool {
    let all = users[value].map { Value(Int($0)) }
    guard !all.isEmpty, !ranges.outputs.contains(value), nest(of: graph[value].operands[1]) < 0 else { return false }
    return all.allSatisfy { if case .windows = graph[$0].primitive { true } else { false } }
  }

  /// The operand is written into the middle by the nest that has it, the border by nests of its own.
  mutating func placePadded(_ value: Value, _ low: [Dim], _ high: [Dim]) {
    let node = graph[value]
    let (operand, fill) = (node.operands[0], node.operands[1])
    refuse(value, .reorderedConsumer)
    let inner = shape(operand)
    let target = temporary(value)
    let steps = [Int](repeating: 1, count: inner.rank)
    let middle = ElementBox(starts: low, counts: inner.dims, steps: steps)
    var last = writeRange(operand, target.window(low, steps, inner), middle, isFree: true)
    // Boxes that do not overlap: whole on the axes before, the middle's extent on those behind.
    var (starts, counts) = (low, inner.dims)
    for axis in inner.dims.indices.reversed() {
      for (start, count) in [(Dim(0), low[axis]), (low[axis] + inner[axis], high[axis])] where !count.isKnown(0) {
        var box = ElementBox(starts: starts, counts: counts, steps: steps)
        box.starts[axis] = start
        box.counts[axis] = count
        last = max(last, writeBorder(fill, target, box))
      }
      starts[axis] = 0
      counts[axis] = shape(value)[axis]
    }
    memory[value] = target
    made[value] = last
  }

  private mutating func writeBorder(_ fill: Value, _ target: MemoryView, _ box: ElementBox) -> Int {
    let part = target.window(box.starts, box.steps, Shape(box.counts))
    let axes = Array(box.counts.indices)
    nests.append(
      LoopNest(
        name: graph.name, form: .pointwise, axes: box.counts.map { LoopNest.Axis(extent: $0, reduced: false) },
        roots: [.init(value: fill, target: part, axes: axes, box: box)], inputs: [:]))
    return nests.count - 1
  }
}

// Cuts a graph into loop nests: which values share a nest, which go through memory, and why. One pass in the graph's order.
// Not tiling, not the order of launches, and nothing about outputs: every stored value has a temporary of its own here, and
// the stages behind name those that are outputs (`LoopNests`). Surprise: only *anchors* (reductions, scans, sorts, products,
// scatters) are placed; all other values are computed wherever they are needed, unless they are `forced` or a product's
// vector.
//
// The invariant that makes the order of creation an order of execution: nest n reads only memory that nests before n
// wrote. A value's `Place` keeps the latest such nest, so that the question costs nothing.
import Basics
import GraphIR
import TensorTypes

struct Partition {
  /// How a value is computed that is in no memory.
  struct Place {
    /// The nest whose registers it needs; -1: none, it is computed from memory alone.
    var nest = -1
    /// The nest's axis that each axis of the value walks; -1: the value repeats there.
    var axes: [Int] = []
    /// The latest nest whose memory it reads.
    var newest = -1
    /// Nodes to compute on the way from memory, at most.
    var size = 0
    var mayFault = false
    /// It is on the way from the scores of an attention to its mix: no other nest can compute it.
    var isInterior = false
  }

  let graph: Graph
  let context: SchedulingContext
  /// Values that must be in memory, whatever computing them again would cost.
  let forced: Set<Value>
  var nests: [LoopNest] = []
  var temporaries: [TensorType] = []
  var refusals: [Refusal] = []

  /// Where a value can be read, once nest `made` has run.
  var memory: [MemoryView?]
  var made: [Int]
  /// Where a value was read before nest `made` moved it.
  var earlier: [Value: MemoryView] = [:]
  var places: [Place]
  let users: [[Int32]]
  let live: [Bool]
  let attentions: AttentionFinder
  let cost: FusionCost
  /// Temporaries that are the memory of outputs, or of parameters that outputs overwrite.
  var names: [Int: Schedule.BufferSource] = [:]
  /// Nests over the same rows, by domain.
  private var openRows: [RowKey: Int] = [:]
  var ranges: RangeWrites

  private struct RowKey: Hashable {
    var extents: [Dim]
    var axes: [Int]
  }

  /// A longer computation is cut: its kernel would take too long to compile.
  private static let longest = 4000

  init(_ graph: Graph, _ context: SchedulingContext, forced: Set<Value> = []) throws(Diagnostic) {
    self.graph = graph
    self.context = context
    self.forced = forced
    memory = Array(repeating: nil, count: graph.nodes.count)
    made = Array(repeating: -1, count: graph.nodes.count)
    places = Array(repeating: Place(), count: graph.nodes.count)
    live = graph.liveValues()
    users = graph.users(live)
    attentions = AttentionFinder(graph, live: context.fuses ? live : live.map { _ in false })
    refusals = attentions.refusals
    ranges = RangeWrites(graph, context, users)
    cost = FusionCost(graph, context, users)
    for index in graph.nodes.indices where live[index] {
      let value = Value(index)
      try place(value)
      if forced.contains(value), memory[index] == nil {
        refuse(value, .notAsked)
        materialise(value)
      } else if context.fuses {
        storeIfCheaper(value)
      }
    }
  }

  // MARK: Questions

  func lowering(_ value: Value) -> Lowering { graph[value].primitive.definition.lowering }
  func nest(of value: Value) -> Int { memory[value] == nil ? places[value].nest : -1 }
  /// The latest nest whose memory reading or computing `value` needs.
  func newest(_ value: Value) -> Int { memory[value] == nil ? places[value].newest : made[value] }
  func shape(_ value: Value) -> Shape { graph.type(value).shape }

  /// `value` as memory, if it is reindexed memory and nothing else.
  func addressed(_ value: Value) -> MemoryView? {
    if let view = memory[value] { return view }
    let node = graph[value]
    guard places[value].nest < 0, case .reindex = lowering(value), node.operands.count == 1 else { return nil }
    return addressed(node.operands[0])?.reindexed(node)
  }

  mutating func refuse(_ value: Value, _ reason: Refusal.Reason) {
    let type = graph.type(value)
    refusals.append(Refusal(value: value, reason: reason, bytes: type.shape.elementCount * (2 * type.dtype.size)))
  }

  // MARK: Placing values

  private mutating func place(_ value: Value) throws(Diagnostic) {
    let node = graph[value]
    if attentions.interior.contains(value) {
      for operand in node.operands { leaveNest(operand, .otherDomain) }
      placeVirtual(value)
      places[value].isInterior = true
      return
    }
    switch lowering(value) {
    case .leaf:
      guard case .parameter(let p) = node.primitive else { return }
      memory[value] = MemoryView(.parameter(p), node.type, strides: graph.parameters[p].strides)
    case .pointwise: placeElementwise(value, node.operands)
    case .reindex: placeReindex(value)
    case .gather:
      makeAddressable(node.operands[0])
      placeElementwise(value, [node.operands[1]], reading: node.operands[0])
      places[value].mayFault = true
    case .reduction, .argReduction, .scan, .argScan, .sort: placeRow(value)
    case .contraction:
      for operand in node.operands { leaveNest(operand, .otherDomain) }
      keepVector(node)
      let axes = node.type.shape.dims.map { LoopNest.Axis(extent: $0, reduced: false) }
      if let pattern = attentions.patterns[value] {
        let keys = LoopNest.Axis(extent: shape(pattern.scores)[pattern.keyAxis], reduced: true)
        open(.attention(pattern), value, axes + [keys])
        places[value].axes.removeLast()
      } else {
        open(.contraction(value), value, axes)
      }
    case .scatter:
      for operand in node.operands { leaveNest(operand, .otherDomain) }
      let domain = shape(node.operands[2])
      open(.scatter(value), value, domain.dims.map { .init(extent: $0, reduced: false) })
      // Updates meet what is in memory: consumers read the result from there.
      addRoot(value, temporary(value), Array(repeating: -1, count: domain.rank), to: nests.count - 1)
    case .assign: placeAssign(value)
    case .call: throw Diagnostic(.compiler, "a call must be inlined before fusion")
    }
  }

  /// Every row of a product with a vector, or with a few rows, would compute them again: asks what that costs.
  private mutating func keepVector(_ node: GraphNode) {
    guard case .contraction(let axes) = node.primitive else { return }
    let plan = ProductLoops(axes, left: shape(node.operands[0]), right: shape(node.operands[1]))
    guard let isLeft = plan.narrowSideIsLeft(atMost: context.target.registerBox.rows) else { return }
    let vector = node.operands[isLeft ? 0 : 1]
    guard memory[vector] == nil, !places[vector].isInterior, addressed(vector) == nil else { return }
    // Where the other side is packed, the few rows are read once.
    guard plan.isVector(isLeft ? plan.rows : plan.columns) || isMemory(node.operands[isLeft ? 1 : 0]) else { return }
    let rows = (isLeft ? plan.columns : plan.rows).map(\.extent).reduce(1, *)
    guard let choice = cost.vector(vector, rows: rows, { memory[$0] }), choice.storesIt else { return }
    refuse(vector, .cheaperStored(choice))
    materialise(vector)
  }

  private func isMemory(_ value: Value) -> Bool {
    if memory[value] != nil { return true }
    if case .convert = graph[value].primitive { return isMemory(graph[value].operands[0]) }
    return false
  }

  /// What several kernels would each compute from memory goes to memory, if that moves less.
  private mutating func storeIfCheaper(_ value: Value) {
    guard case .pointwise = lowering(value), users[value].count > 1, memory[value] == nil, places[value].nest < 0,
      !places[value].isInterior, let choice = cost.sharing(value, { memory[$0] }), choice.storesIt
    else { return }
    refuse(value, .cheaperStored(choice))
    materialise(value)
  }

  /// A new nest that has `value` in registers.
  private mutating func open(_ form: LoopNest.Form, _ value: Value, _ axes: [LoopNest.Axis]) {
    nests.append(LoopNest(name: graph.name, form: form, axes: axes, roots: [], inputs: [:]))
    places[value] = Place(nest: nests.count - 1, axes: Array(axes.indices))
  }

  /// A value whose elements come from the same places of its operands.
  private mutating func placeElementwise(_ value: Value, _ operands: [Value], reading table: Value? = nil) {
    var home = -1
    for operand in operands {
      if memory[operand] == nil, places[operand].isInterior {
        for operand in operands { leaveNest(operand, .otherDomain) }
        home = -1
        break
      }
      home = max(home, nest(of: operand))
    }
    var axes: [Int] = []
    if home >= 0 {
      for operand in operands where nest(of: operand) != home { leaveNest(operand, .otherDomain) }
      let latest = operands.reduce(table.map { newest($0) } ?? -1) { max($0, newest($1)) }
      if latest < home, let merged = mergedAxes(operands, home) {
        axes = merged
      } else {
        for operand in operands { leaveNest(operand, .otherDomain) }
        home = -1
      }
    }
    var made = Place(nest: home, axes: axes, newest: table.map { newest($0) } ?? -1, size: 1)
    for operand in operands { inherit(operand, &made) }
    if graph.mayFault(value) { made.mayFault = true }
    places[value] = made
    // What is inside of an attention cannot be stored.
    if made.size > Self.longest, !made.isInterior {
      refuse(value, .tooLong)
      materialise(value)
    }
  }

  private func inherit(_ operand: Value, _ place: inout Place) {
    place.newest = max(place.newest, newest(operand))
    guard memory[operand] == nil else { return }
    place.size += places[operand].size
    if places[operand].mayFault { place.mayFault = true }
    if places[operand].isInterior { place.isInterior = true }
  }

  /// The nest's axes under the axes of an elementwise result; nil where operands meet other axes.
  private func mergedAxes(_ operands: [Value], _ home: Int) -> [Int]? {
    var result: [Int]?
    for operand in operands where nest(of: operand) == home {
      let axes = places[operand].axes
      guard var merged = result else {
        result = axes
        continue
      }
      for (i, axis) in axes.enumerated() where axis >= 0 {
        if merged[i] >= 0 && merged[i] != axis && !shape(operand)[i].isKnown(1) { return nil }
        if merged[i] < 0 { merged[i] = axis }
      }
      result = merged
    }
    // A row's value along the rows is that of another row.
    let walked = (result ?? []).filter { $0 >= 0 }
    return Set(walked).count == walked.count ? result : nil
  }

  private mutating func placeRow(_ value: Value) {
    let operand = graph[value].operands[0]
    let domain = shape(operand)
    let axes = graph.reducedAxes(value)
    var home = nest(of: operand)
    if home >= 0, !matches(home, domain, axes) || !isWholeDomain(operand, home) {
      leaveNest(operand, .otherDomain)
      home = -1
    }
    let key = RowKey(extents: domain.dims, axes: axes)
    // Two statistics of one tensor share the pass over it.
    if home < 0, let known = openRows[key], newest(operand) < known, sharesMemory(known, operand) { home = known }
    if home >= 0, case .rows(let anchors) = nests[home].form {
      nests[home].form = .rows(anchors: anchors + [value])
      places[value] = Place(nest: home)
    } else {
      let loops = domain.dims.enumerated().map { LoopNest.Axis(extent: $1, reduced: axes.contains($0)) }
      open(.rows(anchors: [value]), value, loops)
      home = nests.count - 1
    }
    openRows[key] = home
    let isReduced = lowering(value).reducesRows
    places[value].axes = domain.dims.indices.filter { !isReduced || !axes.contains($0) }
  }

  private func matches(_ home: Int, _ domain: Shape, _ axes: [Int]) -> Bool {
    guard case .rows = nests[home].form else { return false }
    return nests[home].axes.map(\.extent) == domain.dims
      && nests[home].axes.indices.filter { nests[home].axes[$0].reduced } == axes
  }

  /// Axis i of the value is the nest's axis i.
  private func isWholeDomain(_ value: Value, _ home: Int) -> Bool {
    places[value].axes.enumerated().allSatisfy { axis, walked in walked == axis || walked < 0 }
  }

  /// Whether a nest of rows and `value` read some memory in common.
  private func sharesMemory(_ home: Int, _ value: Value) -> Bool {
    guard case .rows(let anchors) = nests[home].form else { return false }
    var known: Set<Value> = []
    for anchor in anchors { memoryBelow(graph[anchor].operands[0], &known) }
    var own: Set<Value> = []
    memoryBelow(value, &own)
    return !known.isDisjoint(with: own)
  }

  private func memoryBelow(_ value: Value, _ found: inout Set<Value>) {
    var stack = [value]
    var steps = 0
    while let value = stack.popLast(), steps < 256 {
      steps += 1
      if memory[value] != nil { found.insert(value) } else { stack += graph[value].operands }
    }
  }

  // MARK: Reindexing

  private mutating func placeReindex(_ value: Value) {
    let node = graph[value]
    let operand = node.operands[0]
    switch node.primitive.payload {
    case .shape where graph.isAxisPreserving(value), .repeated: placeAligned(value, operand)
    case .shape: placeReshape(value, operand)
    case .permutation(let permutation):
      if let view = memory[operand]?.reindexed(node) { return alias(value, view, operand) }
      placeVirtual(value)
      if places[value].nest >= 0 { places[value].axes = permutation.map { places[operand].axes[$0] } }
    case .slice(_, let counts, let steps):
      leaveNest(operand, .reorderedConsumer)
      // Where a leading axis is selected, the address says so: layers then share one kernel.
      if counts.first?.isKnown(1) == true, !shape(operand)[0].isKnown(1), steps.allSatisfy({ $0 == 1 }),
        let view = memory[operand]?.reindexed(node)
      {
        return alias(value, view, operand)
      }
      placeVirtual(value)
    case .windows:
      if addressed(operand) == nil {
        refuse(operand, .reorderedConsumer)
        materialise(operand)
      }
      if let view = addressed(operand)?.reindexed(node) { alias(value, view, operand) }
    case .axis(let axis) where isWrittenInPieces(node, axis): placePieces(value, axis)
    case .pad(let low, let high) where isOnlyWindowed(value): placePadded(value, low, high)
    case .pad, .axis:
      for operand in node.operands {
        leaveNest(operand, .reorderedConsumer)
        if memory[operand] == nil, places[operand].mayFault {
          refuse(operand, .mayFault)
          materialise(operand)
        }
      }
      placeVirtual(value)
    default: preconditionFailure("\(node.primitive.name) is no reindexing")
    }
  }

  private mutating func alias(_ value: Value, _ view: MemoryView, _ operand: Value) {
    made[value] = newest(operand)
    memory[value] = view
  }

  /// Computed where it is needed, from whatever its operands are computed from.
  private mutating func placeVirtual(_ value: Value) {
    var place = Place(nest: nest(of: graph[value].operands[0]), size: 1)
    for operand in graph[value].operands { inherit(operand, &place) }
    places[value] = place
  }

  /// Axes of extent 1 come, go or repeat; all others stay in their order.
  private mutating func placeAligned(_ value: Value, _ operand: Value) {
    let source = shape(operand)
    let target = shape(value)
    placeVirtual(value)
    guard places[value].nest >= 0 else { return }
    let walked = places[operand].axes
    var axes = Array(repeating: -1, count: target.rank)
    if case .reshape = graph[value].primitive {
      let old = source.dims.indices.filter { !source[$0].isKnown(1) }
      let new = target.dims.indices.filter { !target[$0].isKnown(1) }
      for (from, to) in zip(old, new) { axes[to] = walked[from] }
    } else {
      let lead = target.rank - source.rank
      for axis in source.dims.indices where !source[axis].isKnown(1) || target[lead + axis].isKnown(1) {
        axes[lead + axis] = walked[axis]
      }
    }
    places[value].axes = axes
    // Repetition along an axis that the nest does not have leaves the nest.
    if resolved(axes, target, places[value].nest) == nil {
      leaveNest(operand, .otherDomain)
      placeVirtual(value)
    }
  }

  /// Row-major memory has all shapes: the operand is read from there in the new one.
  private mutating func placeReshape(_ value: Value, _ operand: Value) {
    if memory[operand] == nil, addressed(operand)?.reindexed(graph[value]) == nil {
      refuse(operand, .reorderedConsumer)
      materialise(operand)
    }
    if let view = addressed(operand)?.reindexed(graph[value]) { return alias(value, view, operand) }
    refuse(operand, .reorderedConsumer)
    let copy = temporary(operand)
    appendPointwise(operand, copy)
    made[value] = nests.count - 1
    memory[value] = copy.reindexed(graph[value])
  }

  private mutating func makeAddressable(_ value: Value) {
    if memory[value] != nil { return }
    if let view = addressed(value) { return alias(value, view, graph[value].operands[0]) }
    refuse(value, .needsAddress)
    materialise(value)
  }
}

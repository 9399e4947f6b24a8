// Cuts a graph into loop nests: which values share a kernel, which go through memory, and why.
// Not tiling. Surprise: only *anchors* (reductions, scans, sorts, products, scatters) are placed; all other values are
// recomputed wherever they are needed, since their cost is bytes and their bytes are already there.
import Basics
import GraphIR
import TensorTypes

/// Why a value goes through memory instead of staying in its consumer's kernel.
package enum Refusal: Sendable, Hashable, CustomStringConvertible {
  case otherDomain(Value)
  case reorderedConsumer(Value)
  case needsAddress(Value)
  case notAttention(Value, String)

  package var description: String {
    switch self {
    case .otherDomain(let value): "%\(value.id) is computed over other axes than its consumer"
    case .reorderedConsumer(let value): "the consumer of %\(value.id) reads its elements in another order"
    case .needsAddress(let value): "%\(value.id) is read at computed positions"
    case .notAttention(let value, let reason): "%\(value.id) is no attention in one kernel: \(reason)"
    }
  }
}

struct Partition {
  let graph: Graph
  /// The nests in launch order; roots and inputs filled in.
  private(set) var nests: [LoopNest] = []
  private(set) var temporaries: [TensorType] = []
  private(set) var refusals: [Refusal] = []

  private let attentions: AttentionFinder
  /// Which nest an anchor was placed in.
  private var home: [Value: Int] = [:]
  /// Values that have been given memory.
  private var memory: [Value: Schedule.BufferSource] = [:]

  init(_ graph: Graph) throws(Diagnostic) {
    self.graph = graph
    let live = graph.liveValues()
    attentions = AttentionFinder(graph, live: live)
    refusals = attentions.refusals
    for (i, node) in graph.nodes.enumerated() {
      if case .parameter(let p) = node.primitive { memory[Value(i)] = .parameter(p) }
    }
    for index in graph.nodes.indices where live.contains(Value(index)) { try place(Value(index)) }
    for (i, output) in graph.outputs.enumerated() { placeOutput(output, i) }
    connect()
    writeOutputsDirectly()
  }

  private func lowering(_ value: Value) -> Lowering { graph[value].primitive.definition.lowering }

  /// Anchors that `value` needs in registers: reached without going through memory.
  private func anchors(below value: Value) -> Set<Value> {
    var found: Set<Value> = []
    var seen: Set<Value> = []
    func visit(_ value: Value) {
      guard memory[value] == nil, seen.insert(value).inserted else { return }
      if home[value] != nil {
        found.insert(value)
        return
      }
      for operand in graph[value].operands { visit(operand) }
    }
    visit(value)
    return found
  }

  private mutating func materialise(_ value: Value) {
    guard memory[value] == nil else { return }
    if home[value] == nil {
      // A value without a home becomes a nest of its own, or the epilogue of the nest it needs.
      let target = nextTemporary(value)
      assign(value, target)
      memory[value] = target
    } else {
      let target = nextTemporary(value)
      nests[home[value] ?? 0].roots.append(.init(value: value, target: target))
      memory[value] = target
    }
  }

  private mutating func nextTemporary(_ value: Value) -> Schedule.BufferSource {
    temporaries.append(graph.type(value))
    return .temporary(temporaries.count - 1)
  }

  private mutating func materialiseAnchors(_ anchors: Set<Value>, _ reason: (Value) -> Refusal) {
    for anchor in anchors.sorted(by: { $0.id < $1.id }) {
      refusals.append(reason(anchor))
      materialise(anchor)
    }
  }

  private mutating func place(_ value: Value) throws(Diagnostic) {
    let node = graph[value]
    if attentions.interior.contains(value) { return }
    switch lowering(value) {
    case .leaf, .pointwise: return
    case .reindex: placeReindex(value)
    case .gather:
      // The gathered tensor is read at computed positions: it must be addressable as it is.
      if memory[node.operands[0]] == nil {
        refusals.append(.needsAddress(node.operands[0]))
        materialise(node.operands[0])
      }
    case .reduction, .argReduction, .scan, .argScan, .sort: placeRow(value)
    case .contraction:
      for operand in node.operands {
        materialiseAnchors(anchors(below: operand)) { .otherDomain($0) }
      }
      home[value] = nests.count
      var axes = node.type.shape.dims.map { LoopNest.Axis(extent: $0, reduced: false) }
      if let pattern = attentions.patterns[value] {
        axes.append(.init(extent: graph.type(pattern.scores).shape[pattern.keyAxis], reduced: true))
        nests.append(LoopNest(name: graph.name, form: .attention(pattern), axes: axes, roots: [], inputs: [:]))
        return
      }
      nests.append(LoopNest(name: graph.name, form: .contraction(value), axes: axes, roots: [], inputs: [:]))
    case .scatter:
      for operand in node.operands { materialiseAnchors(anchors(below: operand)) { .otherDomain($0) } }
      home[value] = nests.count
      let axes = graph.type(node.operands[2]).shape.dims.map { LoopNest.Axis(extent: $0, reduced: false) }
      nests.append(LoopNest(name: graph.name, form: .scatter(value), axes: axes, roots: [], inputs: [:]))
      // Updates meet what is in memory: consumers read the result from there.
      materialise(value)
    case .call:
      throw Diagnostic(.compiler, "a call must be inlined before fusion")
    }
  }

  /// A reindexing whose operand has anchors below it reads them in another order: they go through memory.
  private mutating func placeReindex(_ value: Value) {
    let operand = graph[value].operands[0]
    if graph.isAxisPreserving(value) { return }
    if case .reshape = graph[value].primitive {
      // Row-major memory has all shapes: the operand is read from there in the new one.
      if memory[operand] == nil {
        refusals.append(.reorderedConsumer(operand))
        materialise(operand)
      } else if !graph.isRowMajor(operand) {
        refusals.append(.reorderedConsumer(operand))
        let target = nextTemporary(operand)
        appendPointwise(operand, target)
        memory[value] = target
        return
      }
      memory[value] = memory[operand]
      return
    }
    if isPermutedAttention(value) { return }
    for operand in graph[value].operands {
      materialiseAnchors(anchors(below: operand)) { .reorderedConsumer($0) }
    }
  }

  /// An attention writes its result in any order of axes.
  private func isPermutedAttention(_ value: Value) -> Bool {
    let needed = anchors(below: value)
    guard needed.count == 1, let anchor = needed.first, attentions.patterns[anchor] != nil else { return false }
    return graph.axisOrder(of: value, from: anchor) != nil
  }

  private mutating func placeRow(_ value: Value) {
    let operand = graph[value].operands[0]
    let domain = graph.type(operand).shape
    let axes = graph.reducedAxes(value)
    let needed = anchors(below: operand)
    let homes = Set(needed.compactMap { home[$0] })
    if homes.count <= 1, let nest = homes.first ?? openRowNest(domain, axes, operand), matches(nest, domain, axes) {
      home[value] = nest
      guard case .rows(let anchors) = nests[nest].form else { return }
      nests[nest].form = .rows(anchors: anchors + [value])
      return
    }
    materialiseAnchors(needed) { .otherDomain($0) }
    home[value] = nests.count
    let reduced = Set(axes)
    nests.append(
      LoopNest(
        name: graph.name, form: .rows(anchors: [value]),
        axes: domain.dims.enumerated().map { .init(extent: $1, reduced: reduced.contains($0)) }, roots: [], inputs: [:])
    )
  }

  private func matches(_ nest: Int, _ domain: Shape, _ axes: [Int]) -> Bool {
    guard case .rows = nests[nest].form else { return false }
    return nests[nest].axes.map(\.extent) == domain.dims
      && nests[nest].axes.indices.filter { nests[nest].axes[$0].reduced } == axes
  }

  /// A nest over the same rows that needs no anchor of ours: two statistics of one tensor share the pass over it.
  private func openRowNest(_ domain: Shape, _ axes: [Int], _ operand: Value) -> Int? {
    guard let last = nests.indices.last, matches(last, domain, axes) else { return nil }
    // Memory written by this nest or later cannot be read inside it.
    return readsMemoryOf(last, operand) ? nil : last
  }

  private func readsMemoryOf(_ nest: Int, _ value: Value) -> Bool {
    var seen: Set<Value> = []
    func visit(_ value: Value) -> Bool {
      guard seen.insert(value).inserted else { return false }
      if let source = memory[value], nests[nest].roots.contains(where: { $0.target == source }) { return true }
      if memory[value] != nil { return false }
      return graph[value].operands.contains { visit($0) }
    }
    return visit(value)
  }

  private mutating func placeOutput(_ value: Value, _ index: Int) {
    assign(value, .output(index))
  }

  /// Writes `value` to `target` in the nest that has its anchors, or in one of its own.
  private mutating func assign(_ value: Value, _ target: Schedule.BufferSource) {
    var needed = anchors(below: value)
    let homes = Set(needed.compactMap { home[$0] })
    if homes.count == 1, let nest = homes.first, fits(value, nest, target) {
      nests[nest].roots.append(.init(value: value, target: target))
      return
    }
    if !needed.isEmpty {
      materialiseAnchors(needed) { .otherDomain($0) }
      needed = []
    }
    let shape = graph.type(value).shape
    // Outputs over one shape share a pass.
    if case .output = target, let last = nests.last, case .pointwise = last.form, last.axes.map(\.extent) == shape.dims,
      !readsMemoryOf(nests.count - 1, value)
    {
      nests[nests.count - 1].roots.append(.init(value: value, target: target))
      return
    }
    appendPointwise(value, target)
  }

  private mutating func appendPointwise(_ value: Value, _ target: Schedule.BufferSource) {
    let axes = graph.type(value).shape.dims.map { LoopNest.Axis(extent: $0, reduced: false) }
    nests.append(
      LoopNest(
        name: graph.name, form: .pointwise, axes: axes, roots: [.init(value: value, target: target)], inputs: [:]))
  }

  /// Whether `value` can be written while nest `nest` has its anchors in registers.
  private func fits(_ value: Value, _ nest: Int, _ target: Schedule.BufferSource) -> Bool {
    if readsMemoryOf(nest, value) || readsLaterMemory(nest, value) { return false }
    let shape = graph.type(value).shape.dims
    let axes = nests[nest].axes
    switch nests[nest].form {
    case .pointwise, .scatter: return false
    case .contraction: return shape == axes.map(\.extent) && graph.isElementwise(value, over: anchors(below: value))
    case .attention(let pattern): return graph.axisOrder(of: value, from: pattern.mix) != nil
    case .rows:
      return shape == axes.map(\.extent) || shape == axes.filter { !$0.reduced }.map(\.extent)
    }
  }

  /// Memory written by nests after `nest` is not there yet when it runs.
  private func readsLaterMemory(_ nest: Int, _ value: Value) -> Bool {
    (nest + 1..<max(nests.count, nest + 1)).contains { readsMemoryOf($0, value) }
  }

  /// Fills in what each nest reads from memory.
  private mutating func connect() {
    nests.removeAll { $0.roots.isEmpty }
    for i in nests.indices {
      var inputs: [Value: Schedule.BufferSource] = [:]
      let own = Set(nests[i].roots.map(\.target))
      var seen: Set<Value> = []
      func visit(_ value: Value) {
        guard seen.insert(value).inserted else { return }
        if let source = memory[value], !own.contains(source) {
          inputs[value] = source
          return
        }
        for operand in graph[value].operands { visit(operand) }
      }
      for root in nests[i].roots { visit(root.value) }
      nests[i].inputs = inputs
    }
  }

  /// A nest that only copies a temporary to an output disappears: the temporary's writer writes the output.
  private mutating func writeOutputsDirectly() {
    for copy in nests.indices.reversed() {
      guard case .pointwise = nests[copy].form, nests[copy].roots.count == 1, let root = nests[copy].roots.first,
        let source = nests[copy].inputs[root.value], case .temporary = source, case .output = root.target,
        !nests.indices.contains(where: { $0 != copy && nests[$0].inputs.values.contains(source) }),
        let writer = nests.indices.first(where: { nests[$0].roots.contains { $0.target == source } }),
        let position = nests[writer].roots.firstIndex(where: { $0.target == source }),
        nests[writer].roots[position].value == root.value
      else { continue }
      nests[writer].roots[position].target = root.target
      nests.remove(at: copy)
    }
  }
}

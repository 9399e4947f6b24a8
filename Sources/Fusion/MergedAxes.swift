// Axes of a product that memory holds as one: the pixels of an image, the window of a convolution's weights. Walked as one
// axis they fill register boxes that each alone would leave half empty.
// Not a change of the graph. Surprise: only views change: the last axis of a run has the run's extent, those before it have
// extent 1, and the coordinate of the whole run stands in the last one.
import GraphIR
import Targets
import TensorTypes

/// Axes of a product's plan that are walked as one.
struct MergedAxes: Sendable, Hashable {
  /// The last columns, of the result and of what its epilogue reads.
  var columns = 1
  /// The right operand has these columns as one, too.
  var rightColumns = false
  /// Roots whose memory has gaps between these columns: they are written as one first, and copied to their places.
  var staged: [Int] = []
  /// The left operand has all axes that are summed over as one.
  var leftInner = false
}

extension LoopNest {
  /// The same nest, with as many axes of its product walked as one as memory allows.
  func withMergedAxes(_ graph: Graph, _ target: TargetDescription) -> LoopNest {
    guard case .contraction(let value) = form, case .contraction(let axes) = graph[value].primitive else { return self }
    let plan = ProductLoops(graph, value, axes)
    guard !isVectorProduct(value, plan, graph, target) else { return self }
    var nest = self
    for count in stride(from: plan.columns.count, to: 1, by: -1) {
      if nest.mergeColumns(plan, count, of: value, graph, target) { break }
    }
    nest.mergeInner(plan, of: value, graph)
    return nest
  }

  private mutating func mergeColumns(
    _ plan: ProductLoops, _ count: Int, of product: Value, _ graph: Graph, _ target: TargetDescription
  ) -> Bool {
    let run = Array(plan.columns.suffix(count))
    let domain = run.compactMap(\.out)
    guard run.allSatisfy({ !$0.extent.isKnown(1) }) else { return false }
    var views: [Value: MemoryView] = [:]
    var changed = roots
    var staged: [Int] = []
    for (i, root) in roots.enumerated() {
      let places = domain.map { axis in root.axes.firstIndex(of: axis) }
      guard !places.contains(nil), merge(root.value, places, product, domain, graph, &views) else { return false }
      if let target = root.target.merging(places) {
        changed[i].target = target
      } else if domain.dropLast().contains(root.axes[root.axes.count - 1]) {
        return false
      } else {
        staged.append(i)
      }
    }
    if !staged.isEmpty, !FusionCost.paysToStage(plan, run, results: staged.count, graph.type(product), target) {
      return false
    }
    // What the product itself reads keeps its axes.
    let operands = graph[product].operands
    let (left, right) = (below(operands[0], graph), below(operands[1], graph))
    let epilogue = views
    guard changes(views).allSatisfy({ !left.contains($0) && !right.contains($0) }) else { return false }
    var own: [Value: MemoryView] = [:]
    merged.rightColumns =
      merge(operands[1], run.map(\.right), nil, [], graph, &own)
      && changes(own).allSatisfy { !left.contains($0) && epilogue[$0] == nil }
    if merged.rightColumns { inputs.merge(own) { $1 } }
    roots = changed
    inputs.merge(views) { $1 }
    merged.columns = run.count
    merged.staged = staged
    return true
  }

  private func changes(_ views: [Value: MemoryView]) -> [Value] {
    views.filter { inputs[$0.key] != $0.value }.map(\.key)
  }

  private mutating func mergeInner(_ plan: ProductLoops, of product: Value, _ graph: Graph) {
    let run = plan.inner
    let left = graph[product].operands[0]
    // Packing walks all axes.
    guard hasRows(left, plan, graph.type(product).dtype.computeDType) else { return }
    let rank = graph.type(left).shape.rank
    // The last axes in order: what stands behind a merged axis is looked for at its old number.
    guard run.count > 1, run.map(\.left) == Array(rank - run.count..<rank),
      let view = inputs[left]?.merging(run.map(\.left))
    else { return }
    guard !below(graph[product].operands[1], graph).contains(left), !isReadBehind(product, left, graph) else { return }
    inputs[left] = view
    merged.leftInner = true
  }

  /// The views below `value`, with its axes at `places` as one, into `views`; false: something is no such memory.
  private func merge(
    _ value: Value, _ places: [Int?], _ product: Value?, _ domain: [Int], _ graph: Graph,
    _ views: inout [Value: MemoryView]
  ) -> Bool {
    var seen: [Value: [Int?]] = [:]
    var stack = [(value, places)]
    while let (value, places) = stack.popLast() {
      if let known = seen[value] {
        guard known == places else { return false }
        continue
      }
      seen[value] = places
      if value == product {
        guard places == domain.map({ $0 }) else { return false }
        continue
      }
      let isApart = places.allSatisfy { $0 == nil }
      if let view = inputs[value] {
        guard let merged = isApart ? view : view.merging(places), views[value] ?? merged == merged else { return false }
        views[value] = merged
        continue
      }
      let node = graph[value]
      if case .iota(let axis, _) = node.primitive, places.contains(axis) { return false }
      guard isApart || node.operands.isEmpty || graph.keepsAxes(value) else { return false }
      let inner = isApart ? places : places.map { $0.flatMap { graph.source(of: $0, value) } }
      for operand in node.operands { stack.append((operand, inner)) }
    }
    return true
  }

  private func below(_ value: Value, _ graph: Graph) -> Set<Value> {
    var found: Set<Value> = []
    var stack = [value]
    while let value = stack.popLast() {
      guard found.insert(value).inserted, inputs[value] == nil else { continue }
      stack += graph[value].operands
    }
    return found
  }

  /// Whether the epilogue of `product` reads `value`.
  private func isReadBehind(_ product: Value, _ value: Value, _ graph: Graph) -> Bool {
    var seen: Set<Value> = [product]
    var stack = roots.map(\.value)
    while let next = stack.popLast() {
      guard seen.insert(next).inserted else { continue }
      if next == value { return true }
      if inputs[next] == nil { stack += graph[next].operands }
    }
    return false
  }
}

extension Graph {
  /// Elementwise, or a reindexing whose axes are its operand's: in another order, repeated, or of extent 1.
  fileprivate func keepsAxes(_ value: Value) -> Bool {
    if case .pointwise = self[value].primitive.definition.lowering { return true }
    if case .permute = self[value].primitive { return true }
    return isAxisPreserving(value)
  }

  /// The axis of the operand that `axis` of such a value walks; nil: none.
  fileprivate func source(of axis: Int, _ value: Value) -> Int? {
    let node = self[value]
    guard let operand = node.operands.first else { return nil }
    let source = type(operand).shape
    switch node.primitive {
    case .permute(let permutation): return permutation[axis]
    case .broadcast(let target):
      let place = axis - (target.rank - source.rank)
      return place < 0 || source[place].isKnown(1) ? nil : place
    case .reshape(let target):
      let wide = source.dims.indices.filter { !source[$0].isKnown(1) }
      return wide[target.dims[..<axis].count { !$0.isKnown(1) }]
    case _: return axis
    }
  }
}

extension MemoryView {
  /// The same elements with the axes at `places` as one; nil where memory has gaps between them.
  fileprivate func merging(_ places: [Int?]) -> MemoryView? {
    let axes = places.compactMap { $0 }
    guard axes.count == places.count, let last = axes.last else { return nil }
    for (outer, inner) in zip(axes, axes.dropFirst()) where strides[outer] != strides[inner] * shape[inner] {
      return nil
    }
    var dims = shape.dims
    for axis in axes.dropLast() {
      dims[last] = dims[axis] * dims[last]
      dims[axis] = 1
    }
    var view = self
    view.type.shape = Shape(dims)
    return view
  }
}

// Tiling of nests with reductions, scans and sorts: reduced axes are whole in the tile, kept ones are the grid.
// Surprise: a reduction of everything to one element runs in two phases over fixed chunks, so that the result does not
// depend on the number of threads.
import Basics
import GraphIR
import Scalars
import TensorTypes
import TileIR

/// Columns of one instance where the innermost axis is kept.
private let keptColumns = 256
/// Elements of one chunk of a full reduction. Part of the result's definition: it fixes the order of additions.
private let chunk = 16384

extension NestEmitter {
  mutating func tileRows(_ anchors: [Value]) throws(Diagnostic) {
    if isFullReduction(anchors) { return try tileFullReduction(anchors) }
    let last = nest.axes.count - 1
    let plan = nest.axes.enumerated().map { axis, loop in
      Blocking(extent: loop.extent, size: loop.reduced ? nil : axis == last ? keptColumns : 1)
    }
    try phase(plan) { emitter, coordinates throws(Diagnostic) in
      for anchor in anchors {
        let computed = try emitter.compute(anchor: anchor, coordinates)
        emitter.bound[anchor] = computed
      }
      try emitter.storeRoots(coordinates)
    }
  }

  /// An anchor's tile from its operand over the whole domain.
  private mutating func compute(anchor: Value, _ coordinates: [Coordinate]) throws(Diagnostic) -> TileValue {
    let node = graph[anchor]
    let operand = try emit(node.operands[0], coordinates)
    let axes = graph.reducedAxes(anchor)
    // Axes the operand does not depend on still count their elements.
    var shape = builder.shape(operand)
    for axis in axes { shape[axis] = tile[axis] }
    if !node.primitive.definition.lowering.reducesRows { shape = naturalShape(coordinates) }
    let whole = repeating(operand, shape)
    let dtype = builder.dtype(whole)
    switch node.primitive {
    case .reduce(let monoid, _):
      let wide = builder.convert(whole, to: dtype.computeDType)
      let result = builder.reduce(monoid, axes, wide)
      return builder.convert(result, to: dtype)
    case .argReduce(let monoid, let axis): return builder.argReduce(monoid, axis, whole)
    case .scan(let monoid, let axis):
      let wide = builder.convert(whole, to: dtype.computeDType)
      let result = builder.scan(monoid, axis, wide)
      return builder.convert(result, to: dtype)
    case .argScan(let monoid, let axis): return builder.argScan(monoid, axis, whole)
    case .sortOrder(let axis, let descending): return builder.sortOrder(axis, descending: descending, whole)
    case let primitive: preconditionFailure("\(primitive.definition.name) is no row operation")
    }
  }

  /// All anchors are independent reductions over every axis, and all roots are single elements.
  private func isFullReduction(_ anchors: [Value]) -> Bool {
    guard nest.axes.count == 1, nest.axes[0].reduced else { return false }
    guard nest.roots.allSatisfy({ graph.type($0.value).shape.rank == 0 }) else { return false }
    return anchors.allSatisfy { anchor in
      guard case .reduction = graph[anchor].primitive.definition.lowering else { return false }
      return !depends(graph[anchor].operands[0], on: anchors)
    }
  }

  private func depends(_ value: Value, on anchors: [Value]) -> Bool {
    if anchors.contains(value) { return true }
    if nest.inputs[value] != nil { return false }
    return graph[value].operands.contains { depends($0, on: anchors) }
  }

  private mutating func tileFullReduction(_ anchors: [Value]) throws(Diagnostic) {
    let extent = nest.axes[0].extent
    let total = index(extent)
    let chunks = builder.index(.ceilDivide, total, chunk)
    var partials: [Int] = []
    for (i, anchor) in anchors.enumerated() {
      guard case .reduce(let monoid, _) = graph[anchor].primitive else { continue }
      let dtype = monoid.partialDType(graph.type(anchor).dtype)
      partials.append(builder.scratch("partial\(i)", dtype, [chunks], .rowMajor(pad: 0)))
    }
    try phase([Blocking(extent: extent, size: chunk)]) { emitter, coordinates throws(Diagnostic) in
      let id = emitter.builder.index(.floorDivide, coordinates[0].start, chunk)
      for (i, anchor) in anchors.enumerated() {
        guard case .reduce(let monoid, _) = emitter.graph[anchor].primitive else { continue }
        let operand = try emitter.emit(emitter.graph[anchor].operands[0], coordinates)
        let whole = emitter.repeating(operand, emitter.tile)
        let wide = emitter.builder.convert(whole, to: monoid.partialDType(emitter.builder.dtype(whole)))
        let partial = emitter.builder.reduce(monoid, [0], wide)
        emitter.builder.store(Access(partials[i], [AxisMap(id)]), partial)
      }
    }
    try phase([]) { emitter, _ throws(Diagnostic) in
      for (i, anchor) in anchors.enumerated() {
        guard case .reduce(let monoid, _) = emitter.graph[anchor].primitive else { continue }
        let zero = emitter.builder.index(0)
        let parts = emitter.builder.load(Access(partials[i], [AxisMap(zero, tileAxis: 0)]), [.value(chunks)])
        let whole = emitter.builder.reduce(monoid, [0], parts)
        emitter.bound[anchor] = emitter.builder.convert(whole, to: emitter.graph.type(anchor).dtype)
      }
      try emitter.storeRoots([])
    }
  }
}

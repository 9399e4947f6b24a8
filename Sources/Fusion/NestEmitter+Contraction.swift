// Tiling of products: packed panels and a register-box dot, or, where one side is a vector, rows of a reduction.
// Not the micro-kernel, which is the code generator's. Surprise: packing evaluates whatever the operand is (a decode, a
// transpose, a convert), so prologues need no special case; the epilogue is the roots' own expression on the finished tile.
//
//   phase 0: pack the right operand   Bp[outer.., k, n]  in panels as wide as the register box; not where one block has
//            all rows: then each element is wanted in one place, and the code generator brings it there
//   phase 1: pack the left operand    Ap[outer.., m, k]  only if its rows are not contiguous f32
//   phase 2: for each block of C: acc += Ap . Bp over slices of k; epilogue; store
import Basics
import GraphIR
import Scalars
import Targets
import TensorTypes
import TileIR

/// The axes of a product: positions in the left operand, the right operand and the result.
struct ProductLoops {
  struct Axis {
    var extent: Dim
    var left: Int?
    var right: Int?
    var out: Int?

    enum Label: Hashable {
      /// By its position in the result.
      case kept(Int)
      /// By its position in the left operand.
      case summed(Int?)
    }
    /// The axis in all of operands and result.
    var label: Label { out.map { .kept($0) } ?? .summed(left) }
  }
  var batch: [Axis] = []
  var rows: [Axis] = []
  var columns: [Axis] = []
  var inner: [Axis] = []

  init(_ axes: ContractionAxes, left: Shape, right: Shape) {
    for pair in axes.batch {
      batch.append(Axis(extent: left[pair.left], left: pair.left, right: pair.right, out: batch.count))
    }
    for axis in axes.leftFree(rank: left.rank) {
      rows.append(Axis(extent: left[axis], left: axis, right: nil, out: batch.count + rows.count))
    }
    for axis in axes.rightFree(rank: right.rank) {
      columns.append(Axis(extent: right[axis], left: nil, right: axis, out: batch.count + rows.count + columns.count))
    }
    for pair in axes.contracted {
      inner.append(Axis(extent: left[pair.left], left: pair.left, right: pair.right, out: nil))
    }
  }

  init(_ graph: Graph, _ value: Value, _ axes: ContractionAxes) {
    let operands = graph[value].operands
    self.init(axes, left: graph.type(operands[0]).shape, right: graph.type(operands[1]).shape)
  }

  var innerExtent: Dim { inner.map(\.extent).reduce(1, *) }
  func isVector(_ axes: [Axis]) -> Bool { axes.allSatisfy { $0.extent.isKnown(1) } }

  /// Whether the left side (true) or the right one is at most `most` rows beside the other's many; nil: neither.
  func narrowSideIsLeft(atMost most: Int) -> Bool? {
    func count(_ axes: [Axis]) -> Int { axes.map(\.extent).reduce(1, *).knownValue ?? .max }
    let (rows, columns) = (count(rows), count(columns))
    guard min(rows, columns) <= most, max(rows, columns) / 4 >= min(rows, columns) else { return nil }
    return rows <= columns
  }
}

/// Where the axes of a product are, by their labels: the coordinates of every operand follow from it.
struct AxisCoordinates {
  /// Where an axis is that has no place.
  let zero: TileValue
  private var places: [ProductLoops.Axis.Label: (axis: ProductLoops.Axis, coordinate: Coordinate)] = [:]

  init(zero: TileValue) { self.zero = zero }

  init(zero: TileValue, _ axes: [ProductLoops.Axis], _ coordinates: [Coordinate]) {
    self.zero = zero
    for (axis, coordinate) in zip(axes, coordinates) { self[axis] = coordinate }
  }

  subscript(axis: ProductLoops.Axis) -> Coordinate {
    get { places[axis.label]?.coordinate ?? Coordinate(start: zero) }
    set { places[axis.label] = (axis, newValue) }
  }

  /// Coordinates of a value with `rank` axes, of which `position` says the number that an axis of the product has.
  func coordinates(rank: Int, _ position: (ProductLoops.Axis) -> Int?) -> [Coordinate] {
    var coordinates = [Coordinate](repeating: Coordinate(start: zero), count: rank)
    for place in places.values { if let slot = position(place.axis) { coordinates[slot] = place.coordinate } }
    return coordinates
  }
}

extension LoopNest {
  /// Whether a product is rows of a reduction, walked axis by axis; else it is packed and its axes may be merged.
  func isVectorProduct(
    _ value: Value, _ plan: ProductLoops, _ graph: Graph, _ target: TargetDescription
  ) -> Bool {
    // Without an axis to sum over (an outer product) there is nothing to pack.
    !graph.type(value).dtype.isFloating || plan.inner.isEmpty || plan.isVector(plan.rows)
      || plan.isVector(plan.columns) || narrowSideIsLeft(value, plan, graph, target) != nil
  }

  /// One side has so few rows that they fit one register box: packing the other, to read it once, would move it three
  /// times. It must be memory that runs along the axis that is summed over.
  fileprivate func narrowSideIsLeft(
    _ value: Value, _ plan: ProductLoops, _ graph: Graph, _ target: TargetDescription
  ) -> Bool? {
    guard let isLeft = plan.narrowSideIsLeft(atMost: target.registerBox.rows),
      !plan.isVector(isLeft ? plan.rows : plan.columns)
    else { return nil }
    let large = graph[value].operands[isLeft ? 1 : 0]
    guard isMemory(large, graph) else { return nil }
    let unit = unitStrideAxis(large, graph)
    return plan.inner.contains { (isLeft ? $0.right : $0.left) == unit } ? isLeft : nil
  }

  /// The left operand is f32 or f64 in memory, contiguous along the last axis that is summed over: it needs no packing if that
  /// is the only one, or all are walked as one.
  func hasRows(_ left: Value, _ plan: ProductLoops, _ compute: DType) -> Bool {
    guard let view = inputs[left], view.type.dtype == compute, let last = plan.inner.last?.left else { return false }
    return view.strides[last].isKnown(1)
  }

  private func isMemory(_ value: Value, _ graph: Graph) -> Bool {
    if inputs[value] != nil { return true }
    if case .convert = graph[value].primitive { return isMemory(graph[value].operands[0], graph) }
    return false
  }

  /// The axis along which a value's neighbours are neighbours in memory; computed values are walked along their last.
  fileprivate func unitStrideAxis(_ value: Value, _ graph: Graph) -> Int? {
    let rank = graph.type(value).shape.rank
    if let view = inputs[value], let unit = view.strides.firstIndex(where: { $0.isKnown(1) }) { return unit }
    if case .permute(let order) = graph[value].primitive, inputs[value] == nil,
      let inner = unitStrideAxis(graph[value].operands[0], graph)
    {
      return order.firstIndex(of: inner)
    }
    if case .convert = graph[value].primitive, inputs[value] == nil {
      return unitStrideAxis(graph[value].operands[0], graph)
    }
    return rank == 0 ? nil : rank - 1
  }
}

/// Columns of one instance of a product with a vector: a page of f32, so that the columns of a row are read as a stream.
private let vectorColumns = 1024

/// Products that go into one accumulator, at most, before it is added to a total: errors grow like those of a blocked sum.
private let stretch = 512

extension NestEmitter.ProductTiles {
  /// No block has rows beyond the last.
  fileprivate func hasAllRows(_ extent: Dim) -> Bool { extent.isKnown(rows) }
}

extension NestEmitter {
  mutating func tileContraction(_ value: Value) throws(Diagnostic) {
    let node = graph[value]
    guard case .contraction(let axes) = node.primitive else {
      throw Diagnostic(.compiler, "fusion: \(node.primitive.definition.name) is no contraction")
    }
    let plan = ProductLoops(graph, value, axes)
    if nest.isVectorProduct(value, plan, graph, context.target) {
      try tileVectorProduct(value, plan)
    } else {
      try tileMatrixProduct(value, plan)
    }
  }

  // MARK: Vector products

  /// Multiply and sum, over the axes of the larger operand in the order of its memory.
  private mutating func tileVectorProduct(_ value: Value, _ plan: ProductLoops) throws(Diagnostic) {
    let node = graph[value]
    let compute = node.type.dtype.computeDType
    let narrow = nest.narrowSideIsLeft(value, plan, graph, context.target)
    let largeIsRight = narrow ?? (plan.isVector(plan.rows) || !plan.isVector(plan.columns))
    let large = node.operands[largeIsRight ? 1 : 0]
    let unit = nest.unitStrideAxis(large, graph)
    let innerIsLast = plan.inner.contains { (largeIsRight ? $0.right : $0.left) == unit } || plan.inner.isEmpty
    // Kept axes first, or last where the large operand is contiguous along one of them.
    // A few rows are whole in every tile.
    let few: [ProductLoops.Axis] = narrow == nil ? [] : largeIsRight ? plan.rows : plan.columns
    var kept = plan.batch
    if narrow == nil { kept += plan.rows }
    kept += largeIsRight || narrow == nil ? plan.columns : plan.rows
    kept += few
    var order = innerIsLast ? kept + plan.inner : plan.inner + kept
    if !innerIsLast, let position = order.firstIndex(where: { (largeIsRight ? $0.right : $0.left) == unit }) {
      order.append(order.remove(at: position))
    }
    let whole = Set(few.map(\.out))
    let blocks = order.enumerated().map { position, axis -> Blocking in
      if axis.out == nil || whole.contains(axis.out) { return Blocking(extent: axis.extent, size: nil) }
      return Blocking(extent: axis.extent, size: position == order.count - 1 ? vectorColumns : 1)
    }
    try phase(blocks) { emitter, coordinates throws(Diagnostic) in
      let places = AxisCoordinates(zero: emitter.builder.index(0), order, coordinates)
      let (left, right) = (node.operands[0], node.operands[1])
      let a = try emitter.emit(left, places.coordinates(rank: emitter.graph.type(left).shape.rank) { $0.left })
      let b = try emitter.emit(right, places.coordinates(rank: emitter.graph.type(right).shape.rank) { $0.right })
      let wideA = emitter.builder.convert(a, to: compute)
      let wideB = emitter.builder.convert(b, to: compute)
      let product = emitter.map(node.type.dtype == .bool ? .and : .multiply, [wideA, wideB])
      let reduced = order.indices.filter { order[$0].out == nil }
      var result = product
      if !reduced.isEmpty {
        var shape = emitter.builder.shape(product)
        for axis in reduced { shape[axis] = emitter.tile[axis] }
        let whole = emitter.repeating(product, shape)
        result = emitter.builder.reduce(node.type.dtype == .bool ? .or : .sum, reduced, whole)
      }
      emitter.bound[value] = emitter.builder.convert(result, to: node.type.dtype)
      try emitter.storeRoots(places.coordinates(rank: node.type.shape.rank) { $0.out })
    }
  }

  // MARK: Matrix products

  struct ProductTiles {
    var rows: Int
    var columns: Int
    var slice: Int
    var panel: Int
    /// One block has all rows.
    var isOneBlock = false
  }

  /// Blocks for a register box: four boxes high, a B panel slice that stays in the nearest cache.
  func tiles(_ compute: DType) -> ProductTiles {
    let box = context.target.registerBox
    let panel = max(box.columns * 4 / compute.size, 4)
    return ProductTiles(rows: box.rows * 4, columns: panel * 16, slice: stretch, panel: panel)
  }

  /// Of all rows at once, if they are few: of a slice of B, a strip of a register box's columns stays in the nearest cache.
  private func tiles(_ plan: ProductLoops, _ compute: DType) -> ProductTiles {
    var sizes = tiles(compute)
    guard let rows = plan.rows.map(\.extent).reduce(1, *).knownValue, rows > 0,
      rows <= context.target.registerBox.rows * 10,
      plan.rows.last?.extent.isKnown(rows) == true, plan.inner.count == 1, plan.columns.count == 1
    else { return sizes }
    sizes.isOneBlock = true
    sizes.rows = rows
    // Sixteen blocks or more, where the columns allow that.
    let panels = (plan.columns[0].extent.knownValue ?? .max) / 16 / sizes.panel
    sizes.columns = sizes.panel * min(max(panels, 2), 8)
    sizes.slice = min(max(64, context.target.cache.level1 / 3 / (sizes.panel * compute.size)), stretch)
    return sizes
  }

  private struct MatrixOperand {
    var value: Value
    /// Scratch that it is packed into.
    var packed: Int?
    var outer: [ProductLoops.Axis]
    /// The axis of the block, beside the one that is summed over.
    var line: ProductLoops.Axis
    var position: (ProductLoops.Axis) -> Int?
  }

  private struct MatrixProduct {
    var plan: ProductLoops
    var compute: DType
    var sizes: ProductTiles
    var left: MatrixOperand
    var right: MatrixOperand
    /// Columns that are walked as one.
    var run: [ProductLoops.Axis]
    var outer: [ProductLoops.Axis]
    var kept: [ProductLoops.Axis] { outer + [left.line, right.line] }
  }

  /// The operands of a product, packed where they must be.
  private mutating func packed(_ value: Value, _ plan: ProductLoops) throws(Diagnostic) -> MatrixProduct {
    let node = graph[value]
    let compute = node.type.dtype.computeDType
    let (outerRows, outerColumns) = (plan.rows.dropLast(), plan.columns.dropLast(nest.merged.columns))
    let run = Array(plan.columns.suffix(nest.merged.columns))
    var n = run[run.count - 1]
    n.extent = run.map(\.extent).reduce(1, *)
    var product = MatrixProduct(
      plan: plan, compute: compute, sizes: tiles(plan, compute),
      left: MatrixOperand(
        value: node.operands[0], outer: plan.batch + outerRows, line: plan.rows[plan.rows.count - 1]
      ) { $0.left },
      right: MatrixOperand(value: node.operands[1], outer: plan.batch + outerColumns, line: n) { $0.right },
      run: run, outer: plan.batch + outerRows + outerColumns)
    if !product.sizes.isOneBlock {
      product.right.packed = try pack(
        "right", node.operands[1], outer: product.right.outer, lines: nest.merged.rightColumns ? [n] : run, plan,
        compute, layout: .panels(width: product.sizes.panel, pad: 0), lineFirst: false, product.right.position)
    }
    let isOneAxis = plan.inner.count == 1 || nest.merged.leftInner
    if !isOneAxis || !nest.hasRows(node.operands[0], plan, compute) {
      product.left.packed = try pack(
        "left", node.operands[0], outer: product.left.outer, lines: [product.left.line], plan, compute,
        layout: .rowMajor(pad: 16), lineFirst: true, product.left.position)
    }
    return product
  }

  private mutating func tileMatrixProduct(_ value: Value, _ plan: ProductLoops) throws(Diagnostic) {
    let depth = index(plan.innerExtent)
    let product = try packed(value, plan)
    let (m, n, sizes) = (product.left.line, product.right.line, product.sizes)
    let (mTotal, nTotal) = (index(m.extent), index(n.extent))
    let grid =
      [builder.index(.ceilDivide, nTotal, sizes.columns), builder.index(.ceilDivide, mTotal, sizes.rows)]
      + product.outer.map { index($0.extent) }
    let slices = builder.index(.ceilDivide, depth, sizes.slice)
    let staged = stagingScratch(product.kept)
    let ids = builder.openPhase(grid)
    forget()
    tile = [.constant(sizes.rows), .constant(sizes.columns)]
    var places = AxisCoordinates(zero: builder.index(0), product.outer, ids.dropFirst(2).map { Coordinate(start: $0) })
    places[m] = Coordinate(
      start: builder.index(.multiply, ids[1], sizes.rows), tileAxis: 0, guarded: !sizes.hasAllRows(m.extent))
    places[n] = Coordinate(start: builder.index(.multiply, ids[0], sizes.columns), tileAxis: 1, guarded: true)
    let sum = try blockSum(product, places, depth, slices)

    forget()
    bound[value] = builder.convert(sum, to: graph.type(value).dtype)
    let out = places.coordinates(rank: graph.type(value).shape.rank) { $0.out }
    try storeRoots(out, staging: staged, at: product.kept.map { AxisMap(places[$0]) })
    builder.closePhase(grid)
    forget()
    for (root, scratch) in staged.sorted(by: { $0.key < $1.key }) {
      try unstage(nest.roots[root], from: scratch, product.outer + [m], product.run)
    }
  }

  /// The sums of a block, over slices of what is summed.
  private mutating func blockSum(
    _ product: MatrixProduct, _ places: AxisCoordinates, _ depth: TileValue, _ slices: TileValue
  ) throws(Diagnostic) -> TileValue {
    let start = builder.splat(ScalarConstant(product.compute, 0), tile)
    let (counter, carried) = builder.openLoop([start])
    let first = builder.index(.multiply, counter, product.sizes.slice)
    let rest = builder.index(.subtract, depth, first)
    let count = Extent.value(builder.index(.minimum, rest, product.sizes.slice))
    let a = try slice(product.left, product, places, from: first, [tile[0], count], along: 1)
    let b = try slice(product.right, product, places, from: first, [count, tile[1]], along: 0)
    let next = builder.dot(carried[0], a, b)
    return builder.closeLoop(slices, [start], counter: counter, carried: carried, yields: [next])[0]
  }

  /// A slice of an operand from `first` on, which runs along `axis` of the tile.
  private mutating func slice(
    _ operand: MatrixOperand, _ product: MatrixProduct, _ places: AxisCoordinates, from first: TileValue,
    _ shape: [Extent],
    along axis: Int
  ) throws(Diagnostic) -> TileValue {
    if let packed = operand.packed {
      let lead = operand.outer.map { AxisMap(places[$0].start) }
      // Columns behind the last are in its panel.
      let line = AxisMap(places[operand.line].start, tileAxis: 1 - axis, guarded: axis == 1)
      let inner = AxisMap(first, tileAxis: axis)
      return builder.load(Access(packed, lead + (axis == 1 ? [line, inner] : [inner, line])), shape)
    }
    var places = places
    if let inner = product.plan.inner.last { places[inner] = Coordinate(start: first, tileAxis: axis) }
    let at = places.coordinates(rank: graph.type(operand.value).shape.rank, operand.position)
    return try emit(operand.value, at, shape, as: product.compute)
  }

  /// An operand of a product as a whole tile.
  private mutating func emit(
    _ value: Value, _ at: [Coordinate], _ shape: [Extent], as compute: DType
  ) throws(Diagnostic) -> TileValue {
    let before = tile
    tile = shape
    defer { tile = before }
    return builder.convert(repeating(try emit(value, at), shape), to: compute)
  }

  /// Scratch for every staged root, by its number: [axes..].
  private mutating func stagingScratch(_ axes: [ProductLoops.Axis]) -> [Int: Int] {
    var scratch: [Int: Int] = [:]
    for root in nest.merged.staged {
      let shape = axes.map { index($0.extent) }
      let dtype = graph.type(nest.roots[root].value).dtype
      scratch[root] = builder.scratch("result\(root)", dtype, shape, .rowMajor(pad: 0))
    }
    return scratch
  }

  /// Stores the roots; those in `staged` to scratch, in which the tile is at `maps`.
  private mutating func storeRoots(
    _ out: [Coordinate], staging staged: [Int: Int], at maps: [AxisMap]
  ) throws(Diagnostic) {
    for (i, root) in nest.roots.enumerated() {
      let at = place(root, out)
      // A number fills its whole target.
      let value = try emit(root.value, graph.type(root.value).shape.rank == 0 ? [] : at)
      if let scratch = staged[i] {
        let whole = repeating(value, tile)
        builder.store(Access(scratch, maps), whole)
      } else {
        store(root, value, at)
      }
    }
  }

  /// A phase that copies a staged root, [lines.., run as one], to its place.
  private mutating func unstage(
    _ root: LoopNest.Root, from scratch: Int, _ lines: [ProductLoops.Axis], _ run: [ProductLoops.Axis]
  ) throws(Diagnostic) {
    let plan = blocks(graph.type(root.value).shape.dims, rows: 1, columns: 4096)
    try phase(plan) { emitter, coordinates throws(Diagnostic) in
      let zero = emitter.builder.index(0)
      func at(_ axis: ProductLoops.Axis) -> Coordinate {
        root.axes.firstIndex { $0 == axis.out }.map { coordinates[$0] } ?? Coordinate(start: zero)
      }
      let flat = emitter.flat(run) { at($0).start }
      let maps =
        lines.map { AxisMap(at($0).start, tileAxis: at($0).tileAxis) }
        + [AxisMap(flat, tileAxis: run.last.flatMap { at($0).tileAxis })]
      let loaded = emitter.builder.load(Access(scratch, maps), emitter.naturalShape(coordinates))
      emitter.store(root, loaded, coordinates)
    }
  }

  /// The position in axes that are walked as one: ((a * B) + b) * C + ...
  private mutating func flat(_ axes: [ProductLoops.Axis], _ start: (ProductLoops.Axis) -> TileValue) -> TileValue {
    var flat = builder.index(0)
    for axis in axes {
      let extent = index(axis.extent)
      flat = builder.index(.multiply, flat, extent)
      flat = builder.index(.add, flat, start(axis))
    }
    return flat
  }

  /// A phase that writes `value` to scratch [outer.., line, k] or [outer.., k, line]; all inner axes are made one, and
  /// all of `lines`.
  mutating func pack(
    _ name: String, _ value: Value, outer: [ProductLoops.Axis], lines run: [ProductLoops.Axis],
    _ plan: ProductLoops, _ compute: DType, layout: BufferLayout, lineFirst: Bool,
    _ position: (ProductLoops.Axis) -> Int?
  ) throws(Diagnostic) -> Int {
    let depth = index(plan.innerExtent)
    let line = run[run.count - 1]
    let lineExtent = index(run.map(\.extent).reduce(1, *))
    let shape = outer.map { index($0.extent) } + (lineFirst ? [lineExtent, depth] : [depth, lineExtent])
    let scratch = builder.scratch(name, compute, shape, layout)
    let innermost = plan.inner[plan.inner.count - 1]
    var slow = Array(plan.inner.dropLast())
    // Pieces joined along a slow inner axis (the nibbles of a packed block) are written one after the other.
    let joined = joinedPieces(value, slow.compactMap(position))
    let joinedAxis = joined.flatMap { joined in slow.firstIndex { position($0) == joined.axis } }
    let inner = plan.inner
    if let joinedAxis { slow.remove(at: joinedAxis) }
    let ordered = outer + slow + run.dropLast() + (lineFirst ? [line, innermost] : [innermost, line])
    let last = ordered.count - 1
    // One panel at a time where that is much: its columns are then whole registers at known places. Short inner axes
    // (windows) are packed for many columns at once.
    var (lines, depths) = (512, 64)
    if case .panels(let width, _) = layout, inner.count == 1 { (lines, depths) = (width, 512) }
    let blocks = ordered.enumerated().map { i, axis in
      Blocking(extent: axis.extent, size: i == last ? lines : i == last - 1 ? depths : 1)
    }
    let rank = graph.type(value).shape.rank
    try phase(blocks) { emitter, coordinates throws(Diagnostic) in
      for piece in 0..<(joined?.pieces.count ?? 1) {
        var places = AxisCoordinates(zero: emitter.builder.index(0), ordered, coordinates)
        let loaded = try emitter.emit(joined?.pieces[piece] ?? value, places.coordinates(rank: rank, position))
        let wide = emitter.builder.convert(loaded, to: compute)
        let whole = emitter.repeating(wide, emitter.naturalShape(coordinates))
        if let joinedAxis { places[inner[joinedAxis]] = Coordinate(start: emitter.builder.index(piece)) }
        let depth = AxisMap(emitter.flat(inner) { places[$0].start }, tileAxis: places[innermost].tileAxis)
        let across = AxisMap(emitter.flat(run) { places[$0].start }, tileAxis: places[line].tileAxis)
        let lead = outer.map { AxisMap(places[$0].start) }
        emitter.builder.store(Access(scratch, lead + (lineFirst ? [across, depth] : [depth, across])), whole)
      }
    }
    return scratch
  }

  /// The operands of a concatenation along one of `axes`, if each has extent 1 there.
  private func joinedPieces(_ value: Value, _ axes: [Int]) -> (axis: Int, pieces: [Value])? {
    guard nest.inputs[value] == nil, case .concatenate(let axis) = graph[value].primitive, axes.contains(axis) else {
      return nil
    }
    let pieces = graph[value].operands
    return pieces.allSatisfy { graph.type($0).shape[axis].isKnown(1) } ? (axis, pieces) : nil
  }
}

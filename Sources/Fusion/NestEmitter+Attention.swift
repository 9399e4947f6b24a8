// Tiling of attention: softmax(queries . keys) . values as one reduction over the keys that carries, for every query, the
// running maximum, the running sum of exponentials and the running weighted sum (Milakov 2018, Dao 2022).
// Not a special kernel: products, reductions and maps of the tile language. Surprise: the elementwise work on the scores
// is emitted from the graph at the block's coordinates, so any mask or bias comes along.
//
//   many queries: phase 0 packs keys, phase 1 packs values; phase 2, for each block of queries: for each block of keys
//                 that the mask lets it see: maximum, sum, weighted sum; then the epilogue
//   few queries:  phase 0, for each chunk of keys: maximum, sum, weighted sum, streaming keys and values once,
//                 phase 1 combines the chunks; epilogue
import Basics
import GraphIR
import Scalars
import TensorTypes
import TileIR

/// Rows (queries, or query heads of one key head) up to which keys are streamed instead of packed.
private let fewRows = 16
/// Keys of one chunk where queries are few. Part of the result's definition: it fixes the order of additions.
private let chunkKeys = 128
/// Keys of one block where queries are many: scores of a block stay in the nearest cache.
private let blockKeys = 128

extension NestEmitter {
  mutating func tileAttention(_ pattern: AttentionPattern) throws(Diagnostic) {
    let tiling = try AttentionTiling(graph, pattern)
    if tiling.isNarrow { try tileFewQueries(tiling) } else { try tileManyQueries(tiling) }
  }

  // MARK: Many queries

  private mutating func tileManyQueries(_ tiling: AttentionTiling) throws(Diagnostic) {
    let sizes = tiles(tiling.scoreDType)
    let panels = BufferLayout.panels(width: sizes.panel, pad: 0)
    let packedKeys = try pack(
      "keys", tiling.keys, outer: tiling.keyOuter, lines: [tiling.scoreKey], tiling.scorePlan, tiling.scoreDType,
      layout: panels, lineFirst: false, tiling.keyPosition)
    let packedValues = try pack(
      "values", tiling.values, outer: tiling.mixPlan.batch, lines: [tiling.out], tiling.mixPlan, tiling.compute,
      layout: panels, lineFirst: false, tiling.valuePosition)

    let rows = tiling.shape[tiling.pattern.rowAxis ?? 0]
    let total = index(tiling.shape[tiling.pattern.keyAxis])
    let rowTotal = index(rows)
    let grid = [builder.index(.ceilDivide, rowTotal, sizes.rows)] + tiling.outer.map { index(tiling.shape[$0]) }
    let ids = builder.openPhase(grid)
    forget()
    let zero = builder.index(0)
    let row = builder.index(.multiply, ids[0], sizes.rows)
    var at = [Coordinate](repeating: Coordinate(start: zero), count: tiling.shape.rank)
    for (i, axis) in tiling.outer.enumerated() { at[axis] = Coordinate(start: ids[1 + i]) }
    if let axis = tiling.pattern.rowAxis { at[axis] = Coordinate(start: row, tileAxis: 0, guarded: true) }

    let (high, depth, width) = (
      Extent.constant(sizes.rows), extent(tiling.inner.extent), extent(tiling.out.extent)
    )
    tile = [high, depth]
    let q = try operand(tiling.queries, tiling, at, tiling.queryPosition, inner: 1)
    let queries = repeating(builder.convert(q, to: tiling.scoreDType), tile)
    let start = [
      builder.splat(
        ScalarConstant(tiling.compute, tiling.pattern.maximum == nil ? 0 : -.infinity), [high, .constant(1)]),
      builder.splat(ScalarConstant(tiling.compute, 0), [high, .constant(1)]),
      builder.splat(ScalarConstant(tiling.compute, 0), [high, width]),
    ]
    forget()
    let seen = seenKeys(tiling.pattern, at, rows: sizes.rows, total: total)
    var trips = builder.index(.ceilDivide, seen.end, blockKeys)
    let skipped = seen.first.map { builder.index(.floorDivide, $0, blockKeys) }
    if let skipped { trips = builder.index(.subtract, trips, skipped) }
    let (counter, carried) = builder.openLoop(start)
    let block = skipped.map { builder.index(.add, counter, $0) } ?? counter
    let first = builder.index(.multiply, block, blockKeys)
    let left = builder.index(.subtract, seen.end, first)
    let count = Extent.value(builder.index(.minimum, left, blockKeys))
    at[tiling.pattern.keyAxis] = Coordinate(start: first, tileAxis: 1)

    tile = [high, count]
    let next = try blockPart(
      tiling, keys: packedKeys, values: packedValues, queries, carried, at, keyTile: [depth, count],
      valueTile: [count, width])
    let results = builder.closeLoop(
      trips, start, counter: counter, carried: carried, yields: next)
    forget()
    tile = [high, width]
    try finish(tiling, maximum: results[0], sum: results[1], mix: results[2], at, zero)
    builder.closePhase(grid)
    forget()
  }

  /// Maximum, sum and weighted sum with the keys of one block.
  private mutating func blockPart(
    _ tiling: AttentionTiling, keys: Int, values: Int, _ queries: TileValue, _ carried: [TileValue],
    _ at: [Coordinate], keyTile: [Extent], valueTile: [Extent]
  ) throws(Diagnostic) -> [TileValue] {
    let zero = builder.index(0)
    let first = at[tiling.pattern.keyAxis].start
    let lead = tiling.keyOuter.map { AxisMap(tiling.scorePlaces(at, zero)[$0].start) }
    let k = builder.load(
      Access(keys, lead + [AxisMap(zero, tileAxis: 0), AxisMap(first, tileAxis: 1)]), keyTile)
    let scores = builder.dot(builder.splat(ScalarConstant(tiling.scoreDType, 0), tile), queries, k)
    let x = try logits(tiling, scores, at)
    let part = softmaxPart(tiling, x, axis: 1, before: carried[0])
    let heads = tiling.mixPlan.batch.map { AxisMap(tiling.mixPlaces(at, zero)[$0].start) }
    let v = builder.load(
      Access(values, heads + [AxisMap(first, tileAxis: 0), AxisMap(zero, tileAxis: 1)]), valueTile)
    let scale = map(.exp, [map(.subtract, [carried[0], part.shift])])
    let sum = map(.multiplyAdd, [carried[1], scale, part.sum])
    let mix = builder.dot(map(.multiply, [carried[2], scale]), part.weights, v)
    return [part.maximum, sum, mix]
  }

  // MARK: Few queries

  /// Maximum, sum and weighted sum of every chunk: [outer.., chunk, row, 1 or width].
  private struct ChunkScratch {
    var maxima: Int
    var sums: Int
    var mixes: Int
  }

  private mutating func tileFewQueries(_ tiling: AttentionTiling) throws(Diagnostic) {
    let total = index(tiling.shape[tiling.pattern.keyAxis])
    let chunks = builder.index(.ceilDivide, total, chunkKeys)
    let outer = tiling.outer.map { index(tiling.shape[$0]) }
    let rows = index(tiling.rowExtent)
    let width = index(tiling.out.extent)
    let one = builder.index(1)
    let scratch = ChunkScratch(
      maxima: builder.scratch("maxima", tiling.compute, outer + [chunks, rows, one], .rowMajor(pad: 0)),
      sums: builder.scratch("sums", tiling.compute, outer + [chunks, rows, one], .rowMajor(pad: 0)),
      mixes: builder.scratch("mixes", tiling.compute, outer + [chunks, rows, width], .rowMajor(pad: 0)))
    let (high, wide) = (extent(tiling.rowExtent), extent(tiling.out.extent))
    // Heads run fastest: those of one key lie side by side in memory.
    let ids = builder.openPhase(outer + [chunks])
    forget()
    try tileChunk(tiling, ids, total, scratch, high, wide)
    builder.closePhase(outer + [chunks])
    forget()
    let grid = outer.isEmpty ? [one] : outer
    let places = builder.openPhase(grid)
    try combineChunks(tiling, outer.isEmpty ? [] : places, chunks, scratch, high, wide)
    builder.closePhase(grid)
    forget()
  }

  /// Where few queries are, outside of the keys' axis.
  private mutating func narrowCoordinates(_ tiling: AttentionTiling, _ ids: [TileValue]) -> [Coordinate] {
    let zero = builder.index(0)
    var at = [Coordinate](repeating: Coordinate(start: zero), count: tiling.shape.rank)
    for (axis, id) in zip(tiling.outer, ids) { at[axis] = Coordinate(start: id) }
    if let axis = tiling.pattern.rowAxis { at[axis] = Coordinate(start: zero, tileAxis: 1) }
    return at
  }

  /// Tiles are [width of a head, rows, keys]; the first axis is summed at once.
  private mutating func tileChunk(
    _ tiling: AttentionTiling, _ ids: [TileValue], _ total: TileValue, _ scratch: ChunkScratch, _ high: Extent,
    _ wide: Extent
  ) throws(Diagnostic) {
    let zero = builder.index(0)
    let chunk = ids[ids.count - 1]
    var at = narrowCoordinates(tiling, ids.dropLast())
    let first = builder.index(.multiply, chunk, chunkKeys)
    let left = builder.index(.subtract, total, first)
    let count = Extent.value(builder.index(.minimum, left, chunkKeys))
    at[tiling.pattern.keyAxis] = Coordinate(start: first, tileAxis: 2)
    tile = [extent(tiling.inner.extent), high, count]
    let q = try operand(tiling.queries, tiling, at, tiling.queryPosition, inner: 0)
    let k = try operand(tiling.keys, tiling, at, tiling.keyPosition, inner: 0)
    let wideQ = builder.convert(q, to: tiling.scoreDType)
    let wideK = builder.convert(k, to: tiling.scoreDType)
    let product = repeating(map(.multiply, [wideQ, wideK]), tile)
    let scores = builder.reduce(.sum, [0], product)
    forget()
    tile = [.constant(1), high, count]
    let x = try logits(tiling, scores, at)
    let part = softmaxPart(tiling, x, axis: 2, before: nil)
    let v = try values(tiling, at, keyAxis: 1, count, wide)
    let nothing = builder.splat(ScalarConstant(tiling.compute, 0), [.constant(1), high, wide])
    let mix = builder.dot(nothing, part.weights, v)
    let lead = ids.dropLast().map { AxisMap($0) } + [AxisMap(chunk), AxisMap(zero, tileAxis: 1)]
    builder.store(Access(scratch.maxima, lead + [AxisMap(zero)]), part.maximum)
    builder.store(Access(scratch.sums, lead + [AxisMap(zero)]), part.sum)
    builder.store(Access(scratch.mixes, lead + [AxisMap(zero, tileAxis: 2)]), mix)
  }

  private mutating func combineChunks(
    _ tiling: AttentionTiling, _ ids: [TileValue], _ chunks: TileValue, _ scratch: ChunkScratch, _ high: Extent,
    _ wide: Extent
  ) throws(Diagnostic) {
    let zero = builder.index(0)
    let at = narrowCoordinates(tiling, ids)
    let all = Extent.value(chunks)
    let from = ids.map { AxisMap($0) } + [AxisMap(zero, tileAxis: 0), AxisMap(zero, tileAxis: 1)]
    let maxima = builder.load(Access(scratch.maxima, from + [AxisMap(zero)]), [all, high, .constant(1)])
    let sums = builder.load(Access(scratch.sums, from + [AxisMap(zero)]), [all, high, .constant(1)])
    let mixes = builder.load(Access(scratch.mixes, from + [AxisMap(zero, tileAxis: 2)]), [all, high, wide])
    tile = [all, high, wide]
    let maximum = builder.reduce(.maximum, [0], maxima)
    let scale = map(.exp, [map(.subtract, [maxima, seen(maximum, tiling.compute)])])
    let sum = builder.reduce(.sum, [0], map(.multiply, [sums, scale]))
    let whole = builder.reduce(.sum, [0], map(.multiply, [mixes, scale]))
    tile = [.constant(1), high, wide]
    try finish(tiling, maximum: maximum, sum: sum, mix: whole, at, zero)
  }

  // MARK: Parts

  /// Queries or keys where the scores are `at`; sums run along `axis` of the tile.
  private mutating func operand(
    _ value: Value, _ tiling: AttentionTiling, _ at: [Coordinate], _ position: (ProductLoops.Axis) -> Int?,
    inner axis: Int
  ) throws(Diagnostic) -> TileValue {
    let zero = builder.index(0)
    var places = tiling.scorePlaces(at, zero)
    places[tiling.inner] = Coordinate(start: zero, tileAxis: axis)
    return try emit(value, places.coordinates(rank: graph.type(value).shape.rank, position))
  }

  /// The elementwise work on a block of scores, over the whole block.
  private mutating func logits(
    _ tiling: AttentionTiling, _ scores: TileValue, _ at: [Coordinate]
  ) throws(Diagnostic) -> TileValue {
    // Half floats that are widened at once are not rounded in between.
    for value in tiling.widened { bound[value] = scores }
    bound[tiling.pattern.scores] = builder.convert(scores, to: graph.type(tiling.pattern.scores).dtype)
    let x = try emit(tiling.pattern.logits, at)
    return repeating(builder.convert(x, to: tiling.compute), tile)
  }

  private struct SoftmaxPart {
    var maximum: TileValue
    /// The maximum, or 0 where everything is -infinity so far.
    var shift: TileValue
    var weights: TileValue
    var sum: TileValue
  }

  private mutating func softmaxPart(
    _ tiling: AttentionTiling, _ x: TileValue, axis: Int, before: TileValue?
  ) -> SoftmaxPart {
    var maximum: TileValue
    if tiling.pattern.maximum == nil {
      var shape = builder.shape(x)
      shape[axis] = .constant(1)
      maximum = builder.splat(ScalarConstant(tiling.compute, 0), shape)
    } else {
      maximum = builder.reduce(.maximum, [axis], x)
      if let before { maximum = map(.maximum, [before, maximum]) }
    }
    let shift = seen(maximum, tiling.compute)
    let weights = map(.exp, [map(.subtract, [x, shift])])
    return SoftmaxPart(
      maximum: maximum, shift: shift, weights: weights, sum: builder.reduce(.sum, [axis], weights))
  }

  private mutating func seen(_ maximum: TileValue, _ dtype: DType) -> TileValue {
    let shape = builder.shape(maximum)
    let isHidden = map(.equal, [maximum, builder.splat(ScalarConstant(dtype, -.infinity), shape)])
    return map(.select, [isHidden, builder.splat(ScalarConstant(dtype, 0), shape), maximum])
  }

  /// Values [keys, width of a head] on the last two axes of the tile.
  private mutating func values(
    _ tiling: AttentionTiling, _ at: [Coordinate], keyAxis: Int, _ count: Extent, _ width: Extent
  ) throws(Diagnostic) -> TileValue {
    let scoreTile = tile
    var places = at
    places[tiling.pattern.keyAxis].tileAxis = keyAxis
    let zero = builder.index(0)
    tile = [Extent](repeating: .constant(1), count: scoreTile.count - 2) + [count, width]
    var mix = tiling.mixPlaces(places, zero)
    mix[tiling.out] = Coordinate(start: zero, tileAxis: scoreTile.count - 1)
    let coordinates = mix.coordinates(rank: graph.type(tiling.values).shape.rank, tiling.valuePosition)
    let loaded = try emit(tiling.values, coordinates)
    let whole = repeating(loaded, tile)
    tile = scoreTile
    return whole
  }

  /// Divides by the sum as the graph does, then the roots' own work.
  private mutating func finish(
    _ tiling: AttentionTiling, maximum: TileValue, sum: TileValue, mix: TileValue, _ at: [Coordinate], _ zero: TileValue
  ) throws(Diagnostic) {
    let pattern = tiling.pattern
    var total = sum
    if pattern.hiddenRowsAreNaN {
      let shape = builder.shape(sum)
      let isHidden = map(.equal, [maximum, builder.splat(ScalarConstant(tiling.compute, -.infinity), shape)])
      total = map(.select, [isHidden, builder.splat(ScalarConstant(tiling.compute, .nan), shape), sum])
    }
    if let value = pattern.maximum { bound[value] = builder.convert(maximum, to: graph.type(value).dtype) }
    if let value = pattern.sum { bound[value] = builder.convert(total, to: graph.type(value).dtype) }
    var row = at
    row[pattern.keyAxis] = Coordinate(start: zero)
    var result = mix
    for factor in pattern.factors {
      let made = try emit(factor.value, row)
      result = map(factor.divides ? .divide : .multiply, [result, builder.convert(made, to: tiling.compute)])
    }
    forget()
    bound[pattern.mix] = builder.convert(result, to: graph.type(pattern.mix).dtype)
    var places = tiling.mixPlaces(at, zero)
    places[tiling.out] = Coordinate(start: zero, tileAxis: tile.count - 1)
    let out = places.coordinates(rank: graph.type(pattern.mix).shape.rank) { $0.out }
    try storeRoots(out)
  }
}

/// The axes of an attention, and its operands by the part they play.
struct AttentionTiling {
  let pattern: AttentionPattern
  let scorePlan: ProductLoops
  let mixPlan: ProductLoops
  /// Of the scores.
  let shape: Shape
  let queries: Value
  let keys: Value
  let values: Value
  /// The axis that scores are sums over, and the values' own.
  let inner: ProductLoops.Axis
  let out: ProductLoops.Axis
  /// The keys' axis in the scores' plan.
  let scoreKey: ProductLoops.Axis
  /// Axes of the keys that are no keys: key heads.
  let keyOuter: [ProductLoops.Axis]
  /// Axes of the scores that are neither rows nor keys, innermost first.
  let outer: [Int]
  let scoreDType: DType
  let compute: DType
  /// Conversions of the scores that lose nothing of what was accumulated.
  let widened: [Value]

  init(_ graph: Graph, _ pattern: AttentionPattern) throws(Diagnostic) {
    guard case .contraction(let scoreAxes) = graph[pattern.scores].primitive,
      case .contraction(let mixAxes) = graph[pattern.mix].primitive
    else { throw Diagnostic(.compiler, "fusion: an attention without products") }
    self.pattern = pattern
    scorePlan = ProductLoops(graph, pattern.scores, scoreAxes)
    mixPlan = ProductLoops(graph, pattern.mix, mixAxes)
    let shape = graph.type(pattern.scores).shape
    self.shape = shape
    let (scores, mix) = (graph[pattern.scores].operands, graph[pattern.mix].operands)
    queries = scores[pattern.queriesAreLeft ? 0 : 1]
    keys = scores[pattern.queriesAreLeft ? 1 : 0]
    values = mix[pattern.weightsAreLeft ? 1 : 0]
    let keyFree = pattern.queriesAreLeft ? scorePlan.columns : scorePlan.rows
    guard let inner = scorePlan.inner.first, let scoreKey = keyFree.first(where: { $0.out == pattern.keyAxis }),
      let out = (pattern.weightsAreLeft ? mixPlan.columns : mixPlan.rows).first
    else { throw Diagnostic(.compiler, "fusion: an attention without keys") }
    self.inner = inner
    self.scoreKey = scoreKey
    self.out = out
    keyOuter = scorePlan.batch + keyFree.filter { $0.out != pattern.keyAxis }
    outer = shape.dims.indices.reversed().filter {
      $0 != pattern.rowAxis && $0 != pattern.keyAxis && !shape[$0].isKnown(1)
    }
    let made = graph.type(pattern.scores).dtype
    scoreDType = made.computeDType
    compute = graph.type(pattern.logits).dtype.computeDType
    let wide = scoreDType
    let users = graph.nodes.indices.filter { graph.nodes[$0].operands.contains(pattern.scores) }.map { Value($0) }
    let isWidened = users.allSatisfy { user in graph[user].primitive == .convert(wide) }
    widened = made != wide && isWidened ? users : []
  }

  var rowExtent: Dim { pattern.rowAxis.map { shape[$0] } ?? 1 }
  var isNarrow: Bool { rowExtent.knownValue.map { $0 <= fewRows } ?? false }

  func queryPosition(_ axis: ProductLoops.Axis) -> Int? { pattern.queriesAreLeft ? axis.left : axis.right }
  func keyPosition(_ axis: ProductLoops.Axis) -> Int? { pattern.queriesAreLeft ? axis.right : axis.left }
  func weightPosition(_ axis: ProductLoops.Axis) -> Int? { pattern.weightsAreLeft ? axis.left : axis.right }
  func valuePosition(_ axis: ProductLoops.Axis) -> Int? { pattern.weightsAreLeft ? axis.right : axis.left }

  /// Where the axes of the scores' product are, given where the scores are.
  func scorePlaces(_ at: [Coordinate], _ zero: TileValue) -> AxisCoordinates {
    let kept = scorePlan.batch + scorePlan.rows + scorePlan.columns
    return AxisCoordinates(zero: zero, kept, kept.map { $0.out.map { at[$0] } ?? Coordinate(start: zero) })
  }

  /// Where the axes of the weights' product are that the weights have.
  func mixPlaces(_ at: [Coordinate], _ zero: TileValue) -> AxisCoordinates {
    var places = AxisCoordinates(zero: zero)
    for axis in mixPlan.batch + mixPlan.rows + mixPlan.columns + mixPlan.inner {
      if let from = weightPosition(axis) { places[axis] = at[from] }
    }
    return places
  }
}

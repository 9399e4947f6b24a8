// Loops over a tile: which axis the lanes run along, strips of vectors, tails, and ranges that somebody wants.
// Not evaluation. Surprise: a ragged edge is a shorter range, not a predicate; only the last vector of a row is masked
// (or done element by element, where the target cannot mask).
import CLLVM
import TensorTypes
import TileAnalysis
import TileIR

/// A tile to be walked: its extents, the guards to respect, and the axis of the lanes.
struct Walk {
  var shape: [Extent]
  /// Per axis, the number of a guard outside which nothing is computed; 0: none.
  var guards: [Int]
  var vectorAxis: Int?
  /// Axes not walked here: their coordinates are given.
  var fixed: [Int: Coordinate] = [:]
  /// Vectors per group at most.
  var most = Int.max
  /// The last elements of a row one by one, even where the target can mask: gathers under a mask are long code.
  var hasScalarTail = false
  /// Vectors per group, widest first, where the walk has its own idea.
  var widths: [Int]?
}

/// How far a walk goes with one set of accumulators, and where these are poured then.
struct Stretch {
  /// Coordinates of the walked axis.
  var length: Int
  /// Accumulators of nothing.
  var start: [IR]
  /// Totals of nothing: what the walk carries.
  var totals: [IR]
  var poured: (_ sums: [IR], _ totals: [IR]) -> [IR]

  /// On an axis each of whose coordinates has `elements`; even, since walks may take two at a time.
  func divided(by elements: Int) -> Stretch {
    var rows = self
    rows.length = max(length / max(elements, 1) & -2, 2)
    return rows
  }
}

extension PhaseEmitter {
  // MARK: Ranges

  /// How many coordinates of an axis are walked.
  func range(_ walk: Walk, _ axis: Int) -> IR {
    let whole = extent(walk.shape[axis])
    guard walk.guards[axis] != 0 else { return whole }
    let fact = facts.demands.guardFacts[walk.guards[axis] - 1]
    let live = e.indexSubtract(index(fact.extent), index(fact.start))
    return e.indexMaximum(e.indexMinimum(whole, live), e.index(0))
  }

  func coordinate(_ counter: IR, multiple: Int) -> Coordinate {
    if let constant = e.constantIndex(counter) { return Coordinate(base: nil, offset: constant) }
    return Coordinate(base: counter, offset: 0, multiple: multiple, depth: memo.depth)
  }

  /// The box that a walk starts from: fixed coordinates in place, guards noted.
  func startBox(_ walk: Walk) -> Box {
    var box = Box.single(walk.shape.count)
    box.guards = walk.guards
    for (axis, coordinate) in walk.fixed { box.start[axis] = coordinate }
    return box
  }

  // MARK: Loops

  /// Loops over every axis that is not fixed, the vector axis innermost.
  @discardableResult
  func strips(
    _ walk: Walk, cost: Int, hoisting values: [TileValue] = [], in stretch: Stretch? = nil, _ carried: [IR] = [],
    _ body: (Box, [IR]) -> [IR]
  ) -> [IR] {
    walking.number += 1
    let axes = walk.shape.indices.filter {
      $0 != walk.vectorAxis && walk.fixed[$0] == nil && walk.shape[$0] != .constant(1)
    }
    return rows(walk, axes[...], startBox(walk), carried) { row, carried in
      guard let axis = walk.vectorAxis, walk.fixed[axis] == nil else { return body(row, carried) }
      for value in values { hoist(value, row, along: axis) }
      return stretched(stretch, to: range(walk, axis), carried) { from, to, carried in
        strip(walk, row, axis, min(facts.unroll(cost: cost), walk.most), from: from, to: to, carried, body)
      }
    }
  }

  /// Up to `end` in stretches, each with accumulators of its own; what is carried are the totals.
  func stretched(
    _ stretch: Stretch?, to end: IR, _ carried: [IR], _ body: (_ from: IR, _ to: IR, [IR]) -> [IR]
  ) -> [IR] {
    guard let stretch else { return body(e.index(0), end, carried) }
    return e.loop(from: e.index(0), to: end, step: stretch.length, carried) { from, totals in
      let to = e.indexMinimum(e.indexAdd(from, e.index(stretch.length)), end)
      return stretch.poured(body(from, to, stretch.start), totals)
    }
  }

  /// `rows` in stretches: of the innermost axis, or of the first one whose coordinates have too few rows for one each.
  func rows(
    _ walk: Walk, _ axes: ArraySlice<Int>, _ box: Box, in stretch: Stretch?, _ start: [IR],
    _ body: (Box, [IR]) -> [IR]
  ) -> [IR] {
    guard let axis = axes.last else {
      return stretch.map { $0.poured(body(box, start), $0.totals) } ?? body(box, start)
    }
    return rows(walk, axes, box, in: stretch, start) { from, to, box, sums in
      e.loop(from: from, to: to, sums) { counter, sums in
        var inner = box
        inner.start[axis] = coordinate(counter, multiple: 1)
        return body(inner, sums)
      }
    }
  }

  /// The same, where `last` walks the innermost of the axes, of which there is one.
  func rows(
    _ walk: Walk, _ axes: ArraySlice<Int>, _ box: Box, in stretch: Stretch?, _ start: [IR],
    last: (_ from: IR, _ to: IR, Box, [IR]) -> [IR]
  ) -> [IR] {
    func whole(_ axes: ArraySlice<Int>, _ box: Box, _ sums: [IR]) -> [IR] {
      rows(walk, axes.dropLast(), box, sums) { box, sums in
        last(e.index(0), range(walk, axes[axes.endIndex - 1]), box, sums)
      }
    }
    guard let stretch else { return whole(axes, box, start) }
    // Axes behind `split` are walked whole within a stretch, which has two times so many coordinates at least.
    var (count, split) = (1, axes.endIndex)
    while split > axes.startIndex, let extent = facts.index.constant(walk.shape[axes[split - 1]]),
      extent <= stretch.length / (2 * count)
    {
      count *= max(extent, 1)
      split -= 1
    }
    guard split > axes.startIndex else { return stretch.poured(whole(axes, box, stretch.start), stretch.totals) }
    let axis = axes[split - 1]
    return rows(walk, axes[..<(split - 1)], box, stretch.totals) { box, totals in
      stretched(stretch.divided(by: count), to: range(walk, axis), totals) { from, to, sums in
        if split == axes.endIndex { return last(from, to, box, sums) }
        return e.loop(from: from, to: to, sums) { counter, sums in
          var inner = box
          inner.start[axis] = coordinate(counter, multiple: 1)
          return whole(axes[split...], inner, sums)
        }
      }
    }
  }

  func rows(
    _ walk: Walk, _ axes: ArraySlice<Int>, _ box: Box, _ carried: [IR], _ body: (Box, [IR]) -> [IR]
  ) -> [IR] {
    guard let axis = axes.first else { return body(box, carried) }
    return e.loop(from: e.index(0), to: range(walk, axis), carried) { counter, carried in
      var inner = box
      inner.start[axis] = coordinate(counter, multiple: 1)
      return rows(walk, axes.dropFirst(), inner, carried, body)
    }
  }

  /// One row: vectors in groups of `unroll`, single ones, and the last, incomplete one.
  private func strip(
    _ walk: Walk, _ row: Box, _ axis: Int, _ unroll: Int, from start: IR, to end: IR, _ carried: [IR],
    _ body: (Box, [IR]) -> [IR]
  ) -> [IR] {
    func box(_ counter: IR, _ multiple: Int, vectors: Int, mask: IR? = nil) -> Box {
      var box = row
      box.start[axis] = coordinate(counter, multiple: multiple)
      box.count[axis] = vectors
      box.vectorAxis = axis
      box.mask = mask
      return box
    }
    let widest = max(4, unroll, walk.widths?.first ?? 0)
    if let constant = e.constantIndex(end), constant % lanes == 0, constant / lanes <= widest,
      constant > 0, e.constantIndex(start) == 0
    {
      return body(box(e.index(0), 0, vectors: constant / lanes), carried)
    }
    var state = carried
    var from = start
    let masks = facts.canMask && !walk.hasScalarTail
    var groups = walk.hasScalarTail ? [1] : walk.widths ?? [unroll]
    if !masks || unroll == 1, groups.last != 1 { groups.append(1) }
    for vectors in groups {
      if let constant = e.constantIndex(end), constant < vectors * lanes { continue }
      let width = vectors * lanes
      let until = e.and(end, e.index(-width))
      state = e.loop(from: from, to: until, step: width, state) { counter, state in
        body(box(counter, width, vectors: vectors), state)
      }
      from = e.constantIndex(end).map { e.index($0 / width * width) } ?? until
    }
    if masks {
      return e.loop(from: from, to: end, step: lanes, state) { counter, state in
        body(box(counter, lanes, vectors: 1, mask: firstLanes(e.indexSubtract(end, counter))), state)
      }
    }
    return e.loop(from: from, to: end, state) { counter, state in
      var single = row
      single.start[axis] = coordinate(counter, multiple: 1)
      return body(single, state)
    }
  }

  /// One row: elements up to the first aligned one, groups of whole vectors (stored past the cache if `streams`), the
  /// rest. First and last elements are one piece of code, run twice.
  private func alignedStrip(
    _ walk: Walk, _ row: Box, _ axis: Int, _ unroll: Int, head: IR, streams: IR, _ body: (Box) -> Void
  ) {
    let end = range(walk, axis)
    let first = e.indexMinimum(head, end)
    let width = unroll * lanes
    let last = e.indexAdd(first, e.and(e.indexSubtract(end, first), e.index(-width)))
    func main() {
      e.loop(from: first, to: last, step: width) { counter, _ in
        var box = row
        box.start[axis] = coordinate(counter, multiple: 1)
        box.count[axis] = unroll
        box.vectorAxis = axis
        body(box)
        return []
      }
    }
    e.loop(from: e.index(0), to: e.index(2)) { turn, _ in
      let isFirst = e.compare(LLVMIntEQ, turn, e.index(0))
      let from = e.select(isFirst, e.index(0), last)
      let to = e.select(isFirst, first, end)
      let masks = facts.canMask && !walk.hasScalarTail
      e.loop(from: from, to: to, step: masks ? lanes : 1) { counter, _ in
        var box = row
        box.start[axis] = coordinate(counter, multiple: 1)
        if masks {
          box.vectorAxis = axis
          box.mask = firstLanes(e.indexSubtract(to, counter))
        }
        body(box)
        return []
      }
      e.when(isFirst) {
        e.branch(streams) {
          walking.isStreaming = true
          main()
          walking.isStreaming = false
        } else: {
          main()
        }
      }
      return []
    }
  }

  /// `strips` whose stores to `accesses` bypass the cache in rows where `isLarge` holds and all are aligned alike.
  func alignedStrips(
    _ walk: Walk, cost: Int, hoisting values: [TileValue], to accesses: [Access], isLarge: IR,
    _ body: (Box) -> Void
  ) {
    guard let axis = walk.vectorAxis else { return }
    walking.number += 1
    let axes = walk.shape.indices.filter { $0 != axis && walk.fixed[$0] == nil && walk.shape[$0] != .constant(1) }
    _ = rows(walk, axes[...], startBox(walk), []) { row, _ in
      for value in values { hoist(value, row, along: axis) }
      let heads = accesses.map { elementsToAlignment($0, walk.shape, row) }
      var streams = isLarge
      for head in heads.dropFirst() { streams = e.and(streams, e.compare(LLVMIntEQ, head, heads[0])) }
      let head = e.select(streams, heads[0], e.index(0))
      alignedStrip(
        walk, row, axis, walk.hasScalarTail ? 1 : facts.unroll(cost: cost), head: head, streams: streams, body)
      return []
    }
  }
}

// Loops over a tile: which axis the lanes run along, strips of vectors, tails, and ranges that somebody wants.
// Not evaluation. Surprise: a ragged edge is a shorter range, not a predicate; only the last vector of a row is masked
// (or done element by element, where the target cannot mask).
import CLLVM
import TensorTypes
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

extension Lowering {
  // MARK: Choices

  /// Instructions for one element, roughly; gathers count as many.
  func cost(_ values: [TileValue]) -> Int {
    var seen: Set<TileValue> = []
    func cost(_ value: TileValue) -> Int {
      guard seen.insert(value).inserted, homes[value] == nil || pending.contains(value) else { return 0 }
      switch kernel[value].operation {
      case .map(let instruction, let operands):
        return operands.reduce(instruction.isCostly ? 16 : 1) { $0 + cost($1) }
      case .convert(let a), .bitcast(let a), .broadcast(let a), .transpose(let a, _): return 1 + cost(a)
      case .load(let access, _):
        return access.axes.reduce(1) { sum, axis in sum + (axis.indirect.map { 8 + cost($0) } ?? 0) }
      default: return 0
      }
    }
    return values.reduce(0) { $0 + cost($1) }
  }

  /// The axis along which most accesses below `values` are contiguous; nil: scalars.
  func vectorAxis(
    _ values: [TileValue], _ shape: [Extent], storing home: Home? = nil, to accesses: [Access] = []
  ) -> Int? {
    var scores = [Int](repeating: 0, count: shape.count)
    let candidates = shape.indices.filter { shape[$0] != .constant(1) }
    func count(_ access: Access, _ axes: [Int?], _ weight: Int) {
      let buffer = kernel.buffers[access.buffer]
      var steps: [Int: Int?] = [:]
      for (i, axis) in access.axes.enumerated() {
        guard let tileAxis = axis.tileAxis, let walked = axes[tileAxis] else { continue }
        let isLast = i == access.axes.count - 1
        var stride: Int?
        switch buffer.layout {
        case .strided(let strides): stride = facts.constant(strides[i])
        case .rowMajor, .panels: stride = isLast ? 1 : nil
        }
        let step: Int? = stride.map { $0 * axis.scale }
        if let known = steps[walked] {
          steps[walked] = known.flatMap { a in step.map { a + $0 } }
        } else {
          steps[walked] = step
        }
      }
      for (walked, step) in steps where step != 0 { scores[walked] += step == 1 ? 4 * weight : -3 * weight }
    }
    var seen: Set<TileValue> = []
    func visit(_ value: TileValue, _ axes: [Int?]) {
      guard seen.insert(value).inserted else { return }
      if let home = homes[value], !pending.contains(value) {
        if case .memory(_, _, let inner) = home, inner < axes.count {
          let varying = axes.indices.filter { axes[$0] != nil && kernel[value].shape[$0] != .constant(1) }
          // One element for a whole row is no reason to walk rows: it is loaded once.
          let isPartial = varying.count < candidates.count
          for axis in varying {
            if let walked = axes[axis] { scores[walked] += axis == inner ? (isPartial ? 1 : 4) : -3 }
          }
        }
        return
      }
      switch kernel[value].operation {
      case let operation where operation.kind == .elementwise:
        for operand in operation.operands { visit(operand, axes) }
      case .broadcast(let a):
        visit(a, axes.indices.map { kernel[a].shape[$0] == .constant(1) ? nil : axes[$0] })
      case .transpose(let a, let permutation):
        var inner = axes
        for (axis, source) in permutation.enumerated() { inner[source] = axes[axis] }
        visit(a, inner)
      case .load(let access, _):
        count(access, axes, 1)
        for tile in access.axes.compactMap(\.indirect) {
          for (axis, walked) in axes.enumerated() where kernel[tile].shape[axis] != .constant(1) {
            if let walked { scores[walked] -= 4 }
          }
        }
      default: return
      }
    }
    for value in values { visit(value, shape.indices.map { $0 }) }
    for access in accesses { count(access, shape.indices.map { $0 }, 2) }
    if case .memory(_, _, let inner)? = home, inner < shape.count { scores[inner] += 5 }
    func rank(_ axis: Int) -> Int {
      let isShort = facts.constant(shape[axis]).map { $0 < lanes } ?? false
      return scores[axis] * 16 + axis - (isShort ? 64 : 0)
    }
    return candidates.max { rank($0) < rank($1) }
  }

  /// Whether lanes along `axis` are loaded or stored one by one.
  func gathers(_ values: [TileValue], along axis: Int, storing accesses: [Access] = []) -> Bool {
    func isScattered(_ access: Access, _ axis: Int, _ shape: [Extent]) -> Bool {
      var step: Int? = 0
      for (i, map) in access.axes.enumerated() {
        if let tile = map.indirect, kernel[tile].shape[axis] != .constant(1) { return true }
        guard map.tileAxis == axis, let known = step else { continue }
        switch kernel.buffers[access.buffer].layout {
        case .strided(let strides):
          // What is too large to be counted is far from being one element.
          step = facts.constant(strides[i]).flatMap { CheckedSize.product($0, map.scale) }
            .flatMap { CheckedSize.sum([known, $0]) }
        case .rowMajor, .panels: step = i == access.axes.count - 1 ? CheckedSize.sum([known, map.scale]) : nil
        }
      }
      let size = kernel.buffers[access.buffer].dtype.size
      let bytes = step.flatMap { CheckedSize.product($0, size) }
      return step != 0 && bytes != (access.reinterpreted ?? kernel.buffers[access.buffer].dtype).size
    }
    var seen: Set<TileValue> = []
    func visit(_ value: TileValue, _ axis: Int) -> Bool {
      guard seen.insert(value).inserted, homes[value] == nil || pending.contains(value) else { return false }
      switch kernel[value].operation {
      case .load(let access, _): return isScattered(access, axis, kernel[value].shape)
      case let operation where operation.kind == .elementwise:
        return operation.operands.contains { visit($0, axis) }
      case .broadcast(let a): return kernel[a].shape[axis] != .constant(1) && visit(a, axis)
      case .transpose(let a, let permutation): return visit(a, permutation[axis])
      default: return false
      }
    }
    return accesses.contains { isScattered($0, axis, []) } || values.contains { visit($0, axis) }
  }

  func unroll(cost: Int) -> Int { cost <= 12 ? 4 : cost <= 40 ? 2 : 1 }

  // MARK: Ranges

  /// How many coordinates of an axis are walked.
  func range(_ walk: Walk, _ axis: Int) -> IR {
    let whole = extent(walk.shape[axis])
    guard walk.guards[axis] != 0 else { return whole }
    let fact = plan.guardFacts[walk.guards[axis] - 1]
    let live = e.indexSubtract(index(fact.extent), index(fact.start))
    return e.indexMaximum(e.indexMinimum(whole, live), e.index(0))
  }

  func coordinate(_ counter: IR, multiple: Int) -> Coordinate {
    if let constant = e.constantIndex(counter) { return Coordinate(base: nil, offset: constant) }
    return Coordinate(base: counter, offset: 0, multiple: multiple, depth: depth)
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
    pass += 1
    let axes = walk.shape.indices.filter {
      $0 != walk.vectorAxis && walk.fixed[$0] == nil && walk.shape[$0] != .constant(1)
    }
    return rows(walk, axes[...], startBox(walk), carried) { row, carried in
      guard let axis = walk.vectorAxis, walk.fixed[axis] == nil else { return body(row, carried) }
      for value in values { hoist(value, row, along: axis) }
      return stretched(stretch, to: range(walk, axis), carried) { from, to, carried in
        strip(walk, row, axis, min(unroll(cost: cost), walk.most), from: from, to: to, carried, body)
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
    while split > axes.startIndex, let extent = facts.constant(walk.shape[axes[split - 1]]),
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
    let masks = walkCanMask && !walk.hasScalarTail
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
      let masks = walkCanMask && !walk.hasScalarTail
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
          isStreaming = true
          main()
          isStreaming = false
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
    pass += 1
    let axes = walk.shape.indices.filter { $0 != axis && walk.fixed[$0] == nil && walk.shape[$0] != .constant(1) }
    _ = rows(walk, axes[...], startBox(walk), []) { row, _ in
      for value in values { hoist(value, row, along: axis) }
      let heads = accesses.map { elementsToAlignment($0, walk.shape, row) }
      var streams = isLarge
      for head in heads.dropFirst() { streams = e.and(streams, e.compare(LLVMIntEQ, head, heads[0])) }
      let head = e.select(streams, heads[0], e.index(0))
      alignedStrip(walk, row, axis, walk.hasScalarTail ? 1 : unroll(cost: cost), head: head, streams: streams, body)
      return []
    }
  }

  /// Tails are masked where masking exists at all; dtypes that it lacks are read lane by lane in that one vector.
  var walkCanMask: Bool { !e.target.maskedElementSizes.isEmpty }
}

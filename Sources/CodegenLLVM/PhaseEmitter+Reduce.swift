// Reductions: vector accumulators over strips of the reduced axes, or per column where the lanes run along a kept axis.
// Not arg-reductions (+ArgReduce). Surprise: half floats add up in f32 and are rounded once, at the end; and accumulators of
// floating sums are poured into totals of f64 every few additions (sums of f64 with what that loses), so that errors do
// not grow with the length of a row; floating products are f64 all along.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  func reduce(_ value: TileValue, _ monoid: Monoid, _ axes: [Int], _ operand: TileValue) {
    let shape = kernel[operand].shape
    let walked = axes.filter { shape[$0] != .constant(1) }
    let demanded = facts.demands[value]
    let guards = shape.indices.map { axes.contains($0) ? 0 : demanded[$0] }
    let isScalar = kernel.isScalar(value)
    let home: Home? = isScalar ? nil : allocate(value)
    let dtype = kernel[operand].dtype ?? .f32
    let lanesAxis = facts.vectorAxis([operand], shape)
    var walk = Walk(shape: shape, guards: guards, vectorAxis: lanesAxis)
    walk.hasScalarTail = lanesAxis.map { facts.gathers([operand], along: $0) } ?? false
    let reduction = Reduction(phase: self, operand: operand, monoid: monoid, dtype: dtype)

    if let lanesAxis, !walked.contains(lanesAxis) {
      reduceColumns(walk, walked, reduction) { box, results in
        if let home { write(home, dtype, results, box) }
      }
    } else {
      let kept = shape.indices.filter { !walked.contains($0) && shape[$0] != .constant(1) }
      _ = rows(walk, kept[...], startBox(walk), []) { row, _ in
        let total = reduceRow(walk, walked, row, reduction)
        if let home {
          write(home, dtype, [total], row)
        } else {
          homes[value] = .scalar(total)
        }
        return []
      }
    }
    if let home { homes[value] = home }
  }

  /// One kept row: all reduced axes, the lanes along the innermost.
  private func reduceRow(_ walk: Walk, _ reduced: [Int], _ row: Box, _ reduction: Reduction) -> IR {
    guard let axis = walk.vectorAxis else { return reduction.alone(row) }
    var inner = walk
    for kept in walk.shape.indices where !reduced.contains(kept) { inner.fixed[kept] = row.start[kept] }
    let cost = facts.cost([reduction.operand])
    let (count, sumCount) = split(reduction)
    let outer = reduced.filter { $0 != axis }
    let start = reduction.start(sumCount, lanes)
    let stretch = stretch(reduction, start)
    func strip(_ box: Box, _ stretch: Stretch?, _ sums: [IR]) -> [IR] {
      var strip = inner
      for outer in outer { strip.fixed[outer] = box.start[outer] }
      strip.most = count
      return strips(strip, cost: cost, hoisting: [reduction.operand], in: stretch, sums) { box, sums in
        reduction.accumulated(sums, box)
      }
    }
    // Of short strips, many share a stretch.
    let sums: [IR]
    if let last = outer.last, let vectors = wholeVectors(walk.shape[axis]) {
      sums = rows(inner, outer[...], row, in: stretch?.divided(by: vectors * lanes), start) { from, to, box, sums in
        pairs(from: from, to: to, box, last, sums) { box, sums in
          var whole = box
          whole.vectorAxis = axis
          whole.count[axis] = vectors
          return reduction.accumulated(sums, whole)
        }
      }
    } else if !outer.isEmpty, let stretch,
      let elements = facts.index.constant(walk.shape[axis]).map({ inLanes($0, walk) }),
      elements <= stretch.length / 2
    {
      sums = rows(inner, outer[...], row, in: stretch.divided(by: elements), start) { box, sums in
        strip(box, nil, sums)
      }
    } else {
      sums = rows(inner, outer[...], row, stretch?.totals ?? start) { box, sums in strip(box, stretch, sums) }
    }
    return reduction.finished(sums, areTotals: stretch != nil)
  }

  /// Elements along the lanes that accumulators take before they are poured out: part of the result's definition, hence the
  /// same for extents that are known.
  func stretch(_ reduction: Reduction, _ start: [IR]) -> Stretch? {
    reduction.stretch(64 * lanes, start, totals: .row)
  }

  /// What a strip of so many elements adds to its busiest lane, in elements of whole vectors: the last, incomplete one is a
  /// vector too, or single elements that all go to the first lane.
  private func inLanes(_ elements: Int, _ walk: Walk) -> Int {
    let (vectors, rest) = min(elements, 1 << 32).quotientAndRemainder(dividingBy: lanes)
    return (vectors + (walk.hasScalarTail ? rest : min(rest, 1))) * lanes
  }

  /// Vectors in a group, and accumulators: part of the result's definition.
  func split(_ reduction: Reduction) -> (vectors: Int, sums: Int) {
    let vectors = min(facts.unroll(cost: facts.cost([reduction.operand])), options.unroll)
    // Products of one element go to different accumulators, too.
    return (vectors, max(vectors, min(reduction.terms.count * 2, options.unroll)))
  }

  /// Vectors in an axis that is a few whole ones.
  private func wholeVectors(_ extent: Extent) -> Int? {
    guard let count = facts.index.constant(extent), count > 0, count % lanes == 0, count / lanes <= 2 else {
      return nil
    }
    return count / lanes
  }

  /// Walks an axis two coordinates at a time, from an even one on, and the odd one after them.
  private func pairs(
    from: IR, to end: IR, _ box: Box, _ axis: Int, _ sums: [IR], _ body: (Box, [IR]) -> [IR]
  ) -> [IR] {
    let even = e.constantIndex(end).map { e.index($0 & -2) } ?? e.and(end, e.index(-2))
    func walked(from: IR, to: IR, step: Int, _ sums: [IR]) -> [IR] {
      e.loop(from: from, to: to, step: step, sums) { counter, sums in
        var inner = box
        inner.start[axis] = coordinate(counter, multiple: step)
        inner.count[axis] = step
        return body(inner, sums)
      }
    }
    return walked(from: even, to: end, step: 1, walked(from: from, to: even, step: 2, sums))
  }

  /// Rows that the accumulators of columns take before they are poured out; with losses that costs more.
  private func columnStretch(_ reduction: Reduction) -> Int { reduction.keepsLosses ? 64 : 32 }

  /// Lanes along a kept axis: every strip of columns walks the reduced axes with its own accumulators.
  private func reduceColumns(
    _ walk: Walk, _ reduced: [Int], _ reduction: Reduction, _ put: (Box, [IR]) -> Void
  ) {
    var columns = walk
    for axis in reduced { columns.fixed[axis] = .zero }
    let cost = facts.cost([reduction.operand])
    // Wide strips: a whole piece of a row at a time is what memory likes.
    if cost <= 4 { columns.widths = [e.target.vectorRegisters / 2, 4] }
    strips(columns, cost: cost) { box, _ in
      let identity = reduction.identity(lanes(of: box))
      let start = [IR](repeating: identity, count: box.pointCount)
      let length = columnStretch(reduction)
      // Totals of one stretch are its accumulators.
      let isShort = points(reduced.map { walk.shape[$0] }).map { $0 <= length } ?? false
      let stretch = isShort ? nil : reduction.stretch(length, start, totals: .columns)
      let sums = rows(walk, reduced[...], box, in: stretch, start) { box, sums in
        if let innermost = reduced.last { prefetchRows(reduction.operand, box, along: innermost) }
        return reduction.added(sums, box)
      }
      let (whole, dtype) = stretch == nil ? (sums, reduction.wide) : (reduction.ended(sums), .f64)
      put(box, whole.map { e.convert($0, dtype, reduction.dtype) })
      return []
    }
  }
}

extension PhaseEmitter {
  /// nil: an extent is not known.
  private func points(_ extents: [Extent]) -> Int? {
    var count = 1
    for extent in extents {
      guard let known = facts.index.constant(extent) else { return nil }
      count = count.multipliedReportingOverflow(by: known).overflow ? .max : count * known
    }
    return count
  }

  /// Rows of a column-wise walk are pieces too short for the processor to foresee: asks for those a few rows on.
  private func prefetchRows(_ value: TileValue, _ box: Box, along axis: Int) {
    guard options.prefetch, box.vectorAxis != nil, box.mask == nil else { return }
    var seen: Set<TileValue> = []
    var stack = [value]
    while let value = stack.popLast() {
      guard facts.held(value) == nil, seen.insert(value).inserted else { continue }
      switch kernel[value].operation {
      case .load(let access, _):
        guard access.axes.contains(where: { $0.tileAxis == axis }), access.axes.allSatisfy({ $0.indirect == nil })
        else {
          continue
        }
        var ahead = box
        ahead.start[axis] = ahead.start[axis].advanced(by: 8)
        prefetch(access, kernel[value].shape, ahead, bytesAhead: e.index(0))
      case let operation where operation.kind == .elementwise: stack += operation.operands.reversed()
      default: continue
      }
    }
  }
}

/// The arithmetic of one reduction.
struct Reduction {
  /// A summand of the operand; products go into an accumulator by one fused multiply-add, as in `dot`.
  enum Term {
    case plain(TileValue)
    case product(TileValue, TileValue)
  }

  let phase: PhaseEmitter
  let operand: TileValue
  let monoid: Monoid
  let dtype: DType
  let terms: [Term]
  /// Half floats are combined wide.
  var wide: DType { dtype.isFloating || monoid.accumulates ? monoid.partialDType(dtype) : dtype }

  init(phase: PhaseEmitter, operand: TileValue, monoid: Monoid, dtype: DType) {
    self.phase = phase
    self.operand = operand
    self.monoid = monoid
    self.dtype = dtype
    let mayFuse = monoid == .sum && dtype.isFloating && dtype.size >= 4 && phase.e.target.hasFusedMultiplyAdd
    var budget = Self.mostSums
    let terms = mayFuse ? Self.terms(operand, phase, &budget) : [.plain(operand)]
    self.terms = budget > 0 ? terms : [.plain(operand)]
  }

  /// More additions are not taken apart: sums of sums of one value have terms without number.
  private static let mostSums = 64

  private static func terms(_ value: TileValue, _ phase: PhaseEmitter, _ budget: inout Int) -> [Term] {
    guard budget > 0, phase.facts.held(value) == nil,
      case .map(let instruction, let operands) = phase.kernel[value].operation
    else {
      return [.plain(value)]
    }
    budget -= 1
    switch instruction {
    case .add: return operands.flatMap { terms($0, phase, &budget) }
    case .multiply: return [.product(operands[0], operands[1])]
    case .multiplyAdd: return [.product(operands[0], operands[1])] + terms(operands[2], phase, &budget)
    default: return [.plain(value)]
    }
  }

  /// Maxima and minima of floats: NaN goes to a register of its own, which leaves one instruction on the accumulators'
  /// own chains.
  private var keepsNaNApart: Bool { (monoid == .maximum || monoid == .minimum) && wide.isFloating }

  /// Accumulators, and what is carried beside them.
  func start(_ count: Int, _ lanes: Int) -> [IR] {
    [IR](repeating: identity(lanes), count: count) + (keepsNaNApart ? [phase.e.real(0, wide, lanes)] : [])
  }

  func identity(_ lanes: Int) -> IR { phase.e.constant(monoid.identity(wide), lanes) }
  func values(_ box: Box) -> [IR] { phase.eval(operand, box).map { phase.e.convert($0, dtype, wide) } }
  func combined(_ a: IR, _ b: IR) -> IR { phase.combined(monoid, a, b, wide) }

  /// For every point of the box and every term, what turns an accumulator into the next.
  private func steps(_ box: Box) -> [[(IR) -> IR]] {
    let e = phase.e
    let registers = terms.map { term -> [(IR) -> IR] in
      switch term {
      case .plain(let value):
        return phase.eval(value, box).map { register in
          let wideRegister = e.convert(register, dtype, wide)
          return { combined($0, wideRegister) }
        }
      case .product(let a, let b):
        return zip(phase.eval(a, box), phase.eval(b, box)).map { a, b in { e.fused([a, b, $0], dtype) } }
      }
    }
    return (0..<box.pointCount).map { point in registers.map { $0[point] } }
  }

  /// Column by column: every point has its own accumulator.
  func added(_ sums: [IR], _ box: Box) -> [IR] {
    zip(sums, steps(box)).map { sum, steps in steps.reduce(sum) { $1($0) } }
  }

  /// Adds a box to the accumulators; a scalar box goes to lane 0.
  func accumulated(_ sums: [IR], _ box: Box) -> [IR] {
    if keepsNaNApart { return extrema(sums, box) }
    var sums = sums
    let e = phase.e
    for (i, step) in steps(box).joined().enumerated() {
      let old = sums[i % sums.count]
      if box.vectorAxis == nil {
        sums[i % sums.count] = e.insert(old, step(e.extract(old, 0)), 0)
      } else {
        sums[i % sums.count] = box.mask.map { e.select($0, step(old), old) } ?? step(old)
      }
    }
    return sums
  }

  /// The comparison is false for NaN, which leaves the accumulator; then it goes, for two registers at a time, to the
  /// last of `carried`.
  private func extrema(_ carried: [IR], _ box: Box) -> [IR] {
    let e = phase.e
    let values = self.values(box).map { value in
      if box.vectorAxis != nil { return box.mask.map { e.select($0, value, identity(e.lanes(value))) } ?? value }
      return e.insert(identity(phase.lanes), value, 0)
    }
    var sums = Array(carried.dropLast())
    var unordered = carried[sums.count]
    let order = monoid == .maximum ? LLVMRealOGT : LLVMRealOLT
    for (i, value) in values.enumerated() {
      let old = sums[i % sums.count]
      sums[i % sums.count] = e.select(e.compare(order, value, old), value, old)
      if i % 2 == 1 || i == values.count - 1 {
        let isNaN = e.compare(LLVMRealUNO, values[i / 2 * 2], value)
        unordered = e.select(isNaN, e.real(.nan, wide, e.lanes(value)), unordered)
      }
    }
    return sums + [unordered]
  }

  /// One of all accumulators: pairs of them.
  private func together(_ sums: [IR]) -> IR {
    var sums = sums
    while sums.count > 1 {
      sums = stride(from: 0, to: sums.count, by: 2).map {
        $0 + 1 < sums.count ? combined(sums[$0], sums[$0 + 1]) : sums[$0]
      }
    }
    return sums[0]
  }

  /// One of all lanes: halves of the vector.
  private func folded(_ vector: IR, _ dtype: DType) -> IR {
    let e = phase.e
    var total = vector
    var width = e.lanes(total)
    while width > 1 {
      let half = width / 2
      if half == 1 {
        total = phase.combined(monoid, e.extract(total, 0), e.extract(total, 1), dtype)
      } else {
        let low = e.shuffle(total, total, Array(0..<half))
        total = phase.combined(monoid, low, e.shuffle(total, total, Array(half..<width)), dtype)
      }
      width = half
    }
    return total
  }

  /// Totals for the accumulators `start`: a number for a row, or one for each column. nil: nothing rounded is added up.
  ///
  /// A row's accumulators are folded before they are poured: most rows are one stretch, and folding f64 costs them twice.
  func stretch(_ length: Int, _ start: [IR], totals: Totals) -> Stretch? {
    guard monoid.accumulates, !monoid.keepsErrorsOfParts, wide.isFloating else { return nil }
    let e = phase.e
    let isRow = totals == .row
    let count = isRow ? 1 : start.count
    let lanes = isRow ? 1 : e.lanes(start[0])
    let nothing = [IR](repeating: e.constant(monoid.identity(.f64), lanes), count: count)
    let lost = keepsLosses ? [IR](repeating: e.real(0, .f64, lanes), count: count) : []
    return Stretch(length: length, start: start, totals: nothing + lost) { sums, totals in
      let poured = (isRow ? [folded(together(sums), wide)] : sums).map { e.convert($0, wide, .f64) }
      guard keepsLosses else {
        return zip(totals, poured).map { phase.combined(monoid, $0, $1, .f64) }
      }
      let added = zip(totals, poured).map { e.exactSum($0, $1) }
      return added.map(\.sum) + zip(totals[count...], added).map { e.binary(LLVMFAdd, $0, $1.error) }
    }
  }

  /// Totals that are no wider than what is poured into them go with what their additions lost, beside them.
  var keepsLosses: Bool { monoid == .sum && wide == .f64 }

  /// Totals that nothing more is poured into.
  func ended(_ totals: [IR]) -> [IR] {
    guard keepsLosses else { return totals }
    let count = totals.count / 2
    return zip(totals[..<count], totals[count...]).map { phase.e.corrected($0, error: $1) }
  }

  /// The only element.
  func alone(_ box: Box) -> IR { phase.e.convert(values(box)[0], wide, dtype) }

  enum Totals { case row, columns }

  /// The whole reduction.
  func finished(_ carried: [IR], areTotals: Bool) -> IR {
    let e = phase.e
    if areTotals { return e.convert(ended(carried)[0], .f64, dtype) }
    var sums = carried
    if keepsNaNApart {
      let unordered = sums.removeLast()
      let isNaN = e.compare(LLVMRealUNO, unordered, unordered)
      sums[0] = e.select(isNaN, unordered, sums[0])
    }
    return e.convert(folded(together(sums), wide), wide, dtype)
  }
}

// Products: boxes of accumulators in registers, mr rows by a few vectors of columns, over the whole inner extent.
// Not tiling (the kernel's extents are the blocks). Surprise: a tail of rows or columns is not computed apart: operands in
// instance memory and panels are readable beyond their extent, so the last box simply computes more than is read.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  /// What an operand is read from in the inner loop.
  private struct Operand {
    var value: TileValue
    var home: Home?
    var dtype: DType
    /// Readable beyond its extents.
    var isPadded: Bool
  }

  func dot(
    _ value: TileValue, _ accumulator: TileValue, _ a: TileValue, _ b: TileValue, into home: Home,
    demandedAs demanded: TileValue? = nil
  ) {
    let dtype = kernel[value].dtype ?? .f32
    let shape = kernel[value].shape
    let (m, n) = (shape.count - 2, shape.count - 1)
    let walk = Walk(shape: shape, guards: facts.demands[demanded ?? value], vectorAxis: n)
    let box = facts.registerBox(dtype)
    let rowBound = facts.index.upper(shape[m])?.knownValue
    let rowsPerBox = facts.rowsPerBox(shape[m], dtype)
    let top = memory.top
    let isOneBlock = rowBound.map { $0 <= rowsPerBox } ?? false
    let left = operand(a, dtype, isLeft: true, isRead: isOneBlock)
    let right = operand(b, dtype, isLeft: false, isRead: isOneBlock)
    var start: TileValue? = accumulator
    if !facts.isReadableBeyond(accumulator, dtype) {
      fill(accumulator, into: home, walkedFor: demanded ?? value)
      start = nil
    }
    let rowEnd = range(walk, m)
    let columnEnd = range(walk, n)
    let startsAtZero = start.map { facts.isZero($0) } ?? false
    func body(_ box: Box) {
      var sums = product(left, right, dtype, box, shape)
      if !startsAtZero {
        let before = start.map { eval($0, box) } ?? read(home, dtype, box)
        sums = zip(before, sums).map { before, sum in e.apply(.add, [before, sum], dtype) { _ in } }
      }
      write(home, dtype, sums, box)
    }
    var vectors = box.vectors
    if !right.isPadded, let width = facts.index.constant(shape[n]) {
      // Few rows leave registers for more columns, and whole lines of the right operand are read at once.
      while 2 * vectors * (rowsPerBox + 1) < e.target.vectorRegisters, 2 * vectors * lanes <= width { vectors *= 2 }
    }
    columns(columnEnd, vectors, startBox(walk), n, isPadded: right.isPadded) { column in
      rows(rowEnd, rowsPerBox, column, m, isPadded: left.isPadded, body)
    }
    memory.top = top
  }

  /// Boxes of `most` rows. The last rows are a smaller one, or one by one where their number is not known, unless memory is
  /// padded.
  private func rows(_ end: IR, _ most: Int, _ column: Box, _ axis: Int, isPadded: Bool, _ body: (Box) -> Void) {
    var steps = [most]
    if !isPadded, most > 1 {
      let tail = e.constantIndex(end).map { $0 % most } ?? 1
      if tail > 0 { steps.append(tail) }
    }
    var from = e.index(0)
    for step in steps {
      let to = isPadded || step != most ? end : multiple(end, step)
      e.loop(from: from, to: to, step: step) { row, _ in
        var box = column
        box.start[axis] = coordinate(row, multiple: step)
        box.count[axis] = step
        body(box)
        return []
      }
      from = to
    }
  }

  private func multiple(_ value: IR, _ step: Int) -> IR {
    if let constant = e.constantIndex(value) { return e.index(constant / step * step) }
    return e.indexSubtract(value, e.binary(LLVMURem, value, e.index(step)))
  }

  /// Strips of columns: whole ones of `vectors`, then single vectors, the last one masked unless memory is padded.
  private func columns(
    _ end: IR, _ vectors: Int, _ start: Box, _ axis: Int, isPadded: Bool, _ body: (Box) -> Void
  ) {
    func box(_ counter: IR, _ multiple: Int, _ count: Int, mask: IR? = nil) -> Box {
      var box = start
      box.start[axis] = coordinate(counter, multiple: multiple)
      box.count[axis] = count
      box.vectorAxis = axis
      box.mask = mask
      return box
    }
    let width = vectors * lanes
    if isPadded {
      e.loop(from: e.index(0), to: end, step: width) { counter, _ in
        body(box(counter, width, vectors))
        return []
      }
      return
    }
    let whole = multiple(end, width)
    e.loop(from: e.index(0), to: whole, step: width) { counter, _ in
      body(box(counter, width, vectors))
      return []
    }
    if facts.canMask {
      e.loop(from: whole, to: end, step: lanes) { counter, _ in
        body(box(counter, lanes, 1, mask: firstLanes(e.indexSubtract(end, counter))))
        return []
      }
    } else {
      e.loop(from: whole, to: end) { counter, _ in
        var single = start
        single.start[axis] = coordinate(counter, multiple: 1)
        body(single)
        return []
      }
    }
  }

  /// Sums that start at 0: the accumulator is added when they are done, so that errors grow with the extent of one dot
  /// and the number of dots, not with all that is summed.
  private func product(_ left: Operand, _ right: Operand, _ dtype: DType, _ box: Box, _ shape: [Extent]) -> [IR] {
    let (m, n) = (shape.count - 2, shape.count - 1)
    let inner = extent(kernel[left.value].shape[n])
    let vectors = box.count[n]
    let zeros = [IR](repeating: e.constant(Monoid.sum.identity(dtype), lanes(of: box)), count: box.pointCount)
    return e.loop(from: e.index(0), to: inner, zeros) { k, sums in
      var rows = box
      rows.start[n] = coordinate(k, multiple: 1)
      rows.count[n] = 1
      rows.vectorAxis = nil
      rows.mask = nil
      rows.guards[n] = 0
      var columns = box
      columns.start[m] = coordinate(k, multiple: 1)
      columns.count[m] = 1
      columns.guards[m] = 0
      if options.prefetch, right.home == nil {
        if right.isPadded {
          prefetchNextPanel(right.value, columns, n)
        } else {
          prefetchRowsAhead(right.value, columns, m)
        }
      }
      let b = values(right, columns)
      let a = values(left, rows)
      var next = sums
      for i in 0..<box.count[m] {
        let repeated = e.splat(a[i], lanes(of: box))
        for j in 0..<vectors {
          next[i * vectors + j] = multiplyAdd(repeated, b[j], sums[i * vectors + j], dtype)
        }
      }
      return next
    }
  }

  /// Asks for the same rows of the next panel of columns: they come from beyond the nearest cache, once per block of rows.
  private func prefetchNextPanel(_ value: TileValue, _ box: Box, _ axis: Int) {
    guard case .load(let access, _) = kernel[value].operation else { return }
    var next = box
    next.start[axis] = next.start[axis].advanced(by: box.count[axis] * lanes)
    prefetch(access, kernel[value].shape, next, bytesAhead: e.index(0))
  }

  /// Asks for rows of the right operand that come later: they are far apart, and nothing else sees them coming.
  private func prefetchRowsAhead(_ value: TileValue, _ box: Box, _ axis: Int) {
    var source = value
    while case .convert(let narrow) = kernel[source].operation { source = narrow }
    guard facts.held(source) == nil, case .load(let access, _) = kernel[source].operation,
      access.axes.allSatisfy({ $0.indirect == nil })
    else { return }
    var later = box
    later.start[axis] = later.start[axis].advanced(by: 16)
    later.mask = nil
    prefetch(access, kernel[source].shape, later, bytesAhead: e.index(0))
  }

  private func multiplyAdd(_ a: IR, _ b: IR, _ c: IR, _ dtype: DType) -> IR {
    if dtype.isFloating, dtype.size >= 4, !e.target.hasFusedMultiplyAdd {
      return e.binary(LLVMFAdd, e.binary(LLVMFMul, a, b), c)
    }
    return e.apply(.multiplyAdd, [a, b, c], dtype) { _ in }
  }

  private func values(_ operand: Operand, _ box: Box) -> [IR] {
    if let home = operand.home { return read(home, operand.dtype, box) }
    let own = kernel[operand.value].dtype ?? .f32
    return eval(operand.value, box).map { e.convert($0, own, operand.dtype) }
  }

  // MARK: Operands

  /// Read in place if that is as good as a packed copy, else packed into instance memory.
  private func operand(_ value: TileValue, _ dtype: DType, isLeft: Bool, isRead once: Bool) -> Operand {
    if facts.isPadded(value), kernel[value].dtype == dtype {
      return Operand(value: value, home: nil, dtype: dtype, isPadded: true)
    }
    let isDirect = isLeft ? facts.isDirectLeft(value, dtype) : facts.isDirectRight(value, dtype, once)
    if isDirect {
      let isPadded = isLeft ? facts.isWholeBoxes(value, dtype) : facts.isPanel(value)
      return Operand(value: value, home: nil, dtype: dtype, isPadded: isPadded)
    }
    let home = allocate(kernel[value].shape, dtype, slack: true)
    fill(value, into: home, as: dtype)
    return Operand(value: value, home: home, dtype: dtype, isPadded: true)
  }
}

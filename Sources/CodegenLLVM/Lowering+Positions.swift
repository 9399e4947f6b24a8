// Operations that look along one axis in order: scans, and those that give positions (arg-reductions, arg-scans).
// Not sorting (+Sort). Surprise: where the lanes cannot run along another axis, a scan goes element by element.
import CLLVM
import Scalars
import TensorTypes
import TileIR

extension Lowering {
  /// Beyond every position: nothing has been seen yet.
  private static let nowhereYet = Int64.max

  func isNaN(_ value: IR, _ dtype: DType) -> IR {
    switch dtype {
    case .f32, .f64: return e.compare(LLVMRealUNO, value, value)
    case .f16, .bf16:
      let wide = e.widened(value, dtype)
      return e.compare(LLVMRealUNO, wide, wide)
    case .bool, .u8, .i8, .i16, .i32, .i64: return e.flag(false, e.lanes(value))
    }
  }

  func isLess(_ a: IR, _ b: IR, _ dtype: DType) -> IR { e.apply(.less, [a, b], dtype) { _ in } }

  // MARK: Scans

  func scan(_ value: TileValue, _ monoid: Monoid, _ axis: Int, _ operand: TileValue) {
    let dtype = kernel[operand].dtype ?? .f32
    let wide = monoid == .sum || monoid == .product ? dtype.computeDType : dtype
    let home = allocate(value)
    alongAxis(value, axis, operand) { box, lanes in
      [IR](repeating: e.constant(monoid.identity(wide), lanes), count: box.pointCount)
    } step: { box, state in
      let values = eval(operand, box).map { e.convert($0, dtype, wide) }
      let next = zip(state, values).map { combined(monoid, $0, $1, wide) }
      write(home, dtype, next.map { e.convert($0, wide, dtype) }, box)
      return next
    } finish: { _, _ in
    }
    homes[value] = home
  }

  func argScan(_ value: TileValue, _ monoid: ArgMonoid, _ axis: Int, _ operand: TileValue) {
    let dtype = kernel[operand].dtype ?? .f32
    let home = allocate(value)
    alongAxis(value, axis, operand) { box, lanes in
      firstState(box, lanes, dtype)
    } step: { box, state in
      let next = later(state, eval(operand, box), positions(box, axis), monoid, dtype, lastOfEquals: true)
      write(home, .i64, Array(next[box.pointCount...]), box)
      return next
    } finish: { _, _ in
    }
    homes[value] = home
  }

  func argReduce(_ value: TileValue, _ monoid: ArgMonoid, _ axis: Int, _ operand: TileValue) {
    let dtype = kernel[operand].dtype ?? .f32
    let isScalar = plan.isScalar(value)
    let home: Home? = isScalar ? nil : allocate(value)
    if vectorAxis([operand], kernel[operand].shape) == axis {
      argReduceRows(value, monoid, axis, operand, home)
    } else {
      alongAxis(value, axis, operand) { box, lanes in
        firstState(box, lanes, dtype)
      } step: { box, state in
        later(state, eval(operand, box), positions(box, axis), monoid, dtype, lastOfEquals: false)
      } finish: { box, state in
        let found = state[box.pointCount...].map(seen)
        if let home { write(home, .i64, found, box.collapsed([axis])) } else { homes[value] = .scalar(found[0]) }
      }
    }
    if let home { homes[value] = home }
  }

  /// Lanes along the axis itself: the best of every lane, then the best lane.
  private func argReduceRows(
    _ value: TileValue, _ monoid: ArgMonoid, _ axis: Int, _ operand: TileValue, _ home: Home?
  ) {
    let dtype = kernel[operand].dtype ?? .f32
    let shape = kernel[operand].shape
    let demanded = plan.demand(of: value)
    let walk = Walk(
      shape: shape, guards: shape.indices.map { $0 == axis ? 0 : demanded[$0] }, vectorAxis: axis, most: 1)
    let kept = shape.indices.filter { $0 != axis && shape[$0] != .constant(1) }
    _ = rows(walk, kept[...], startBox(walk), []) { row, _ in
      var inner = walk
      for axis in kept { inner.fixed[axis] = row.start[axis] }
      let start = firstState(row, lanes, dtype)
      let state = strips(inner, cost: 0, hoisting: [operand], start) { box, state in
        var state = state
        for (i, register) in eval(operand, box).enumerated() {
          state = laneState(state, register, positions(box, axis)[i], box, monoid, dtype)
        }
        return state
      }
      var best = (e.extract(state[0], 0), e.extract(state[1], 0))
      for lane in 1..<lanes {
        best = better((e.extract(state[0], lane), e.extract(state[1], lane)), best, monoid, dtype)
      }
      let found = seen(best.1)
      if let home { write(home, .i64, [found], row) } else { homes[value] = .scalar(found) }
      return []
    }
  }

  private func laneState(
    _ state: [IR], _ value: IR, _ position: IR, _ box: Box, _ monoid: ArgMonoid, _ dtype: DType
  ) -> [IR] {
    guard box.vectorAxis == nil else {
      let next = later(state, [value], [position], monoid, dtype, lastOfEquals: false)
      guard let mask = box.mask else { return next }
      return [e.select(mask, next[0], state[0]), e.select(mask, next[1], state[1])]
    }
    let first = [e.extract(state[0], 0), e.extract(state[1], 0)]
    let next = later(first, [value], [position], monoid, dtype, lastOfEquals: false)
    return [e.insert(state[0], next[0], 0), e.insert(state[1], next[1], 0)]
  }

  /// Of two lanes' bests: the better, of equals the earlier.
  private func better(
    _ a: (IR, IR), _ b: (IR, IR), _ monoid: ArgMonoid, _ dtype: DType
  ) -> (IR, IR) {
    let isUnseen = e.compare(LLVMIntEQ, a.1, e.integer(Self.nowhereYet, like: a.1))
    let wasUnseen = e.compare(LLVMIntEQ, b.1, e.integer(Self.nowhereYet, like: b.1))
    let wins = wins(a.0, over: b.0, monoid, dtype)
    let loses = self.wins(b.0, over: a.0, monoid, dtype)
    let isEarlier = e.compare(LLVMIntSLT, a.1, b.1)
    let ties = e.and(e.not(loses), isEarlier)
    let takes = e.and(e.not(isUnseen), e.or(wasUnseen, e.or(wins, ties)))
    return (e.select(takes, a.0, b.0), e.select(takes, a.1, b.1))
  }

  /// A NaN wins over everything but a NaN.
  private func wins(_ a: IR, over b: IR, _ monoid: ArgMonoid, _ dtype: DType) -> IR {
    let isBetter = monoid == .maximum ? isLess(b, a, dtype) : isLess(a, b, dtype)
    guard dtype.isFloating else { return isBetter }
    return e.or(isBetter, e.and(isNaN(a, dtype), e.not(isNaN(b, dtype))))
  }

  private func firstState(_ box: Box, _ lanes: Int, _ dtype: DType) -> [IR] {
    let zero: IR = LLVMConstNull(e.type(dtype, lanes))
    return [IR](repeating: zero, count: box.pointCount)
      + [IR](repeating: e.integer(Self.nowhereYet, .i64, lanes), count: box.pointCount)
  }

  private func seen(_ position: IR) -> IR {
    let isUnseen = e.compare(LLVMIntEQ, position, e.integer(Self.nowhereYet, like: position))
    return e.select(isUnseen, e.integer(0, like: position), position)
  }

  /// State is the bests, then their positions.
  private func later(
    _ state: [IR], _ values: [IR], _ positions: [IR], _ monoid: ArgMonoid, _ dtype: DType, lastOfEquals: Bool
  ) -> [IR] {
    let count = values.count
    var bests: [IR] = []
    var places: [IR] = []
    for i in 0..<count {
      let isFirst = e.compare(LLVMIntEQ, state[count + i], e.integer(Self.nowhereYet, like: state[count + i]))
      let wins =
        lastOfEquals
        ? e.not(wins(state[i], over: values[i], monoid, dtype)) : wins(values[i], over: state[i], monoid, dtype)
      let takes = e.or(isFirst, wins)
      bests.append(e.select(takes, values[i], state[i]))
      places.append(e.select(takes, positions[i], state[count + i]))
    }
    return bests + places
  }

  /// The coordinate on `axis`, as i64 registers.
  private func positions(_ box: Box, _ axis: Int) -> [IR] {
    box.points.map { point in
      let first = e.splat(position(box, axis, point[axis]), lanes(of: box))
      guard box.vectorAxis == axis else { return first }
      return e.add(first, e.constants(Array(0..<lanes), e.i64))
    }
  }

  /// Walks all other axes, and inside them `axis` in order, carrying a state.
  private func alongAxis(
    _ value: TileValue, _ axis: Int, _ operand: TileValue, start: (Box, Int) -> [IR], step: (Box, [IR]) -> [IR],
    finish: (Box, [IR]) -> Void
  ) {
    let shape = kernel[operand].shape
    let demanded = plan.demand(of: value)
    var walk = Walk(
      shape: shape, guards: shape.indices.map { $0 == axis ? 0 : demanded[$0] },
      vectorAxis: vectorAxis([operand], shape))
    if walk.vectorAxis == axis { walk.vectorAxis = nil }
    var outer = walk
    outer.fixed[axis] = .zero
    strips(outer, cost: cost([operand])) { box, _ in
      let state = rows(walk, shape[axis] == .constant(1) ? [] : [axis], box, start(box, lanes(of: box))) { box, state in
        step(box, state)
      }
      finish(box, state)
      return []
    }
  }
}

// Arg-reductions: the position of the first extreme of each line. Keys (Emitter+Order) make NaN the largest, so the
// winner is always the first largest key.
// Not reductions of values. Surprise: along the lanes a position is remembered as the 32-bit number of its vector, half
// the registers of the position itself; a line may thus have 2^32 vectors.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  /// Keys and positions of the best so far.
  private struct Leader {
    var key: IR
    var position: IR
  }

  func argReduce(_ value: TileValue, _ monoid: ArgMonoid, _ axis: Int, _ operand: TileValue) {
    let shape = kernel[operand].shape
    let home = kernel.isScalar(value) ? nil : allocate(value)
    var guards = facts.demands[value]
    guards[axis] = 0
    let lanesAxis = facts.vectorAxis([operand], shape)
    let walk = Walk(shape: shape, guards: guards, vectorAxis: lanesAxis, most: 2)
    /// A tile of one element is computed outside of all loops.
    func put(_ positions: [IR], _ box: Box) {
      if let home {
        write(home, .i64, positions, box.collapsed([axis]))
      } else {
        homes[value] = .scalar(positions[0])
      }
    }
    if lanesAxis == axis {
      argReduceAlongLanes(operand, monoid, axis, walk, put)
    } else {
      argReduceAcrossLanes(operand, monoid, axis, walk, put)
    }
    if let home { homes[value] = home }
  }

  private func winningKey(_ value: IR, _ dtype: DType, _ monoid: ArgMonoid) -> IR {
    e.orderKey(value, dtype, reversed: monoid == .minimum, nan: .last)
  }

  /// Every lane has a line of its own.
  private func argReduceAcrossLanes(
    _ operand: TileValue, _ monoid: ArgMonoid, _ axis: Int, _ walk: Walk, _ put: ([IR], Box) -> Void
  ) {
    let dtype = kernel[operand].dtype ?? .i64
    let end = extent(walk.shape[axis])
    var walk = walk
    walk.fixed = [axis: .zero]
    strips(walk, cost: facts.cost([operand]) + 8) { box, _ in
      let width = lanes(of: box)
      let points = 0..<box.pointCount
      let initial = points.map { _ in e.lowestOrderKey(dtype, width) } + points.map { _ in e.integer(0, .i64, width) }
      let final = e.loop(from: e.index(0), to: end, initial) { counter, state in
        var here = box
        here.start[axis] = coordinate(counter, multiple: 1)
        let position = e.splat(counter, width)
        let keys = eval(operand, here).map { winningKey($0, dtype, monoid) }
        let wins = points.map { e.compare(LLVMIntSGT, keys[$0], state[$0]) }
        return points.map { e.select(wins[$0], keys[$0], state[$0]) }
          + points.map { e.select(wins[$0], position, state[points.count + $0]) }
      }
      put(Array(final[points.count...]), box)
      return []
    }
  }

  /// The lanes share a line, and meet at its end.
  private func argReduceAlongLanes(
    _ operand: TileValue, _ monoid: ArgMonoid, _ axis: Int, _ walk: Walk, _ put: ([IR], Box) -> Void
  ) {
    let dtype = kernel[operand].dtype ?? .i64
    let others = walk.shape.indices.filter { $0 != axis && walk.shape[$0] != .constant(1) }
    // Two vectors' leaders, and that of elements done one by one.
    let initial =
      [0, 1].flatMap { _ in [e.lowestOrderKey(dtype, lanes), e.integer(0, .i32, lanes)] }
      + [e.lowestOrderKey(dtype, 1), e.index(0)]
    let single = initial.count - 2
    _ = rows(walk, others[...], startBox(walk), []) { row, _ in
      var line = walk
      for other in walk.shape.indices where other != axis { line.fixed[other] = row.start[other] }
      let final = strips(line, cost: facts.cost([operand]) + 8, hoisting: [operand], initial) { box, state in
        var state = state
        for (i, element) in eval(operand, box).enumerated() {
          let key = winningKey(element, dtype, monoid)
          var position = self.position(box, axis, i)
          var slot = single
          if box.vectorAxis != nil {
            slot = i % 2 * 2
            position = e.splat(e.cast(LLVMTrunc, e.binary(LLVMUDiv, position, e.index(lanes)), e.i32), lanes)
          }
          let wins = e.and(box.mask, e.compare(LLVMIntSGT, key, state[slot]))
          state[slot] = e.select(wins, key, state[slot])
          state[slot + 1] = e.select(wins, position, state[slot + 1])
        }
        return state
      }
      let leaders = stride(from: 0, to: single, by: 2).map {
        Leader(key: final[$0], position: lanePositions(final[$0 + 1]))
      }
      let last = first(
        horizontalFirst(first(leaders[0], leaders[1])), Leader(key: final[single], position: final[single + 1]))
      put([last.position], row)
      return []
    }
  }

  /// Positions in the line, from the numbers of vectors.
  private func lanePositions(_ vectors: IR) -> IR {
    let start = e.binary(LLVMMul, e.cast(LLVMZExt, vectors, e.i64), e.integer(Int64(lanes), .i64, lanes))
    return e.add(start, e.constants(Array(0..<lanes), e.i64))
  }

  /// The larger key; of equal ones, the lower position.
  private func first(_ a: Leader, _ b: Leader) -> Leader {
    let isEarlier = e.and(e.compare(LLVMIntEQ, b.key, a.key), e.compare(LLVMIntSLT, b.position, a.position))
    let wins = e.or(e.compare(LLVMIntSGT, b.key, a.key), isEarlier)
    return Leader(key: e.select(wins, b.key, a.key), position: e.select(wins, b.position, a.position))
  }

  private func horizontalFirst(_ leader: Leader) -> Leader {
    var leader = leader
    while case let width = e.lanes(leader.key), width > 1 {
      func half(_ value: IR, from lane: Int) -> IR {
        width == 2 ? e.extract(value, lane) : e.shuffle(value, value, Array(lane..<lane + width / 2))
      }
      leader = first(
        Leader(key: half(leader.key, from: 0), position: half(leader.position, from: 0)),
        Leader(key: half(leader.key, from: width / 2), position: half(leader.position, from: width / 2)))
    }
    return leader
  }
}

// The stable order of each line: a bottom-up merge sort of keys (Emitter+Order) with their positions.
// Not a sort of values: whoever wants those gathers them. Surprise: merging takes no branch on a comparison; the two
// pairs of arrays that it alternates between are instance memory, one line long.
import CLLVM
import Scalars
import TensorTypes
import TileIR

extension Lowering {
  func sortOrder(_ value: TileValue, _ axis: Int, _ descending: Bool, _ operand: TileValue) {
    let shape = kernel[operand].shape
    let keyDType = e.orderKeyDType(kernel[operand].dtype ?? .i64)
    let home = allocate(value)
    let top = arenaTop
    let keys = [0, 1].map { _ in allocate([shape[axis]], keyDType) }
    let positions = [0, 1].map { _ in allocate([shape[axis]], .i64) }
    var guards = plan.demand(of: value)
    guards[axis] = 0
    let count = extent(shape[axis])
    let isAlongLanes = vectorAxis([operand], shape) == axis
    let walk = Walk(shape: shape, guards: guards, vectorAxis: nil)
    let others = shape.indices.filter { $0 != axis && shape[$0] != .constant(1) }
    _ = rows(walk, others[...], startBox(walk), []) { row, _ in
      var line = walk
      if isAlongLanes { line.vectorAxis = axis }
      for other in shape.indices where other != axis { line.fixed[other] = row.start[other] }
      writeKeys(operand, axis, descending, line, keys[0], positions[0])
      let order = mergeSorted(keys.map(address), positions.map(address), keyDType, count)
      e.loop(from: e.index(0), to: count) { counter, _ in
        var here = row
        here.start[axis] = coordinate(counter, multiple: 1)
        write(home, .i64, [e.load(.i64, 1, element(order, counter, .i64))], here)
        return []
      }
      return []
    }
    arenaTop = top
    homes[value] = home
  }

  private func address(_ home: Home) -> IR {
    guard case .memory(let address, _, _) = home else { return nowhere }
    return address
  }

  private func element(_ base: IR, _ position: IR, _ dtype: DType) -> IR {
    e.offset(base, bytes: e.indexMultiply(position, e.index(dtype.size)))
  }

  /// A line's keys, and 0, 1, 2, ...
  private func writeKeys(
    _ operand: TileValue, _ axis: Int, _ descending: Bool, _ line: Walk, _ keys: Home, _ positions: Home
  ) {
    let dtype = kernel[operand].dtype ?? .i64
    strips(line, cost: cost([operand]) + 8, hoisting: [operand]) { box, _ in
      let target = Box(
        start: [box.start[axis]], count: [box.count[axis]], vectorAxis: box.vectorAxis.map { _ in 0 }, mask: box.mask,
        guards: [0])
      let made = eval(operand, box).map {
        e.orderKey($0, dtype, reversed: descending, nan: descending ? .first : .last)
      }
      write(keys, e.orderKeyDType(dtype), made, target)
      let width = lanes(of: box)
      let numbers = (0..<box.count[axis]).map {
        e.add(e.splat(position(box, axis, $0), width), e.constants(Array(0..<width), e.i64))
      }
      write(positions, .i64, numbers, target)
      return []
    }
  }

  /// Merges runs of 1, 2, 4, ... from the first arrays into the second and back; the address of the sorted positions.
  private func mergeSorted(_ keys: [IR], _ positions: [IR], _ keyDType: DType, _ count: IR) -> IR {
    let start = [e.index(1), keys[0], positions[0], keys[1], positions[1]]
    return e.whileLoop(start, { e.compare(LLVMIntSLT, $0[0], count) }) { pass in
      let width = pass[0]
      let double = e.indexAdd(width, width)
      _ = e.whileLoop([e.index(0)], { e.compare(LLVMIntSLT, $0[0], count) }) { run in
        let middle = e.indexMinimum(e.indexAdd(run[0], width), count)
        let end = e.indexMinimum(e.indexAdd(run[0], double), count)
        merge(pass, keyDType, from: run[0], middle, end)
        return [e.indexAdd(run[0], double)]
      }
      return [double, pass[3], pass[4], pass[1], pass[2]]
    }[2]
  }

  /// `from..<middle` and `middle..<end` into one run. A run that is used up is still read, one element past its end.
  private func merge(_ pass: [IR], _ keyDType: DType, from: IR, _ middle: IR, _ end: IR) {
    e.loop(from: from, to: end, [from, middle]) { counter, next in
      let left = e.load(keyDType, 1, element(pass[1], next[0], keyDType))
      let right = e.load(keyDType, 1, element(pass[1], next[1], keyDType))
      let isOnlyLeft = e.compare(LLVMIntSGE, next[1], end)
      let takesLeft = e.and(
        e.compare(LLVMIntSLT, next[0], middle), e.or(isOnlyLeft, e.compare(LLVMIntSLE, left, right)))
      e.store(e.select(takesLeft, left, right), keyDType, element(pass[3], counter, keyDType))
      let source = e.select(takesLeft, next[0], next[1])
      e.store(e.load(.i64, 1, element(pass[2], source, .i64)), .i64, element(pass[4], counter, .i64))
      let step = e.cast(LLVMZExt, takesLeft, e.i64)
      return [e.indexAdd(next[0], step), e.indexAdd(next[1], e.indexSubtract(e.index(1), step))]
    }
  }
}

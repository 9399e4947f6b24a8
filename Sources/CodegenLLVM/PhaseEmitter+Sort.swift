// The stable order of each line: a bottom-up merge sort of entries, each an order key (Emitter+Order) above its position.
// Not a sort of values: whoever wants those gathers them. Surprise: no two entries are equal, so nothing in here needs to be
// stable; and whole runs merge from both ends at once, where neither side can run out.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

/// One array element of a sort: the key in the upper half, the position in the lower.
private struct SortEntry {
  /// i64, or i128 for keys of 64 bits. A line of narrower keys has less than 2^32 elements.
  let type: LLVMTypeRef
  let size: Int
  let key: DType

  init(_ key: DType, _ e: Emitter) {
    self.key = key
    size = key == .i64 ? 16 : 8
    type = LLVMIntTypeInContext(e.context, UInt32(size * 8))
  }
  var isVector: Bool { size == 8 }

  func made(_ key: IR, _ position: IR, _ e: Emitter) -> IR {
    let wide = e.cast(LLVMSExt, key, type)
    return e.or(
      e.binary(LLVMShl, wide, e.integer(Int64(size * 4), like: wide)), e.cast(LLVMZExt, position, type))
  }
  func position(_ entry: IR, _ e: Emitter) -> IR {
    let narrow = e.cast(LLVMTrunc, entry, e.i64)
    return isVector ? e.and(narrow, e.integer(0xffff_ffff, like: narrow)) : narrow
  }
  func address(_ base: IR, _ i: IR, _ e: Emitter) -> IR { e.offset(base, bytes: e.indexMultiply(i, e.index(size))) }
  func load(_ base: IR, _ i: IR, _ e: Emitter) -> IR { e.plainLoad(type, address(base, i, e), 8) }
  func store(_ entry: IR, _ base: IR, _ i: IR, _ e: Emitter) { e.plainStore(entry, address(base, i, e), 8) }
}

extension PhaseEmitter {
  func sortOrder(_ value: TileValue, _ axis: Int, _ descending: Bool, _ operand: TileValue) {
    let shape = kernel[operand].shape
    let entry = SortEntry(e.orderKeyDType(kernel[operand].dtype ?? .i64), e)
    let home = allocate(value)
    let top = memory.top
    let arrays = [0, 1].map { _ in allocate([shape[axis], .constant(entry.size / 8)], .i64) }
    guard case .memory(let front, _, _) = arrays[0], case .memory(let back, _, _) = arrays[1] else { return }
    var guards = facts.demands[value]
    guards[axis] = 0
    let count = extent(shape[axis])
    let isAlongLanes = entry.isVector && facts.vectorAxis([operand], shape) == axis
    let walk = Walk(shape: shape, guards: guards, vectorAxis: nil)
    let others = shape.indices.filter { $0 != axis && shape[$0] != .constant(1) }
    _ = rows(walk, others[...], startBox(walk), []) { row, _ in
      var line = walk
      if isAlongLanes { line.vectorAxis = axis }
      for other in shape.indices where other != axis { line.fixed[other] = row.start[other] }
      writeEntries(operand, axis, descending, line, entry, arrays[0])
      e.loop(from: e.index(0), to: count, step: 4) { counter, _ in
        sortFour(entry, front, counter, count)
        return []
      }
      let sorted = mergeRuns(entry, front, back, count)
      e.loop(from: e.index(0), to: count) { counter, _ in
        var here = row
        here.start[axis] = coordinate(counter, multiple: 1)
        write(home, .i64, [entry.position(entry.load(sorted, counter, e), e)], here)
        return []
      }
      return []
    }
    memory.top = top
    homes[value] = home
  }

  /// A line's keys with 0, 1, 2, ...
  private func writeEntries(
    _ operand: TileValue, _ axis: Int, _ descending: Bool, _ line: Walk, _ entry: SortEntry, _ array: Home
  ) {
    let dtype = kernel[operand].dtype ?? .i64
    strips(line, cost: facts.cost([operand]) + 8, hoisting: [operand]) { box, _ in
      let width = lanes(of: box)
      let made = eval(operand, box).enumerated().map { i, element in
        let key = e.orderKey(element, dtype, reversed: descending, nan: descending ? .first : .last)
        let first = e.splat(position(box, axis, i), width)
        return entry.made(key, e.add(first, e.constants(Array(0..<width), e.i64)), e)
      }
      if entry.isVector {
        let target = Box(
          start: [box.start[axis], .zero], count: [box.count[axis], 1], vectorAxis: box.vectorAxis.map { _ in 0 },
          mask: box.mask, guards: [0, 0])
        write(array, .i64, made, target)
      } else if case .memory(let base, _, _) = array {
        entry.store(made[0], base, position(box, axis, 0), e)
      }
      return []
    }
  }

  /// Four neighbours by a network of comparisons; what lies beyond the line counts as largest and is not written.
  private func sortFour(_ entry: SortEntry, _ array: IR, _ start: IR, _ count: IR) {
    let places = (0..<4).map { e.indexAdd(start, e.index($0)) }
    let isWhole = e.compare(LLVMIntSLE, e.indexAdd(start, e.index(4)), count)
    func isInside(_ i: Int) -> IR { i == 0 ? e.flag(true) : e.compare(LLVMIntSLT, places[i], count) }
    func sorted(_ loaded: [IR]) -> [IR] {
      var four = loaded
      for (i, j) in [(0, 1), (2, 3), (0, 2), (1, 3), (1, 2)] {
        let (a, b) = (four[i], four[j])
        let inOrder = e.compare(LLVMIntSLT, a, b)
        four[i] = e.select(inOrder, a, b)
        four[j] = e.select(inOrder, b, a)
      }
      return four
    }
    e.branch(isWhole) {
      for (place, made) in zip(places, sorted(places.map { entry.load(array, $0, e) })) {
        entry.store(made, array, place, e)
      }
    } else: {
      let ones: IR = LLVMConstAllOnes(entry.type)
      let largest = e.binary(LLVMLShr, ones, e.integer(1, like: ones))
      let loaded = (0..<4).map { i in
        e.select(isInside(i), entry.load(array, e.select(isInside(i), places[i], start), e), largest)
      }
      for (i, made) in sorted(loaded).enumerated() { e.when(isInside(i)) { entry.store(made, array, places[i], e) } }
    }
  }

  /// Merges runs of 4, 8, ... from the first array into the second and back; the address of the sorted one.
  private func mergeRuns(_ entry: SortEntry, _ front: IR, _ back: IR, _ count: IR) -> IR {
    e.whileLoop([e.index(4), front, back], { e.compare(LLVMIntSLT, $0[0], count) }) { pass in
      let (width, source, target) = (pass[0], pass[1], pass[2])
      let double = e.indexAdd(width, width)
      let rest = e.whileLoop([e.index(0)], { e.compare(LLVMIntSLE, e.indexAdd($0[0], double), count) }) { run in
        mergeWhole(entry, source, target, run[0], width)
        return [e.indexAdd(run[0], double)]
      }[0]
      mergeRest(entry, source, target, rest, e.indexMinimum(e.indexAdd(rest, width), count), count)
      return [double, target, source]
    }[1]
  }

  /// Two runs of `width` into one: the lower half from their beginnings, the upper half from their ends.
  private func mergeWhole(_ entry: SortEntry, _ source: IR, _ target: IR, _ start: IR, _ width: IR) {
    let middle = e.indexAdd(start, width)
    let one = e.index(1)
    let last = e.indexSubtract(e.indexAdd(middle, width), one)
    func moved(_ position: IR, _ isMoved: IR, _ sign: LLVMOpcode) -> IR {
      e.binary(sign, position, e.cast(LLVMZExt, isMoved, e.i64))
    }
    let heads = [start, middle, e.indexSubtract(middle, one), last]
    e.loop(from: e.index(0), to: width, heads) { step, heads in
      let entries = heads.map { entry.load(source, $0, e) }
      let lowLeft = e.compare(LLVMIntSLT, entries[0], entries[1])
      let highLeft = e.compare(LLVMIntSLT, entries[3], entries[2])
      entry.store(e.select(lowLeft, entries[0], entries[1]), target, e.indexAdd(start, step), e)
      entry.store(e.select(highLeft, entries[2], entries[3]), target, e.indexSubtract(last, step), e)
      return [
        moved(heads[0], lowLeft, LLVMAdd), moved(heads[1], e.not(lowLeft), LLVMAdd),
        moved(heads[2], highLeft, LLVMSub), moved(heads[3], e.not(highLeft), LLVMSub),
      ]
    }
  }

  /// The last runs, of any lengths. One that is used up is still read, one element past its end.
  private func mergeRest(_ entry: SortEntry, _ source: IR, _ target: IR, _ start: IR, _ middle: IR, _ end: IR) {
    e.loop(from: start, to: end, [start, middle]) { place, next in
      let left = entry.load(source, next[0], e)
      let right = entry.load(source, next[1], e)
      let isOnlyLeft = e.compare(LLVMIntSGE, next[1], end)
      let takesLeft = e.and(
        e.compare(LLVMIntSLT, next[0], middle), e.or(isOnlyLeft, e.compare(LLVMIntSLT, left, right)))
      entry.store(e.select(takesLeft, left, right), target, place, e)
      let step = e.cast(LLVMZExt, takesLeft, e.i64)
      return [e.indexAdd(next[0], step), e.indexAdd(next[1], e.indexSubtract(e.index(1), step))]
    }
  }
}

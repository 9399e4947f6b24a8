// sortOrder: a stable bottom-up merge sort of positions, row by row, in instance memory.
// Not fast for many short rows. Surprise: keys stay where they are; only positions move.
import CLLVM
import Scalars
import TensorTypes
import TileIR

extension Lowering {
  func sortOrder(_ value: TileValue, _ axis: Int, _ descending: Bool, _ operand: TileValue) {
    let shape = kernel[operand].shape
    let home = allocate(value)
    let keys = homes[operand].flatMap { pending.contains(operand) ? nil : $0 } ?? materialised(operand)
    let dtype = kernel[operand].dtype ?? .f32
    guard case .memory(let keyBase, let keyStrides, _) = keys, case .memory(let base, let strides, _) = home else {
      homes[value] = .scalar(e.integer(0, .i64, 1))
      return
    }
    let row: [Extent] = [shape[axis]]
    guard case .memory(let front, _, _) = allocate(row, .i64), case .memory(let back, _, _) = allocate(row, .i64) else {
      return
    }
    let demanded = plan.demand(of: value)
    let walk = Walk(shape: shape, guards: shape.indices.map { $0 == axis ? 0 : demanded[$0] }, vectorAxis: nil)
    let others = shape.indices.filter { $0 != axis && shape[$0] != .constant(1) }
    let count = extent(shape[axis])
    _ = rows(walk, others[...], startBox(walk), []) { box, _ in
      func start(_ base: IR, _ strides: [IR], _ size: Int) -> IR {
        others.reduce(base) { address, other in
          e.offset(
            address, bytes: e.indexMultiply(position(box, other, 0), e.indexMultiply(strides[other], e.index(size))))
        }
      }
      let keyStart = start(keyBase, keyStrides, dtype.size)
      let keyStep = e.indexMultiply(keyStrides[axis], e.index(dtype.size))
      let sorted = sortRow(count, front, back, descending, dtype) { place in
        e.load(dtype, 1, e.offset(keyStart, bytes: e.indexMultiply(place, keyStep)))
      }
      let output = start(base, strides, 8)
      let step = e.indexMultiply(strides[axis], e.index(8))
      e.loop(from: e.index(0), to: count) { i, _ in
        let place = e.plainLoad(e.i64, e.offset(sorted, bytes: e.indexMultiply(i, e.index(8))), 8)
        e.plainStore(place, e.offset(output, bytes: e.indexMultiply(i, step)), 8)
        return []
      }
      return []
    }
    homes[value] = home
  }

  private func materialised(_ value: TileValue) -> Home {
    let home = allocate(kernel[value].shape, kernel[value].dtype ?? .f32)
    if plan.isScalar(value) {
      write(
        home, kernel[value].dtype ?? .f32, eval(value, .single(kernel[value].shape.count)),
        .single(kernel[value].shape.count))
    } else {
      fill(value, into: home)
    }
    return home
  }

  /// Sorts positions 0..<count between two arrays; gives the one that holds the result.
  private func sortRow(
    _ count: IR, _ front: IR, _ back: IR, _ descending: Bool, _ dtype: DType, _ key: (IR) -> IR
  ) -> IR {
    func slot(_ array: IR, _ i: IR) -> IR { e.offset(array, bytes: e.indexMultiply(i, e.index(8))) }
    e.loop(from: e.index(0), to: count) { i, _ in
      e.plainStore(i, slot(front, i), 8)
      return []
    }
    let last = e.indexSubtract(count, e.index(1))
    /// Whether a must stand before b.
    func precedes(_ a: IR, _ b: IR) -> IR {
      let less = descending ? isLess(b, a, dtype) : isLess(a, b, dtype)
      guard dtype.isFloating else { return less }
      let (larger, smaller) = descending ? (a, b) : (b, a)
      return e.or(less, e.and(isNaN(larger, dtype), e.not(isNaN(smaller, dtype))))
    }
    return e.whileLoop([e.index(1), front, back]) {
      e.compare(LLVMIntSLT, $0[0], count)
    } _: { state in
      let (width, source, target) = (state[0], state[1], state[2])
      let pair = e.indexAdd(width, width)
      _ = e.whileLoop([e.index(0)]) {
        e.compare(LLVMIntSLT, $0[0], count)
      } _: { position in
        let low = position[0]
        let middle = e.indexMinimum(e.indexAdd(low, width), count)
        let high = e.indexMinimum(e.indexAdd(low, pair), count)
        e.loop(from: low, to: high, [low, middle]) { output, heads in
          let (left, right) = (heads[0], heads[1])
          func place(_ i: IR) -> IR { e.plainLoad(e.i64, slot(source, e.indexMinimum(i, last)), 8) }
          let a = place(left)
          let b = place(right)
          let mustGoRight = e.and(e.compare(LLVMIntSLT, right, high), precedes(key(b), key(a)))
          let takesRight = e.or(e.compare(LLVMIntSGE, left, middle), mustGoRight)
          e.plainStore(e.select(takesRight, b, a), slot(target, output), 8)
          let one = e.index(1)
          return [
            e.select(takesRight, left, e.indexAdd(left, one)), e.select(takesRight, e.indexAdd(right, one), right),
          ]
        }
        return [high]
      }
      return [pair, target, source]
    }[1]
  }
}

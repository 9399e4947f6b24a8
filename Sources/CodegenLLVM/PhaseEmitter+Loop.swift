// Counted loops: carried tiles live in instance memory, and every yield is evaluated into its tile in place.
// Not loops over a tile (+Walk). Surprise: sums of many trips go to a total every 64 of them, so that errors do not grow
// with their number.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  func loop(_ value: TileValue, _ items: [AgendaItem]) {
    guard case .loop(let count, let initial, let body) = kernel[value].operation else { return }
    let carried = Array(body.arguments.dropFirst())
    let places = zip(carried, initial).map { argument, start in
      let home = allocate(argument)
      assign(start, to: home, carried: argument)
      return home
    }
    for (argument, home) in zip(carried, places) {
      homes[argument] = home
      carriedHomes[argument] = home
    }
    let trips = index(count)
    let top = memory.top
    let stretch = facts.isSumOfDots(body, carried) ? Self.stretch : .max
    let isShort = e.constantIndex(trips).map { $0 <= stretch } ?? (stretch == .max)
    let totals = isShort ? [] : carried.map { allocate($0) }
    func trip(_ counter: IR) {
      indices.scope.remember(counter, for: body.arguments[0])
      emit(items)
    }
    if totals.isEmpty {
      e.loop(from: e.index(0), to: trips) { counter, _ in
        trip(counter)
        return []
      }
    } else {
      e.loop(from: e.index(0), to: trips, step: stretch) { first, _ in
        let end = e.indexMinimum(e.indexAdd(first, e.index(stretch)), trips)
        e.loop(from: first, to: end) { counter, _ in
          trip(counter)
          return []
        }
        let (isFirst, isLast) = (e.compare(LLVMIntEQ, first, e.index(0)), e.compare(LLVMIntEQ, end, trips))
        pour(carried, places, into: totals, isFirst: isFirst, isLast: isLast)
        return []
      }
    }
    memory.top = top
    for result in facts.uses.results[value] ?? [] {
      if case .result(_, let i) = kernel[result].operation { homes[result] = places[i] }
    }
  }

  /// Trips whose sums are added up before they go to a total.
  private static let stretch = 64

  /// Adds what former stretches came to; unless that was the last one, the next starts at 0. One stretch is all there is in
  /// most products, and touches no total.
  private func pour(_ carried: [TileValue], _ sums: [Home], into totals: [Home], isFirst: IR, isLast: IR) {
    func walk(unless condition: IR, _ body: (Int, DType, Box) -> Void) {
      e.loop(from: e.index(0), to: e.select(condition, e.index(0), e.index(1))) { _, _ in
        for (i, argument) in carried.enumerated() {
          let shape = kernel[argument].shape
          let walk = Walk(shape: shape, guards: facts.demands[argument], vectorAxis: shape.count - 1)
          strips(walk, cost: 1) { box, _ in
            body(i, kernel[argument].dtype ?? .f32, box)
            return []
          }
        }
        return []
      }
    }
    walk(unless: isFirst) { i, dtype, box in
      let whole = zip(read(totals[i], dtype, box), read(sums[i], dtype, box)).map { combined(.sum, $0, $1, dtype) }
      write(sums[i], dtype, whole, box)
    }
    walk(unless: isLast) { i, dtype, box in
      let whole = read(sums[i], dtype, box)
      write(totals[i], dtype, whole, box)
      write(sums[i], dtype, whole.map { e.constant(Monoid.sum.identity(dtype), e.lanes($0)) }, box)
    }
  }

  /// Computes `value` into a carried tile's home.
  func assign(_ value: TileValue, to home: Home, carried: TileValue) {
    if case .dot(let accumulator, let a, let b) = kernel[value].operation, facts.held(value) == nil {
      dot(value, accumulator, a, b, into: home, demandedAs: carried)
    } else if kernel.isScalar(value) {
      let box = Box.single(kernel[value].shape.count)
      write(home, kernel[value].dtype ?? .i64, eval(value, box), box)
    } else {
      fill(value, into: home, walkedFor: carried)
    }
  }
}

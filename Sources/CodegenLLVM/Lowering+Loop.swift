// Counted loops: carried tiles live in instance memory, and every yield is evaluated into its tile in place.
// Not loops over a tile (+Walk). Surprise: the order of the yields is chosen so that a carried tile is overwritten after
// everything that reads it; only a cycle (a swap) needs a copy.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

extension Lowering {
  func loop(_ value: TileValue, _ count: TileValue, _ initial: [TileValue], _ body: Region) {
    let carried = Array(body.arguments.dropFirst())
    var places: [Home] = []
    for (argument, start) in zip(carried, initial) {
      let home = allocate(argument)
      assign(start, to: home, carried: argument)
      places.append(home)
    }
    for (argument, home) in zip(carried, places) { homes[argument] = home }
    let trips = index(count)
    let top = memory.top
    let stretch = facts.isSumOfDots(body, carried) ? Self.stretch : .max
    let isShort = e.constantIndex(trips).map { $0 <= stretch } ?? (stretch == .max)
    let totals = isShort ? [] : carried.map { allocate($0) }
    func trip(_ counter: IR) {
      indices.scope.remember(counter, for: body.arguments[0])
      lower(body)
      yield(body.yields, carried, places)
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
  private func assign(_ value: TileValue, to home: Home, carried: TileValue) {
    if case .dot(let accumulator, let a, let b) = kernel[value].operation, homes[value] == nil {
      dot(value, accumulator, a, b, into: home, demandedAs: carried)
    } else if kernel.isScalar(value) {
      let box = Box.single(kernel[value].shape.count)
      write(home, kernel[value].dtype ?? .i64, eval(value, box), box)
    } else {
      fill(value, into: home, walkedFor: carried)
    }
  }

  private func yield(_ values: [TileValue], _ carried: [TileValue], _ places: [Home]) {
    var waiting = carried.indices.filter { values[$0] != carried[$0] }
    var reads = values.map { facts.carriedBelow($0, Set(carried)) }
    for i in waiting where facts.readsAcross(values[i], carried[i]) {
      materialise(values[i])
      reads[i] = []
    }
    while !waiting.isEmpty {
      let free = waiting.first { i in !waiting.contains { $0 != i && reads[$0].contains(carried[i]) } }
      if let free {
        assign(values[free], to: places[free], carried: carried[free])
        waiting.removeAll { $0 == free }
      } else {
        materialise(values[waiting[0]])
        reads[waiting[0]] = []
        // A carried tile read directly was copied; its later reads come from the copy.
      }
    }
  }

}

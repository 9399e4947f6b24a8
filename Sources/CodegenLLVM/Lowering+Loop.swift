// Counted loops: carried tiles live in instance memory, and every yield is evaluated into its tile in place.
// Not loops over a tile (+Walk). Surprise: the order of the yields is chosen so that a carried tile is overwritten after
// everything that reads it; only a cycle (a swap) needs a copy.
import CLLVM
import Scalars
import TensorTypes
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
    let top = arenaTop
    let stretch = isSumOfDots(body, carried) ? Self.stretch : .max
    let isShort = e.constantIndex(trips).map { $0 <= stretch } ?? (stretch == .max)
    let totals = isShort ? [] : carried.map { allocate($0) }
    func trip(_ counter: IR) {
      remember(body.arguments[0], counter)
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
    arenaTop = top
    for result in plan.results[value] ?? [] {
      if case .result(_, let i) = kernel[result].operation { homes[result] = places[i] }
    }
  }

  /// Trips whose sums are added up before they go to a total.
  private static let stretch = 64

  /// Whether all that is carried are sums of floats to which every trip adds a product.
  private func isSumOfDots(_ body: Region, _ carried: [TileValue]) -> Bool {
    !carried.isEmpty
      && zip(carried, body.yields).allSatisfy { argument, value in
        guard case .dot(argument, _, _) = kernel[value].operation, kernel[value].dtype?.isFloating == true else {
          return false
        }
        return plan.users[argument] == [value] && plan.isYieldedOnly(value)
      }
  }

  /// Adds what former stretches came to; unless that was the last one, the next starts at 0. One stretch is all there is in
  /// most products, and touches no total.
  private func pour(_ carried: [TileValue], _ sums: [Home], into totals: [Home], isFirst: IR, isLast: IR) {
    func walk(unless condition: IR, _ body: (Int, DType, Box) -> Void) {
      e.loop(from: e.index(0), to: e.select(condition, e.index(0), e.index(1))) { _, _ in
        for (i, argument) in carried.enumerated() {
          let shape = kernel[argument].shape
          let walk = Walk(shape: shape, guards: plan.demand(of: argument), vectorAxis: shape.count - 1)
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
    } else if plan.isScalar(value) {
      let box = Box.single(kernel[value].shape.count)
      write(home, kernel[value].dtype ?? .i64, eval(value, box), box)
    } else {
      fill(value, into: home, walkedFor: carried)
    }
  }

  private func yield(_ values: [TileValue], _ carried: [TileValue], _ places: [Home]) {
    var waiting = carried.indices.filter { values[$0] != carried[$0] }
    var reads = values.map { carriedBelow($0, Set(carried)) }
    for i in waiting where readsAcross(values[i], carried[i]) {
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

  /// Carried tiles that evaluating `value` would read.
  private func carriedBelow(_ value: TileValue, _ carried: Set<TileValue>) -> Set<TileValue> {
    var found: Set<TileValue> = []
    var seen: Set<TileValue> = []
    var stack = [value]
    while let next = stack.popLast() {
      guard seen.insert(next).inserted else { continue }
      if carried.contains(next) {
        found.insert(next)
        continue
      }
      if homes[next] != nil { continue }
      switch kernel[next].operation.kind {
      case .source, .load, .elementwise, .movement, .product: stack += kernel[next].operation.operands
      case .index, .store, .across, .control: break
      }
    }
    return found
  }

  /// Whether `value` reads the tile that it replaces elsewhere than at its own place.
  private func readsAcross(_ value: TileValue, _ own: TileValue) -> Bool {
    var seen: Set<TileValue> = []
    return readsAcross(value, own, &seen)
  }

  private func readsAcross(_ value: TileValue, _ own: TileValue, _ seen: inout Set<TileValue>) -> Bool {
    if value == own || homes[value] != nil || !seen.insert(value).inserted { return false }
    let operands = kernel[value].operation.operands
    switch kernel[value].operation.kind {
    case .elementwise: return operands.contains { readsAcross($0, own, &seen) }
    case .movement: return carriedBelow(operands[0], [own]).contains(own)
    case .load: return carriedBelow(value, [own]).contains(own)
    case .product:
      return readsAcross(operands[0], own, &seen) || operands[1...].contains { carriedBelow($0, [own]).contains(own) }
    case .index, .source, .store, .across, .control: return false
    }
  }
}

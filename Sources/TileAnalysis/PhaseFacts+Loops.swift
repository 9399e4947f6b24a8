// What a loop's yields read of the tiles they replace. Not the loop's code.
// Surprise: only a cycle (a swap) needs a copy.
import TileIR

extension PhaseFacts {
  /// Whether all that is carried are sums of floats to which every trip adds a product.
  package func isSumOfDots(_ body: Region, _ carried: [TileValue]) -> Bool {
    !carried.isEmpty
      && zip(carried, body.yields).allSatisfy { argument, value in
        guard case .dot(argument, _, _) = kernel[value].operation, kernel[value].dtype?.isFloating == true else {
          return false
        }
        return uses.users[argument] == [value] && uses.isYieldedOnly(value)
      }
  }

  /// Carried tiles that evaluating `value` would read.
  func carriedBelow(_ value: TileValue, _ carried: Set<TileValue>) -> Set<TileValue> {
    var found: Set<TileValue> = []
    var seen: Set<TileValue> = []
    var stack = [value]
    while let next = stack.popLast() {
      guard seen.insert(next).inserted else { continue }
      if carried.contains(next) {
        found.insert(next)
        continue
      }
      if held(next) != nil { continue }
      switch kernel[next].operation.kind {
      case .source, .load, .elementwise, .movement, .product: stack += kernel[next].operation.operands
      case .index, .store, .across, .control: break
      }
    }
    return found
  }

  /// Whether `value` reads the tile that it replaces elsewhere than at its own place.
  func readsAcross(_ value: TileValue, _ own: TileValue) -> Bool {
    var seen: Set<TileValue> = []
    return readsAcross(value, own, &seen)
  }

  private func readsAcross(_ value: TileValue, _ own: TileValue, _ seen: inout Set<TileValue>) -> Bool {
    if value == own || held(value) != nil || !seen.insert(value).inserted { return false }
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

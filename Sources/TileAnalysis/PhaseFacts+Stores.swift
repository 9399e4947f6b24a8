// Neighbouring stores of one shape, which are one walk, so that what they share is computed once. Not addresses.
// Surprise: a store that reads elsewhere what another one writes ends the group.
import TileIR

package struct StoreTarget {
  package var store: TileValue
  package var access: Access
  package var value: TileValue
  package var mode: StoreMode
  package var shape: [Extent]
}

extension PhaseFacts {
  /// Whether lanes write different places in a row, so that the order within a vector does not matter.
  package func isWalkable(_ target: StoreTarget) -> Bool {
    if target.access.axes.contains(where: { $0.indirect != nil }) { return false }
    if case .accumulate = target.mode {
      let used = Set(target.access.axes.compactMap(\.tileAxis))
      return target.shape.indices.allSatisfy { used.contains($0) || target.shape[$0] == .constant(1) }
        && target.access.axes.allSatisfy { $0.tileAxis == nil || $0.scale != 0 }
    }
    return true
  }

  /// Whether evaluating `target` reads what the group writes, or the other way round, elsewhere than where it is written.
  /// Of the group itself only the first is looked at, and once: the others came after that question.
  private func conflicts(_ target: StoreTarget, _ group: [StoreTarget]) -> Bool {
    if group.contains(where: { $0.access.buffer == target.access.buffer }) { return true }
    if let first = group.first, group.count == 1, reads(first.value, first) { return true }
    return reads(target.value, target) || group.contains { reads(target.value, $0) || reads($0.value, target) }
  }

  func reads(_ value: TileValue, _ writer: StoreTarget) -> Bool {
    var seen: Set<TileValue> = []
    return reads(value, writer, &seen)
  }

  /// Each value once: in `x + x` of `y + y` of … there are more ways to a value than values.
  private func reads(_ value: TileValue, _ writer: StoreTarget, _ seen: inout Set<TileValue>) -> Bool {
    guard !isHeld(value), seen.insert(value).inserted else { return false }
    switch kernel[value].operation {
    case .load(let access, _):
      for axis in access.axes {
        if let indirect = axis.indirect, reads(indirect, writer, &seen) { return true }
      }
      return access.buffer == writer.access.buffer && access.axes != writer.access.axes
    case .broadcast(let a): return reads(a, writer, &seen)
    case .transpose(let a, _): return readsAtAll(a, writer)
    case let operation:
      return operation.kind == .elementwise && operation.operands.contains { reads($0, writer, &seen) }
    }
  }

  private func readsAtAll(_ value: TileValue, _ writer: StoreTarget) -> Bool {
    var seen: Set<TileValue> = []
    return readsAtAll(value, writer, &seen)
  }

  private func readsAtAll(_ value: TileValue, _ writer: StoreTarget, _ seen: inout Set<TileValue>) -> Bool {
    guard !isHeld(value), seen.insert(value).inserted else { return false }
    if case .load(let access, _) = kernel[value].operation, access.buffer == writer.access.buffer { return true }
    guard kernel.isPointwise(value) else { return false }
    return kernel[value].operation.operands.contains { kernel[$0].dtype != nil && readsAtAll($0, writer, &seen) }
  }

  /// The stores behind `store` that one walk can do together with it, and it; index values between them may be computed
  /// later.
  func storeGroup(startingAt store: TileValue, in region: Region) -> [StoreTarget] {
    var group: [StoreTarget] = []
    for candidate in region.operations.drop(while: { $0 != store }) {
      switch kernel[candidate].operation {
      case .store(let access, let content, let mode):
        let target = StoreTarget(
          store: candidate, access: access, value: content, mode: mode, shape: kernel[content].shape)
        if let first = group.first {
          guard first.shape == target.shape, demands.guards(ofStore: first.store) == demands.guards(ofStore: candidate),
            !conflicts(target, group), isWalkable(first) == isWalkable(target)
          else { return group }
        }
        group.append(target)
      case .result, .regionArgument: continue
      case let operation:
        if [.index, .source].contains(operation.kind) { continue }
        // What must be computed in its place ends the group.
        if !operation.kind.isPointwise || residences[candidate] != .virtual { return group }
      }
    }
    return group
  }
}

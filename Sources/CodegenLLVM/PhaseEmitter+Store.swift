// Store roots: neighbouring stores of one shape are one walk, so that what they share is computed once.
// Not addresses (+Access). Surprise: all values of a box are evaluated before any of them is stored, which is what makes
// an update in place safe where input and output are read and written by equal coordinates.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  func stores(_ group: [StoreTarget]) {
    guard let first = group.first else { return }
    let values = group.map(\.value)
    var walk = Walk(
      shape: first.shape, guards: facts.demands.guards(ofStore: first.store),
      vectorAxis: facts.isWalkable(first)
        ? facts.vectorAxis(values, first.shape, to: group.map(\.access)) : nil)
    if let axis = walk.vectorAxis {
      walk.hasScalarTail = facts.gathers(values, along: axis, storing: group.map(\.access))
    }
    func put(_ box: Box) {
      let results = values.map { eval($0, box) }
      for (target, registers) in zip(group, results) {
        store(target.access, target.shape, registers, target.mode, box)
      }
    }
    if group.count == 1, let axis = facts.writtenAxis(first), let turn = facts.turn(first.value, written: axis) {
      turned(walk, first.value, turn) { box, registers in
        store(first.access, first.shape, registers, first.mode, box)
      }
    } else if options.streamingStores, let axis = walk.vectorAxis,
      group.allSatisfy({ $0.mode == .streaming && facts.isContiguous($0.access, axis) }), mayBeLarge(group)
    {
      alignedStrips(
        walk, cost: facts.cost(values), hoisting: values, to: group.map(\.access),
        isLarge: isLarge(group.map(\.access)), put)
    } else {
      strips(walk, cost: facts.cost(values), hoisting: values) { box, _ in
        put(box)
        return []
      }
    }
  }

  private var streamingBytes: Int { options.streamingBytes ?? e.target.cache.streamedBytes }

  private func mayBeLarge(_ group: [StoreTarget]) -> Bool {
    guard let bytes = facts.bytes(group.map(\.access)) else { return false }
    return bytes.knownValue.map { $0 > streamingBytes } ?? true
  }

  /// Whether the output exceeds the last cache, so that keeping it there would only push out what is there.
  private func isLarge(_ accesses: [Access]) -> IR {
    guard let bytes = facts.bytes(accesses) else { return e.flag(false) }
    let size = indices.size(bytes)
    return indices.inPrologue { e.compare(LLVMIntSGT, size, e.index(streamingBytes)) }
  }

  /// The same for some store operations.
  func isLarge(writing stores: [TileValue]) -> IR {
    isLarge(
      stores.compactMap { if case .store(let access, _, _) = kernel[$0].operation { access } else { nil } })
  }
}

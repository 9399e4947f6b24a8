// Where reading is contiguous along one axis and writing along another. Not the tile operation `transpose`, which is free.
// Surprise: one load is worth turning, two are not.
import TileIR

extension PhaseFacts {
  /// The two axes of a block, and the loads to be turned.
  package struct Turn {
    /// Contiguous where it is written: the lanes.
    package var written: Int
    /// Contiguous where it is read.
    package var read: Int
    package var loads: [TileValue]
  }

  /// Whether all large loads below `value` are contiguous along one other axis than `written`.
  package func turn(_ value: TileValue, written: Int) -> Turn? {
    let shape = kernel[value].shape
    var loads: [TileValue] = []
    var read: Int?
    var seen: Set<TileValue> = []
    func visit(_ value: TileValue) -> Bool {
      guard seen.insert(value).inserted else { return true }
      guard held(value) == nil else { return false }
      switch kernel[value].operation {
      case .load(let access, _):
        guard let axis = readAxis(access, kernel[value].shape), axis != written, read == nil || read == axis else {
          return false
        }
        read = axis
        loads.append(value)
        return true
      case .splat, .splatArgument: return true
      case let operation: return operation.kind == .elementwise && operation.operands.allSatisfy(visit)
      }
    }
    guard visit(value), loads.count == 1, let read, isWide(shape[read]), isWide(shape[written]) else { return nil }
    return Turn(written: written, read: read, loads: loads)
  }

  private func isWide(_ extent: Extent) -> Bool { index.constant(extent).map { $0 >= lanes } ?? true }

  /// The tile axis along which a plain load is contiguous.
  private func readAxis(_ access: Access, _ shape: [Extent]) -> Int? {
    guard unusedAxes(access, shape).isEmpty, access.reinterpreted == nil,
      access.axes.allSatisfy({ $0.indirect == nil && !$0.guarded && $0.scale == 1 })
    else { return nil }
    if case .panels = kernel.buffers[access.buffer].layout { return nil }
    let found = access.axes.indices.filter { stride(access, $0) == 1 }.compactMap { access.axes[$0].tileAxis }
    return found.count == 1 ? found[0] : nil
  }
}

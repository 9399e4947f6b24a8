// Walks where reading is contiguous along one axis and writing along another: square blocks, turned in registers.
// Not the tile operation `transpose`, which is free (a box has its lanes along any axis). Surprise: the ragged edges are done
// element by element, by one small loop.
import CLLVM
import TensorTypes
import TileIR

extension Lowering {
  /// The two axes of a block, and the loads to be turned.
  struct Turn {
    /// Contiguous where it is written: the lanes.
    var written: Int
    /// Contiguous where it is read.
    var read: Int
    var loads: [TileValue]
  }

  /// Whether all large loads below `value` are contiguous along one other axis than `written`.
  func turn(_ value: TileValue, written: Int) -> Turn? {
    let shape = kernel[value].shape
    var loads: [TileValue] = []
    var read: Int?
    var seen: Set<TileValue> = []
    func visit(_ value: TileValue) -> Bool {
      guard seen.insert(value).inserted else { return true }
      guard homes[value] == nil else { return false }
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

  private func isWide(_ extent: Extent) -> Bool { facts.constant(extent).map { $0 >= lanes } ?? true }

  /// The tile axis along which a plain load is contiguous.
  private func readAxis(_ access: Access, _ shape: [Extent]) -> Int? {
    guard unusedAxes(access, shape).isEmpty, access.reinterpreted == nil,
      access.axes.allSatisfy({ $0.indirect == nil && !$0.guarded && $0.scale == 1 })
    else { return nil }
    let buffer = kernel.buffers[access.buffer]
    var found: Int?
    for (i, map) in access.axes.enumerated() {
      guard let tileAxis = map.tileAxis else { continue }
      var stride: Int?
      switch buffer.layout {
      case .strided(let strides): stride = facts.constant(strides[i])
      case .rowMajor: stride = i == access.axes.count - 1 ? 1 : nil
      case .panels: return nil
      }
      if stride == 1 { found = found == nil ? tileAxis : -1 }
    }
    return found.flatMap { $0 >= 0 ? $0 : nil }
  }

  /// Evaluates `value` block by block and hands the registers of each block to `put`.
  func turned(_ walk: Walk, _ value: TileValue, _ turn: Turn, _ put: (Box, [IR]) -> Void) {
    pass += 1
    let outer = walk.shape.indices.filter {
      $0 != turn.written && $0 != turn.read && walk.shape[$0] != .constant(1)
    }
    let writtenEnd = range(walk, turn.written)
    let readEnd = range(walk, turn.read)
    let wholeWritten = e.and(writtenEnd, e.index(-lanes))
    let wholeRead = e.and(readEnd, e.index(-lanes))
    _ = rows(walk, outer[...], startBox(walk), []) { row, _ in
      e.loop(from: e.index(0), to: wholeWritten, step: lanes) { column, _ in
        e.loop(from: e.index(0), to: wholeRead, step: lanes) { counter, _ in
          var box = row
          box.start[turn.written] = coordinate(column, multiple: lanes)
          box.start[turn.read] = coordinate(counter, multiple: lanes)
          box.count[turn.read] = lanes
          box.vectorAxis = turn.written
          for load in turn.loads { remember(MemoKey(value: load, box: box), turnedLoad(load, box, turn)) }
          put(box, eval(value, box))
          return []
        }
        return []
      }
      e.loop(from: e.index(0), to: writtenEnd) { column, _ in
        let isWhole = e.compare(LLVMIntSLT, column, wholeWritten)
        e.loop(from: e.select(isWhole, wholeRead, e.index(0)), to: readEnd) { counter, _ in
          var box = row
          box.start[turn.written] = coordinate(column, multiple: 1)
          box.start[turn.read] = coordinate(counter, multiple: 1)
          put(box, eval(value, box))
          return []
        }
        return []
      }
      return []
    }
  }

  /// A square block of a load: vectors along the axis it is contiguous on, then rows and lanes exchanged.
  private func turnedLoad(_ load: TileValue, _ box: Box, _ turn: Turn) -> [IR] {
    var source = box
    source.vectorAxis = turn.read
    source.count[turn.read] = 1
    source.count[turn.written] = lanes
    var registers = eval(load, source)
    var distance = 1
    while distance < lanes {
      for i in 0..<lanes where i & distance == 0 {
        let (a, b) = (registers[i], registers[i + distance])
        let low = (0..<lanes).map { $0 & distance == 0 ? $0 : lanes + $0 - distance }
        let high = (0..<lanes).map { $0 & distance == 0 ? $0 + distance : lanes + $0 }
        registers[i] = e.shuffle(a, b, low)
        registers[i + distance] = e.shuffle(a, b, high)
      }
      distance *= 2
    }
    return registers
  }
}

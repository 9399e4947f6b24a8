// Walks where reading is contiguous along one axis and writing along another: square blocks, turned in registers.
// Not the tile operation `transpose`, which is free (a box has its lanes along any axis). Surprise: the ragged edges are done
// element by element, by one small loop.
import CLLVM
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  /// Evaluates `value` block by block and hands the registers of each block to `put`.
  func turned(_ walk: Walk, _ value: TileValue, _ turn: PhaseFacts.Turn, _ put: (Box, [IR]) -> Void) {
    walking.number += 1
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
          for load in turn.loads { memo.remember(turnedLoad(load, box, turn), for: MemoKey(value: load, box: box)) }
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
  private func turnedLoad(_ load: TileValue, _ box: Box, _ turn: PhaseFacts.Turn) -> [IR] {
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

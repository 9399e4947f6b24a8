// Where temporaries are in one block of memory: those that are not alive at the same time share bytes.
// Not an allocator. Surprise: sizes are symbolic, so the plan is the lifetimes; offsets are worked out for the sizes at hand.
import GraphIR
import TensorTypes

package struct MemoryPlan: Sendable {
  package struct Lifetime: Sendable, Hashable {
    package var bytes: Dim
    /// The first step that writes it and the last that reads it.
    package var first: Int
    package var last: Int
    package init(bytes: Dim, first: Int, last: Int) {
      self.bytes = bytes
      self.first = first
      self.last = last
    }
  }
  /// One for each temporary of the schedule.
  package private(set) var blocks: [Lifetime] = []

  /// Offsets are multiples of a cache line, with a line between neighbours: vectors may run over an end.
  package static let alignment = 64

  package init(_ schedule: Schedule) {
    for type in schedule.temporaries {
      blocks.append(Lifetime(bytes: type.shape.elementCount * type.dtype.size, first: .max, last: -1))
    }
    for (number, step) in schedule.steps.enumerated() {
      for source in step.buffers {
        guard case .temporary(let t) = source else { continue }
        blocks[t].first = min(blocks[t].first, number)
        blocks[t].last = max(blocks[t].last, number)
      }
    }
  }

  package init(blocks: [Lifetime]) { self.blocks = blocks }

  /// Bytes from the start of the arena for each temporary, and the arena's size: what a launch takes.
  /// nil: an extent has no value, or a size is too large.
  package func offsets(_ arguments: some RandomAccessCollection<Int>) -> (offsets: [Int], total: Int)? {
    var sizes: [Int] = []
    for block in blocks {
      guard let bytes = block.bytes.evaluated(arguments), bytes >= 0, bytes < 1 << 45 else { return nil }
      sizes.append((bytes + 2 * Self.alignment - 1) / Self.alignment * Self.alignment)
    }
    // Largest first, each at the lowest place that is free for as long as it lives.
    let order = blocks.indices.sorted { (sizes[$0], $1) > (sizes[$1], $0) }
    var offsets = Array(repeating: 0, count: blocks.count)
    var placed: [Int] = []
    var total = 0
    for t in order where blocks[t].last >= blocks[t].first {
      var offset = 0
      // `placed` is sorted by offset.
      for other in placed where blocks[other].first <= blocks[t].last && blocks[t].first <= blocks[other].last {
        if offsets[other] >= offset + sizes[t] { break }
        offset = max(offset, offsets[other] + sizes[other])
      }
      offsets[t] = offset
      total = max(total, offset + sizes[t])
      let place = placed.firstIndex { offsets[$0] > offset } ?? placed.count
      placed.insert(t, at: place)
    }
    return (offsets, total)
  }

  /// The most bytes that are alive at once: no plan takes less.
  package func lowerBound(_ arguments: some RandomAccessCollection<Int>) -> Int? {
    var most = 0
    for step in 0...max(0, blocks.map(\.last).max() ?? 0) {
      var alive = 0
      for block in blocks where block.first <= step && step <= block.last {
        guard let bytes = block.bytes.evaluated(arguments) else { return nil }
        alive += (bytes + 2 * Self.alignment - 1) / Self.alignment * Self.alignment
      }
      most = max(most, alive)
    }
    return most
  }
}

extension Schedule {
  /// Lifetimes of the temporaries in the order of the steps.
  package var memoryPlan: MemoryPlan { MemoryPlan(self) }
}

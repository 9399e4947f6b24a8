// Kernel scratch for all executables: the block used last is used next, so that packed panels stay in the cache.
// Not for instance memory (that is ThreadArena). Surprise: a block that is too small is given back, not kept beside the larger.
import Basics
import Synchronization

package final class ScratchPool: Sendable {
  package static let shared = ScratchPool()

  // Larger ones go back to the allocator, whose own bound then holds.
  private static let largestKept = 64 << 20
  private static let keptBlocks = 4

  /// A block in use, and its usable bytes.
  package struct Lease: @unchecked Sendable {  // Sendable: an address; whoever took the block is its only user.
    package var address: UnsafeMutableRawPointer { memory.address }
    fileprivate var memory: Allocator.Block
    fileprivate var byteCount: Int
  }

  private let kept = Mutex<[Lease]>([])

  package func take(_ byteCount: Int) throws(Diagnostic) -> Lease {
    if !Allocator.isMeasuring, let block = kept.withLock({ $0.popLast() }) {
      if block.byteCount >= byteCount { return block }
      Allocator.free(block.memory)
    }
    return Lease(memory: try Allocator.allocate(byteCount), byteCount: byteCount)
  }

  package func give(_ block: Lease) {
    let isKept = kept.withLock { kept in
      guard !Allocator.isMeasuring, block.byteCount <= Self.largestKept, kept.count < Self.keptBlocks else {
        return false
      }
      kept.append(block)
      return true
    }
    if !isKept { Allocator.free(block.memory) }
  }
}

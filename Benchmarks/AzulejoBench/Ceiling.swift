// The machine's ceilings on all threads: bytes read, copied, added; fused multiply-adds.
// Not the machine card (a file): measured anew beside each candidate.
import Ceilings
import Execution
import Synchronization

struct Ceiling {
  let threads: Int
  // @unchecked: benchmarks write disjoint parts.
  struct Memory: @unchecked Sendable { let start: UnsafeMutablePointer<Float> }
  private let source: Memory
  private let second: Memory
  private let target: Memory
  /// Floats in each buffer: past any cache.
  let count = 1 << 26

  init() {
    threads = ThreadPool.shared.threadCount
    func buffer(_ count: Int) -> Memory {
      let raw = UnsafeMutableRawPointer.allocate(byteCount: count * 4, alignment: 1 << 21)
      let floats = raw.bindMemory(to: Float.self, capacity: count)
      floats.initialize(repeating: 1, count: count)
      return Memory(start: floats)
    }
    source = buffer(count)
    second = buffer(count)
    target = buffer(count)
  }

  private func forked(_ body: @Sendable (Int) -> Void) {
    ThreadPool.shared.run(count: threads, grain: 1) { range in for i in range { body(i) } }
  }

  /// Reads `bytes`.
  func read(_ bytes: Int) {
    let share = min(bytes / 4, count) / threads / 64 * 64
    forked { [source, target] i in target.start[i * 64] = ceiling_read(source.start + i * share, share) }
  }

  /// Reads `bytes / 2` and writes as many.
  func copy(_ bytes: Int) {
    let share = min(bytes / 8, count) / threads / 64 * 64
    forked { [source, target] i in ceiling_copy(target.start + i * share, source.start + i * share, share) }
  }

  /// Reads two thirds of `bytes`, writes one.
  func add(_ bytes: Int) {
    let share = min(bytes / 12, count) / threads / 64 * 64
    forked { [source, second, target] i in
      ceiling_add(target.start + i * share, source.start + i * share, second.start + i * share, share)
    }
  }

  /// Floating operations done by all threads.
  func fma(_ rounds: Int) -> Double {
    let total = Mutex(0.0)
    forked { [target] i in
      let done = ceiling_fma(rounds, target.start + i * 64)
      total.withLock { $0 += done }
    }
    return total.withLock { $0 }
  }
}

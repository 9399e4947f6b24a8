// A lock for a handful of instructions: taking and giving costs two atomics and no call.
// Not for anything that may block or throw. Surprise: a waiter yields its processor soon, since its holder may be descheduled.
import CHost
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

package struct SpinLock: ~Copyable {
  private let taken = Atomic<Bool>(false)

  package init() {}

  @inline(__always) package func lock() {
    if !taken.exchange(true, ordering: .acquiring) { return }
    wait()
  }

  @inline(__always) package func unlock() { taken.store(false, ordering: .releasing) }

  @inline(never) private func wait() {
    var rounds = 0
    repeat {
      while taken.load(ordering: .relaxed) {
        rounds += 1
        if rounds % 128 == 0 { sched_yield() } else { azulejo_pause() }
      }
    } while taken.exchange(true, ordering: .acquiring)
  }
}

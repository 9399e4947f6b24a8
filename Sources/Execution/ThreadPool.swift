// Fork and join on a fixed set of threads: a range is cut into chunks that whoever is free takes from a counter.
// Not a task system: no queue, no futures. A nested run and the second of two concurrent callers run on their own thread.
//
// Surprise: a helper is never waited for unless it has begun. `state` packs {job number, open, helpers inside}; a helper
// enters by a compare-exchange that fails once the caller has closed the job. So a helper that the system does not let run,
// or that a fork left in the parent, delays nobody.
import Basics
import CHost
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// Sendable: the job's plain fields are written by the owner of `busy` while no helper is inside, and read by helpers that
// entered through an acquiring exchange of `state`; the mutex and the condition are used by their own rules.
package final class ThreadPool: @unchecked Sendable {
  /// Runs the chunk `begin ..< end`.
  package typealias Body = @convention(c) (_ context: UnsafeMutableRawPointer, _ begin: Int, _ end: Int) -> Void

  /// Tells the calling thread from all others that live.
  package static var callerNumber: UInt { UInt(bitPattern: azulejo_this_thread()) }

  package static let shared = ThreadPool(
    threadCount: Knobs.current.threads ?? Int(azulejo_processor_count()), spinMicroseconds: Knobs.current.spin)

  /// The caller's thread included.
  package let threadCount: Int

  // Words that threads write are kept on lines of their own.
  private struct Word: ~Copyable {
    let value = Atomic<Int>(0)
    private let rest: InlineArray<15, Int> = .init(repeating: 0)
  }

  private static let open = 1 << 16
  private static let nextJob = 1 << 17
  private static let insideMask = (1 << 16) - 1

  private let before = Word()
  private let state = Word()
  private let next = Word()
  private let sleeping = Word()
  private let busy = Atomic<Bool>(false)
  private let isJoining = Atomic<Bool>(false)
  private let isClosing = Atomic<Bool>(false)
  private let spinNanoseconds: UInt64

  private var body: Body = { _, _, _ in }
  private var context = UnsafeMutableRawPointer(bitPattern: 8).unsafelyUnwrapped
  private var count = 0
  private var grain = 1

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let done = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var helpers: [pthread_t] = []
  private var hasStarted = false
  private var forksAtStart = 0

  package init(threadCount: Int, spinMicroseconds: Int) {
    self.threadCount = max(1, threadCount)
    spinNanoseconds = UInt64(max(0, spinMicroseconds)) * 1000
    mutex.initialize(to: pthread_mutex_t())
    wake.initialize(to: pthread_cond_t())
    done.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    pthread_cond_init(done, nil)
  }

  // Joins the helpers: a pool of a test must not leave threads behind. `shared` never gets here.
  deinit {
    if forksAtStart == forkCounter.value {
      pthread_mutex_lock(mutex)
      isClosing.store(true, ordering: .sequentiallyConsistent)
      pthread_cond_broadcast(wake)
      pthread_mutex_unlock(mutex)
      for helper in helpers { pthread_join(helper, nil) }
      pthread_cond_destroy(done)
      pthread_cond_destroy(wake)
      pthread_mutex_destroy(mutex)
    }
    done.deallocate()
    wake.deallocate()
    mutex.deallocate()
  }

  /// Runs `body` on `0 ..< count`, in chunks of `grain`, and returns when all are done. Each index is run once.
  /// - Parameter helpers: the most threads besides the caller's that are worth waking.
  package func run(
    count: Int, grain: Int, helpers: Int = .max, context: UnsafeMutableRawPointer, body: Body
  ) {
    guard count > 0 else { return }
    let thread = azulejo_this_thread()
    let grain = max(1, grain)
    guard count > grain, threadCount > 1, helpers > 0, thread.pointee.pool_depth == 0,
      !busy.load(ordering: .relaxed), !busy.exchange(true, ordering: .acquiring)
    else { return body(context, 0, count) }
    thread.pointee.pool_depth = 1
    fork(count: count, grain: grain, helpers: helpers, context: context, body: body)
    work()
    join()
    thread.pointee.pool_depth = 0
    busy.store(false, ordering: .releasing)
  }

  /// The same with a closure; costs some ten nanoseconds more.
  package func run(count: Int, grain: Int, helpers: Int = .max, _ body: @Sendable (Range<Int>) -> Void) {
    withoutActuallyEscaping(body) { escaping in
      var closure = escaping
      withUnsafeMutablePointer(to: &closure) { pointer in
        run(count: count, grain: grain, helpers: helpers, context: pointer) { context, begin, end in
          context.assumingMemoryBound(to: (@Sendable (Range<Int>) -> Void).self).pointee(begin..<end)
        }
      }
    }
  }

  // MARK: The caller

  private func fork(count: Int, grain: Int, helpers: Int, context: UnsafeMutableRawPointer, body: Body) {
    if !hasStarted { start() }
    // A child of fork has no helpers; the caller does it all.
    guard forksAtStart == forkCounter.value else { return setJob(count, grain, context, body) }
    setJob(count, grain, context, body)
    let job = (state.value.load(ordering: .relaxed) & ~(Self.nextJob - 1)) &+ Self.nextJob
    // Store, then look for sleepers; a helper counts itself as sleeping, then looks at `state`: one of them sees the other.
    state.value.store(job | Self.open, ordering: .sequentiallyConsistent)
    let asleep = sleeping.value.load(ordering: .sequentiallyConsistent)
    guard asleep > 0 else { return }
    let useful = min(asleep, helpers, (count - 1) / grain)
    pthread_mutex_lock(mutex)
    if useful == asleep { pthread_cond_broadcast(wake) } else { for _ in 0..<useful { pthread_cond_signal(wake) } }
    pthread_mutex_unlock(mutex)
  }

  private func setJob(_ count: Int, _ grain: Int, _ context: UnsafeMutableRawPointer, _ body: Body) {
    self.body = body
    self.context = context
    self.count = count
    self.grain = grain
    next.value.store(0, ordering: .relaxed)
  }

  @inline(__always) private func work() {
    // Chunks, not indices: a counter of indices could pass Int.max.
    let chunks = (count - 1) / grain + 1
    while true {
      let chunk = next.value.wrappingAdd(1, ordering: .relaxed).oldValue
      if chunk >= chunks { return }
      let begin = chunk * grain
      body(context, begin, chunk == chunks - 1 ? count : begin + grain)
    }
  }

  private func join() {
    var inside = state.value.bitwiseAnd(~Self.open, ordering: .acquiringAndReleasing).newValue & Self.insideMask
    guard inside > 0 else { return }
    var patience = Patience(nanoseconds: spinNanoseconds)
    while patience.wait() {
      inside = state.value.load(ordering: .acquiring) & Self.insideMask
      if inside == 0 { return }
    }
    pthread_mutex_lock(mutex)
    isJoining.store(true, ordering: .sequentiallyConsistent)
    while state.value.load(ordering: .sequentiallyConsistent) & Self.insideMask > 0 { pthread_cond_wait(done, mutex) }
    isJoining.store(false, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }

  private func start() {
    hasStarted = true
    forksAtStart = forkCounter.value
    for _ in 1..<threadCount {
      #if canImport(Glibc)
        var thread = pthread_t()
        guard pthread_create(&thread, nil, helperMain, Unmanaged.passUnretained(self).toOpaque()) == 0 else { return }
        helpers.append(thread)
      #else
        var thread: pthread_t?
        guard pthread_create(&thread, nil, helperMain, Unmanaged.passUnretained(self).toOpaque()) == 0, let thread
        else { return }
        helpers.append(thread)
      #endif
    }
  }

  // MARK: A helper

  fileprivate func help() {
    azulejo_this_thread().pointee.pool_depth = 1
    var seen = 0
    var patience = Patience(nanoseconds: spinNanoseconds)
    while !isClosing.load(ordering: .relaxed) {
      let now = state.value.load(ordering: .acquiring)
      if now & Self.open != 0, now / Self.nextJob != seen {
        guard state.value.weakCompareExchange(expected: now, desired: now + 1, ordering: .acquiring).exchanged else {
          continue
        }
        seen = now / Self.nextJob
        work()
        leave()
        patience = Patience(nanoseconds: spinNanoseconds)
      } else if !patience.wait() {
        sleep(seen: seen)
        patience = Patience(nanoseconds: spinNanoseconds)
      }
    }
  }

  private func leave() {
    let left = state.value.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue
    guard left & (Self.open | Self.insideMask) == 0, isJoining.load(ordering: .sequentiallyConsistent) else { return }
    pthread_mutex_lock(mutex)
    pthread_cond_signal(done)
    pthread_mutex_unlock(mutex)
  }

  private func sleep(seen: Int) {
    pthread_mutex_lock(mutex)
    sleeping.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
    while !isClosing.load(ordering: .sequentiallyConsistent) {
      let now = state.value.load(ordering: .sequentiallyConsistent)
      if now & Self.open != 0, now / Self.nextJob != seen { break }
      pthread_cond_wait(wake, mutex)
    }
    sleeping.value.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    pthread_mutex_unlock(mutex)
  }
}

/// A bounded wait in a loop: pauses, and now and then a look at the clock.
private struct Patience {
  private let nanoseconds: UInt64
  private var rounds: UInt32 = 0
  private var deadline: UInt64 = 0

  init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// Pauses; false when the time is up.
  @inline(__always) mutating func wait() -> Bool {
    azulejo_pause()
    rounds &+= 1
    return rounds & 63 != 0 || isInTime()
  }

  @inline(never) private mutating func isInTime() -> Bool {
    let now = monotonicNanoseconds()
    if deadline == 0 { deadline = now + nanoseconds }
    return now < deadline
  }
}

/// The monotonic clock.
package func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// How often this process is the child of a fork; a pool's threads do not survive one.
private struct ForkCounter: ~Copyable, Sendable {
  private let forks = Atomic<Int>(0)
  init() { pthread_atfork(nil, nil) { forkCounter.forks.wrappingAdd(1, ordering: .relaxed) } }
  var value: Int { forks.load(ordering: .relaxed) }
}

private let forkCounter = ForkCounter()

// At file level: a closure written inside a main-actor function would be checked for its isolation on the new thread.
#if canImport(Glibc)
  private func helperMain(_ pool: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let pool { Unmanaged<ThreadPool>.fromOpaque(pool).takeUnretainedValue().help() }
    return nil
  }
#else
  private func helperMain(_ pool: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    Unmanaged<ThreadPool>.fromOpaque(pool).takeUnretainedValue().help()
    return nil
  }
#endif

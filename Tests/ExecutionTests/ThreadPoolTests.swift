// Fork and join: each index once, whoever calls, however often, also in a child of fork.
import Execution
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How often each index was run.
final class Tally: Sendable {
  let counts: [Cell]
  final class Cell: Sendable {
    let value = Atomic<Int>(0)
  }
  init(_ count: Int) { counts = (0..<count).map { _ in Cell() } }
  func note(_ range: Range<Int>) { for i in range { counts[i].value.add(1, ordering: .relaxed) } }
  var all: [Int] { counts.map { $0.value.load(ordering: .relaxed) } }
}

@Suite struct ThreadPoolTests {
  @Test(arguments: [1, 2, 3, 5], [0, 30])
  func every_index_runs_once(_ threads: Int, _ spin: Int) {
    let pool = ThreadPool(threadCount: threads, spinMicroseconds: spin)
    for count in [0, 1, 2, 3, 7, 64, 65, 1000] {
      for grain in [1, 2, 7, 1000, 5000] {
        let tally = Tally(count)
        pool.run(count: count, grain: grain) { tally.note($0) }
        #expect(tally.all == [Int](repeating: 1, count: count))
      }
    }
  }

  @Test func thousands_of_jobs_in_a_row_all_finish() {
    let pool = ThreadPool(threadCount: 4, spinMicroseconds: 1)
    let total = Atomic<Int>(0)
    for job in 0..<5000 {
      pool.run(count: 1 + job % 9, grain: 1) { total.add($0.count, ordering: .relaxed) }
    }
    #expect(total.load(ordering: .relaxed) == (0..<5000).reduce(0) { $0 + 1 + $1 % 9 })
  }

  @Test func a_body_sees_what_was_written_before_the_call_and_the_caller_what_bodies_wrote() {
    let pool = ThreadPool(threadCount: 4, spinMicroseconds: 10)
    nonisolated(unsafe) let cells = UnsafeMutablePointer<Int>.allocate(capacity: 100)
    defer { cells.deallocate() }
    cells.initialize(repeating: 0, count: 100)
    for round in 0..<500 {
      pool.run(count: 100, grain: 3) { for i in $0 { cells[i] += i } }
      if round % 50 == 0 { #expect((0..<100).allSatisfy { cells[$0] == (round + 1) * $0 }) }
    }
  }

  @Test func a_nested_run_finishes() {
    let pool = ThreadPool(threadCount: 3, spinMicroseconds: 10)
    let tally = Tally(20 * 30)
    pool.run(count: 20, grain: 1) { outer in
      for i in outer { pool.run(count: 30, grain: 1) { tally.note(i * 30 + $0.lowerBound..<i * 30 + $0.upperBound) } }
    }
    #expect(tally.all == [Int](repeating: 1, count: 600))
  }

  @Test func concurrent_callers_all_finish() async {
    let pool = ThreadPool(threadCount: 3, spinMicroseconds: 10)
    let tallies = (0..<6).map { _ in Tally(50) }
    await withTaskGroup(of: Void.self) { group in
      for tally in tallies {
        group.addTask { for _ in 0..<200 { pool.run(count: 50, grain: 4) { tally.note($0) } } }
      }
    }
    for tally in tallies { #expect(tally.all == [Int](repeating: 200, count: 50)) }
  }

  @Test func a_count_near_the_largest_integer_does_not_overflow() {
    let pool = ThreadPool(threadCount: 2, spinMicroseconds: 10)
    let ends = Mutex<[Int]>([])
    pool.run(count: .max, grain: .max / 2) { range in ends.withLock { $0.append(range.upperBound) } }
    #expect(ends.withLock { $0.max() } == .max)
  }

  // A child of fork has one thread; a pool that waited for the others would never return.
  // The thread sanitizer does not support such children.
  @Test(.enabled(if: dlsym(nil, "__tsan_init") == nil)) func a_child_of_fork_runs_and_allocates() async {
    await #expect(processExitsWith: .success) {
      let pool = ThreadPool(threadCount: 3, spinMicroseconds: 0)
      let tally = Tally(1000)
      pool.run(count: 1000, grain: 1) { tally.note($0) }
      // Swift hides fork; a host program may well call it.
      guard let symbol = dlsym(nil, "fork") else { exit(1) }
      let child = unsafeBitCast(symbol, to: (@convention(c) () -> pid_t).self)()
      if child == 0 {
        pool.run(count: 1000, grain: 1) { tally.note($0) }
        ThreadPool.shared.run(count: 1000, grain: 1) { tally.note($0) }
        guard let storage = try? Storage(byteCount: 5 << 20) else { _exit(2) }
        storage.bytes[0] = 1
        _exit(tally.all == [Int](repeating: 3, count: 1000) ? 0 : 3)
      }
      var status: Int32 = 0
      waitpid(child, &status, 0)
      exit(status == 0 ? 0 : 1)
    }
  }
}

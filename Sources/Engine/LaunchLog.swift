// What was launched while somebody looked: names, cost, time. For benchmarks, reports and tests.
// Not a trace for people (AZULEJO_LOG=launch is). Surprise: a recording holds the launches of its own thread only, and
// while one runs, tiny operations take the general way.
import Basics
import GraphIR
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One kernel that ran.
package struct LaunchRecord: Sendable {
  /// The program or plan it belongs to.
  package var program: String
  package var kernel: String
  /// What the kernel computes, and the bytes it must move: each input once, each result once. Zero if unknown.
  package var cost: Cost
  package var seconds: Double

  package init(program: String, kernel: String, cost: Cost, seconds: Double) {
    self.program = program
    self.kernel = kernel
    self.cost = cost
    self.seconds = seconds
  }
}

package enum LaunchLog {
  private struct Recording {
    var thread: pthread_t
    var launches: [LaunchRecord] = []
  }
  private static let count = Atomic<Int>(0)
  private static let recordings = Mutex<[Recording]>([])

  /// Whether anybody records. One load: ask before making a record.
  @inline(__always) package static var isOn: Bool { count.load(ordering: .relaxed) != 0 }

  package static func add(_ launch: LaunchRecord) {
    let here = pthread_self()
    recordings.withLock { recordings in
      for i in recordings.indices where pthread_equal(recordings[i].thread, here) != 0 {
        recordings[i].launches.append(launch)
      }
    }
  }

  /// Runs `body` and gives what this thread launched meanwhile, in order.
  package static func recording<T>(
    _ body: () throws -> T
  ) rethrows -> (result: T, launches: [LaunchRecord]) {
    let here = pthread_self()
    recordings.withLock { $0.append(Recording(thread: here)) }
    count.add(1, ordering: .relaxed)
    func close() -> [LaunchRecord] {
      count.subtract(1, ordering: .relaxed)
      return recordings.withLock { recordings in
        // The youngest of this thread: recordings of one thread are nested.
        guard let mine = recordings.lastIndex(where: { pthread_equal($0.thread, here) != 0 }) else { return [] }
        return recordings.remove(at: mine).launches
      }
    }
    do {
      let result = try body()
      return (result, close())
    } catch {
      _ = close()
      throw error
    }
  }
}

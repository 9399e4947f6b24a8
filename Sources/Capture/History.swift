// What a compiled function went through: captures, their reasons, breaks. The facts behind `explain()`.
// Not a log: it is a value that grows by a line per capture. Surprise: replays leave no trace here.
import Synchronization

/// The life of one compiled function.
final class CompileHistory: Sendable {
  struct Capture: Sendable {
    var reasons: [String]
    var breaks: [BreakSite]
    var seconds: Double
    /// All its plans were found on disk.
    var wasStored: Bool
  }
  private let entries = Mutex<[Capture]>([])

  var captures: [Capture] { entries.withLock { $0 } }

  func notePlan(_ reasons: [String], _ breaks: [BreakSite], _ time: Duration, wasStored: Bool) {
    let seconds = time / .seconds(1)
    entries.withLock { $0.append(Capture(reasons: reasons, breaks: breaks, seconds: seconds, wasStored: wasStored)) }
  }

  /// State that had another holder and was copied, by leaf: how often.
  var copies: [Int: Int] { stateCopies.withLock { $0 } }
  private let stateCopies = Mutex<[Int: Int]>([:])

  func noteCopy(_ leaf: Int) { stateCopies.withLock { $0[leaf, default: 0] += 1 } }

  /// Bytes of state that were kept in case a call fails behind the place that overwrites them.
  var journaledBytes: Int { journaled.load(ordering: .relaxed) }
  private let journaled = Atomic<Int>(0)

  func noteJournal(_ bytes: Int) { journaled.add(bytes, ordering: .relaxed) }

  /// Plans that made room for others, and the segments that went with them.
  var evictions: (plans: Int, segments: Int) { evicted.withLock { $0 } }
  private let evicted = Mutex((plans: 0, segments: 0))

  func noteEviction(segments: Int) {
    evicted.withLock { evicted in
      evicted.plans += 1
      evicted.segments += segments
    }
  }
}

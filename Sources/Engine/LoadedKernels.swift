// The executables of this process by key: those that somebody uses, and the latest beside them.
// Not what keeps a plan's kernels alive: plans and launch tables hold theirs. Surprise: a kernel whose last user is gone
// goes too, in the order of making; else a program that makes functions again and again would keep every kernel for ever.
import Execution

package struct LoadedKernels: Sendable {
  private struct Held: Sendable {
    weak var executable: (any Executable)?
  }
  private var held: [String: Held] = [:]
  /// The latest, whoever uses them: a function that is made anew finds its kernels.
  private var latest: [(any Executable)?]
  private var next = 0
  /// Beyond so many entries those without an executable are swept out.
  private var sweepAt: Int

  package init(latest count: Int = 256) {
    latest = Array(repeating: nil, count: max(count, 1))
    sweepAt = 4 * latest.count
  }

  /// Entries, those of kernels that are gone among them.
  package var count: Int { held.count }

  package func executable(_ key: String) -> (any Executable)? { held[key]?.executable }

  package mutating func add(_ executable: any Executable, _ key: String) {
    held[key] = Held(executable: executable)
    latest[next] = executable
    next = (next + 1) % latest.count
    guard held.count >= sweepAt else { return }
    held = held.filter { $0.value.executable != nil }
    // Twice as many as live: sweeping costs each addition a constant.
    sweepAt = max(4 * latest.count, 2 * held.count)
  }
}

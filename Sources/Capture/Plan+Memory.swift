// What a call will take from the allocator, worked out before it runs: results, temporaries, scratch, kept ranges.
// Not what it took (Allocator counts that). Surprise: what values decide has two predictions, the least and the most.
import Basics
import Execution

extension Plan {
  /// Bytes below which nobody asks whether they are there: the allocator takes as many from the system at once.
  private static let smallNeed = 1 << 20

  /// Throws if the call cannot have the memory that it takes whatever the values are.
  func checkMemory(_ values: [Int], _ frame: CallFrame, _ name: String) throws(Diagnostic) {
    let copied = frame.copiedBytes
    let least = try need(values, gaps: frame.gaps(writtenLeaves), copied: copied).least + copied
    guard least > Self.smallNeed else { return }
    let available = Allocator.available
    guard least > available else { return }
    let state = copied > 0 ? ", \(copied) of them for copies of state that somebody else holds too" : ""
    throw Diagnostic(
      .memory,
      "\(name) needs \(least) bytes\(state), and \(available) of \(Allocator.limit) are left; nothing was run",
      remedy: "use smaller batches or dtypes, or raise AZULEJO_MEMORY if the machine has more")
  }

  /// What a call with these symbols takes. `gaps`: leaves that are not row-major.
  private func need(_ values: [Int], gaps: [Int], copied: Int) throws(Diagnostic) -> Need {
    let paths = root.pathCount
    if let known = needs.withLock({ $0 }), known.values == values, known.paths == paths, known.gaps == gaps,
      known.copied == copied
    {
      return known
    }
    let arguments = values.map { Int64($0) }
    func peak(_ choice: Rehearsal.Choice) throws(Diagnostic) -> Int {
      var rehearsal = Rehearsal(choice, signature, values, gaps: Set(gaps))
      return try rehearsal.peak(from: root, arguments)
    }
    let least = try peak(.least)
    // Trips that may never come may fail where the call does not.
    let most = paths > 0 || root.segment.hasChoices ? try? peak(.most) : least
    let made = Need(values: values, paths: paths, gaps: gaps, copied: copied, least: least, most: most)
    needs.withLock { $0 = made }
    return made
  }

  /// As a call with some symbols found it.
  struct Need: Sendable {
    var values: [Int]
    var paths: Int
    var gaps: [Int]
    /// Bytes of state that somebody else holds too.
    var copied: Int
    /// On the path that takes the least.
    var least: Int
    /// On the path that takes the most; nil: nobody can tell.
    var most: Int?
  }
}

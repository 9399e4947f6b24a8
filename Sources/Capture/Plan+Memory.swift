// What a call will take from the allocator, worked out before it runs: results, temporaries, scratch, kept ranges.
// Not what it took (Allocator counts that). Surprise: a plan with loops or branches has no prediction, since how often a
// closure runs is only known from values.
import Basics
import Engine
import Execution

extension Segment {
  /// Bytes that stay until the call ends, and the most at once; nil: it depends on values.
  func need(_ arguments: [Int64], isLast: Bool) throws(Diagnostic) -> (held: Int, peak: Int)? {
    guard before.isEmpty else { return nil }
    if compiled.outputs.isEmpty { return (0, 0) }
    let (results, working) = try compiled.footprint(arguments, given: Set(donations.map(\.output)))
    var held = results
    for donation in donations where !isLast || donation.mayBeHalfWritten {
      let bytes = try donation.byteCount(compiled.outputs[donation.output].dtype.size, arguments)
      held += Allocator.footprint(bytes) ?? 0
    }
    return (held, held + working)
  }
}

extension Segment.Donation {
  /// Bytes that are kept before they are overwritten.
  fileprivate func byteCount(_ size: Int, _ arguments: [Int64]) throws(Diagnostic) -> Int {
    let numbers = arguments.map { Int($0) }
    return ranges.reduce(0) { sum, range in
      sum + range.counts.reduce(size) { $0 * ($1.evaluated(numbers) ?? 0) }
    }
  }
}

extension PlanNode {
  /// The least and the most that a path from here takes, `held` being in use already; nil: it depends on values.
  func peak(_ arguments: [Int64], held: Int = 0) throws(Diagnostic) -> ClosedRange<Int>? {
    var isLast = false
    if case .end = next { isLast = true }
    guard let need = try segment.need(arguments, isLast: isLast) else { return nil }
    let here = held + need.peak
    var (least, most): (Int?, Int) = (nil, here)
    for (_, node) in values {
      guard let behind = try node.peak(arguments, held: held + need.held) else { return nil }
      least = min(least ?? .max, max(here, behind.lowerBound))
      most = max(most, behind.upperBound)
    }
    return (least ?? here)...most
  }
}

extension Plan {
  /// Bytes below which nobody asks whether they are there: the allocator takes as many from the system at once.
  private static let smallNeed = 1 << 20

  /// Throws if the call cannot have the memory that every path of the plan takes. `copied`: bytes of state besides, which
  /// somebody else holds too.
  func checkMemory(_ values: [Int], copied: Int, _ name: String) throws(Diagnostic) {
    guard let least = try peak(values)?.lowerBound, least + copied > Self.smallNeed else { return }
    let available = Allocator.available
    guard least + copied > available else { return }
    let state = copied > 0 ? ", \(copied) of them for copies of state that somebody else holds too" : ""
    throw Diagnostic(
      .memory,
      "\(name) needs \(least + copied) bytes\(state), and \(available) of \(Allocator.limit) are left; nothing was run",
      remedy: "use smaller batches or dtypes, or raise AZULEJO_MEMORY if the machine has more")
  }

  /// What calls with these symbols take; nil: it depends on values.
  func peak(_ values: [Int]) throws(Diagnostic) -> ClosedRange<Int>? {
    let paths = root.pathCount
    if let known = needs.withLock({ $0 }), known.values == values, known.paths == paths { return known.peak }
    let peak = try root.peak(values.map { Int64($0) })
    needs.withLock { $0 = Need(values: values, paths: paths, peak: peak) }
    return peak
  }

  /// As a call with some symbols found it.
  struct Need: Sendable {
    var values: [Int]
    var paths: Int
    var peak: ClosedRange<Int>?
  }
}

// What a compiled function did and why, as values: segments and their kernels, guards, breaks, recompiles.
// Not times: whoever runs the function measures (Insight does). Surprise: a break names the edit that would remove it.
import Basics
import Engine
import Fusion
import GraphIR
import TensorTypes

/// An account of a compiled function: ``Compiled/explain()``.
public struct Explanation: Sendable, CustomStringConvertible {
  /// One kernel of a segment.
  public struct Kernel: Sendable {
    public var name: String
    /// The operations inside, in order.
    public var operations: [String]
    /// The lines that wrote them, each once. Found when asked for, which can take a second in a large debug build.
    public var places: [Diagnostic.Location] { Diagnostic.Origin.differentPlaces(of: origins) }
    var origins: [Diagnostic.Origin]
  }

  /// The kernels between two breaks.
  public struct Segment: Sendable {
    public var name: String
    public var kernels: [Kernel]
    /// Values that go through memory, each with the reason.
    public var refusals: [String]
    /// Temporaries between the kernels.
    public var temporaries: Int
    /// State that is written where it is.
    public var donations: Int
  }

  /// A fact that a plan relies on, beyond the dtypes and ranks of its arguments.
  public struct Guard: Sendable {
    /// "s0 < 512 is true".
    public var condition: String
    /// The place in the user's code that asked, or the argument. A place is found when asked for, which can take a second
    /// in a large debug build.
    public var cause: String {
      switch asker {
      case .argument(let text): text
      case .code(let origin): origin?.place.map { "\($0)" } ?? "an unknown place"
      }
    }
    /// Seconds of one check, measured when the explanation was made.
    public var seconds: Double
    /// The plan that has it, counted from the newest.
    public var plan: Int
    var asker: Asker
    enum Asker: Sendable { case argument(String), code(Diagnostic.Origin?) }
  }

  /// A place where a value left the function.
  public struct Break: Sendable {
    /// The same in every process: its place and kind.
    public var id: String
    public var reason: String
    public var place: Diagnostic.Location?
    /// What to write instead.
    public var suggestion: String
    /// Values that have a path; empty for an open break.
    public var values: [String]
    /// The function runs on each call.
    public var isOpen: Bool
  }

  /// A capture, and what made it necessary.
  public struct Capture: Sendable {
    /// Empty for the first.
    public var reasons: [String]
    public var seconds: Double
    /// The plan was found on disk: nothing but the capture itself was done.
    public var wasStored: Bool
  }

  /// Where the function was given to `compile`.
  public var place: Diagnostic.Location
  public var plans: Int
  /// Calls that a plan served.
  public var replays: Int
  public var segments: [Segment]
  /// Extents that are symbols, or could not be.
  public var sizes: [Size]
  public var guards: [Guard]
  public var breaks: [Break]
  public var loops: [Loop]
  public var prints: [Print]
  public var captures: [Capture]
  /// The most bytes that a call of the last plan takes from the allocator, at the sizes of the last call; nil: that depends
  /// on values, or nothing was called.
  public var predictedPeak: Int?
  /// Bytes of state that were kept because a call might still fail behind the range write that overwrites them.
  public var journaledBytes: Int
  /// Plans that made room for others (``Compiled/planCount`` is bounded by `maxPlans`), and segments that went with them.
  public var evictedPlans: Int
  public var evictedSegments: Int
  /// Anything else worth a line.
  public var notes: [String]

  public var kernelCount: Int { segments.reduce(0) { $0 + $1.kernels.count } }

  public var description: String {
    // Finds all at once.
    _ = Diagnostic.Origin.places(of: origins)
    var lines = [
      "\(place): \(plans) plan(s), \(replays) replay(s), \(segments.count) segment(s), \(kernelCount) kernel(s)"
    ]
    for (i, capture) in captures.enumerated() {
      let why = capture.reasons.isEmpty ? "first call" : capture.reasons.joined(separator: "; ")
      let origin = capture.wasStored ? "plan found on disk" : "plan made"
      lines.append("  capture \(i + 1), \(Self.milliseconds(capture.seconds)), \(origin): \(why)")
    }
    if evictedPlans > 0 {
      lines.append(
        "  evicted: \(evictedPlans) plan(s), \(evictedSegments) segment(s), to keep \(plans); raise maxPlans")
    }
    for size in sizes { lines.append("  size (plan \(size.plan)): \(size.description)") }
    for guarded in guards {
      let cost = "\(Int((guarded.seconds * 1e9).rounded())) ns"
      lines.append("  guard (plan \(guarded.plan)): \(guarded.condition), by \(guarded.cause), \(cost)")
    }
    if let predictedPeak { lines.append("  memory: a call takes \(predictedPeak) bytes at most") }
    for stop in breaks {
      let place = stop.place.map { "\($0)" } ?? "unknown place"
      let values = stop.isOpen ? "open: runs on each call" : "values \(stop.values.joined(separator: ", "))"
      lines.append("  break \(place): \(stop.reason) (\(values))")
      lines.append("    instead: \(stop.suggestion)")
    }
    lines += loops.map { "\($0)" } + prints.map { "\($0)" }
    for segment in segments {
      lines.append(
        "  segment \(segment.name): \(segment.kernels.count) kernel(s), \(segment.temporaries) temporarie(s)")
      for kernel in segment.kernels {
        lines.append("    \(kernel.name): \(Self.counted(kernel.operations))")
        let places = Diagnostic.Location.text(kernel.places)
        if !places.isEmpty { lines.append("      from \(places)") }
      }
      for refusal in segment.refusals { lines.append("    not fused: \(refusal)") }
    }
    for note in notes { lines.append("  note: \(note)") }
    return lines.joined(separator: "\n")
  }

  private var origins: [Diagnostic.Origin] {
    segments.flatMap(\.kernels).flatMap(\.origins)
      + guards.compactMap { if case .code(let origin) = $0.asker { origin } else { nil } }
  }

  private static func milliseconds(_ seconds: Double) -> String {
    let tenths = Int((seconds * 10_000).rounded())
    return "\(tenths / 10).\(tenths % 10) ms"
  }

  /// "add x2, exp".
  private static func counted(_ names: [String]) -> String {
    var order: [String] = []
    var counts: [String: Int] = [:]
    for name in names {
      if counts[name] == nil { order.append(name) }
      counts[name, default: 0] += 1
    }
    return order.map { counts[$0] == 1 ? $0 : "\($0) x\(counts[$0] ?? 1)" }.joined(separator: ", ")
  }
}

extension Compiled {
  /// What was captured so far, and why: read it when a call is slower than it should be.
  public func explain() -> Explanation {
    let plans = knownPlans
    var guards: [Explanation.Guard] = []
    var sizes: [Explanation.Size] = []
    var notes: [String] = []
    var path = PlanWalk()
    for (number, plan) in plans.enumerated() {
      guards += plan.explainedGuards(number + 1)
      sizes += plan.symbolNames.enumerated().map { i, name in
        .init(name: name, symbol: "s\(i)", reason: nil, plan: number + 1)
      }
      for remark in plan.remarks {
        notes.append("plan \(number + 1): " + (remark.location.map { "\($0): " } ?? "") + remark.text)
      }
      sizes += plan.numbers.map { .init(name: $0.name, symbol: nil, reason: $0.reason, plan: number + 1) }
      path.collect(plan.root)
      notes += Set(plan.root.notes(plan)).sorted()
    }
    for (leaf, count) in history.copies.sorted(by: { $0.key < $1.key }) {
      let name = plans.first?.name(leaf) ?? "leaf \(leaf)"
      notes.append("state \(name) was copied \(count) time(s) before it was written: somebody else held it too")
    }
    if let frozen = Self.frozen(knownSegments) { notes.append(frozen) }
    let captures = history.captures
    return Explanation(
      place: options.place, plans: plans.count, replays: plans.reduce(0) { $0 + $1.useCount },
      segments: knownSegments.map { Explanation.Segment($0) }, sizes: sizes, guards: guards, breaks: path.breaks,
      loops: path.loops, prints: path.prints,
      captures: captures.map { .init(reasons: $0.reasons, seconds: $0.seconds, wasStored: $0.wasStored) },
      predictedPeak: plans.max { $0.lastUse < $1.lastUse }?.lastPeak, journaledBytes: history.journaledBytes,
      evictedPlans: history.evictions.plans, evictedSegments: history.evictions.segments, notes: notes)
  }
}

extension PlanNode {
  /// State that this node and those behind it do not write where it is.
  fileprivate func notes(_ plan: Plan) -> [String] {
    var notes = segment.movedLeaves.map { leaf in
      "state \(plan.name(leaf)) gets new memory: a kernel that may find a wrong index runs when it is written already"
    }
    if case .end(let ending) = next {
      notes += ending.moved.map { leaf in
        "state \(plan.name(leaf)) gets new memory: it is written as a whole before a break; write ranges, or write it "
          + "behind the break"
      }
    }
    return values.reduce(notes) { $0 + $1.node.notes(plan) }
  }
}

extension Explanation.Break {
  init(_ site: BreakSite, _ values: [UInt64], isOpen: Bool) {
    let what =
      switch site.kind {
      case .item: "item() reads one element"
      case .array: "array() reads all elements"
      case .text: "the text of a tensor is made"
      }
    id = "\(site.kind)@\(site.location.map { "\($0)" } ?? "?")"
    reason = what
    place = site.location
    suggestion =
      switch site.kind {
      case .item: "choose with select(_:_:) or cond, keep the number in a 0-d tensor, or read it after the call"
      case .array: "compute on the tensor, or return it and read it after the call"
      case .text: "return the tensor and print it after the call"
      }
    self.values = values.map { "\($0)" }
    self.isOpen = isOpen
  }
}

extension Explanation.Segment {
  init(_ segment: Segment) {
    name = segment.compiled.name
    donations = segment.donations.count
    do throws(Diagnostic) {
      // The scheduled graph: passes have been over the captured one.
      let schedule = try segment.compiled.accounted().schedule
      let graph = schedule.graph
      kernels = try schedule.steps.enumerated().map { number, step throws(Diagnostic) in
        let operations = step.nests.flatMap { nest in
          nest.body(graph).compactMap { value -> String? in
            guard nest.inputs[value] == nil else { return nil }
            switch graph[value].primitive {
            case .parameter, .scalar, .constant: return nil
            case let primitive: return primitive.definition.name
            }
          }
        }
        return .init(
          name: step.kernel.name, operations: operations, origins: try segment.compiled.origins(ofStep: number))
      }
      refusals = schedule.refusals.map { "\($0)" }
      temporaries = schedule.temporaries.count
    } catch {
      // A plan from the disk whose graph the passes refuse: it runs, and nothing can be said about it.
      (kernels, refusals, temporaries) = ([], ["unknown: \(error.message)"], 0)
    }
  }
}

// A plan: what was captured for one signature, as a tree of segments that branches where a value left the function.
// Not the function. Surprise: a replay walks the tree and runs the function only at a value it has not seen.
import Basics
import Engine
import Synchronization
import Tensors
import TensorTypes

/// Where a leaf of a result comes from.
enum ResultSource: Sendable {
  /// Output `i` of the last segment.
  case output(Int)
  /// The argument itself.
  case leaf(Int)
  /// A value of an earlier section or segment.
  case carried(Int)
  case constant(Tensor)
  case dim(Dim)
  case value(PlainValue)
  case count(Int)
}

/// How a path ends.
struct Ending: Sendable {
  /// Leaves of the result.
  var results: [ResultSource]
  /// Leaves of the state that changed, by number.
  var state: [Int: ResultSource]
  /// Leaves whose memory is written over, as the place of outputs or by loops.
  var taken: [Int]
  /// Leaves of the state whose new version was made as a whole before a break: it has memory of its own.
  var moved: [Int]
  /// The result as the function gave it, to be filled with the results of each call.
  var template: any Sendable
  /// What was captured, for comparison on each call.
  var captured: Trace.Piece?
}

/// Whether compiled functions are captured again on each call: the knob, unless a task says otherwise.
package enum Retracing {
  @TaskLocal package static var isOn = Knobs.current.retrace
}

/// Where a value left the function.
struct BreakSite: Sendable {
  var kind: Trace.BreakKind
  var location: Diagnostic.Location?
}

/// A segment of a path and what follows it.
final class PlanNode: Sendable {
  enum Next: Sendable {
    case end(Ending)
    /// The handed-out value decides.
    case closed(BreakSite)
    /// Too many values, or a whole array: the function runs on each call.
    case open(BreakSite)
  }
  let segment: Segment
  private let state: Mutex<(next: Next, children: [UInt64: PlanNode], order: [UInt64])>

  /// More values than this make a break open.
  static let mostValues = 8

  init(_ segment: Segment, _ next: Next) {
    self.segment = segment
    state = Mutex((next, [:], []))
  }

  var next: Next { state.withLock { $0.next } }
  func child(_ bits: UInt64) -> PlanNode? { state.withLock { $0.children[bits] } }
  var values: [(bits: UInt64, node: PlanNode)] {
    state.withLock { state in state.order.compactMap { bits in state.children[bits].map { (bits, $0) } } }
  }

  /// Those of all paths from here.
  var segments: [Segment] { [segment] + values.flatMap(\.node.segments) }

  /// Values that have a path, here and behind.
  var pathCount: Int { values.reduce(0) { $0 + 1 + $1.node.pathCount } }

  /// What follows the value `bits`. One value too many opens the break.
  func add(_ bits: UInt64, _ node: PlanNode) {
    state.withLock { state in
      guard case .closed(let site) = state.next else { return }
      if state.children[bits] == nil { state.order.append(bits) }
      state.children[bits] = node
      if state.order.count > Self.mostValues { state.next = .open(site) }
    }
  }
}

/// What was captured for one signature.
final class Plan: Sendable {
  let signature: CallSignature
  /// Paths of the leaves, for messages.
  let names: [String]
  /// What the first capture asked and read.
  private let conditions: PlanConditions
  /// What later captures that gave the same asked and read.
  private let others = Mutex<[PlanConditions]>([])
  let root: PlanNode
  /// What the symbols are: "axis 0 of 'x'".
  let symbolNames: [String]
  /// Extents that were to be symbols and are not.
  let numbers: [SizeAsNumber]
  /// What else the capture met.
  let remarks: [Trace.Remark]
  private let uses = Atomic<Int>(0)
  /// What the last sizes need.
  let needs = Mutex<Need?>(nil)
  /// Leaves of the state that some segment writes in place.
  private let donors = Mutex<[Int]>([])

  init(_ sized: SizedCapture, names: [String], _ root: PlanNode) {
    signature = sized.signature
    conditions = PlanConditions(sized.guards[0])
    // Kept where a later capture may turn out to be the same.
    capture = sized.run.hasReads && sized.run.breaks.isEmpty ? sized.run : nil
    pinned = sized.pinned
    numbers = sized.numbers
    symbolNames = sized.symbols
    remarks = sized.run.remarks
    self.names = names
    self.root = root
    for guards in sized.guards.dropFirst() { widen(guards) }
  }

  /// What was captured, where sizes were read.
  private let capture: TracedRun?
  /// Symbols that a comparison with other sizes made numbers.
  private let pinned: [Int]

  /// A capture at other sizes may turn out to be this plan's.
  var mayTakeMore: Bool { capture != nil }

  /// Whether `run`, a capture of `signature` at `values`, is this plan's; it holds where that one does from now on.
  func takes(_ signature: CallSignature, _ run: TracedRun, _ values: [Int]) -> Bool {
    guard let capture, run.breaks.isEmpty, signature.isSame(as: self.signature), capture.isSame(as: run),
      capture.form.fits(run.form)
    else {
      return false
    }
    widen(run.guards + pinned.map { DimGuard(read: .symbol($0), as: values[$0]) })
    return true
  }

  private func widen(_ guards: [DimGuard]) {
    let made = PlanConditions(guards)
    others.withLock { others in
      for i in others.indices where others[i].take(made) { return }
      others.append(made)
    }
  }

  /// What calls check, of each capture.
  var guards: [DimGuard] { conditions.guards + others.withLock { $0.flatMap(\.guards) } }

  var useCount: Int { uses.load(ordering: .relaxed) }
  var writtenLeaves: [Int] { donors.withLock { $0 } }
  func noteWritten(_ leaves: [Int]) {
    donors.withLock { donors in donors += leaves.filter { !donors.contains($0) } }
  }
  /// What leaf `i` is called.
  func name(_ leaf: Int) -> String { names.indices.contains(leaf) ? "'\(names[leaf])'" : "leaf \(leaf)" }

  func noteUse() {
    uses.add(1, ordering: .relaxed)
  }
  /// Called by every call, the first included.
  func noteCall() {
    used.store(Self.clock.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
  }
  /// Larger for plans that were used later.
  var lastUse: Int { used.load(ordering: .relaxed) }
  private let used = Atomic<Int>(0)
  private static let clock = Atomic<Int>(0)

  /// The most that the last call took, as predicted.
  var lastPeak: Int? { needs.withLock { need in need?.most.map { $0 + (need?.copied ?? 0) } } }

  /// The values of the symbols, if everything that the plan relies on holds.
  func accepts(_ leaves: CallLeaves) throws(Diagnostic) -> [Int]? {
    guard signature.fits(leaves) else { return nil }
    let values = try signature.values(leaves)
    if conditions.hold(values) { return values }
    return others.withLock { $0.contains { $0.hold(values) } } ? values : nil
  }
}

/// What captures with the same questions asked and read: answers, and sizes that were seen.
struct PlanConditions: Sendable {
  let asked: [DimGuard]
  /// What was read as a number, and the numbers.
  private let reads: [DimGuard]
  private var values: Set<[Int]>

  init(_ guards: [DimGuard]) {
    asked = guards.filter { !$0.isRead }
    reads = guards.filter(\.isRead)
    values = [reads.map { $0.b.knownValue ?? 0 }]
  }

  func hold(_ symbols: [Int]) -> Bool {
    guard asked.allSatisfy({ $0.holds(symbols) }) else { return false }
    if reads.isEmpty { return true }
    var given: [Int] = []
    for read in reads {
      guard let value = read.a.evaluated(symbols) else { return false }
      given.append(value)
    }
    return values.contains(given)
  }

  /// Takes over what `other` has seen; false: it asked or read something else.
  mutating func take(_ other: PlanConditions) -> Bool {
    guard asked == other.asked, reads.count == other.reads.count,
      zip(reads, other.reads).allSatisfy({ $0.a.isIdentical(to: $1.a) })
    else { return false }
    values.formUnion(other.values)
    return true
  }

  /// For reports.
  var guards: [DimGuard] { asked + reads }
}

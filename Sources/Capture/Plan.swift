// A plan: what was captured for one signature, as a tree of segments that branches where a value left the function.
// Not the function. Surprise: a replay walks the tree and runs the function only at a value it has not seen.
import Basics
import Engine
import Execution
import GraphIR
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
  let guards: [DimGuard]
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
    guards = sized.guards
    numbers = sized.numbers
    symbolNames = sized.symbols
    remarks = sized.run.remarks
    self.names = names
    self.root = root
  }

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
    return guards.allSatisfy { $0.holds(values) } ? values : nil
  }
}

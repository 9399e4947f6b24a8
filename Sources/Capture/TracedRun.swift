// What one capture of a function gave: breaks on the way, the last piece, and where its results come from.
// Not a plan yet. Surprise: leaves that are the same traced tensor as an argument are the argument, and are not copied.
import Basics
import Engine
import GraphIR
import Tensors
import TensorTypes

struct TracedRun: Sendable {
  let breaks: [SessionBreak]
  let carried: [TensorView]
  let guards: [DimGuard]
  /// What the function's own code was answered and told about sizes.
  let asked: Set<DimGuard>
  let remarks: [Trace.Remark]
  let numbers: [Int64]
  let ending: Ending
  let piece: Trace.Piece
  /// What the leaves of the results do not tell.
  let form: Form
  private(set) var segment: Segment?

  /// The last segment.
  var last: Segment {
    get throws(Diagnostic) {
      guard let segment else { throw Diagnostic(.compiler, "\(piece.graph.name): a dry capture has no code") }
      return segment
    }
  }

  init(
    _ trace: Trace, _ session: Session, _ signature: CallSignature, _ leaves: ContiguousArray<Leaf>,
    state: ContiguousArray<Leaf>, results: ContiguousArray<Leaf>, form: Form, template: any Sendable
  ) throws(Diagnostic) {
    var outputs = Outputs(trace: trace)
    let (changed, versions) = try outputs.changes(of: leaves, to: state, signature)
    var sources: [ResultSource] = []
    for leaf in results {
      switch leaf {
      case .tensor(let tensor): sources.append(try outputs.source(of: tensor))
      case .dim(let dim): sources.append(.dim(try dim.requireValue()))
      case .value(let value): sources.append(.value(value))
      case .count(let count): sources.append(.count(count))
      }
    }
    // What the caller gets back as it was must not be written over.
    var kept: Set<Trace.Location> = []
    for source in sources + changed.values {
      switch source {
      case .leaf(let i): kept.insert(.leaf(i))
      case .carried(let i): kept.insert(.carried(i))
      case .output, .constant, .dim, .value, .count: break
      }
    }
    breaks = session.breaks
    carried = session.carried
    guards = trace.guards
    asked = trace.asked
    numbers = trace.numbers
    var piece = try trace.piece(outputs.values)
    session.addDonors(to: &piece, versions: versions, kept: kept)
    let mayTake = Set(changed.keys).subtracting(session.inPlace)
    let taken = piece.reuseMemory(kept: kept, mayTake: mayTake).union(piece.donors.values)
    let moved = changed.filter { leaf, source in
      var before: Int?
      if case .carried(let i) = source { before = i }
      if case .output(let o) = source { before = piece.carriedDonors[o] }
      guard let before, before < piece.carriedBefore else { return false }
      return !session.isInPlace(leaf, before)
    }
    ending = Ending(
      results: sources, state: changed, taken: taken.sorted(), moved: moved.keys.sorted(), template: template,
      captured: Retracing.isOn ? piece : nil)
    self.piece = piece
    self.form = form
    remarks = trace.remarks
  }

  /// With code for the last segment.
  func compiled(_ segments: SegmentCache) throws(Diagnostic) -> TracedRun {
    var run = self
    run.segment = try segments.segment(piece)
    return run
  }

  /// Leaves of the state that some segment writes in place.
  var writtenLeaves: [Int] { breaks.flatMap(\.segment.writtenLeaves) + ending.taken }

  /// Every piece of it was found on disk.
  var wasStored: Bool { breaks.allSatisfy(\.segment.wasStored) && segment?.wasStored == true }

  /// The nodes from break `first` to the end.
  func path(from first: Int) throws(Diagnostic) -> PlanNode {
    var node = PlanNode(try last, .end(ending))
    for made in breaks.dropFirst(first).reversed() {
      let before = PlanNode(made.segment, made.bits == nil ? .open(made.site) : .closed(made.site))
      if let bits = made.bits { before.add(bits, node) }
      node = before
    }
    return node
  }

  /// The same graphs and results. Not the same form: what is known of a result's type grows with what other threads capture,
  /// so two forms read at two times may differ though nothing else does.
  func isSame(as other: TracedRun) -> Bool {
    breaks.count == other.breaks.count && piece.isSame(as: other.piece)
      && ending.isSame(as: other.ending)
  }

  func asksTheSame(as other: TracedRun) -> Bool {
    guards.count { !$0.isRead } == other.guards.count { !$0.isRead }
  }

  /// Sizes were read as numbers: what it is at other sizes is not known.
  var hasReads: Bool { guards.contains(where: \.isRead) }
}

extension Ending {
  /// The same comes from the same places.
  fileprivate func isSame(as other: Ending) -> Bool {
    results.count == other.results.count && zip(results, other.results).allSatisfy { $0.isSame(as: $1) }
      && taken == other.taken && moved == other.moved && state.count == other.state.count
      && state.allSatisfy { leaf, source in other.state[leaf].map { source.isSame(as: $0) } ?? false }
  }
}

extension ResultSource {
  fileprivate func isSame(as other: ResultSource) -> Bool {
    switch (self, other) {
    case (.output(let a), .output(let b)), (.leaf(let a), .leaf(let b)), (.carried(let a), .carried(let b)),
      (.count(let a), .count(let b)):
      a == b
    case (.constant(let a), .constant(let b)): a.body.view.hasSameElements(as: b.body.view)
    case (.dim(let a), .dim(let b)): a.isIdentical(to: b)
    case (.value(let a), .value(let b)): a == b
    case (.output, _), (.leaf, _), (.carried, _), (.count, _), (.constant, _), (.dim, _), (.value, _): false
    }
  }
}

extension Dim {
  /// A compiled call throws an extent's mistake as it does a tensor's: what went wrong at these sizes is no plan for others.
  fileprivate func requireValue() throws(Diagnostic) -> Dim {
    if case .failed(let mistake)? = expression { throw mistake }
    return self
  }
}

/// The tensors that leave a capture.
private struct Outputs {
  let trace: Trace
  /// Those that the last piece computes.
  var values: [Value] = []

  mutating func source(of tensor: Tensor) throws(Diagnostic) -> ResultSource {
    let view = try tensor.view
    guard !view.hasMemory, let path = view.path else { return .constant(tensor) }
    switch try trace.place(of: path, view.hints) {
    case .leaf(let leaf)?: return .leaf(leaf)
    case .carried(let i)?: return .carried(i)
    case .output?, nil: break
    }
    values += try trace.values([view])
    return .output(values.count - 1)
  }

  /// What became of the members of the state, and which outputs are the new version of a leaf.
  mutating func changes(
    of leaves: ContiguousArray<Leaf>, to state: ContiguousArray<Leaf>, _ signature: CallSignature
  ) throws(Diagnostic) -> (changed: [Int: ResultSource], versions: [Int: Int]) {
    var changed: [Int: ResultSource] = [:]
    var versions: [Int: Int] = [:]
    for (i, after) in state.enumerated() {
      switch (leaves[i], after) {
      case (.tensor, .tensor(let tensor)):
        let source = try self.source(of: tensor)
        if case .leaf(i) = source { continue }
        changed[i] = source
        if case .output(let o) = source, try trace.type(of: values[o]) == signature.type(i).map(trace.renamed) {
          versions[o] = i
        }
      case (.dim(let before), .dim(let dim)):
        if !before.isIdentical(to: dim) { changed[i] = .dim(try dim.requireValue()) }
      case (.value(let before), .value(let value)):
        if before != value { changed[i] = .value(value) }
      case (.count(let before), .count(let count)) where before == count: break
      default:
        throw Diagnostic(
          .compiler, "\(trace.name): member \(i) of the state became something else",
          remedy: "members of the state keep their kinds and counts")
      }
    }
    return (changed, versions)
  }
}

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
  let remarks: [Trace.Remark]
  let numbers: [Int64]
  let ending: Ending
  let piece: Trace.Piece
  private let segment: Segment?

  /// The last segment.
  var last: Segment {
    get throws(Diagnostic) {
      guard let segment else { throw Diagnostic(.compiler, "\(piece.graph.name): a dry capture has no code") }
      return segment
    }
  }

  init(
    _ trace: Trace, _ session: Session, _ signature: CallSignature, _ leaves: ContiguousArray<Leaf>,
    state: ContiguousArray<Leaf>, results: ContiguousArray<Leaf>, template: any Sendable, segments: SegmentCache?
  ) throws(Diagnostic) {
    var values: [Value] = []
    func output(_ tensor: Tensor) throws(Diagnostic) -> ResultSource {
      let view = try tensor.view
      guard let traced = view.traced else { return .constant(tensor) }
      switch try trace.place(of: traced, view.extents) {
      case .leaf(let leaf)?: return .leaf(leaf)
      case .carried(let i)?: return .carried(i)
      case .output?, nil: break
      }
      values += try trace.values([view])
      return .output(values.count - 1)
    }
    var changed: [Int: ResultSource] = [:]
    var donors: [Int: Int] = [:]
    for (i, after) in state.enumerated() {
      switch (leaves[i], after) {
      case (.tensor, .tensor(let tensor)):
        let source = try output(tensor)
        if case .leaf(i) = source { continue }
        changed[i] = source
        if case .output(let o) = source, try trace.type(of: values[o]) == signature.type(i) {
          donors[o] = i
        }
      case (.dim(let before), .dim(let dim)):
        if !before.isIdentical(to: dim) { changed[i] = .dim(dim) }
      case (.value(let before), .value(let value)):
        if before != value { changed[i] = .value(value) }
      case (.count(let before), .count(let count)) where before == count: break
      default:
        throw Diagnostic(
          .compiler, "\(trace.name): member \(i) of the state became something else",
          remedy: "members of the state keep their kinds and counts")
      }
    }
    var sources: [ResultSource] = []
    for leaf in results {
      switch leaf {
      case .tensor(let tensor): sources.append(try output(tensor))
      case .dim(let dim): sources.append(.dim(dim))
      case .value(let value): sources.append(.value(value))
      case .count(let count): sources.append(.count(count))
      }
    }
    // What the caller gets back as it was must not be written over.
    for case .leaf(let kept) in sources + changed.values { donors = donors.filter { $0.value != kept } }
    var kept: Set<Trace.Place> = []
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
    numbers = trace.numbers
    var piece = try trace.piece(values, donors: donors)
    let taken = piece.reuseMemory(kept: kept, mayTake: Set(changed.keys)).union(piece.donors.values)
    ending = Ending(
      results: sources, state: changed, donors: piece.donors, taken: taken.sorted(), template: template,
      captured: Retracing.isOn ? piece : nil)
    self.piece = piece
    remarks = trace.remarks
    segment = try segments?.segment(piece)
  }

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

  /// The same graphs and the same questions.
  func isSame(as other: TracedRun) -> Bool {
    breaks.count == other.breaks.count && guards.count == other.guards.count && piece.isSame(as: other.piece)
  }
}

/// The end of a call: the last segment runs, the state takes its new tensors, the result is put together.
struct Finish {
  let segment: Segment
  let ending: Ending
  let arguments: [Int64]
  private(set) var carried: [TensorView]
  let stateCount: Int

  init(_ segment: Segment, _ ending: Ending, _ arguments: [Int64], _ carried: [TensorView], _ stateCount: Int) {
    self.segment = segment
    self.ending = ending
    self.arguments = arguments
    self.carried = carried
    self.stateCount = stateCount
  }

  mutating func run<S: Tree, Output>(
    _ leaves: inout ContiguousArray<Leaf>, _ state: inout S,
    onCopy: (Int) -> Void = { _ in }, _ build: (any Sendable, ContiguousArray<Leaf>) throws -> Output
  ) throws -> Output {
    var outputs: [TensorView]
    if ending.state.isEmpty {
      outputs = try segment.run(leaves, &carried, arguments)
    } else {
      outputs = try updating(&leaves, &state, onCopy)
    }
    var filled: ContiguousArray<Leaf> = []
    for source in ending.results { filled.append(try leaf(source, outputs, leaves)) }
    outputs = []
    return try build(ending.template, filled)
  }

  private func leaf(
    _ source: ResultSource, _ outputs: [TensorView], _ leaves: ContiguousArray<Leaf>
  ) throws(Diagnostic) -> Leaf {
    switch source {
    case .output(let i): return .tensor(Tensor(outputs[i]))
    case .carried(let i): return .tensor(Tensor(carried[i]))
    case .leaf(let i): return leaves[i]
    case .constant(let tensor): return .tensor(tensor)
    case .dim(let dim):
      if case .failed(let diagnostic)? = dim.expression { throw diagnostic }
      guard let value = dim.evaluated(arguments.map { Int($0) }) else {
        throw Diagnostic(.shape, "the extent \(dim) has no value at the sizes \(arguments)")
      }
      return .dim(Dim(value))
    case .value(let value): return .value(value)
    case .count(let count): return .count(count)
    }
  }

  /// Takes the tensors that are written out of the state, runs in their memory where nobody else holds it, and puts the
  /// new ones in.
  private mutating func updating<S: Tree>(
    _ leaves: inout ContiguousArray<Leaf>, _ state: inout S, _ onCopy: (Int) -> Void
  ) throws -> [TensorView] {
    var v = Visitor(.exchange)
    v.chosen = [Bool](repeating: false, count: stateCount)
    v.leaves = ContiguousArray(repeating: .count(0), count: stateCount)
    let nothing = Tensor(0)
    for leaf in ending.taken {
      v.chosen[leaf] = true
      v.leaves[leaf] = .tensor(nothing)
      leaves[leaf] = .count(0)
    }
    state.visit(&v)
    var taken = v.leaves
    v.leaves = []
    var memories: [Int: TensorView] = [:]
    func putBack(_ replacement: ContiguousArray<Leaf>, _ chosen: [Bool]) {
      var v = Visitor(.exchange)
      v.chosen = chosen
      v.leaves = replacement
      state.visit(&v)
    }
    let chosen = v.chosen
    do {
      for leaf in ending.taken {
        guard case .tensor(var tensor) = taken[leaf] else { continue }
        taken[leaf] = .count(0)
        // The only holder writes in place; others keep what they have.
        let isAlone = tensor.mayBeWritten && tensor.body.view.isContiguous
        if !isAlone { onCopy(leaf) }
        let memory = isAlone ? tensor.body.view : try tensor.contiguousCopy().view
        leaves[leaf] = .tensor(Tensor(memory))
        memories[leaf] = memory
        taken[leaf] = .tensor(tensor)
      }
      let donated = ending.donors.compactMapValues { memories[$0] }
      let outputs = try segment.run(leaves, &carried, arguments, into: donated)
      var after: ContiguousArray<Leaf> = ContiguousArray(repeating: .count(0), count: stateCount)
      var changes = [Bool](repeating: false, count: stateCount)
      for (i, source) in ending.state {
        after[i] = try leaf(source, outputs, leaves)
        changes[i] = true
      }
      for leaf in ending.taken { taken[leaf] = .count(0) }
      var commit = Visitor(.commit)
      commit.chosen = changes
      commit.leaves = after
      state.visit(&commit)
      return outputs
    } catch {
      putBack(taken, chosen)
      throw error
    }
  }
}

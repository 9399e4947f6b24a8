// Segments: what a plan runs between two breaks, and how their inputs and results hang together.
// Not traced code any more. Surprise: segments are found by the hash of their graph, so a function that runs anew after
// an open break finds its compiled pieces again.
import Basics
import Collections
import Engine
import GraphIR
import Synchronization
import Tensors
import TensorTypes

/// A compiled part of a function: sections (pieces, loops, branches), and a last piece that gives the results.
final class Segment: Sendable {
  /// What runs before the last piece; results are carried.
  enum Section: Sendable {
    case piece(Segment)
    case loop(Loop)
    case branch(Branch)
  }
  let compiled: CompiledGraph
  /// Where the graph's parameters come from.
  let sources: [Trace.Source]
  /// Equal for segments that compute the same on the same sources.
  let key: StableHash
  /// The same in every process, whatever the constants hold; nil where plans are not kept.
  let lastingKey: StableHash?
  /// Its plans were found on disk.
  let wasStored: Bool
  /// Outputs that are written over an older value.
  let donations: [Donation]
  /// Leaves of the state whose new version gets new memory, so that a fault does not leave it half written.
  let movedLeaves: [Int]
  let before: [Section]
  /// Values decide what runs in it, or how often.
  let hasChoices: Bool
  let prints: [Trace.Print]
  private let resultCount: Int
  private let places: [Found]

  /// A source as a call finds it.
  private enum Found {
    case leaf(Int)
    /// Its address; `sources` keeps it alive.
    case constant(UInt)
    case carried(Int)
  }

  struct Donation: Sendable {
    var output: Int
    /// A leaf of the state, or a carried value that nobody reads any more.
    var donor: Trace.Location
    /// All that is written; empty: everything.
    var ranges: [RangeWrite]
    /// A kernel that may fault runs when some of it is written already, or in the same launch.
    var mayBeHalfWritten: Bool
  }

  init(_ piece: Trace.Piece, _ made: CompiledPiece, before: [Section]) {
    compiled = made.graph
    sources = made.sources
    key = piece.key(.process)
    let inner = before.flatMap(\.segments)
    lastingKey = made.isKept && inner.allSatisfy { $0.lastingKey != nil } ? piece.key(.everywhere) : nil
    wasStored = made.wasStored && inner.allSatisfy(\.wasStored)
    donations = made.donors.sorted { $0.key < $1.key }.map { output, donor in
      Donation(
        output: output, donor: donor, ranges: piece.ranges(of: output),
        mayBeHalfWritten: made.graph.outputsBeforeFaults.contains(output))
    }
    movedLeaves = piece.donors.filter { made.donors[$0.key] == nil }.values.sorted()
    self.before = before
    hasChoices = before.contains { if case .piece(let piece) = $0 { piece.hasChoices } else { true } }
    prints = piece.prints
    resultCount = piece.resultCount
    places = made.sources.map { source in
      switch source {
      case .leaf(let i): .leaf(i)
      case .constant(let view): .constant(UInt(bitPattern: view.base))
      case .carried(let i): .carried(i)
      }
    }
  }

  /// It and all that it consists of.
  var whole: [Segment] { [self] + before.flatMap(\.segments).flatMap(\.whole) }

  /// Leaves of the state that are written in place.
  var writtenLeaves: [Int] {
    donations.compactMap { if case .leaf(let leaf) = $0.donor { leaf } else { nil } }
  }

  /// Leaves of the state that loops write ranges of, and nothing else.
  var rangesOfLoops: Set<Int> {
    before.reduce(into: []) { if case .loop(let loop) = $1 { $0.formUnion(loop.leavesWithRanges) } }
  }

  /// Something may fail when a part of it has run: at a wrong index, at a loop whose trips are not alike.
  var mayFail: Bool {
    compiled.mayFault
      || before.contains { section in
        switch section {
        case .piece(let piece): piece.mayFail
        case .loop(let loop): loop.mayFail
        case .branch(let branch): branch.routines.contains(where: \.segment.mayFail)
        }
      }
  }

  /// Runs on the leaves and the values of earlier segments, and adds what its sections give to those; gives the last
  /// piece's results in `results` or fresh memory.
  func run(
    _ leaves: CallLeaves, _ carried: inout [TensorView], _ arguments: [Int64],
    into results: [Int: TensorView] = [:], keeper: CallFrame? = nil
  ) throws(Diagnostic) -> [TensorView] {
    for section in before {
      switch section {
      case .piece(let piece): carried += try piece.run(leaves, &carried, arguments, keeper: keeper)
      case .loop(let loop): loop.carry(try loop.run(site(leaves, carried, keeper), arguments), on: &carried)
      case .branch(let branch): carried += try branch.run(site(leaves, carried, keeper), arguments)
      }
    }
    if compiled.outputs.isEmpty { return [] }
    let engine = try Engine.current
    // Numbers that came later than this graph are not its arguments.
    let count = compiled.argumentCount
    let arguments = arguments.count > count ? Array(arguments.prefix(count)) : arguments
    var results = results
    for donation in donations {
      if case .carried(let i) = donation.donor { results[donation.output] = carried[i] }
    }
    var outputs: [TensorView] = []
    outputs.reserveCapacity(compiled.outputs.count)
    let extents = try compiled.outputExtents(arguments)
    for (i, output) in compiled.outputs.enumerated() {
      if let existing = results[i] {
        outputs.append(existing)
      } else {
        outputs.append(try engine.memory(output.dtype, extents[i]))
      }
    }
    if compiled.runsOnAddresses {
      try runOnAddresses(leaves, carried, arguments, into: outputs)
    } else {
      var parameters: [TensorView] = []
      for source in sources { parameters.append(try source.view(leaves, carried, compiled.name)) }
      try compiled.run(parameters, arguments, into: outputs)
    }
    for print in prints { Tensor(outputs[print.output]).print(print.label) }
    return withoutPrinted(outputs)
  }

  /// Those that are not only printed.
  func withoutPrinted<T>(_ outputs: [T]) -> [T] {
    outputs.count > resultCount ? Array(outputs.prefix(resultCount)) : outputs
  }

  private func site(_ leaves: CallLeaves, _ carried: [TensorView], _ keeper: CallFrame?) -> CallSite {
    CallSite(leaves: leaves, carried: carried, name: compiled.name, keeper: keeper)
  }

  /// Runs the graph without counting references: the leaves are held by the call.
  private func runOnAddresses(
    _ leaves: CallLeaves, _ carried: [TensorView], _ arguments: [Int64], into outputs: [TensorView]
  ) throws(Diagnostic) {
    var bases: ContiguousArray<UnsafeMutableRawPointer?> = []
    bases.reserveCapacity(sources.count + outputs.count + compiled.temporaryCount)
    // Copies of arguments that have gaps.
    var copies: [TensorView] = []
    for (number, place) in places.enumerated() {
      switch place {
      case .leaf(let i):
        if let address = leaves.bodies[i]?._withUnsafeGuaranteedRef({ $0.contiguousAddress }) {
          bases.append(address)
        } else {
          let copy = try sources[number].view(leaves, carried, compiled.name)
          copies.append(copy)
          bases.append(copy.base)
        }
      case .constant(let address): bases.append(UnsafeMutableRawPointer(bitPattern: address))
      case .carried(let i): bases.append(carried[i].base)
      }
    }
    try compiled.run(parametersAt: &bases, arguments, into: outputs)
    withExtendedLifetime(copies) {}
  }
}

extension Segment.Section {
  /// What is compiled in it.
  var segments: [Segment] {
    switch self {
    case .piece(let piece): [piece]
    case .loop(let loop): (loop.test.map { [$0.segment] } ?? []) + [loop.step.segment]
    case .branch(let branch): branch.routines.map(\.segment)
    }
  }
}

extension Trace.Piece {
  /// All that is written of output `i`; empty: everything.
  fileprivate func ranges(of i: Int) -> [RangeWrite] { RangeWrite.chain(graph.outputs[i], graph)?.ranges ?? [] }
}

extension Trace.Source {
  /// The row-major elements.
  func view(
    _ leaves: CallLeaves, _ carried: [TensorView], _ name: String
  ) throws(Diagnostic) -> TensorView {
    switch self {
    case .leaf(let i):
      guard case .tensor(let tensor) = leaves[i] else {
        throw Diagnostic(.compiler, "\(name): argument \(i) is no tensor")
      }
      let view = try tensor.view
      return view.isContiguous ? view : try tensor.contiguousCopy().view
    case .constant(let view): return view
    case .carried(let i): return carried[i]
    }
  }
}

/// Segments by the hash of what they compute.
final class SegmentCache: Sendable {
  private static let most = 1024
  private let fuses: Bool
  init(fuses: Bool) { self.fuses = fuses }

  private let known = Mutex<OrderedDictionary<String, Segment>>([:])

  /// In the order they were made.
  var all: [Segment] { known.withLock { Array($0.values) } }

  var count: Int { known.withLock { $0.count } }

  /// Forgets all but these and what they consist of. How many went.
  func keep(_ segments: [Segment]) -> Int {
    let kept = Set(segments.flatMap(\.whole).map(ObjectIdentifier.init))
    return known.withLock { known in
      let before = known.count
      known.removeAll { !kept.contains(ObjectIdentifier($0.value)) }
      return before - known.count
    }
  }

  func segment(_ piece: Trace.Piece) throws(Diagnostic) -> Segment {
    let name = piece.key(.process).description
    if let segment = known.withLock({ $0[name] }) { return segment }
    var before: [Segment.Section] = []
    for section in piece.before {
      switch section {
      case .piece(let piece): before.append(.piece(try segment(piece)))
      case .loop(let loop): before.append(.loop(try Loop(loop, self)))
      case .branch(let branch): before.append(.branch(try Branch(branch, self)))
      }
    }
    let donated = Array(piece.donors.keys) + piece.carriedDonors.keys
    let made = try Engine.current.compile(
      piece, fuses: fuses, ranged: Set(donated.filter { !piece.ranges(of: $0).isEmpty }))
    let segment = Segment(piece, made, before: before)
    known.withLock { known in
      // Open breaks can lead anywhere. Plans keep what they need themselves.
      if known.count >= Self.most { known.removeFirst() }
      known[name] = segment
    }
    return segment
  }
}

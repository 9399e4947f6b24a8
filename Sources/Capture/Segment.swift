// Segments: what a plan runs between two breaks, and how their inputs and results hang together.
// Not traced code any more. Surprise: segments are found by the hash of their graph, so a function that runs anew after
// an open break finds its compiled pieces again.
import Basics
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
  /// Outputs that are written over an older value.
  let donations: [Donation]
  /// Leaves of the state whose new version gets new memory, so that a fault does not leave it half written.
  let movedLeaves: [Int]
  let before: [Section]
  let prints: [Trace.Print]
  private let resultCount: Int
  private let places: [Place]

  /// A source as a call finds it.
  private enum Place {
    case leaf(Int)
    /// Its address; `sources` keeps it alive.
    case constant(UInt)
    case carried(Int)
  }

  struct Donation: Sendable {
    var output: Int
    /// A leaf of the state, or a carried value that nobody reads any more.
    var donor: Trace.Place
    /// All that is written; empty: everything.
    var ranges: [RangeWrite]
    /// A kernel that may fault runs when some of it is written already, or in the same launch.
    var mayBeHalfWritten: Bool
  }

  init(
    _ compiled: CompiledGraph, _ sources: [Trace.Source], key: StableHash, donations: [Donation],
    movedLeaves: [Int], before: [Section], prints: [Trace.Print], resultCount: Int
  ) {
    self.resultCount = resultCount
    self.donations = donations
    self.movedLeaves = movedLeaves
    places = sources.map { source in
      switch source {
      case .leaf(let i): .leaf(i)
      case .constant(let view): .constant(UInt(bitPattern: view.base))
      case .carried(let i): .carried(i)
      }
    }
    self.compiled = compiled
    self.sources = sources
    self.key = key
    self.before = before
    self.prints = prints
  }

  var graph: Graph { compiled.graph }

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
      let made =
        switch section {
        case .piece(let piece): try piece.run(leaves, &carried, arguments, keeper: keeper)
        case .loop(let loop): try loop.run(leaves, carried, arguments, keeper)
        case .branch(let branch): try branch.run(leaves, carried, arguments)
        }
      carried += made
    }
    if graph.outputs.isEmpty { return [] }
    let engine = try Engine.current
    // Numbers that came later than this graph are not its arguments.
    let count = graph.arguments.count
    let arguments = arguments.count > count ? Array(arguments.prefix(count)) : arguments
    var results = results
    for donation in donations {
      if case .carried(let i) = donation.donor { results[donation.output] = carried[i] }
    }
    var outputs: [TensorView] = []
    outputs.reserveCapacity(graph.outputs.count)
    let extents = try compiled.outputExtents(arguments)
    for (i, output) in graph.outputs.enumerated() {
      if let existing = results[i] {
        outputs.append(existing)
      } else {
        outputs.append(try engine.memory(graph.type(output).dtype, extents[i]))
      }
    }
    if compiled.runsOnAddresses {
      try runOnAddresses(leaves, carried, arguments, into: outputs)
    } else {
      var parameters: [TensorView] = []
      for source in sources { parameters.append(try source.view(leaves, carried, graph.name)) }
      try compiled.run(parameters, arguments, into: outputs)
    }
    for print in prints { Tensor(outputs[print.output]).print(print.label) }
    return outputs.count > resultCount ? Array(outputs.prefix(resultCount)) : outputs
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
          let copy = try sources[number].view(leaves, carried, graph.name)
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
  private let fuses: Bool
  init(fuses: Bool) { self.fuses = fuses }

  private let known = Mutex<[String: Segment]>([:])
  private let order = Mutex<[Segment]>([])

  /// In the order they were made.
  var all: [Segment] { order.withLock { $0 } }

  /// What depends on constants alone is computed here, once.
  private static func folded(_ whole: Trace.Piece) throws(Diagnostic) -> (Graph, [Trace.Source]) {
    // Arguments that nothing reads are not handed over.
    let (graph, used) = whole.graph.withoutDeadNodes().withUsedParameters()
    let piece = Trace.Piece(graph: graph, sources: used.map { whole.sources[$0] }, donors: whole.donors)
    var constants: [Int: TensorView] = [:]
    for (i, source) in piece.sources.enumerated() { if case .constant(let view) = source { constants[i] = view } }
    guard !constants.isEmpty, let folding = piece.graph.foldable(constants: Set(constants.keys)) else {
      return (piece.graph, piece.sources)
    }
    let engine = try Engine.current
    let compiled = try engine.compile(folding.frozen)
    // Symbols do not occur in what is constant.
    let arguments = [Int64](repeating: 1, count: folding.frozen.arguments.count)
    var results: [TensorView] = []
    for (i, output) in folding.frozen.outputs.enumerated() {
      let type = folding.frozen.type(output)
      results.append(try engine.memory(type.dtype, compiled.extents(i, arguments)))
    }
    try compiled.run(folding.frozenParameters.compactMap { constants[$0] }, arguments, into: results)
    return (folding.rest, folding.restParameters.map { piece.sources[$0] } + results.map { .constant($0) })
  }

  var count: Int { known.withLock { $0.count } }

  func segment(_ piece: Trace.Piece) throws(Diagnostic) -> Segment {
    let key = piece.key
    let name = key.description
    if let segment = known.withLock({ $0[name] }) { return segment }
    var before: [Segment.Section] = []
    for section in piece.before {
      switch section {
      case .piece(let piece): before.append(.piece(try segment(piece)))
      case .loop(let loop): before.append(.loop(try Loop(loop, self)))
      case .branch(let branch): before.append(.branch(try Branch(branch, self)))
      }
    }
    let (graph, sources) = try Self.folded(piece)
    let (compiled, donations) = try compiled(graph, sources, piece)
    let kept = Set(donations.map(\.donor))
    let moved = piece.donors.values.filter { !kept.contains(.leaf($0)) }
    let segment = Segment(
      compiled, sources, key: key, donations: donations, movedLeaves: moved.sorted(), before: before,
      prints: piece.prints, resultCount: piece.resultCount)
    known.withLock { $0[name] = segment }
    order.withLock { $0.append(segment) }
    return segment
  }

  private func compiled(
    _ graph: Graph, _ sources: [Trace.Source], _ piece: Trace.Piece
  ) throws(Diagnostic) -> (CompiledGraph, [Segment.Donation]) {
    var donors = piece.donors.mapValues { Trace.Place.leaf($0) }
    for (output, value) in piece.carriedDonors { donors[output] = .carried(value) }
    while true {
      var parameters: [Int: Int] = [:]
      for (output, donor) in donors { parameters[output] = sources.firstIndex { Trace.Place($0) == donor } }
      let compiled = try Engine.current.compile(graph, donations: parameters, fuses: fuses)
      var donations: [Segment.Donation] = []
      for (output, donor) in donors.sorted(by: { $0.key < $1.key }) {
        let ranges = RangeWrite.chain(graph.outputs[output], graph)?.ranges ?? []
        let isRisky = compiled.outputsBeforeFaults.contains(output)
        donations.append(.init(output: output, donor: donor, ranges: ranges, mayBeHalfWritten: isRisky))
      }
      // What would be half written when an index turns out to be wrong, and is too much to keep, gets new memory.
      let risky = donations.filter { $0.mayBeHalfWritten && $0.ranges.isEmpty }
      if risky.isEmpty { return (compiled, donations) }
      for donation in risky { donors[donation.output] = nil }
    }
  }
}

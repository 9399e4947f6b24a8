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
  /// Outputs that are written into the memory of an argument.
  let donations: Int
  let before: [Section]
  let prints: [Trace.Print]
  private let resultCount: Int

  init(
    _ compiled: CompiledGraph, _ sources: [Trace.Source], key: StableHash, donations: Int, before: [Section],
    prints: [Trace.Print], resultCount: Int
  ) {
    self.resultCount = resultCount
    self.donations = donations
    self.compiled = compiled
    self.sources = sources
    self.key = key
    self.before = before
    self.prints = prints
  }

  var graph: Graph { compiled.graph }

  /// Runs on the leaves and the values of earlier segments, and adds what its sections give to those; gives the last
  /// piece's results in `results` or fresh memory.
  func run(
    _ leaves: ContiguousArray<Leaf>, _ carried: inout [TensorView], _ arguments: [Int64],
    into results: [Int: TensorView] = [:]
  ) throws(Diagnostic) -> [TensorView] {
    for section in before {
      let made =
        switch section {
        case .piece(let piece): try piece.run(leaves, &carried, arguments)
        case .loop(let loop): try loop.run(leaves, carried, arguments)
        case .branch(let branch): try branch.run(leaves, carried, arguments)
        }
      carried += made
    }
    if graph.outputs.isEmpty { return [] }
    let engine = try Engine.current
    // Numbers that came later than this graph are not its arguments.
    let count = graph.arguments.count
    let arguments = arguments.count > count ? Array(arguments.prefix(count)) : arguments
    var parameters: [TensorView] = []
    parameters.reserveCapacity(sources.count)
    for source in sources { parameters.append(try source.view(leaves, carried, graph.name)) }
    var outputs: [TensorView] = []
    outputs.reserveCapacity(graph.outputs.count)
    for (i, output) in graph.outputs.enumerated() {
      if let existing = results[i] {
        outputs.append(existing)
      } else {
        outputs.append(try engine.memory(graph.type(output).dtype, compiled.extents(i, arguments)))
      }
    }
    try compiled.run(parameters, arguments, into: outputs)
    for print in prints { Tensor(outputs[print.output]).print(print.label) }
    return outputs.count > resultCount ? Array(outputs.prefix(resultCount)) : outputs
  }
}

extension Trace.Source {
  /// The row-major elements.
  func view(
    _ leaves: ContiguousArray<Leaf>, _ carried: [TensorView], _ name: String
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
    var donations: [Int: Int] = [:]
    for (output, leaf) in piece.donors {
      donations[output] = sources.firstIndex {
        if case .leaf(leaf) = $0 { true } else { false }
      }
    }
    let compiled = try Engine.current.compile(graph, donations: donations, fuses: fuses)
    let segment = Segment(
      compiled, sources, key: key, donations: donations.count, before: before, prints: piece.prints,
      resultCount: piece.resultCount)
    known.withLock { $0[name] = segment }
    order.withLock { $0.append(segment) }
    return segment
  }
}

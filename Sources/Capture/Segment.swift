// Segments: what a plan runs between two breaks, and how their inputs and results hang together.
// Not traced code any more. Surprise: segments are found by the hash of their graph, so a function that runs anew after
// an open break finds its compiled pieces again.
import Basics
import Engine
import GraphIR
import Synchronization
import Tensors
import TensorTypes

/// A compiled piece of a function.
final class Segment: Sendable {
  let compiled: CompiledGraph
  /// Where the graph's parameters come from.
  let sources: [Trace.Source]
  /// Equal for pieces that compute the same on the same sources.
  let key: StableHash
  /// Outputs that are written into the memory of an argument.
  let donations: Int

  init(_ compiled: CompiledGraph, _ sources: [Trace.Source], key: StableHash, donations: Int) {
    self.donations = donations
    self.compiled = compiled
    self.sources = sources
    self.key = key
  }

  var graph: Graph { compiled.graph }

  /// Runs on the leaves and the values of earlier segments; gives the graph's outputs in `results` or fresh memory.
  func run(
    _ leaves: ContiguousArray<Leaf>, _ carried: [TensorView], _ arguments: [Int64],
    into results: [Int: TensorView] = [:]
  ) throws(Diagnostic) -> [TensorView] {
    if graph.outputs.isEmpty { return [] }
    let engine = try Engine.current
    var parameters: [TensorView] = []
    parameters.reserveCapacity(sources.count)
    for source in sources {
      switch source {
      case .leaf(let i):
        guard case .tensor(let tensor) = leaves[i] else {
          throw Diagnostic(.compiler, "\(graph.name): argument \(i) is no tensor")
        }
        let view = try tensor.view
        parameters.append(view.isContiguous ? view : try Tensor(view).contiguousCopy().view)
      case .constant(let view): parameters.append(view)
      case .carried(let i): parameters.append(carried[i])
      }
    }
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
    return outputs
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
    var key = piece.graph.structuralHash
    for source in piece.sources {
      switch source {
      case .leaf(let i): key.combine("l\(i)")
      case .constant(let view): view.identify(&key)
      case .carried(let i): key.combine("v\(i)")
      }
    }
    for (output, leaf) in piece.donors.sorted(by: { $0.key < $1.key }) { key.combine("d\(output) \(leaf)") }
    let name = key.description
    if let segment = known.withLock({ $0[name] }) { return segment }
    let (graph, sources) = try Self.folded(piece)
    var donations: [Int: Int] = [:]
    for (output, leaf) in piece.donors {
      donations[output] = sources.firstIndex {
        if case .leaf(leaf) = $0 { true } else { false }
      }
    }
    let compiled = try Engine.current.compile(graph, donations: donations, fuses: fuses)
    let segment = Segment(compiled, sources, key: key, donations: donations.count)
    known.withLock { $0[name] = segment }
    order.withLock { $0.append(segment) }
    return segment
  }
}

extension TensorView {
  /// Bytes up to which a constant is known by its content: a function makes small ones anew each time it runs.
  private static let comparedBytes = 4096

  /// Two constants with one identity have the same elements.
  func identify(_ key: inout StableHash) {
    let count = elementCount * dtype.size
    guard isContiguous, count <= Self.comparedBytes else {
      return key.combine("c\(UInt(bitPattern: base))")
    }
    key.combine("\(dtype)\(extents)")
    for byte in UnsafeRawBufferPointer(start: base, count: count) { key.combine(byte: byte) }
  }
}

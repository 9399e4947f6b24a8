// From a piece of a capture to what runs it: constants folded, passes, Fusion, code; or all of it from the disk.
// Not a cache in memory (Capture's segments are). Surprise: the key is the graph as it was captured, so that a start that
// finds its plan does nothing but capture, hash and read.
import Basics
import Execution
import GraphIR
import TensorTypes

/// A piece of a capture that can be run.
package struct CompiledPiece: Sendable {
  package let graph: CompiledGraph
  /// Where the graph's parameters come from.
  package let sources: [Trace.Source]
  /// Outputs that are written into the memory of one of the sources, and those.
  package let donors: [Int: Trace.Location]
  /// Names the plan on disk; nil where none is kept.
  package let key: String?
  /// False: it was made here.
  package let wasStored: Bool
  package var isKept: Bool { key != nil }
}

/// A piece as two graphs: what its constants alone decide, and the rest.
private struct FoldedPiece {
  var frozen: Graph?
  var frozenSources: [Int] = []
  var rest: Graph
  var restSources: [Int]
  private let piece: Trace.Piece

  init(_ piece: Trace.Piece, folds: Bool = true) throws(Diagnostic) {
    self.piece = piece
    // Arguments that nothing reads are not handed over.
    let (graph, used) = try piece.graph.inlined().withoutDeadNodes().withUsedParameters()
    (rest, restSources) = (graph, used)
    let constants = used.indices.filter { if case .constant = piece.sources[used[$0]] { true } else { false } }
    if folds, !constants.isEmpty, let folding = graph.foldable(constants: Set(constants)) {
      frozen = folding.frozen
      frozenSources = folding.frozenParameters.map { used[$0] }
      rest = folding.rest
      restSources = folding.restParameters.map { used[$0] }
    }
  }

  /// Output -> parameter of `rest`.
  func donations(_ donors: [Int: Trace.Location]) -> [Int: Int] {
    var parameters: [Int: Int] = [:]
    for (output, donor) in donors {
      parameters[output] = restSources.firstIndex { Trace.Location(piece.sources[$0]) == donor }
    }
    return parameters
  }
}

extension Engine {
  /// Makes `piece` ready to run. Its constants are read.
  /// - Parameter ranged: donated outputs whose overwritten elements a call can keep. Of others, those that a fault would
  ///   leave half written get memory of their own.
  package func compile(
    _ piece: Trace.Piece, fuses: Bool, ranged: Set<Int> = []
  ) throws(Diagnostic) -> CompiledPiece {
    let key = keepsPlans ? planKey(piece, fuses) : nil
    if let found = try known(key, piece, fuses) { return found }
    do throws(Diagnostic) { return try make(piece, key, fuses: fuses, ranged: ranged) } catch {
      guard error.kind == .index || error.kind == .numerics else { throw error }
      // What constants alone decide is a mistake. It may stand where nobody comes: it is one when it runs.
      return try make(piece, key, fuses: fuses, ranged: ranged, folds: false)
    }
  }

  private func make(
    _ piece: Trace.Piece, _ key: String?, fuses: Bool, ranged: Set<Int>, folds: Bool = true
  ) throws(Diagnostic) -> CompiledPiece {
    try Stage.show(.graph, kernel: "\(piece.graph.name) as captured") { piece.graph.description }
    let folded = try FoldedPiece(piece, folds: folds)
    let frozen = try folded.frozen.map { graph throws(Diagnostic) in try compile(graph) }
    var donors = piece.places
    var rest: CompiledGraph
    repeat {
      rest = try compile(folded.rest, donations: folded.donations(donors), fuses: fuses, origins: piece.origins)
      let risky = rest.outputsBeforeFaults.subtracting(ranged).filter { donors[$0] != nil }
      if risky.isEmpty { break }
      for output in risky { donors[output] = nil }
    } while true
    let record = PieceRecord(
      head: head(piece.graph.name), frozen: frozen?.record, frozenSources: folded.frozenSources, rest: rest.record,
      restSources: folded.restSources, donated: donors.keys.sorted())
    let made = try finished(piece, record, frozen, rest, key, wasStored: false)
    if let key { cache.write(key, record.serialised(), .plan) }
    return made
  }

  /// `piece`, compiled once in this process: captures that follow ask for it again.
  func once(_ piece: Trace.Piece) throws(Diagnostic) -> CompiledPiece {
    var key = StableHash()
    piece.combine(into: &key)
    if let known = constantPieces.withLock({ $0[key] }) { return known }
    let made = try compile(piece, fuses: true)
    constantPieces.withLock { known in
      if known.count >= 256 { known.removeAll() }
      known[key] = made
    }
    return made
  }

  /// Plans are made for one build and one kind of processor.
  func head(_ name: String) -> PieceRecord.Head {
    .init(build: BuildIdentity.current, processor: backend.key, name: name)
  }

  /// Whoever wants to see the passes gets them run.
  private var keepsPlans: Bool { backend.isWorthCaching && !Log.isOn(.graph) && !Log.isOn(.fusion) }

  private func planKey(_ piece: Trace.Piece, _ fuses: Bool) -> String {
    var hash = StableHash()
    hash.combine(Int(PieceRecord.version))
    hash.combine(Int(ExecutableImage.version))
    let head = head(piece.graph.name)
    hash.combine(head.build)
    hash.combine(head.processor)
    hash.combine(byte: fuses ? 1 : 0)
    // Kernels are named after it.
    hash.combine(head.name)
    piece.combine(into: &hash)
    return hash.description
  }

  /// The plan on disk, if it is there and whole.
  /// - Throws: `Diagnostic(.cache)` where it must be there and is not.
  private func known(_ key: String?, _ piece: Trace.Piece, _ fuses: Bool) throws(Diagnostic) -> CompiledPiece? {
    let name = piece.graph.name
    guard let key else {
      if StoredPlans.areRequired { throw missing(name) }
      return nil
    }
    do throws(Diagnostic) {
      if let found = try stored(key, piece, fuses) { return found }
    } catch {
      if StoredPlans.areRequired { throw missing(name, "\(cache.file(key, .plan) ?? key): \(error.message)") }
      Log.write(.cache, "plan \(key) of \(name) is made again: \(error.message)")
    }
    if StoredPlans.areRequired { throw missing(name) }
    return nil
  }

  private func stored(_ key: String, _ piece: Trace.Piece, _ fuses: Bool) throws(Diagnostic) -> CompiledPiece? {
    guard let bytes = cache.read(key, .plan) else { return nil }
    let record = try PieceRecord(serialised: bytes, for: head(piece.graph.name), sourceCount: piece.sources.count)
    guard record.rest.outputs.map(\.dtype) == piece.graph.outputs.map({ piece.graph.type($0).dtype }) else {
      throw Diagnostic(.cache, "it has other results")
    }
    // Without a frozen part the plan is of the whole piece: nothing is constant, or constants alone decide a fault.
    let folds = record.frozen != nil
    let frozen = try record.frozen.map { record throws(Diagnostic) in
      try loaded(record, piece.origins) { () throws(Diagnostic) in
        let folded = try FoldedPiece(piece, folds: folds)
        return try self.account(of: folded.frozen ?? folded.rest, donations: [:], fuses: true)
      }
    }
    let donors = piece.places.filter { record.donated.contains($0.key) }
    let rest = try loaded(record.rest, piece.origins) { () throws(Diagnostic) in
      let folded = try FoldedPiece(piece, folds: folds)
      return try self.account(of: folded.rest, donations: folded.donations(donors), fuses: fuses)
    }
    return try finished(piece, record, frozen, rest, key, wasStored: true)
  }

  private func loaded(
    _ record: PlanRecord, _ origins: [Diagnostic.Origin],
    _ account: @escaping @Sendable () throws(Diagnostic) -> CompiledGraph.Account
  ) throws(Diagnostic) -> CompiledGraph {
    var executables: [any Executable] = []
    for key in record.kernels {
      guard let found = kernels.known(key, record.name) else {
        throw Diagnostic(.cache, "its kernel \(key) is gone")
      }
      executables.append(found)
    }
    return try CompiledGraph(record, executables, backend.driver, origins: origins, account: account)
  }

  /// Runs what depends on constants alone.
  private func finished(
    _ piece: Trace.Piece, _ record: PieceRecord, _ frozen: CompiledGraph?, _ rest: CompiledGraph, _ key: String?,
    wasStored: Bool
  ) throws(Diagnostic) -> CompiledPiece {
    var sources = record.restSources.map { piece.sources[$0] }
    if let frozen {
      var constants: [TensorView] = []
      for number in record.frozenSources {
        guard case .constant(let view) = piece.sources[number] else {
          throw Diagnostic(.cache, "\(piece.graph.name): source \(number) is no constant")
        }
        constants.append(view)
      }
      // Symbols do not occur in what is constant.
      let arguments = [Int64](repeating: 1, count: frozen.record.argumentCount)
      var results: [TensorView] = []
      for (i, output) in frozen.outputs.enumerated() {
        results.append(try memory(output.dtype, frozen.extents(i, arguments)))
      }
      try frozen.run(constants, arguments, into: results)
      sources += results.map { .constant($0) }
    }
    return CompiledPiece(
      graph: rest, sources: sources, donors: piece.places.filter { record.donated.contains($0.key) }, key: key,
      wasStored: wasStored)
  }
}

extension Trace.Piece {
  /// Output -> where the memory is that it may be written into.
  fileprivate var places: [Int: Trace.Location] {
    var places = donors.mapValues { Trace.Location.leaf($0) }
    for (output, value) in carriedDonors { places[output] = .carried(value) }
    return places
  }

  /// What decides the plan, in every process: the graph, and where its parameters come from. Constants count by their
  /// types only: one plan serves every model of a structure.
  package func combine(into hash: inout StableHash) {
    hash.combine(graph.structuralHash)
    for source in sources {
      switch source {
      case .leaf(let i): hash.combine([0, i])
      case .constant: hash.combine([1])
      case .carried(let i): hash.combine([2, i])
      }
    }
    for (output, leaf) in donors.sorted(by: { $0.key < $1.key }) { hash.combine([0, output, leaf]) }
    for (output, value) in carriedDonors.sorted(by: { $0.key < $1.key }) { hash.combine([1, output, value]) }
  }
}

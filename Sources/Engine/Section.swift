// What a plan does between two breaks: pieces of straight code, loops and branches in order, and what is printed on the way.
// Not compiled yet: graphs and where their parameters come from. Surprise: a section hands its results over in memory, so
// whatever later sections read is a result of the piece before; a loop's results are memory that nobody else holds.
import Basics
import GraphIR
import TensorTypes

extension Trace {
  /// A finished piece of a trace, and the sections that run before it.
  package struct Piece: Sendable {
    package var graph: Graph
    package var sources: [Source]
    /// Output -> the leaf whose memory it is written into.
    package var donors: [Int: Int]
    /// Output -> the carried value, which nobody reads later, whose memory it is written into.
    package var carriedDonors: [Int: Int] = [:]
    package var before: [Section] = []
    /// Outputs behind these are only printed.
    package var resultCount: Int
    package var prints: [Print] = []
    /// Where its nodes come from, by the numbers that they have.
    package var origins: [Diagnostic.Origin] = []
    /// Values carried before the first of the sections.
    package var carriedBefore = 0

    package init(graph: Graph, sources: [Source], donors: [Int: Int]) {
      self.graph = graph
      self.sources = sources
      self.donors = donors
      resultCount = graph.outputs.count
    }
  }

  /// A tensor that is printed when the piece has run.
  package struct Print: Sendable, Hashable {
    package var label: String
    package var output: Int
  }

  package indirect enum Section: Sendable {
    /// Its outputs are carried.
    case piece(Piece)
    case loop(Loop)
    case branch(Branch)
  }

  /// Where a tensor is that needs no computation any more.
  package enum Location: Sendable, Hashable {
    /// Output `i` of the last piece.
    case output(Int)
    case leaf(Int)
    case carried(Int)

    package init?(_ source: Source) {
      switch source {
      case .leaf(let i): self = .leaf(i)
      case .carried(let i): self = .carried(i)
      case .constant: return nil
      }
    }
  }

  /// A closure that was captured once, to be run often. Its leaves are its tensors, then `captured`.
  package struct Routine: Sendable {
    package var piece: Piece
    /// Its tensor results.
    package var results: [Location]
    /// Leaves whose memory it writes over.
    package var taken: Set<Int>
    /// What it reads of the code around it.
    package var captured: [Source] = []
    /// Answers about its own extents that hold on each trip.
    package var guards: [DimGuard]
  }

  /// A loop on memory that it reuses: the first tensors of the state, then a step again and again.
  package struct Loop: Sendable {
    package enum Kind: Sendable {
      /// While an element is true: `test` says whether to start, the step's last result whether to go on.
      case whileTrue(test: Routine)
      case counted(Dim)
    }
    package enum Start: Sendable {
      case source(Source)
      /// Memory without a value.
      case fresh(TensorType)
    }
    package var name: String
    package var location: Diagnostic.Location?
    package var kind: Kind
    package var step: Routine
    package var initial: [Start] = []
    /// Tensors of the state that it gives: the others are as they were.
    package var results: [Int]
    /// Extents of its own, symbols from `symbolCount` on: their first values, and the next ones in terms of all symbols.
    package var dims: [(first: Dim, next: Dim)]
    package var symbolCount: Int
    /// Tensors of `initial` that nobody reads later: their memory is the loop's.
    package var overwrites: Set<Int> = []

    package init(
      name: String, location: Diagnostic.Location?, kind: Kind, step: Routine, results: [Int],
      dims: [(first: Dim, next: Dim)], symbolCount: Int
    ) {
      self.name = name
      self.location = location
      self.kind = kind
      self.step = step
      self.results = results
      self.dims = dims
      self.symbolCount = symbolCount
    }
  }

  /// One of two closures, by an element.
  package struct Branch: Sendable {
    package var name: String
    package var location: Diagnostic.Location?
    package var predicate: Source = .carried(0)
    package var routines: [Routine]
    package var symbolCount: Int

    package init(name: String, location: Diagnostic.Location?, routines: [Routine], symbolCount: Int) {
      self.name = name
      self.location = location
      self.routines = routines
      self.symbolCount = symbolCount
    }
  }

  /// Something about a capture that its user should know.
  package struct Remark: Sendable, Hashable {
    package var text: String
    package var location: Diagnostic.Location?
    package init(_ text: String, _ location: Diagnostic.Location? = nil) {
      self.text = text
      self.location = location
    }
  }
}

// MARK: Lifetimes

extension Trace.Piece {
  /// Lets loops write over what nobody reads later. `kept`: places that must last. `mayTake`: leaves whose memory is there
  /// to be written over. Gives the leaves that are.
  package mutating func reuseMemory(kept: Set<Trace.Location>, mayTake: Set<Int>) -> Set<Int> {
    guard !before.isEmpty else { return [] }
    var later = kept.union(reads)
    var taken: Set<Int> = []
    for i in before.indices.reversed() {
      guard case .loop(var loop) = before[i] else {
        later.formUnion(before[i].reads)
        continue
      }
      let reads = before[i].reads
      for (slot, start) in loop.initial.enumerated() {
        guard case .source(let source) = start, let place = Trace.Location(source), !later.contains(place),
          reads.count(where: { $0 == place }) == 1
        else { continue }
        switch place {
        case .leaf(let leaf): if mayTake.contains(leaf) { taken.insert(leaf) } else { continue }
        case .carried(let number): if number < carriedBefore { continue }
        case .output: continue
        }
        loop.overwrites.insert(slot)
      }
      before[i] = .loop(loop)
      later.formUnion(reads)
    }
    donors = donors.filter { !taken.contains($0.value) }
    return taken
  }
}

extension Trace.Piece {
  /// Where the parameters come from that the graph needs. What is only alive beside it is declared too.
  fileprivate var reads: [Trace.Location] {
    graph.liveParameters.compactMap { Trace.Location(sources[$0]) }
  }
}

extension Trace.Section {
  /// What it reads of the code around it, as often as it does.
  var reads: [Trace.Location] {
    let sources: [Trace.Source]
    switch self {
    case .piece(let piece): return piece.reads
    case .loop(let loop):
      let first = loop.initial.compactMap { if case .source(let source) = $0 { source } else { nil } }
      sources = first + loop.routines.flatMap(\.captured)
    case .branch(let branch): sources = [branch.predicate] + branch.routines.flatMap(\.captured)
    }
    return sources.compactMap { Trace.Location($0) }
  }
}

extension Trace.Loop {
  package var routines: [Trace.Routine] {
    if case .whileTrue(let test) = kind { [test, step] } else { [step] }
  }
}

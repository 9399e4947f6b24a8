// What pieces of a capture compute, as a key and as a comparison: equal keys share compiled code, and a second capture
// must be the same as the first. Not the compiled code. Surprise: the key knows large constants by their place in memory,
// which a function's captures agree on (KnownConstants.swift).
import Basics
import Engine
import GraphIR
import TensorTypes

/// Where equal keys mean the same.
enum KeyReach {
  /// In this process: large constants are known by their place in memory.
  case process
  /// In every process of this build: constants are known by their types, and what they hold does not count.
  case everywhere
}

extension Trace.Piece {
  /// Equal for pieces that compute the same on the same sources; the same whether or not a capture runs, which would
  /// put numbers for the names of sizes.
  func key(_ reach: KeyReach) -> StableHash { Trace.outside { () throws(Never) in named(reach) } }

  private func named(_ reach: KeyReach) -> StableHash {
    var key = graph.structuralHash
    for source in sources { source.identify(&key, reach) }
    for (output, leaf) in donors.sorted(by: { $0.key < $1.key }) { key.combine("d\(output) \(leaf)") }
    for (output, value) in carriedDonors.sorted(by: { $0.key < $1.key }) { key.combine("c\(output) \(value)") }
    if !prints.isEmpty { key.combine(resultCount) }
    for print in prints { key.combine("p\(print.output) \(print.label)") }
    for section in before { section.identify(&key, reach) }
    return key
  }

  /// The same graphs on the same sources, sizes being expressions as in ``key(_:)``.
  func isSame(as other: Trace.Piece) -> Bool { Trace.outside { () throws(Never) in matches(other) } }

  private func matches(_ other: Trace.Piece) -> Bool {
    graph.structuralHash == other.graph.structuralHash && prints == other.prints
      && sources.count == other.sources.count && before.count == other.before.count
      && zip(sources, other.sources).allSatisfy { $0.isSame(as: $1) }
      && zip(before, other.before).allSatisfy { $0.isSame(as: $1) }
  }
}

extension Trace.Source {
  func identify(_ key: inout StableHash, _ reach: KeyReach) {
    switch self {
    case .leaf(let i): key.combine([0, i])
    case .constant(let view):
      switch reach {
      case .process: view.identify(&key)
      // Its type is in the graph.
      case .everywhere: key.combine([1])
      }
    case .carried(let i): key.combine([2, i])
    }
  }

  func isSame(as other: Trace.Source) -> Bool {
    switch (self, other) {
    case (.leaf(let i), .leaf(let j)): i == j
    case (.carried(let i), .carried(let j)): i == j
    case (.constant(let x), .constant(let y)): x.hasSameElements(as: y)
    case (.leaf, _), (.carried, _), (.constant, _): false
    }
  }
}

extension Trace.Section {
  func identify(_ key: inout StableHash, _ reach: KeyReach) {
    switch self {
    case .piece(let piece): key.combine(piece.key(reach))
    case .loop(let loop):
      switch loop.kind {
      case .whileTrue: key.combine("while")
      case .counted(let count): key.combine("for \(count)")
      }
      for start in loop.initial {
        switch start {
        case .source(let source): source.identify(&key, reach)
        case .fresh(let type): key.combine("\(type)")
        }
      }
      key.combine(
        "\(loop.symbolCount) \(loop.dims.map { "\($0.first) \($0.next)" }) \(loop.overwrites.sorted()) \(loop.results)")
      for routine in loop.routines { routine.identify(&key, reach) }
    case .branch(let branch):
      key.combine("branch \(branch.symbolCount)")
      branch.predicate.identify(&key, reach)
      for routine in branch.routines { routine.identify(&key, reach) }
    }
  }

  func isSame(as other: Trace.Section) -> Bool {
    switch (self, other) {
    case (.piece(let a), .piece(let b)): return a.isSame(as: b)
    case (.loop(let a), .loop(let b)):
      switch (a.kind, b.kind) {
      case (.whileTrue, .whileTrue): break
      case (.counted(let x), .counted(let y)): if !x.isIdentical(to: y) { return false }
      case (.whileTrue, _), (.counted, _): return false
      }
      guard a.initial.count == b.initial.count, a.dims.count == b.dims.count else { return false }
      return zip(a.initial, b.initial).allSatisfy { x, y in
        switch (x, y) {
        case (.source(let x), .source(let y)): x.isSame(as: y)
        case (.fresh(let x), .fresh(let y)): x == y
        case (.source, _), (.fresh, _): false
        }
      } && zip(a.dims, b.dims).allSatisfy { $0.first.isIdentical(to: $1.first) && $0.next.isIdentical(to: $1.next) }
        && zip(a.routines, b.routines).allSatisfy { $0.isSame(as: $1) }
    case (.branch(let a), .branch(let b)):
      return a.predicate.isSame(as: b.predicate) && zip(a.routines, b.routines).allSatisfy { $0.isSame(as: $1) }
    case (.piece, _), (.loop, _), (.branch, _): return false
    }
  }
}

extension Trace.Routine {
  func identify(_ key: inout StableHash, _ reach: KeyReach) {
    key.combine(piece.key(reach))
    key.combine("\(results) \(taken.sorted()) \(guards)")
    for source in captured { source.identify(&key, reach) }
  }

  func isSame(as other: Trace.Routine) -> Bool {
    piece.isSame(as: other.piece) && results == other.results && guards == other.guards
      && captured.count == other.captured.count && zip(captured, other.captured).allSatisfy { $0.isSame(as: $1) }
  }
}

extension TensorView {
  /// Two constants with one identity have the same elements.
  func identify(_ key: inout StableHash) {
    guard elementCount * dtype.size <= Self.comparedBytes else { return key.combine("c\(UInt(bitPattern: base))") }
    key.combine("\(dtype)\(extents)")
    forEachRun { key.combine($0) }
  }
}

// One run of the user's function on traced tensors: graphs are cut where values leave, and may be run on the way.
// Not a replay. Surprise: after a break every tensor that is still alive becomes an input of the next segment; what is
// dead by then stays inside its segment and may be fused away.
import Basics
import Engine
import GraphIR
import Synchronization
import TensorTypes

/// How a function is captured.
public enum CaptureMode: String, Sendable, Hashable {
  /// A value that leaves the function ends a segment; the capture goes on behind it.
  case partial
  /// A value that leaves the function is an error, unless constants alone decide it.
  case whole
}

/// What happened at one break of a run.
struct SessionBreak: Sendable {
  var segment: Segment
  var site: BreakSite
  /// The handed-out elements.
  var value: TensorView
  /// What later segments may read: the results of the segment's sections, and its outputs behind the handed-out one.
  var handed: [TensorView]

  init(
    _ segment: Segment, _ site: BreakSite, _ frame: CallFrame, _ carried: [TensorView], _ arguments: [Int64]
  ) throws(Diagnostic) {
    var all = carried
    let outputs = try frame.run(segment, &all, arguments, isLast: false)
    (self.segment, self.site, value) = (segment, site, outputs[0])
    handed = Array(all.dropFirst(carried.count)) + outputs.dropFirst()
  }

  /// The element as a key; nil for whole arrays and floats, which have too many values.
  var bits: UInt64? {
    guard site.kind == .item, !value.dtype.isFloating, value.elementCount == 1 else { return nil }
    var bits: UInt64 = 0
    withUnsafeMutableBytes(of: &bits) { target in
      target.copyMemory(from: UnsafeRawBufferPointer(start: value.base, count: value.dtype.size))
    }
    return bits
  }
}

extension Session.State {
  /// Outputs that were written in place are the carried values from `first` on, behind the handed-out one.
  fileprivate mutating func settle(_ piece: Trace.Piece, _ first: Int) {
    for (output, leaf) in piece.donors { residents[leaf] = first + output - 1 }
    for (output, value) in piece.carriedDonors {
      for (leaf, resident) in residents where resident == value { residents[leaf] = first + output - 1 }
    }
  }
}

extension Trace.Piece {
  /// Living values that are a leaf of the state, or an earlier value, with ranges written into it, where nobody holds the
  /// older version: they are written where that is. The first output is handed out.
  fileprivate mutating func findDonors(held: Set<Value>, stateCount: Int) {
    var roots: [Value: Int] = [:]
    for value in graph.outputs { roots[RangeWrite.chain(value, graph)?.root ?? value, default: 0] += 1 }
    for (output, value) in graph.outputs.prefix(resultCount).enumerated().dropFirst() {
      guard let chain = RangeWrite.chain(value, graph), roots[chain.root] == 1, !held.contains(chain.root) else {
        continue
      }
      switch sources[chain.parameter] {
      case .leaf(let leaf) where leaf < stateCount: donors[output] = leaf
      case .carried(let i): carriedDonors[output] = i
      case .leaf, .constant: break
      }
    }
  }
}

final class Session: Sendable {
  struct State: Sendable {
    var breaks: [SessionBreak] = []
    var carried: [TensorView] = []
    /// Leaves of the state that are written in place, and the value that is in their memory now.
    var residents: [Int: Int] = [:]
  }
  private let state: Mutex<State>
  private let frame: CallFrame
  private let arguments: [Int64]
  private let mode: CaptureMode
  private let segments: SegmentCache
  /// Breaks of this call that ran already: they are matched, not run again.
  private let known: [SessionBreak]
  /// The first break behind the known ones is open: it has had too many values to make a path for each.
  private let isOpen: Bool
  /// The sizes of the capture are those of the arguments, so that a segment may run.
  private let isReal: Bool

  init(
    _ frame: CallFrame, _ arguments: [Int64], _ mode: CaptureMode, _ segments: SegmentCache,
    known: [SessionBreak], isOpen: Bool, isReal: Bool
  ) {
    self.frame = frame
    self.arguments = arguments
    self.mode = mode
    self.segments = segments
    self.known = known
    self.isOpen = isOpen
    self.isReal = isReal
    state = Mutex(State())
  }

  var breaks: [SessionBreak] { state.withLock { $0.breaks } }
  var carried: [TensorView] { state.withLock { $0.carried } }

  /// Ends the segment, runs it unless it ran already, and hands the elements out.
  func handOut(
    _ trace: Trace, _ view: ViewPath, _ kind: Trace.BreakKind, _ location: Diagnostic.Location?
  ) throws(Diagnostic) -> TensorView {
    if mode == .whole { throw Self.refused(location) }
    let dtype = try trace.dtype(of: view)
    let alive = trace.livingValues()
    let living = alive.filter { $0.source == nil }
    let asked = try trace.values([TensorView(reading: view, dtype)])
    var piece = try trace.piece(asked + living.map(\.value))
    piece.findDonors(held: Set(alive.filter { $0.source != nil }.map(\.value)), stateCount: frame.stateCount)
    let number = state.withLock { $0.breaks.count }
    let made: SessionBreak
    if number < known.count {
      made = known[number]
      guard piece.key(.process) == made.segment.key else { throw Self.differs(location) }
    } else if !isReal {
      let refusal = Diagnostic(.compiler, "a value leaves the function at sizes that its arguments do not have")
      trace.note(refusal)
      throw refusal
    } else {
      made = try Trace.outside { () throws(Diagnostic) in
        let segment = try segments.segment(piece)
        let numbers = self.arguments + trace.numbers
        return try SessionBreak(segment, BreakSite(kind: kind, location: location), frame, carried, numbers)
      }
    }
    let first = state.withLock { state in
      state.breaks.append(made)
      state.carried += made.handed
      let first = state.carried.count - living.count
      state.settle(piece, first)
      return first
    }
    let carriers = living.enumerated().map { i, cell in
      (cell: cell.cell, source: Trace.Source.carried(first + i), type: piece.graph.type(cell.value))
    }
    let arguments = alive.compactMap { cell in
      cell.source.map { (cell: cell.cell, source: $0, type: piece.graph.type(cell.value)) }
    }
    trace.restart(carriers + arguments, carried: first + living.count)
    // Paths agree on all that is before the open break: what was a number there stays one.
    if made.bits == nil || isOpen && number >= known.count { trace.takeNumbers() }
    return made.value
  }

  // MARK: In place

  /// Carried value `i` is in the memory of leaf `leaf`.
  func isInPlace(_ leaf: Int, _ i: Int) -> Bool { state.withLock { $0.residents[leaf] == i } }
  /// Leaves whose memory holds a carried value.
  var inPlace: Set<Int> { state.withLock { Set($0.residents.keys) } }

  /// At the end: new versions of leaves go where the version they extend is, or where the old one was. `kept`: what must
  /// last.
  func addDonors(to piece: inout Trace.Piece, versions: [Int: Int], kept: Set<Trace.Location>) {
    let residents = state.withLock { $0.residents }
    var used = kept
    for (output, leaf) in versions.sorted(by: { $0.key < $1.key }) {
      var donor = residents[leaf].map { Trace.Location.carried($0) } ?? .leaf(leaf)
      if let chain = RangeWrite.chain(piece.graph.outputs[output], piece.graph),
        case .carried(let i) = piece.sources[chain.parameter]
      {
        donor = .carried(i)
      }
      if !used.insert(donor).inserted { continue }
      switch donor {
      case .leaf(let leaf): piece.donors[output] = leaf
      case .carried(let i): piece.carriedDonors[output] = i
      case .output: break
      }
    }
  }

  static func refused(_ location: Diagnostic.Location?) -> Diagnostic {
    Diagnostic(
      .compiler, "a value leaves the compiled function here, and its mode is .whole",
      remedy:
        "choose with select or cond instead of reading the value, read it after the call, or use mode: .partial",
      location: location)
  }

  /// - Parameter what: the first difference, if it is known.
  static func differs(_ location: Diagnostic.Location?, _ what: CaptureDifference? = nil) -> Diagnostic {
    Diagnostic(
      .compiler,
      "the compiled function did something else when it was captured again with the same arguments"
        + (what.map { ": \($0.text)" } ?? ""),
      remedy:
        "a compiled function may depend on its arguments only: pass what changes as an argument, and random numbers "
        + "by a generator", location: what?.location ?? location)
  }
}

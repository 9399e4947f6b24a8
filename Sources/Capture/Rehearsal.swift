// A call without memory and kernels: blocks that only count their bytes, held as long as the call would hold theirs.
// Not the allocator's own count. Surprise: what only values decide is rehearsed at both ends: loops with no trip and with
// so many that nothing changes any more, branches and paths by the smaller and the larger.
import Basics
import Engine
import Execution
import TensorTypes

/// Counts what is in use.
private final class Meter {
  /// Bytes.
  private(set) var inUse = 0
  /// The most so far.
  var most = 0
  /// A loop keeps ranges: each trip takes more than the one before.
  var isGrowing = false
  /// Bytes of ranges that are kept until the call has succeeded.
  var kept = 0 {
    didSet { inUse += kept - oldValue }
  }

  func take(_ bytes: Int) {
    inUse += bytes
    most = max(most, inUse)
  }
  func giveBack(_ bytes: Int) { inUse -= bytes }
}

/// Memory that is not there.
private final class Reservation {
  private let meter: Meter
  private let bytes: Int

  init(_ bytes: Int, _ meter: Meter) {
    (self.meter, self.bytes) = (meter, bytes)
    meter.take(bytes)
  }

  deinit { meter.giveBack(bytes) }
}

/// A tensor of a rehearsal.
struct Phantom {
  let type: DType
  let extents: [Int]
  /// In a leaf's memory. What is written of those is the caller's state, which is restored if the call fails.
  let isLeaf: Bool
  /// nil: the memory is there before the call.
  private let block: Reservation?

  init(_ type: DType, _ extents: [Int], isLeaf: Bool = false) {
    (self.type, self.extents, self.isLeaf, block) = (type, extents, isLeaf, nil)
  }

  fileprivate init(_ type: DType, _ extents: [Int], _ meter: Meter) throws(Diagnostic) {
    (self.type, self.extents, isLeaf) = (type, extents, false)
    block = Reservation(try Allocator.bytes(for: try Engine.byteCount(type, extents)), meter)
  }
}

/// Where a rehearsed segment finds its leaves and earlier values.
struct Rehearsal: Workplace {
  enum Choice { case least, most }
  private let choice: Choice
  private let meter: Meter
  private var leaves: Leaves
  /// Leaves that are not row-major: kernels get copies.
  private var gaps: Set<Int>
  private var carried: [Phantom] = []
  /// The call can be taken back: what it overwrites is kept.
  private var keeps = false

  /// A model has hundreds, of which few matter here: they are made when somebody asks.
  private struct Leaves {
    /// nil: all are known.
    var signature: CallSignature?
    var values: [Int] = []
    var known: [Int: Phantom] = [:]

    /// nil: no tensor.
    subscript(_ leaf: Int) -> Phantom? {
      known[leaf]
        ?? signature?.type(leaf).map { type in
          Phantom(type.dtype, type.shape.dims.map { $0.evaluated(values) ?? 0 }, isLeaf: true)
        }
    }
  }

  /// A call of `signature`, whose symbols are `values`.
  init(_ choice: Choice, _ signature: CallSignature, _ values: [Int], gaps: Set<Int>) {
    (self.choice, self.gaps) = (choice, gaps)
    leaves = Leaves(signature: signature, values: values)
    meter = Meter()
  }

  private init(inside outer: Rehearsal, _ leaves: [Phantom?]) {
    (choice, meter, self.leaves, gaps) = (outer.choice, outer.meter, Leaves(), [])
    for (i, leaf) in leaves.enumerated() { self.leaves.known[i] = leaf }
  }

  // MARK: Paths

  /// The most bytes in use on the way from `node` to the end.
  mutating func peak(from node: PlanNode, _ arguments: [Int64]) throws(Diagnostic) -> Int {
    if case .end(let ending) = node.next {
      let written = node.segment.writtenLeaves
      let ranges = node.segment.mayFail ? node.segment.rangesOfLoops : Set(ending.taken)
      for leaf in ending.taken where !written.contains(leaf) && !ranges.contains(leaf) {
        leaves.known[leaf] = try leaves[leaf].map { leaf throws(Diagnostic) in try copy(leaf) }
      }
      let results = try run(node.segment, arguments, isLast: true)
      return withExtendedLifetime(results) { meter.most }
    }
    let handed = try run(node.segment, arguments, isLast: false)
    carried += handed.dropFirst()
    let here = meter.most
    return try withExtendedLifetime(handed) { () throws(Diagnostic) in
      try chosen(node.values.map(\.node), here) { node throws(Diagnostic) in
        var path = self
        return try path.peak(from: node, arguments)
      }
    }
  }

  /// The smallest or the largest of what `peak` gives for the alternatives, each from `here`; `here` if there is none.
  private func chosen<T>(
    _ alternatives: [T], _ here: Int, _ peak: (T) throws(Diagnostic) -> Int
  ) throws(Diagnostic) -> Int {
    var peaks: [Int] = []
    var failure: Diagnostic?
    for alternative in alternatives {
      meter.most = here
      let kept = meter.kept
      defer { meter.kept = kept }
      do throws(Diagnostic) { peaks.append(try peak(alternative)) } catch { failure = error }
    }
    // What fails on one path need not be taken.
    if let failure, choice == .most || peaks.isEmpty { throw failure }
    return (choice == .least ? peaks.min() : peaks.max()) ?? here
  }

  /// A segment of the call itself.
  private mutating func run(
    _ segment: Segment, _ arguments: [Int64], isLast: Bool
  ) throws(Diagnostic) -> [Phantom] {
    var places: [Int: Phantom] = [:]
    for donation in segment.donations {
      let memory: Phantom?
      switch donation.donor {
      case .leaf(let leaf):
        memory = leaves[leaf]
        places[donation.output] = memory
      case .carried(let i) where i < carried.count: memory = carried[i]
      case .carried, .output: memory = nil
      }
      if let memory, !isLast || donation.mayBeHalfWritten { try note(memory, donation.ranges, arguments) }
    }
    keeps = !isLast || segment.mayFail
    return try sections(segment, arguments, into: places)
  }

  private func note(_ memory: Phantom, _ ranges: [RangeWrite], _ arguments: [Int64]) throws(Diagnostic) {
    guard memory.isLeaf else { return }
    let numbers = arguments.map { Int($0) }
    var bytes = 0
    for range in ranges {
      bytes += try Engine.byteCount(memory.type, range.counts.map { $0.evaluated(numbers) ?? 0 })
    }
    meter.kept += try Allocator.bytes(for: bytes)
    meter.take(0)
  }

  /// What `Segment.run` does.
  private mutating func sections(
    _ segment: Segment, _ arguments: [Int64], into given: [Int: Phantom]
  ) throws(Diagnostic) -> [Phantom] {
    for section in segment.before {
      switch section {
      case .piece(let piece): carried += try sections(piece, arguments, into: [:])
      case .loop(let loop): loop.carry(try loop.run(on: self, arguments).results, on: &carried)
      case .branch(let branch): carried += try results(of: branch, arguments)
      }
    }
    let graph = segment.compiled
    if graph.outputs.isEmpty { return [] }
    var places = given
    for donation in segment.donations {
      if case .carried(let i) = donation.donor { places[donation.output] = carried[i] }
    }
    let extents = try graph.outputExtents(Array(arguments.prefix(graph.argumentCount)))
    var outputs: [Phantom] = []
    for (i, output) in graph.outputs.enumerated() {
      if let place = places[i] {
        outputs.append(place)
      } else {
        outputs.append(try memory(output.dtype, extents[i]))
      }
    }
    var copies: [Phantom] = []
    if !gaps.isEmpty {
      for case .leaf(let i) in segment.sources where gaps.contains(i) {
        if let leaf = leaves[i] { copies.append(try copy(leaf)) }
      }
    }
    let working = Reservation(try graph.workingBytes(arguments), meter)
    withExtendedLifetime((copies, working)) {}
    return segment.withoutPrinted(outputs)
  }

  /// Those of one of its routines: all have the same types.
  private func results(of branch: Branch, _ arguments: [Int64]) throws(Diagnostic) -> [Phantom] {
    var results: [Phantom] = []
    let before = meter.most
    let peak = try chosen(branch.routines, meter.inUse) { routine throws(Diagnostic) in
      results = []
      results = try branch.run(routine, on: self, arguments)
      return meter.most
    }
    meter.most = max(before, peak)
    return results
  }

  // MARK: Loops and branches

  func held(_ source: Trace.Source) throws(Diagnostic) -> Phantom {
    switch source {
    case .constant(let view): return Phantom(view.dtype, view.extents)
    case .carried(let i): return carried[i]
    case .leaf(let i):
      guard let leaf = leaves[i] else { throw Diagnostic(.compiler, "argument \(i) is no tensor") }
      return gaps.contains(i) ? try copy(leaf) : leaf
    }
  }

  func memory(_ type: DType, _ extents: [Int]) throws(Diagnostic) -> Phantom {
    try Phantom(type, extents, meter)
  }

  func copy(_ held: Phantom) throws(Diagnostic) -> Phantom { try memory(held.type, held.extents) }
  func extents(_ held: Phantom) -> [Int] { held.extents }

  func captures(_ routine: Routine) throws(Diagnostic) -> [Phantom?] {
    var captures: [Phantom?] = []
    for source in routine.captured { captures.append(try held(source)) }
    return captures
  }

  func run(
    _ routine: Routine, _ state: [Phantom?], _ captures: [Phantom?], _ arguments: [Int64], into memory: [Int: Phantom]
  ) throws(Diagnostic) -> [Phantom] {
    var inner = Rehearsal(inside: self, state + captures)
    let outputs = try inner.sections(routine.segment, arguments, into: memory)
    return routine.results.compactMap { place in
      switch place {
      case .output(let i): outputs[i]
      case .carried(let i): inner.carried[i]
      case .leaf(let i): inner.leaves[i]
      }
    }
  }

  /// Places that members take turns in are settled when each of them could have been in the place of each other.
  func isTrue(_ held: Phantom, trips: Int, of members: Int) throws(Diagnostic) -> Bool {
    if choice == .least { return false }
    if trips >= members + 2, meter.isGrowing {
      throw Diagnostic(.memory, "what a loop takes depends on how many trips it makes")
    }
    return !isEnough(trips, of: members)
  }

  func isEnough(_ trips: Int, of members: Int) -> Bool { trips >= members + 2 && !meter.isGrowing }

  func keep(_ held: Phantom, _ ranges: [RangeWrite], _ arguments: [Int64]) throws(Diagnostic) {
    guard keeps, held.isLeaf else { return }
    meter.isGrowing = true
    try note(held, ranges, arguments)
  }
}

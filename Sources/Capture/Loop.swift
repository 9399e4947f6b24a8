// A loop of a plan: one compiled step on memory that is used again on each trip. Not captured code any more.
// Surprise: a tensor that a step writes ranges of stays where it is; one that is computed anew has two places that take
// turns; and nobody else holds what the loop gives, even after no trip at all.
import Basics
import Engine
import Synchronization
import TensorTypes

/// A closure, compiled.
struct Routine: Sendable {
  let segment: Segment
  let results: [Trace.Location]
  let taken: [Int]
  let captured: [Trace.Source]
  let guards: [DimGuard]
  /// Output -> the leaf whose memory it is written into.
  let donors: [Int: Int]

  init(_ routine: Trace.Routine, _ segments: SegmentCache) throws(Diagnostic) {
    segment = try segments.segment(routine.piece)
    results = routine.results
    taken = routine.taken.sorted()
    captured = routine.captured
    guards = routine.guards
    donors = routine.piece.donors
  }
}

final class Loop: Sendable {
  let name: String
  let location: Diagnostic.Location?
  /// nil: counted.
  let test: Routine?
  let count: Dim
  let step: Routine
  private let initial: [Trace.Loop.Start]
  private let dims: [(first: Dim, next: Dim)]
  private let symbolCount: Int
  private let overwrites: Set<Int>
  private let results: [Int]
  /// Every trip takes as much memory as the others, but for the first.
  private let isEven: Bool
  private let lastTrips = Atomic<Int>(-1)

  init(_ loop: Trace.Loop, _ segments: SegmentCache) throws(Diagnostic) {
    name = loop.name
    location = loop.location
    switch loop.kind {
    case .whileTrue(let routine): (test, count) = (try Routine(routine, segments), 0)
    case .counted(let number): (test, count) = (nil, number)
    }
    step = try Routine(loop.step, segments)
    initial = loop.initial
    dims = loop.dims
    symbolCount = loop.symbolCount
    overwrites = loop.overwrites
    results = loop.results
    isEven =
      step.segment.before.allSatisfy { if case .piece = $0 { true } else { false } }
      && step.segment.whole.allSatisfy { !$0.compiled.sizesDepend(onSymbolsFrom: loop.symbolCount) }
  }

  var mayFail: Bool {
    ([test, step] as [Routine?]).contains { $0.map { !$0.guards.isEmpty || $0.segment.mayFail } ?? false }
  }

  /// Trips of the last run; nil: it never ran.
  var trips: Int? {
    let count = lastTrips.load(ordering: .relaxed)
    return count < 0 ? nil : count
  }

  /// Leaves around it whose memory it takes, and writes ranges of.
  var leavesWithRanges: Set<Int> {
    var found: Set<Int> = []
    for (slot, start) in initial.enumerated() where overwrites.contains(slot) && step.donors.values.contains(slot) {
      if case .source(.leaf(let leaf)) = start { found.insert(leaf) }
    }
    return found
  }

  /// What it changes of the state, behind the last trip.
  func run(_ place: CallSite, _ given: [Int64]) throws(Diagnostic) -> [TensorView] {
    let (results, trips) = try run(on: place, given)
    lastTrips.store(trips, ordering: .relaxed)
    return results
  }

  /// As above, and how many trips it took.
  func run<W: Workplace>(on place: W, _ given: [Int64]) throws(Diagnostic) -> (results: [W.Held], trips: Int) {
    var symbols = given.prefix(symbolCount).map { Int($0) }
    for dim in dims { symbols.append(try value(dim.first, symbols)) }
    var state = LoopState(on: place, count: initial.count)
    for (slot, start) in initial.enumerated() {
      switch start {
      case .source(let source):
        state.members[slot] = try place.held(source)
        state.isOwned[slot] = overwrites.contains(slot)
      case .fresh(let type):
        var extents: [Int] = []
        for dim in type.shape.dims { extents.append(try value(dim, symbols)) }
        state.members[slot] = try place.memory(type.dtype, extents)
        state.isOwned[slot] = true
      }
    }
    let captures = try place.captures(step)
    var trips = 0
    var goesOn: Bool
    if let test {
      let arguments = symbols.map { Int64($0) }
      try check(test, symbols, trips)
      let answer = try place.run(test, state.members, place.captures(test), arguments, into: [:])
      goesOn = try place.isTrue(answer[0], trips: 0, of: initial.count)
    } else {
      goesOn = try value(count, symbols) > 0
    }
    let last = test == nil ? try value(count, symbols) : .max
    while goesOn {
      try check(step, symbols, trips)
      let arguments = symbols.map { Int64($0) }
      let rest = try state.advance(step, captures, arguments)
      var next = Array(symbols.prefix(symbolCount))
      for dim in dims { next.append(try value(dim.next, symbols)) }
      symbols = next
      trips += 1
      goesOn =
        if let answer = rest.first {
          try place.isTrue(answer, trips: trips, of: initial.count)
        } else {
          trips < last && !(isEven && place.isEnough(trips, of: initial.count))
        }
    }
    return (try state.handedOver(results), trips)
  }

  /// Appends its results to the values. Memory that it took is left only if a result is in it.
  func carry<Held>(_ results: [Held], on carried: inout [Held]) {
    for (slot, start) in initial.enumerated() where overwrites.contains(slot) {
      if case .source(.carried(let i)) = start, let n = self.results.firstIndex(of: slot) { carried[i] = results[n] }
    }
    carried += results
  }

  private func value(_ dim: Dim, _ symbols: [Int]) throws(Diagnostic) -> Int {
    if case .failed(let diagnostic)? = dim.expression { throw diagnostic }
    guard let value = dim.evaluated(symbols) else {
      throw Diagnostic(.shape, "\(name): the extent \(dim) has no value at \(symbols)", location: location)
    }
    return value
  }

  private func check(_ routine: Routine, _ symbols: [Int], _ trip: Int) throws(Diagnostic) {
    for guarded in routine.guards where !guarded.holds(symbols) {
      throw Diagnostic(
        .shape, "\(name): trip \(trip + 1) is unlike the captured one: that \(guarded) does not hold any more",
        remedy: "decide with tensors (cond, select) what changes from trip to trip, or carry a tensor instead of a Dim",
        location: location)
    }
  }
}

/// The tensors of a loop, and the memory they take turns in.
private struct LoopState<W: Workplace> {
  let place: W
  var members: [W.Held?]
  /// Nobody else reads the memory.
  var isOwned: [Bool]
  /// By output of the step.
  private var spares: [Int: W.Held] = [:]

  init(on place: W, count: Int) {
    self.place = place
    members = Array(repeating: nil, count: count)
    isOwned = Array(repeating: false, count: count)
  }

  /// One trip; gives the step's results behind the state.
  mutating func advance(
    _ step: Routine, _ captures: W.Captures, _ arguments: [Int64]
  ) throws(Diagnostic) -> ArraySlice<W.Held> {
    for slot in step.taken where !isOwned[slot] {
      members[slot] = try members[slot].map { member throws(Diagnostic) in try place.copy(member) }
      isOwned[slot] = true
    }
    var memory = spares
    for (output, slot) in step.donors { memory[output] = members[slot] }
    for donation in step.segment.donations {
      if let old = memory[donation.output] { try place.keep(old, donation.ranges, arguments) }
    }
    let results = try place.run(step, members, captures, arguments, into: memory)
    spares = [:]
    let places = step.results.prefix(members.count)
    var owned: [Bool] = []
    for place in places {
      let isAlone = step.results.count(where: { $0 == place }) == 1
      switch place {
      case .output, .carried: owned.append(isAlone)
      case .leaf(let leaf): owned.append(isAlone && leaf < members.count && isOwned[leaf])
      }
    }
    // What a result leaves behind is its place on the next trip.
    for (slot, result) in places.enumerated() {
      guard case .output(let output) = result, step.donors[output] == nil, isOwned[slot], !step.taken.contains(slot),
        !step.results.contains(.leaf(slot)), let old = members[slot],
        place.extents(old) == place.extents(results[slot])
      else { continue }
      spares[output] = old
    }
    for slot in members.indices { members[slot] = results[slot] }
    isOwned = owned
    return results.dropFirst(members.count)
  }

  /// The tensors in `slots`, in memory of their own.
  func handedOver(_ slots: [Int]) throws(Diagnostic) -> [W.Held] {
    var result: [W.Held] = []
    for slot in slots {
      guard let member = members[slot] else { continue }
      result.append(isOwned[slot] ? member : try place.copy(member))
    }
    return result
  }
}

/// One of two closures of a plan.
final class Branch: Sendable {
  let name: String
  let location: Diagnostic.Location?
  /// For true and for false.
  let routines: [Routine]
  private let predicate: Trace.Source
  private let symbolCount: Int

  init(_ branch: Trace.Branch, _ segments: SegmentCache) throws(Diagnostic) {
    name = branch.name
    location = branch.location
    predicate = branch.predicate
    symbolCount = branch.symbolCount
    var routines: [Routine] = []
    for routine in branch.routines { routines.append(try Routine(routine, segments)) }
    self.routines = routines
  }

  func run(_ place: CallSite, _ given: [Int64]) throws(Diagnostic) -> [TensorView] {
    let isTrue = try place.isTrue(try place.held(predicate), trips: 0, of: 0)
    return try run(routines[isTrue ? 0 : 1], on: place, given)
  }

  /// Runs one of its routines.
  func run<W: Workplace>(_ chosen: Routine, on place: W, _ given: [Int64]) throws(Diagnostic) -> [W.Held] {
    let arguments = Array(given.prefix(symbolCount))
    let made = try place.run(chosen, [], try place.captures(chosen), arguments, into: [:])
    // What a branch gives as it was belongs to others too.
    var results: [W.Held] = []
    for (result, held) in zip(chosen.results, made) {
      let isAlone = chosen.results.count(where: { $0 == result }) == 1
      if case .leaf = result {
        results.append(try place.copy(held))
      } else {
        results.append(isAlone ? held : try place.copy(held))
      }
    }
    return results
  }
}

// A loop of a plan: one compiled step on memory that is used again on each trip. Not captured code any more.
// Surprise: a tensor that a step writes ranges of stays where it is; one that is computed anew has two places that take
// turns; and nobody else holds what the loop gives, even after no trip at all.
import Basics
import Engine
import GraphIR
import Synchronization
import Tensors
import TensorTypes

/// A closure, compiled.
struct Routine: Sendable {
  let segment: Segment
  let results: [Trace.Place]
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

  /// Its leaves behind its tensors, from the code around it.
  func captures(
    _ leaves: CallLeaves, _ carried: [TensorView]
  ) throws(Diagnostic) -> ContiguousArray<Leaf> {
    var views: ContiguousArray<Leaf> = []
    for source in captured {
      let view = try source.view(leaves, carried, segment.compiled.name)
      views.append(.tensor(view.isContiguous ? Tensor(view) : try Tensor(view).contiguousCopy()))
    }
    return views
  }

  /// Runs on `leaves`; gives each result's memory.
  func run(
    _ leaves: ContiguousArray<Leaf>, _ arguments: [Int64], into memory: [Int: TensorView] = [:]
  ) throws(Diagnostic) -> [TensorView] {
    var carried: [TensorView] = []
    let outputs = try segment.run(CallLeaves(leaves), &carried, arguments, into: memory)
    var views: [TensorView] = []
    for place in results {
      switch place {
      case .output(let i): views.append(outputs[i])
      case .carried(let i): views.append(carried[i])
      case .leaf(let i):
        guard case .tensor(let tensor) = leaves[i] else { continue }
        views.append(try tensor.view)
      }
    }
    return views
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

  /// What it changes of the state, behind the last trip. `keeper` gets to see what is overwritten.
  func run(
    _ leaves: CallLeaves, _ carried: [TensorView], _ given: [Int64], _ keeper: CallFrame?
  ) throws(Diagnostic) -> [TensorView] {
    var symbols = given.prefix(symbolCount).map { Int($0) }
    for dim in dims { symbols.append(try value(dim.first, symbols)) }
    var state = LoopState(count: initial.count)
    for (slot, start) in initial.enumerated() {
      switch start {
      case .source(let source):
        let view = try source.view(leaves, carried, name)
        state.views[slot] = view.isContiguous ? view : try Tensor(view).contiguousCopy().view
        state.isOwned[slot] = overwrites.contains(slot)
      case .fresh(let type):
        var extents: [Int] = []
        for dim in type.shape.dims { extents.append(try value(dim, symbols)) }
        state.views[slot] = try Engine.current.memory(type.dtype, extents)
        state.isOwned[slot] = true
      }
    }
    let captures = try step.captures(leaves, carried)
    var trips = 0
    var goesOn: Bool
    if let test {
      let arguments = symbols.map { Int64($0) }
      try check(test, symbols, trips)
      goesOn = try test.run(state.leaves + test.captures(leaves, carried), arguments)[0].isTrue()
    } else {
      goesOn = try value(count, symbols) > 0
    }
    let last = test == nil ? try value(count, symbols) : .max
    while goesOn {
      try check(step, symbols, trips)
      let arguments = symbols.map { Int64($0) }
      let rest = try state.advance(step, captures, arguments, keeper)
      var next = Array(symbols.prefix(symbolCount))
      for dim in dims { next.append(try value(dim.next, symbols)) }
      symbols = next
      trips += 1
      goesOn = if let answer = rest.first { try answer.isTrue() } else { trips < last }
    }
    lastTrips.store(trips, ordering: .relaxed)
    return try state.handedOver(results)
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
private struct LoopState {
  var views: [TensorView?]
  /// Nobody else reads the memory.
  var isOwned: [Bool]
  /// By output of the step.
  private var spares: [Int: TensorView] = [:]

  init(count: Int) {
    views = Array(repeating: nil, count: count)
    isOwned = Array(repeating: false, count: count)
  }

  var leaves: ContiguousArray<Leaf> {
    ContiguousArray(views.map { view in view.map { .tensor(Tensor($0)) } ?? .count(0) })
  }

  /// One trip; gives the step's results behind the state.
  mutating func advance(
    _ step: Routine, _ captures: ContiguousArray<Leaf>, _ arguments: [Int64], _ keeper: CallFrame?
  ) throws(Diagnostic) -> ArraySlice<TensorView> {
    for slot in step.taken where !isOwned[slot] {
      views[slot] = try views[slot].map { view throws(Diagnostic) in try Tensor(view).contiguousCopy().view }
      isOwned[slot] = true
    }
    var memory = spares
    for (output, slot) in step.donors { memory[output] = views[slot] }
    if let keeper {
      for donation in step.segment.donations {
        if let view = memory[donation.output] { try keeper.keep(view, donation.ranges, arguments) }
      }
    }
    let results = try step.run(leaves + captures, arguments, into: memory)
    spares = [:]
    let places = step.results.prefix(views.count)
    var owned: [Bool] = []
    for place in places {
      let isAlone = step.results.count(where: { $0 == place }) == 1
      switch place {
      case .output, .carried: owned.append(isAlone)
      case .leaf(let leaf): owned.append(isAlone && leaf < views.count && isOwned[leaf])
      }
    }
    // What a result leaves behind is its place on the next trip.
    for (slot, place) in places.enumerated() {
      guard case .output(let output) = place, step.donors[output] == nil, isOwned[slot], !step.taken.contains(slot),
        !step.results.contains(.leaf(slot)), let old = views[slot], old.extents == results[slot].extents
      else { continue }
      spares[output] = old
    }
    for slot in views.indices { views[slot] = results[slot] }
    isOwned = owned
    return results.dropFirst(views.count)
  }

  /// The tensors in `slots`, in memory of their own.
  func handedOver(_ slots: [Int]) throws(Diagnostic) -> [TensorView] {
    var result: [TensorView] = []
    for slot in slots {
      guard let view = views[slot] else { continue }
      result.append(isOwned[slot] ? view : try Tensor(view).contiguousCopy().view)
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

  func run(
    _ leaves: CallLeaves, _ carried: [TensorView], _ given: [Int64]
  ) throws(Diagnostic) -> [TensorView] {
    let chosen = routines[try predicate.view(leaves, carried, name).isTrue() ? 0 : 1]
    let made = try chosen.run(try chosen.captures(leaves, carried), Array(given.prefix(symbolCount)))
    // What a branch gives as it was belongs to others too.
    var results: [TensorView] = []
    for (place, view) in zip(chosen.results, made) {
      let isAlone = chosen.results.count(where: { $0 == place }) == 1
      if case .leaf = place {
        results.append(try Tensor(view).contiguousCopy().view)
      } else {
        results.append(isAlone ? view : try Tensor(view).contiguousCopy().view)
      }
    }
    return results
  }
}

extension TensorView {
  /// Whether the only element is not zero.
  fileprivate func isTrue() throws(Diagnostic) -> Bool { try Tensor(self).item(as: Bool.self) }
}

// Loops and choices inside `compile`: their closures are captured on traces of their own and become sections of the plan.
// Not their running (Loop.swift). Surprise: a loop's closures are captured at least twice: a closure that changes something
// outside of it does something else then, and is refused; and an extent that moves from trip to trip shows.
import Basics
import Engine
import GraphIR
import Tensors
import TensorTypes

/// A loop on a capture.
struct CapturedLoop<S: Tree> {
  private let place: CallPlace
  private let trace: Trace
  private let initial: S
  private let leaves: ContiguousArray<Leaf>
  /// The tensors of the state.
  private let values: [Value]
  private let types: [TensorType]

  init(_ place: CallPlace, _ trace: Trace, _ initial: S) throws(Diagnostic) {
    self.place = place
    self.trace = trace
    self.initial = initial
    leaves = initial.leaves
    var views: [TensorView] = []
    for tensor in initial.tensors { views.append(try tensor.view) }
    values = try trace.values(views)
    var types: [TensorType] = []
    for value in values { types.append(try trace.type(of: value)) }
    self.types = types
  }

  /// What a capture of a step gave.
  private struct Step {
    var test: (code: Trace.Routine, captured: [Value])?
    var code: Trace.Routine
    var captured: [Value]
    /// Of the stack of results.
    var stack: TensorType?
    /// Members that are extents -> what the step makes of them.
    var dims: [Int: Dim]
  }
  /// An extent of the loop's own.
  private struct Moving {
    var leaf: Int
    var first: Dim
    var hint: Int
  }
  /// A value left a closure, or an operation in it needs an extent that moves as a number.
  private struct Stopped: Error {
    var remark: Trace.Remark
    var isSize = false
  }
  private typealias Body = (_ state: S, _ own: [Dim], _ inner: Trace) throws -> Step

  // MARK: The two loops

  /// nil: a value leaves the closures, and the loop is to be written out.
  func whileTrue(_ condition: (S) throws -> Tensor, _ body: (S) throws -> S) throws -> S? {
    try whereNothingLeaves {
      let (step, moving) = try settled(counts: false) { moving in
        let test = try captured("condition", moving) { state, _, inner in
          let routine = try inner.routine([asked(condition(state))])
          return Step(code: routine.code, captured: routine.captured, dims: [:])
        }
        var step = try captured("body", moving) { state, _, inner in
          let next = try body(state)
          try place.checkState(from: state, to: next)
          let again = try asked(condition(next))
          return try finished(inner, next, [again])
        }
        step.test = (test.code, test.captured)
        return step
      }
      guard let test = step.test else { return initial }
      return try append(step, .whileTrue(test: test.code), [test.captured, step.captured], moving, count: nil).state
    }
  }

  /// nil: as above.
  func along(
    _ elements: Tensor, _ body: (S, Tensor) throws -> (S, Tensor)
  ) throws -> (state: S, results: Tensor)? {
    let count = elements.shape[0]
    return try whereNothingLeaves {
      let (step, moving) = try settled(counts: true) { moving in
        try captured("step", moving, later: 1) { state, own, inner in
          let at = inner.hint(of: own[0]) ?? 0
          let element = Tensor(try elements.view.sliced(0, start: at, count: 1, dims: (own[0], 1)).removing(0))
          let (next, result) = try body(state, element)
          try place.checkState(from: state, to: next)
          let dims = try result.view.dims
          let type = TensorType(result.dtype, Shape([count] + dims))
          let stack = try inner.parameter(types.count, "results", type)
          let row = stack.sliced(0, start: at, count: 1, dims: (own[0], 1)).removing(0)
          try Tensor.copy(try result.view, into: row)
          var step = try finished(inner, next, [stack])
          step.stack = type
          return step
        }
      }
      let made = try append(step, .counted(count), [step.captured], moving, count: count)
      return made.results.map { (made.state, $0) }
    }
  }

  private func asked(_ condition: Tensor) throws(Diagnostic) -> TensorView {
    let view = try condition.view
    guard view.elementCount == 1 else {
      throw place.error(
        .shape, "the condition has the shape \(condition.shape)", "reduce it to one element with all() or any()")
    }
    return view
  }

  private func finished(_ inner: Trace, _ next: S, _ more: [TensorView]) throws(Diagnostic) -> Step {
    var views: [TensorView] = []
    var dims: [Int: Dim] = [:]
    for (i, leaf) in next.leaves.enumerated() {
      switch leaf {
      case .tensor(let tensor): views.append(try tensor.view)
      case .dim(let dim): dims[i] = dim
      case .value, .count: break
      }
    }
    // The stack is written over like the state; the test is no argument.
    let routine = try inner.routine(views + more, mayTake: Set(0..<types.count + more.count))
    return Step(code: routine.code, captured: routine.captured, dims: dims)
  }

  // MARK: Captures

  /// Captures `body` on a trace of its own, with symbols for the extents in `moving`.
  private func captured(_ part: String, _ moving: [Moving], later: Int = 0, _ body: Body) throws -> Step {
    let (inner, tensors, own) = try Trace.closure(
      "\(place.name) \(part)", inside: trace, types,
      dims: moving.indices.map { ("\(place.name)\($0)", moving[$0].hint, moving[$0].leaf < 0 ? 0 : Int(Int32.min)) },
      later: later)
    defer { inner.close() }
    var given = leaves
    var next = 0
    for (i, leaf) in leaves.enumerated() {
      guard case .tensor = leaf else { continue }
      given[i] = .tensor(Tensor(tensors[next]))
      next += 1
    }
    for (extent, dim) in zip(moving, own) where extent.leaf >= 0 { given[extent.leaf] = .dim(dim) }
    do {
      let step = try inner.capturing { () throws in
        // A visit may compute what it shows: of the closure's own tensors, so in its capture.
        try DimObservation.$observer.withValue(inner) { try body(initial.holding(given), own, inner) }
      }
      if let stop = inner.stop { throw Stopped(remark: stop) }
      if let failure = inner.failure { throw failure }
      return step
    } catch {
      if let stop = inner.stop { throw Stopped(remark: stop) }
      throw error
    }
  }

  /// Captures until it is known which extents move and which are one, and once more to see that the closures do the same
  /// again.
  private func settled(
    counts: Bool, _ capture: ([Moving]) throws -> Step
  ) throws -> (Step, [Moving]) {
    let index = counts ? [Moving(leaf: -1, first: 0, hint: 1)] : []
    var moved: Set<Int> = []
    while true {
      let names = trace.renamedCount
      let (step, moving) = try withFittingHints(index, moved, capture)
      let more = step.dims.filter { leaf, dim in
        guard !moved.contains(leaf), case .dim(let before) = leaves[leaf] else { return false }
        return !trace.renamed(dim).isIdentical(to: trace.renamed(before))
      }
      // With names that extents have only since, the closures are written differently.
      if more.isEmpty, trace.renamedCount == names {
        let again = try capture(moving)
        guard step.code.isSame(as: again.code),
          step.test.map({ test in again.test?.code.isSame(as: test.code) == true }) ?? true
        else {
          throw place.error(
            .compiler, "the closure did something else when it was captured again",
            "a loop's closures may depend on their state only: carry what changes in the state, and draw random numbers "
              + "from a generator that the state holds")
        }
        let guards = step.code.guards + (step.test?.code.guards ?? [])
        if let read = guards.first(where: \.isRead) {
          throw Stopped(remark: Trace.Remark("\(read.a)", read.origin?.place), isSize: true)
        }
        return (step, moving)
      }
      moved.formUnion(more.keys)
    }
  }

  /// The capture at values of the moving extents that ask nothing which the first two trips answer otherwise.
  private func withFittingHints(
    _ index: [Moving], _ moved: Set<Int>, _ capture: ([Moving]) throws -> Step
  ) throws -> (Step, [Moving]) {
    let counts = trace.guardCounts
    var best: (step: Step, moving: [Moving])?
    var failure: (any Error)?
    for ahead in index.isEmpty && moved.isEmpty ? [0] : [2, 1, 0] {
      trace.forgetGuards(behind: counts)
      let moving =
        index.map { Moving(leaf: $0.leaf, first: $0.first, hint: ahead) }
        + moved.sorted().compactMap { leaf in
          guard case .dim(let first) = leaves[leaf] else { return nil }
          return Moving(leaf: leaf, first: first, hint: (trace.hint(of: first) ?? 0) + ahead)
        }
      do {
        let step = try capture(moving)
        best = (step, moving)
        if holdsAtFirst(step, moving) { return (step, moving) }
      } catch let stopped as Stopped {
        throw stopped
      } catch { failure = error }
    }
    if let best { return best }
    throw failure ?? place.error(.compiler, "the closure could not be captured", "report this")
  }

  private func holdsAtFirst(_ step: Step, _ moving: [Moving]) -> Bool {
    let outer = trace.hints
    let first = outer + moving.map { trace.hint(of: $0.first) ?? 0 }
    let guards = step.code.guards + (step.test?.code.guards ?? [])
    let second = outer + nexts(step, moving).enumerated().map { $1.evaluated(first) ?? first[outer.count + $0] }
    return guards.allSatisfy { $0.holds(first) && $0.holds(second) }
  }

  /// What becomes of each own extent.
  private func nexts(_ step: Step, _ moving: [Moving]) -> [Dim] {
    moving.enumerated().map { i, extent in
      let own = Dim.symbol(trace.hints.count + i)
      return extent.leaf < 0 ? own + 1 : step.dims[extent.leaf] ?? own
    }
  }

  // MARK: The loop in the plan

  private func append(
    _ step: Step, _ kind: Trace.Loop.Kind, _ captured: [[Value]], _ moving: [Moving], count: Dim?
  ) throws -> (state: S, results: Tensor?) {
    let all = types + (step.stack.map { [$0] } ?? [])
    let changed = all.indices.filter { step.code.results[$0] != .leaf($0) }
    let next = nexts(step, moving)
    let loop = Trace.Loop(
      name: place.name, location: place.location, kind: kind, step: step.code, results: changed,
      dims: zip(moving, next).map { ($0.first, $1) }, symbolCount: trace.hints.count)
    let first: [Value?] = values + (step.stack == nil ? [] : [nil])
    let views = try trace.append(loop, initial: first, captured: captured, types: all)
    let made = Dictionary(uniqueKeysWithValues: zip(changed, views))
    var after = leaves
    var slot = 0
    for (i, leaf) in leaves.enumerated() {
      guard case .tensor = leaf else { continue }
      if let view = made[slot] { after[i] = .tensor(Tensor(view)) }
      slot += 1
    }
    for (i, extent) in moving.enumerated() where extent.leaf >= 0 {
      after[extent.leaf] = .dim(behind(extent, own: trace.hints.count + i, next[i], count))
    }
    return (try initial.holding(after), made[types.count].map { Tensor($0) })
  }

  /// The value of an extent behind the loop: known where each of a counted number of trips adds the same.
  private func behind(_ extent: Moving, own: Int, _ next: Dim, _ count: Dim?) -> Dim {
    let added = next - Dim.symbol(own)
    if let count, added.symbols.allSatisfy({ $0 < trace.hints.count }) { return extent.first + count * added }
    return .failed(
      place.error(
        .compiler, "a Dim of the state has no value behind the loop: it depends on how the trips went",
        "carry a 0-d tensor beside it for what comes after the loop"))
  }

  /// Runs `make`; where a value leaves a closure throws in `.whole` mode and gives nil else.
  private func whereNothingLeaves<T>(_ make: () throws -> T?) throws -> T? {
    let counts = trace.guardCounts
    do { return try make() } catch let stopped as Stopped {
      trace.forgetGuards(behind: counts)
      if trace.isWhole, stopped.isSize {
        throw Diagnostic(
          .compiler, "\(place.name): an operation needs an extent that moves from trip to trip as a number",
          remedy: "carry a tensor of fixed extents and a mask, or use mode: .partial, which writes the loop out",
          location: stopped.remark.location ?? place.location)
      }
      if trace.isWhole { throw Session.refused(stopped.remark.location) }
      let where_ = stopped.remark.location.map { " at \($0)" } ?? ""
      trace.remark(
        "\(place.name) is written out trip by trip: "
          + (stopped.isSize
            ? "an operation in its closure\(where_) needs an extent that moves as a number"
            : "\(stopped.remark.text)() in its closure\(where_) hands a value out"),
        place.location)
      return nil
    }
  }
}

/// A choice on a capture.
struct CapturedChoice {
  private let place: CallPlace
  private let trace: Trace
  private let predicate: Tensor

  init(_ place: CallPlace, _ trace: Trace, _ predicate: Tensor) {
    self.place = place
    self.trace = trace
    self.predicate = predicate
  }

  private struct Captured<R: Tree> {
    var result: R
    var leaves: ContiguousArray<Leaf>
    var code: Trace.Routine
    var captured: [Value]
    var types: [TensorType]
  }

  func run<R: Tree>(_ then: () throws -> R, _ otherwise: () throws -> R) throws -> R {
    // A visit may compute what it shows, of the branch's own tensors: as long as results are looked at, on its own capture.
    var inners: [Trace] = []
    defer { for inner in inners { inner.close() } }
    guard let a = try captured(then, &inners), let b = try captured(otherwise, &inners) else {
      // A break, which is refused in `.whole` mode, and then straight code.
      return try predicate.item(as: Bool.self, file: place.file, line: place.line) ? then() : otherwise()
    }
    try Trace.outside { () throws(Diagnostic) in
      if let change = a.result.change(to: b.result) {
        throw place.error(
          .argument, "of the second branch's result \(change), which it is not in the first's",
          "give both results one structure, and what differs as a tensor")
      }
      if let hidden = a.result.hiddenChange(to: b.result) {
        throw hidden.mistake("\(place.name) could not choose between the branches' own", place.location)
      }
    }
    try checkAgreement(a.leaves, b.leaves)
    let views: [TensorView]
    if try a.code.isCheap(), try b.code.isCheap() {
      let left = try trace.inlined(a.code, captured: a.captured)
      let right = try trace.inlined(b.code, captured: b.captured)
      views = try zip(left, right).map { x, y in
        try Tensor.select(predicate, Tensor(x), Tensor(y), file: place.file, line: place.line).view
      }
    } else {
      let branch = Trace.Branch(
        name: place.name, location: place.location, routines: [a.code, b.code], symbolCount: trace.hints.count)
      let value = try trace.values([try predicate.view])[0]
      views = try trace.append(branch, predicate: value, captured: [a.captured, b.captured], types: a.types)
    }
    return try a.result.holding(views, insteadOf: a.leaves)
  }

  /// nil: a value leaves the branch.
  private func captured<R: Tree>(_ branch: () throws -> R, _ inners: inout [Trace]) throws -> Captured<R>? {
    let inner = try Trace.closure("\(place.name) branch", inside: trace, []).trace
    inners.append(inner)
    let draws = DrawLog()
    do {
      return try inner.capturing { () throws in
        try DimObservation.$observer.withValue(inner) {
          let result = try DrawLog.$current.withValue(draws) { try branch() }
          let leaves = result.leaves
          try checkDraws(draws, leaves)
          var views: [TensorView] = []
          for case .tensor(let tensor) in leaves { views.append(try tensor.view) }
          let routine = try inner.routine(views)
          if let failure = inner.failure { throw failure }
          return Captured(
            result: result, leaves: leaves, code: routine.code, captured: routine.captured, types: routine.types)
        }
      }
    } catch {
      guard let stop = inner.stop else { throw error }
      if trace.isWhole { throw Session.refused(stop.location) }
      trace.remark("\(place.name) is a break: \(stop.text)() in a branch hands a value out", place.location)
      return nil
    }
  }

  /// A generator that the branch draws from and does not give back would have counted without being chosen.
  private func checkDraws(_ draws: DrawLog, _ leaves: ContiguousArray<Leaf>) throws(Diagnostic) {
    let given = leaves.compactMap { if case .dim(let dim) = $0 { dim } else { nil } }
    for position in draws.positions where !given.contains(where: { $0.isIdentical(to: position) }) {
      throw place.error(
        .argument,
        "a branch draws random numbers from a generator outside of it, which would count though the branch is "
          + "not chosen", "draw before the choice, or make the generator a part of both branches' results")
    }
  }

  private func checkAgreement(_ a: ContiguousArray<Leaf>, _ b: ContiguousArray<Leaf>) throws(Diagnostic) {
    guard a.count == b.count else {
      throw place.error(
        .argument, "the branches give \(a.count) and \(b.count) members", "give both results one structure")
    }
    for (x, y) in zip(a, b) {
      switch (x, y) {
      case (.tensor(let x), .tensor(let y)):
        guard x.dtype == y.dtype, x.rank == y.rank, zip(x.shape.dims, y.shape.dims).allSatisfy({ $0 == $1 }) else {
          throw place.error(
            .shape, "the branches give \(x.dtype)\(x.shape) and \(y.dtype)\(y.shape)",
            "give both results one dtype and shape")
        }
      case (.dim(let x), .dim(let y)) where x == y: break
      case (.value(let x), .value(let y)) where x == y: break
      case (.count(let x), .count(let y)) where x == y: break
      default:
        throw place.error(
          .argument, "the branches give \(x.text) and \(y.text)", "give what differs as a tensor")
      }
    }
  }
}

extension Tree {
  /// Of a branch, with `views` of the code around in place of the tensors in `leaves`.
  fileprivate func holding(_ views: [TensorView], insteadOf leaves: ContiguousArray<Leaf>) throws(Diagnostic) -> Self {
    var (next, final) = (0, leaves)
    var plain = leaves
    for (i, leaf) in leaves.enumerated() {
      guard case .tensor(let old) = leaf else { continue }
      final[i] = .tensor(Tensor(views[next]))
      plain[i] = .tensor(try Self.ones(old))
      next += 1
    }
    // First with tensors of no capture: a visit that computes would compute of the branch's on the code around.
    let bare = try Trace.outside { [plain] () throws(Diagnostic) in try holding(plain) }
    return try bare.holding(final)
  }

  /// In memory, as large as `other`.
  private static func ones(_ other: Tensor) throws(Diagnostic) -> Tensor {
    try Trace.outside { () throws(Diagnostic) in
      let one = try Tensor.filled(.integer(1), [], other.dtype)
      return Tensor(try one.view.expanded(to: try other.view.hints))
    }
  }
}

extension Trace.Routine {
  /// Computing it although it is not chosen does no harm: one pass over what it reads, and nothing that can fail or is seen.
  fileprivate func isCheap() throws(Diagnostic) -> Bool {
    guard piece.before.isEmpty, piece.prints.isEmpty else { return false }
    // Called graphs have symbols of their own, which the capture must not be asked about.
    let graph = try Trace.outside { () throws(Diagnostic) in try piece.graph.inlined().withoutDeadNodes() }
    return graph.nodes.allSatisfy { node in
      if case .sort = node.primitive.definition.lowering { return false }
      return [.leaf, .pointwise, .reindex, .rows, .assign].contains(node.primitive.definition.lowering.kind)
    }
  }
}

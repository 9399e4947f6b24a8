// A compiled function: finds the plan that fits a call, or captures one, and replays it.
// Not thread-bound: calls may run side by side, each with its own state. Surprise: the first call replays the plan it has
// just made, so that state is written in place from the beginning.
import Basics
import Engine
import Synchronization
import Tensors
import TensorTypes

/// A function made by ``compile(mode:dynamic:maxRecompiles:maxPlans:fuses:file:line:_:)-(_)``. Call it like the function.
public final class Compiled<State: Tree, Input, Output>: Sendable {
  typealias Call = @Sendable (inout State, Input, inout Visitor) throws -> Output
  let options: CompileOptions
  let history: CompileHistory
  let readInput: @Sendable (Input, inout Visitor) -> Void
  private let call: Call
  private let readOutput: @Sendable (Output, inout Visitor) -> Void
  private let fill: @Sendable (Output, inout Visitor) -> Output
  let segments: SegmentCache
  private let constants = KnownConstants()
  private let plans = Mutex<[Plan]>([])
  /// Held while a plan is made.
  private let turn = Mutex<Void>(())
  /// Leaves of the last call that was captured.
  private let lastCount = Atomic<Int>(0)

  init(
    options: CompileOptions, readInput: @escaping @Sendable (Input, inout Visitor) -> Void, call: @escaping Call,
    readOutput: @escaping @Sendable (Output, inout Visitor) -> Void,
    fill: @escaping @Sendable (Output, inout Visitor) -> Output
  ) {
    self.options = options
    self.readInput = readInput
    self.call = call
    self.readOutput = readOutput
    self.fill = fill
    history = CompileHistory()
    segments = SegmentCache(fuses: options.fuses)
  }

  /// How many plans there are: one for each structure, dtype, plain value and kind of size met so far.
  public var planCount: Int { plans.withLock { $0.count } }

  var knownPlans: [Plan] { plans.withLock { $0 } }
  var knownSegments: [Segment] { segments.all }

  /// How many different pieces were compiled.
  public var segmentCount: Int { segments.count }

  /// Runs the function with `state`, which it may change.
  ///
  /// - Throws: what the function throws, a failed tensor's first mistake, a break in `.whole` mode, too many recompiles.
  public func callAsFunction<each A>(
    _ state: inout State, _ arguments: repeat each A, file: StaticString = #fileID, line: UInt = #line
  ) throws -> Output where Input == (repeat each A) {
    try located(file, line) { try invoke(&state, (repeat each arguments)) }
  }

  /// As ``callAsFunction(_:_:file:line:)-(_,_)`` for functions of one argument. A lone type is no pack to Swift where the
  /// function is called as soon as it is made: `try compile { (x: Tensor) in x * 2 }(x)`.
  public func callAsFunction(
    _ state: inout State, _ argument: Input, file: StaticString = #fileID, line: UInt = #line
  ) throws -> Output where Input: Tree {
    try located(file, line) { try invoke(&state, argument) }
  }

  private func located<T>(_ file: StaticString, _ line: UInt, _ body: () throws -> T) throws -> T {
    do { return try body() } catch var diagnostic as Diagnostic {
      if diagnostic.location == nil, diagnostic.origin == nil {
        diagnostic.location = .init(file: "\(file)", line: line)
      }
      throw diagnostic
    }
  }

  /// A plan for a call, and what ran while it was captured.
  private struct Made {
    var plan: Plan
    var values: [Int]
    var known: [SessionBreak]
  }

  private func invoke(_ state: inout State, _ input: Input) throws -> Output {
    var visitor = Visitor(.collect)
    visitor.reserve(lastCount.load(ordering: .relaxed))
    visitor.root(state)
    let stateCount = visitor.leaves.count
    readInput(input, &visitor)
    var leaves = CallLeaves(taking: &visitor)
    if Trace.current != nil {
      // Inside another capture the function is part of that one's graph.
      var inlining = Visitor(.replace)
      inlining.leaves = leaves.all
      leaves.removeAll()
      return try call(&state, input, &inlining)
    }
    for plan in plans.withLock({ $0 }) {
      if let values = try plan.accepts(leaves) {
        plan.noteUse()
        return try replay(plan, values, CallFrame(taking: &leaves, stateCount: stateCount, history), &state, input)
      }
    }
    lastCount.store(leaves.all.count, ordering: .relaxed)
    // One capture at a time: whoever waited may find its plan made.
    let made = try turn.withLock { _ in
      for plan in plans.withLock({ $0 }) {
        if let values = try plan.accepts(leaves) { return Made(plan: plan, values: values, known: []) }
      }
      try prepare(&leaves, state, input)
      let made = try capture(leaves, stateCount, state, input)
      guard let values = try made.plan.accepts(leaves) else {
        throw Diagnostic(.compiler, "\(options.name): a new plan does not fit the call that it was made from")
      }
      return Made(plan: made.plan, values: values, known: made.known)
    }
    let frame = CallFrame(taking: &leaves, stateCount: stateCount, history)
    return try replay(made.plan, made.values, frame, &state, input, known: made.known)
  }

  // MARK: Replay

  /// Runs the plan; the state is what it was if that fails.
  private func replay(
    _ plan: Plan, _ values: [Int], _ frame: CallFrame, _ state: inout State, _ input: Input,
    known: [SessionBreak] = []
  ) throws -> Output {
    do {
      plan.noteCall()
      frame.take(plan.writtenLeaves, from: &state)
      try plan.checkMemory(values, frame, options.name)
      return try walk(plan, values, frame, &state, input, known)
    } catch {
      frame.rollBack(&state)
      throw error
    }
  }

  private func walk(
    _ plan: Plan, _ values: [Int], _ frame: CallFrame, _ state: inout State, _ input: Input, _ known: [SessionBreak]
  ) throws -> Output {
    let arguments = values.map { Int64($0) }
    var node = plan.root
    var passed: [SessionBreak] = []
    var carried: [TensorView] = []
    while true {
      switch node.next {
      case .end(let ending):
        if Retracing.isOn, let captured = ending.captured {
          let again = try trace(plan.signature, values, frame, state, input, known: passed)
          if !captured.isSame(as: again.piece) {
            throw Session.differs(options.place, CaptureDifference(captured, again.piece))
          }
        }
        return try finish(node.segment, ending, carried, arguments, frame, &state)
      case .closed(let site):
        let made: SessionBreak
        if passed.count < known.count {
          made = known[passed.count]
        } else {
          frame.take(node.segment.writtenLeaves, from: &state)
          made = try SessionBreak(node.segment, site, frame, carried, arguments)
        }
        passed.append(made)
        carried += made.handed
        if let bits = made.bits, let child = node.child(bits) {
          node = child
        } else {
          return try explore(plan, node, values, passed, frame, &state, input)
        }
      case .open:
        return try explore(plan, nil, values, passed, frame, &state, input)
      }
    }
  }

  private func finish(
    _ segment: Segment, _ ending: Ending, _ carried: [TensorView], _ arguments: [Int64], _ frame: CallFrame,
    _ state: inout State
  ) throws -> Output {
    frame.take(ending.taken, from: &state)
    return try frame.finish(segment, ending, carried, arguments, &state) { template, filled in
      var v = Visitor(.replace)
      v.leaves = filled
      guard let output = template as? Boxed<Output> else {
        throw Diagnostic(.compiler, "\(options.name): a plan has lost its result")
      }
      return fill(output.value, &v)
    }
  }

  /// Runs the function because a break gave a value that no path has, or has too many.
  private func explore(
    _ plan: Plan, _ node: PlanNode?, _ values: [Int], _ passed: [SessionBreak], _ frame: CallFrame,
    _ state: inout State, _ input: Input
  ) throws -> Output {
    // What segments behind the break wrote in place before, they write in place again.
    frame.take(plan.writtenLeaves, from: &state)
    let run = try trace(plan.signature, values, frame, state, input, known: passed, isOpen: node == nil)
      .compiled(segments)
    if let node, run.breaks.count >= passed.count, let bits = passed.last?.bits {
      node.add(bits, try run.path(from: passed.count))
    }
    plan.noteWritten(run.writtenLeaves)
    return try finish(
      try run.last, run.ending, run.carried, values.map { Int64($0) } + run.numbers, frame, &state)
  }

  // MARK: Capture

  private func capture(
    _ leaves: CallLeaves, _ stateCount: Int, _ state: State, _ input: Input
  ) throws -> (plan: Plan, known: [SessionBreak]) {
    var naming = Visitor(.name)
    state.read(&naming)
    readInput(input, &naming)
    if var mistake = options.dynamic.mistake(naming.names, leaves.all) {
      mistake.location = options.place
      throw mistake
    }
    let (reasons, dynamic) = changes(leaves, naming.names)
    let started = ContinuousClock.now
    // A frame that takes no state: what breaks need now is computed on copies.
    var copy = leaves
    let frame = CallFrame(taking: &copy, stateCount: stateCount, history)
    if !knownPlans.contains(where: \.mayTakeMore) { try requireRoom(reasons) }
    var widened: Plan?
    let sized = try sizedCapture(
      leaves, naming.names, dynamic,
      known: { signature, run in
        let values = try signature.values(leaves)
        widened = knownPlans.first { $0.takes(signature, run, values) }
        if widened == nil { try requireRoom(reasons) }
        return widened != nil
      },
      { signature, values, known, isReal in
        try trace(signature, values, frame, state, input, known: known, isReal: isReal)
      })
    guard let sized else {
      guard let widened else { throw Diagnostic(.compiler, "\(options.name): a capture was lost") }
      return (widened, [])
    }
    let run = sized.run
    Engine.notePreparation(ContinuousClock.now - started)
    let plan = Plan(sized, names: naming.names, try run.path(from: 0))
    plan.noteWritten(run.writtenLeaves)
    keep(plan)
    history.notePlan(reasons, run.breaks.map(\.site), ContinuousClock.now - started, wasStored: run.wasStored)
    return (plan, run.breaks)
  }

  private func requireRoom(_ reasons: [String]) throws(Diagnostic) {
    let made = history.captures.count
    guard made <= options.maxRecompiles else {
      throw Diagnostic(
        .compiler,
        "\(options.name) has had \(made) plan\(made == 1 ? "" : "s") and needs one more, but maxRecompiles is "
          + "\(options.maxRecompiles): " + (reasons.first ?? "the arguments changed"),
        remedy: options.remedy(for: reasons.first ?? ""), location: options.place)
    }
  }

  /// Among the plans; the one whose last use is longest ago goes if they are too many.
  private func keep(_ plan: Plan) {
    let rest = plans.withLock { plans -> [Plan]? in
      let isFull = plans.count >= max(options.maxPlans, 1)
      if isFull, let oldest = plans.indices.min(by: { plans[$0].lastUse < plans[$1].lastUse }) {
        plans.remove(at: oldest)
      }
      plans.insert(plan, at: 0)
      return isFull ? plans : nil
    }
    guard let rest else { return }
    history.noteEviction(segments: segments.keep(rest.flatMap(\.root.segments)))
  }

  /// Runs the function on traced leaves.
  private func trace(
    _ signature: CallSignature, _ values: [Int], _ frame: CallFrame, _ given: State, _ input: Input,
    known: [SessionBreak] = [], isOpen: Bool = false, isReal: Bool = true
  ) throws -> TracedRun {
    let session = Session(
      frame, values.map { Int64($0) }, options.mode, segments, known: known, isOpen: isOpen, isReal: isReal)
    let symbols = signature.symbols.enumerated().map { i, source in
      switch source {
      case .extent: (name: "s\(i)", hint: values[i], minimum: 2)
      case .dim: (name: "s\(i)", hint: values[i], minimum: -CheckedSize.mostSymbol)
      }
    }
    let trace = Trace(options.name, symbols: symbols, isWhole: options.mode == .whole, constants: constants) {
      trace, view, kind, location throws(Diagnostic) in
      try session.handOut(trace, view, kind, location)
    }
    defer { trace.close() }
    var traced = try signature.traced(frame.leaves, trace)
    var state = given
    var v = Visitor(.replace)
    v.leaves = traced
    v.capture = options.place
    // What changes is told by the leaves that the function leaves behind; the tensors themselves are its own.
    let nothing = Tensor(0)
    for i in traced.indices { if case .tensor = traced[i] { traced[i] = .tensor(nothing) } }
    let output = try trace.capturing { () throws in
      try DimObservation.$observer.withValue(trace) { try call(&state, input, &v) }
    }
    if let failure = trace.failure { throw failure }
    var after = Visitor(.collect)
    after.root(state)
    var probe = Visitor(.probe)
    readOutput(output, &probe)
    if let object = probe.object { throw HiddenTensor.isShared(object, options.place) }
    var results = Visitor(.collect)
    readOutput(output, &results)
    if let change = changedStructure(given, state) {
      throw Diagnostic(
        .compiler, "the compiled function changes the structure of its state: \(change)",
        remedy: "keep the counts of collections: write into a tensor that is large enough, as caches do",
        location: options.place)
    }
    // The plan keeps the result's structure, not its traced tensors: they hold the capture and the arguments of this call.
    var emptying = Visitor(.replace)
    emptying.leaves = ContiguousArray(
      results.leaves.map { leaf in
        if case .tensor = leaf { .tensor(nothing) } else { leaf }
      })
    emptying.capture = options.place
    let template = fill(output, &emptying)
    if let failure = emptying.failure { throw failure }
    return try TracedRun(
      trace, session, signature, traced, state: after.leaves, results: results.leaves, form: results.form,
      template: Boxed(template))
  }
}

extension Compiled {
  /// "'parts' had 1 members, now it has 2"; nil: the trees have the same structure.
  private func changedStructure(_ before: State, _ after: State) -> String? {
    func members(_ state: State) -> [(name: String, leaf: Leaf)] {
      var (names, leaves) = (Visitor(.name), Visitor(.collect))
      state.read(&names)
      state.read(&leaves)
      return Array(zip(names.names, leaves.leaves))
    }
    let (old, new) = (members(before), members(after))
    // The first collection with another count says more than what follows from it.
    for (x, y) in zip(old, new) {
      if case (.count(let a), .count(let b)) = (x.leaf, y.leaf), a != b {
        return "'\(x.name)' had \(a) member(s), now it has \(b)"
      }
    }
    if let change = before.knownChange(to: after) { return "now \(change)" }
    for (x, y) in zip(old, new) {
      switch (x.leaf, y.leaf) {
      case (.tensor, .tensor), (.dim, .dim), (.value, .value), (.count, .count): continue
      default: return "'\(x.name)' was \(x.leaf.text), now it is \(y.leaf.text)"
      }
    }
    return old.count == new.count ? nil : "it had \(old.count) members, now it has \(new.count)"
  }
}

extension Compiled where State == Stateless {
  /// Runs the function.
  ///
  /// - Throws: what the function throws, a failed tensor's first mistake, a break in `.whole` mode, too many recompiles.
  public func callAsFunction<each A>(
    _ arguments: repeat each A, file: StaticString = #fileID, line: UInt = #line
  ) throws -> Output where Input == (repeat each A) {
    var state = Stateless()
    return try callAsFunction(&state, repeat each arguments, file: file, line: line)
  }

  /// As ``callAsFunction(_:file:line:)-(_)`` for functions of one argument.
  public func callAsFunction(
    _ argument: Input, file: StaticString = #fileID, line: UInt = #line
  ) throws -> Output where Input: Tree {
    var state = Stateless()
    return try callAsFunction(&state, argument, file: file, line: line)
  }
}

// @unchecked Sendable: `value` is immutable and made of trees, which are Sendable.
final class Boxed<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}

extension CallSignature {
  /// The leaves as the function sees them while it is captured.
  func traced(_ leaves: CallLeaves, _ trace: Trace) throws(Diagnostic) -> ContiguousArray<Leaf> {
    var result: ContiguousArray<Leaf> = []
    for (i, leaf) in self.leaves.enumerated() {
      switch leaf {
      case .tensor:
        guard let type = type(i) else { continue }
        result.append(.tensor(Tensor(try trace.parameter(i, "x\(i)", type))))
      case .dim(let symbol): result.append(.dim(.symbol(symbol)))
      case .value, .count: result.append(leaves[i])
      }
    }
    return result
  }

  /// Extents that are numbers here and others in `given`, where all else fits.
  func changedExtents(_ given: CallLeaves) -> [(leaf: Int, axis: Int)] {
    let given = given.all
    var changed: [(leaf: Int, axis: Int)] = []
    for i in leaves.indices {
      guard given.count > i, case .tensor(_, let extents) = leaves[i], case .tensor(let tensor) = given[i],
        tensor.rank == extents.count
      else { continue }
      for axis in extents.indices {
        if case .fixed(let extent) = extents[axis], tensor.body.view.extents[axis] != extent {
          changed.append((i, axis))
        }
      }
    }
    return changed
  }
}

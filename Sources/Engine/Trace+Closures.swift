// Closures inside a capture: the body of a loop or a branch is captured on a trace of its own, and becomes a section.
// Not a call: a closure that only computes little is put into the graph around it. Surprise: what the closure reads of the
// code around it becomes an argument of it by itself, as the whole tensor; slices of it are cut inside.
import Basics
import GraphIR
import Scalars
import Synchronization
import TensorTypes

extension Trace {
  // MARK: The closure's side

  /// A loop in a loop names its extents as the one around it does; kernels know arguments by name.
  static func unique(_ names: [String]) -> [String] {
    var known: Set<String> = []
    return names.map { name in
      var name = name
      while !known.insert(name).inserted { name += "_" }
      return name
    }
  }

  /// A capture of a closure with arguments of these types and extents of its own. `later`: arguments that are declared
  /// by ``parameter(_:_:_:)`` when their type is known.
  package static func closure(
    _ name: String, inside parent: Trace, _ arguments: [TensorType],
    dims: [(name: String, hint: Int, minimum: Int)] = [], later: Int = 0
  ) throws(Diagnostic) -> (trace: Trace, tensors: [TensorView], dims: [Dim]) {
    let outer = parent.symbols
    let trace = Trace(
      name, symbols: outer + dims, isWhole: parent.isWhole, inside: parent, outerSymbols: outer.count,
      argumentCount: arguments.count + later
    ) { trace, _, kind, location throws(Diagnostic) in
      let stop = Remark("\(kind)", location)
      trace.state.withLock { if $0.stop == nil { $0.stop = stop } }
      throw Diagnostic(.compiler, "a value leaves '\(name)' while it is captured", location: location)
    }
    let renamed = parent.state.withLock(\.renamed)
    trace.state.withLock { $0.renamed = renamed }
    var tensors: [TensorView] = []
    for (i, type) in arguments.enumerated() { tensors.append(try trace.parameter(i, "x\(i)", type)) }
    return (trace, tensors, dims.indices.map { Dim.symbol(outer.count + $0) })
  }

  private var symbols: [(name: String, hint: Int, minimum: Int)] {
    state.withLock { state in state.hints.indices.map { (state.names[$0], state.hints[$0], state.minima[$0]) } }
  }

  /// Where a value left the closure.
  package var stop: Remark? { state.withLock { $0.stop } }

  func isInside(_ other: Trace) -> Bool { parent.map { $0 === other || $0.isInside(other) } ?? false }

  var left: Diagnostic {
    parent == nil
      ? Diagnostic(
        .compiler, "a traced tensor of '\(name)' was used after its call ended",
        remedy: "return the tensor from the compiled function")
      : Diagnostic(
        .compiler, "a tensor made in '\(name)' was used after it was captured",
        remedy: "return it from the closure, or carry it as state: variables outside are not changed by each trip")
  }

  static func writesOutside(_ name: String) -> Diagnostic {
    Diagnostic(
      .compiler, "'\(name)' writes into a tensor from outside of it",
      remedy: "carry the tensor as state and return it, or write into a copy")
  }

  /// The parameter that stands for what a cell of an enclosing capture holds now.
  func captured(_ cell: TracedCell, _ state: inout State) throws(Diagnostic) -> Value {
    guard isInside(cell.trace) else {
      // Another closure's, though its capture may still be open, was captured.
      if cell.trace.parent != nil || !cell.trace.state.withLock(\.isOpen) { throw cell.trace.left }
      throw Diagnostic(
        .compiler, "a traced tensor of '\(cell.trace.name)' is used inside '\(name)'", remedy: "pass it as an argument")
    }
    return try captured(&state) { (trace, outer) throws(Diagnostic) in
      guard outer.isOpen else { throw trace.left }
      return try trace.whole(cell, &outer)
    }
  }

  /// The parameter that stands for a number that is given at launch.
  func capturedNumber(_ scalar: ScalarOperand, _ state: inout State) throws(Diagnostic) -> Value {
    try captured(&state) { (trace, outer) throws(Diagnostic) in try trace.number(scalar, &outer) }
  }

  private func captured(
    _ state: inout State, _ find: (Trace, inout State) throws(Diagnostic) -> Value
  ) throws(Diagnostic) -> Value {
    let found = try withParent(&state) { (trace, around) throws(Diagnostic) in
      let value = try find(trace, &around)
      return (value, around.builder.primitive(value), around.builder.type(value))
    }
    guard let (outer, primitive, type) = found else {
      throw Diagnostic(.compiler, "\(name): there is no capture around this one")
    }
    let known = state.captures.firstIndex { $0.outer == outer }
    if let known, let inner = state.captures[known].inner { return inner }
    // A number is a number here too.
    if case .constant = primitive { return try state.builder.append(primitive, []) }
    let number = known ?? state.captures.count
    let inner = state.builder.parameter("o\(number)", type)
    state.sources.append(.leaf(argumentCount + number))
    if known == nil { state.captures.append((outer, inner)) } else { state.captures[number].inner = inner }
    return inner
  }

  var hasNumbers: Bool { state.withLock(\.takesNumbers) || (parent?.hasNumbers ?? false) }

  /// The end of the closure: it gives `results`. It may write over the arguments in `mayTake`.
  package func routine(
    _ results: [TensorView], mayTake: Set<Int> = []
  ) throws(Diagnostic) -> (code: Routine, captured: [Value], types: [TensorType]) {
    var values: [Value] = []
    var places: [Location] = []
    var types: [TensorType] = []
    for view in results {
      let value = try self.values([view])[0]
      types.append(try type(of: value))
      if let path = view.path, let place = try place(of: path, view.hints) {
        places.append(place)
      } else {
        values.append(value)
        places.append(.output(values.count - 1))
      }
    }
    let kept = Set(places)
    let donors = try donors(values).filter { mayTake.contains($0.value) && !kept.contains(.leaf($0.value)) }
    var piece = try piece(values, donors: donors)
    var taken = piece.reuseMemory(kept: kept, mayTake: mayTake)
    taken.formUnion(piece.donors.values)
    let captured = state.withLock { $0.captures.map(\.outer) }
    return (Routine(piece: piece, results: places, taken: taken, guards: guards), captured, types)
  }

  /// How many guards each capture has, from this one outwards.
  package var guardCounts: [Int] { [guards.count] + (parent?.guardCounts ?? []) }

  /// Forgets the guards behind `counts`: the capture of a closure was given up. Those that gave names stay, as the names
  /// do.
  package func forgetGuards(behind counts: [Int]) {
    quietly { state in
      state.guards.removeAll(behind: counts[0], except: state.naming)
    }
    if counts.count > 1 { parent?.forgetGuards(behind: Array(counts.dropFirst())) }
  }

  /// Results that are an argument with ranges written over: output -> the argument.
  private func donors(_ values: [Value]) throws(Diagnostic) -> [Int: Int] {
    try locked { state throws(Diagnostic) in
      var donors: [Int: Int] = [:]
      for (output, value) in values.enumerated() {
        var base = value
        while case .assign = state.builder.primitive(base) { base = state.builder.graph[base].operands[0] }
        guard base != value, case .parameter(let i) = state.builder.primitive(base),
          case .leaf(let leaf) = state.sources[i], state.builder.type(base) == state.builder.type(value),
          !donors.values.contains(leaf)
        else { continue }
        donors[output] = leaf
      }
      return donors
    }
  }

  // MARK: Effects and remarks

  /// Prints the elements of `view` each time the plan runs, between what is printed before and after.
  package func print(_ label: String, _ view: TensorView) throws(Diagnostic) {
    try locked { state throws(Diagnostic) in state.prints.append((label, try spread(view, &state))) }
  }

  /// Remembers something for whoever asks about the plan.
  package func remark(_ text: String, _ location: Diagnostic.Location?) {
    if let parent { return parent.remark(text, location) }
    let made = Remark(text, location)
    state.withLock { if !$0.remarks.contains(made) { $0.remarks.append(made) } }
  }

  package var remarks: [Remark] { state.withLock(\.remarks) }

  // MARK: The side of the code around it

  /// Appends the loop: what is alive goes to memory. `initial` nil: memory without a value. Gives the tensors in
  /// `loop.results`.
  package func append(
    _ loop: Loop, initial: [Value?], captured: [[Value]], types: [TensorType]
  ) throws(Diagnostic) -> [TensorView] {
    try locked { state throws(Diagnostic) in
      var loop = loop
      let sources = try cut(initial.compactMap { $0 } + captured.flatMap { $0 }, &state)
      var next = sources.startIndex
      func take(_ count: Int) -> [Source] {
        next += count
        return Array(sources[next - count..<next])
      }
      loop.initial = zip(initial, types).map { $0 == nil ? .fresh($1) : .source(take(1)[0]) }
      if case .whileTrue(var test) = loop.kind {
        test.captured = take(captured[0].count)
        loop.kind = .whileTrue(test: test)
      }
      loop.step.captured = take(captured[captured.count - 1].count)
      state.sections.append(.loop(loop))
      return try carry(loop.results.map { types[$0] }, &state)
    }
  }

  /// Appends the branch; gives its results.
  package func append(
    _ branch: Branch, predicate: Value, captured: [[Value]], types: [TensorType]
  ) throws(Diagnostic) -> [TensorView] {
    try locked { state throws(Diagnostic) in
      var branch = branch
      let sources = try cut([predicate] + captured.flatMap { $0 }, &state)
      branch.predicate = sources[0]
      branch.routines[0].captured = Array(sources[1..<1 + captured[0].count])
      branch.routines[1].captured = Array(sources[(1 + captured[0].count)...])
      state.sections.append(.branch(branch))
      return try carry(types, &state)
    }
  }

  private func carry(_ types: [TensorType], _ state: inout State) throws(Diagnostic) -> [TensorView] {
    var views: [TensorView] = []
    for type in types {
      state.sources.append(.carried(state.carried))
      state.carried += 1
      views.append(try view(state.builder.parameter("v\(state.sources.count - 1)", state.known(type)), &state))
    }
    return views
  }

  /// Ends the piece: what later code may read goes to memory, and `wanted` too. Gives where the wanted are.
  private func cut(_ wanted: [Value], _ state: inout State) throws(Diagnostic) -> [Source] {
    let alive = living(state)
    var sources: [Value: Source] = [:]
    var outputs: [Value] = []
    for value in alive.map(\.value) + wanted where sources[value] == nil {
      if case .parameter(let i) = state.builder.primitive(value) {
        sources[value] = state.sources[i]
      } else {
        sources[value] = .carried(state.carried + outputs.count)
        outputs.append(value)
      }
    }
    if !outputs.isEmpty || !state.prints.isEmpty {
      let piece = finishedPiece(outputs, &state)
      state.sections.append(.piece(piece))
      state.carried += outputs.count
    }
    state.prints = []
    let before = state.builder.graph
    state.beginPiece(name, arguments: before.arguments.count, dead: Set(dead.withLock { $0 }))
    var parameters: [Value: Value] = [:]
    for cell in alive {
      guard let source = sources[cell.value] else { continue }
      if parameters[cell.value] == nil {
        var strides: [Dim]?
        if case .parameter(let i) = before[cell.value].primitive { strides = before.parameters[i].strides }
        let name = "v\(state.sources.count)"
        parameters[cell.value] = state.builder.parameter(name, before.type(cell.value), strides: strides)
        state.sources.append(source)
      }
      state.cells[cell.cell].value = parameters[cell.value]
    }
    for i in state.captures.indices { state.captures[i].inner = state.captures[i].inner.flatMap { parameters[$0] } }
    return try wanted.map { value throws(Diagnostic) in
      guard let source = sources[value] else { throw Diagnostic(.compiler, "\(name): a value was lost at a loop") }
      return source
    }
  }

  /// The graph up to here with what is printed behind the outputs.
  func finishedPiece(_ outputs: [Value], _ state: inout State) -> Piece {
    var all = outputs
    var prints: [Print] = []
    for print in state.prints {
      let known = all.firstIndex(of: print.value)
      if known == nil { all.append(print.value) }
      prints.append(Print(label: print.label, output: known ?? all.count - 1))
    }
    var piece = Piece(graph: state.builder.finish(all), sources: state.sources, donors: [:])
    (piece.prints, piece.resultCount, piece.origins) = (prints, outputs.count, state.origins)
    return piece
  }

  /// Puts the routine's code here instead of a section; gives its results.
  package func inlined(_ routine: Routine, captured: [Value]) throws(Diagnostic) -> [TensorView] {
    try locked { state throws(Diagnostic) in
      // What was captured behind it may have given its extents other names.
      let graph = routine.piece.graph.withoutDeadNodes().renamed(state.known)
      var places: [Value: Value] = [:]
      for index in graph.nodes.indices {
        let node = graph.nodes[index]
        if case .parameter(let i) = node.primitive {
          switch routine.piece.sources[i] {
          case .leaf(let leaf): places[Value(index)] = captured[leaf]
          case .constant(let view): places[Value(index)] = try constant(view, &state)
          case .carried: throw Diagnostic(.compiler, "\(name): a closure with sections cannot be written out")
          }
          continue
        }
        places[Value(index)] = try state.builder.append(node.primitive, node.operands.compactMap { places[$0] })
      }
      return try routine.results.map { place throws(Diagnostic) in
        switch place {
        case .leaf(let leaf): return try view(captured[leaf], &state)
        case .output(let i):
          guard let value = places[graph.outputs[i]] else { throw Diagnostic(.compiler, "\(name): a value was lost") }
          return try view(value, &state)
        case .carried: throw Diagnostic(.compiler, "\(name): a closure with sections cannot be written out")
        }
      }
    }
  }
}

extension Trace.State {
  /// Nodes that are appended from here come from `origin`.
  mutating func remember(_ origin: Diagnostic.Origin) {
    builder.origin = Int32(origins.count)
    origins.append(origin)
  }
}

// A capture in progress: operations on traced tensors append to one graph instead of running.
// Not a plan, and no memory. Surprise: sizes are real numbers here (hints), so that a function's shape logic runs as it
// does eagerly; only extents that became part of the graph are symbols, and what was asked about them is a guard.
import Basics
import Execution
import GraphIR
import Scalars
import Synchronization
import TensorTypes

package final class Trace: Sendable {
  @TaskLocal private static var onTask: Trace?
  /// Captures in progress in this process: eager operations ask this first, since looking at the task costs more.
  private static let inProgress = Atomic<Int>(0)

  /// The capture that runs on this task, to which every operation belongs; nil: operations run.
  @inline(__always)
  package static var current: Trace? { inProgress.load(ordering: .relaxed) == 0 ? nil : onTask }

  /// Runs `body` as part of this capture.
  package func capturing<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
    Self.inProgress.add(1, ordering: .relaxed)
    defer { Self.inProgress.subtract(1, ordering: .relaxed) }
    return try Self.on(self, body)
  }

  /// Runs `body` as if nothing were captured: its operations run at once, on tensors in memory.
  package static func outside<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
    if current == nil { return try body() }
    // Nor is anybody asked about extents: kernels that are made on the way have symbols of their own.
    let result: Result<T, E> = DimObservation.$observer.withValue(nil) {
      do throws(E) { return .success(try on(nil, body)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private static func on<T, E: Error>(_ trace: Trace?, _ body: () throws(E) -> T) throws(E) -> T {
    let result: Result<T, E> = $onTask.withValue(trace) {
      do throws(E) { return .success(try body()) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// Where a parameter of the graph comes from.
  package enum Source: Sendable {
    /// Tensor leaf `i` of the arguments.
    case leaf(Int)
    /// A tensor that the function made or captured.
    case constant(TensorView)
    /// A value of an earlier segment.
    case carried(Int)
  }

  /// Answers a read of a traced tensor: runs what there is so far. Throws where breaks are refused.
  package typealias BreakHandler =
    @Sendable (Trace, ViewPath, BreakKind, Diagnostic.Location?) throws(Diagnostic)
    -> TensorView

  /// How a value left the capture.
  package enum BreakKind: Sendable, Hashable { case item, array, text }

  struct Cell: Sendable {
    var dtype: DType
    var value: Value?
    /// What the extents are while there is no value.
    var dims: [Dim]
  }

  struct State: Sendable {
    var builder: GraphBuilder
    var sources: [Source] = []
    /// The parameter of each constant, which `sources` hold: a model has hundreds.
    var constants: [TensorView.Identity: Value] = [:]
    /// What `constants` knows by its place must keep that place.
    var held: [Storage] = []
    /// Elements that were asked for of what constants alone decide.
    var elements: [Value: TensorView] = [:]
    /// What came before the piece at hand, since the last break.
    var sections: [Section] = []
    /// Values carried so far: the next one's number.
    var carried = 0
    /// The same at the last break.
    var carriedAtBreak = 0
    var prints: [(label: String, value: Value)] = []
    /// Values of the enclosing capture that are read here, and the parameters that stand for them.
    var captures: [(outer: Value, inner: Value?)] = []
    var remarks: [Remark] = []
    /// Where the operations were written: what the nodes' numbers mean.
    var origins: [Diagnostic.Origin] = []
    /// Where a value left; such a closure cannot be part of a plan.
    var stop: Remark?
    var cells: [Cell] = []
    var guards = GuardList()
    /// What code outside of the engine was answered or told, in names that guards have not changed.
    var asked: Set<DimGuard> = []
    /// Symbols that guards made equal to something, which is what the graph has now.
    var renamed: [Int: Dim] = [:]
    /// The guards that did.
    var naming: Set<DimGuard> = []
    let namesAreGiven: Flag
    /// Values of symbols, by number.
    var hints: [Int]
    /// Smallest values that symbols can have.
    var minima: [Int]
    var names: [String]
    var failure: Diagnostic?
    var isOpen = true
    /// Numbers handed in after an open break: launch arguments after the symbols.
    var numbers: [Int64] = []
    var takesNumbers = false
  }

  let state: Mutex<State>
  let namesAreGiven: Flag
  let dead = Mutex<[Int]>([])
  private let onBreak: BreakHandler
  package let name: String
  /// The capture around this one, which is of a closure: a loop's body, a branch.
  package let parent: Trace?
  /// Symbols of the enclosing capture; those behind them are this one's own.
  let outerSymbols: Int
  /// Tensors that the closure takes: leaves behind them stand for values of the enclosing capture.
  let argumentCount: Int
  /// Values must not leave.
  package let isWhole: Bool
  /// Those of this and other captures of the function.
  let constants: KnownConstants
  /// There may be extents that are symbols.
  let hasSymbols: Bool

  /// - Parameters:
  ///   - symbols: names, values at hand and smallest values of the symbols 0, 1, ...
  package init(
    _ name: String, symbols: [(name: String, hint: Int, minimum: Int)], isWhole: Bool = false,
    constants: KnownConstants = KnownConstants(), inside parent: Trace? = nil,
    outerSymbols: Int = 0, argumentCount: Int = 0, onBreak: @escaping BreakHandler
  ) {
    self.name = name
    self.onBreak = onBreak
    self.isWhole = isWhole
    self.constants = parent?.constants ?? constants
    self.parent = parent
    self.outerSymbols = outerSymbols
    self.argumentCount = argumentCount
    namesAreGiven = parent?.namesAreGiven ?? Flag()
    hasSymbols = !symbols.isEmpty
    let names = Self.unique(symbols.map(\.name))
    var builder = GraphBuilder(name: name)
    for name in names { _ = builder.extent(name) }
    state = Mutex(
      State(
        builder: builder, namesAreGiven: namesAreGiven, hints: symbols.map(\.hint), minima: symbols.map(\.minimum),
        names: names))
  }

  // MARK: Cells

  private func cell(_ dtype: DType, _ value: Value?, _ dims: [Dim], _ state: inout State) -> TracedCell {
    state.cells.append(Cell(dtype: dtype, value: value, dims: dims))
    return TracedCell(self, state.cells.count - 1)
  }

  /// Called when the last tensor of a cell dies, which may be inside one of the methods here: hence a lock of its own.
  func forget(_ id: Int) { dead.withLock { $0.append(id) } }

  /// A view of `value` at the sizes at hand.
  func view(_ value: Value, _ state: inout State) throws(Diagnostic) -> TensorView {
    let type = state.builder.type(value)
    var hints: [Int] = []
    for dim in type.shape.dims {
      if case .failed(let mistake)? = dim.expression { throw mistake }
      hints.append(dim.evaluated(state.hints) ?? -1)
    }
    // What a plan can compute is addressable at the sizes of every call that it serves: else there is another capture,
    // which ends here.
    guard CheckedSize.elements(hints) != nil else {
      throw Diagnostic(
        hints.contains { $0 < 0 && $0 != -1 } ? .shape : .memory,
        "a tensor of shape \(type.shape) at the sizes \(state.hints): an extent is negative or too large",
        remedy: "check the extents that were added or multiplied")
    }
    requireAddressable(type.shape, &state)
    let isFixed = type.shape.dims.allSatisfy { $0.knownValue != nil }
    let path = ViewPath(cell(type.dtype, value, type.shape.dims, &state), isFixed: isFixed)
    return TensorView(path: path, type.dtype, extents: hints)
  }

  /// A tensor that nothing has been written to.
  func undefined(_ dtype: DType, _ hints: [Int], _ dims: [Dim]) throws(Diagnostic) -> TensorView {
    _ = try Engine.byteCount(dtype, hints)
    let made = quietly { cell(dtype, nil, dims, &$0) }
    // What is written may have symbols where `dims` have none.
    return TensorView(path: ViewPath(made), dtype, extents: hints)
  }

  /// Tensor leaf `index` of the arguments.
  package func parameter(_ index: Int, _ name: String, _ type: TensorType) throws(Diagnostic) -> TensorView {
    try locked { state throws(Diagnostic) in
      let value = state.builder.parameter(name, state.known(type))
      state.sources.append(.leaf(index))
      return try view(value, &state)
    }
  }

  func dims(of view: ViewPath) -> [Dim] {
    quietly { state in dims(of: view, state) }
  }

  func sizes(of view: ViewPath) -> [Int] {
    quietly { state in dims(of: view, state).map { $0.evaluated(state.hints) ?? 0 } }
  }

  func dims(of view: ViewPath, _ state: State) -> [Dim] {
    let cell = state.cells[view.cell.id]
    let start = cell.value.map { state.builder.shape($0).dims } ?? cell.dims
    return view.steps.reduce(start) { $1.apply($0) }.map { state.known($0) }
  }

  // MARK: Values

  func locked<T>(_ body: (inout State) throws(Diagnostic) -> T) throws(Diagnostic) -> T {
    let result: Result<T, Diagnostic> = quietly { state in
      guard state.isOpen else {
        return .failure(left)
      }
      do throws(Diagnostic) { return .success(try body(&state)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// Inside nobody is asked about extents: what is compared there are expressions.
  func quietly<T>(_ body: (inout State) -> T) -> T {
    DimObservation.$observer.withValue(nil) { state.withLock { body(&$0) } }
  }

  func read(_ view: TensorView, _ state: inout State) throws(Diagnostic) -> Value {
    guard !view.hasMemory, let path = view.path else { return try constant(view, &state) }
    return try read(path, &state)
  }

  /// A view of a cell of this capture or of one around it.
  func read(_ path: ViewPath, _ state: inout State) throws(Diagnostic) -> Value {
    var value = try whole(path.cell, &state)
    for step in path.steps { value = try step.renamed(state.known).apply(value, &state.builder) }
    return value
  }

  /// The value that a cell holds now, here or in an enclosing capture.
  func whole(_ held: TracedCell, _ state: inout State) throws(Diagnostic) -> Value {
    guard held.trace === self else { return try captured(held, &state) }
    let cell = state.cells[held.id]
    if let known = cell.value { return known }
    let dims = cell.dims.map(state.known)
    guard dims.contains(where: { $0.evaluated(state.hints) == 0 }) else {
      throw Diagnostic(.compiler, "\(name): a tensor is read before it is written")
    }
    // Nobody writes a tensor without elements; that there are none is a guard.
    for dim in dims where dim.evaluated(state.hints) == 0 { _ = answer(.equal, dim, 0, &state) }
    return try state.builder.filled(ScalarConstant(cell.dtype, 0), Shape(dims.map(state.known)))
  }

  private func write(_ update: Value, _ view: ViewPath, _ state: inout State) throws(Diagnostic) {
    guard view.cell.trace === self else { throw Self.writesOutside(name) }
    var cell = state.cells[view.cell.id]
    let isWhole = cell.value == nil && view.steps.allSatisfy(\.keepsAll)
    if !isWhole {
      // One name for what is written and for its place: an extent of one may be a number where the other has a symbol.
      let given = state.builder.shape(update).dims
      for (a, b) in zip(given, dims(of: view, state)) where !a.isIdentical(to: b) { _ = unified(a, b, &state) }
      cell = state.cells[view.cell.id]
    }
    if cell.value == nil, !isWhole {
      // Elements that nobody writes are never read: any value will do.
      cell.value = try state.builder.filled(ScalarConstant(cell.dtype, 0), Shape(cell.dims.map(state.known)))
    }
    let steps = view.steps.map { $0.renamed(state.known) }
    state.cells[view.cell.id].value = try ViewStep.written(update, at: steps, of: cell.value, &state.builder)
  }

  // MARK: Operations

  /// The capture that an operation belongs to; nil: it runs. The one place where that is decided: on a task that captures
  /// every operation is recorded, on constants too.
  @inline(__always)
  static func recording(_ operands: [Operand], _ destinations: [Destination]) -> Trace? {
    if let current { return current }
    // A traced tensor outside of its capture: recording it says so.
    for case .tensor(let view) in operands { if let path = view.path { return path.cell.trace } }
    for case .existing(let view) in destinations { if let path = view.path { return path.cell.trace } }
    return nil
  }

  /// Appends `program` on the operands; gives views of the results.
  func record(
    _ program: Program, _ operands: [Operand], _ destinations: [Destination]
  ) throws(Diagnostic) -> [TensorView] {
    try locked { state throws(Diagnostic) in
      state.remember(Diagnostic.Origin())
      var values: [Value] = []
      for operand in operands {
        switch operand {
        case .tensor(let view): values.append(try read(view, &state))
        case .scalar(let scalar): values.append(try number(scalar, &state))
        }
      }
      try meet(program, operands, &values, &state)
      var outputs = try called(program, values, &state)
      guard outputs.count == destinations.count else {
        throw Diagnostic(.compiler, "\(program.name) gives \(outputs.count) results, not \(destinations.count)")
      }
      var views: [TensorView] = []
      for (i, destination) in destinations.enumerated() {
        outputs[i] = try state.builder.convert(outputs[i], to: destination.dtype)
        switch destination {
        case .fresh: views.append(try view(outputs[i], &state))
        case .existing(let existing):
          guard let path = existing.path else {
            throw Diagnostic(
              .compiler, "\(program.name): a compiled function writes into a tensor that is not its own",
              remedy: "pass the tensor as state, or copy it first")
          }
          try write(outputs[i], path, &state)
          views.append(existing)
        }
      }
      return views
    }
  }

  private func called(
    _ program: Program, _ values: [Value], _ state: inout State
  ) throws(Diagnostic) -> [Value] {
    let types = values.map { state.builder.type($0) }
    return state.builder.call(try program.graph(types), values)
  }

  func number(_ scalar: ScalarOperand, _ state: inout State) throws(Diagnostic) -> Value {
    if let count = scalar.count {
      // The last coordinate of a range of one more: a number in the kernel that uses it, no memory, and there is one at 0.
      let length = state.known(count.dim)
      let range = try state.builder.append(.iota(axis: 0, [length + 1]), [])
      let last = try state.builder.append(.slice(starts: [length], counts: [1], steps: [1]), range)
      let wide = try state.builder.convert(try state.builder.append(.reshape([]), last), to: scalar.dtype)
      if count.offset == 0 { return wide }
      let offset =
        scalar.dtype.isFloating
        ? ScalarConstant(scalar.dtype, count.offset) : ScalarConstant(scalar.dtype, integer: Int64(count.offset))
      let rest = try state.builder.append(.constant(offset), [])
      return try state.builder.append(.add, wide, rest)
    }
    if let parent, parent.hasNumbers { return try capturedNumber(scalar, &state) }
    if state.takesNumbers {
      state.numbers.append(scalar.bits)
      return state.builder.scalar("n\(state.numbers.count - 1)", scalar.dtype)
    }
    return try state.builder.append(.constant(scalar.constant), [])
  }

  /// Axes with one label get one extent; repeated ones are repeated. What is the same at hand only is a guard.
  private func meet(
    _ program: Program, _ operands: [Operand], _ values: inout [Value], _ state: inout State
  ) throws(Diagnostic) {
    var extents: [Int: (dim: Dim, hint: Int)] = [:]
    var hints: [Int: Int] = [:]
    for (i, operand) in operands.enumerated() {
      guard case .tensor(let view) = operand else { continue }
      for (axis, dim) in state.builder.shape(values[i]).dims.enumerated() {
        let label = program.label(i, axis)
        if view.hints[axis] != 1 { hints[label] = view.hints[axis] }
        if dim.isKnown(1) { continue }
        let found = (dim: dim, hint: dim.evaluated(state.hints) ?? view.hints[axis])
        guard let known = extents[label] else {
          extents[label] = found
          continue
        }
        if known.dim.isIdentical(to: dim) { continue }
        if known.hint != found.hint {
          // One of them repeats because it is 1 at hand.
          let single = known.hint == 1 ? known.dim : dim
          guard known.hint == 1 || found.hint == 1, unified(single, 1, &state) == true else {
            throw Diagnostic(.shape, "\(program.name): extents \(known.dim) and \(dim) differ")
          }
          if known.hint == 1 { extents[label] = found }
          continue
        }
        // Two expressions, one value: a guard, which gives them one name if it can; else a number wins.
        guard unified(known.dim, dim, &state) == true else {
          throw Diagnostic(.shape, "\(program.name): extents \(known.dim) and \(dim) differ")
        }
        if dim.knownValue != nil { extents[label] = found }
      }
    }
    for (i, operand) in operands.enumerated() {
      guard case .tensor = operand else { continue }
      let dims = state.builder.shape(values[i]).dims
      var (own, target): ([Dim], [Dim]) = ([], [])
      for (axis, dim) in dims.enumerated() {
        let label = program.label(i, axis)
        let met = extents[label].map { (dim: state.known($0.dim), hint: $0.hint) }
        let wanted = met?.dim ?? (dim.isKnown(1) ? Dim(hints[label] ?? 1) : dim)
        target.append(wanted)
        // An extent that was another expression of the same value is renamed; one that is 1 repeats.
        let repeats = dim.isKnown(1) || (met.map { $0.hint != 1 && dim.evaluated(state.hints) == 1 } ?? false)
        own.append(repeats ? 1 : wanted)
      }
      let renamed = Shape(own)
      if renamed != Shape(dims) {
        values[i] = try state.builder.append(.reshape(renamed), values[i])
      }
      if renamed != Shape(target) { values[i] = try state.builder.broadcast(values[i], Shape(target)) }
    }
  }

  /// The joined view of `views` along `axis`.
  package func concatenate(_ views: [TensorView], axis: Int, dtype: DType) throws(Diagnostic) -> TensorView {
    try locked { state throws(Diagnostic) in
      state.remember(Diagnostic.Origin())
      var values: [Value] = []
      for view in views {
        let whole = try spread(view, &state)
        values.append(try state.builder.convert(whole, to: dtype))
        // Extents beside the axis are equal: a guard, which gives them one name.
        for (place, dim) in state.builder.shape(values[0]).dims.enumerated() where place != axis {
          let other = state.builder.shape(values[values.count - 1])[place]
          if !dim.isIdentical(to: other) { _ = unified(dim, other, &state) }
        }
      }
      let value = values.count == 1 ? values[0] : try state.builder.append(.concatenate(axis: axis), values)
      return try self.view(value, &state)
    }
  }

  /// The value with its repeated axes repeated.
  func spread(_ view: TensorView, _ state: inout State) throws(Diagnostic) -> Value {
    let value = try read(view, &state)
    let dims = state.builder.shape(value).dims
    let target = zip(dims, view.hints).map { $0.isKnown(1) && $1 != 1 ? Dim($1) : $0 }
    return try state.builder.broadcast(value, Shape(target))
  }

  /// `low` and `high` elements of `fill` around each axis.
  package func pad(
    _ view: TensorView, low: [Int], high: [Int], fill: ScalarConstant
  ) throws(Diagnostic) -> TensorView {
    try locked { state throws(Diagnostic) in
      state.remember(Diagnostic.Origin())
      let value = try spread(view, &state)
      let number = try state.builder.append(.constant(fill), [])
      return try self.view(
        try state.builder.append(.pad(low: low.map { Dim($0) }, high: high.map { Dim($0) }), value, number), &state)
    }
  }

  /// A program without tensor operands over `dims`: its first operand lends the shape.
  package func generate(
    _ program: Program, _ dtype: DType, _ dims: [Dim], _ scalars: [ScalarOperand]
  ) throws(Diagnostic) -> TensorView {
    try locked { state throws(Diagnostic) in
      state.remember(Diagnostic.Origin())
      let dims = dims.map(state.known)
      let count = Shape(dims).elementCount
      let isSingle = count.isKnown(1)
      let line =
        isSingle
        ? try state.builder.append(.constant(ScalarConstant(.i64, integer: 0)), [])
        : try state.builder.append(.iota(axis: 0, [count]), [])
      var values = [line]
      for scalar in scalars { values.append(try number(scalar, &state)) }
      let made = try called(program, values, &state)[0]
      let typed = try state.builder.convert(made, to: dtype)
      return try view(try ViewStep.reshape(dims).apply(typed, &state.builder), &state)
    }
  }

  // MARK: Breaks and the end

  /// The elements behind `view`, which leave the capture here. What constants alone decide is no break: it is the same
  /// in every call.
  package func handOut(
    _ view: ViewPath, _ kind: BreakKind, _ location: Diagnostic.Location?
  ) throws(Diagnostic) -> TensorView {
    if let known = try constantElements(view) { return known }
    // Inside a closure that is captured for itself the enclosing capture must not be cut.
    if let current = Self.current, current !== self, current.isInside(self) {
      return try current.handOut(view, kind, location)
    }
    return try onBreak(self, view, kind, location)
  }

  /// Remembers a failure that user code might swallow: the first with the user's line. Inside an operation that is made of
  /// others several may fail before it knows its own failure.
  package func note(_ failure: Diagnostic) {
    state.withLock { state in
      if state.failure.map({ $0.namesLibrary && !failure.namesLibrary }) ?? true { state.failure = failure }
    }
  }
  package var failure: Diagnostic? { state.withLock { $0.failure } }
  package var guards: [DimGuard] { state.withLock { $0.guards.all } }
  /// What the function itself relies on: at sizes that say otherwise its code may do anything, and stop the process.
  package var asked: Set<DimGuard> { state.withLock { $0.asked } }
  package var hints: [Int] { state.withLock { $0.hints } }
  package var numbers: [Int64] { state.withLock { $0.numbers } }

  /// Traced tensors are failed from now on.
  package func close() { state.withLock { $0.isOpen = false } }

  /// From here numbers are launch arguments: a break handed out more values than a plan can know.
  package func takeNumbers() { state.withLock { $0.takesNumbers = true } }

  /// The elements of `views` as values of the graph so far, all axes repeated.
  package func values(_ views: [TensorView]) throws(Diagnostic) -> [Value] {
    try locked { state throws(Diagnostic) in
      var values: [Value] = []
      for view in views { values.append(try spread(view, &state)) }
      return values
    }
  }

  package func dtype(of view: ViewPath) throws(Diagnostic) -> DType {
    try locked { state in state.cells[view.cell.id].dtype }
  }

  /// Where a view is as a whole already: an argument, or a value of an earlier section. nil: something was done to it.
  package func place(of view: ViewPath, _ extents: [Int]) throws(Diagnostic) -> Location? {
    guard view.steps.isEmpty, view.cell.trace.sizes(of: view) == extents else { return nil }
    return try locked { state throws(Diagnostic) in
      // Not in one expression: an empty tensor's value is appended here.
      let value = try whole(view.cell, &state)
      guard case .parameter(let i) = state.builder.primitive(value) else { return nil }
      return Location(state.sources[i])
    }
  }

  package func type(of value: Value) throws(Diagnostic) -> TensorType {
    try locked { state in state.builder.type(value) }
  }

  /// The graph up to here, with `outputs`; output -> the leaf that gives it its memory.
  package func piece(_ outputs: [Value], donors: [Int: Int] = [:]) throws(Diagnostic) -> Piece {
    try locked { state in
      var piece = finishedPiece(outputs, &state)
      (piece.donors, piece.before, piece.carriedBefore) = (donors, state.sections, state.carriedAtBreak)
      return piece
    }
  }

  /// Values that living tensors hold and that are neither nothing nor decided by constants alone: what later code may
  /// still read. `source`: where the value comes from if it is an argument already.
  package func livingValues() -> [(cell: Int, value: Value, source: Source?)] {
    quietly { living($0) }
  }

  func living(_ state: State) -> [(cell: Int, value: Value, source: Source?)] {
    let dead = Set(dead.withLock { $0 })
    return state.cells.indices.compactMap { id in
      guard !dead.contains(id), let value = state.cells[id].value, !state.isConstant[Int(value.id)] else { return nil }
      guard case .parameter(let i) = state.builder.primitive(value) else { return (id, value, nil) }
      return (id, value, state.sources[i])
    }
  }

  /// Starts the next segment: living cells become parameters that hold what `source` says. `carried`: how many values
  /// are carried by now.
  package func restart(_ cells: [(cell: Int, source: Source, type: TensorType)], carried: Int) {
    quietly { state in
      (state.sections, state.prints) = ([], [])
      (state.carried, state.carriedAtBreak) = (carried, carried)
      state.beginPiece(name, arguments: state.hints.count, dead: Set(dead.withLock { $0 }))
      state.numbers = []
      for (id, source, type) in cells {
        state.sources.append(source)
        state.cells[id].value = state.builder.parameter("v\(state.sources.count - 1)", type)
      }
    }
  }
}

// Constants of a capture: tensors that the function captured or made, and what is computed from them alone.
// Not their folding, which is done when a plan is made (CompiledPiece.swift). Surprise: a value that constants alone decide
// may leave the capture, which is no break: it is computed at once, and the graph goes on with what computes it.
import Basics
import GraphIR
import Scalars
import Synchronization
import TensorTypes

extension Trace {
  /// The parameter that holds a tensor from outside. Axes that repeat have the extent 1, as those of traced views.
  func constant(_ given: TensorView, _ state: inout State) throws(Diagnostic) -> Value {
    guard given.hasMemory else { throw Diagnostic(.compiler, "\(name): a traced tensor is no constant") }
    var view = given
    for axis in view.hints.indices where view.strides[axis] == 0 && view.hints[axis] > 1 { view.hints[axis] = 1 }
    if view.elementCount == 1 {
      let element = ScalarReference.load(view.base, view.dtype)
      let number: ScalarConstant =
        switch element {
        case .float(let value): ScalarConstant(view.dtype, value)
        case .integer(let value): ScalarConstant(view.dtype, integer: value)
        }
      let value = try state.builder.append(.constant(number), [])
      return try ViewStep.reshape(view.hints.map { Dim($0) }).apply(value, &state.builder)
    }
    let place = TensorView.Identity(view)
    if let known = state.constants[place] { return known }
    view = constants.first(view)
    state.sources.append(.constant(view))
    let type = TensorType(view.dtype, Shape(view.hints))
    let made = state.builder.parameter("c\(state.sources.count - 1)", type, strides: view.strides.map { Dim($0) })
    if view.storage !== given.storage { state.held.append(given.storage) }
    state.constants[place] = made
    return made
  }

  /// A tensor from outside as a value of the graph; the tensor itself where that fails.
  package func lifted(_ view: TensorView) -> TensorView {
    let made: Result<TensorView, Diagnostic> = Result { () throws(Diagnostic) in
      try locked { state throws(Diagnostic) in
        var lifted = try self.view(constant(view, &state), &state)
        // Axes that repeat do so in the view, not in the value.
        lifted.hints = view.hints
        return lifted
      }
    }
    return (try? made.get()) ?? view
  }

  /// The elements of `view` if constants alone decide them, else nil.
  package func constantElements(_ view: ViewPath) throws(Diagnostic) -> TensorView? {
    let found = try locked { state throws(Diagnostic) -> (value: Value, known: TensorView?, copy: ConstantGraph?) in
      let value = try read(view, &state)
      if let known = state.elements[value] { return (value, known, nil) }
      var copy = ConstantGraph(name: "\(name) constants")
      return (value, nil, copy.add(value, of: self, state) ? copy : nil)
    }
    if let known = found.known { return known }
    guard let copy = found.copy else { return nil }
    let elements = try Self.outside { () throws(Diagnostic) in try copy.elements() }
    state.withLock { $0.elements[found.value] = elements }
    return elements
  }
}

extension Trace.State {
  /// Values that constants alone decide, by their numbers.
  var isConstant: [Bool] {
    var result = [Bool](repeating: false, count: builder.nodeCount)
    for i in result.indices {
      let node = builder.graph[Value(i)]
      if case .parameter(let p) = node.primitive {
        if case .constant = sources[p] { result[i] = true }
      } else {
        result[i] = node.isFixed && node.operands.allSatisfy { result[Int($0.id)] }
      }
    }
    return result
  }

  /// A new piece begins with so many arguments. It has read nothing yet; what constants alone decide is computed from them
  /// there too, so it stays what constants alone decide.
  mutating func beginPiece(_ name: String, arguments: Int, dead: Set<Int>) {
    let (before, sources, isConstant) = (builder.graph, sources, isConstant)
    builder = GraphBuilder(name: name)
    for argument in before.arguments.prefix(arguments) { _ = builder.extent(argument) }
    self.sources = []
    (constants, elements) = ([:], [:])
    // Cells that nobody holds have values of earlier pieces.
    let held = cells.indices.filter { id in
      !dead.contains(id) && (cells[id].value.map { isConstant[Int($0.id)] } ?? false)
    }
    var needed = Set(held.compactMap { cells[$0].value })
    for i in isConstant.indices.reversed() where needed.contains(Value(i)) {
      needed.formUnion(before[Value(i)].operands)
    }
    var places: [Value: Value] = [:]
    for value in needed.sorted(by: { $0.id < $1.id }) {
      let node = before[value]
      if case .parameter(let p) = node.primitive, case .constant(let view) = sources[p] {
        self.sources.append(sources[p])
        let name = "c\(self.sources.count - 1)"
        places[value] = builder.parameter(name, node.type, strides: before.parameters[p].strides)
        constants[TensorView.Identity(view)] = places[value]
      } else {
        builder.origin = node.origin
        builder.append(1) { _ in node.on(node.operands.compactMap { places[$0] }) }
        places[value] = Value(builder.nodeCount - 1)
      }
    }
    for id in held { cells[id].value = cells[id].value.flatMap { places[$0] } }
  }
}

extension GraphNode {
  /// Its operands alone decide it: no size that is a symbol, no number that a call hands over.
  fileprivate var isFixed: Bool {
    if case .scalar = primitive { return false }
    return type.shape.knownExtents != nil && primitive.hasKnownExtents
  }
}

/// A value of a capture and what it is computed from, as a graph by itself.
private struct ConstantGraph {
  private var builder: GraphBuilder
  private var constants: [TensorView] = []
  /// Where values of the captures are here.
  private var places: [ObjectIdentifier: [Value: Value]] = [:]
  private var output: Value?

  init(name: String) { builder = GraphBuilder(name: name) }

  /// Adds `value` as the result; false: arguments, their sizes or numbers that a call hands over decide it too.
  mutating func add(_ value: Value, of trace: Trace, _ state: Trace.State) -> Bool {
    output = copied(value, of: trace, state)
    return output != nil
  }

  private mutating func copied(_ value: Value, of trace: Trace, _ state: Trace.State) -> Value? {
    let graph = state.builder.graph
    var known = places[ObjectIdentifier(trace)] ?? [:]
    var needed: Set<Value> = []
    var stack = [value]
    while let next = stack.popLast() {
      guard known[next] == nil, needed.insert(next).inserted else { continue }
      let node = graph[next]
      guard case .parameter(let i) = node.primitive else {
        guard node.isFixed else { return nil }
        stack += node.operands
        continue
      }
      switch state.sources[i] {
      case .constant: break
      // Of a closure: the place of a value of the capture around it.
      case .leaf(let leaf): if leaf < trace.argumentCount || trace.parent == nil { return nil }
      case .carried: return nil
      }
    }
    for next in needed.sorted(by: { $0.id < $1.id }) {
      let node = graph[next]
      guard case .parameter(let i) = node.primitive else {
        builder.append(1) { _ in node.on(node.operands.compactMap { known[$0] }) }
        known[next] = Value(builder.nodeCount - 1)
        continue
      }
      switch state.sources[i] {
      case .constant(let view):
        constants.append(view)
        known[next] = builder.parameter("c\(constants.count - 1)", node.type, strides: graph.parameters[i].strides)
      case .leaf(let leaf):
        guard let parent = trace.parent else { return nil }
        let outer = state.captures[leaf - trace.argumentCount].outer
        guard let made = parent.quietly({ copied(outer, of: parent, $0) }) else { return nil }
        known[next] = made
      case .carried: return nil
      }
    }
    places[ObjectIdentifier(trace)] = known
    return known[value]
  }

  /// Runs it.
  func elements() throws(Diagnostic) -> TensorView {
    var builder = builder
    guard let output else { throw Diagnostic(.compiler, "constants without a result") }
    let graph = builder.finish([output])
    // Arguments of this graph, so that nothing is folded: it is run once.
    let piece = Trace.Piece(graph: graph, sources: constants.indices.map { .leaf($0) }, donors: [:])
    let engine = try Engine.current
    let made = try engine.once(piece)
    let type = graph.type(output)
    let result = try engine.memory(type.dtype, type.shape.knownExtents ?? [])
    let parameters = made.sources.compactMap { if case .leaf(let i) = $0 { constants[i] } else { nil } }
    try made.graph.run(parameters, [], into: [result])
    return result
  }
}

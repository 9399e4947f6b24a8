// Control flow on tensors: choices and loops whose decision is a tensor. Not Swift's `if` and `for`, which decide while a
// function is captured. Surprise: inside `compile` a closure given here runs once or twice to be captured and never
// again, so it must not change variables outside of it; eagerly it runs on each trip.
import Basics
import Engine
import Tensors
import TensorTypes

/// One of two results, by a tensor with one element. PyTorch: `torch.cond`. JAX: `lax.cond`.
///
/// Outside `compile` only the chosen branch runs. Inside, both are captured; then
/// - branches of elementwise operations, reductions and index maps are both computed, and every tensor of the result is
///   selected: that is fused with the code around them;
/// - branches with a product, a sort, a loop, something printed, or an operation that can fault (indices) become a real
///   branch of the plan: only the chosen one runs, and what it reads and gives goes through memory.
///
/// Plain values and extents of the results must agree.
///
/// - Throws: what a branch throws; results of different structure; a predicate that has not one element.
public func cond<R: Tree>(
  _ predicate: Tensor, _ then: () throws -> R, else otherwise: () throws -> R, file: StaticString = #fileID,
  line: UInt = #line
) throws -> R {
  let place = CallPlace("cond", file, line)
  guard let trace = try capture(around: [predicate]) else {
    return try predicate.item(as: Bool.self, file: file, line: line) ? then() : otherwise()
  }
  guard predicate.elementCount == 1 else {
    throw place.error(
      .shape, "the predicate has the shape \(predicate.shape)", "reduce it to one element with all() or any()")
  }
  return try CapturedChoice(place, trace, predicate.reshaped([], file: file, line: line)).run(then, otherwise)
}

/// Applies `body` while `condition` holds. PyTorch: `torch.while_loop`. JAX: `lax.while_loop`.
///
///     // Newton's iteration for the square root.
///     let root = try whileLoop(x, while: { ((($0 * $0) - x).abs() > 1e-6).any() }, { ($0 + x / $0) / 2 })
///
/// Tensors of the state keep their dtypes and shapes from trip to trip, plain values and counts their values; a ``Dim`` may
/// change (a position in a cache). Inside `compile` the loop is part of the plan, also in `.whole` mode: condition and body
/// are captured, compiled and run on memory that is used again on each trip. Then
/// - tensors of the code around may be read, and nothing outside may be changed: not by writing into a tensor, and not by
///   drawing from a generator outside;
/// - a `Dim` that changes has no value behind the loop, which ran for an unknown number of trips: carry a tensor beside it;
/// - where a value leaves condition or body (``Tensor/item(as:file:line:)``), `.whole` mode throws, and in `.partial` mode
///   the loop is written out trip by trip with a break at each test, which ``Compiled/explain()`` tells.
///
/// - Throws: what the closures throw; a condition that has not one element; a state that changes its structure.
public func whileLoop<S: Tree>(
  _ initial: S, while condition: (S) throws -> Tensor, _ body: (S) throws -> S, file: StaticString = #fileID,
  line: UInt = #line
) throws -> S {
  let place = CallPlace("whileLoop", file, line)
  if let trace = try capture(around: initial.tensors),
    let result = try CapturedLoop(place, trace, initial).whileTrue(condition, body)
  {
    return result
  }
  var state = initial
  while try condition(state).item(as: Bool.self, file: file, line: line) {
    let next = try body(state)
    try place.checkState(from: state, to: next)
    state = next
  }
  return state
}

/// Carries a state along the first axis of `elements` and stacks what each step gives. JAX: `lax.scan`.
///
/// The state is as in ``whileLoop(_:while:_:file:line:)``, and so is what holds inside `compile`: the loop is part of the
/// plan, one plan serves all lengths, and each result is written into its place of the stack. It is never written out: where
/// steps of a small fixed number are better fused with each other, write a Swift `for`.
///
/// - Throws: what `step` throws; a tensor of rank 0; no elements, since the result's shape is not known then; a state that
///   changes its structure; results of different shapes.
public func scan<S: Tree>(
  _ initial: S, over elements: Tensor, file: StaticString = #fileID, line: UInt = #line,
  _ step: (S, Tensor) throws -> (S, Tensor)
) throws -> (state: S, results: Tensor) {
  try scan(CallPlace("scan", file, line), initial, elements, step)
}

/// `transform` of each element of the first axis, stacked. JAX: `lax.map`.
///
/// Inside `compile` a loop of the plan, as ``scan(_:over:file:line:_:)``; where `transform` works on whole tensors, calling
/// it once on all elements is faster.
///
/// - Throws: what `transform` throws; a tensor of rank 0; no elements; results of different shapes.
public func map(
  over elements: Tensor, file: StaticString = #fileID, line: UInt = #line, _ transform: (Tensor) throws -> Tensor
) throws -> Tensor {
  try scan(CallPlace("map", file, line), Stateless(), elements) { ($0, try transform($1)) }.results
}

private func scan<S: Tree>(
  _ place: CallPlace, _ initial: S, _ elements: Tensor, _ step: (S, Tensor) throws -> (S, Tensor)
) throws -> (state: S, results: Tensor) {
  guard elements.failure == nil, elements.rank > 0 else {
    throw elements.failure ?? place.error(.shape, "a 0-d tensor has no first axis", "give a tensor of rank 1 or more")
  }
  guard Dim.asks(.less, 0, elements.shape[0]) else {
    throw place.error(
      .argument, "there are no elements in \(elements.shape), so the shape of the results is not known",
      "treat the empty case before")
  }
  if let trace = try capture(around: initial.tensors + [elements]),
    let result = try CapturedLoop(place, trace, initial).along(elements, step)
  {
    return result
  }
  var state = initial
  var results: [Tensor] = []
  for i in 0..<(try elements.shape[0].value) {
    let (next, result) = try step(state, elements[i])
    try place.checkState(from: state, to: next)
    if let first = results.first { try place.checkMember("the result", first, result) }
    state = next
    results.append(result)
  }
  return (state, Tensor.stacked(results, file: place.file, line: place.line))
}

/// The capture that control flow on these tensors belongs to; nil: it runs at once.
private func capture(around tensors: [Tensor]) throws(Diagnostic) -> Trace? {
  for tensor in tensors { _ = try tensor.view }
  return Trace.current
}

/// A call of control flow, for messages.
struct CallPlace {
  let name: String
  let file: StaticString
  let line: UInt

  init(_ name: String, _ file: StaticString, _ line: UInt) {
    (self.name, self.file, self.line) = (name, file, line)
  }

  var location: Diagnostic.Location { .init(file: "\(file)", line: line) }

  func error(_ kind: Diagnostic.Kind, _ message: String, _ remedy: String) -> Diagnostic {
    Diagnostic(kind, "\(name): \(message)", remedy: remedy, location: location)
  }

  /// The state keeps its structure, dtypes and shapes.
  func checkState<S: Tree>(from before: S, to after: S) throws(Diagnostic) {
    if let change = before.change(to: after) {
      throw error(
        .argument, "behind a trip \(change), which it was not before",
        "carry what changes as a tensor or a Dim; types, cases and plain members stay as they are")
    }
    if let hidden = before.hiddenChange(to: after) {
      throw hidden.mistake("\(name) would not carry it from trip to trip", location)
    }
    let (old, new) = (before.leaves, after.leaves)
    guard old.count == new.count else {
      throw error(
        .argument, "the state has \(old.count) members before a trip and \(new.count) behind it",
        "collections in the state keep their counts")
    }
    for i in old.indices {
      switch (old[i], new[i]) {
      case (.tensor(let a), .tensor(let b)): try checkMember("member \(before.memberName(i)) of the state", a, b)
      case (.dim, .dim): break
      case (.value(let a), .value(let b)) where a == b: break
      case (.count(let a), .count(let b)) where a == b: break
      default:
        throw error(
          .argument,
          "member \(before.memberName(i)) of the state is \(old[i].text) before a trip and \(new[i].text) behind it",
          "carry what changes as a tensor or a Dim")
      }
    }
  }

  func checkMember(_ what: String, _ a: Tensor, _ b: Tensor) throws(Diagnostic) {
    for tensor in [a, b] { _ = try tensor.view }
    guard a.dtype == b.dtype, a.rank == b.rank, zip(a.shape.dims, b.shape.dims).allSatisfy({ $0 == $1 }) else {
      throw error(
        .shape, "\(what) is \(a.dtype)\(a.shape) before a trip and \(b.dtype)\(b.shape) behind it",
        "give each trip's result the dtype and shape that it starts from")
    }
  }
}

extension Tree {
  /// All members in order.
  var leaves: ContiguousArray<Leaf> {
    var v = Visitor(.collect)
    read(&v)
    return v.leaves
  }

  /// The first thing beside the leaves that is otherwise in `other`, with what it is now; nil: nothing.
  func change(to other: Self) -> String? {
    var probe = Visitor(.probe)
    for tree in [self, other] { probe.root(tree) }
    return knownChange(to: other)
  }

  /// As ``change(to:)`` without looking for what no visit shows. Both are read with one table: what is known of types grows
  /// while other threads capture.
  func knownChange(to other: Self) -> String? {
    let shapes = ShapeTable.current
    let forms = [self, other].map { tree in
      var v = Visitor.describing(with: shapes)
      v.root(tree)
      return v.form
    }
    return forms[0].change(to: forms[1])
  }

  var tensors: [Tensor] { leaves.compactMap { if case .tensor(let tensor) = $0 { tensor } else { nil } } }

  /// "layers.0.keys", or the member's number.
  func memberName(_ i: Int) -> String {
    var v = Visitor(.name)
    read(&v)
    return v.names.indices.contains(i) && !v.names[i].isEmpty ? "'\(v.names[i])'" : "\(i)"
  }

  /// The tree with these members in place of its own.
  func holding(_ leaves: ContiguousArray<Leaf>) throws(Diagnostic) -> Self {
    var probe = Visitor(.probe)
    probe.root(self)
    if let object = probe.object { throw HiddenTensor.isShared(object, nil) }
    var v = Visitor(.replace)
    v.leaves = leaves
    var copy = self
    copy.visit(&v)
    if let failure = v.failure { throw failure }
    return copy
  }
}

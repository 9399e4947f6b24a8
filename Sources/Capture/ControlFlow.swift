// Control flow on tensors: choices and loops whose decision is a tensor. Not Swift's `if` and `for`, which decide while a
// function is captured. Surprise: inside `compile` both branches of `cond` are computed, and loops over an axis are
// written out; a `whileLoop` is a break there, since how often it runs is only known from values.
import Basics
import Engine
import Tensors
import TensorTypes

/// One of two results, by a tensor with one element. PyTorch: `torch.cond`.
///
/// Outside `compile` only the chosen branch runs. Inside, both are part of the graph and every tensor of the result is
/// selected; plain values and extents of the results must agree.
///
/// - Throws: what a branch throws; results of different structure; a predicate that has not one element.
public func cond<R: Tree>(
  _ predicate: Tensor, _ then: () throws -> R, else otherwise: () throws -> R, file: StaticString = #fileID,
  line: UInt = #line
) throws -> R {
  guard try predicate.isTraced else {
    return try predicate.item(as: Bool.self, file: file, line: line) ? then() : otherwise()
  }
  guard predicate.elementCount == 1 else {
    throw Diagnostic(
      .shape, "cond: the predicate has the shape \(predicate.shape)",
      remedy: "reduce it to one element with all() or any()",
      file: file, line: line)
  }
  let mask = predicate.reshaped([], file: file, line: line)
  let (a, b) = (try then(), try otherwise())
  var (left, right) = (Visitor(.collect), Visitor(.collect))
  a.read(&left)
  b.read(&right)
  guard left.leaves.count == right.leaves.count else {
    throw Diagnostic(
      .argument, "cond: the branches give \(left.leaves.count) and \(right.leaves.count) members",
      remedy: "give both results one structure", file: file, line: line)
  }
  var merged = Visitor(.replace)
  for (x, y) in zip(left.leaves, right.leaves) {
    switch (x, y) {
    case (.tensor(let x), .tensor(let y)):
      let shapes = (x.shape.dims, y.shape.dims)
      guard x.dtype == y.dtype, shapes.0.count == shapes.1.count, zip(shapes.0, shapes.1).allSatisfy({ $0 == $1 })
      else {
        throw Diagnostic(
          .shape, "cond: the branches give \(x.dtype)\(x.shape) and \(y.dtype)\(y.shape)",
          remedy: "give both results one dtype and shape", file: file, line: line)
      }
      merged.leaves.append(.tensor(Tensor.select(mask, x, y, file: file, line: line)))
    case (.dim(let x), .dim(let y)) where x == y: merged.leaves.append(.dim(x))
    case (.value(let x), .value(let y)) where x == y: merged.leaves.append(.value(x))
    case (.count(let x), .count(let y)) where x == y: merged.leaves.append(.count(x))
    default:
      throw Diagnostic(
        .argument, "cond: the branches differ in something that is no tensor", remedy: "give what differs as a tensor",
        file: file, line: line)
    }
  }
  var result = a
  result.visit(&merged)
  return result
}

/// Applies `body` while `condition` holds. PyTorch: `torch.while_loop`.
///
/// Inside `compile` each test of the condition is a break: it is refused in `.whole` mode.
///
/// - Throws: what the closures throw; a condition that has not one element.
public func whileLoop<S: Tree>(
  _ initial: S, while condition: (S) throws -> Tensor, _ body: (S) throws -> S, file: StaticString = #fileID,
  line: UInt = #line
) throws -> S {
  var state = initial
  while try condition(state).item(as: Bool.self, file: file, line: line) { state = try body(state) }
  return state
}

/// Carries a state along the first axis of `elements` and stacks what each step gives. JAX: `lax.scan`.
///
/// Inside `compile` the steps are written out, so the extent of the axis becomes a guard.
///
/// - Throws: what `step` throws; a tensor of rank 0.
public func scan<S: Tree>(
  _ initial: S, over elements: Tensor, file: StaticString = #fileID, line: UInt = #line,
  _ step: (S, Tensor) throws -> (S, Tensor)
) throws -> (state: S, results: Tensor) {
  let count = try leadingExtent(elements, "scan", file, line)
  var state = initial
  var results: [Tensor] = []
  for i in 0..<count {
    let (next, result) = try step(state, elements[i])
    state = next
    results.append(result)
  }
  return (state, Tensor.stacked(results, file: file, line: line))
}

/// `transform` of each element of the first axis, stacked. JAX: `lax.map`.
///
/// Inside `compile` the steps are written out, so the extent of the axis becomes a guard; where `transform` works on whole
/// tensors, calling it once on all elements is faster.
///
/// - Throws: what `transform` throws; a tensor of rank 0.
public func map(
  over elements: Tensor, file: StaticString = #fileID, line: UInt = #line, _ transform: (Tensor) throws -> Tensor
) throws -> Tensor {
  let count = try leadingExtent(elements, "map", file, line)
  return Tensor.stacked(try (0..<count).map { try transform(elements[$0]) }, file: file, line: line)
}

private func leadingExtent(
  _ elements: Tensor, _ name: String, _ file: StaticString, _ line: UInt
) throws(Diagnostic) -> Int {
  guard elements.failure == nil, elements.rank > 0 else {
    throw elements.failure
      ?? Diagnostic(
        .shape, "\(name): a 0-d tensor has no first axis", remedy: "give a tensor of rank 1 or more", file: file,
        line: line)
  }
  return try elements.shape[0].value
}

extension Tensor {
  fileprivate var isTraced: Bool {
    get throws(Diagnostic) { try view.traced != nil }
  }
}

// Extents that are made equal inside closures of control flow: by what an operation needs, by a comparison, by numbers;
// of the code around, of the loop itself. Not sizes in straight code (SizeTests). Surprise: a closure has names of its own
// for what was named before it began, so that an equality must reach every capture around it.
import Basics
import Capture
import TensorTypes
import Tensors
import TestSupport
import Testing

/// Something that makes extents equal; gives a tensor of `x`'s shape. Of 4 and 4 elements all of them work.
private typealias Equality = @Sendable (_ x: Tensor, _ y: Tensor) throws -> Tensor
private let equalities: [(String, Equality)] = [
  ("two extents", { x, y in x + y }),
  ("two extents, the other way round", { x, y in y * 2 - x }),
  (
    "an expression and a number",
    { x, y in x + (Tensor([[1, 2], [3, 4]] as [[Float]]) * y[.slice(nil, nil, by: 2)]).sum() }
  ),
  ("two expressions", { x, y in x + (x[.slice(nil, nil, by: 2)] * y[.slice(nil, nil, by: 2)]).sum() }),
  ("a number", { x, _ in x + Tensor([1, 2, 3, 4] as [Float]) }),
  ("each a number", { x, y in x * Tensor([1, 2, 3, 4] as [Float]) + y * Tensor([4, 3, 2, 1] as [Float]) }),
  ("an extent, then a number", { x, y in (x + y) * Tensor([1, 2, 3, 4] as [Float]) }),
  ("a number that was read", { x, y in try x + Float(y.shape[0].value) + Tensor([1, 2, 3, 4] as [Float]) + y }),
  ("joined", { x, y in Tensor.stacked([x, y]).sum(0) + Tensor.stacked([y, x])[0] }),
  ("a product", { x, y in x + x.reshaped([1, -1]).matmul(y.reshaped([-1, 1])).sum() }),
  ("asked", { x, y in x.shape[0] == y.shape[0] ? x + y : x }),
  ("asked of a number", { x, y in y.shape[0] == 4 ? x + y.reshaped([2, 2]).sum(0).sum() : x }),
  ("a shape given", { x, y in x + x.reshaped([y.shape[0]]).flipped([0]) }),
  ("used by both names before", { x, y in x[0..<y.shape[0]] * 2 + y[0..<x.shape[0]] }),
  (
    "written",
    { x, y in
      var z = x * 2
      z[0..<x.shape[0]] = y + 1
      return z + x
    }
  ),
]

/// A closure around an equality; gives a tensor of `x`'s shape.
private typealias Closure = @Sendable (_ x: Tensor, _ y: Tensor, _ inside: Equality) throws -> Tensor
private let closures: [(String, Closure)] = [
  ("a branch", { x, y, inside in try cond(x.sum() > 0, { try inside(x, y) }, else: { x }) }),
  ("the other branch", { x, y, inside in try cond(x.sum() < 0, { x + y.sum() }, else: { try inside(x, y) + 1 }) }),
  ("both branches", { x, y, inside in try cond(x.sum() > 0, { try inside(x, y) }, else: { try inside(x + 1, y) }) }),
  (
    "a real branch",
    { x, y, inside in
      try cond(x.sum() > 0, { try inside(x.sorted(0).values, y) }, else: { x + y.sorted(0).values.sum() }) + x
    }
  ),
  (
    "a loop's step",
    { x, y, inside in try whileLoop(x, while: { $0.sum() < 100 }, { try inside($0, y).abs() + $0 + 9 }) }
  ),
  (
    "a loop's condition",
    { x, y, inside in
      try whileLoop(x, while: { try (inside($0, y) * 0 + $0).sum() < 100 }, { $0.abs() + 9 + y.sum().abs() })
    }
  ),
  ("a scan", { x, y, inside in try scan(x, over: y) { ($0 + $1, try inside($0, y) * $1) }.results.sum(0) + x }),
  ("a scan's state", { x, y, inside in try scan(x, over: y) { (try inside($0, y) * 0.1 + $1, $0.sum()) }.state }),
  ("a map", { x, y, inside in try map(over: Tensor([1, 2] as [Float])) { try inside(x, y) * $0 }[1] }),
]

/// At 4 and 4 elements, then at others. Of unequal ones a branch that is not taken may be refused, which nobody else sees.
///
/// One extent is an argument's, which a capture may take as a number where symbols fail; the other is a `Dim`, which it may
/// not.
private func agree(_ what: String, _ body: @escaping @Sendable (Tensor, Tensor) throws -> Tensor) {
  let f = compile(dynamic: .all, maxRecompiles: 20) { (x: Tensor, y: Tensor, m: Dim) in try body(x, y[0..<m]) }
  for (n, m) in [(4, 4), (6, 6), (4, 3), (1, 4)] {
    let x = Tensor((0..<n).map { Float($0 % 5) * 0.5 - 0.25 })
    let y = Tensor((0..<9).map { Float($0 % 3) - 0.5 })
    let (eager, compiled) = (answer { try body(x, y[0..<m]) }, answer { try f(x, y, Dim(m)) })
    switch (eager, compiled) {
    case (.success(let a), .success(let b)):
      let isClose = a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= 1e-3 * max(1, abs($0)) }
      #expect(isClose, "\(what) of \(n) and \(m): \(a), compiled \(b)")
    case (.failure(let error), .success(let b)):
      Issue.record("\(what) of \(n) and \(m): \(error), compiled \(b)")
    case (.success(let a), .failure(let error)) where n == m:
      Issue.record("\(what) of \(n) and \(m): \(a), compiled \(error)")
    case (_, .failure): break
    }
  }
  let explanation = "\(f.explain())"
  #expect(!explanation.contains("with symbols:"), "\(what): \(explanation)")
}

private func answer(_ body: () throws -> Tensor) -> Result<[Float], any Error> {
  Result { try body().array(as: Float.self) }
}

/// Cases are compiled one after another: each runs on all cores.
@Suite(.serialized, .needs(.time)) struct EqualSizesInClosuresTests {
  @Test(arguments: closures.indices)
  fileprivate func extents_are_made_equal_in_a_closure(_ i: Int) {
    let (place, closure) = closures[i]
    for (name, inside) in equalities { agree("\(name) in \(place)") { x, y in try closure(x, y, inside) } }
  }

  @Test(arguments: closures.indices)
  fileprivate func extents_are_made_equal_in_a_closure_of_a_closure(_ i: Int) {
    let (place, closure) = closures[i]
    for (j, (innerPlace, inner)) in closures.enumerated() {
      // Each pair has two of them, all places together have all.
      for (name, inside) in equalities.enumerated().filter({ ($0.offset + i * 3 + j) % 8 == 0 }).map(\.element) {
        agree("\(name) in \(innerPlace) in \(place)") { x, y in
          try closure(x, y) { x, y in try inner(x, y, inside) }
        }
      }
    }
  }

  @Test(arguments: equalities.indices)
  fileprivate func extents_are_made_equal_three_closures_deep(_ i: Int) {
    let (name, inside) = equalities[i]
    let (a, b, c) = (closures[i % 9], closures[(i + i / 9 + 3) % 9], closures[(i * 2 + 5) % 9])
    agree("\(name) in \(c.0) in \(b.0) in \(a.0)") { x, y in
      try a.1(x, y) { x, y in try b.1(x, y) { x, y in try c.1(x, y, inside) } }
    }
  }

  /// Equal behind the closure, between closures and before, so that one closure has names that the other had not.
  @Test(arguments: equalities.indices)
  fileprivate func closures_before_and_behind_have_other_names(_ i: Int) {
    let (name, inside) = equalities[i]
    for (j, (place, closure)) in closures.enumerated() where (i + j) % 3 == 0 {
      agree("\(name) behind \(place)") { x, y in
        let made = try closure(x, y) { x, y in x * 2 + y.sum() }
        return try inside(made, y) + closure(made, y) { x, y in try inside(x, y + 1) + x[0..<y.shape[0]].sum() }
      }
    }
  }

  /// Extents that move from trip to trip, equal to each other or to what is outside on every one.
  @Test func extents_of_a_loop_are_made_equal() {
    typealias Step = @Sendable (_ x: Tensor, _ y: Tensor, _ at: Walk) throws -> Tensor
    let steps: [(String, Step)] = [
      ("two that move", { x, y, at in (x[0..<at.a] * y[0..<at.b]).sum() }),
      ("an expression", { x, y, at in (x[0..<(at.a + 1)] * y[1..<(at.b + 2)]).sum() }),
      ("one that moves the other way", { x, y, at in (x[at.a..<x.shape[0]] * y[0..<at.left]).sum() }),
      ("asked", { x, y, at in at.a == at.b ? x[0..<at.a].sum() : y.sum() }),
      ("an own and outer ones", { x, y, at in (x + y)[0..<at.a].sum() * (x[0..<at.a] + y[0..<at.b]).sum() }),
      (
        "in a branch",
        { x, y, at in try cond(at.sum > 1, { (x[0..<at.a] * y[0..<at.b]).sum() }, else: { (x + y).sum() }) }
      ),
      (
        "in a loop",
        { x, y, at in try scan(at.sum, over: x) { ($0 + (y[0..<at.a] * x[0..<at.b]).sum() * $1, $1) }.state }
      ),
    ]
    for (name, step) in steps {
      agree(name) { x, y in
        let first = Walk(a: 1, b: 1, left: x.shape[0] - 1, size: y.shape[0], sum: x.sum())
        let end = try whileLoop(first, while: { Tensor($0.a) < 3 }) { at in
          // Its extent does not move: it has another name.
          Walk(
            a: at.a + 1, b: at.b + 1, left: at.left - 1, size: x.shape[0],
            sum: try at.sum + step(x, y, at) + (x + y).sum())
        }
        return x + end.sum
      }
    }
  }
}

private struct Walk: Tree {
  var a: Dim
  var b: Dim
  var left: Dim
  var size: Dim
  var sum: Tensor
  mutating func visit(_ v: inout Visitor) {
    v("a", &a)
    v("b", &b)
    v("left", &left)
    v("size", &size)
    v("sum", &sum)
  }
}

// A value that leaves a function behind something: behind another value, a loop, a branch, a write under a mask. Not what
// leaves a closure (ValuesInClosuresTests). Surprise: a path is captured again with the breaks that are known, and each
// piece must have the key that it had first.
import Capture
import TensorTypes
import Tensors
import TestSupport
import Testing

private typealias Part = @Sendable (Tensor) throws -> Tensor

private let before: [(String, Part)] = [
  ("nothing", { $0 }),
  ("a whole number", { x in x + (try (x > 0).sum().item(as: Int.self)) }),
  ("a number", { x in x * (try x.max().item(as: Float.self)) }),
  ("a truth", { x in try (x.sum() > 2).item(as: Bool.self) ? x * 2 : x + 1 }),
  ("an array", { x in x + Tensor(try x.array(as: Float.self)) }),
  ("places", { x in x + (x > 0).nonzero().sum() }),
  ("a part", { x in x + x[x > 0].sum() }),
  (
    "a write under a mask",
    { x in
      var y = x
      y[y > 1] = Tensor(Float(1))
      return y
    }
  ),
  ("a scan", { x in try scan(x, over: x) { ($0 + $1, $0) }.results.sum(0) }),
  ("a scan's state", { x in try scan(x, over: x) { ($0 * 0.5 + $1, $1) }.state }),
  ("a map", { x in try map(over: x) { $0 * 2 } }),
  ("a loop", { x in try whileLoop(x, while: { $0.sum() < 40 }) { $0 + 9 } }),
  ("a branch", { x in try cond(x.sum() > 3, { x.sorted(descending: true).values }, else: { x.sorted().values }) }),
  ("both sides", { x in try cond(x.sum() > 3, { x * 3 }, else: { x - 1 }) }),
]

private let breaks: [(String, Part)] = [
  ("a whole number", { x in x + (try (x > 2).sum().item(as: Int.self)) }),
  ("a number", { x in x * (try x.mean().item(as: Float.self)) }),
  ("a truth", { x in try (x.sum() > 8).item(as: Bool.self) ? x * 2 : x + 1 }),
  ("an array", { x in Tensor(try x.array(as: Float.self)) + x }),
  ("places", { x in x.sum() + (x > 1).nonzero() }),
  ("a part", { x in x[x > 1] * 2 }),
  ("distinct elements", { x in x.unique().values }),
]

@Test(.needs(.time)) func what_leaves_behind_something_is_the_same_when_captured_again() throws {
  let inputs = [[1, 2, 3], [-1, 4], [1, 2, 3], [-1, -2]].map { Tensor($0 as [Float]) }
  for (i, (first, a)) in before.enumerated() {
    for (j, (second, b)) in breaks.enumerated() {
      let dynamic: DynamicShapes = (i + j) % 2 == 0 ? .all : .automatic
      let compiled = compile(dynamic: dynamic, maxRecompiles: 100) { (x: Tensor) in try b(try a(x)) }
      for x in inputs {
        let right = try b(try a(x))
        let result = try compiled(x)
        #expect(try result.isAllClose(to: right), "\(second) behind \(first) of \(x), \(dynamic)")
      }
    }
  }
}

@Test func a_break_with_too_many_values_is_open_behind_one_that_is_not() throws {
  let compiled = compile { (x: Tensor) in
    let many = try (x > 0).sum().item(as: Int.self)
    let exact = try x[0].converted(to: .i64).item(as: Int.self)
    return x * many + exact * 2 + (try x[1].item(as: Float.self))
  }
  for i in 0..<40 {
    let x = Tensor([Float(i), Float(i % 3), -1])
    let many = Float((i > 0 ? 1 : 0) + (i % 3 > 0 ? 1 : 0))
    #expect(try compiled(x).array() == [Float(i), Float(i % 3), -1].map { $0 * many + Float(2 * i) + Float(i % 3) })
  }
}

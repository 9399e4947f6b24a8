// Values that leave inside the closures of control flow, and sizes that become texts and numbers. Not breaks of straight
// code (CompileTests). Surprise: a closure that is captured for itself looks up tensors of the capture around it.
import Basics
import Capture
import TensorTypes
import Tensors
import Testing

private let given = Tensor([[1, 2, 3], [4, 5, 6]] as [[Float]])

/// Each asks `k`, which constants alone decide, for its elements inside a closure.
private typealias Asking = @Sendable (_ x: Tensor, _ k: Tensor) throws -> Tensor
private let asking: [(String, Asking)] = [
  ("cond", { x, k in try cond(x.sum() > 0, { x * (try k.sum().item(as: Float.self)) }, else: { x + 1 }) }),
  ("cond, both", { x, k in try cond(x.sum() > 0, { try x * first(k) }, else: { try x + first(k * 2) }) }),
  (
    "while",
    { x, k in
      try whileLoop(
        x, while: { $0.sum().abs() < 500 }, { $0 * 2 + (try k.sum().item(as: Float.self)) + (try first(k)) })
    }
  ),
  ("scan", { x, k in try scan(Tensor(Float(0)), over: x) { ($0 + (try first(k)), $1 * (try first(k))) }.results }),
  (
    "map in cond in map",
    { x, k in
      try map(over: x) { e in
        try cond(
          e > 1,
          {
            let twice = k * 2
            return try cond(e > 2, { e + (try first(twice)) }, else: { e * (try first(k)) })
          }, else: { e - (try first(k)) })
      }
    }
  ),
  ("positions", { x, k in try cond(x.sum() > 0, { x.sum() + k[k > 2].sum() }, else: { x.sum() }) }),
]
@Sendable private func first(_ k: Tensor) throws -> Float { try k.reshaped(-1).array(as: Float.self)[0] }

@Test func constants_are_asked_for_their_elements_inside_closures() throws {
  let constants: [(String, @Sendable () -> Tensor)] = [
    ("captured", { given }), ("view", { given.transposed()[1] }), ("computed", { given * 2 + 1 }),
    ("made inside", { Tensor([3, 4] as [Float]) }),
    ("computed inside", { Tensor([3, 4] as [Float]).cumulativeSum(0) }),
    ("0-d", { Tensor(Float(2)) }), ("range", { Tensor.arange(from: 1, to: 4) }),
    ("view of computed", { (given + 1)[0..., 1] }),
    ("expanded", { Tensor([2] as [Float]).expanded([3, 1]) }), ("reduced", { given.sum(0) }),
  ]
  for (name, make) in constants {
    for (place, ask) in asking {
      let outside: @Sendable (Tensor) throws -> Tensor = { x in try ask(x, make()) }
      let f = compile(outside)
      for x in [Tensor([1, 2, 3] as [Float]), Tensor([-1, -2, -3] as [Float]), Tensor([1, 2, 3, 4] as [Float])] {
        #expect(try f(x).array(as: Float.self) == outside(x).array(), "\(name) in \(place)")
      }
    }
  }
}

@Test func texts_of_sizes_follow_the_sizes() throws {
  let texts: [@Sendable (Tensor) -> String] = [
    { "\($0.shape)" }, { "\($0.shape[0])" }, { "\($0.shape[0] * 2 + 1)" }, { "\($0.shape.dims)" },
    { $0.shape[0].description + $0.elementCount.description }, { String(describing: ($0.shape[0], $0.shape[-1] / 2)) },
  ]
  for text in texts {
    for dynamic in [DynamicShapes.automatic, .all] {
      let f: @Sendable (Tensor) -> Tensor = { x in
        let text = text(x)
        return x.sum() + (text.contains("12") ? 1000 : 0) + Float(text.unicodeScalars.reduce(0) { $0 + Int($1.value) })
      }
      let g = compile(dynamic: dynamic, maxRecompiles: 50, f)
      for count in [5, 12, 7, 12, 0, 1, 121, 3] {
        let x = Tensor.ones([Dim(count)])
        #expect(try g(x).item(as: Float.self) == f(x).item(), "\(count)")
      }
    }
  }
}

/// A Dim as a tensor is a number of each call and each trip, of either sign.
@Test func a_dim_becomes_a_tensor_from_any_start() throws {
  for start in -3...3 {
    for step in [1, -1, 2] {
      for fuses in [true, false] {
        let f: @Sendable (Tensor, Dim) throws -> Tensor = { x, start in
          // The sign does not change on the way.
          let n = start * start
          let end = try whileLoop(
            [Steps(at: n, sum: x)], while: { $0[0].sum.sum() < 40 },
            { [Steps(at: $0[0].at + abs(step), sum: $0[0].sum + Tensor($0[0].at) + 1)] })
          return end[0].sum + Tensor(start) + Tensor(start * step)
        }
        let g = compile(fuses: fuses, f)
        let x = Tensor([1, 2] as [Float])
        for _ in 0..<2 { #expect(try g(x, Dim(start)).array(as: Float.self) == f(x, Dim(start)).array(), "\(start)") }
        #expect(try g(x, Dim(start + 5)).array(as: Float.self) == f(x, Dim(start + 5)).array(), "\(start) + 5")
        #expect(try g(x, Dim(-start)).array(as: Float.self) == f(x, Dim(-start)).array(), "-\(start)")
      }
    }
  }
}

private struct Steps: Tree {
  var at: Dim
  var sum: Tensor
  mutating func visit(_ v: inout Visitor) {
    v("at", &at)
    v("sum", &sum)
  }
}

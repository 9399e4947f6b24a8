// Loops and branches as parts of a plan: whileLoop, scan, map, cond inside compile. Not their kernels.
import Basics
import Capture
import Engine
import Synchronization
import TensorTypes
import Tensors
import Testing

private func floats(_ count: Int, _ shape: [Int], scale: Float = 0.1) -> Tensor {
  Tensor((0..<count).map { Float(($0 * 37) % 23) * scale - 1 }, shape: shape)
}

/// Calls of a closure, from any thread.
private final class Calls: Sendable {
  private let count = Atomic<Int>(0)
  func note() { count.add(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}

@Test func a_while_loop_is_part_of_the_plan() throws {
  let runs = Calls()
  let f = compile(mode: .whole) { (x: Tensor) in
    runs.note()
    return try whileLoop(x + 0, while: { $0.sum() < 100 }, { $0 * 2 }) - 1
  }
  for start in [Float(1), 3, 40, 200] {
    let x = Tensor([start, start])
    var wanted = start
    while wanted * 2 < 100 { wanted *= 2 }
    #expect(try f(x).array(as: Float.self) == [wanted - 1, wanted - 1], "from \(start)")
  }
  #expect(runs.value == 2 && f.planCount == 1)
}

@Test func a_loop_without_a_trip_gives_its_state_back() throws {
  let f = compile(mode: .whole) { (x: Tensor) in
    let y = x * 2
    let z = try whileLoop(y, while: { $0.sum() < 0 }, { $0 + 1 })
    return (y, z, z + y)
  }
  let x = Tensor([Float(1), 2])
  let (y, z, sum) = try f(x)
  #expect(try y.array(as: Float.self) == [2, 4] && z.array(as: Float.self) == [2, 4])
  #expect(try sum.array(as: Float.self) == [4, 8])
}

@Test func a_body_reads_what_is_around_it() throws {
  let weight = floats(9, [3, 3])
  @Sendable func body(_ x: Tensor, _ limit: Tensor) throws -> Tensor {
    let scaled = x * 0.5
    let bias = scaled.sum(1, keepDims: true)
    return try whileLoop(
      Pair(a: scaled, b: Tensor(0)), while: { ($0.b < limit) },
      { Pair(a: ($0.a.matmul(weight.transposed()) + bias).tanh(), b: $0.b + 1) }
    ).a + scaled
  }
  let f = compile(mode: .whole) { (x: Tensor, limit: Tensor) in try body(x, limit) }
  for trips in [0, 1, 5] {
    let x = floats(6, [2, 3])
    let (a, b) = (try f(x, Tensor(trips)), try body(x, Tensor(trips)))
    #expect(
      zip(try a.array(as: Float.self), try b.array(as: Float.self)).allSatisfy { abs($0 - $1) < 1e-6 }, "\(trips)")
  }
  #expect(f.planCount == 1)
}

@Test func scans_and_maps_serve_all_lengths_with_one_plan() throws {
  @Sendable func body(_ x: Tensor) throws -> (Tensor, Tensor, Tensor) {
    let sums = try scan(Tensor.zeros(3), over: x) { ($0 + $1, $0 * $1) }
    let rows = try map(over: x) { ($0 * 2 + 1).sum() }
    return (sums.state, sums.results, rows)
  }
  let f = compile(mode: .whole, dynamic: .axes(["0": [0]])) { (x: Tensor) in try body(x) }
  for n in [4, 2, 7, 31] {
    let x = floats(n * 3, [n, 3])
    let (a, b) = (try f(x), try body(x))
    #expect(try a.0.array(as: Float.self) == b.0.array(as: Float.self), "\(n)")
    #expect(try a.1.array(as: Float.self) == b.1.array(as: Float.self), "\(n)")
    #expect(try a.2.array(as: Float.self) == b.2.array(as: Float.self), "\(n)")
  }
  #expect(f.planCount == 1)
  _ = try f(floats(3, [1, 3]))
  #expect(f.planCount == 2)
}

@Test func loops_are_nested_and_stand_in_branches() throws {
  @Sendable func body(_ x: Tensor, _ flag: Tensor) throws -> Tensor {
    try cond(
      flag,
      {
        try whileLoop(x, while: { $0.max() < 50 }) { outer in
          try whileLoop(outer + x.abs(), while: { $0.max() < outer.max() + 7 }, { $0 + x.abs() + 1 })
        }
      }, else: { x * 3 })
  }
  let f = compile(mode: .whole) { (x: Tensor, flag: Tensor) in try body(x, flag) }
  for flag in [true, false, true] {
    let x = floats(4, [4])
    #expect(try f(x, Tensor(flag)).array(as: Float.self) == body(x, Tensor(flag)).array(as: Float.self))
  }
  #expect(f.planCount == 1)
}

@Test func a_state_that_changes_its_type_is_an_error_with_both() throws {
  @Sendable func grown(_ x: Tensor) throws -> Tensor {
    try whileLoop(x, while: { $0.sum() < 100 }, { Tensor.concatenated([$0, $0], axis: 0) })
  }
  @Sendable func promoted(_ x: Tensor) throws -> Tensor {
    try whileLoop(Tensor(0), while: { $0 < 3 }, { $0 + x.sum() })
  }
  let line = #line - 2
  let x = Tensor([Float(1), 2])
  for (f, message) in [(grown, "f32[2] before a trip and f32[4]"), (promoted, "i64[] before a trip and f32[]")] {
    let compiled = compile(mode: .whole) { (x: Tensor) in try f(x) }
    for run in [{ try f(x) }, { try compiled(x) }] {
      let error = #expect(throws: Diagnostic.self) { try run() }
      #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
      #expect([UInt(line), UInt(line - 3)].contains(error?.place?.line) && error?.remedy != nil)
    }
  }
}

private struct Pair: Tree {
  var a: Tensor
  var b: Tensor
  mutating func visit(_ v: inout Visitor) {
    v("a", &a)
    v("b", &b)
  }
}

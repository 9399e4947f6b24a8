// compile(): plans that replay, guards, dynamic shapes, state. Not fusion.
import Basics
import Capture
import Engine
import Synchronization
import TensorTypes
import Tensors
import TestSupport
import Testing

@Test func a_compiled_function_equals_the_eager_one() throws {
  let f = compile { (x: Tensor, w: Tensor) in (x.matmul(w) * 2 + 1).relu().softmax() }
  let x = Tensor((0..<12).map { Float($0) - 6 }, shape: [3, 4])
  let w = Tensor((0..<20).map { Float($0) * 0.1 - 1 }, shape: [4, 5])
  let eager = try (x.matmul(w) * 2 + 1).relu().softmax().array(as: Float.self)
  #expect(try f(x, w).array(as: Float.self) == eager)
  #expect(try f(x, w).array(as: Float.self) == eager)
}

private func floats(_ count: Int, _ shape: [Int], scale: Float = 0.1) -> Tensor {
  Tensor((0..<count).map { Float(($0 * 37) % 23) * scale - 1 }, shape: shape)
}

@Test func the_function_runs_at_the_first_call_and_never_again() throws {
  let runs = Counter()
  let f = compile { (x: Tensor) in
    runs.increment()
    return x * 2
  }
  _ = try f(floats(6, [2, 3]))
  // Once where another process of this build has found that it gives the same graph twice.
  let captures = runs.value
  #expect((1...2).contains(captures))
  for _ in 0..<5 { _ = try f(floats(6, [2, 3])) }
  #expect(runs.value == captures)
}

@Test func the_second_size_makes_an_extent_symbolic() throws {
  let f = compile { (x: Tensor) in x.softmax() + x.reshaped(x.shape[0], -1).sum(1, keepDims: true) }
  for n in [5, 7, 2, 64, 3, 9] {
    let x = floats(n * 4, [n, 4])
    let eager = try (x.softmax() + x.reshaped(n, -1).sum(1, keepDims: true)).array(as: Float.self)
    #expect(try f(x).array(as: Float.self) == eager, "\(n) rows")
  }
  #expect(f.planCount == 2)
  _ = try f(floats(4, [1, 4]))
  #expect(f.planCount == 3)
}

@Test func a_dim_argument_is_symbolic_from_the_first_call() throws {
  let f = compile { (x: Tensor, n: Dim) in x[0..<n] * 2 }
  let x = floats(12, [12])
  for n in [1, 5, 0, 12, 7] {
    #expect(try f(x, Dim(n)).array(as: Float.self) == (x[0..<n] * 2).array(as: Float.self), "\(n)")
  }
  #expect(f.planCount <= 3)
}

@Test func plain_values_belong_to_the_plan() throws {
  let f = compile { (x: Tensor, k: Int, flag: Bool) in flag ? x * Double(k) : x }
  let x = floats(4, [4])
  #expect(try f(x, 3, true).array(as: Float.self) == (x * 3.0).array(as: Float.self))
  #expect(try f(x, 2, true).array(as: Float.self) == (x * 2.0).array(as: Float.self))
  #expect(try f(x, 2, false).array(as: Float.self) == x.array(as: Float.self))
  #expect(f.planCount == 3)
}

@Test func without_fusion_every_operation_is_a_kernel() throws {
  @Sendable func body(_ x: Tensor) -> Tensor { (x.exp() * 2 + 1).softmax() }
  let (fused, single) = (compile { (x: Tensor) in body(x) }, compile(fuses: false) { (x: Tensor) in body(x) })
  let x = floats(12, [3, 4])
  #expect(try fused(x).array(as: Float.self) == single(x).array(as: Float.self))
  #expect(fused.explain().kernelCount == 1)
  // exp, multiply, add; maximum, subtract, exp, sum, reciprocal, multiply.
  #expect(single.explain().kernelCount == 9)
}

@Test func a_value_reached_in_many_ways_is_walked_once() throws {
  // 2^40 ways from the last sum to the first.
  let f = compile { (x: Tensor) in (0..<40).reduce(x) { sum, _ in (sum + sum.transposed()) * 0.5 } }
  let g = compile { (x: Tensor) in (0..<40).reduce(x) { sum, _ in (sum + sum) * 0.5 } }
  let x = floats(9, [3, 3])
  #expect(try g(x).array(as: Float.self) == x.array(as: Float.self))
  let symmetric = ((x + x.transposed()) * 0.5)
  // Rounding of 40 means.
  #expect(zip(try f(x).array(as: Float.self), try symmetric.array(as: Float.self)).allSatisfy { abs($0 - $1) < 1e-5 })
}

@Test func a_recompile_budget_that_is_exceeded_throws_with_the_reason() throws {
  let f = compile(maxRecompiles: 1) { (x: Tensor, k: Int) in x * Double(k) }
  let x = floats(4, [4])
  _ = try f(x, 1)
  _ = try f(x, 2)
  let error = #expect(throws: Diagnostic.self) { try f(x, 3) }
  #expect(error?.message.contains("maxRecompiles is 1") == true)
  #expect(error?.message.contains("plain value") == true)
}

@Test func plans_that_are_too_many_make_room_and_are_counted() throws {
  let runs = Atomic<Int>(0)
  let f = compile(maxRecompiles: 10, maxPlans: 2) { (x: Tensor, n: Int) -> Tensor in
    runs.add(1, ordering: .relaxed)
    return x * Double(n)
  }
  let x = Tensor([1, 2, 3] as [Float], shape: [3])
  for n in [1, 2, 1, 3, 1] { #expect(try f(x, n).array(as: Float.self) == [1, 2, 3].map { $0 * Float(n) }) }
  let before = runs.load(ordering: .relaxed)
  // The plan for 1 was used last, so that for 2 has gone.
  _ = try f(x, 1)
  #expect(runs.load(ordering: .relaxed) == before)
  _ = try f(x, 2)
  #expect(runs.load(ordering: .relaxed) > before)
  let told = f.explain()
  #expect((told.plans, told.evictedPlans, told.evictedSegments, f.segmentCount) == (2, 2, 2, 2))
  #expect(told.description.contains("evicted: 2 plan(s)"))
}

@Test func a_shape_error_names_the_operation_and_the_line() throws {
  let f = compile { (a: Tensor, b: Tensor) in a.matmul(b) }
  let line: UInt = #line - 1
  let error = #expect(throws: Diagnostic.self) { try f(floats(6, [2, 3]), floats(8, [4, 2])) }
  #expect(error?.place?.line == line)
  #expect(error?.message.contains("[2, 3]") == true)
}

@Test func a_failure_swallowed_inside_still_throws_at_the_call() throws {
  let f = compile { (a: Tensor) -> Tensor in
    let wrong = a.matmul(a)
    _ = try? wrong.item(as: Float.self)
    return a
  }
  #expect(throws: Diagnostic.self) { try f(floats(6, [2, 3])) }
}

@Test func a_function_whose_two_traces_differ_throws() throws {
  let runs = Counter()
  let f = compile { (x: Tensor) in
    runs.increment()
    return runs.value % 2 == 0 ? x * 2 : x + 1
  }
  let line: UInt = #line - 2
  let error = #expect(throws: Diagnostic.self) { try f(floats(4, [4])) }
  #expect(error?.message.contains("something else") == true && error?.remedy?.contains("argument") == true)
  // Both operations, and the line of the later one.
  #expect(error?.message.contains("add f32[4]") == true && error?.message.contains("multiply f32[4]") == true)
  #expect(error?.place?.line == line)
}

@Test func a_plan_is_compared_with_the_function_on_each_call_if_asked() throws {
  let (runs, changes) = (Counter(), Counter())
  let f = compile { (x: Tensor) -> Tensor in
    runs.increment()
    if try (x.sum() > 5).item(as: Bool.self) { return x - 1 }
    let scale = changes.value == 0 ? 2.0 : 3.0
    return try whileLoop(x, while: { $0.sum() < 9 }) { $0 * scale }
  }
  let line: UInt = #line - 2
  try Retracing.$isOn.withValue(true) {
    for start in [Float(1), 6, 1] { _ = try f(Tensor([start])) }
    changes.increment()
    let error = #expect(throws: Diagnostic.self) { try f(Tensor([Float(1)])) }
    #expect(error?.message.contains("constant value=2") == true && error?.message.contains("constant value=3") == true)
    #expect(
      error?.message.contains("in whileLoop") == true && error?.place?.line == line, "\(error.map { "\($0)" } ?? "")")
  }
  // Without the knob nobody looks.
  let count = runs.value
  _ = try f(Tensor([Float(1)]))
  #expect(runs.value == count)
}

@Test func a_traced_tensor_that_leaks_is_failed() throws {
  let leak = Box()
  let f = compile { (x: Tensor) in
    leak.tensor = x * 2
    return x
  }
  _ = try f(floats(4, [4]))
  let leaked = try #require(leak.tensor)
  #expect(throws: Diagnostic.self) { try (leaked + 1).item(as: Float.self) }
}

@Test(.needs(.speedOrTime)) func lengths_from_1_to_600_need_at_most_three_plans() throws {
  let weight = floats(32, [8, 4])
  let f = compile(mode: .whole) { (x: Tensor) in
    let scores = x.matmul(x.transposed()).softmax()
    return (scores.matmul(x).matmul(weight) + x.mean(0, keepDims: true).matmul(weight)).relu()
  }
  for n in [3, 1] + Array(stride(from: 2, through: 600, by: 23)) + [599, 600] {
    let x = floats(n * 8, [n, 8])
    let eager =
      ((x.matmul(x.transposed()).softmax().matmul(x)).matmul(weight) + x.mean(0, keepDims: true).matmul(weight))
    let (a, b) = (try f(x).array(as: Float.self), try eager.relu().array(as: Float.self))
    // Sums of up to 600 terms of size 1 in another order.
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 2e-5 } && a.count == b.count, "\(n) rows")
  }
  #expect(f.planCount <= 3)
}

@Test func a_choice_by_a_tensor_is_part_of_the_graph() throws {
  let f = compile(mode: .whole) { (x: Tensor) in
    try cond(x.sum() > 0, { [x * 2, x] }, else: { [x - 1, x + 1] })
  }
  for sign in [Float(1), -1] {
    let x = Tensor([sign, 2 * sign])
    let chosen = try f(x)
    #expect(try chosen[0].array(as: Float.self) == (sign > 0 ? [2, 4] : [-2, -3]))
    #expect(try chosen[1].array(as: Float.self) == (sign > 0 ? [1, 2] : [0, -1]))
  }
  #expect(f.planCount == 1)
}

@Test func loops_give_what_they_give_eagerly() throws {
  @Sendable func body(_ x: Tensor) throws -> (Tensor, Tensor, Tensor) {
    let sums = try scan(Tensor(Float(0)), over: x) { ($0 + $1.sum(), $0 * $1) }
    let rows = try map(over: x) { $0 * 2 + 1 }
    let halved = try whileLoop(x.abs().max(), while: { $0 > 1 }, { $0 / 2 })
    return (sums.state + sums.results.sum(), rows, halved)
  }
  let f = compile { (x: Tensor) in try body(x) }
  for scale in [1, 3, 40] as [Float] {
    let x = floats(6, [3, 2], scale: scale)
    let (a, b) = (try f(x), try body(x))
    #expect(try a.0.array(as: Float.self) == b.0.array(as: Float.self))
    #expect(try a.1.array(as: Float.self) == b.1.array(as: Float.self))
    #expect(try a.2.array(as: Float.self) == b.2.array(as: Float.self))
  }
}

@Test func an_explanation_names_guards_breaks_and_recompiles() throws {
  let f = compile { (x: Tensor, k: Int) -> Tensor in
    if x.shape[0] < 5 { return x * 2 }
    return try x.sum().item(as: Float.self) > 0 ? x : x + Double(k)
  }
  let line = #line - 2
  for n in [6, 7, 8] { _ = try f(floats(n, [n]), 1) }
  _ = try f(floats(6, [6]), 2)
  let told = f.explain()
  #expect(told.plans == 3 && told.captures.count == 3)
  #expect(told.captures[1].reasons.contains("axis 0 of '0' changed"))
  #expect(told.captures[2].reasons.contains { $0.contains("plain value '1'") })
  #expect(told.guards.contains { $0.condition == "s0 < 5 is false" })
  let stop = try #require(told.breaks.first)
  #expect(stop.place?.line == UInt(line) && stop.suggestion.contains("select"))
  #expect(told.description.contains("capture 2"))
}

@Test func a_plan_that_runs_out_of_memory_says_so_before_it_runs() throws {
  let f = compile { (x: Tensor, n: Dim) in
    x.expanded([n, n, n, x.shape[0]]).exp().sum(axes: [0, 3]) + Tensor.zeros([n, n])
  }
  _ = try f(floats(4, [4]), 3)
  let error = #expect(throws: Diagnostic.self) { try f(floats(4, [4]), 3_000_000) }
  #expect(error?.kind == .memory)
}

@Test func tuples_and_collections_go_in_and_out() throws {
  let f = compile { (xs: [Tensor], named: [String: Tensor], maybe: Tensor?) -> (Tensor, [Tensor]) in
    let sum = xs.reduce(Tensor(0)) { $0 + $1 }
    return (sum + (maybe ?? Tensor(1)), xs.map { $0 * (named["a"] ?? $0) })
  }
  let (x, y) = (floats(4, [4]), floats(4, [4], scale: 0.3))
  let (sum, products) = try f([x, y], ["a": y], nil)
  #expect(try sum.array(as: Float.self) == (x + y + 1).array(as: Float.self))
  #expect(try products[0].array(as: Float.self) == (x * y).array(as: Float.self))
  let (other, _) = try f([x, y], ["a": y], x)
  #expect(try other.array(as: Float.self) == (x + y + x).array(as: Float.self))
}

@Test func a_break_is_refused_in_whole_mode() throws {
  let f = compile(mode: .whole) { (x: Tensor) in try x.max().item(as: Float.self) > 0 ? x : x * 2 }
  let line: UInt = #line - 1
  let error = #expect(throws: Diagnostic.self) { try f(floats(4, [4])) }
  #expect(error?.place?.line == line)
  #expect(error?.remedy?.contains("select") == true)
}

@Test func a_closed_break_is_replayed_without_running_the_function() throws {
  let runs = Counter()
  let f = compile { (x: Tensor) -> Tensor in
    runs.increment()
    let doubled = x * 2
    if try (doubled.max() > 1).item(as: Bool.self) { return doubled - 1 }
    return doubled + 1
  }
  let (small, large) = (Tensor([Float(0.1), 0.2]), Tensor([Float(3), 4]))
  var captures = 0
  for x in [small, large, small, large, large] {
    defer { if captures == 0 { captures = runs.value } }
    let doubled = try x.array(as: Float.self).map { $0 * 2 }
    let wanted = doubled.max() ?? 0 > 1 ? doubled.map { $0 - 1 } : doubled.map { $0 + 1 }
    #expect(try f(x).array(as: Float.self) == wanted)
  }
  // One more than the first call for the second path.
  #expect(runs.value == captures + 1)
}

@Test func numbers_behind_an_open_break_are_launch_arguments() throws {
  let f = compile { (x: Tensor) -> Tensor in
    let scale = try x.max().item(as: Float.self)
    return x * (1 / scale)
  }
  for k in 1...12 {
    let x = Tensor([Float(k), 1])
    #expect(try f(x).array(as: Float.self) == [Float(k) * (1 / Float(k)), 1 / Float(k)])
  }
  #expect(f.segmentCount == 2)
}

private struct Counters: Tree {
  var total: Tensor
  var calls: Dim = 0
  mutating func visit(_ v: inout Visitor) {
    v("total", &total)
    v("calls", &calls)
  }
}

@Test func state_is_updated_at_the_end_of_each_call() throws {
  let f = compile(updating: Counters.self) { (s: inout Counters, x: Tensor) in
    s.total += x
    s.calls += 1
    return s.total * 2
  }
  var s = Counters(total: Tensor([Float(0), 0]))
  for k in 1...4 {
    let result = try f(&s, Tensor([Float(1), 2]))
    #expect(try result.array(as: Float.self) == [Float(2 * k), Float(4 * k)])
    #expect(try s.total.array(as: Float.self) == [Float(k), Float(2 * k)])
    #expect(try s.calls.value == k)
  }
  #expect(f.planCount == 1)
}

@Test func the_old_state_can_be_a_result() throws {
  let f = compile(updating: Counters.self) { (s: inout Counters, x: Tensor) in
    let before = s.total
    s.total += x
    return before
  }
  var s = Counters(total: Tensor([Float(1), 2]))
  for k in 0..<3 {
    let before = try f(&s, Tensor([Float(1), 1]))
    #expect(try before.array(as: Float.self) == [Float(1 + k), Float(2 + k)])
    #expect(try s.total.array(as: Float.self) == [Float(2 + k), Float(3 + k)])
  }
}

@Test func a_snapshot_of_the_state_stays_as_it_was() throws {
  let f = compile(updating: Counters.self) { (s: inout Counters, x: Tensor) in
    s.total += x
    return s.total.sum()
  }
  var s = Counters(total: Tensor([Float(1), 1]))
  _ = try f(&s, Tensor([Float(1), 1]))
  let snapshot = s
  _ = try f(&s, Tensor([Float(1), 1]))
  #expect(try snapshot.total.array(as: Float.self) == [2, 2])
  #expect(try s.total.array(as: Float.self) == [3, 3])
}

@Test func state_with_one_holder_is_written_in_place() throws {
  let f = compile(updating: Counters.self) { (s: inout Counters, x: Tensor) in
    s.total[1..<3] = x
    return s.total.sum()
  }
  var s = Counters(total: Tensor.zeros(8))
  let place = s.total.memoryAddress
  for k in 1...3 {
    _ = try f(&s, Tensor([Float(k), Float(k)]))
    #expect(s.total.memoryAddress == place)
    #expect(try s.total.array(as: Float.self) == [0, Float(k), Float(k), 0, 0, 0, 0, 0])
  }
  #expect(!f.explain().notes.contains { $0.contains("copied") })
  let snapshot = s
  _ = try f(&s, Tensor([Float(9), 9]))
  #expect(try snapshot.total[1].item(as: Float.self) == 3)
  #expect(f.explain().notes.contains { $0.contains("was copied 1 time(s)") })
}

@Test func random_numbers_in_compiled_code_equal_eager_ones() throws {
  let f = compile { (x: Tensor) -> Tensor in
    var random = RandomGenerator(seed: 5)
    return x + random.normal([x.shape[0], 4])
  }
  for n in [3, 6, 8] {
    let x = floats(n * 4, [n, 4])
    var random = RandomGenerator(seed: 5)
    #expect(try f(x).array(as: Float.self) == (x + random.normal([Dim(n), 4])).array(as: Float.self))
  }
}

@Test func captured_tensors_are_constants_of_the_plan() throws {
  let weight = floats(12, [4, 3])
  let f = compile { (x: Tensor) in x.matmul(weight) }
  let x = floats(8, [2, 4])
  #expect(try f(x).array(as: Float.self) == x.matmul(weight).array(as: Float.self))
}

@Test func a_constant_is_cut_at_symbolic_places() throws {
  let table = floats(40, [20, 2])
  let f = compile(mode: .whole, dynamic: .axes(["0": [0]])) { (x: Tensor, start: Dim) in
    x + table[start..<(start + x.shape[0])]
  }
  for (n, start) in [(3, 1), (7, 5), (4, 16)] {
    let x = floats(n * 2, [n, 2])
    #expect(try f(x, Dim(start)).array(as: Float.self) == (x + table[start..<(start + n)]).array(as: Float.self))
  }
  #expect(f.planCount == 1)
}

@Test func an_argument_that_comes_out_again_is_the_argument() throws {
  let f = compile { (x: Tensor, y: Tensor) in (y, x, x + y) }
  let (x, y) = (floats(4, [4]), floats(4, [4], scale: 1))
  let (a, b, _) = try f(x, y)
  #expect(try a.array(as: Float.self) == y.array(as: Float.self))
  #expect(try b.array(as: Float.self) == x.array(as: Float.self))
}

// @unchecked Sendable: used by one test at a time.
private final class Box: @unchecked Sendable { var tensor: Tensor? }

private final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  func increment() { count.add(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}

extension Tensor {
  fileprivate var memoryAddress: UnsafeMutableRawPointer { body.view.base }
}

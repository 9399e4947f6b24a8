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
  #expect((1...2).contains(runs.value) && f.planCount == 1)
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

struct PositionedRows: Tree {
  var rows: Tensor
  var count: Dim = 0
  mutating func visit(_ v: inout Visitor) {
    v("rows", &rows)
    v("count", &count)
  }
}

@Test func a_cache_with_a_moving_position_is_written_where_it_is() throws {
  @Sendable func body(_ cache: PositionedRows, _ x: Tensor) throws -> PositionedRows {
    try whileLoop(cache, while: { $0.rows.sum() < 40 }) { cache in
      var next = cache
      next.rows[next.count..<next.count + 1] = (x + next.rows.sum() * 0.1).reshaped(1, 2)
      next.count += 1
      return next
    }
  }
  let f = compile(updating: PositionedRows.self, mode: .whole) { (cache: inout PositionedRows, x: Tensor) in
    let filled = try body(cache, x)
    cache.rows = filled.rows
    return filled.rows.sum(1)
  }
  var cache = PositionedRows(rows: Tensor.zeros(64, 2))
  let place = cache.rows.memoryAddress
  let x = Tensor([Float(1), 2])
  let eager = try body(cache, x).rows
  let sums = try f(&cache, x)
  #expect(try sums.array(as: Float.self) == eager.sum(1).array(as: Float.self))
  #expect(try cache.rows.array(as: Float.self) == eager.array(as: Float.self))
  #expect(cache.rows.memoryAddress == place)
  let loop = try #require(f.explain().loops.first)
  #expect(loop.kind == "whileLoop" && loop.inPlace == 1 && (loop.trips ?? 0) > 3)
  #expect(f.explain().notes.allSatisfy { !$0.contains("copied") })
}

@Test func a_snapshot_of_a_state_that_a_loop_writes_stays_as_it_was() throws {
  let f = compile(updating: PositionedRows.self, mode: .whole) { (cache: inout PositionedRows, x: Tensor) in
    cache.rows = try scan(cache.rows, over: x) { rows, row in
      var rows = rows
      rows[0] = rows[0] + row
      return (rows, row)
    }.state
    return cache.rows.sum()
  }
  var cache = PositionedRows(rows: Tensor.zeros(2, 3))
  let x = Tensor([Float](repeating: 1, count: 12), shape: [4, 3])
  #expect(try f(&cache, x).item(as: Float.self) == 12)
  let (snapshot, place) = (cache, cache.rows.memoryAddress)
  #expect(try f(&cache, x).item(as: Float.self) == 24)
  #expect(try snapshot.rows.sum().item(as: Float.self) == 12 && cache.rows.memoryAddress != place)
  let second = cache.rows.memoryAddress
  #expect(try f(&cache, x).item(as: Float.self) == 36)
  #expect(cache.rows.memoryAddress == second)
}

@Test func an_extent_behind_a_counted_loop_is_known_and_behind_a_while_loop_is_not() throws {
  let f = compile(mode: .whole, dynamic: .axes(["0": [0]])) { (x: Tensor, start: Dim) in
    let made = try scan(PositionedRows(rows: Tensor.zeros(2), count: start), over: x) { state, row in
      (PositionedRows(rows: state.rows + row, count: state.count + 2), state.rows * Tensor(state.count))
    }
    return (made.state.count, made.results)
  }
  for n in [3, 5] {
    let (count, results) = try f(Tensor([Float](repeating: 1, count: 2 * n), shape: [n, 2]), 7)
    #expect(try count.value == 7 + 2 * n)
    let wanted = (0..<n).map { Float($0 * (7 + 2 * $0)) }.flatMap { [$0, $0] }
    #expect(try results.array(as: Float.self) == wanted)
  }
  #expect(f.planCount == 1)
  let g = compile(mode: .whole) { (x: Tensor) in
    try whileLoop(PositionedRows(rows: x), while: { $0.rows.sum() < 9 }) {
      PositionedRows(rows: $0.rows + 1, count: $0.count + 1)
    }.count
  }
  let error = #expect(throws: Diagnostic.self) { try g(Tensor([Float(1)])) }
  #expect(error?.message.contains("no value behind the loop") == true && error?.remedy?.contains("0-d tensor") == true)
}

@Test func a_value_that_leaves_a_body_is_refused_or_writes_the_loop_out() throws {
  @Sendable func body(_ x: Tensor) throws -> Tensor {
    try whileLoop(x, while: { $0.sum() < 20 }) { state in
      let most: Int = try state.max().item()
      return most > 4 ? state * 3 : state * 2
    }
  }
  let line = #line - 4
  let whole = compile(mode: .whole) { (x: Tensor) in try body(x) }
  let error = #expect(throws: Diagnostic.self) { try whole(Tensor([Float(1), 2])) }
  #expect(error?.place?.line == UInt(line) && error?.message.contains(".whole") == true)
  let partial = compile { (x: Tensor) in try body(x) }
  for start in [Float(1), 2, 9, 1] {
    let x = Tensor([start, 2])
    #expect(try partial(x).array(as: Float.self) == body(x).array(as: Float.self))
  }
  #expect(partial.explain().notes.contains { $0.contains("written out") && $0.contains(":\(line)") })
  #expect(partial.explain().loops.isEmpty && !partial.explain().breaks.isEmpty)
}

@Test func loops_stand_before_and_behind_breaks() throws {
  @Sendable func body(_ x: Tensor) throws -> Tensor {
    let small = try whileLoop(x, while: { $0.max() > 8 }) { $0 / 2 }
    let scaled = small + x
    if try (small.sum() > 6).item(as: Bool.self) {
      return try whileLoop(scaled, while: { $0.max() < 90 }) { $0 + small }
    }
    return try map(over: scaled) { $0 * 2 } - small
  }
  let f = compile { (x: Tensor) in try body(x) }
  for scale in [Float(1), 5, 1, 40, 5] {
    let x = Tensor([scale, scale + 1])
    #expect(try f(x).array(as: Float.self) == body(x).array(as: Float.self), "\(scale)")
  }
  let open = compile { (x: Tensor) in
    let limit = try x.max().item(as: Float.self)
    return try whileLoop(x, while: { $0.sum() < 50 }) { $0 + Double(limit) }
  }
  var segments: [Int] = []
  for scale in 1...11 {
    let x = Tensor([Float(scale), Float(scale) / 3])
    var wanted = [Float(scale), Float(scale) / 3]
    while wanted[0] + wanted[1] < 50 { wanted = wanted.map { $0 + Float(scale) } }
    #expect(try open(x).array(as: Float.self) == wanted)
    segments.append(open.segmentCount)
  }
  #expect(segments.first == segments.last, "numbers behind an open break are not constants of the body")
}

@Test func a_closure_that_changes_something_outside_is_refused() throws {
  let x = Tensor([Float(1), 2])
  let drawing = compile(mode: .whole) { (x: Tensor) in
    var random = RandomGenerator(seed: 3)
    return try whileLoop(x, while: { $0.sum() < 9 }) { $0 + random.uniform([2]) }
  }
  let error = #expect(throws: Diagnostic.self) { try drawing(x) }
  #expect(error?.message.contains("something else when it was captured again") == true && error?.place != nil)
  let writing = compile(mode: .whole) { (x: Tensor) in
    var seen = x * 0
    let last = try whileLoop(x, while: { $0.sum() < 9 }) {
      seen[0] = $0[1]
      return $0 + 1
    }
    return last + seen
  }
  let leaked = #expect(throws: Diagnostic.self) { try writing(x) }
  #expect(leaked?.remedy?.contains("state") == true, "\(leaked.map { "\($0)" } ?? "")")
}

@Test func a_fault_in_a_body_is_thrown() throws {
  @Sendable func body(_ x: Tensor) throws -> Tensor {
    try whileLoop(Pair(a: x, b: Tensor([0])), while: { $0.a.sum() < 100 }) {
      Pair(a: $0.a + x.taking($0.b), b: $0.b + 1)
    }.a
  }
  let f = compile(mode: .whole) { (x: Tensor) in try body(x) }
  let x = Tensor([Float(1), 2])
  let eager = #expect(throws: Diagnostic.self) { try body(x) }
  let compiled = #expect(throws: Diagnostic.self) { try f(x) }
  #expect(compiled?.kind == eager?.kind)
}

@Test func a_branch_with_a_product_runs_alone() throws {
  let f = compile(mode: .whole) { (x: Tensor, flag: Tensor) in
    try cond(flag, { [x.matmul(x), x] }, else: { [x + 1, x * 2] })
  }
  let x = floats(9, [3, 3])
  for flag in [true, false] {
    let (made, launches) = try LaunchLog.recording { try f(x, Tensor(flag)) }
    let wanted = flag ? [x.matmul(x), x] : [x + 1, x * 2]
    for (a, b) in zip(made, wanted) { #expect(try a.array(as: Float.self) == b.array(as: Float.self)) }
    #expect(launches.contains { $0.operations.contains("contraction") } == flag)
  }
  #expect(f.explain().loops.map(\.kind) == ["cond"])
}

@Test func launches_of_a_loop_are_counted_trip_by_trip() throws {
  let f = compile(mode: .whole) { (x: Tensor) in try whileLoop(x, while: { $0.sum() < 100 }) { $0 * 2 } }
  let x = Tensor([Float](repeating: 1, count: 4))
  _ = try f(x)
  let (_, launches) = try LaunchLog.recording { try f(x) }
  let loop = try #require(f.explain().loops.first)
  #expect(loop.trips == 5)
  #expect(launches.count == 1 + 5 * loop.kernelsPerTrip)
  #expect(launches.allSatisfy { $0.cost.bytes > 0 })
}

@Test func trips_take_turns_in_two_places() throws {
  let f = compile(mode: .whole) { (x: Tensor) in try whileLoop(x, while: { $0.sum() < 1e4 }) { $0.matmul(x) } }
  let x = Tensor([Float(1), 1, 1, 1], shape: [2, 2])
  _ = try f(x)
  let (_, launches) = try LaunchLog.recording { try f(x) }
  let written = launches.filter { $0.operations.contains("contraction") }.map { Set($0.writes) }
  #expect(written.count > 6)
  // The first trip's place, the second's, and these again.
  #expect(written.reduce(into: Set<UInt>()) { $0.formUnion($1) }.count <= 3)
}

private struct Noise: Tree {
  var values: Tensor
  var random: RandomGenerator
  mutating func visit(_ v: inout Visitor) {
    v("values", &values)
    v("random", &random)
  }
}

@Test func a_generator_in_the_state_goes_on_from_trip_to_trip_and_from_call_to_call() throws {
  @Sendable func body(_ noise: inout Noise, _ x: Tensor) throws -> Tensor {
    let first = noise.random.normal([x.shape[0], 3])
    let made = try scan(noise, over: x) { noise, row in
      var next = noise
      next.values += next.random.uniform([3]) * row
      return (next, next.random.normal([2]))
    }
    noise = made.state
    return made.results.sum() + first.sum() + noise.random.uniform([1])
  }
  let f = compile(updating: Noise.self, mode: .whole, dynamic: .axes(["0": [0]])) { (noise: inout Noise, x: Tensor) in
    try body(&noise, x)
  }
  var compiled = Noise(values: Tensor.zeros(3), random: RandomGenerator(seed: 9))
  var eager = compiled
  for n in [4, 6, 3] {
    let x = floats(n * 3, [n, 3])
    let (a, b) = (try f(&compiled, x), try body(&eager, x))
    #expect(try abs(a.item(as: Float.self) - b.item(as: Float.self)) < 1e-4, "\(n)")
    #expect(try compiled.values.array(as: Float.self) == eager.values.array(as: Float.self))
    #expect(compiled.random == eager.random)
  }
  #expect(f.planCount == 1)
}

extension Tensor {
  fileprivate var memoryAddress: UnsafeMutableRawPointer { body.view.base }
}

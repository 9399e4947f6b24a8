// What a user reads when a value turns out wrong while a plan runs: the line that used it, the index as it was given, the
// extent. Not mistakes that a capture sees. Surprise: the kernel knows none of that; the schedule is asked afterwards.
import Basics
import Capture
import TensorTypes
import Tensors
import TestSupport
import Testing

private func numbers(_ extents: Int...) -> Tensor {
  Tensor((0..<extents.reduce(1, *)).map { Float($0) }, shape: extents)
}

private func text(_ mistake: Diagnostic?) -> Comment { "\(mistake.map { "\($0)" } ?? "no error")" }

private func mistake(_ body: () throws -> Void) -> Diagnostic? {
  do { try body() } catch { return error as? Diagnostic }
  return nil
}

@Test func a_wrong_index_prints_itself_the_extent_and_the_users_line() throws {
  let line: UInt = #line + 1
  let one = compile { (x: Tensor, i: Tensor) in x.exp().sum(1, keepDims: true) * 2 + x[i] * 3 }
  let pair = compile { (x: Tensor, i: Tensor, j: Tensor) in
    x[i, j] * 2
  }
  let rows = compile { (x: Tensor, i: Tensor) in x.embedding(i) }
  let x = numbers(3, 4)
  #expect(try one(x, Tensor([0, -3, 2])).array(as: Float.self).count == 12)
  for index in [3, -4, 7, -1000] {
    let found = mistake { _ = try one(x, Tensor([0, index, 0])) }
    #expect(found?.kind == .index && found?.message.contains("index \(index) is outside -3..<3") == true, text(found))
    #expect(found?.place?.line == line, text(found))
    let second = mistake { _ = try pair(x, Tensor([0, 1]), Tensor([1, index < 0 ? index - 1 : index + 1])) }
    let wrong = index < 0 ? index - 1 : index + 1
    #expect(second?.message.contains("index \(wrong) is outside -4..<4") == true, text(second))
    #expect(second?.place?.line == line + 2, text(second))
    let first = mistake { _ = try pair(x, Tensor([index, 1]), Tensor([1, 1])) }
    #expect(first?.message.contains("index \(index) is outside -3..<3") == true, text(first))
    if index < 0 { continue }
    let row = mistake { _ = try rows(x, Tensor([0, index])) }
    #expect(row?.message.contains("index \(index) is outside 0..<3") == true && row?.place?.line == line + 4, text(row))
  }
}

@Test func writing_at_a_wrong_index_names_the_users_line() throws {
  let f = compile { (x: Tensor, i: Tensor) in
    var y = x * 2
    y[i] = Tensor(Float(1))
    return y
  }
  let line: UInt = #line - 3
  let found = mistake { _ = try f(numbers(3, 4), Tensor([1, 5])) }
  #expect(found?.message.contains("index 5 is outside -3..<3") == true, text(found))
  #expect(found?.place?.line == line, text(found))
}

@Test func dividing_integers_by_zero_names_the_users_line() throws {
  let f = compile { (x: Tensor, y: Tensor) in
    let sum = x + y
    return sum.floorDivided(by: y).sum()
  }
  let line: UInt = #line - 2
  let found = mistake { _ = try f(Tensor([4, 5]), Tensor([2, 0])) }
  #expect(found?.kind == .numerics && found?.message.contains("divided by zero") == true, text(found))
  #expect(found?.place?.line == line, text(found))
}

/// However the 0 comes there: as a number, which the code generator knows, as one that wraps to 0, in a constant.
@Test(arguments: [DType.i8, .u8, .i16, .i32, .i64, .u16, .u32, .u64])
func dividing_by_a_zero_that_is_known_is_the_same_error(dtype: DType) throws {
  let x = Tensor([7, 5, 3]).converted(to: dtype)
  let zeros = Tensor.zeros([3], dtype: dtype)
  let divisions: [(String, @Sendable (Tensor) -> Tensor)] = [
    ("/ 0 down", { $0.divided(by: 0, rounding: .floored) }), ("/ 0 cut", { $0.divided(by: 0, rounding: .truncated) }),
    ("floor / 0", { $0.floorDivided(by: 0) }), ("% 0", { $0 % 0 }), ("remainder 0", { $0.remainder(0) }),
    ("cut remainder 0", { $0.truncatedRemainder(0) }), ("/ constant", { $0.floorDivided(by: zeros) }),
    ("% part of a constant", { $0.remainder(zeros[0]) }), ("% made inside", { $0 % Tensor.zeros([], dtype: dtype) }),
    ("% in a chain", { (($0 + 1).remainder(0) + 1).sum() }),
    ("% one lane", { $0.remainder(Tensor([1, 0, 2]).converted(to: dtype)) }),
  ]
  for (name, divide) in divisions {
    let eager = divide(x)
    #expect(eager.failure?.kind == .numerics, "\(name): \(eager)")
    for fuses in [true, false] {
      let f = compile(fuses: fuses) { (x: Tensor) in divide(x) }
      #expect(mistake { _ = try f(x) }?.kind == .numerics, "\(name) of \(dtype)")
    }
  }
  let halves = compile { (x: Tensor) in x.floorDivided(by: 2) + x % Tensor([1, 2, 3]).converted(to: x.dtype) }
  #expect(try halves(x).array(as: Int.self) == [3, 3, 1])
}

@Test(arguments: [Int.min, .min + 1, .max]) func the_worst_indices_are_errors_like_others(index: Int) throws {
  let reads: [@Sendable (Tensor, Tensor) -> Tensor] = [
    { $0.embedding($1) }, { $0[$1] }, { $0.selecting($1, axis: 1) }, { $0.nllLoss($1) }, { $0.crossEntropy($1) },
    { $0.multiMarginLoss($1) }, { $0.adding(Tensor.ones(3, 4), at: $1, axis: 0) },
  ]
  let indices = Tensor([0, index, 1])
  for (i, read) in reads.enumerated() {
    #expect(read(numbers(3, 4), indices).failure?.kind == .index, "\(i)")
    let f = compile { (x: Tensor, i: Tensor) in read(x, i) }
    #expect(mistake { _ = try f(numbers(3, 4), indices) }?.kind == .index, "\(i)")
  }
}

@Test func a_step_beyond_every_extent_takes_one_element() throws {
  for step in [1 << 31, 1 << 40, 1 << 62, .max] {
    @Sendable func write(_ x: Tensor, _ n: Dim) -> Tensor {
      var y = x
      y[.all, TensorIndex.range(start: 1, end: n, step: step)] = y[.all, .slice(nil, nil, by: step)] + 50
      return y
    }
    for dynamic in [DynamicShapes.automatic, .all] {
      let f = compile(dynamic: dynamic) { (x: Tensor, n: Dim) in write(x, n) }
      for (extent, n) in [(4, 3), (5, 2), (9, 9)] {
        let x = numbers(3, extent)
        #expect(try f(x, Dim(n)).array(as: Float.self) == write(x, Dim(n)).array(as: Float.self), "\(step)")
      }
    }
  }
}

@Test func a_fault_inside_a_loop_names_the_users_line() throws {
  let f = compile { (x: Tensor, i: Tensor) in
    try scan(x.sum(0), over: i) { state, index in
      (state + x[index], state.sum())
    }.state
  }
  let line: UInt = #line - 3
  let found = mistake { _ = try f(numbers(3, 4), Tensor([0, 2, 9])) }
  #expect(found?.message.contains("index 9 is outside -3..<3") == true, text(found))
  #expect(found?.place?.line == line, text(found))
}

// MARK: Generators in branches

private struct Drawn: Tree {
  var x: Tensor
  var random: RandomGenerator
  mutating func visit(_ v: inout Visitor) {
    v("x", &x)
    v("random", &random)
  }
}

@Test func a_generator_drawn_from_in_a_branch_counts_only_if_it_is_given_back() throws {
  let outside = compile { (x: Tensor) in
    var random = RandomGenerator(seed: 7)
    let y = try cond(x.sum() > 0, { x + random.normal([2]) }, else: { x })
    return y + random.uniform([2])
  }
  let refused = mistake { _ = try outside(numbers(2)) }
  #expect(refused?.message.contains("draws random numbers") == true && refused?.remedy != nil, text(refused))
  @Sendable func inside(_ x: Tensor) throws -> Tensor {
    try cond(
      x.sum() > 0,
      {
        var random = RandomGenerator(seed: 7)
        return x + random.normal([2]) * random.uniform([2])
      }, else: { x })
  }
  @Sendable func given(_ state: inout Drawn, _ x: Tensor) throws -> Tensor {
    let start = state
    state = try cond(
      x.sum() > 0,
      {
        var next = start
        next.x = next.x + next.random.normal([2])
        return next
      },
      else: {
        var next = start
        next.x = next.x - next.random.uniform([2])
        return next
      })
    return state.x * state.random.uniform([2])
  }
  let f = compile { (x: Tensor) in try inside(x) }
  let g = compile(updating: Drawn.self) { (state: inout Drawn, x: Tensor) in try given(&state, x) }
  let start = Drawn(x: Tensor([0, 0] as [Float]), random: RandomGenerator(seed: 3))
  var (compiled, eager) = (start, start)
  for sign in [1, -1, 1, -1] as [Float] {
    let x = Tensor([sign, sign])
    #expect(try f(x).array(as: Float.self) == inside(x).array(as: Float.self))
    let (a, b) = (try g(&compiled, x), try given(&eager, x))
    #expect(try a.array(as: Float.self) == b.array(as: Float.self))
    #expect(compiled.random.drawn == eager.random.drawn)
  }
}

@Test(arguments: [Int.min, .min + 1, .min / 2, -(1 << 62), -(1 << 31), -4, 3, 1 << 31, 1 << 62, .max])
func a_wrong_index_of_any_size_is_an_error(index: Int) {
  let x = Tensor([1, 2, 3] as [Float])
  let (gathered, scattered) = (
    compile { (x: Tensor, i: Tensor) in x.selecting(i, axis: 0) * 2 },
    compile { (x: Tensor, i: Tensor) in x.adding(x, at: [.tensor(i)]) }
  )
  for f in [gathered, scattered] {
    let found = mistake { _ = try f(x, Tensor([0, index, 1])) }
    #expect(found?.kind == .index && found?.message.contains("outside") == true, text(found))
  }
}

/// A fault over no elements is none, wherever the zero comes from.
@Test(arguments: [DType.u8, .i8, .i16, .i32, .i64, .u64]) func nothing_is_divided_by_zero(dtype: DType) throws {
  let divisions: [@Sendable (Tensor, Tensor) -> Tensor] = [
    { $0.remainder($1) }, { $0.floorDivided(by: $1) }, { $0.truncatedRemainder($1) }, { 1 - ($0 * 2).remainder($1) },
    { $0.floorDivided(by: $1).sum() },
  ]
  let zeros = [Tensor(0), Tensor([0]), Tensor(0) * 2].map { $0.converted(to: dtype) }
  let shapes = [[0], [0, 3], [3, 0], [2, 0, 5]]
  for (number, divide) in divisions.enumerated() {
    for zero in zeros {
      let constant = [DynamicShapes.fixed, .all].map { dynamic in
        compile(dynamic: dynamic) { (x: Tensor) in divide(x, zero) }
      }
      let made = compile { (x: Tensor) in divide(x, Tensor(0).converted(to: x.dtype)) }
      let given = compile { (x: Tensor, zero: Tensor) in divide(x, zero) }
      for shape in shapes {
        let x = Tensor([Int](), shape: shape).converted(to: dtype)
        let wanted = divide(x, zero)
        #expect(wanted.failure == nil, "\(number), \(shape)")
        for found in try constant.map({ try $0(x) }) + [try made(x), try given(x, zero)] {
          #expect(found.shape == wanted.shape, "\(number), \(shape)")
          #expect(try found.array(as: Int.self) == wanted.array(as: Int.self), "\(number), \(shape)")
        }
      }
    }
  }
}

/// Constants that meet over no elements have a tile of one, which no element needs: not the quotient, not the element read.
@Test(.needs(.speedOrTime), arguments: [[0], [0, 3], [3, 0], [2, 0, 5]], [DynamicShapes.fixed, .all])
func nothing_is_computed_of_constants_over_no_elements(shape: [Int], dynamic: DynamicShapes) throws {
  let numbers: [@Sendable (Tensor) -> Tensor] = [
    { $0.sorted(-1).values * 2 }, { Tensor.zeros(like: $0) },
    { Tensor(0).converted(to: .i32).expanded(like: $0) }, { $0 * 2 },
  ]
  let faulty: [@Sendable (Tensor) -> Tensor] = [
    { $0.remainder($0) }, { $0.floorDivided(by: $0) }, { ($0 + 3).truncatedRemainder($0) },
    { Tensor([1, 2, 3] as [Int32]).selecting($0.flattened() + 9, axis: 0) },
    { Tensor([] as [Int32]).selecting($0.flattened(), axis: 0) },
  ]
  let behind: [@Sendable (Tensor) -> Tensor] = [
    { $0 }, { $0.sum() }, { $0.converted(to: .f32).norm() }, { $0.sum(axes: [-1]) }, { $0.sorted(0).values },
    { $0.cumulativeSum(-1) }, { ($0.converted(to: .f32) - 1).flattened().dot(Tensor.zeros(0)) },
  ]
  let x = Tensor([Int](), shape: shape).converted(to: .i32)
  for (i, number) in numbers.enumerated() {
    for (j, fault) in faulty.enumerated() {
      for (k, rest) in behind.enumerated() {
        let place = Comment(rawValue: "number \(i), fault \(j), rest \(k)")
        let wanted = rest(fault(number(x)))
        #expect(wanted.failure == nil, place)
        let found = try compile(dynamic: dynamic) { (x: Tensor) in rest(fault(number(x))) }(x)
        #expect(found.shape == wanted.shape, place)
        #expect(try found.array(as: Double.self) == wanted.array(as: Double.self), place)
      }
    }
  }
}

/// Faults of elements that a result needs come out; of others the plan may know nothing, and what is needed is right.
@Test func faults_are_of_what_is_needed() throws {
  let (a, b) = (Tensor([6, 7, 8] as [Int32]), Tensor([1, 2, 0] as [Int32]))
  let (x, i) = (Tensor([1, 2, 3] as [Float]), Tensor([0, 1, 9]))
  for fuses in [true, false] {
    let divided = compile(fuses: fuses) { (a: Tensor, b: Tensor) in a.floorDivided(by: b) }
    let picked = compile(fuses: fuses) { (x: Tensor, i: Tensor) in x.selecting(i, axis: 0) }
    #expect(mistake { _ = try divided(a, b) }?.message.contains("divided by zero") == true)
    #expect(mistake { _ = try picked(x, i) }?.message.contains("index 9 is outside") == true)
  }
  let part = compile { (a: Tensor, b: Tensor) in a.floorDivided(by: b)[0..<2] }
  let rows = compile { (x: Tensor, i: Tensor) in x.selecting(i, axis: 0)[0..<2] }
  #expect(try part(a, b).array() == [6, 3] as [Int32])
  #expect(try rows(x, i).array() == [1, 2] as [Float])
}

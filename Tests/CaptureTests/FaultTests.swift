// What a user reads when a value turns out wrong while a plan runs: the line that used it, the index as it was given, the
// extent. Not mistakes that a capture sees. Surprise: the kernel knows none of that; the schedule is asked afterwards.
import Basics
import Capture
import TensorTypes
import Tensors
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

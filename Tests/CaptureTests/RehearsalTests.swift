// Predicted against counted memory where sections, values and gaps decide. Plain plans are MemoryTests'.
// Surprise: what values decide is predicted at its most, so a call that takes less is only held below that.
import Basics
import Capture
import Engine
import Execution
import Tensors
import TensorTypes
import TestSupport
import Testing

private func floats(_ shape: [Int]) -> Tensor {
  Tensor((0..<shape.reduce(1, *)).map { Float($0 % 17) * 0.01 }, shape: shape)
}

/// Predicted and counted bytes of a second call.
private func peaks(
  _ f: Compiled<Stateless, Tensor, Tensor>, _ x: Tensor
) throws -> (predicted: Int?, counted: Int) {
  _ = try f(x)
  let counted = try Allocator.peak { _ = try f(x) }.bytes
  return (f.explain().predictedPeak, counted)
}

private enum Loops {
  typealias Body = @Sendable (Tensor) throws -> Tensor

  static let turns: Body = { x in try whileLoop(x, while: { $0.sum() < 1e6 }) { $0.matmul(x) + 1 } }

  static let between: Body = { x in
    let small = x.softmax()
    return try whileLoop(small * 2, while: { $0.max() < 50 }) { $0 * 2 + small }.matmul(x)
  }

  static let exchanged: Body = { x in
    let last = try whileLoop([x, x * 2], while: { $0[0].sum() < 1e5 }) { [$0[1] + 1, $0[0].matmul(x) + 1] }
    return last[0] + last[1]
  }

  static let ranges: Body = { x in
    try whileLoop(x, while: { $0.sum() < 1e5 }) { state in
      var state = state
      state[0..<2] = state[0..<2] * 2 + 100
      return state
    }
  }

  static let nested: Body = { x in
    try whileLoop(x, while: { $0.max() < 50 }) { (outer: Tensor) -> Tensor in
      let limit: Tensor = outer.max() + 7
      return try whileLoop(outer + 1, while: { $0.max() < limit }) { (inner: Tensor) -> Tensor in
        inner.matmul(x) + outer
      }
    }
  }

  static let rows: Body = { x in try map(over: x) { $0 * 2 + x.sum(0) } }

  static let stacked: Body = { x in
    let made = try scan(Tensor.zeros(64), over: x) { (sum: Tensor, row: Tensor) -> (Tensor, Tensor) in
      (sum + row, sum * row)
    }
    return made.results + made.state
  }
}

@Test(
  .needs(.speedOrTime),
  arguments: [
    ("turns", Loops.turns, 64), ("between", Loops.between, 64), ("exchanged", Loops.exchanged, 64),
    ("ranges", Loops.ranges, 64), ("nested", Loops.nested, 64), ("rows", Loops.rows, 300),
    ("stacked", Loops.stacked, 300),
  ])
private func the_predicted_peak_of_loops_is_the_allocators(_ name: String, _ body: @escaping Loops.Body, _ n: Int)
  throws
{
  let f = compile(mode: .whole) { (x: Tensor) in try body(x) }
  let (predicted, counted) = try peaks(f, floats([n, 64]))
  #expect(predicted == counted && counted > 0, "\(name): \(predicted ?? -1) against \(counted)")
}

// Sizes that move from trip to trip are followed to the last one.
@Test(.needs(.countedScratch)) func a_loop_over_a_growing_range_is_predicted() throws {
  let f = compile(mode: .whole) { (x: Tensor) in
    try scan(PositionedRows(rows: Tensor.zeros(200, 64)), over: x) { cache, row in
      var next = cache
      next.rows[next.count..<next.count + 1] = row.reshaped(1, 64)
      next.count += 1
      let filled = next.rows[0..<next.count]
      return (next, filled.matmul(filled.transposed()).softmax().sum(0).sum())
    }.results
  }
  for n in [3, 150] {
    let (predicted, counted) = try peaks(f, floats([n, 64]))
    #expect(predicted == counted, "\(n) rows")
  }
}

@Test func a_loop_that_fills_a_cache_is_predicted_without_copying_it() throws {
  let f = compile(updating: PositionedRows.self, mode: .whole) { (cache: inout PositionedRows, x: Tensor) in
    let made = try scan(cache, over: x) { cache, row in
      var next = cache
      next.rows[next.count..<next.count + 1] = row.reshaped(1, 100)
      next.count += 1
      return (next, row.sum())
    }
    cache.rows = made.state.rows
    return made.results
  }
  var cache = PositionedRows(rows: Tensor.zeros(400, 100))
  let x = floats([50, 100])
  for _ in 0..<2 { _ = try f(&cache, x) }
  let counted = try Allocator.peak { _ = try f(&cache, x) }.bytes
  #expect(f.explain().predictedPeak == counted)
  #expect(counted < 400 * 100 * 4)
}

// Each trip keeps what it overwrites, and nobody knows how many trips there will be.
@Test func a_loop_that_keeps_ranges_until_a_value_stops_it_has_no_prediction() throws {
  let f = compile(updating: PositionedRows.self, mode: .whole) { (cache: inout PositionedRows, x: Tensor) in
    let filled = try whileLoop(cache, while: { $0.rows.sum() < 40 }) { cache in
      var next = cache
      next.rows[next.count..<next.count + 1] = x
      next.count += 1
      return next
    }
    cache.rows = filled.rows
    return filled.rows.sum(1)
  }
  for _ in 0..<2 {
    var cache = PositionedRows(rows: Tensor.zeros(64, 2))
    let sums = try f(&cache, Tensor([Float(1), 2], shape: [1, 2]))
    #expect(try sums.array(as: Float.self).prefix(15) == [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0])
    #expect(f.explain().predictedPeak == nil)
  }
}

@Test(.needs(.countedScratch)) func a_state_that_a_loop_computes_anew_is_predicted_with_its_copy() throws {
  let f = compile(updating: PositionedRows.self, mode: .whole) { (cache: inout PositionedRows, x: Tensor) in
    let swapped: Tensor = Tensor([1, 0])
    cache.rows = try whileLoop(cache.rows, while: { $0.max() < 5 }) { (rows: Tensor) -> Tensor in
      let added: Tensor = x.taking(swapped).sum()
      return rows + added
    }
    return cache.rows.sum()
  }
  var cache = PositionedRows(rows: Tensor.zeros(100, 100))
  let x = Tensor([Float(0.5), 0.25])
  for _ in 0..<2 { _ = try f(&cache, x) }
  cache.rows = Tensor.zeros(100, 100)
  let counted = try Allocator.peak { _ = try f(&cache, x) }.bytes
  #expect(f.explain().predictedPeak == counted)
}

@Test(.needs(.countedScratch)) func the_larger_branch_and_path_is_predicted() throws {
  @Sendable func body(_ x: Tensor) throws -> Tensor {
    let made = try cond(x.sum() > 0, { x.matmul(x).softmax().matmul(x) }, else: { x.sum(1, keepDims: true) * x })
    if try (made.max() > 1e9).item(as: Bool.self) { return made.exp() + 1 }
    return made
  }
  let f = compile { (x: Tensor) in try body(x) }
  let large = try peaks(f, floats([128, 128]))
  #expect(large.predicted == large.counted)
  let small = try peaks(f, -floats([128, 128]))
  #expect(small.predicted == large.predicted && small.counted < large.counted)
}

@Test(.needs(.countedScratch)) func arguments_with_gaps_are_predicted_with_their_copies() throws {
  let f = compile { (x: Tensor) in x.exp().matmul(x) }
  for x in [floats([96, 96]), floats([96, 96]).transposed(), floats([96, 96])] {
    let (predicted, counted) = try peaks(f, x)
    #expect(predicted == counted)
  }
  #expect(f.planCount == 1)
}

@Test func a_loop_that_cannot_have_its_memory_does_not_start() throws {
  let f = compile { (x: Tensor, n: Dim) in
    let wide = x.expanded([n, n, 8]).exp()
    return try whileLoop(wide, while: { $0.sum() < 0 }) { $0 * 2 }
  }
  _ = try f(floats([8]), 3)
  let x = floats([8])
  var error: Diagnostic?
  let line: UInt = #line + 2
  let launches = LaunchLog.recording {
    error = #expect(throws: Diagnostic.self) { try f(x, 400_000) }
  }.launches
  #expect(launches.isEmpty && error?.kind == .memory && error?.place?.line == line)
  #expect(error?.message.contains("nothing was run") == true)
}

// What calls take from the allocator: predicted, counted, and refused before anything runs.
// Surprise: counting is of one thread, so that tests beside this one do not matter.
import Basics
import Capture
import Engine
import Execution
import Synchronization
import Tensors
import TensorTypes
import TestSupport
import Testing

private func floats(_ shape: [Int]) -> Tensor {
  Tensor((0..<shape.reduce(1, *)).map { Float($0 % 17) * 0.1 }, shape: shape)
}

private struct Rows: Tree {
  var rows: Tensor
  mutating func visit(_ v: inout Visitor) { v("rows", &rows) }
}

@Test(.needs(.countedScratch)) func the_predicted_peak_is_the_allocators() throws {
  let chain = compile { (x: Tensor, w: Tensor) in
    let hidden = x.matmul(w).softmax()
    return (hidden.matmul(w) + hidden.sum(0, keepDims: true), hidden)
  }
  for n in [48, 64, 200, 301] {
    let (x, w) = (floats([n, 160]), floats([160, 160]))
    _ = try chain(x, w)
    let counted = try Allocator.peak { _ = try chain(x, w) }.bytes
    #expect(chain.explain().predictedPeak == counted, "at \(n) rows")
    #expect(counted >= 2 * n * 160 * 4)
  }
}

@Test func the_predicted_peak_counts_neither_donated_nor_dead_memory() throws {
  let f = compile(updating: Rows.self) { (s: inout Rows, x: Tensor) -> Tensor in
    s.rows = s.rows * 0.5 + x
    return s.rows.sum()
  }
  var s = Rows(rows: floats([300, 300]))
  let x = floats([300, 300])
  for _ in 0..<2 { _ = try f(&s, x) }
  let counted = try Allocator.peak { _ = try f(&s, x) }.bytes
  #expect(f.explain().predictedPeak == counted)
  #expect(counted < 300 * 300 * 4)
}

@Test func the_predicted_peak_counts_breaks_and_kept_ranges() throws {
  let f = compile(updating: Rows.self) { (s: inout Rows, x: Tensor) -> Tensor in
    s.rows[2..<4] = x
    let scaled = s.rows * 2
    if try (s.rows.sum() > 0).item(as: Bool.self) { return scaled.exp() + s.rows }
    return scaled
  }
  var s = Rows(rows: floats([128, 100]))
  let x = floats([2, 100])
  for _ in 0..<2 { _ = try f(&s, x) }
  let counted = try Allocator.peak { _ = try f(&s, x) }.bytes
  #expect(f.explain().predictedPeak == counted)
}

@Test func a_call_that_cannot_have_its_memory_runs_nothing() throws {
  let f = compile(updating: Rows.self) { (s: inout Rows, x: Tensor, n: Dim) -> Tensor in
    s.rows[0..<1] = x
    let isLarge = try (s.rows.sum() > -1).item(as: Bool.self)
    let wide = s.rows.sum(0).expanded([n, n, 8]).exp()
    return isLarge ? wide : wide * 2
  }
  var s = Rows(rows: floats([4, 8]))
  _ = try f(&s, floats([1, 8]), 3)
  let before = try s.rows.array(as: Float.self)
  let x = floats([1, 8])
  var error: Diagnostic?
  let line: UInt = #line + 2
  let launches = LaunchLog.recording {
    error = #expect(throws: Diagnostic.self) { try f(&s, x, 400_000) }
  }.launches
  #expect(launches.isEmpty)
  #expect(error?.kind == .memory && error?.place?.line == line)
  #expect(error?.message.contains("nothing was run") == true)
  #expect(error?.message.contains(" are left") == true)
  #expect(error?.remedy?.contains("AZULEJO_MEMORY") == true)
  #expect(try s.rows.array(as: Float.self) == before)
}

@Test func guards_are_told_with_who_asked_and_what_they_cost() throws {
  let f = compile(dynamic: .axes(["0": [0]])) { (x: Tensor, k: Int, n: Dim) -> Tensor in
    if n < 512 { return x * Double(k) }
    return x
  }
  let line = #line - 3
  _ = try f(floats([6, 2]), 3, 7)
  let guards = f.explain().guards
  #expect(guards.allSatisfy { $0.seconds > 0 && $0.seconds < 1 })
  #expect(guards.first?.condition.contains("1 tensor(s)") == true)
  #expect(guards.contains { $0.condition == "'1' is 3" && $0.cause == "argument '1'" })
  let asked = try #require(guards.first { $0.condition.contains("< 512") })
  #expect(asked.cause == "CaptureTests/MemoryTests.swift:\(line)")
  #expect(f.explain().description.contains("< 512 is true, by CaptureTests/MemoryTests.swift:\(line), "))
}

@Test func kernels_are_told_with_the_lines_they_come_from() throws {
  let f = compile { (x: Tensor) -> Tensor in
    let y = x * 2
    let z = y + 1
    return y.sum(1) * z.sum(0)
  }
  let line = UInt(#line - 4)
  _ = try f(floats([3, 3]))
  let kernels = f.explain().segments.flatMap(\.kernels)
  #expect(Set(kernels.flatMap(\.places).map(\.line)) == [line, line + 1, line + 2])
  #expect(kernels.allSatisfy { $0.places.allSatisfy { $0.file == "CaptureTests/MemoryTests.swift" } })
  #expect(f.explain().description.contains("from CaptureTests/MemoryTests.swift:\(line)"))
}

@Test func tasks_with_states_of_their_own_share_one_plan() async throws {
  let f = compile(updating: Rows.self) { (s: inout Rows, x: Tensor) -> Tensor in
    s.rows = s.rows * 0.5 + x
    return s.rows.sum(1)
  }
  let sums = try await withThrowingTaskGroup(of: [Float].self) { group in
    for _ in 0..<8 {
      group.addTask {
        var s = Rows(rows: floats([16, 16]))
        var last = Tensor(0)
        for _ in 0..<50 { last = try f(&s, floats([16, 16])) }
        return try last.array(as: Float.self)
      }
    }
    return try await group.reduce(into: []) { $0.append($1) }
  }
  #expect(sums.count == 8 && sums.allSatisfy { $0 == sums[0] })
  #expect(f.planCount == 1)
}

@Test func a_compiled_function_inside_another_becomes_part_of_it() throws {
  let inner = compile { (x: Tensor) in x.exp() * 2 }
  let outer = compile(mode: .whole) { (x: Tensor) in try inner(x + 1).sum(1) }
  let x = floats([5, 3])
  for _ in 0..<2 {
    #expect(try outer(x).array(as: Float.self) == (((x + 1).exp() * 2).sum(1)).array(as: Float.self))
  }
  #expect(outer.explain().kernelCount == 1)
  #expect(inner.planCount == 0)
}

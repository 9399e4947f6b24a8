// What happens to state when a call breaks, fails, or shares it. Not what compiled functions compute (CompileTests).
// Surprise: memory addresses are compared, since "in place" is a promise about memory.
import Basics
import Capture
import Engine
import Synchronization
import Tensors
import TensorTypes
import Testing

private struct Cache: Tree {
  var rows: Tensor
  mutating func visit(_ v: inout Visitor) { v("rows", &rows) }
}

extension Tensor {
  fileprivate var place: UnsafeMutableRawPointer { body.view.base }
}

private func rows(_ count: Int) -> Tensor {
  Tensor((0..<count * 8).map { Float($0) }, shape: [count, 8])
}

@Test func a_range_written_before_a_break_is_journaled_not_copied() throws {
  let f = compile(updating: Cache.self) { (s: inout Cache, x: Tensor, at: Dim) -> Tensor in
    s.rows[at..<(at + 4)] = x
    if try (s.rows.sum() > 0).item(as: Bool.self) { return s.rows.sum(1) }
    return s.rows.sum(1) * 2
  }
  var s = Cache(rows: rows(256))
  var wanted = s.rows
  let x = Tensor([Float](repeating: 1, count: 32), shape: [4, 8])
  for k in 0..<4 {
    let before = f.explain().journaledBytes
    let place = s.rows.place
    let sums = try f(&s, x, Dim(8 * k))
    wanted[8 * k..<(8 * k + 4)] = x
    #expect(try s.rows.array(as: Float.self) == wanted.array(as: Float.self))
    #expect(try sums.array(as: Float.self) == wanted.sum(1).array(as: Float.self))
    // The first call computes what the break needs on a copy: the function is still being captured.
    if k > 0 {
      #expect(s.rows.place == place)
      #expect(f.explain().journaledBytes - before == 128)
    }
  }
}

private struct Stop: Error {}

@Test func an_error_behind_a_break_gives_the_overwritten_range_back() throws {
  let fails = Atomic<Bool>(false)
  let f = compile(updating: Cache.self) { (s: inout Cache, x: Tensor, at: Dim) -> Tensor in
    s.rows[at..<(at + 1)] = x
    // Every number is another path: the break is open after a few.
    let total = try s.rows.sum().item(as: Float.self)
    if fails.load(ordering: .relaxed) { throw Stop() }
    s.rows[(at + 1)..<(at + 2)] = x * total
    return s.rows.sum()
  }
  var s = Cache(rows: rows(16))
  for k in 0..<3 { _ = try f(&s, Tensor([Float](repeating: Float(k), count: 8), shape: [1, 8]), Dim(k)) }
  let (before, place) = (try s.rows.array(as: Float.self), s.rows.place)
  fails.store(true, ordering: .relaxed)
  #expect(throws: Stop.self) { try f(&s, Tensor([Float](repeating: 9, count: 8), shape: [1, 8]), 5) }
  #expect(try s.rows.array(as: Float.self) == before)
  #expect(s.rows.place == place)
  fails.store(false, ordering: .relaxed)
  _ = try f(&s, Tensor([Float](repeating: 9, count: 8), shape: [1, 8]), 5)
  #expect(s.rows.place == place)
  #expect(try s.rows[5].array(as: Float.self) == [Float](repeating: 9, count: 8))
}

@Test func a_snapshot_is_not_written_before_a_break() throws {
  let f = compile(updating: Cache.self) { (s: inout Cache, x: Tensor) -> Tensor in
    s.rows[1..<2] = x
    return try (s.rows.sum() > 0).item(as: Bool.self) ? s.rows : s.rows * 2
  }
  var s = Cache(rows: rows(4))
  let x = Tensor([Float](repeating: 1, count: 8), shape: [1, 8])
  _ = try f(&s, x)
  let snapshot = s
  let before = try snapshot.rows.array(as: Float.self)
  _ = try f(&s, x * 5)
  #expect(try snapshot.rows.array(as: Float.self) == before)
  #expect(try s.rows[1].array(as: Float.self) == [Float](repeating: 5, count: 8))
}

@Test func the_old_version_may_be_read_behind_a_break() throws {
  let f = compile(updating: Cache.self) { (s: inout Cache, x: Tensor) -> Tensor in
    let old = s.rows
    s.rows[0..<1] = x
    return try (s.rows.sum() > 0).item(as: Bool.self) ? old + s.rows : old - s.rows
  }
  var s = Cache(rows: rows(4))
  for k in 1...3 {
    let x = Tensor([Float](repeating: Float(k), count: 8), shape: [1, 8])
    let old = s.rows
    let sum = try f(&s, x)
    #expect(try sum.array(as: Float.self) == (old + s.rows).array(as: Float.self))
    #expect(try s.rows[0].array(as: Float.self) == x.array(as: Float.self))
  }
}

@Test func a_whole_value_written_before_a_break_gets_new_memory_and_a_note() throws {
  let f = compile(updating: Cache.self) { (s: inout Cache, x: Tensor) -> Tensor in
    s.rows = s.rows + x
    if try (s.rows.sum() > 0).item(as: Bool.self) { s.rows[0..<1] = x }
    return s.rows.sum()
  }
  var s = Cache(rows: rows(4))
  var wanted = s.rows
  let x = Tensor([Float](repeating: 1, count: 8), shape: [1, 8])
  for _ in 0..<3 {
    _ = try f(&s, x)
    wanted = wanted + x
    wanted[0..<1] = x
    #expect(try s.rows.array(as: Float.self) == wanted.array(as: Float.self))
  }
  #expect(f.explain().notes.contains { $0.contains("'rows'") && $0.contains("before a break") })
}

@Test func a_wrong_index_leaves_the_state_as_it_was() throws {
  let f = compile(updating: Cache.self) { (s: inout Cache, ids: Tensor, at: Dim) -> Tensor in
    let picked = s.rows.embedding(ids)
    s.rows[at..<(at + 1)] = picked.sum(0, keepDims: true)
    return picked
  }
  var s = Cache(rows: rows(6))
  _ = try f(&s, Tensor([Int32(1), 2]), 3)
  let (before, place) = (try s.rows.array(as: Float.self), s.rows.place)
  #expect(throws: Diagnostic.self) { try f(&s, Tensor([Int32(1), 700]), 4) }
  #expect(try s.rows.array(as: Float.self) == before)
  #expect(s.rows.place == place)
}

@Test func a_wrong_index_beside_a_dense_update_leaves_the_state_as_it_was() throws {
  let f = compile(updating: [Tensor].self) { (s: inout [Tensor], ids: Tensor) -> Tensor in
    let picked = s[0].embedding(ids)
    s[1] = s[1] * 0.5 + picked.sum(0)
    s[0] = s[0] * 0.5
    return (s[1] + 1).embedding(ids)
  }
  var s = [rows(6), rows(6)]
  s[1] = rows(1).reshaped([8]) + Tensor.zeros([8, 8])
  _ = try f(&s, Tensor([Int32(1), 2]))
  let before = try s.map { try $0.array(as: Float.self) }
  #expect(throws: Diagnostic.self) { try f(&s, Tensor([Int32(1), 6])) }
  #expect(throws: Diagnostic.self) { try f(&s, Tensor([Int32(7), 0])) }
  #expect(try s.map { try $0.array(as: Float.self) } == before)
  _ = try f(&s, Tensor([Int32(1), 2]))
  #expect(try s.map { try $0.array(as: Float.self) } != before)
}

@Test func a_loop_that_fails_on_a_late_trip_gives_its_ranges_back() throws {
  let f = compile(updating: Cache.self) { (s: inout Cache, ids: Tensor) -> Tensor in
    let filled = try whileLoop(Pair(s, Tensor(0)), while: { $0.at < 4 }) { pair in
      var next = pair
      next.rows.rows[next.place..<next.place + 1] = pair.rows.rows.embedding(ids[next.place..<next.place + 1])
      next.place += 1
      next.at = next.at + 1
      return next
    }
    s.rows = filled.rows.rows
    return s.rows.sum()
  }
  var s = Cache(rows: rows(8))
  _ = try f(&s, Tensor([Int32(7), 6, 5, 4]))
  let (before, place) = (try s.rows.array(as: Float.self), s.rows.place)
  #expect(throws: Diagnostic.self) { try f(&s, Tensor([Int32(1), 2, 3, 800])) }
  #expect(try s.rows.array(as: Float.self) == before)
  #expect(s.rows.place == place)
}

private struct Pair: Tree {
  var rows: Cache
  var at: Tensor
  var place: Dim = 0
  init(_ rows: Cache, _ at: Tensor) { (self.rows, self.at) = (rows, at) }
  mutating func visit(_ v: inout Visitor) {
    v("rows", &rows)
    v("at", &at)
    v("place", &place)
  }
}

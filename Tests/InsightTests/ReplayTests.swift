// Recordings of launches: what is said when they differ, and files that are none.
import Basics
import Insight
import Tensors
import Testing

@Suite struct ReplayTests {
  private func replay(_ programs: [(String, @Sendable () -> Tensor)]) -> Replay {
    var replay = Replay(target: "this")
    for (name, program) in programs { replay.record(name) { _ = try program().array(as: Float.self) } }
    return replay
  }

  @Test func a_text_is_read_back() throws {
    let x = Tensor.ones(4, 5)
    let made = replay([("sum of rows", { x.sum(1) }), ("nothing", { x })])
    #expect(made.rows.map(\.kernels) == [1, 0])
    #expect(try Replay(text: made.text, path: "file") == made)
  }

  @Test func other_kernels_other_numbers_and_other_programs_are_told_apart() {
    let x = Tensor.ones(4, 5)
    let old = replay([("a", { x.sum(1) }), ("b", { x.exp() }), ("c", { x.exp() }), ("gone", { x })])
    let new = replay([("a", { x.sum(1) }), ("b", { x.sin() }), ("c", { x.exp().sum(0) }), ("came", { x })])
    #expect(new.differences(from: old) == ["b: 1, other kernels", "c: 2, recorded are 1 kernels"])
    #expect(new.unmatched(with: old).new == ["came"])
    #expect(new.unmatched(with: old).missing == ["gone"])
  }

  /// The order of launches counts, not only which there are.
  @Test func launches_in_another_order_differ() {
    let x = Tensor.ones(4, 5)
    let old = replay([("a", { x.exp().sin() })])
    #expect(replay([("a", { x.sin().exp() })]).differences(from: old) == ["a: 2, other kernels"])
  }

  @Test func launches_before_a_mistake_count() {
    var replay = Replay(target: "this")
    let x = Tensor.ones(4, 5)
    replay.record("fails") {
      _ = try x.exp().array(as: Float.self)
      throw Diagnostic(.argument, "stop")
    }
    #expect(replay.rows.map(\.kernels) == [1])
  }

  @Test(arguments: [
    ("", "file:1"), ("replay", "file:1"), ("replay of kernels for x\na\t1", "file:2: expected"),
    ("replay of kernels for x\na\tone\tff", "file:2: expected"), ("replay of kernels for x\na\t-1\tff", "file:2"),
    ("replay of kernels for x\na\t1\tff\na\t1\tff", "file:3: 'a' comes twice"),
    ("replay of kernels for x\n\n", "file:2: expected"),
  ])
  func files_that_are_none_are_refused_with_the_line(_ text: String, _ part: String) {
    #expect { try Replay(text: text, path: "file") } throws: { "\($0)".contains(part) }
  }
}

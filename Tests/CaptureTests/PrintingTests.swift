// t.print(): an effect of a program and of a plan. Not the text's layout.
import Basics
import Capture
import Synchronization
import TensorTypes
import Tensors
import Testing

/// What was printed.
private final class Lines: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ text: String) { lines.withLock { $0.append(text) } }
  func taken() -> [String] {
    lines.withLock { lines in
      defer { lines = [] }
      return lines
    }
  }
  func during<T>(_ body: () throws -> T) rethrows -> T {
    try TensorPrinting.$sink.withValue({ self.add($0) }, operation: body)
  }
}

@Test func printing_is_the_same_eagerly_and_compiled_and_in_order() throws {
  @Sendable func body(_ x: Tensor) throws -> Tensor {
    x.print("x")
    let y = x * 2
    y.print("y")
    let z = try whileLoop(y, while: { $0.sum() < 30 }) {
      let next = $0 + 1
      next.print("trip")
      return next
    }
    let chosen = try cond(
      z.sum() > 31,
      {
        z.print("large")
        return z
      },
      else: {
        (z * 0).print("small")
        return z
      })
    chosen.sum().print("end")
    return chosen
  }
  let lines = Lines()
  let f = compile(mode: .whole) { (x: Tensor) in try body(x) }
  for start in [Float(1), 2, 20] {
    let x = Tensor([start, 3])
    _ = try lines.during { try body(x) }
    let eager = lines.taken()
    #expect(eager.first?.hasPrefix("x: tensor([") == true && eager.count > 3)
    _ = try lines.during { try f(x) }
    #expect(lines.taken() == eager)
  }
  let told = f.explain()
  #expect(Set(told.prints.map(\.label)) == ["x", "y", "trip", "large", "small", "end"])
}

@Test func printing_happens_once_around_a_break() throws {
  let f = compile { (x: Tensor) -> Tensor in
    let y = x + 1
    y.print("before")
    let isLarge = try (y.sum() > 5).item(as: Bool.self)
    let z = isLarge ? y * 2 : y
    z.print("behind")
    return z
  }
  let lines = Lines()
  for start in [Float(1), 9, 1, 9] {
    _ = try lines.during { try f(Tensor([start])) }
    let large = start + 1 > 5
    #expect(lines.taken() == ["before: tensor([\(Int(start) + 1).])", "behind: tensor([\(large ? 20 : 2).])"])
  }
}

@Test func printing_keeps_operations_in_one_kernel() throws {
  let f = compile(mode: .whole) { (x: Tensor) in
    let y = x.exp() * 2
    y.print("y")
    return y + 1
  }
  let lines = Lines()
  _ = try lines.during { try f(Tensor([Float(0)])) }
  #expect(lines.taken() == ["y: tensor([2.])"])
  #expect(f.explain().kernelCount == 1)
}

@Test func the_text_of_a_traced_tensor_is_told_as_skipped() throws {
  let lines = Lines()
  let f = compile { (x: Tensor) in
    lines.add("\(x * 2)")
    return x + 1
  }
  let line = #line - 3
  _ = try f(Tensor([Float(1), 2]))
  #expect(lines.taken().allSatisfy { $0 == "traced tensor f32[2]" })
  #expect(f.explain().notes.contains { $0.contains("PrintingTests.swift:\(line)") && $0.contains("t.print") })
}

@Test func a_failed_tensor_prints_its_mistake() throws {
  let lines = Lines()
  lines.during { Tensor([Float(1), 2]).reshaped(3).print("bad") }
  let text = try #require(lines.taken().first)
  #expect(text.hasPrefix("bad: failed tensor") && text.contains("reshape"))
}

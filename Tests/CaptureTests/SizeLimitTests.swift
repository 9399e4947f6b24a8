// Extents that a plan works out at replay: what is negative or too large is an error that names the user's line.
// Not the sizes that a plan serves. Surprise: a plan is made for good sizes first, and never runs at the bad ones: a guard
// sends the call back to the function, which says what is wrong.
import Basics
import Capture
import Tensors
import TensorTypes
import Testing

@Suite struct SizeLimitTests {
  private typealias Function = @Sendable (Tensor, Dim) throws -> Tensor

  /// Each is right at 3 and gives a value or an error at any other number; what it gives is summed, so that nothing of that
  /// size is in memory.
  private static let functions: [(name: String, run: Function)] = [
    ("expanded", { x, n in x.expanded(n, 2).sum() }),
    ("expanded twice", { x, n in (x.expanded(n, n, 2) * 2).sum() }),
    ("zeros", { x, n in (Tensor.zeros(n, 2) + x).sum() }),
    ("zeros less", { x, n in (Tensor.zeros(n - 3, 2) + x).sum() }),
    ("zeros of a product", { x, n in (Tensor.zeros([n * n * n, 2]) + 1).sum() + x.sum() }),
    ("arange", { x, n in Tensor.arange(n).sum() + x.sum() }),
    ("reshaped", { x, n in Tensor.zeros(6).reshaped(n, -1).sum(0) + x }),
    ("narrowed", { x, n in Tensor.arange(6).narrowed(0, start: 1, count: n).sum() + x.sum() }),
    ("narrowed from", { x, n in Tensor.arange(6).narrowed(0, start: n, count: 2).sum() + x.sum() }),
    (
      "random",
      { x, n in
        var random = RandomGenerator(seed: 1)
        return (random.uniform([n, 2]) * 0).sum() + x.sum()
      }
    ),
  ]

  private static let sizes = [0, 1, 2, 3, -1, -2, 6, 7, -(1 << 40), -(1 << 41), 1 << 60, .max, .min]

  @Test(arguments: functions.indices) func every_size_is_right_or_an_error_as_eager(_ index: Int) throws {
    let (name, run) = Self.functions[index]
    let x = Tensor([Float(1), 2])
    let f = compile { (x: Tensor, n: Dim) in try run(x, n) }
    #expect(try f(x, 3).array(as: Float.self) == run(x, 3).array(as: Float.self), "\(name)")
    for size in Self.sizes {
      let eager = Result { try run(x, Dim(size)).array(as: Float.self) }
      let compiled = Result { try f(x, Dim(size)).array(as: Float.self) }
      switch (eager, compiled) {
      case (.success(let a), .success(let b)): #expect(a == b, "\(name) \(size)")
      case (.failure, .failure(let error as Diagnostic)):
        #expect(error.kind != .compiler, "\(name) \(size): \(error)")
        #expect("\(error)".contains("SizeLimitTests.swift"), "\(name) \(size): \(error)")
      case (.success, .failure(let error as Diagnostic)):
        // A symbol has a limit of its own.
        #expect(error.kind == .memory && size.magnitude > 1 << 40, "\(name) \(size): \(error)")
      default: Issue.record("\(name) \(size): eager \(eager), compiled \(compiled)")
      }
    }
  }

  @Test func sizes_that_overflow_together_are_an_error_at_the_line() throws {
    let f = compile { (a: Dim, b: Dim) in (Tensor(Float(1)).expanded(a, b) * 2).sum() }
    #expect(try f(3, 4).item(as: Float.self) == 24)
    #expect(try f(2, 5).item(as: Float.self) == 20)
    for (a, b) in [(1 << 31, 1 << 31), (1 << 40, 1 << 40), (-2, 3), (3, -2), (1 << 33, 1 << 30)] {
      let error = #expect(throws: Diagnostic.self) { try f(Dim(a), Dim(b)) }
      #expect(
        error?.kind != .compiler && "\(error.map { "\($0)" } ?? "")".contains("SizeLimitTests.swift"), "\(a) \(b)")
    }
    // And the plan is as good as before.
    #expect(try f(3, 5).item(as: Float.self) == 30)
  }

  @Test(arguments: [2, 3, 4, 5], [0.0, 1, 2, 3, 4]) func a_correction_beyond_the_count_divides_by_zero(
    _ count: Int, _ correction: Double
  ) throws {
    let f = compile(dynamic: .all) { (x: Tensor) in x.variance(1, correction: correction) }
    let first = Tensor.arange(12, dtype: .f32).reshaped(2, 6)
    #expect(try f(first).array(as: Float.self) == first.variance(1, correction: correction).array(as: Float.self))
    let x = Tensor.arange(from: 0, to: 2 * count, dtype: .f32).reshaped(2, count)
    let expected = Swift.max(Double(count) - correction, 0)
    let middle = Double(count - 1) / 2
    var squares = 0.0
    for i in 0..<count { squares += (Double(i) - middle) * (Double(i) - middle) }
    for result in [try f(x), x.variance(1, correction: correction)] {
      let values = try result.array(as: Double.self)
      #expect(
        values.allSatisfy { $0 == .infinity && expected == 0 || abs($0 - squares / expected) < 1e-5 }, "\(values)")
    }
  }
}

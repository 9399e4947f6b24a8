// An extent that was at hand before a guard gave its symbol another name: the number is known through the old name too, in
// straight code and in closures. Surprise: library code asks the same, between the questions of one operation.
import Basics
import Capture
import TensorTypes
import Tensors
import Testing

@Suite struct LaterNameTests {
  /// What makes `n`, an extent of `x`, the number 1.
  private static let questions: [(String, @Sendable (Tensor, Dim) -> Bool)] = [
    ("asked", { _, n in n == 1 }),
    ("asked the other way round", { _, n in 1 == n }),
    ("a sum", { _, n in n + 2 == 3 }),
    ("broadcast", { x, n in (x[0..<n] + Tensor.ones(1)).failure == nil && n == 1 }),
    ("a shape", { x, n in x[0..<n].shape == Tensor.ones(1).shape }),
  ]

  @Test(arguments: questions.indices) func an_old_name_is_as_good_as_the_new_one(question: Int) throws {
    let (name, ask) = Self.questions[question]
    @Sendable func run(_ x: Tensor, _ n: Dim) -> Tensor {
      let isOne = ask(x, n)
      // Known exactly where the answer was yes; what only follows at hand is no knowledge.
      return n.isKnown(1) == isOne && (n * 4).isKnown(4) == isOne && (n.knownValue == 1) == isOne ? x * 2 : x * 0
    }
    let ways: [(String, @Sendable (Tensor, Dim) throws -> Tensor)] = [
      ("straight", { x, n in run(x, n) }),
      ("cond", { x, n in try cond(x.sum() > 0, { run(x, n) }, else: { x }) }),
      ("loop", { x, n in try scan(x, over: Tensor.ones(2)) { y, _ in (run(y, n), y) }.state }),
    ]
    for (way, body) in ways {
      let f = compile { (x: Tensor, n: Dim) in try body(x, n) }
      for n in [3, 1, 4, 1] {
        let wanted: [Float] = [1, 2, 3, 4, 5].map { way == "loop" ? $0 * 4 : $0 * 2 }
        #expect(try f(Tensor([1, 2, 3, 4, 5] as [Float]), Dim(n)).array() == wanted, "\(name), \(way), n = \(n)")
      }
    }
  }

  /// Operations that ask about one extent and have noted it before, with extents that become 1 or stop being 1.
  @Test func products_and_their_addends_serve_an_extent_of_one() throws {
    let operations: [(String, @Sendable (Tensor, Dim) -> Tensor)] = [
      ("addmm of one number", { x, n in Tensor.ones(1).addmm(x, x[0..., 0..<n], beta: 2, alpha: 3) }),
      ("addmm of a row", { x, n in x[0, 0..<n].addmm(x, x[0..., 0..<n], beta: 2, alpha: 3) }),
      ("addmm over it", { x, n in Tensor.ones(1).addmm(x[0..., 0..<n], x[0..<n]) }),
      ("addmv", { x, n in Tensor.ones(1).addmv(x[0..<n], x[0]) }),
      (
        "baddbmm",
        { x, n in
          let y = Tensor.stacked([x, x])
          return Tensor.ones(1, 1).baddbmm(y[0..., 0..<n], y[0..., 0..., 0..<n])
        }
      ),
      (
        "addbmm",
        { x, n in
          let y = Tensor.stacked([x, x])
          return Tensor.ones(1).addbmm(y[0..., 0..<n], y)
        }
      ),
      ("linear", { x, n in x.linear(weight: x[0..<n], bias: Tensor.ones(4)[0..<n]) }),
      ("conv1d", { x, n in x[0..<n].conv1d(Tensor.ones(3, 4, 2)[0..., 0..<n], bias: Tensor.ones(3)) }),
      ("conv1d, kernel and filters", { x, n in x.conv1d(Tensor.ones(4, 4, 4)[0..<n, 0..., 0..<n], bias: x[0, 0..<n]) }),
      (
        "convTranspose1d",
        { x, n in
          x[0..<n].convTranspose1d(Tensor.ones(4, 4, 4)[0..<n, 0..<n, 0..<n], bias: x[0, 0..<n], stride: 2)
        }
      ),
    ]
    let x = Tensor.arange(16, dtype: .f32).reshaped(4, 4)
    for (name, run) in operations {
      for sizes in [[1, 3], [3, 1], [2, 1, 4], [4, 1, 2, 1]] {
        let f = compile(maxRecompiles: 64) { (x: Tensor, n: Dim) in run(x, n) }
        for n in sizes {
          let (found, wanted) = (try f(x, Dim(n)), run(x, Dim(n)))
          #expect(found.shape == wanted.shape, "\(name), \(sizes), n = \(n)")
          let (a, b) = (try found.array(as: Float.self), try wanted.array(as: Float.self))
          #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-4 * max(1, abs($1)) }, "\(name), \(sizes), n = \(n)")
        }
      }
    }
  }
}

// A compiled function is captured at sizes that nobody called it with; its own code must meet only those that agree with
// all it has asked and been told. Not what plans serve (SizeTests). Surprise: a mistake here does not fail a test, it ends
// the process, as it would have ended the user's.
import Capture
import TensorTypes
import Tensors
import Testing

private typealias Body = @Sendable (Tensor, Dim) throws -> Tensor

private let byText = ["0": 1, "1": 3, "2": 5, "3": 7, "5": 9]
private let bySize: [Dim: Int] = [0: 1, 1: 3, 2: 5, 3: 7, 5: 9]

/// Right for 0 <= n <= the extent of x, and nowhere else: each would stop the process at other sizes.
private let bodies: [(String, Body)] = [
  (
    "precondition",
    { x, n in
      precondition(n <= x.shape[0])
      return x[0..<n] * 2
    }
  ),
  (
    "precondition of arithmetic",
    { x, n in
      precondition(x.shape[0] - n >= 0 && n * 2 <= x.shape[0] * 2)
      return x[n..<x.shape[0]] * 2
    }
  ),
  (
    "a range of Swift",
    { x, n in
      var y = x
      for i in 0..<(try (x.shape[0] - n).value) { y = y + i }
      return y
    }
  ),
  ("an index of an array", { x, n in x * [1, 2, 4, 8, 16, 32, 64][try n.value] }),
  ("what a text is looked up with", { x, n in x * byText["\(n)"]! }),
  ("a text read back", { x, n in x * [1, 2, 4, 8, 16, 32][Int("\(n)")!] }),
  ("what a size is looked up with", { x, n in x * bySize[n]! }),
  ("a member of a set", { x, n in x * ([0, 1, 2, 3, 5] as [Dim]).firstIndex(of: n)! }),
  (
    "a choice without a rest",
    { x, n in
      switch n {
      case 0, 1: return x + 1
      case 2, 3, 5: return x + 2
      default: fatalError("no such size")
      }
    }
  ),
  (
    "in a loop",
    { x, n in
      try whileLoop(x, while: { $0.sum() < 100 }) { y in
        precondition(n <= x.shape[0])
        return y * 2 + byText["\(n)"]!
      }
    }
  ),
  (
    "in a branch",
    { x, n in
      try cond(x.sum() > 3, { x * byText["\(n)"]! }) {
        precondition(n <= x.shape[0])
        return x.sorted().values
      }
    }
  ),
]

@Test(arguments: [DynamicShapes.automatic, .all])
func a_function_never_meets_sizes_that_contradict_what_it_asked(_ dynamic: DynamicShapes) throws {
  for (name, body) in bodies {
    let compiled = compile(dynamic: dynamic, maxRecompiles: 100, body)
    for (extent, n) in [(5, 2), (5, 0), (3, 3), (2, 1), (8, 5), (1, 1), (3, 2), (5, 5)] {
      let x = Tensor((0..<extent).map { Float($0) + 1 })
      let right = try body(x, Dim(n))
      #expect(try compiled(x, Dim(n)).isEqual(to: right), "\(name): \(n) of \(extent), \(dynamic)")
    }
  }
}

@Test func small_sizes_share_a_plan_with_large_ones() throws {
  let compiled = compile { (x: Tensor, n: Dim) in
    Tensor.concatenated([x, Tensor.zeros(n, 2)]).sum(0) + Tensor(n)
  }
  for n in [1, 0, 2, 3, 17] {
    let y = try compiled(Tensor.ones(4, 2), Dim(n)).array(as: Float.self)
    #expect(y == [Float(4 + n), Float(4 + n)])
  }
  #expect(compiled.planCount == 1)
}

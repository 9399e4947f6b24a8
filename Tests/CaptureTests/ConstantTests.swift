// Constants inside compile(): tensors that the function captures or makes, views of them, and what is computed of them alone.
// Not every operation: the recorded cases are run on constants by ConformanceTests.
import Basics
import Capture
import Synchronization
import TensorTypes
import Tensors
import Testing

private func floats(_ shape: [Int]) -> Tensor {
  Tensor((0..<shape.reduce(1, *)).map { Float(($0 * 37) % 23) - 7 }, shape: shape)
}

/// A function of an argument [n] and constants, as users write it; the constants may be made inside.
private struct ConstantProgram: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var function: @Sendable (Tensor) throws -> Tensor
  init(_ name: String, _ function: @escaping @Sendable (Tensor) throws -> Tensor) {
    (testDescription, self.function) = (name, function)
  }

  static let all: [ConstantProgram] = {
    let k = floats([2, 3])
    let w = floats([2, 3]).transposed()
    let wide = floats([4, 6])
    return [
      .init("reduced") { (k * 2).sum(0) + $0[0] },
      .init("broadcast") { $0 + Tensor([10, 20] as [Float], shape: [2, 1]) * 1 },
      .init("operation then view") { (k + 1).transposed() * $0[0] },
      .init("operation then part") { (k * 2)[0] + $0[0] },
      .init("reshaped transposed") { $0[0] + w.reshaped(6) },
      .init("flattened permuted") { $0[0] + wide.transposed().flattened() },
      .init("tiled") { $0[0] + w.tiled([2, 3]) },
      .init("repeated") { $0[0] + w.tiled([1, 2, 1]) },
      .init("reflected") { $0[0] + w.padded([1, 1], mode: .reflect) },
      .init("interpolated") { $0[0] + floats([1, 2, 6])[0..., 0..., 1...].interpolated(size: [7]) },
      .init("expanded reshaped") { $0[0] + Tensor([1, 2, 3] as [Float], shape: [3, 1]).expanded(3, 4).reshaped(12) },
      .init("strided made inside") {
        $0[0] + floats([4, 6])[stride(from: 0, to: 4, by: 2), stride(from: 1, to: 6, by: 3)]
      },
      .init("product with a literal") { $0[0..<2].matmul(Tensor([[1, 2], [3, 4]] as [[Float]])) },
      .init("windows made inside") { floats([8]).windows(0, size: 3, step: 2) * $0[0] },
      .init("index tensors") { x in
        wide[Tensor([0, 3, 1]), Tensor([5, 0, 2])] + x[0]
      },
      .init("index into an argument") { x in x[Tensor([1, 0, 1]) * 1] },
      .init("written constant") { x in
        var k = Tensor([1, 2, 3, 4] as [Float])
        k[0] = x.sum()
        k[1..<3] = Tensor(9)
        k += 1
        return k
      },
      .init("captured and written") { x in
        var own = k
        own[0, 1] = x[1]
        own *= 2
        return own
      },
      .init("a number of constants") { x in try x * (k * 2).max().item(as: Float.self) },
      .init("an array of constants") { x in try x[0] + Tensor((w * 2).transposed().array(as: Float.self)) },
      .init("an array of a strided constant") { x in try x[0] + Tensor(wide.transposed().array(as: Float.self)) },
      .init("a choice by constants") { x in try (k - 1).sum().item(as: Float.self) > 0 ? x : -x },
      .init("nonzero") { x in (k > 0).nonzero().converted(to: .f32) * x[0] },
      .init("a mask of constants") { x in wide[wide > 3] + x[0] },
      .init("sorted and unique") { x in wide.sorted(1).values.sum(0) + x[0] + wide.unique().values[0..<6] },
      .init("einsum") { x in Tensor.einsum("ij,kj->ik", [k, k * 2]) + x[0] },
      .init("eye and arange") { x in (Tensor.eye(3) * 2).matmul(Tensor.arange(3, dtype: .f32)) + x[0] },
      .init("random") { x in
        var random = RandomGenerator(seed: 3)
        return random.normal([2, 3]).transposed().reshaped(6) + x[0]
      },
      .init("nothing of the argument") { _ in (k * 2).sum(0) },
      .init("a part of a part by a size") { x in (wide * 2)[1, 0..<x.shape[0]] + x },
      .init("a window by a size") { x in wide.transposed()[0..<x.shape[0], 1] + x },
      .init("an element by a size") { x in (floats([16]) * 2)[x.shape[0]] + x },
      .init("expanded by a size") { x in (Tensor(3 as Float) + 1).expanded(x.shape[0]) * x },
      .init("in a branch") { x in
        try cond(x.sum() > 0, { (k * 2).sum(0) + x[0] }, else: { (k + 1).transposed()[0..., 0] - x[0] })
      },
      .init("a branch by constants") { x in try cond((k * 2).sum() > 0, { x * 2 }, else: { x }) },
      .init("in a loop") { x in
        let outer = (k * 2).transposed()
        return try whileLoop(x[0] * 0, while: { $0.sum() < 40 }) { s in
          try s + (outer * 2).max().item(as: Float.self).magnitude + (w * 3).sum().item(as: Float.self).magnitude + 1
        }
      },
      .init("over constants") { x in
        try scan(x[0], over: (k * 2).transposed()) { s, row in (s + row.sum(), row * s) }.results
      },
      .init("across a loop") { x in
        let before = (wide * 2)[stride(from: 0, to: 4, by: 2)]
        let grown = try whileLoop(x.sum(), while: { $0 < 50 }) { $0 + before.max() + 1 }
        return try before * grown + before.sum().item(as: Float.self)
      },
      .init("a strided copy across a loop") { x in
        let before = w.copied()
        return try whileLoop(x.sum(), while: { $0 < 50 }) { $0 * 0 + 60 } + before
      },
      .init("empty") { x in Tensor([] as [Float], shape: [0, 3]).sum(0) + x[0] },
    ]
  }()
}

@Test(arguments: ConstantProgram.all)
private func constants_are_what_they_are_eagerly(_ program: ConstantProgram) throws {
  for mode in [CaptureMode.whole, .partial] {
    for fuses in [true, false] {
      let f = compile(mode: mode, fuses: fuses) { (x: Tensor) in try program.function(x) }
      for n in [2, 4, 3, 5] {
        let x = floats([n])
        let (made, eager) = (try? f(x), try? program.function(x))
        guard let eager, eager.failure == nil else { continue }
        let result = try made ?? f(x)
        #expect(result.shape == eager.shape && result.dtype == eager.dtype, "\(n): \(result.shape)")
        let (a, b) = (try result.array(as: Float.self), try eager.array(as: Float.self))
        #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-5 * (1 + abs($1)) }, "\(n): \(a) \(b)")
      }
    }
  }
}

@Test func large_constants_made_inside_are_the_same_in_every_capture() throws {
  // Larger than what is known by its elements; strided, behind breaks, and in functions that run on each call.
  let f = compile { (x: Tensor) in
    let table = floats([64, 64]).transposed()[1..., 2...]
    let sign = try x.sum().item(as: Int.self) > 0
    let scale = try x.sum().item(as: Float.self)
    return (sign ? table : table * 2) * scale + table.sum()
  }
  for x in [floats([3]), floats([3]) - 20, floats([3]) + 1, floats([5])] {
    let table = floats([64, 64]).transposed()[1..., 2...]
    let eager = try (x.sum().item(as: Int.self) > 0 ? table : table * 2) * x.sum() + table.sum()
    #expect(try f(x).isAllClose(to: eager))
  }
}

@Test func constants_that_differ_are_still_refused() throws {
  let calls = Lines()
  let f = compile { (x: Tensor) in
    calls.add("")
    return x + (Tensor([1, 2, 3, Float(calls.all.count)]) * 2).reshaped(2, 2).transposed()[0]
  }
  #expect(throws: Diagnostic.self) { try f(floats([2])) }
}

@Test func a_mistake_of_constants_counts_where_it_runs() throws {
  let k = Tensor([1, 2, 3])
  let f = compile { (x: Tensor) in
    try cond(x.sum() > 0, { x }, else: { x + (k * 2).gathering(Tensor([7]), axis: 0) })
  }
  #expect(try f(Tensor([1, 2])).array(as: Int.self) == [1, 2])
  #expect { try f(Tensor([-1, -2])) } throws: { ($0 as? Diagnostic)?.kind == .index }
  #expect(try f(Tensor([1, 4])).array(as: Int.self) == [1, 4])
}

@Test(arguments: [DType.f32, .f64]) func functions_of_huge_constants_are_those_of_huge_arguments(dtype: DType) throws {
  for number in [0x1p53, -0x1p63, 1e18, 1e30, 3, -0.0, .infinity] as [Double] {
    let eager = Tensor(number).converted(to: dtype)
    let (sines, cosines) = (eager.sin(), eager.cos())
    let made = compile { (x: Tensor) in
      let k = Tensor(number).converted(to: dtype)
      return (x * 0.0 + k.sin(), x * 0.0 + k.cos())
    }
    let (s, c) = try made(Tensor([0, 0, 0] as [Double]).converted(to: dtype))
    for (a, b) in [(s, sines), (c, cosines)] {
      let found = try a.converted(to: .f64).array(as: Double.self)
      let wanted = try b.converted(to: .f64).item(as: Double.self)
      #expect(found.allSatisfy { $0 == wanted || $0.isNaN && wanted.isNaN }, "\(dtype) \(number): \(found), \(wanted)")
    }
  }
}

/// What repeats is as long as a number can be, and is compared without being walked.
@Test(.timeLimit(.minutes(10))) func a_constant_that_repeats_is_compared_once() throws {
  let row = floats([3])
  for dynamic in [DynamicShapes.automatic, .all] {
    let f = compile(dynamic: dynamic) { (x: Tensor) in (x * 2, row.expanded(1 << 40, 3), floats([1]).expanded(1 << 42))
    }
    for count in [2, 3, 4] {
      let (doubled, rows, ones) = try f(floats([count]))
      #expect(doubled.elementCount == count && rows.elementCount == 3 << 40 && ones.elementCount == 1 << 42)
      #expect(try rows[1 << 39].array() == row.array(as: Float.self))
    }
  }
}

@Test func printing_constants_is_done_on_each_run() throws {
  let lines = Lines()
  let k = floats([2])
  let f = compile { (x: Tensor) in
    k.print("k")
    (k * 2).print("twice")
    return x
  }
  try TensorPrinting.$sink.withValue({ lines.add($0) }) { for _ in 0..<2 { _ = try f(floats([3])) } }
  #expect(lines.all == ["k: \(k)", "twice: \(k * 2)", "k: \(k)", "twice: \(k * 2)"])
}

private final class Lines: Sendable {
  private let lines = Mutex<[String]>([])
  var all: [String] { lines.withLock { $0 } }
  func add(_ line: String) { lines.withLock { $0.append(line) } }
}

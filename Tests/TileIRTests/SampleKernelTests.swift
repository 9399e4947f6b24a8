// The four kernels of the design, interpreted and compared with plain loops in Double.
import Foundation
import Scalars
import TensorTypes
import Testing
import TileIR

@Suite struct SampleKernelTests {
  private func expectClose(
    _ actual: [Double], _ expected: [Double], _ tolerance: Double, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(actual.count == expected.count, sourceLocation: sourceLocation)
    let worst = zip(actual, expected).map { abs($0 - $1) }.max() ?? 0
    #expect(worst <= tolerance, sourceLocation: sourceLocation)
  }

  @Test(arguments: [(3, 17), (1, 1), (5, 64), (0, 7)]) func softmax_is_the_plain_loop(_ m: Int, _ n: Int) throws {
    var random = SplitMix(state: 1)
    let x = TestBuffer(random.units(m * n))
    let y = TestBuffer(.f32, count: m * n)
    try SampleKernels.softmax().runClean([x, y], [m, n])
    var expected: [Double] = []
    for row in 0..<m {
      let e = (0..<n).map { exp(x[row * n + $0]) }
      expected += e.map { $0 / e.reduce(0, +) }
    }
    // Rounding of exp, the sum and the quotient: a few units in the last place of values below 1.
    expectClose(y.values, expected, 3e-7)
  }

  @Test func softmax_of_all_minus_infinity_row_is_nan() throws {
    let x = TestBuffer([-.infinity, -.infinity, 0, 1])
    let y = TestBuffer(.f32, count: 4)
    try SampleKernels.softmax().runClean([x, y], [2, 2])
    #expect(y[0].isNaN && y[1].isNaN && !y[2].isNaN)
  }

  @Test(arguments: [(4, 32), (5, 33), (3, 70), (1, 1)])
  func guarded_gelu_is_the_plain_loop(_ m: Int, _ n: Int) throws {
    var random = SplitMix(state: 2)
    let (x, w, b) = (TestBuffer(random.units(m * n)), TestBuffer(random.units(n)), TestBuffer(random.units(n)))
    let y = TestBuffer(.f32, count: m * n)
    let outcome = try SampleKernels.geluAffine().run([x, w, b, y], [m, n])
    #expect(outcome.findings.isEmpty && outcome.fault == nil)
    let lanes = ((m + 3) / 4) * ((n + 31) / 32) * 128
    // x, w, b are loaded and y is stored by every lane.
    #expect(outcome.statistics.accessedLanes == 4 * lanes)
    let columns = ((n + 31) / 32) * 32
    let rows = ((m + 3) / 4) * 4
    #expect(outcome.statistics.maskedLanes == 2 * (rows * columns - m * n) + 2 * rows * (columns - n))
    let expected = (0..<m * n).map { i in
      let u = x[i] * w[i % n] + b[i % n]
      return 0.5 * u * (1 + erf(u * 0.5.squareRoot()))
    }
    expectClose(y.values, expected, 5e-7)
  }

  @Test(arguments: [(6, 16, 8), (7, 19, 13), (1, 1, 1), (13, 33, 24), (4, 5, 0)])
  func packed_matmul_is_the_plain_loop(_ m: Int, _ n: Int, _ k: Int) throws {
    var random = SplitMix(state: 3)
    let (a, b, bias) = (TestBuffer(random.units(m * k)), TestBuffer(random.units(k * n)), TestBuffer(random.units(n)))
    let c = TestBuffer(.f32, count: m * n)
    try SampleKernels.matmul().runClean([a, b, bias, c], [m, n, k])
    var expected: [Double] = []
    for i in 0..<m {
      for j in 0..<n { expected.append((0..<k).reduce(bias[j]) { $0 + a[i * k + $1] * b[$1 * n + j] }) }
    }
    // 25 roundings of sums below 10.
    expectClose(c.values, expected, 1e-5)
  }

  @Test(arguments: [(2, 8), (1, 13), (3, 5)]) func attention_is_the_plain_loop(_ h: Int, _ t: Int) throws {
    let d = 8
    var random = SplitMix(state: 4)
    let (q, k, v) = (
      TestBuffer(random.units(h * t * d)), TestBuffer(random.units(h * t * d)), TestBuffer(random.units(h * t * d))
    )
    let o = TestBuffer(.f32, count: h * t * d)
    try SampleKernels.attention(head: d).runClean([q, k, v, o], [h, t])
    var expected: [Double] = []
    for head in 0..<h {
      for i in 0..<t {
        let weights = (0..<t).map { j in
          exp((0..<d).reduce(0) { $0 + q[(head * t + i) * d + $1] * k[(head * t + j) * d + $1] } / 8.0.squareRoot())
        }
        let sum = weights.reduce(0, +)
        for e in 0..<d {
          expected.append((0..<t).reduce(0) { $0 + weights[$1] * v[(head * t + $1) * d + e] } / sum)
        }
      }
    }
    expectClose(o.values, expected, 1e-6)
  }

  @Test func a_kernel_read_from_text_computes_the_same_bytes() throws {
    let (m, n, k) = (7, 19, 13)
    var random = SplitMix(state: 5)
    let inputs = [TestBuffer(random.units(m * k)), TestBuffer(random.units(k * n)), TestBuffer(random.units(n))]
    let outputs = [TestBuffer(.f32, count: m * n), TestBuffer(.f32, count: m * n)]
    let kernel = SampleKernels.matmul()
    try kernel.runClean(inputs + [outputs[0]], [m, n, k])
    try Kernel(text: kernel.text).runClean(inputs + [outputs[1]], [m, n, k])
    #expect(outputs[0].values == outputs[1].values)
  }

  @Test func tracking_does_not_change_the_result() throws {
    var random = SplitMix(state: 6)
    let x = TestBuffer(random.units(77))
    let outputs = [TestBuffer(.f32, count: 77), TestBuffer(.f32, count: 77)]
    try SampleKernels.softmax().run([x, outputs[0]], [7, 11], sanitize: true)
    try SampleKernels.softmax().run([x, outputs[1]], [7, 11], sanitize: false)
    #expect(outputs[0].values == outputs[1].values)
  }
}

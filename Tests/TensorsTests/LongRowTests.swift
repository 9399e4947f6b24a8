// Long rows of numbers far from 0: what is added up must not lose what the numbers differ by, whatever axis is long.
// Not the conformance cases, whose rows are short. Surprise: what is expected is computed in Double from the same f32 numbers.
import Capture
import Foundation
import TensorTypes
import Tensors
import TestSupport
import Testing

/// Where the long axis is: last, first, in the middle, all there is, cut into short ones (one, some, whole vectors of them
/// inside of others), or every other element.
private enum Layout: CaseIterable {
  case last, first, middle, only, manyShort, severalShort, wholeVectors, strided

  /// The domain and the axes that are reduced.
  var shape: (extents: [Int], axes: [Int]) {
    switch self {
    case .last: ([3, 100_000], [1])
    case .first: ([100_000, 3], [0])
    case .middle: ([2, 50_000, 3], [1])
    case .only: ([100_000], [0])
    case .manyShort: ([2500, 3, 40], [0, 2])
    case .severalShort: ([2, 7, 500, 3, 5], [1, 2, 3, 4])
    case .wholeVectors: ([3, 900, 2, 16], [1, 2, 3])
    case .strided: ([3, 100_000], [1])
    }
  }

  func tensor(_ element: (Int) -> Float) -> (Tensor, rows: [[Double]]) {
    let (extents, axes) = shape
    let count = extents.reduce(1, *)
    let values = (0..<count).map(element)
    var rows: [Int: [Double]] = [:]
    for i in 0..<count {
      var (rest, kept) = (i, 0)
      var coordinates: [Int] = []
      for extent in extents.reversed() {
        coordinates.insert(rest % extent, at: 0)
        rest /= extent
      }
      for axis in extents.indices where !axes.contains(axis) { kept = kept * extents[axis] + coordinates[axis] }
      rows[kept, default: []].append(Double(values[i]))
    }
    let ordered = rows.keys.sorted().map { rows[$0] ?? [] }
    if self == .strided {
      let doubled = values.flatMap { [$0, .nan] }
      let whole = Tensor(doubled, shape: extents + [2])
      return (whole[0..., 0..., 0], ordered)
    }
    return (Tensor(values, shape: extents), ordered)
  }
}

private struct Statistic: Sendable {
  let name: String
  /// Relative error allowed.
  var tolerance = 4e-7  // 64 roundings of f32 in one lane, which equal numbers all take the same way, and the result's
  let ours: @Sendable (Tensor, [Int]) -> Tensor
  let right: @Sendable ([Double]) -> Double
}

private func mean(_ x: [Double]) -> Double { x.reduce(0, +) / Double(x.count) }
private func variance(_ x: [Double]) -> Double {
  let m = mean(x)
  return x.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(x.count - 1)
}

private let statistics: [Statistic] = [
  Statistic(name: "sum", ours: { x, axes in x.sum(axes: axes) }, right: { $0.reduce(0, +) }),
  Statistic(name: "mean", ours: { x, axes in x.mean(axes: axes) }, right: mean),
  Statistic(name: "nanmean", ours: { x, axes in x.meanIgnoringNaN(axes: axes) }, right: mean),
  Statistic(name: "variance", ours: { x, axes in x.variance(axes: axes) }, right: variance),
  Statistic(
    name: "deviation", ours: { x, axes in x.standardDeviation(axes: axes) }, right: { variance($0).squareRoot() }),
  Statistic(
    name: "norm", ours: { x, axes in x.norm(axes: axes) }, right: { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() }),
  Statistic(
    name: "norm 1", ours: { x, axes in x.norm(axes: axes, p: 1) }, right: { $0.reduce(0) { $0 + $1.magnitude } }),
  Statistic(
    name: "logsumexp", ours: { x, axes in (x - 100_000).logSumExp(axes: axes) },
    right: { log($0.reduce(0) { $0 + exp($1 - 100_000) }) }),
  Statistic(
    name: "mean square", ours: { x, axes in (x - 100_000).square().mean(axes: axes) },
    right: { mean($0.map { ($0 - 100_000) * ($0 - 100_000) }) }),
]

@Suite(.needs(.speed, .time)) struct LongRowTests {
  @Test(arguments: Layout.allCases)
  private func statistics_of_long_rows_are_those_of_f64(_ layout: Layout) throws {
    // Two values that differ in the last places; and one value that no binary fraction is.
    let rows: [@Sendable (Int) -> Float] = [{ Float(100_000 + $0 % 2) }, { 100_000.1 + Float($0 % 7) * 0.1 }]
    for element in rows {
      let (x, expected) = layout.tensor(element)
      let axes = layout.shape.axes
      for statistic in statistics {
        let compiled = compile { (x: Tensor) in statistic.ours(x, axes) }
        for result in [statistic.ours(x, axes), try compiled(x)] {
          let found = try result.array(as: Double.self)
          #expect(found.count == expected.count)
          for (a, row) in zip(found, expected) {
            let right = statistic.right(row)
            #expect(
              abs(a - right) <= statistic.tolerance * right.magnitude, "\(layout) \(statistic.name): \(a), not \(right)"
            )
          }
        }
      }
    }
  }

  @Test func norms_of_long_rows_have_mean_0_and_variance_1() throws {
    let count = 100_000
    let x = Tensor((0..<count).map { Float(100_000 + $0 % 2) })
    let results = [
      x.layerNorm([Dim(count)]), x.reshaped(1, 4, count / 4).groupNorm(2), x.reshaped(1, 2, count / 2).instanceNorm(),
      x.reshaped(count, 1).batchNorm(training: true).output,
      x.reshaped(100, 1, count / 100).batchNorm(training: true).output,
    ]
    for result in results {
      let y = try result.flattened().array(as: Double.self)
      // Variance 0.25 with eps 1e-5.
      let right = 0.5 / (0.25 + 1e-5).squareRoot()
      #expect(zip(y, 0..<count).allSatisfy { abs($0 - ($1 % 2 == 0 ? -right : right)) < 1e-5 }, "\(y[0]) \(y[1])")
    }
    #expect(abs(try x.reshaped(1, count).rmsNorm([Dim(count)]).array(as: Double.self)[0] - 1) < 1e-5)
  }

  @Test(arguments: [DType.f32, .f64, .f16, .bf16])
  func running_sums_of_a_million_err_by_their_last_place(_ dtype: DType) throws {
    let count = dtype.size == 2 ? 3000 : 1_000_000
    let x = Tensor.full([Dim(count)], 0.1, dtype: .f64).converted(to: dtype)
    let tenth = try x[0].item(as: Double.self)
    let spacings: [DType: Double] = [.f32: 0x1p-24, .f64: 0x1p-52, .f16: 0x1p-11, .bf16: 0x1p-8]
    let ulp = try #require(spacings[dtype])
    for (axis, y) in [(0, x), (0, x.reshaped(Dim(count / 4), 4)), (1, x.reshaped(2, Dim(count / 2)))] {
      let sums = y.cumulativeSum(axis)
      #expect(sums.dtype == dtype)
      let all = try sums.array(as: Double.self)
      let last = all[all.count - 1]
      let right = tenth * Double(y.rank == 1 ? count : axis == 0 ? count / 4 : count / 2)
      #expect(abs(last - right) <= right * ulp * 1.01, "\(dtype) \(y.shape): \(last), not \(right)")
    }
  }

  /// What a dtype's own additions would lose shows in whatever way a million elements lie.
  @Test(arguments: [DType.f32, .f64])
  func sums_and_products_of_a_million_err_by_their_last_places(_ dtype: DType) throws {
    let count = 1_000_000
    let ulp = dtype == .f32 ? 0x1p-23 : 0x1p-52
    let shapes: [([Int], axis: Int)] = [
      ([count], 0), ([3, count], 1), ([count, 3], 0), ([count / 8, 64], 0), ([2, count / 8, 5], 1),
      ([count / 40, 40], 0),
    ]
    for (extents, axis) in shapes {
      let dims = extents.map { Dim($0) }
      let tenths = Tensor.full(dims, 0.1, dtype: dtype)
      let factor = 1 + 0x1p-20
      let factors = Tensor.full(dims, factor, dtype: dtype)
      let compiled = compile { (x: Tensor, y: Tensor) in (x.sum(axis), y.product(axis)) }
      let length = Double(extents[axis])
      let (sum, product) = (try tenths.flattened()[0].item(as: Double.self) * length, Foundation.pow(factor, length))
      for (sums, products) in [(tenths.sum(axis), factors.product(axis)), try compiled(tenths, factors)] {
        for x in try sums.flattened().array(as: Double.self) {
          #expect(abs(x / sum - 1) <= 8 * ulp, "\(dtype) \(extents): \(x), not \(sum)")
        }
        // Products of f64 are naive.
        let bound = dtype == .f32 ? ulp : length * ulp
        for x in try products.flattened().array(as: Double.self) {
          #expect(abs(x / product - 1) <= bound, "\(dtype) \(extents): \(x), not \(product)")
        }
      }
    }
  }

  @Test func sums_of_f64_that_end_in_an_infinity_or_a_zero_are_it() throws {
    let count = 100_000
    let ends: [([Double], Double)] = [([.infinity, 1], .infinity), ([-0.0, -0.0], 0), ([1e308, 1e308], .infinity)]
    for (elements, right) in ends {
      let x = Tensor(elements).expanded([Dim(count), 2]) + 0
      for sums in [x.sum(0), x.transposed().sum(1), (x + 0).sum().unsqueezed(0)] {
        #expect(try sums.array(as: Double.self)[0] == right)
      }
    }
    let both = Tensor([Double.infinity, -.infinity]).expanded([Dim(count), 2]) + 0
    #expect(try both.sum().item(as: Double.self).isNaN)
  }

  @Test func running_integers_are_exact() throws {
    let large = Int64(1) << 53
    let x = Tensor([large, 1, 1, -1, large, 1])
    #expect(
      try x.cumulativeSum(0).array(as: Int64.self) == [
        large, large + 1, large + 2, large + 1, 2 * large + 1, 2 * large + 2,
      ])
    let bytes = Tensor([UInt8](repeating: 255, count: 1000))
    #expect(try bytes.cumulativeSum(0)[999].item(as: Int64.self) == 255_000)
    #expect(
      try Tensor([3, -7, large / 128]).cumulativeProduct(0).array(as: Int64.self) == [3, -21, -21 * (large / 128)])
  }

  @Test func a_deviation_of_huge_or_tiny_numbers_neither_overflows_nor_vanishes() throws {
    // The elements themselves are rounded to f32.
    for scale in [1e30, 1e-30] as [Float] {
      let deviation = try Tensor([scale, 2 * scale, 3 * scale]).standardDeviation().item(as: Float.self)
      #expect(abs(deviation / scale - 1) < 1e-6)
    }
    #expect(try Tensor([1e30, 2e30, 3e30] as [Float]).variance().item(as: Float.self) == .infinity)
    #expect(abs(try Tensor([1e18, 2e18, 3e18] as [Float]).variance().item(as: Float.self) / 1e36 - 1) < 1e-6)
  }
}

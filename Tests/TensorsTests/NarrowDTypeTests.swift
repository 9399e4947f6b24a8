// Numbers beside narrow dtypes, sums in them, and values at the ends of what a dtype holds: PyTorch's rules (2.15).
// Not the recorded cases, whose tolerance for halves hides a number that was not rounded. Surprise: sums and differences round
// the number to the half dtype first, products and quotients do not.
import Capture
import Foundation
import TensorTypes
import Tensors
import Testing

private struct HalfOperation: Sendable {
  let name: String
  let roundsNumber: Bool
  let ours: @Sendable (Tensor, Double) -> Tensor
  let right: @Sendable (Float, Float) -> Float
}

private func remainder(_ a: Float, _ b: Float) -> Float {
  let r = fmodf(a, b)
  return r != 0 && (r < 0) != (b < 0) ? r + b : r
}

private let halfOperations: [HalfOperation] = [
  .init(name: "x + n", roundsNumber: true, ours: { $0 + $1 }, right: { $0 + $1 }),
  .init(name: "n + x", roundsNumber: true, ours: { $1 + $0 }, right: { $0 + $1 }),
  .init(name: "x - n", roundsNumber: true, ours: { $0 - $1 }, right: { $0 - $1 }),
  .init(name: "n - x", roundsNumber: true, ours: { $1 - $0 }, right: { $1 - $0 }),
  .init(name: "x % n", roundsNumber: true, ours: { $0 % $1 }, right: remainder),
  .init(name: "fmod", roundsNumber: true, ours: { $0.truncatedRemainder($1) }, right: { fmodf($0, $1) }),
  .init(name: "x == n", roundsNumber: true, ours: { $0 .== $1 }, right: { $0 == $1 ? 1 : 0 }),
  .init(name: "x < n", roundsNumber: true, ours: { $0 < $1 }, right: { $0 < $1 ? 1 : 0 }),
  .init(name: "x >= n", roundsNumber: true, ours: { $0 >= $1 }, right: { $0 >= $1 ? 1 : 0 }),
  .init(name: "x * n", roundsNumber: false, ours: { $0 * $1 }, right: { $0 * $1 }),
  .init(name: "x / n", roundsNumber: false, ours: { $0 / $1 }, right: { $0 / $1 }),
]

/// Rounded to the half dtype.
private func rounded(_ x: Float, _ dtype: DType) -> Float {
  if dtype == .f16 { return Float(Float16(x)) }
  let bits = x.bitPattern
  return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
}

@Suite struct NarrowDTypeTests {
  @Test(arguments: [DType.f16, .bf16]) func halves_meet_numbers_as_in_pytorch(_ dtype: DType) throws {
    let values = (0..<67).map { rounded(Float($0) * 0.137 - 3.3, dtype) } + [rounded(0.1, dtype), rounded(3.3, dtype)]
    let x = Tensor(values).converted(to: dtype)
    for number in [0.1, 1.0 / 3, 3.3, -2.7] {
      for operation in halfOperations {
        let n = operation.roundsNumber ? rounded(Float(number), dtype) : Float(number)
        let compiled = compile { (x: Tensor) in operation.ours(x, number) }
        for result in [operation.ours(x, number), try compiled(x)] {
          let found = try result.array(as: Float.self)
          for (i, (a, value)) in zip(found, values).enumerated() {
            let right = rounded(operation.right(value, n), dtype)
            #expect(a == right, "\(dtype) \(operation.name), x = \(value) [\(i)], n = \(number): \(a), not \(right)")
          }
        }
      }
    }
  }

  @Test func bounds_that_a_dtype_does_not_hold_bound_nothing() throws {
    let bytes = Tensor([0, 1, 200, 255] as [UInt8])
    #expect(try bytes.clamped(max: 300).array(as: Int.self) == [0, 1, 200, 255])
    #expect(try bytes.clamped(min: -1).array(as: Int.self) == [0, 1, 200, 255])
    #expect(try bytes.clamped(-1, 300).array(as: Int.self) == [0, 1, 200, 255])
    #expect(try bytes.clamped(1, 300).array(as: Int.self) == [1, 1, 200, 255])
    #expect(try bytes.minimum(300).array(as: Int.self) == [0, 1, 200, 255])
    let wide = Tensor([-5, 7, .max] as [Int32])
    #expect(try wide.clamped(max: 1 << 41).array(as: Int.self) == [-5, 7, Int(Int32.max)])
    #expect(try wide.clamped(min: -(1 << 41)).array(as: Int.self) == [-5, 7, Int(Int32.max)])
    let compiled = compile { (x: Tensor) in x.clamped(-1, 300) }
    #expect(try compiled(bytes).array(as: Int.self) == [0, 1, 200, 255])
    for wrong in [bytes.clamped(min: 300), bytes.clamped(max: -1), bytes.maximum(256)] {
      #expect(wrong.failure?.kind == .argument)
    }
  }

  @Test func numbers_that_do_not_fit_are_errors_where_elements_become_them() throws {
    let bytes = Tensor([1, 2] as [UInt8])
    let wrong: [Tensor] = [
      .full([2], 300, dtype: .u8), .full([2], -256, dtype: .u8), .full([2], 200, dtype: .i8),
      .full([2], 256.5, dtype: .u8),
      .full([2], Double.nan, dtype: .i32), .full([2], 1e30, dtype: .i64), .full([2], 1e6, dtype: .f16),
      .full([2], 1e300), .full(like: bytes, 300), Tensor.select(bytes > 1, bytes, 300),
      bytes.padded([1, 1], value: 300),
    ]
    for (i, tensor) in wrong.enumerated() { #expect(tensor.failure?.kind == .argument, "\(i): \(tensor)") }
    #expect(try Tensor.full([1], -1, dtype: .u8).item(as: Int.self) == 255)
    #expect(try Tensor.full([1], 255.7, dtype: .u8).item(as: Int.self) == 255)
    #expect(try Tensor.full([1], -Double.infinity, dtype: .f16).item(as: Double.self) == -.infinity)
    #expect(try Tensor.full([1], 2, dtype: .bool).item(as: Bool.self))
  }

  @Test(arguments: [DType.f16, .bf16, .f32]) func many_ones_at_one_place_add_up(_ dtype: DType) throws {
    let count = 1000
    let (base, ones) = (Tensor.zeros(2, dtype: dtype), Tensor.ones(count, dtype: dtype))
    let places = Tensor.zeros(count, dtype: .i64)
    let sums: @Sendable (Tensor, Tensor, Tensor) -> [Tensor] = { base, ones, places in
      [
        base.scattering(ones, at: places, axis: 0, reduction: .sum), base.adding(ones, at: places, axis: 0),
        base.scattering(ones * 100, at: places, axis: 0, reduction: .mean, includeSelf: false) * 10,
      ]
    }
    let compiled = compile { (base: Tensor, ones: Tensor, places: Tensor) in sums(base, ones, places) }
    for result in sums(base, ones, places) + (try compiled(base, ones, places)) {
      #expect(result.dtype == dtype)
      #expect(try result.array(as: Float.self) == [1000, 0])
    }
    let weighted = places.binCounts(weights: ones)
    #expect(weighted.dtype == (dtype == .f32 ? .f32 : .f64))
    #expect(try weighted.array(as: Float.self) == [1000])
  }

  @Test(arguments: [DType.u8, .i8, .i16, .u16, .i32, .u32, .i64, .u64])
  func means_at_one_place_are_of_sums_that_fit(_ dtype: DType) throws {
    let range = try #require(dtype.integerRange)
    let count = 1000
    let mean: @Sendable (Tensor, Tensor, Tensor) -> [Tensor] = { base, updates, places in
      [false, true].map {
        base.scattering(updates, at: places, axis: 0, reduction: .mean, includeSelf: $0)
      }
    }
    let compiled = compile { (a: Tensor, b: Tensor, c: Tensor) in mean(a, b, c) }
    for element in [min(range.upperBound, 1 << 40), max(range.lowerBound, -(1 << 40))] {
      let base = Tensor([element, 3]).converted(to: dtype)
      let updates = Tensor([Int64](repeating: element, count: count)).converted(to: dtype)
      let places = Tensor.zeros(count, dtype: .i64)
      for result in mean(base, updates, places) + (try compiled(base, updates, places)) {
        #expect(result.dtype == dtype)
        #expect(try result.array(as: Int64.self) == [element, 3], "\(dtype)")
      }
    }
  }

  @Test func truth_adds_up_to_whether_any_is_and_has_no_mean() throws {
    let base = Tensor([false, false, true])
    let updates = Tensor([true, false, true, false])
    let places = Tensor([0, 1, 0, 2])
    let sums: @Sendable (Tensor, Tensor, Tensor) -> [Tensor] = { base, updates, places in
      [
        base.adding(updates, at: places, axis: 0), base.adding(updates, at: places, axis: 0, scale: 3),
        base.scattering(updates, at: places, axis: 0, reduction: .sum),
      ]
    }
    let compiled = compile { (a: Tensor, b: Tensor, c: Tensor) in sums(a, b, c) }
    for result in sums(base, updates, places) + (try compiled(base, updates, places)) {
      #expect(try result.array(as: Bool.self) == [true, false, true])
    }
    let mean = base.scattering(updates, at: places, axis: 0, reduction: .mean)
    #expect(mean.failure?.kind == .dtype)
  }

  @Test func places_that_are_not_there_are_errors() {
    #expect(Tensor([1, -1]).binCounts().failure?.kind == .argument)
    #expect(Tensor([1.0]).binCounts().failure?.kind == .dtype)
    let square = Tensor.zeros(3, 3)
    for values in [Tensor.ones(2), Tensor.ones(1), Tensor.ones(4), Tensor(Float(1))] {
      #expect(square.scattering(values, onDiagonal: 0).failure?.kind == .shape)
    }
  }

  @Test func nan_is_behind_all_boundaries_and_not_above_zero() throws {
    let edges = Tensor([1, 2, 3] as [Float])
    let wanted = Tensor([.nan, 2, -.nan, .infinity, -.infinity] as [Float])
    #expect(try edges.searchSorted(wanted).array(as: Int.self) == [3, 1, 3, 3, 0])
    #expect(try edges.searchSorted(wanted, right: true).array(as: Int.self) == [3, 2, 3, 3, 0])
    #expect(try wanted.bucketized(edges).array(as: Int.self) == [3, 1, 3, 3, 0])
    #expect(try Tensor([.nan, 0, -1, 1] as [Float]).heaviside(0.5).array(as: Float.self) == [0, 0.5, 0, 1])
  }

  @Test func a_running_log_sum_starts_with_its_first_element() throws {
    let x = Tensor([0, 100, 200, 800] as [Float])
    #expect(try x.logCumulativeSumExp(0).array(as: Float.self) == [0, 100, 200, 800])
    #expect(try x.flipped([0]).logCumulativeSumExp(0).array(as: Float.self) == [800, 800, 800, 800])
    let special = Tensor([-.infinity, -.infinity, 1, .infinity, 2] as [Float])
    #expect(
      try special.logCumulativeSumExp(0).array(as: Float.self) == [-.infinity, -.infinity, 1, .infinity, .infinity])
    #expect(try Tensor([1, .nan, 2] as [Float]).logCumulativeSumExp(0)[2].item(as: Float.self).isNaN)
    for dtype in [DType.f16, .bf16, .f32, .f64] {
      let ones = Tensor.zeros(3, 500, dtype: dtype)
      let compiled = compile { (x: Tensor) in x.logCumulativeSumExp(1) }
      for result in [ones.logCumulativeSumExp(1), try compiled(ones)] {
        let last = try result[1, -1].item(as: Double.self)
        #expect(abs(last - log(500)) <= (dtype == .bf16 ? 0.02 : dtype == .f16 ? 0.003 : 1e-6), "\(dtype)")
      }
    }
  }

  @Test(arguments: [DType.f32, .f64]) func sines_of_huge_angles_are_those_of_libm(_ dtype: DType) throws {
    var angles: [Double] = [1e15, 1e16, 1e20, 1e22, 1e30, 3e38, 0x1p50, 0x1.8p50, 0x1p127, 0x1.fffffep127, 5]
    if dtype == .f64 { angles += [1e100, 1e300, 0x1.fffffffffffffp1023, 0x1p1023, 6381956970095103 * 0x1p797] }
    for exponent in stride(from: 45.0, to: dtype == .f32 ? 127 : 1023, by: dtype == .f32 ? 0.37 : 3.1) {
      angles.append(pow(2, exponent) * 1.1)
    }
    angles = angles.map { dtype == .f32 ? Double(Float($0)) : $0 }
    angles += angles.map { -$0 } + [.infinity, -.infinity, .nan]
    let x = Tensor(angles).converted(to: dtype)
    let compiled = compile { (x: Tensor) in (x.sin(), x.cos()) }
    let (sine, cosine) = try compiled(x)
    // Two units in the last place; more at the angle of f64 that is nearest to a multiple of pi/2, where 61 of the bits that
    // the reduction keeps cancel.
    let worst = 6381956970095103 * 0x1p797
    let ulp = dtype == .f32 ? 0x1p-23 : 0x1p-52
    let pairs = [(x.sin(), sin as @Sendable (Double) -> Double), (x.cos(), cos), (sine, sin), (cosine, cos)]
    for (result, right) in pairs {
      for (a, angle) in zip(try result.array(as: Double.self), angles) {
        let wanted = right(angle)
        #expect(
          (a.isNaN && wanted.isNaN)
            || abs(a - wanted) <= (abs(angle) == worst ? 16 : 2) * ulp * wanted.magnitude,
          "\(dtype) \(angle): \(a), not \(wanted)")
      }
    }
  }
}

import Capture
import Tensors
import TensorTypes
import TestSupport
import Testing

@Suite struct RandomTests {
  @Test func equal_seeds_give_equal_tensors_whatever_the_shape() throws {
    var (a, b) = (RandomGenerator(seed: 7), RandomGenerator(seed: 7))
    let x = try a.uniform([2, 3]).array(as: Float.self)
    #expect(x == (try b.uniform([6]).array(as: Float.self)))
    #expect(x != (try a.uniform([6]).array(as: Float.self)))
    #expect(a.drawn == 12)
    var other = RandomGenerator(seed: 8)
    #expect(x != (try other.uniform([6]).array(as: Float.self)))
  }

  @Test(arguments: [DType.f32, .f64, .f16, .bf16]) func uniform_numbers_fill_their_range(_ dtype: DType) throws {
    var random = RandomGenerator(seed: 1)
    let x = random.uniform([20000], in: -2..<3, dtype: dtype)
    #expect(x.dtype == dtype)
    let values = try x.array(as: Double.self)
    // A mean of 20000 numbers of deviation 1.44 is within 0.05 of the true one but for five in a million draws.
    #expect(abs(values.reduce(0, +) / 20000 - 0.5) < 0.05)
    #expect(values.allSatisfy { $0 >= -2 && $0 <= 3 })
  }

  @Test(arguments: [DType.f32, .f64]) func normal_numbers_have_their_mean_and_deviation(_ dtype: DType) throws {
    var random = RandomGenerator(seed: 3)
    let x = random.normal([20001], mean: 1, deviation: 2, dtype: dtype)
    // Five standard errors of the mean and of the deviation.
    #expect(abs(try x.mean().item(as: Double.self) - 1) < 0.07)
    #expect(abs(try x.standardDeviation().item(as: Double.self) - 2) < 0.05)
  }

  @Test func integers_reach_every_value_of_their_range() throws {
    var random = RandomGenerator(seed: 5)
    let found = Set(try random.integers([1000], in: -2..<4).array(as: Int.self))
    #expect(found == Set(-2..<4))
  }

  @Test func a_permutation_has_every_number_once() throws {
    var random = RandomGenerator(seed: 9)
    let order: [Int] = try random.permutation(100).array()
    #expect(order.sorted() == Array(0..<100))
    #expect(order != Array(0..<100))
  }

  @Test func dropout_keeps_the_expected_sum() throws {
    var random = RandomGenerator(seed: 2)
    let x = Tensor.ones(10000).dropout(0.25, using: &random)
    #expect(Set(try x.array(as: Float.self)) == [0, 4 / 3])
    // Five standard errors of a sum of 10000 draws.
    #expect(abs(try x.mean().item(as: Float.self) - 1) < 0.03)
  }

  @Test(.needs(.speedOrTime), arguments: [DType.f32, .f64, .f16, .bf16]) func the_end_of_a_range_is_never_drawn(
    _ dtype: DType
  ) throws {
    // Where few numbers lie between the bounds, sums are rounded up to the end, or when they are written.
    for range in [1..<2, 1000..<1001, -1..<0, 0..<3, 0..<1e-3, -2..<(-1), 500..<1000] as [Range<Double>] {
      var random = RandomGenerator(seed: 4)
      let fill = compile { (random: inout RandomGenerator) in random.uniform([60_000], in: range, dtype: dtype) }
      for values in [random.uniform([60_000], in: range, dtype: dtype), try fill(&random)] {
        let inside = try values.array(as: Double.self).allSatisfy { $0 >= range.lowerBound && $0 < range.upperBound }
        #expect(inside, "\(dtype) \(range)")
      }
    }
  }

  @Test(arguments: [DType.f32, .bf16]) func ranges_wider_than_the_dtype_are_filled(_ dtype: DType) throws {
    var random = RandomGenerator(seed: 4)
    let values = try random.uniform([1000], in: -3e38..<3e38, dtype: dtype).array(as: Double.self)
    #expect(values.allSatisfy { $0.magnitude <= 3.01e38 })
    #expect(values.contains { $0 > 2.5e38 } && values.contains { $0 < -2.5e38 })
  }

  @Test func integers_of_the_widest_ranges_reach_both_ends() throws {
    var random = RandomGenerator(seed: 6)
    for range in [0..<Int.max, Int.min / 2..<Int.max / 2, 0..<(3 << 61), -1..<(1 << 41)] {
      let values = try random.integers([4000], in: range).array(as: Int.self)
      #expect(values.allSatisfy { range.contains($0) })
      // Eight equal parts of the range: about 500 each, whose deviation is 21.
      let width = Double(range.upperBound) - Double(range.lowerBound)
      var parts = [Int](repeating: 0, count: 8)
      for value in values { parts[min(7, Int((Double(value) - Double(range.lowerBound)) / width * 8))] += 1 }
      #expect(parts.allSatisfy { abs($0 - 500) < 150 }, "\(range): \(parts)")
    }
  }

  @Test func what_a_dtype_does_not_hold_is_refused() {
    var random = RandomGenerator(seed: 6)
    let refused: [(String, Tensor)] = [
      ("uniform inf", random.uniform([2], in: 0..<Double.infinity)),
      ("uniform f16", random.uniform([2], in: 0..<1e6, dtype: .f16)),
      ("uniform i32", random.uniform([2], in: 0..<10, dtype: .i32)), ("normal i64", random.normal([2], dtype: .i64)),
      ("deviation", random.normal([2], mean: 0, deviation: -1)), ("deviation nan", random.normal([2], deviation: .nan)),
    ]
    for (name, tensor) in refused { #expect(tensor.failure?.kind == .argument, "\(name)") }
  }

  @Test func wrong_arguments_give_failed_tensors() {
    var random = RandomGenerator(seed: 2)
    #expect(random.integers([2], in: 3..<3).failure?.kind == .argument)
    #expect(random.bernoulli([2], probability: 1.5).failure?.message.contains("1.5") == true)
    #expect(random.uniform([-1]).failure?.kind == .shape)
    // Ranges beyond a dtype would wrap around or become infinite.
    let beyond: [(DType, Range<Int>)] = [
      (.u8, 0..<257), (.u8, -1..<3), (.i8, 0..<129), (.bool, 0..<3), (.u16, 0..<65537), (.i32, 0..<Int.max),
      (.u32, -1..<1), (.u64, -1..<1), (.f16, 0..<65506),
    ]
    for (dtype, range) in beyond {
      #expect(random.integers([2], in: range, dtype: dtype).failure?.kind == .argument, "\(dtype) \(range)")
    }
    for (dtype, range) in [(.u8, 0..<256), (.i8, -128..<128), (.bool, 0..<2), (.f16, -65504..<65505)]
      as [(DType, Range<Int>)]
    {
      #expect(random.integers([2], in: range, dtype: dtype).failure == nil, "\(dtype) \(range)")
    }
  }
}

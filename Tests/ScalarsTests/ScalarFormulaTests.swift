// Formulas with two operands, with special values that matter, or that are exact.
import Foundation
import Scalars
import TensorTypes
import Testing

private let x = ScalarExpr.input(0)
private let y = ScalarExpr.input(1)

private func run(_ formula: ScalarExpr, _ dtype: DType, _ inputs: Double...) throws -> Double {
  let program = try #require(ScalarProgram(formula, inputs: inputs.map { _ in dtype }))
  let result = try #require(program.evaluate(inputs.map { .float(ScalarReference.rounded($0, to: dtype)) }))
  return result.doubleValue
}

private func runIntegers(_ formula: ScalarExpr, _ dtype: DType, _ inputs: Int64...) throws -> Int64 {
  let program = try #require(ScalarProgram(formula, inputs: inputs.map { _ in dtype }))
  return try #require(program.evaluate(inputs.map { .integer($0) })).integerValue
}

/// Pairs of special values, and random pairs.
private func pairs(_ dtype: DType, count: Int, in ranges: [(ClosedRange<Double>, ClosedRange<Double>)]) -> [[Double]] {
  let special: [Double] = [
    0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 2.5, -2.5, 1e9 + 1, 1e20, -1e20, 1e-20, .infinity, -.infinity, .nan,
  ]
  var made: [[Double]] = []
  for a in special { for b in special { made.append([a, b]) } }
  var random = RandomBits()
  for (first, second) in ranges {
    for _ in 0..<count {
      made.append([Double.random(in: first, using: &random), Double.random(in: second, using: &random)])
    }
  }
  return made.map { $0.map { ScalarReference.rounded($0, to: dtype) } }
}

@Suite struct ScalarFormulaTests {
  @Test(arguments: [DType.f32, .f64])
  func power_follows_ieee_and_is_within_its_bound(dtype: DType) throws {
    let formula = try #require(ScalarMath.expansion(of: .power, dtype: dtype))
    let arguments = pairs(
      dtype, count: 1500,
      in: [(0...2, -1000...1000), (0...100, -20...20), (0.99...1.01, -70000...70000), (1e-40...1e-38, -1...1)])
    let accuracy = try #require(Accuracy.measure(formula, dtype, arguments) { pow($0[0], $0[1]) })
    #expect(accuracy.worst <= (dtype == .f32 ? 1 : 2), "\(accuracy)")
  }

  @Test(arguments: [DType.f32, .f64])
  func atan2_hypot_and_logaddexp_are_within_their_bounds(dtype: DType) throws {
    let arguments = pairs(dtype, count: 1500, in: [(-2...2, -2...2), (-1e6...1e6, -1e6...1e6), (0...1e-3, -100...100)])
    let angle = try #require(Accuracy.measure(.atan2(x, y), dtype, arguments) { atan2($0[0], $0[1]) })
    #expect(angle.worst <= 4, "\(angle)")
    let length = try #require(Accuracy.measure(.hypot(x, y), dtype, arguments) { hypot($0[0], $0[1]) })
    #expect(length.worst <= 2, "\(length)")
    // Near a result of 0 its error is that of the maximum, which has cancelled: the bound is for positive operands.
    let positive = arguments.filter { $0[0] >= 0 && $0[1] >= 0 }
    let sum = try #require(
      Accuracy.measure(.logAddExp(x, y), dtype, positive) { a in
        a[0] == a[1] && a[0].isInfinite ? a[0] : max(a[0], a[1]) + log1p(exp(-abs(a[0] - a[1])))
      })
    #expect(sum.worst <= 3, "\(sum)")
  }

  @Test func logaddexp_of_infinities_is_no_nan() throws {
    #expect(try run(.logAddExp(x, y), .f32, -.infinity, -.infinity) == -.infinity)
    #expect(try run(.logAddExp(x, y), .f32, -.infinity, 3) == 3)
    #expect(try run(.logAddExp(x, y), .f32, .infinity, .infinity) == .infinity)
  }

  @Test(arguments: [DType.f32, .f64])
  func gamma_functions_agree_with_recorded_values(dtype: DType) throws {
    // mpmath, 30 digits.
    let digamma: [(Double, Double)] = [
      (0.0009765625, -1024.5756104293407), (0.125, -8.388492663295855), (0.5, -1.9635100260214235),
      (1.0, -0.5772156649015329), (1.25, -0.22745353337626542), (1.5, 0.03648997397857652),
      (2.0, 0.42278433509846713), (3.75, 1.1825373886117962), (7.9375, 2.0072856526575245),
      (8.0, 2.01564147795561), (20.5, 2.9958363947076467), (1000000.0, 13.815510057964191),
      (-0.5, 0.03648997397857652), (-1.25, 3.714139120213528), (-7.75, -1.0307688328309315),
      (-20.125, 10.611077432912593), (-0.0009765625, 1023.421176806794),
    ]
    let lgamma: [(Double, Double)] = [
      (0.0009765625, 6.9309089024194614), (0.125, 2.0194183575537963), (0.5, 0.5723649429247001),
      (1.25, -0.09827183642181316), (1.5, -0.12078223763524522), (2.5, 0.2846828704729192),
      (3.75, 1.486815578593417), (7.9375, 8.399444525124958), (8.0, 8.525161361065415), (20.5, 40.8315009745308),
      (1000000.0, 12815504.569147611), (-0.5, 1.2655121234846454), (-1.25, 1.3664317612369763),
      (-7.75, -8.581847763551867), (-20.125, -40.608285145280576), (-0.0009765625, 6.932036277511308),
    ]
    // f32 computes in f64 and rounds once; f64 loses a few digits where the pieces cancel.
    let bound = dtype == .f32 ? 6e-8 : 1e-13
    for (argument, expected) in digamma {
      let value = try run(.digamma(x), dtype, argument)
      #expect(abs(value - expected) <= bound * max(1, abs(expected)), "digamma(\(argument)) = \(value)")
    }
    // gamma is 1 / x there, and of x only digits are left.
    let tiny = [1e-40, -1e-40, 1e-300, -1e-300, 0x1p-1023, -0x1p-1023, 0x1p-1074, -0x1p-1074, 0x1p-149, -0x1p-149]
    let nearest = tiny.filter { dtype == .f64 || $0.magnitude > 1e-45 }.map { ($0, -log($0.magnitude)) }
    for (argument, expected) in lgamma + nearest {
      let value = try run(.lgamma(x), dtype, argument)
      #expect(abs(value - expected) <= bound * max(1, abs(expected)), "lgamma(\(argument)) = \(value)")
    }
  }

  @Test func gamma_functions_at_their_poles_are_as_in_pytorch() throws {
    for dtype in [DType.f32, .f64] {
      #expect(try run(.digamma(x), dtype, 0) == -.infinity)
      #expect(try run(.digamma(x), dtype, -0.0) == .infinity)
      #expect(try run(.digamma(x), dtype, -3).isNaN)
      #expect(try run(.digamma(x), dtype, .infinity) == .infinity)
      for pole in [0.0, -0.0, -1, -7, .infinity, -.infinity] { #expect(try run(.lgamma(x), dtype, pole) == .infinity) }
      #expect(try run(.lgamma(x), dtype, .nan).isNaN)
    }
  }

  /// In f32 lgamma computes in f64, so that only the last rounding counts, also beside the zeros at 1 and 2.
  @Test(arguments: [DType.f32, .f64])
  func lgamma_is_accurate_everywhere(dtype: DType) throws {
    let program = try #require(ScalarProgram(.lgamma(x), inputs: [dtype]))
    let near = [1, 2].flatMap { (x: Float) in [x, x.nextUp, x.nextDown, x + 1e-3].map { Double($0) } }
    for argument in near + Samples.values(dtype, in: [0...4, -6...6, 0...1000], count: 1000) {
      let expected: Double = argument.isInfinite ? .infinity : lgamma(argument)
      let value = try #require(program.evaluate([.float(argument)])).doubleValue
      if expected.isNaN || value == ScalarReference.rounded(expected, to: dtype) { continue }
      // libm itself is no better in f64 beside the zeros at negative arguments.
      let bound = dtype == .f32 ? 6.1e-8 * abs(expected) + 1e-13 : 1e-13 * max(1, abs(expected))
      #expect(abs(value - expected) <= bound, "lgamma(\(argument)) = \(value), not \(expected)")
    }
  }

  @Test(arguments: [DType.f32, .f64])
  func erfinv_agrees_with_recorded_values(dtype: DType) throws {
    let recorded: [(Double, Double)] = [
      (1e-10, 8.862269254527581e-11), (0.001, 0.0008862271574665521), (0.1, 0.08885599049425769),
      (0.3, 0.2724627147267543), (-0.5, -0.4769362762044699), (0.75, 0.8134198475976185),
      (0.9, 1.1630871536766743), (-0.99, -1.8213863677184494), (0.9999, 2.75106390571208),
      (0.99999999, 4.052237243268763), (0.9999999999990905, 5.05125408524939), (0.9999999999999999, 5.8635847487551676),
    ]
    for (argument, expected) in recorded {
      let rounded = ScalarReference.rounded(argument, to: dtype)
      if abs(rounded) == 1 { continue }
      // What rounding the argument moves: d erfinv = sqrt(pi)/2 e^(y^2) dx.
      let moved = abs(rounded - argument) * 0.8862269254527580 * exp(expected * expected)
      let value = try run(.erfinv(x), dtype, argument)
      let bound = (dtype == .f32 ? 5e-7 : 1e-14) * abs(expected) + 1.1 * moved
      #expect(abs(value - expected) <= bound, "erfinv(\(argument)) = \(value), not \(expected)")
    }
    #expect(try run(.erfinv(x), dtype, 1) == .infinity)
    #expect(try run(.erfinv(x), dtype, -1) == -.infinity)
    #expect(try run(.erfinv(x), dtype, 1.5).isNaN)
    #expect(try run(.erfinv(x), dtype, 0) == 0)
  }

  @Test func beyond_their_range_sine_and_cosine_are_those_of_zero() throws {
    for dtype in [DType.f32, .f64] {
      for (instruction, value) in [(ScalarInstruction.sin, 0.0), (.cos, 1)] {
        let formula = try #require(ScalarMath.expansion(of: instruction, dtype: dtype))
        for argument in [1e16, 1e20, 3e38, -1e30] { #expect(try run(formula, dtype, argument) == value) }
        #expect(try run(formula, dtype, .infinity).isNaN)
      }
    }
  }

  @Test func expansions_of_half_floats_round_once() throws {
    let formula = try #require(ScalarMath.expansion(of: .exp, dtype: .f16))
    for argument in [0.5, 1, -3.25, 11, 12, -20] {
      #expect(try run(formula, .f16, argument) == ScalarReference.evaluate(.exp, .f16, argument))
    }
    #expect(ScalarMath.expansion(of: .exp, dtype: .i32) == nil)
    #expect(ScalarMath.expansion(of: .add, dtype: .f32) == nil)
  }

  // MARK: Signs and quotients

  @Test(arguments: [DType.f16, .bf16, .f32, .f64])
  func signs_include_those_of_zero_and_nan(dtype: DType) throws {
    for (value, negative) in [(1.0, false), (-1, true), (0, false), (-0.0, true), (.infinity, false), (-.nan, true)] {
      #expect(try run(.signBit(x), dtype, value) == (negative ? 1 : 0))
      let copied = try run(.copySign(x, y), dtype, 2.5, value)
      #expect(copied == (negative ? -2.5 : 2.5))
    }
    #expect(try run(.copySign(x, y), dtype, 0, -1).sign == .minus)
  }

  @Test func nextafter_steps_to_the_neighbour_in_every_float_dtype() throws {
    for dtype in [DType.f16, .bf16, .f32, .f64] {
      let next = ScalarExpr.nextAfter(x, y)
      let above = try run(next, dtype, 1, 2)
      let below = try run(next, dtype, 1, 0)
      #expect(above > 1 && above - 1 == 2 * (1 - below))
      #expect(ScalarReference.rounded((1 + above) / 2, to: dtype) == 1)
      let smallest = try run(next, dtype, 0, 1)
      #expect(smallest > 0 && ScalarReference.rounded(smallest * 0.25, to: dtype) == 0)
      #expect(try run(next, dtype, 0, -1) == -smallest)
      #expect(try run(next, dtype, smallest, -1) == 0)
      #expect(try run(next, dtype, 3, 3) == 3)
      #expect(try run(next, dtype, -0.0, 0).sign == .plus)
      #expect(try run(next, dtype, .nan, 1).isNaN)
      #expect(try run(next, dtype, 1, .nan).isNaN)
      #expect(try run(next, dtype, .infinity, 0).isFinite)
      #expect(try run(next, dtype, .infinity, .infinity) == .infinity)
    }
    for value in [1.5, -1.5, 0.1, -1e-40, 3e38] {
      let exact = ScalarReference.rounded(value, to: .f32)
      #expect(try run(.nextAfter(x, y), .f32, value, 1e39) == Double(Float(exact).nextUp))
      #expect(try run(.nextAfter(x, y), .f32, value, -1e39) == Double(Float(exact).nextDown))
    }
  }

  @Test func integer_floor_division_and_remainder_follow_python() throws {
    for dtype in [DType.i8, .i16, .i32, .i64] {
      let cases: [(Int64, Int64, Int64, Int64)] = [
        (7, 2, 3, 1), (-7, 2, -4, 1), (7, -2, -4, -1), (-7, -2, 3, -1), (6, -3, -2, 0), (0, 5, 0, 0),
      ]
      for (a, b, quotient, rest) in cases {
        #expect(try runIntegers(.floorDivide(x, y), dtype, a, b) == quotient)
        #expect(try runIntegers(.remainder(x, y), dtype, a, b) == rest)
      }
    }
    #expect(try runIntegers(.floorDivide(x, y), .u8, 200, 7) == 28)
    #expect(try runIntegers(.remainder(x, y), .u8, 200, 7) == 4)
    let program = try #require(ScalarProgram(.floorDivide(x, y), inputs: [.i32, .i32]))
    #expect(program.evaluate([.integer(1), .integer(0)]) == nil)
  }

  @Test func float_floor_division_and_remainder_follow_pytorch() throws {
    let cases: [(Double, Double, Double, Double)] = [
      (7.5, 2, 3, 1.5), (-7.5, 2, -4, 0.5), (7.5, -2, -4, -0.5), (-7.5, -2, 3, -1.5), (6, 3, 2, 0), (-1, 3, -1, 2),
    ]
    for (a, b, quotient, rest) in cases {
      #expect(try run(.floorDivide(x, y), .f32, a, b) == quotient)
      #expect(try run(.remainder(x, y), .f32, a, b) == rest)
    }
    // 0.1 is a little more than a tenth.
    #expect(try run(.floorDivide(x, y), .f64, 1, 0.1) == 9)
    #expect(try run(.floorDivide(x, y), .f32, 1, 0) == .infinity)
    #expect(try run(.floorDivide(x, y), .f32, -1, 0) == -.infinity)
    #expect(try run(.floorDivide(x, y), .f32, 0, 0).isNaN)
    #expect(try run(.floorDivide(x, y), .f32, 0, -3).sign == .minus)
    #expect(try run(.remainder(x, y), .f32, 1, 0).isNaN)
    #expect(try run(.remainder(x, y), .f32, -1, .infinity) == .infinity)
  }

  @Test func integer_powers_wrap_and_negative_exponents_give_zero_or_a_unit() throws {
    for dtype in [DType.u8, .i8, .i16, .i32, .i64, .u16, .u32] {
      for base in Int64(-3)...5 where dtype.isSigned || base >= 0 {
        var expected: Int64 = 1
        for exponent in Int64(0)...20 {
          let wrapped = ScalarReference.wrapped(expected, to: dtype)
          #expect(try runIntegers(.integerPower(x, y), dtype, base, exponent) == wrapped)
          expected = expected &* base
        }
      }
    }
    for (base, exponent, expected) in [(2, -1, 0), (1, -5, 1), (-1, -5, -1), (-1, -4, 1), (0, -1, 0)] {
      #expect(try runIntegers(.integerPower(x, y), .i32, Int64(base), Int64(exponent)) == Int64(expected))
    }
  }

  // MARK: Random numbers

  /// The known answers published with Random123 for philox4x32, 10 rounds.
  @Test func philox_gives_the_published_words() throws {
    let ones: Int64 = 0xffff_ffff
    let cases: [([Int64], [Int64])] = [
      ([0, 0, 0, 0, 0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
      ([ones, ones, ones, ones, ones, ones], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
      (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344, 0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
      ),
    ]
    let inputs = (0..<6).map { ScalarExpr.input($0) }
    let words = ScalarExpr.philox(counter: Array(inputs[..<4]), key: Array(inputs[4...]))
    for (word, formula) in words.enumerated() {
      let program = try #require(ScalarProgram(formula, inputs: [DType](repeating: .i64, count: 6)))
      for (arguments, expected) in cases {
        #expect(program.evaluate(arguments.map { .integer($0) }) == .integer(expected[word]))
      }
    }
    let packed = ScalarExpr.philox(counter: x, key: y)
    let program = try #require(ScalarProgram(packed[0], inputs: [.i64, .i64]))
    #expect(program.evaluate([.integer(0), .integer(0)]) == .integer(0x6627_e8d5))
  }

  @Test func uniform_and_normal_numbers_have_their_moments() throws {
    let words = ScalarExpr.philox(counter: x, key: y)
    let uniform = try #require(ScalarProgram(.uniform(words[0]), inputs: [.i64, .i64]))
    let normal = try #require(ScalarProgram(ScalarExpr.normals(words[0], words[1]).0, inputs: [.i64, .i64]))
    var (sum, squares, sumNormal, squaresNormal) = (0.0, 0.0, 0.0, 0.0)
    let n = 2000
    for counter in 0..<n {
      let arguments: [ScalarValue] = [.integer(Int64(counter)), .integer(42)]
      let u = try #require(uniform.evaluate(arguments)).doubleValue
      #expect(u >= 0 && u < 1)
      sum += u
      squares += u * u
      let z = try #require(normal.evaluate(arguments)).doubleValue
      sumNormal += z
      squaresNormal += z * z
    }
    // Five standard errors of each mean.
    let count = Double(n)
    #expect(abs(sum / count - 1 / 2) < 5 * (1 / 12.0 / count).squareRoot())
    #expect(abs(squares / count - 1 / 3) < 5 * (4 / 45.0 / count).squareRoot())
    #expect(abs(sumNormal / count) < 5 * (1 / count).squareRoot())
    #expect(abs(squaresNormal / count - 1) < 5 * (2 / count).squareRoot())
  }

  @Test func the_ends_of_a_word_give_finite_numbers() throws {
    let lowest = try run(.uniform(x.converted(to: .i64)), .f64, 0)
    let highest = try run(.uniform(x.converted(to: .i64)), .f64, 4_294_967_295)
    #expect(lowest == 0 && highest == 1 - 0x1p-24)
    let (cosine, sine) = ScalarExpr.normals(x.converted(to: .i64), y.converted(to: .i64))
    #expect(try run(cosine, .f64, 0, 0).isFinite)
    #expect(try run(sine, .f64, 4_294_967_295, 4_294_967_295).isFinite)
  }
}

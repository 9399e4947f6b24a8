// What the instructions mean, on the values where implementations differ.
import Scalars
import TensorTypes
import Testing

private func integer(_ i: ScalarInstruction, _ dtype: DType, _ a: Int64, _ b: Int64 = 0, _ c: Int64 = 0) -> Int64? {
  ScalarReference.evaluate(i, dtype, a, b, c)
}
private func float(_ i: ScalarInstruction, _ dtype: DType, _ a: Double, _ b: Double = 0, _ c: Double = 0) -> Double {
  ScalarReference.evaluate(i, dtype, a, b, c)
}

@Suite struct ScalarReferenceTests {
  @Test func integer_arithmetic_wraps_to_the_width() {
    #expect(integer(.add, .u8, 200, 100) == 44)
    #expect(integer(.subtract, .u8, 3, 5) == 254)
    #expect(integer(.add, .i8, 127, 1) == -128)
    #expect(integer(.multiply, .i16, 300, 300) == 24464)
    #expect(integer(.multiply, .i64, .max, 2) == -2)
    #expect(integer(.multiplyAdd, .i32, 1 << 20, 1 << 20, 7) == 7)
    #expect(integer(.negate, .i8, -128) == -128)
    #expect(integer(.absolute, .i64, .min) == .min)
    #expect(integer(.negate, .u8, 1) == 255)
  }

  @Test func integer_division_truncates_and_a_zero_divisor_gives_nil() {
    #expect(integer(.divide, .i32, -7, 2) == -3)
    #expect(integer(.remainder, .i32, -7, 2) == -1)
    #expect(integer(.remainder, .i32, 7, -2) == 1)
    #expect(integer(.divide, .i8, -128, -1) == -128)
    #expect(integer(.divide, .i64, .min, -1) == .min)
    #expect(integer(.remainder, .i64, .min, -1) == 0)
    #expect(integer(.divide, .u8, 200, 0) == nil)
    #expect(integer(.remainder, .i64, 1, 0) == nil)
  }

  @Test func shifts_outside_the_width_give_zero_or_the_sign() {
    for (dtype, width) in [(DType.u8, Int64(8)), (.i8, 8), (.i16, 16), (.i32, 32), (.i64, 64)] {
      #expect(integer(.shiftLeft, dtype, 1, width - 1) == ScalarReference.wrapped(1 << (width - 1), to: dtype))
      for amount in [width, width + 1, 1000, -1] {
        #expect(integer(.shiftLeft, dtype, 3, amount) == 0)
        #expect(integer(.shiftRight, dtype, 3, amount) == 0)
        #expect(integer(.shiftRightLogical, dtype, 3, amount) == 0)
        if dtype.isSigned { #expect(integer(.shiftRight, dtype, -3, amount) == -1) }
      }
    }
    #expect(integer(.shiftRight, .i8, -128, 3) == -16)
    #expect(integer(.shiftRightLogical, .i8, -128, 3) == 16)
    #expect(integer(.shiftRightLogical, .i64, -1, 60) == 15)
    #expect(integer(.shiftRight, .u8, 200, 3) == 25)
  }

  @Test func bits_of_bool_are_logic() {
    #expect(integer(.not, .bool, 0) == 1)
    #expect(integer(.not, .bool, 1) == 0)
    #expect(integer(.not, .u8, 1) == 254)
    #expect(integer(.xor, .bool, 1, 1) == 0)
    #expect(integer(.maximum, .bool, 0, 1) == 1)
  }

  @Test(arguments: [DType.f16, .bf16, .f32, .f64])
  func minimum_and_maximum_propagate_nan(dtype: DType) {
    #expect(float(.minimum, dtype, .nan, 1).isNaN)
    #expect(float(.minimum, dtype, 1, .nan).isNaN)
    #expect(float(.maximum, dtype, .nan, .infinity).isNaN)
    #expect(float(.maximum, dtype, -.infinity, .nan).isNaN)
    #expect(float(.minimum, dtype, 0, -0.0).sign == .minus)
    #expect(float(.maximum, dtype, -0.0, 0).sign == .plus)
    #expect(float(.minimum, dtype, 2, -3) == -3)
  }

  @Test(arguments: [DType.f16, .bf16, .f32, .f64])
  func comparisons_with_nan_are_false_except_not_equal(dtype: DType) {
    for other in [0.0, .nan, .infinity] {
      #expect(float(.equal, dtype, .nan, other) == 0)
      #expect(float(.less, dtype, .nan, other) == 0)
      #expect(float(.less, dtype, other, .nan) == 0)
      #expect(float(.lessOrEqual, dtype, .nan, other) == 0)
      #expect(float(.notEqual, dtype, .nan, other) == 1)
    }
    #expect(float(.equal, dtype, 0, -0.0) == 1)
    #expect(float(.lessOrEqual, dtype, 1, 1) == 1)
    #expect(float(.select, dtype, 1, 5, 6) == 5)
    #expect(float(.select, dtype, 0, 5, 6) == 6)
  }

  @Test func rounding_instructions_keep_the_sign_of_zero_and_tie_to_even() {
    let cases: [(ScalarInstruction, Double, Double)] = [
      (.roundEven, 0.5, 0), (.roundEven, 1.5, 2), (.roundEven, 2.5, 2), (.roundEven, -2.5, -2), (.floor, -0.5, -1),
      (.ceil, 0.25, 1), (.truncate, -1.75, -1), (.remainder, -7.5, -1.5), (.remainder, 5.5, 1.5),
    ]
    for (instruction, input, expected) in cases { #expect(float(instruction, .f32, input, 2) == expected) }
    for instruction in [ScalarInstruction.ceil, .truncate, .roundEven] {
      #expect(float(instruction, .f64, -0.25).sign == .minus)
    }
  }

  @Test func f32_arithmetic_rounds_once_to_f32() {
    #expect(float(.add, .f32, 16_777_216, 1) == 16_777_216)
    #expect(float(.add, .f64, 16_777_216, 1) == 16_777_217)
    // (1 + 2^-12)^2 - 1 is exact only if the product is not rounded.
    let a = 1 + 0x1p-12
    #expect(float(.multiplyAdd, .f32, a, a, -1) == 0x1p-11 + 0x1p-24)
    #expect(float(.divide, .f32, 1, 3) == Double(Float(1) / 3))
    #expect(float(.squareRoot, .f32, 2) == Double(Float(2).squareRoot()))
    #expect(float(.exp, .f32, 100) == .infinity)
    #expect(float(.add, .f16, 65504, 16) == .infinity)
    #expect(float(.add, .f16, 2048, 1) == 2048)
    #expect(float(.add, .bf16, 256, 1) == 256)
  }

  @Test func float_to_integer_saturates_and_nan_gives_zero() {
    func converted(_ x: Double, _ to: DType) -> ScalarValue { ScalarReference.convert(.float(x), from: .f64, to: to) }
    for dtype in [DType.u8, .i8, .i16, .i32, .i64, .u16, .u32] {
      guard let range = dtype.integerRange else { continue }
      #expect(converted(.infinity, dtype) == .integer(range.upperBound))
      #expect(converted(-.infinity, dtype) == .integer(range.lowerBound))
      #expect(converted(1e30, dtype) == .integer(range.upperBound))
      #expect(converted(.nan, dtype) == .integer(0))
      #expect(converted(2.9, dtype) == .integer(2))
      #expect(converted(-0.9, dtype) == .integer(0))
    }
    #expect(converted(-1.5, .i8) == .integer(-1))
    #expect(converted(255.9, .u8) == .integer(255))
    #expect(converted(.nan, .bool) == .integer(1))
    #expect(converted(0.25, .bool) == .integer(1))
    #expect(converted(-0.0, .bool) == .integer(0))
  }

  @Test func integer_conversions_keep_low_bits_and_round_once() {
    func converted(_ x: Int64, _ to: DType) -> ScalarValue { ScalarReference.convert(.integer(x), from: .i64, to: to) }
    #expect(converted(300, .u8) == .integer(44))
    #expect(converted(200, .i8) == .integer(-56))
    #expect(converted(2, .bool) == .integer(1))
    // 2^60 + 2^36 + 1 is above a tie of f32; through Double it would become the tie and round down.
    #expect(converted(1 << 60 + 1 << 36 + 1, .f32) == .float(0x1p60 + 0x1p37))
    #expect(converted(70000, .f16) == .float(.infinity))
  }

  @Test func every_f16_round_trips_and_agrees_with_the_standard_library() {
    for bits in UInt16.min...UInt16.max {
      let value = NarrowFormat.f16.decode(bits)
      if value.isNaN {
        #expect(bits & 0x7c00 == 0x7c00 && bits & 0x3ff != 0)
        #expect(NarrowFormat.f16.encode(value) == bits | 0x200)
      } else if NarrowFormat.f16.encode(value) != bits {
        Issue.record("f16 \(bits) decodes to \(value), which encodes to \(NarrowFormat.f16.encode(value))")
      }
      #if !(os(macOS) && arch(x86_64))
        if !value.isNaN, Double(Float16(bitPattern: bits)) != value { Issue.record("f16 \(bits) is not \(value)") }
      #endif
    }
  }

  @Test func every_bf16_round_trips_and_is_the_upper_half_of_f32() {
    for bits in UInt16.min...UInt16.max {
      let value = NarrowFormat.bf16.decode(bits)
      let wide = Float(bitPattern: UInt32(bits) << 16)
      if value.isNaN {
        if !wide.isNaN || NarrowFormat.bf16.encode(value) != bits | 0x40 { Issue.record("bf16 \(bits) is NaN") }
      } else if value != Double(wide) || NarrowFormat.bf16.encode(value) != bits {
        Issue.record("bf16 \(bits) decodes to \(value)")
      }
    }
  }

  @Test func half_encoding_ties_to_even_between_all_neighbours() {
    for format in [NarrowFormat.f16, .bf16] {
      var bits: UInt16 = 0
      while !format.decode(bits + 1).isInfinite {
        let low = format.decode(bits)
        let high = format.decode(bits + 1)
        let middle = (low + high) / 2
        let even = bits & 1 == 0 ? bits : bits + 1
        if format.encode(middle) != even || format.encode(middle.nextDown) != bits
          || format.encode(middle.nextUp) != bits + 1 || format.encode(-middle) != even | 0x8000
        {
          Issue.record("\(format) near \(middle)")
        }
        bits += 1
      }
      // Half a step above the largest finite value is infinity.
      let largest = format.decode(bits)
      let step = largest - format.decode(bits - 1)
      #expect(format.encode(largest + step / 2) == bits + 1)
      #expect(format.encode((largest + step / 2).nextDown) == bits)
      #expect(format.encode(.greatestFiniteMagnitude) == bits + 1)
      #expect(format.encode(.leastNonzeroMagnitude) == 0)
    }
  }

  @Test(arguments: DType.allCases)
  func elements_survive_memory(dtype: DType) {
    let values: [Double] = [0, 1, 0.5, -2, 100, -100, 1e30, .infinity]
    withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { memory in
      guard let base = memory.baseAddress else { return }
      for value in values {
        let element = ScalarReference.convert(.float(value), from: .f64, to: dtype)
        ScalarReference.store(element, base + 3, dtype)
        #expect(ScalarReference.load(base + 3, dtype) == element)
        let bits = ScalarReference.bits(of: element, dtype)
        #expect(ScalarReference.value(bits: bits, dtype) == element)
      }
    }
  }

  @Test func a_program_runs_in_the_semantics_of_its_dtypes() throws {
    let x = ScalarExpr.input(0)
    let masked = (x .< 0.5).select(x * 2, x.converted(to: .i32).converted(toInput: 0))
    let program = try #require(ScalarProgram(masked, inputs: [.f32]))
    #expect(program.evaluate([.float(0.25)]) == .float(0.5))
    #expect(program.evaluate([.float(7.75)]) == .float(7))
    #expect(program.flops == 3)
    let bits = try #require(ScalarProgram(x.bitcast(to: .i32), inputs: [.f32]))
    #expect(bits.evaluate([.float(1)]) == .integer(0x3f80_0000))
    #expect(bits.evaluate([.float(-0.0)]) == .integer(-0x8000_0000))
  }

  @Test func a_program_that_divides_by_zero_gives_zero_and_says_so() throws {
    let program = try #require(ScalarProgram(.input(0) / .input(1) + 5, inputs: [.i32, .i32]))
    var faulted = false
    #expect(program.evaluate([.integer(6), .integer(2)], faulted: &faulted) == .integer(8))
    #expect(!faulted)
    #expect(program.evaluate([.integer(6), .integer(0)], faulted: &faulted) == .integer(5))
    #expect(faulted)
    #expect(program.evaluate([.integer(6), .integer(0)]) == nil)
  }
}

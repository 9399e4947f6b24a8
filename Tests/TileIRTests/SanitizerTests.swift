// Each bug planted once: the sanitizer names it, and nothing outside the given memory is touched.
import Basics
import Scalars
import TensorTypes
import Testing
import TileIR

@Suite struct SanitizerTests {
  /// x and y of N floats, s scratch of N, i of N indices; phases as given.
  private func run(
    _ phases: String, _ n: Int = 8, x: TestBuffer? = nil, y: TestBuffer? = nil, indices: [Int]? = nil,
    sanitize: Bool = true
  ) throws -> TileInterpreter.Outcome {
    let kernel = try Kernel(
      text: """
        kernel @planted(N) {
          input x: f32[N] strides [1]
          output y: f32[N] strides [1]
          input i: i64[N] strides [1]
          scratch s: f32[N] panels(4, 0)
          \(phases)
        }
        """)
    let x = x ?? TestBuffer((0..<n).map(Double.init))
    return try kernel.run(
      [x, y ?? TestBuffer(.f32, count: n), TestBuffer(integers: indices ?? Array(0..<n))], [n], sanitize: sanitize)
  }
  private func kinds(_ outcome: TileInterpreter.Outcome) -> [TileInterpreter.Finding.Kind] {
    outcome.findings.map(\.kind)
  }

  @Test(arguments: [true, false]) func unguarded_accesses_outside_are_found_and_not_made(_ sanitize: Bool) throws {
    let y = TestBuffer(Array(repeating: -5, count: 8))
    let outcome = try run(
      "phase grid (1) { %0 = load x[3 + t0] fill 42.0 : f32[8] store y[2 + t0], %0 }", y: y, sanitize: sanitize)
    #expect(kinds(outcome) == [.outOfBounds, .outOfBounds])
    let load = outcome.findings[0]
    #expect(load.buffer == "x" && load.coordinates == [8] && load.count == 3 && load.instance == 0)
    #expect(
      load.description == "out of bounds: phase 0, instance 0, '%0 = load x[3 + t0] fill 42.0 : f32[8]', x[8]: "
        + "axis 0 has 8 elements (and 2 more)")
    #expect(outcome.findings[1].count == 2)
    #expect(y.values == [-5, -5, 3, 4, 5, 6, 7, 42])
  }

  /// The element is in memory; how often it is repeated does not matter. Memory that is not there is still found.
  @Test func an_element_that_is_repeated_no_times_may_be_read() throws {
    func kinds(_ access: String, _ x: [Double]) throws -> [TileInterpreter.Finding.Kind] {
      let kernel = try Kernel(
        text: """
          kernel @repeated(N) {
            input x: f32[N, 2] strides [0, 1]
            output y: f32[2] strides [1]
            phase grid (1) { %0 = load x[\(access)] : f32[1, 2] %1 = reduce.sum %0 axes [0] : f32[1, 2] store y[t1], %1 }
          }
          """)
      return try kernel.run([TestBuffer(x), TestBuffer(.f32, count: 2)], [0]).findings.map(\.kind)
    }
    #expect(try kinds("0, t1", [1, 2]) == [])
    #expect(try kinds("1, t1", [1, 2]) == [.outOfBounds])
    #expect(try kinds("0, t1", [1]) == [.outOfMemory])
  }

  @Test func negative_coordinates_are_outside() throws {
    let outcome = try run("phase grid (1) { %0 = load x[-1 + t0] : f32[1] }")
    #expect(kinds(outcome) == [.outOfBounds])
  }

  @Test func memory_smaller_than_the_extents_say_is_found() throws {
    let y = TestBuffer(.f32, count: 5)
    let outcome = try run("phase grid (1) { %0 = load x[t0] : f32[N] store y[t0], %0 }", y: y)
    #expect(kinds(outcome) == [.outOfMemory])
    #expect(outcome.findings[0].count == 3 && y.values == [0, 1, 2, 3, 4])
  }

  @Test func reading_an_output_that_nothing_wrote_is_found() throws {
    let outcome = try run("phase grid (1) { %0 = load y[t0] : f32[N] }")
    #expect(kinds(outcome) == [.unwritten] && outcome.findings[0].count == 8)
    let added = try run("phase grid (1) { %0 = load x[t0] : f32[N] store.accumulate.sum y[t0], %0 }")
    #expect(kinds(added) == [.unwritten])
    let twice = try run(
      """
      phase grid (1) { %0 = load x[t0] : f32[N] store y[t0], %0 }
      phase grid (1) { %0 = load y[t0] : f32[N] store.accumulate.sum y[t0], %0 }
      """)
    #expect(twice.findings.isEmpty)
  }

  @Test func reading_scratch_that_nothing_wrote_is_found() throws {
    let outcome = try run(
      """
      phase grid (1) { %0 = load x[t0] : f32[4] store s[t0], %0 }
      phase grid (1) { %0 = load s[t0] : f32[N] store y[t0], %0 }
      """)
    #expect(kinds(outcome) == [.unwritten] && outcome.findings[0].count == 4 && outcome.findings[0].phase == 1)
    #expect(outcome.findings[0].coordinates == [4])
  }

  @Test func padding_columns_of_a_panel_are_memory() throws {
    let outcome = try run(
      "phase grid (2) { %0 = pid 0 %1 = %0 * 4 %2 = load x[%1 + t0?] : f32[4] store s[%1 + t0], %2 }", 5)
    #expect(outcome.findings.isEmpty)
  }

  @Test func padding_columns_are_read_as_nan_and_are_not_written_behind_the_last_panel() throws {
    let y = TestBuffer(.f32, count: 5)
    let outcome = try run(
      """
      phase grid (1) { %0 = load x[t0] : f32[N] store s[t0], %0 }
      phase grid (1) { %0 = load s[t0] : f32[16] %1 = reduce.sum %0 axes [0] : f32[1] store y[t0], %1 }
      """, 5, y: y)
    #expect(outcome.findings.isEmpty && y[0].isNaN)
    let wide = try run("phase grid (1) { %0 = splat 1.0 : f32[16] store s[t0], %0 }", 5)
    #expect(kinds(wide) == [.outOfBounds] && wide.findings[0].coordinates == [8] && wide.findings[0].count == 8)
  }

  @Test func two_instances_that_write_one_element_race() throws {
    let outcome = try run("phase grid (3) { %0 = pid 0 %1 = splat 1.0 : f32[2] store y[%0 + t0], %1 }")
    #expect(kinds(outcome) == [.race])
    #expect(outcome.findings[0].instance == 1 && outcome.findings[0].coordinates == [1])
    #expect(outcome.findings[0].detail == "instance 0 of the phase wrote it")
  }

  @Test func reading_what_another_instance_writes_is_a_race_in_either_order() throws {
    let x = TestBuffer((0..<8).map(Double.init))
    for shift in [1, -1] {
      let text = "phase grid (4) { %0 = pid 0 %1 = %0 + 2 %2 = %1 + \(shift) %3 = load x[%2] : f32[] store y[%1], %3 }"
      let outcome = try run(text, x: x, y: x)
      #expect(kinds(outcome) == [.race])
      #expect(outcome.findings[0].detail.hasSuffix(shift == 1 ? "read it" : "wrote it"))
    }
  }

  @Test func writing_what_several_others_read_is_a_race_even_if_the_writer_read_last() throws {
    let x = TestBuffer((0..<8).map(Double.init))
    let text = "phase grid (3) { %0 = pid 0 %1 = load x[2] : f32[] store y[%0], %1 }"
    #expect(kinds(try run(text, x: x, y: x)) == [.race])
  }

  @Test func phases_are_barriers() throws {
    let outcome = try run(
      """
      phase grid (N) { %0 = pid 0 %1 = load x[%0] : f32[] store s[%0], %1 }
      phase grid (N) { %0 = pid 0 %1 = 7 - %0 %2 = load s[%1] : f32[] store y[%0], %2 }
      phase grid (N) { %0 = pid 0 %1 = splat 0.0 : f32[] store y[%0], %1 }
      """)
    #expect(outcome.findings.isEmpty)
  }

  @Test func an_output_in_its_inputs_memory_is_no_error() throws {
    let x = TestBuffer((0..<8).map(Double.init))
    let outcome = try run(
      "phase grid (4) { %0 = pid 0 %1 = %0 * 2 %2 = load x[%1 + t0] : f32[2] store.accumulate.sum y[%1 + t0], %2 }",
      x: x, y: x)
    #expect(outcome.findings.isEmpty && x.values == [0, 2, 4, 6, 8, 10, 12, 14])
  }

  @Test func accumulation_from_two_instances_is_named_apart() throws {
    let outcome = try run(
      """
      phase grid (1) { %0 = splat 0.0 : f32[N] store y[t0], %0 }
      phase grid (2) { %0 = load x[t0] : f32[N] store.accumulate.sum y[t0], %0 }
      """)
    #expect(kinds(outcome) == [.accumulationRace])
  }

  @Test func tracking_can_be_turned_off() throws {
    let outcome = try run(
      "phase grid (3) { %0 = load y[t0] : f32[2] store y[1 + t0], %0 }", sanitize: false)
    #expect(outcome.findings.isEmpty)
  }

  @Test func index_arithmetic_that_overflows_is_found() throws {
    let outcome = try run(
      """
      phase grid (2) {
        %0 = pid 0
        %1 = %0 + 9223372036854775807
        %2 = 7 / %0
        %3 = load x[%2 + t0?] : f32[2]
      }
      """)
    #expect(kinds(outcome) == [.indexOverflow, .indexOverflow])
    #expect(outcome.findings.map(\.instance) == [0, 1])
  }

  @Test func wrong_kernels_never_touch_memory_that_is_not_theirs() throws {
    var random = SplitMix(state: 7)
    // Small extents only: a mutation must not turn into hours.
    let texts = [SampleKernels.softmax(), SampleKernels.attention(), SampleKernels.everything()].map {
      Array($0.text.utf8)
    }
    var ran = 0
    for round in 0..<1500 {
      var bytes = texts[round % texts.count]
      let digits = bytes.indices.filter { UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[$0] }
      for _ in 0...random.below(3) { bytes[digits[random.below(digits.count)]] = UInt8(48 + random.below(10)) }
      guard let kernel = try? Kernel(text: String(decoding: bytes, as: UTF8.self)) else { continue }
      let launched = kernel.buffers.filter { $0.role != .scratch }
      // Guard bytes around each buffer; extents say 3 where memory holds 2 rows.
      let memory = launched.map { _ in
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 + 40 + 64, alignment: 64)
        for i in bytes.indices { bytes[i] = 0xa5 }
        return bytes
      }
      defer { for bytes in memory { bytes.deallocate() } }
      let given = memory.map { UnsafeMutableRawBufferPointer(rebasing: $0[64..<104]) }
      let outcome = try? TileInterpreter(kernel).run(
        buffers: given, arguments: kernel.arguments.map { _ in 3 }, sanitize: round % 2 == 0)
      ran += outcome == nil ? 0 : 1
      for bytes in memory { #expect((Array(bytes[..<64]) + Array(bytes[104...])).allSatisfy { $0 == 0xa5 }) }
    }
    #expect(ran > 100)
  }

  // MARK: Faults

  @Test(arguments: [true, false]) func an_index_outside_faults_and_gives_the_fill(_ sanitize: Bool) throws {
    let y = TestBuffer(.f32, count: 8)
    let outcome = try run(
      """
      phase grid (4) {
        %0 = pid 0
        %1 = %0 * 2
        %2 = load i[%1 + t0] : i64[2]
        %3 = load x[[%2]] fill -1.0 : f32[2]
        store y[%1 + t0], %3
      }
      """, y: y, indices: [0, 1, 7, -1, 8, 2, 3, 99], sanitize: sanitize)
    #expect(outcome.fault == .init(kind: .index, phase: 0, instance: 1, index: -1, extent: 8))
    #expect(y.values == [0, 1, 7, -1, -1, 2, 3, -1] && outcome.findings.isEmpty)
  }

  @Test func an_index_outside_stores_nothing() throws {
    let y = TestBuffer(.f32, count: 8)
    let outcome = try run(
      "phase grid (1) { %0 = load x[t0] : f32[N] %1 = load i[t0] : i64[N] store y[[%1]], %0 }", y: y,
      indices: [7, 6, 5, 4, 3, 2, 1, 8])
    #expect(outcome.fault == .init(kind: .index, phase: 0, instance: 0, index: 8, extent: 8))
    #expect(y.values == [0, 6, 5, 4, 3, 2, 1, 0])
  }

  @Test func an_index_in_a_masked_element_is_not_checked() throws {
    var b = KernelBuilder(name: "masked")
    let n = b.argument("N")
    let x = b.rowMajor("x", .f32, [n, n], .input)
    let y = b.rowMajor("y", .f32, [b.index(4)], .output)
    b.phase([]) { b, _ in
      let index = b.splat(ScalarConstant(.i64, integer: 1), [.constant(4)])
      let place = [AxisMap(b.index(0), indirect: index), b.at(nil, 0, guarded: true)]
      b.store(Access(y, [b.at(nil, 0)]), b.load(Access(x, place), [.constant(4)], fill: ScalarConstant(.f32, 9)))
    }
    let kernel = b.finish()
    let (two, one) = (TestBuffer(.f32, count: 4), TestBuffer(.f32, count: 4))
    try kernel.runClean([TestBuffer([1, 2, 3, 4]), two], [2])
    #expect(two.values == [3, 4, 9, 9])
    // Row 1 is outside in the one element whose column is inside.
    #expect(try kernel.run([TestBuffer([1]), one], [1]).fault?.extent == 1)
    #expect(try kernel.run([TestBuffer([]), one], [0]).fault == nil)
  }

  @Test func the_first_fault_is_kept() throws {
    let outcome = try run(
      """
      phase grid (2) {
        %0 = pid 0
        %1 = coordinates %0 : i64[]
        %2 = splat 5 : i64[]
        %3 = divide %2, %1 : i64[]
      }
      phase grid (1) { %0 = splat 100 : i64[] %1 = load x[[%0]] : f32[] }
      """)
    #expect(outcome.fault == .init(kind: .division, phase: 0, instance: 0, index: 0, extent: 0))
  }
}

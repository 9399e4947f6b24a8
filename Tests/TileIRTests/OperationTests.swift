// What each operation computes, on odd and empty extents, special values and every dtype.
import Basics
import Scalars
import TensorTypes
import Testing
import TileIR

@Suite struct OperationTests {
  // MARK: Elements

  @Test(arguments: ScalarInstruction.allCases, DType.allCases)
  func map_is_the_reference_on_every_dtype(_ instruction: ScalarInstruction, _ dtype: DType) throws {
    let isSelect = instruction == .select
    let operands = (0..<instruction.operandCount).map { isSelect && $0 == 0 ? DType.bool : dtype }
    guard let result = instruction.resultDType(operands) else { return }
    let samples: [Double] =
      dtype.isFloating
      ? [0, -0.0, 1, -1.5, 2.5, 65504, .infinity, -.infinity, .nan, 1e-7, 3]
      : [0, 1, 2, -3, 7, 127, -128, 64, 5, 255, 1]
    let inputs = operands.enumerated().map { i, dtype in
      let values = samples.indices.map { samples[($0 + 3 * i) % samples.count] }
      return (TestBuffer(values, dtype), [samples.count])
    }
    let (outcome, y) = try computeAnyway(inputs, result, [samples.count]) { b, x in b.map(instruction, x) }
    #expect(outcome.findings.isEmpty)
    var divisions = 0
    for i in samples.indices {
      let expected = ScalarReference.evaluate(instruction, dtype, inputs.map { $0.0.value(i) })
      if expected == nil { divisions += 1 }
      let actual = y.value(i)
      if case .float(let x)? = expected, x.isNaN {
        #expect(actual.doubleValue.isNaN)
      } else {
        #expect(actual == expected ?? .integer(0), "element \(i)")
      }
    }
    #expect((outcome.fault?.kind == .division) == (divisions > 0))
  }

  @Test(arguments: DType.allCases, DType.allCases) func convert_is_the_reference(_ from: DType, _ to: DType) throws {
    let samples: [Double] = from.isFloating ? [0, -1.5, 300, .infinity, .nan, -1e10, 1e-3] : [0, 1, -1, 200, 70000]
    let x = TestBuffer(samples, from)
    let y = try compute([(x, [samples.count])], to, [samples.count]) { b, x in b.convert(x[0], to: to) }
    for i in samples.indices {
      let expected = from == to ? x.value(i) : ScalarReference.convert(x.value(i), from: from, to: to)
      #expect(ScalarReference.bits(of: y.value(i), to) == ScalarReference.bits(of: expected, to))
    }
  }

  @Test func bitcast_keeps_the_bits() throws {
    let x = TestBuffer([1, -2, 0.1])
    let y = try compute([(x, [3])], .i32, [3]) { b, x in b.bitcast(x[0], to: .i32) }
    #expect(y.integers == [1, -2, 0.1].map { Int(Int32(bitPattern: Float($0).bitPattern)) })
    let half = TestBuffer([1, -2], .f16)
    let bits = try compute([(half, [2])], .i16, [2]) { b, x in b.bitcast(x[0], to: .i16) }
    #expect(bits.integers == [0x3c00, Int(Int16(bitPattern: 0xc000))])
  }

  @Test(arguments: DType.allCases) func splat_and_its_argument_are_elements_of_the_dtype(_ dtype: DType) throws {
    var b = KernelBuilder(name: "splats")
    _ = b.argument("scale")
    let y = b.rowMajor("y", dtype, [b.index(2)], .output)
    b.phase([]) { b, _ in
      let one: [Extent] = [.constant(1)]
      b.store(Access(y, [b.at(nil, 0)]), b.splat(ScalarConstant(dtype, 1.1), one))
      b.store(Access(y, [b.at(b.index(1), 0)]), b.splatArgument(0, dtype, one))
    }
    let memory = TestBuffer(dtype, count: 2)
    let value = ScalarConstant(dtype, 1.1).value
    let bits = Int(bitPattern: UInt(ScalarReference.bits(of: value, dtype)))
    // Bits above the element are ignored.
    let dirty = dtype.size == 8 ? bits : bits | 1 << (8 * dtype.size + 3)
    try b.finish().runClean([memory], [dirty])
    #expect(memory.value(0) == value && memory.value(1) == value)
  }

  @Test func coordinates_count_along_their_axis() throws {
    let y = try compute([], .i64, [2, 3], isFixed: true) { b, _ in
      let shape: [Extent] = [.constant(2), .constant(3)]
      let rows = b.coordinates(start: b.index(10), axis: 0, scale: 100, shape)
      let columns = b.coordinates(start: b.index(5), axis: 1, scale: -1, shape)
      let all = b.coordinates(start: b.index(1000), axis: nil, shape)
      return b.map(.add, [all, b.map(.add, [rows, columns])])
    }
    #expect(y.integers == [1015, 1014, 1013, 1115, 1114, 1113])
  }

  // MARK: Shape

  @Test func broadcast_repeats_axes_of_one() throws {
    let x = TestBuffer([1, 2, 3])
    let y = try compute([(x, [3, 1])], .f32, [3, 2], isFixed: true) { b, x in
      b.broadcast(x[0], [.constant(3), .constant(2)])
    }
    #expect(y.values == [1, 1, 2, 2, 3, 3])
    #expect(throws: Diagnostic.self) {
      _ = try compute([(x, [3, 1])], .f32, [2, 2], isFixed: true) { b, x in
        b.broadcast(x[0], [.constant(2), .constant(2)])
      }
    }
  }

  @Test func transpose_moves_axis_p_of_i_to_i() throws {
    let x = TestBuffer((0..<24).map(Double.init))
    let y = try compute([(x, [2, 3, 4])], .f32, [4, 2, 3]) { b, x in b.transpose(x[0], [2, 0, 1]) }
    var expected: [Double] = []
    for c in 0..<4 { for a in 0..<2 { for b in 0..<3 { expected.append(Double(a * 12 + b * 4 + c)) } } }
    #expect(y.values == expected)
  }

  // MARK: Across elements

  @Test(arguments: [Monoid.sum, .product, .minimum, .maximum], [[0], [1], [2], [0, 2], [0, 1, 2], [2, 1], []])
  func reduce_keeps_reduced_axes_as_one(_ monoid: Monoid, _ axes: [Int]) throws {
    let shape = [2, 3, 5]
    var random = SplitMix(state: 8)
    let x = TestBuffer(integers: (0..<30).map { _ in random.below(9) - 4 })
    let kept = shape.indices.map { axes.contains($0) ? 1 : shape[$0] }
    let y = try compute([(x, shape)], .i64, kept) { b, x in b.reduce(monoid, axes, x[0]) }
    var expected = Array(repeating: Int(monoid.identity(.i64).integerValue), count: kept.reduce(1, *))
    for i in 0..<30 {
      let at = [i / 15, i / 5 % 3, i % 5].enumerated().map { axes.contains($0) ? 0 : $1 }
      let cell = (at[0] * kept[1] + at[1]) * kept[2] + at[2]
      let (a, b) = (expected[cell], x.integers[i])
      switch monoid {
      case .sum: expected[cell] = a + b
      case .product: expected[cell] = a * b
      case .minimum: expected[cell] = min(a, b)
      case .maximum: expected[cell] = max(a, b)
      case .and, .or, .logSumExp: break
      }
    }
    #expect(y.integers == expected)
  }

  @Test(arguments: DType.allCases, Monoid.allCases) func reduce_of_an_empty_axis_is_the_identity(
    _ dtype: DType, _ monoid: Monoid
  ) throws {
    guard monoid.isDefined(on: dtype) else { return }
    let x = TestBuffer(dtype, count: 0)
    let y = try compute([(x, [3, 0])], dtype, [3, 1]) { b, x in b.reduce(monoid, [1], x[0]) }
    for i in 0..<3 { #expect(y.value(i) == monoid.identity(dtype).value) }
  }

  @Test func maximum_of_a_row_with_nan_is_nan() throws {
    let x = TestBuffer([1, .nan, 3, 4])
    let y = try compute([(x, [2, 2])], .f32, [2, 1]) { b, x in b.reduce(.maximum, [1], x[0]) }
    #expect(y[0].isNaN && y[1] == 4)
  }

  @Test func and_or_of_bool() throws {
    let x = TestBuffer(integers: [1, 1, 1, 0], .bool)
    let all = try compute([(x, [2, 2])], .bool, [2, 1]) { b, x in b.reduce(.and, [1], x[0]) }
    let any = try compute([(x, [2, 2])], .bool, [1, 2]) { b, x in b.reduce(.or, [0], x[0]) }
    #expect(all.integers == [1, 0] && any.integers == [1, 1])
  }

  @Test func integer_sums_wrap() throws {
    let x = TestBuffer(integers: [100, 100], .i8)
    let y = try compute([(x, [2])], .i8, [1]) { b, x in b.reduce(.sum, [0], x[0]) }
    #expect(y.integers == [-56])
  }

  @Test func long_float_sums_keep_their_accuracy() throws {
    let x = TestBuffer(Array(repeating: Double(Float(0.1)), count: 100_000))
    let y = try compute([(x, [100_000])], .f32, [1]) { b, x in b.reduce(.sum, [0], x[0]) }
    // Pairwise: log2(n) roundings, where a plain loop would be off by about 1.
    #expect(abs(y[0] - Double(Float(0.1)) * 100_000) < 0.01)
  }

  @Test func positions_are_of_the_first_winner_and_nan_wins() throws {
    let x = TestBuffer([3, 7, 7, 1, 2, .nan, 9, .nan, 5, 5, 5, 5])
    let largest = try compute([(x, [3, 4])], .i64, [3, 1]) { b, x in b.argReduce(.maximum, 1, x[0]) }
    let smallest = try compute([(x, [3, 4])], .i64, [3, 1]) { b, x in b.argReduce(.minimum, 1, x[0]) }
    #expect(largest.integers == [1, 1, 0] && smallest.integers == [3, 1, 0])
    let columns = try compute([(x, [3, 4])], .i64, [1, 4]) { b, x in b.argReduce(.maximum, 0, x[0]) }
    #expect(columns.integers == [2, 1, 1, 1])
    let integers = TestBuffer(integers: [.min, .max, 0])
    let best = try compute([(integers, [3])], .i64, [1]) { b, x in b.argReduce(.minimum, 0, x[0]) }
    #expect(best.integers == [0])
  }

  @Test func scans_are_inclusive_and_ascending() throws {
    let x = TestBuffer([1, 2, 3, 4, 5, 6])
    let rows = try compute([(x, [2, 3])], .f32, [2, 3]) { b, x in b.scan(.sum, 1, x[0]) }
    #expect(rows.values == [1, 3, 6, 4, 9, 15])
    let columns = try compute([(x, [2, 3])], .f32, [2, 3]) { b, x in b.scan(.product, 0, x[0]) }
    #expect(columns.values == [1, 2, 3, 4, 10, 18])
    let empty = try compute([(TestBuffer([]), [0, 3])], .f32, [0, 3]) { b, x in b.scan(.sum, 0, x[0]) }
    #expect(empty.values.isEmpty)
  }

  @Test func running_positions_are_of_the_last_among_equals() throws {
    let x = TestBuffer([2, 5, 5, 1, 5, .nan, 9, .nan])
    let y = try compute([(x, [8])], .i64, [8]) { b, x in b.argScan(.maximum, 0, x[0]) }
    #expect(y.integers == [0, 1, 2, 2, 4, 5, 5, 7])
    let z = try compute([(TestBuffer([2, 2, 3, 1]), [4])], .i64, [4]) { b, x in b.argScan(.minimum, 0, x[0]) }
    #expect(z.integers == [0, 1, 1, 3])
  }

  @Test func sort_order_is_stable_with_nan_largest() throws {
    let x = TestBuffer([3, .nan, 1, 3, -.infinity, .nan, 1])
    let up = try compute([(x, [7])], .i64, [7]) { b, x in b.sortOrder(0, descending: false, x[0]) }
    let down = try compute([(x, [7])], .i64, [7]) { b, x in b.sortOrder(0, descending: true, x[0]) }
    #expect(up.integers == [4, 2, 6, 0, 3, 1, 5])
    #expect(down.integers == [1, 5, 0, 3, 2, 6, 4])
    let columns = TestBuffer(integers: [3, 1, 2, 2], .i32)
    let y = try compute([(columns, [2, 2])], .i64, [2, 2]) { b, x in b.sortOrder(0, descending: false, x[0]) }
    #expect(y.integers == [1, 0, 0, 1])
  }

  @Test(arguments: [(2, 3, 5), (1, 1, 1), (3, 4, 0)]) func dot_adds_the_product(_ m: Int, _ n: Int, _ k: Int) throws {
    var random = SplitMix(state: 9)
    let a = TestBuffer(integers: (0..<m * k).map { _ in random.below(200) }, .u8)
    let b = TestBuffer(integers: (0..<k * n).map { _ in random.below(200) - 100 }, .i8)
    let c = TestBuffer(integers: (0..<m * n).map { _ in random.below(200) }, .i32)
    var builder = KernelBuilder(name: "dot")
    let extents = [builder.argument("m"), builder.argument("n"), builder.argument("k")]
    let buffers = [
      builder.rowMajor("a", .u8, [extents[0], extents[2]], .input),
      builder.rowMajor("b", .i8, [extents[2], extents[1]], .input),
      builder.rowMajor("c", .i32, [extents[0], extents[1]], .output),
    ]
    builder.phase([]) { b, _ in
      let axes = [b.at(nil, 0), b.at(nil, 1)]
      let shapes = [(0, 2), (2, 1), (0, 1)].map { [Extent.value(extents[$0]), .value(extents[$1])] }
      let left = b.load(Access(buffers[0], axes), shapes[0])
      let right = b.load(Access(buffers[1], axes), shapes[1])
      let start = b.splat(ScalarConstant(.i32, integer: 1000), shapes[2])
      b.store(Access(buffers[2], axes), b.dot(start, left, right))
    }
    try builder.finish().runClean([a, b, c], [m, n, k])
    for i in 0..<m {
      for j in 0..<n {
        let sum = (0..<k).reduce(1000) { $0 + a.integers[i * k + $1] * b.integers[$1 * n + j] }
        #expect(c.integers[i * n + j] == sum)
      }
    }
  }

  @Test func dot_of_halves_rounds_to_the_accumulator() throws {
    let a = TestBuffer([2048, 1], .f16)
    let b = TestBuffer([1, 1], .f16)
    for (dtype, sum) in [(DType.f16, 2048.0), (.f32, 2049.0)] {
      let y = try compute([(a, [1, 2]), (b, [2, 1])], dtype, [1, 1]) { b, x in
        b.dot(b.full(0, [.constant(1), .constant(1)], dtype), x[0], x[1])
      }
      #expect(y.values == [sum])
    }
  }

  // MARK: Loops

  @Test(arguments: [0, 1, 5, -3]) func loops_carry_tiles_in_parallel(_ trips: Int) throws {
    var b = KernelBuilder(name: "fibonacci")
    let n = b.argument("n")
    let y = b.rowMajor("y", .f32, [b.index(2)], .output)
    b.phase([]) { b, _ in
      let one: [Extent] = [.constant(1)]
      let last = b.loop(n, [b.full(1, one), b.full(2, one)]) { b, i, c in
        [c[1], b.map(.add, [c[0], c[1]])]
      }
      b.store(Access(y, [b.at(nil, 0)]), last[0])
      b.store(Access(y, [b.at(b.index(1), 0)]), last[1])
    }
    let memory = TestBuffer(.f32, count: 2)
    try b.finish().runClean([memory], [trips])
    var (p, q) = (1.0, 2.0)
    for _ in 0..<max(0, trips) { (p, q) = (q, p + q) }
    #expect(memory.values == [p, q])
  }

  @Test func counters_of_nested_loops_are_index_values() throws {
    var b = KernelBuilder(name: "nested")
    let y = b.rowMajor("y", .i64, [b.index(3), b.index(4)], .output)
    b.phase([]) { b, _ in
      _ = b.loop(b.index(3), []) { b, i, _ in
        _ = b.loop(b.index(4), []) { b, j, _ in
          let sum = b.index(.add, b.index(.multiply, i, 10), j)
          b.store(
            Access(y, [b.at(i, 0), b.at(j, 1)]), b.coordinates(start: sum, axis: nil, [.constant(1), .constant(1)]))
          return []
        }
        return []
      }
    }
    let memory = TestBuffer(.i64, count: 12)
    try b.finish().runClean([memory])
    #expect(memory.integers == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23])
  }

  // MARK: Memory

  @Test(arguments: DType.allCases) func load_and_store_keep_elements_of_every_dtype(_ dtype: DType) throws {
    let values: [Double] =
      dtype.isFloating ? [-0.0, 1.5, .infinity, -2] : dtype == .bool ? [0, 1, 1, 0] : [0, 1, 255, -1]
    let x = TestBuffer(values, dtype)
    let y = try compute([(x, [4])], dtype, [4]) { _, x in x[0] }
    #expect(Array(y.memory) == Array(x.memory))
  }

  @Test func guards_give_the_fill_and_scales_walk() throws {
    var b = KernelBuilder(name: "windows")
    let n = b.argument("N")
    let x = b.rowMajor("x", .f32, [n], .input)
    let y = b.rowMajor("y", .f32, [b.index(3), b.index(2)], .output)
    b.phase([]) { b, _ in
      // Windows of 2 with step 3 from -1, as a padded convolution reads them.
      let map = AxisMap(b.index(-1), tileAxis: 0, scale: 3, guarded: true)
      let left = b.load(Access(x, [map]), [.constant(3), .constant(1)], fill: ScalarConstant(.f32, 99))
      let next = AxisMap(b.index(0), tileAxis: 0, scale: 3, guarded: true)
      let right = b.load(Access(x, [next]), [.constant(3), .constant(1)], fill: ScalarConstant(.f32, -99))
      b.store(Access(y, [b.at(nil, 0), b.at(nil, 1)]), left)
      b.store(Access(y, [b.at(nil, 0), b.at(b.index(1), 1)]), right)
    }
    let memory = TestBuffer(.f32, count: 6)
    try b.finish().runClean([TestBuffer([1, 2, 3, 4, 5]), memory], [5])
    // Left elements at -1, 2, 5, right ones at 0, 3, 6.
    #expect(memory.values == [99, 1, 3, 4, 99, -99])
  }

  @Test func a_tile_axis_may_walk_two_buffer_axes() throws {
    var b = KernelBuilder(name: "diagonal")
    let n = b.argument("N")
    let x = b.rowMajor("x", .f32, [n, n], .input)
    let y = b.rowMajor("y", .f32, [n], .output)
    b.phase([]) { b, _ in
      b.store(Access(y, [b.at(nil, 0)]), b.load(Access(x, [b.at(nil, 0), b.at(nil, 0)]), [.value(n)]))
    }
    let memory = TestBuffer(.f32, count: 3)
    try b.finish().runClean([TestBuffer((0..<9).map(Double.init)), memory], [3])
    #expect(memory.values == [0, 4, 8])
  }

  @Test func strides_of_zero_repeat_and_negative_strides_reverse() throws {
    var b = KernelBuilder(name: "strides")
    let n = b.argument("N")
    let x = b.buffer("x", .f32, [n, n], strides: [b.index(0), b.index(-1)], role: .input)
    let y = b.rowMajor("y", .f32, [n, n], .output)
    b.phase([]) { b, _ in
      let all = [b.at(nil, 0), b.at(nil, 1)]
      b.store(Access(y, all), b.load(Access(x, all), [.value(n), .value(n)]))
    }
    let (x1, y1) = (TestBuffer([1, 2]), TestBuffer(.f32, count: 4))
    let outcome = try TileInterpreter(b.finish()).run(
      buffers: [x1.memory, y1.memory], origins: [4, 0], arguments: [2])
    #expect(outcome.findings.isEmpty && y1.values == [2, 1, 2, 1])
  }

  @Test func indirect_coordinates_gather_and_scatter() throws {
    var b = KernelBuilder(name: "gather")
    let n = b.argument("N")
    let x = b.rowMajor("x", .f32, [n, b.index(2)], .input)
    let i = b.rowMajor("i", .i64, [b.index(3)], .input)
    let y = b.rowMajor("y", .f32, [b.index(3), b.index(2)], .output)
    let z = b.rowMajor("z", .f32, [n], .output)
    b.phase([]) { b, _ in
      let index = b.load(Access(i, [b.at(nil, 0)]), [.constant(3), .constant(1)])
      let rows = b.load(
        Access(x, [AxisMap(b.index(0), indirect: index), b.at(nil, 1)]), [.constant(3), .constant(2)])
      b.store(Access(y, [b.at(nil, 0), b.at(nil, 1)]), rows)
      b.store(Access(z, [b.at(nil, 0)]), b.full(0, [.value(n)]))
      b.store(
        Access(z, [AxisMap(b.index(0), indirect: index)]), b.full(1, [.constant(3), .constant(1)]),
        .accumulate(.sum))
    }
    let (y1, z1) = (TestBuffer(.f32, count: 6), TestBuffer(.f32, count: 3))
    try b.finish().runClean([TestBuffer([0, 1, 10, 11, 20, 21]), TestBuffer(integers: [2, 0, 2]), y1, z1], [3])
    #expect(y1.values == [20, 21, 0, 1, 20, 21] && z1.values == [1, 0, 2])
  }

  @Test func packed_bytes_are_read_as_other_dtypes_at_any_address() throws {
    var b = KernelBuilder(name: "headers")
    let u = b.rowMajor("u", .u8, [b.index(2), b.index(5)], .input)
    let y = b.rowMajor("y", .f16, [b.index(2)], .output)
    b.phase([]) { b, _ in
      let place = [b.at(nil, 0), b.at(b.index(1))]
      b.store(Access(y, [b.at(nil, 0)]), b.load(Access(u, place, reinterpreted: .f16), [.constant(2)]))
    }
    let y1 = TestBuffer(.f16, count: 2)
    try b.finish().runClean([TestBuffer(integers: [9, 0, 0x3c, 9, 9, 9, 0, 0xc0, 9, 9], .u8), y1])
    #expect(y1.values == [1, -2])
  }

  @Test func scratch_layouts_hold_what_is_stored() throws {
    for layout in [BufferLayout.rowMajor(pad: 3), .panels(width: 4, pad: 1), .panels(width: 16, pad: 0)] {
      var b = KernelBuilder(name: "scratch")
      let n = b.argument("N")
      let shape = [b.index(2), b.index(3), n]
      let x = b.rowMajor("x", .i32, shape, .input)
      let y = b.rowMajor("y", .i32, shape, .output)
      let s = b.scratch("s", .i32, shape, layout)
      let extents: [Extent] = [.constant(2), .constant(3), .value(n)]
      let all = [b.at(nil, 0), b.at(nil, 1), b.at(nil, 2)]
      b.phase([]) { b, _ in b.store(Access(s, all), b.load(Access(x, all), extents)) }
      b.phase([]) { b, _ in b.store(Access(y, all), b.load(Access(s, all), extents)) }
      let y1 = TestBuffer(.i32, count: 54)
      try b.finish().runClean([TestBuffer(integers: Array(1...54), .i32), y1], [9])
      #expect(y1.integers == Array(1...54), "\(layout)")
    }
  }

  @Test func launches_that_do_not_fit_are_errors() throws {
    let kernel = SampleKernels.softmax()
    let x = TestBuffer([1])
    #expect(throws: Diagnostic.self) { try kernel.run([x], [1, 1]) }
    #expect(throws: Diagnostic.self) { try kernel.run([x, x], [1]) }
    #expect(throws: Diagnostic.self) { try kernel.run([x, x], [.max, .max]) }
    #expect(throws: Diagnostic.self) { try kernel.run([x, x], [1, 1 << 40]) }
    #expect(throws: Diagnostic.self) { try SampleKernels.matmul().run([x, x, x, x], [.max, .max, .max]) }
  }
}

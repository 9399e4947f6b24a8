// Gathers, scatters, guards, odd strides, panels, and the faults they raise.
import CodegenLLVM
import Scalars
import Targets
import TensorTypes
import Testing
import TileIR

/// y[i, :] = table[index[i], :]
private func gatherRows() -> Kernel {
  var b = KernelBuilder(name: "gather_rows")
  let (n, d, v) = (b.argument("n"), b.argument("d"), b.argument("v"))
  let ids = b.contiguous("ids", .i64, [n], role: .input)
  let table = b.contiguous("table", .f32, [v, d], role: .input)
  let y = b.contiguous("y", .f32, [n, d], role: .output)
  b.phase([n]) { b, id in
    let zero = b.index(0)
    let index = b.load(Access(ids, [AxisMap(id[0])]), [.constant(1), .constant(1)])
    let row = b.load(
      Access(table, [AxisMap(zero, indirect: index), AxisMap(zero, tileAxis: 1)]), [.constant(1), .value(d)])
    b.store(Access(y, [AxisMap(id[0]), AxisMap(zero, tileAxis: 1)]), row)
  }
  return b.finish()
}

@Test func gathered_rows_and_the_fault_of_a_bad_index() throws {
  var numbers = Numbers()
  for d in [1, 7, 33] {
    let table = Elements.random(.f32, 5 * d, &numbers)
    try expectAgreement(
      gatherRows(), [Elements(.i64, [4, 0, 2, 2]), table, Elements(.f32, count: 4 * d)], [4, d, 5])
    for bad in [5.0, -1, 1e9] {
      try expectAgreement(
        gatherRows(), [Elements(.i64, [4, bad, 2, 2]), table, Elements(.f32, count: 4 * d)], [4, d, 5])
    }
  }
}

@Test func gathered_elements_along_the_lanes() throws {
  var b = KernelBuilder(name: "gather_elements")
  let (n, v) = (b.argument("n"), b.argument("v"))
  let ids = b.contiguous("ids", .i64, [n], role: .input)
  let table = b.contiguous("table", .f32, [v], role: .input)
  let y = b.contiguous("y", .f32, [n], role: .output)
  let blocks = b.index(.ceilDivide, n, 16)
  b.phase([blocks]) { b, id in
    let zero = b.index(0)
    let start = b.index(.multiply, id[0], 16)
    let at = [AxisMap(start, tileAxis: 0, guarded: true)]
    let index = b.load(Access(ids, at), [.constant(16)])
    let value = b.load(Access(table, [AxisMap(zero, indirect: index)]), [.constant(16)], fill: ScalarConstant(.f32, 9))
    b.store(Access(y, at), value)
  }
  let kernel = b.finish()
  var numbers = Numbers()
  let values = Elements.random(.f32, 40, &numbers)
  for n in [1, 16, 21] {
    let ids = Elements(.i64, (0..<n).map { _ in Double(numbers.below(40)) })
    try expectAgreement(kernel, [ids, values, Elements(.f32, count: n)], [n, 40])
  }
  try expectAgreement(
    kernel, [Elements(.i64, [3, 40, 41]), values, Elements(.f32, count: 3)], [3, 40])
}

@Test(arguments: [Monoid.sum, .maximum])
func scattered_elements_combine_in_order(_ monoid: Monoid) throws {
  var b = KernelBuilder(name: "scatter")
  let (n, v) = (b.argument("n"), b.argument("v"))
  let ids = b.contiguous("ids", .i64, [n], role: .input)
  let x = b.contiguous("x", .f32, [n], role: .input)
  let y = b.contiguous("y", .f32, [v], role: .output)
  let one = b.index(1)
  b.phase([one]) { b, _ in
    let zero = b.index(0)
    let index = b.load(Access(ids, [AxisMap(zero, tileAxis: 0)]), [.value(n)])
    let value = b.load(Access(x, [AxisMap(zero, tileAxis: 0)]), [.value(n)])
    let zeros = b.splat(ScalarConstant(.f32, 0), [.value(v)])
    b.store(Access(y, [AxisMap(zero, tileAxis: 0)]), zeros)
    b.store(Access(y, [AxisMap(zero, indirect: index)]), value, .accumulate(monoid))
  }
  let kernel = b.finish()
  var numbers = Numbers()
  for n in [0, 1, 50] {
    let ids = Elements(.i64, (0..<n).map { _ in Double(numbers.below(7)) })
    try expectAgreement(kernel, [ids, Elements.random(.f32, n, &numbers), Elements(.f32, count: 7)], [n, 7])
  }
  try expectAgreement(
    kernel, [Elements(.i64, [3, 7]), Elements.random(.f32, 2, &numbers), Elements(.f32, count: 7)], [2, 7])
}

@Test func division_by_zero_is_a_fault_and_gives_zero() throws {
  var numbers = Numbers()
  for instruction in [ScalarInstruction.divide, .remainder] {
    let made = wholeTile("divide", [21], [.i32, .i32]) { b, x in [b.map(instruction, x)] }
    var divisors = (0..<21).map { _ in Double(1 + numbers.below(5)) }
    let x = Elements.random(.i32, 21, &numbers)
    try expectAgreement(made.kernel, [x, Elements(.i32, divisors), Elements(.i32, count: 21)])
    divisors[19] = 0
    try expectAgreement(made.kernel, [x, Elements(.i32, divisors), Elements(.i32, count: 21)])
  }
}

/// Windows with padding on both sides: guards that start below zero and are not the store's.
@Test(arguments: [DType.f32, .u8, .bf16, .f64])
func padded_windows(_ dtype: DType) throws {
  for (scale, columns) in [(1, 70), (2, 33), (1, 5)] {
    var b = KernelBuilder(name: "window_\(dtype)")
    let (m, n) = (b.argument("m"), b.argument("n"))
    let x = b.contiguous("x", dtype, [m, n], role: .input)
    let rows = b.index(4)
    let width = b.index(columns)
    let y = b.contiguous("y", dtype, [rows, width], role: .output)
    let one = b.index(1)
    b.phase([one]) { b, _ in
      let (zero, two, one) = (b.index(0), b.index(-2), b.index(-1))
      let shape: [Extent] = [.constant(4), .constant(columns)]
      var sum: TileValue?
      for start in [two, one, zero] {
        let part = b.load(
          Access(
            x,
            [AxisMap(start, tileAxis: 0, guarded: true), AxisMap(start, tileAxis: 1, scale: scale, guarded: true)]),
          shape, fill: ScalarConstant(dtype, 1))
        sum = sum.map { b.map(.maximum, [$0, part]) } ?? part
      }
      let access = b.whole(y, rank: 2)
      if let sum { b.store(access, sum) }
    }
    let kernel = b.finish()
    var numbers = Numbers()
    for (m, n) in [(3, 64), (1, 3), (4, 200)] {
      try expectAgreement(
        kernel, [Elements.random(dtype, m * n, &numbers), Elements(dtype, count: 4 * columns)], [m, n])
    }
  }
}

@Test func strides_that_are_reversed_repeated_or_unknown() throws {
  var b = KernelBuilder(name: "strides")
  let (n, stride) = (b.argument("n"), b.argument("stride"))
  let (reverse, repeated) = (b.index(-1), b.index(0))
  let x = b.buffer("x", .f32, [n], strides: [stride], role: .input)
  let r = b.buffer("r", .f32, [n], strides: [reverse], role: .input)
  let s = b.buffer("s", .f32, [n], strides: [repeated], role: .input)
  let y = b.contiguous("y", .f32, [n], role: .output)
  let one = b.index(1)
  b.phase([one]) { b, _ in
    let zero = b.index(0)
    let at = [AxisMap(zero, tileAxis: 0)]
    let shape: [Extent] = [.value(n)]
    let v = b.load(Access(x, at), shape)
    let w = b.map(.add, [b.load(Access(r, at), shape), b.load(Access(s, at), shape)])
    b.store(Access(y, at), b.map(.multiply, [v, w]))
  }
  let kernel = b.finish()
  let count = 37
  var numbers = Numbers()
  let forward = numbers.floats(3 * count)
  let backward = numbers.floats(count)
  let expected = (0..<count).map { i -> Float in
    let sum = backward[count - 1 - i] + Float(0.5)
    return forward[3 * i] * sum
  }
  for target in runnableTargets {
    let loaded = try LoadedKernel(kernel, target)
    let output = TestBuffer([Float](repeating: 0, count: count))
    let buffers = [TestBuffer(forward), TestBuffer(backward), TestBuffer([Float(0.5)]), output]
    // The reversed view starts at the last element.
    try loaded.run(buffers, [count, 3], origins: [0, 4 * (count - 1), 0, 0])
    #expect(output.array() == expected)
  }
}

@Test func panels_and_padded_rows_of_scratch() throws {
  for layout in [
    BufferLayout.panels(width: 32, pad: 0), .panels(width: 8, pad: 3), .rowMajor(pad: 5), .panels(width: 12, pad: 1),
  ] {
    var b = KernelBuilder(name: "scratch")
    let (m, n) = (b.argument("m"), b.argument("n"))
    let x = b.contiguous("x", .f32, [m, n], role: .input)
    let y = b.contiguous("y", .f32, [n, m], role: .output)
    let scratch = b.scratch("s", .f32, [m, n], layout)
    let grid = [b.index(.ceilDivide, n, 20), m]
    b.phase(grid) { b, id in
      let q = b.index(.multiply, id[0], 20)
      let shape: [Extent] = [.constant(1), .value(b.index(.minimum, b.index(.subtract, n, q), 20))]
      let at = [AxisMap(id[1], tileAxis: 0), AxisMap(q, tileAxis: 1)]
      b.store(Access(scratch, at), b.load(Access(x, at), shape))
    }
    let one = b.index(1)
    b.phase([one]) { b, _ in
      let zero = b.index(0)
      let v = b.load(
        Access(scratch, [AxisMap(zero, tileAxis: 1), AxisMap(zero, tileAxis: 0)]), [.value(n), .value(m)])
      let access = b.whole(y, rank: 2)
      b.store(access, v)
    }
    let kernel = b.finish()
    var numbers = Numbers()
    for (m, n) in [(1, 1), (3, 40), (5, 77), (33, 16)] {
      try expectAgreement(kernel, [Elements.random(.f32, m * n, &numbers), Elements(.f32, count: m * n)], [m, n])
    }
  }
}

@Test func updates_in_place_see_old_values() throws {
  // m and p are read and written: p -= m', m' = m / 2 + g.
  var b = KernelBuilder(name: "update")
  let n = b.argument("n")
  let g = b.contiguous("g", .f32, [n], role: .input)
  let m = b.contiguous("m", .f32, [n], role: .output)
  let p = b.contiguous("p", .f32, [n], role: .output)
  let blocks = b.index(.ceilDivide, n, 64)
  b.phase([blocks]) { b, id in
    let start = b.index(.multiply, id[0], 64)
    let at = [AxisMap(start, tileAxis: 0, guarded: true)]
    let shape: [Extent] = [.constant(64)]
    let old = b.load(Access(m, at), shape)
    let half = b.splat(ScalarConstant(.f32, 0.5), shape)
    let next = b.map(.multiplyAdd, [old, half, b.load(Access(g, at), shape)])
    let weight = b.load(Access(p, at), shape)
    b.store(Access(m, at), next)
    b.store(Access(p, at), b.map(.subtract, [weight, b.map(.multiply, [next, old])]))
  }
  var numbers = Numbers()
  let n1 = 150
  var values: [Elements] = []
  for _ in 0..<3 { values.append(Elements.random(.f32, n1, &numbers)) }
  let x = values.map { v in (0..<n1).map { Float(v.value($0).doubleValue) } }
  let kernel = b.finish()
  for target in runnableTargets {
    let loaded = try LoadedKernel(kernel, target)
    let buffers = x.map { TestBuffer($0) }
    try loaded.run(buffers, [n1])
    let next = (0..<n1).map { x[0][$0] + x[1][$0] * 0.5 }
    #expect(buffers[1].array() == next)
    #expect(buffers[2].array() == (0..<n1).map { x[2][$0] - next[$0] * x[1][$0] })
  }
}

@Test func packed_headers_are_read_from_bytes() throws {
  var b = KernelBuilder(name: "header")
  let n = b.argument("n")
  let block = b.index(6)
  let x = b.contiguous("x", .u8, [n, block], role: .input)
  let y = b.contiguous("y", .f32, [n], role: .output)
  let one = b.index(1)
  b.phase([one]) { b, _ in
    let (zero, two) = (b.index(0), b.index(2))
    let shape: [Extent] = [.value(n)]
    let d = b.load(Access(x, [AxisMap(zero, tileAxis: 0), AxisMap(zero)], reinterpreted: .f16), shape)
    let s = b.load(Access(x, [AxisMap(zero, tileAxis: 0), AxisMap(two)], reinterpreted: .f32), shape)
    b.store(Access(y, [AxisMap(zero, tileAxis: 0)]), b.map(.multiply, [b.convert(d, to: .f32), s]))
  }
  var x8 = Elements(.u8, count: 0)
  for i in 0..<19 {
    x8.bytes += Elements(.f16, [Double(i) / 4]).bytes + Elements(.f32, [Double(i) * 3]).bytes
  }
  try expectAgreement(b.finish(), [x8, Elements(.f32, count: 19)], [19])
}

@Test(arguments: [DType.f32, .u8, .bf16, .f64])
func copies_that_exchange_axes(_ dtype: DType) throws {
  for padding in [0, 3] {
    var b = KernelBuilder(name: "exchange_\(dtype)")
    let (m, n) = (b.argument("m"), b.argument("n"))
    let one = b.index(1)
    let stride = b.index(.add, n, padding)
    let x = b.buffer("x", dtype, [m, n], strides: [stride, one], role: .input)
    let y = b.contiguous("y", dtype.isFloating ? .f32 : dtype, [n, m], role: .output)
    let grid = [b.index(.ceilDivide, n, 40), b.index(.ceilDivide, m, 48)]
    b.phase(grid) { b, id in
      let (n0, m0) = (b.index(.multiply, id[0], 40), b.index(.multiply, id[1], 48))
      let shape: [Extent] = [
        .value(b.index(.minimum, b.index(.subtract, n, n0), 40)),
        .value(b.index(.minimum, b.index(.subtract, m, m0), 48)),
      ]
      let v = b.load(Access(x, [AxisMap(m0, tileAxis: 1), AxisMap(n0, tileAxis: 0)]), shape)
      let w = b.map(.maximum, [v, b.splat(ScalarConstant(dtype, 0), shape)])
      b.store(
        Access(y, [AxisMap(n0, tileAxis: 0), AxisMap(m0, tileAxis: 1)]),
        b.convert(w, to: dtype.isFloating ? .f32 : dtype))
    }
    let kernel = b.finish()
    var numbers = Numbers()
    for (m, n) in [(1, 1), (16, 16), (5, 70), (70, 5), (33, 47), (100, 90)] {
      try expectAgreement(
        kernel,
        [
          Elements.random(dtype, m * (n + padding), &numbers), Elements(dtype.isFloating ? .f32 : dtype, count: m * n),
        ], [m, n])
    }
  }
}

@Test(arguments: [false, true], [false, true])
func products_of_transposed_operands(left: Bool, right: Bool) throws {
  var b = KernelBuilder(name: "transposed_product")
  let (m, n, k) = (b.argument("m"), b.argument("n"), b.argument("k"))
  let x = b.contiguous("x", .f32, left ? [k, m] : [m, k], role: .input)
  let w = b.contiguous("w", .bf16, right ? [n, k] : [k, n], role: .input)
  let y = b.contiguous("y", .f32, [m, n], role: .output)
  let grid = b.index(.ceilDivide, m, 30)
  b.phase([grid]) { b, id in
    let zero = b.index(0)
    let m0 = b.index(.multiply, id[0], 30)
    let rows = Extent.value(b.index(.minimum, b.index(.subtract, m, m0), 30))
    let (mMap, kMap) = (AxisMap(m0, tileAxis: 0), AxisMap(zero, tileAxis: 1))
    let a = b.load(Access(x, left ? [kMap, mMap] : [mMap, kMap]), [rows, .value(k)])
    let (kRow, nColumn) = (AxisMap(zero, tileAxis: 0), AxisMap(zero, tileAxis: 1))
    let c = b.load(Access(w, right ? [nColumn, kRow] : [kRow, nColumn]), [.value(k), .value(n)])
    let start = b.splat(ScalarConstant(.f32, 1), [rows, .value(n)])
    b.store(Access(y, [AxisMap(m0, tileAxis: 0), nColumn]), b.dot(start, a, c))
  }
  let kernel = b.finish()
  var numbers = Numbers()
  for (m, n, k) in [(1, 1, 1), (16, 32, 16), (35, 41, 50), (70, 19, 33)] {
    try expectAgreement(
      kernel,
      [
        Elements.random(.f32, m * k, &numbers, scale: 1), Elements.random(.bf16, k * n, &numbers, scale: 1),
        Elements(.f32, count: m * n),
      ], [m, n, k], tolerance: 1e-5)
  }
}

/// Rows of `width` columns put end to end into panels, then read back panel by panel.
@Test(arguments: runnableTargets)
func rows_that_end_in_the_next_panel_are_stored_whole(_ target: TargetDescription) throws {
  for (rows, width) in [(9, 7), (5, 13), (4, 33), (3, 100)] {
    var b = KernelBuilder(name: "panels")
    let (depth, total) = (3, rows * width)
    let x = b.contiguous("x", .f32, [b.index(depth), b.index(rows), b.index(width)], role: .input)
    let y = b.contiguous("y", .f32, [b.index(depth), b.index(total)], role: .output)
    let panels = b.scratch("panels", .f32, [b.index(depth), b.index(total)], .panels(width: 32, pad: 0))
    b.phase([b.index(rows)]) { b, id in
      let zero = b.index(0)
      let start = b.index(.multiply, id[0], width)
      let tile = b.load(
        Access(x, [AxisMap(zero, tileAxis: 0), AxisMap(id[0]), AxisMap(zero, tileAxis: 1)]),
        [.constant(depth), .constant(width)])
      b.store(Access(panels, [AxisMap(zero, tileAxis: 0), AxisMap(start, tileAxis: 1)]), tile)
    }
    b.phase([b.index(1)]) { b, _ in
      let zero = b.index(0)
      let at = [AxisMap(zero, tileAxis: 0), AxisMap(zero, tileAxis: 1)]
      b.store(Access(y, at), b.load(Access(panels, at), [.constant(depth), .constant(total)]))
    }
    let kernel = try LoadedKernel(b.finish(), target)
    var numbers = Numbers(7)
    let input = numbers.floats(depth * total)
    let output = TestBuffer([Float](repeating: 0, count: depth * total))
    try kernel.run([TestBuffer(input), output])
    #expect(output.array(of: Float.self) == input, "\(target.name) \(rows) rows of \(width)")
  }
}

// Every tile operation, compiled, against the interpreter.
import CodegenLLVM
import Scalars
import Targets
import TensorTypes
import Testing
import TileIR

private let shapes: [[Int]] = [[1], [5], [64], [67], [3, 37], [4, 64], [2, 3, 19], [17, 1], [5, 1, 3], [1, 200]]

@Test(arguments: DType.allCases)
func every_instruction_on_every_dtype(_ dtype: DType) throws {
  for instruction in ScalarInstruction.allCases {
    let operands: [DType] =
      instruction == .select ? [.bool, dtype, dtype] : [DType](repeating: dtype, count: instruction.operandCount)
    guard instruction.resultDType(operands) != nil else { continue }
    // A divisor is never zero here; faults have their own test.
    let divides = !dtype.isFloating && (instruction == .divide || instruction == .remainder)
    try expectWholeTile("\(instruction.rawValue)_\(dtype)", [37], operands, tolerance: 4e-6) { b, x in
      guard divides else { return [b.map(instruction, x)] }
      let one = b.splat(ScalarConstant(dtype, integer: 1), b.shape(x[1]))
      return [b.map(instruction, [x[0], b.map(.or, [x[1], one])])]
    }
  }
}

/// Quotients that are rounded up beyond 2^53, that overflow, and operands near the ends, with and without fused multiply-add.
@Test(arguments: [DType.f64, .f32])
func remainders_of_large_quotients(_ dtype: DType) throws {
  let (least, greatest) = (Double.leastNonzeroMagnitude, Double.greatestFiniteMagnitude)
  let dividends = [9_007_199_254_740_994, 0x1p63, 1e17, 1e22, 1e300, 3.5, 1e38, least * 9, 123_456_789, greatest]
  let divisors = [0.1, 0.001, 1e-5, 3, 7, 1e-300, 0x1.8p-1022, 0.3, 1e300, 1.2e307, 1e-40, least]
  let pairs = dividends.flatMap { a in divisors.flatMap { [(a, $0), (-a, $0)] } }
  let made = wholeTile("remainder_\(dtype)", [pairs.count], [dtype, dtype]) { b, x in [b.map(.remainder, x)] }
  try expectAgreement(
    made.kernel,
    [Elements(dtype, pairs.map(\.0)), Elements(dtype, pairs.map(\.1)), Elements(dtype, count: pairs.count)],
    tolerance: 0)
}

@Test(arguments: DType.allCases)
func every_conversion(_ from: DType) throws {
  for to in DType.allCases where to != from {
    try expectWholeTile("convert_\(from)_\(to)", [45], [from], scale: 300) { b, x in [b.convert(x[0], to: to)] }
    if from.size == to.size, from != .bool, to != .bool {
      try expectWholeTile("bitcast_\(from)_\(to)", [21], [from]) { b, x in [b.bitcast(x[0], to: to)] }
    }
  }
}

@Test(arguments: [false, true])
func reductions_over_any_axes(symbolic: Bool) throws {
  for shape in shapes + [[0], [3, 0], [0, 4]] {
    for axes in 1..<(1 << shape.count) {
      let reduced = shape.indices.filter { axes >> $0 & 1 == 1 }
      // Sums of up to 200 terms of magnitude 4 are split differently: errors are relative to the terms, not the sum.
      try expectWholeTile("sum", shape, [.f32], symbolic: symbolic, tolerance: 2e-5) { b, x in
        [b.reduce(.sum, reduced, x[0]), b.reduce(.maximum, reduced, x[0])]
      }
    }
  }
}

@Test(arguments: DType.allCases)
func monoids_on_every_dtype(_ dtype: DType) throws {
  for monoid in Monoid.allCases where monoid.isDefined(on: dtype) {
    // Half floats are combined in f32 here and rounded after every element there: only the order operations agree.
    if dtype == .f16 || dtype == .bf16, monoid.accumulates { continue }
    for (shape, axes) in [([5, 21], [1]), ([21, 5], [0]), ([21, 16], [0]), ([3, 33], [0, 1])] {
      try expectWholeTile(
        "\(monoid)_\(dtype)", shape, [dtype], scale: monoid == .product ? 1.1 : 0.5,
        tolerance: 1e-5
      ) { b, x in [b.reduce(monoid, axes, x[0])] }
      try expectWholeTile("scan_\(monoid)_\(dtype)", shape, [dtype], scale: 0.5, tolerance: 1e-5) { b, x in
        [b.scan(monoid, axes[0], x[0])]
      }
    }
  }
}

@Test(arguments: [DType.f32, .i32, .u8, .bf16, .i64, .bool, .f64])
func positions_and_sorting(_ dtype: DType) throws {
  for shape in [[1], [37], [5, 19], [19, 5], [2, 17, 3], [64, 16]] {
    for axis in shape.indices {
      try expectWholeTile("positions_\(dtype)", shape, [dtype]) { b, x in
        [
          b.argReduce(.maximum, axis, x[0]), b.argReduce(.minimum, axis, x[0]), b.argScan(.maximum, axis, x[0]),
          b.argScan(.minimum, axis, x[0]), b.sortOrder(axis, descending: false, x[0]),
          b.sortOrder(axis, descending: true, x[0]),
        ]
      }
    }
  }
}

@Test func transposes_and_broadcasts() throws {
  for shape in [[3, 37], [37, 3], [16, 16], [20, 35]] {
    try expectWholeTile("transpose", shape, [.f32]) { b, x in
      let t = b.transpose(x[0], [1, 0])
      return [t, b.map(.add, [b.transpose(t, [1, 0]), x[0]])]
    }
    // A product of two sums, each split differently.
    try expectWholeTile("broadcast", shape, [.f32, .f32], tolerance: 1e-4) { b, x in
      let row = b.reduce(.sum, [0], x[0])
      let column = b.reduce(.sum, [1], x[1])
      return [b.map(.multiply, [b.broadcast(row, b.shape(x[0])), b.broadcast(column, b.shape(x[0]))])]
    }
  }
  try expectWholeTile("permuted", [3, 5, 7], [.i16]) { b, x in [b.transpose(x[0], [2, 0, 1])] }
}

@Test(arguments: [false, true])
func softmax_of_rows(symbolic: Bool) throws {
  for shape in [[1, 1], [3, 16], [3, 100], [7, 129]] {
    try expectWholeTile("softmax", shape, [.f32], symbolic: symbolic) { b, x in
      let largest = b.reduce(.maximum, [1], x[0])
      let e = b.map(.exp, [b.map(.subtract, [x[0], b.broadcast(largest, b.shape(x[0]))])])
      let sum = b.reduce(.sum, [1], e)
      return [b.map(.divide, [e, b.broadcast(sum, b.shape(e))])]
    }
  }
}

/// Rows whose exp(x - max) and exp(min - x) meet every range of exp for arguments that are never positive.
@Test(arguments: [false, true])
func exponentials_beside_the_row_extremum_reach_denormals_infinities_and_nan(symbolic: Bool) throws {
  let width = 70
  var rows: [[Double]] = [(0..<width).map { 20 - 2 * Double($0) }, (0..<width).map { -75 - 0.5 * Double($0) }]
  rows[1][3] = 0
  rows.append([Double](repeating: -.infinity, count: width))
  for (position, special) in [(7, Double.infinity), (8, -.infinity), (69, -.infinity), (12, -1e30), (3, 1e30)] {
    rows.append((0..<width).map { $0 == position ? special : Double($0) / 8 })
  }
  // NaN in every accumulator, lane and tail, alone and beside another.
  for position in 0..<width { rows.append((0..<width).map { $0 == position ? .nan : Double(($0 * 7) % 11) }) }
  for dtype in [DType.f32, .f64, .f16] {
    let made = wholeTile("exp_\(dtype)", [rows.count, width], [dtype], symbolic: symbolic) { b, x in
      let high = b.broadcast(b.reduce(.maximum, [1], x[0]), b.shape(x[0]))
      let low = b.broadcast(b.reduce(.minimum, [1], x[0]), b.shape(x[0]))
      let results = [
        b.map(.exp, [b.map(.subtract, [x[0], high])]), b.map(.exp, [b.map(.subtract, [low, x[0]])]),
      ]
      guard dtype == .f32 else { return results }
      // Denormals as numbers from 1 to 2^23, which a relative tolerance sees.
      func splat(_ value: Double) -> TileValue { b.splat(ScalarConstant(dtype, value), b.shape(x[0])) }
      let small = b.map(.minimum, [results[0], splat(0x1p-126)])
      return results + [b.map(.multiply, [b.map(.multiply, [small, splat(0x1p75)]), splat(0x1p74)])]
    }
    try expectAgreement(
      made.kernel, [Elements(dtype, rows.flatMap { $0 })] + made.outputs.map { Elements($0.0, count: $0.1) },
      made.arguments)
  }
}

@Test func loops_carry_tiles_and_swap_them() throws {
  for shape in [[1], [7], [3, 21], [2, 130]] {
    try expectWholeTile("loop", shape, [.f32, .f32]) { b, x in
      let five = b.index(5)
      let r = b.loop(five, [x[0], x[1], x[1]]) { b, i, c in
        let t = b.coordinates(start: i, axis: 0, b.shape(c[0]))
        let f = b.convert(t, to: .f32)
        return [c[1], b.map(.add, [c[0], f]), b.map(.maximum, [c[2], c[0]])]
      }
      return r
    }
  }
}

@Test(arguments: [DType.f32, .f64, .i32, .bf16])
func products_of_odd_shapes(_ dtype: DType) throws {
  let accumulator: DType = dtype == .bf16 ? .f32 : dtype
  for (m, n, k) in [
    (1, 1, 1), (1, 40, 7), (5, 33, 9), (14, 32, 20), (29, 65, 31), (56, 64, 16), (3, 3, 100), (17, 1, 5),
  ] {
    for guarded in [false, true] {
      var b = KernelBuilder(name: "dot_\(dtype)")
      let (mm, nn, kk) = (b.argument("m"), b.argument("n"), b.argument("k"))
      let a = b.contiguous("a", dtype, [mm, kk], role: .input)
      let w = b.contiguous("b", dtype, [kk, nn], role: .input)
      let c = b.contiguous("c", accumulator, [mm, nn], role: .output)
      let (mb, nb, kb) = (28, 64, 16)
      let grid = [b.index(.ceilDivide, nn, nb), b.index(.ceilDivide, mm, mb)]
      let trips = b.index(.ceilDivide, kk, kb)
      b.phase(grid) { b, id in
        let m0 = b.index(.multiply, id[1], mb)
        let n0 = b.index(.multiply, id[0], nb)
        let rows = guarded ? Extent.constant(mb) : .value(b.index(.minimum, b.index(mb), b.index(.subtract, mm, m0)))
        let columns = guarded ? Extent.constant(nb) : .value(b.index(.minimum, b.index(nb), b.index(.subtract, nn, n0)))
        let zero = b.splat(ScalarConstant(accumulator, integer: 0), [rows, columns])
        let sum = b.loop(trips, [zero]) { b, i, carried in
          let k0 = b.index(.multiply, i, kb)
          let inner = Extent.value(b.index(.minimum, b.index(kb), b.index(.subtract, kk, k0)))
          let left = b.load(
            Access(a, [AxisMap(m0, tileAxis: 0, guarded: guarded), AxisMap(k0, tileAxis: 1)]), [rows, inner])
          let right = b.load(
            Access(w, [AxisMap(k0, tileAxis: 0), AxisMap(n0, tileAxis: 1, guarded: guarded)]), [inner, columns])
          return [b.dot(carried[0], left, right)]
        }
        b.store(
          Access(c, [AxisMap(m0, tileAxis: 0, guarded: guarded), AxisMap(n0, tileAxis: 1, guarded: guarded)]), sum[0])
      }
      var numbers = Numbers(3)
      let buffers = [
        Elements.random(dtype, m * k, &numbers, scale: 1), Elements.random(dtype, k * n, &numbers, scale: 1),
        Elements(accumulator, count: m * n),
      ]
      try expectAgreement(b.finish(), buffers, [m, n, k], tolerance: 1e-5)
    }
  }
}

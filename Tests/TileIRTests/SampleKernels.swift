// Kernels that several tests use, built as people build them. Not tests.
import Scalars
import TensorTypes
import TileIR

/// The shortest names for what every kernel says.
extension KernelBuilder {
  mutating func rowMajor(_ name: String, _ dtype: DType, _ shape: [TileValue], _ role: Buffer.Role) -> Int {
    var strides: [TileValue] = []
    var step = index(1)
    for extent in shape.reversed() {
      strides.insert(step, at: 0)
      step = index(.multiply, step, extent)
    }
    return buffer(name, dtype, shape, strides: strides, role: role)
  }
  mutating func at(_ start: TileValue? = nil, _ axis: Int? = nil, guarded: Bool = false, scale: Int = 1) -> AxisMap {
    AxisMap(start ?? index(0), tileAxis: axis, scale: scale, guarded: guarded)
  }
  mutating func full(_ value: Double, _ shape: [Extent], _ dtype: DType = .f32) -> TileValue {
    splat(ScalarConstant(dtype, value), shape)
  }
}

enum SampleKernels {
  /// Rows of any length, one instance each.
  static func softmax() -> Kernel {
    var b = KernelBuilder(name: "softmax")
    let m = b.argument("M")
    let n = b.argument("N")
    let x = b.rowMajor("x", .f32, [m, n], .input)
    let y = b.rowMajor("y", .f32, [m, n], .output)
    b.phase([m]) { b, pid in
      let shape: [Extent] = [.constant(1), .value(n)]
      let place = [b.at(pid[0]), b.at(nil, 1)]
      let row = b.load(Access(x, place), shape, fill: ScalarConstant(.f32, -.infinity))
      let largest = b.reduce(.maximum, [1], row)
      let shifted = b.map(.subtract, [row, b.broadcast(largest, shape)])
      let e = b.map(.exp, [shifted])
      let sum = b.broadcast(b.reduce(.sum, [1], e), shape)
      b.store(Access(y, place), b.map(.divide, [e, sum]), .streaming)
    }
    return b.finish()
  }

  /// tanh-free gelu(x * w + b) in blocks with guards on both axes.
  static func geluAffine() -> Kernel {
    var b = KernelBuilder(name: "gelu_affine")
    let m = b.argument("M")
    let n = b.argument("N")
    let x = b.rowMajor("x", .f32, [m, n], .input)
    let w = b.rowMajor("w", .f32, [n], .input)
    let c = b.rowMajor("b", .f32, [n], .input)
    let y = b.rowMajor("y", .f32, [m, n], .output)
    let grid = [b.index(.ceilDivide, n, 32), b.index(.ceilDivide, m, 4)]
    b.phase(grid) { b, pid in
      let shape: [Extent] = [.constant(4), .constant(32)]
      let row = b.index(.multiply, pid[1], 4)
      let column = b.index(.multiply, pid[0], 32)
      let place = [b.at(row, 0, guarded: true), b.at(column, 1, guarded: true)]
      let xs = b.load(Access(x, place), shape)
      let ws = b.load(Access(w, [b.at(column, 1, guarded: true)]), shape)
      let bs = b.load(Access(c, [b.at(column, 1, guarded: true)]), shape)
      let u = b.map(.multiplyAdd, [xs, ws, bs])
      let scaled = b.map(.multiply, [u, b.full(0.5.squareRoot(), shape)])
      let half = b.map(.multiply, [u, b.full(0.5, shape)])
      let phi = b.map(.add, [b.map(.erf, [scaled]), b.full(1, shape)])
      b.store(Access(y, place), b.map(.multiply, [half, phi]))
    }
    return b.finish()
  }

  /// C = A . B + bias: B is packed in panels by a phase of its own, K is walked in slices.
  static func matmul(rows: Int = 6, columns: Int = 16, slice: Int = 8) -> Kernel {
    var b = KernelBuilder(name: "matmul_bias")
    let m = b.argument("M")
    let n = b.argument("N")
    let k = b.argument("K")
    let a = b.rowMajor("a", .f32, [m, k], .input)
    let bb = b.rowMajor("b", .f32, [k, n], .input)
    let bias = b.rowMajor("bias", .f32, [n], .input)
    let c = b.rowMajor("c", .f32, [m, n], .output)
    let ku = b.index(.multiply, b.index(.ceilDivide, k, slice), slice)
    let nu = b.index(.multiply, b.index(.ceilDivide, n, columns), columns)
    let packed = b.scratch("packed", .f32, [ku, nu], .panels(width: 4, pad: 1))
    let blocks = b.index(.ceilDivide, n, columns)
    b.phase([blocks, b.index(.ceilDivide, k, slice)]) { b, pid in
      let k0 = b.index(.multiply, pid[1], slice)
      let n0 = b.index(.multiply, pid[0], columns)
      let shape: [Extent] = [.constant(slice), .constant(columns)]
      let tile = b.load(Access(bb, [b.at(k0, 0, guarded: true), b.at(n0, 1, guarded: true)]), shape)
      b.store(Access(packed, [b.at(k0, 0), b.at(n0, 1)]), tile)
    }
    b.phase([blocks, b.index(.ceilDivide, m, rows)]) { b, pid in
      let n0 = b.index(.multiply, pid[0], columns)
      let m0 = b.index(.multiply, pid[1], rows)
      let shape: [Extent] = [.constant(rows), .constant(columns)]
      let zero = b.full(0, shape)
      let sums = b.loop(b.index(.ceilDivide, k, slice), [zero]) { b, i, carried in
        let k0 = b.index(.multiply, i, slice)
        let kk = b.index(.minimum, b.index(slice), b.index(.subtract, k, k0))
        let left = b.load(Access(a, [b.at(m0, 0, guarded: true), b.at(k0, 1)]), [.constant(rows), .value(kk)])
        let right = b.load(Access(packed, [b.at(k0, 0), b.at(n0, 1)]), [.value(kk), .constant(columns)])
        return [b.dot(carried[0], left, right)]
      }
      let row = b.load(Access(bias, [b.at(n0, 1, guarded: true)]), [.constant(1), .constant(columns)])
      let sum = b.map(.add, [sums[0], b.broadcast(row, shape)])
      b.store(Access(c, [b.at(m0, 0, guarded: true), b.at(n0, 1, guarded: true)]), sum)
    }
    return b.finish()
  }

  /// softmax(Q K^T / sqrt(D)) V for one head, keys in blocks, the running maximum and sum carried.
  static func attention(head d: Int = 8, queries: Int = 4, keys: Int = 8) -> Kernel {
    var b = KernelBuilder(name: "attention")
    let h = b.argument("H")
    let t = b.argument("T")
    let depth = b.index(d)
    let q = b.rowMajor("q", .f32, [h, t, depth], .input)
    let k = b.rowMajor("k", .f32, [h, t, depth], .input)
    let v = b.rowMajor("v", .f32, [h, t, depth], .input)
    let o = b.rowMajor("o", .f32, [h, t, depth], .output)
    b.phase([b.index(.ceilDivide, t, queries), h]) { b, pid in
      let q0 = b.index(.multiply, pid[0], queries)
      let queryPlace = [b.at(pid[1]), b.at(q0, 0, guarded: true), b.at(nil, 1)]
      let block: [Extent] = [.constant(queries), .constant(d)]
      let column: [Extent] = [.constant(queries), .constant(1)]
      let scores: [Extent] = [.constant(queries), .constant(keys)]
      let scale = b.full(1 / Double(d).squareRoot(), block)
      let qs = b.map(.multiply, [b.load(Access(q, queryPlace), block), scale])
      let start = [b.full(-1e30, column), b.full(0, column), b.full(0, block)]
      let final = b.loop(b.index(.ceilDivide, t, keys), start) { b, j, carried in
        let j0 = b.index(.multiply, j, keys)
        let keyPlace = [b.at(pid[1]), b.at(j0, 0, guarded: true), b.at(nil, 1)]
        let ks = b.load(Access(k, keyPlace), [.constant(keys), .constant(d)])
        let vs = b.load(Access(v, keyPlace), [.constant(keys), .constant(d)])
        let product = b.dot(b.full(0, scores), qs, b.transpose(ks, [1, 0]))
        let position = b.coordinates(start: j0, axis: 1, scores)
        let limit = b.coordinates(start: t, axis: nil, scores)
        let s = b.map(.select, [b.map(.less, [position, limit]), product, b.full(-.infinity, scores)])
        let m = b.map(.maximum, [carried[0], b.reduce(.maximum, [1], s)])
        let p = b.map(.exp, [b.map(.subtract, [s, b.broadcast(m, scores)])])
        let alpha = b.map(.exp, [b.map(.subtract, [carried[0], m])])
        let sum = b.map(.multiplyAdd, [carried[1], alpha, b.reduce(.sum, [1], p)])
        let kept = b.map(.multiply, [carried[2], b.broadcast(alpha, block)])
        return [m, sum, b.dot(kept, p, vs)]
      }
      b.store(Access(o, queryPlace), b.map(.divide, [final[2], b.broadcast(final[1], block)]))
    }
    return b.finish()
  }

  /// Every operation, store mode, layout and odd name at least once; not a sensible program.
  static func everything() -> Kernel {
    var b = KernelBuilder(name: "every thing")
    let n = b.argument("N")
    let odd = b.argument("t1")
    _ = b.argument("scale \"2\"")
    let rest = b.index(.subtract, n, 1)
    let x = b.rowMajor("x.0", .f32, [n, n], .input)
    let bytes = b.rowMajor("load", .u8, [n, rest], .input)
    let indices = b.rowMajor("i", .i64, [n], .input)
    let y = b.rowMajor("y", .f32, [n, b.index(.maximum, rest, 1)], .output)
    let z = b.rowMajor("z", .i64, [n], .output)
    let h = b.rowMajor("h", .f16, [], .output)
    let flat = b.scratch("flat", .f32, [n, rest], .rowMajor(pad: 3))
    let panels = b.scratch("panels", .f32, [n, n], .panels(width: 16, pad: 0))
    let shape: [Extent] = [.constant(4), .value(n)]
    b.phase([n, b.index(.ceilDivide, b.index(.add, n, odd), 4)]) { b, pid in
      let r = b.index(.multiply, pid[1], 4)
      let place = [b.at(r, 0, guarded: true), b.at(nil, 1)]
      let tile = b.load(Access(x, place), shape, fill: ScalarConstant(.f32, Double(bitPattern: 0x7ff8_0000_0000_0001)))
      b.store(Access(flat, place), tile)
      b.store(Access(panels, place), b.splatArgument(2, .f32, shape))
      b.store(Access(h, []), b.full(-0.0, [], .f16))
    }
    b.phase([b.index(1)]) { b, pid in
      let low = b.index(.minimum, b.index(.modulo, pid[0], n), b.index(.floorDivide, n, 3))
      let index = b.load(Access(indices, [b.at(low, 1, scale: -2)]), [.constant(1), .value(n)])
      let gathered = b.load(
        Access(x, [AxisMap(low, tileAxis: 0, scale: 2, indirect: index), b.at(nil, 1)]), shape)
      let header = b.load(Access(bytes, [b.at(nil, 0), b.at(b.index(2))], reinterpreted: .f16), shape)
      var t = b.map(.add, [gathered, b.convert(header, to: .f32)])
      for monoid in [Monoid.sum, .product, .minimum, .maximum] {
        t = b.map(.multiply, [t, b.broadcast(b.reduce(monoid, [0, 1], t), shape)])
        t = b.scan(monoid, 1, t)
      }
      for instruction in ScalarInstruction.allCases where instruction.resultDType([.f32]) == .f32 {
        t = b.map(instruction, [t])
      }
      let bits = b.map(.not, [b.bitcast(t, to: .i32)])
      let order = b.map(.add, [b.sortOrder(1, descending: false, bits), b.sortOrder(0, descending: true, t)])
      let best = b.map(.add, [b.argScan(.maximum, 1, t), b.argScan(.minimum, 0, order)])
      let first = b.map(.add, [b.argReduce(.maximum, 0, best), b.argReduce(.minimum, 0, t)])
      let corner = b.reduce(.and, [0], b.map(.or, [best, order]))
      b.store(Access(z, [b.at(nil, 1)]), b.map(.add, [first, corner]), .accumulate(.sum))
      let mask = b.map(.lessOrEqual, [t, b.full(1e-05, shape)])
      t = b.map(.select, [mask, t, b.full(-.infinity, shape)])
      let square = b.load(Access(panels, [b.at(nil, 0), b.at(nil, 1)]), [.value(n), .value(n)])
      let loops = b.loop(n, [t, order]) { b, i, carried in
        let inner = b.loop(b.index(2), [carried[0]]) { b, j, c in [b.dot(c[0], t, b.transpose(square, [1, 0]))] }
        return [b.map(.multiplyAdd, [inner[0], carried[0], carried[0]]), b.coordinates(start: i, axis: 1, shape)]
      }
      _ = b.loop(n, []) { b, i, _ in
        b.store(Access(y, [b.at(i), b.at(nil, 1)]), b.reduce(.sum, [0], loops[0]), .streaming)
        return []
      }
      _ = b.coordinates(start: b.index(7), axis: nil, shape)
    }
    return b.finish()
  }

  static var all: [Kernel] { [softmax(), geluAffine(), matmul(), attention(), everything()] }
}

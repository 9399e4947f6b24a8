// The measured kernels, tiled as Fusion tiles them.
import Scalars
import Targets
import TensorTypes
import TileIR

extension KernelBuilder {
  mutating func contiguous(_ name: String, _ shape: [TileValue], _ role: Buffer.Role) -> Int {
    var strides: [TileValue] = []
    var stride = index(1)
    for extent in shape.reversed() {
      strides.insert(stride, at: 0)
      stride = index(.multiply, stride, extent)
    }
    return buffer(name, .f32, shape, strides: strides, role: role)
  }
  mutating func constant(_ x: Double, like: TileValue) -> TileValue { splat(ScalarConstant(.f32, x), shape(like)) }
  /// x * sigmoid(2 u), u = 0.79788 (x + 0.044715 x^3).
  mutating func gelu(_ x: TileValue) -> TileValue {
    let x2 = map(.multiply, [x, x])
    let p = map(
      .multiplyAdd, [x2, constant(0.044715 * 2 * 0.7978845608, like: x), constant(2 * 0.7978845608, like: x)])
    let e = map(.exp, [map(.negate, [map(.multiply, [x, p])])])
    return map(.divide, [x, map(.add, [e, constant(1, like: x)])])
  }
}

func fmaPeakKernel(_ target: TargetDescription) -> Kernel {
  var b = KernelBuilder(name: "fma_peak")
  let n = b.argument("n")
  let width = b.index(4096)
  let y = b.contiguous("y", [width], .output)
  let one = b.index(2)
  b.phase([one]) { b, id in
    let shape: [Extent] = [.constant(target.lanes * 4)]
    let x = b.splat(ScalarConstant(.f32, 0.999), shape)
    let c = b.splat(ScalarConstant(.f32, 0.001), shape)
    let starts = (0..<6).map { b.splat(ScalarConstant(.f32, Double($0)), shape) }
    let sums = b.loop(n, starts) { b, _, carried in carried.map { b.map(.multiplyAdd, [$0, x, c]) } }
    let start = b.index(.multiply, id[0], target.lanes * 4)
    var total = sums[0]
    for sum in sums.dropFirst() { total = b.map(.add, [total, sum]) }
    b.store(Access(y, [AxisMap(start, tileAxis: 0)]), total)
  }
  return b.finish()
}

/// Blocks of 4 rows by 4096 columns.
func pointwiseKernel(copyOnly: Bool, rows blockRows: Int = 4, columns blockColumns: Int = 4096) -> Kernel {
  var b = KernelBuilder(name: copyOnly ? "copy" : "gelu")
  let (m, n) = (b.argument("m"), b.argument("n"))
  let x = b.contiguous("x", [m, n], .input)
  let w = b.contiguous("w", [n], .input)
  let c = b.contiguous("b", [n], .input)
  let y = b.contiguous("y", [m, n], .output)
  let grid = [b.index(.ceilDivide, n, blockColumns), b.index(.ceilDivide, m, blockRows)]
  b.phase(grid) { b, id in
    let r = b.index(.multiply, id[1], blockRows)
    let q = b.index(.multiply, id[0], blockColumns)
    let rows = b.index(.minimum, b.index(.subtract, m, r), blockRows)
    let columns = b.index(.minimum, b.index(.subtract, n, q), blockColumns)
    let shape: [Extent] = [.value(rows), .value(columns)]
    let access = [AxisMap(r, tileAxis: 0), AxisMap(q, tileAxis: 1)]
    let u = b.load(Access(x, access), shape)
    var result = u
    if !copyOnly {
      let row = b.load(Access(w, [AxisMap(q, tileAxis: 1)]), shape)
      let shift = b.load(Access(c, [AxisMap(q, tileAxis: 1)]), shape)
      result = b.gelu(b.map(.multiplyAdd, [u, row, shift]))
    }
    b.store(Access(y, access), result, .streaming)
  }
  return b.finish()
}

func softmaxKernel() -> Kernel {
  var b = KernelBuilder(name: "softmax")
  let (m, n) = (b.argument("m"), b.argument("n"))
  let x = b.contiguous("x", [m, n], .input)
  let y = b.contiguous("y", [m, n], .output)
  b.phase([m]) { b, id in
    let zero = b.index(0)
    let shape: [Extent] = [.constant(1), .value(n)]
    let at = [AxisMap(id[0]), AxisMap(zero, tileAxis: 1)]
    let v = b.load(Access(x, at), shape)
    let e = b.map(.exp, [b.map(.subtract, [v, b.broadcast(b.reduce(.maximum, [1], v), shape)])])
    let sum = b.reduce(.sum, [1], e)
    b.store(Access(y, at), b.map(.divide, [e, b.broadcast(sum, shape)]), .streaming)
  }
  return b.finish()
}

func layerNormKernel() -> Kernel {
  var b = KernelBuilder(name: "layernorm")
  let (m, n) = (b.argument("m"), b.argument("n"))
  let x = b.contiguous("x", [m, n], .input)
  let w = b.contiguous("w", [n], .input)
  let c = b.contiguous("b", [n], .input)
  let y = b.contiguous("y", [m, n], .output)
  b.phase([m]) { b, id in
    let zero = b.index(0)
    let shape: [Extent] = [.constant(1), .value(n)]
    let at = [AxisMap(id[0]), AxisMap(zero, tileAxis: 1)]
    let v = b.load(Access(x, at), shape)
    let count = b.convert(b.coordinates(start: n, axis: nil, [.constant(1), .constant(1)]), to: .f32)
    let mean = b.map(.divide, [b.reduce(.sum, [1], v), count])
    let d = b.map(.subtract, [v, b.broadcast(mean, shape)])
    let variance = b.map(.divide, [b.reduce(.sum, [1], b.map(.multiply, [d, d])), count])
    let scale = b.map(
      .divide,
      [
        b.constant(1, like: variance), b.map(.squareRoot, [b.map(.add, [variance, b.constant(1e-5, like: variance)])]),
      ])
    let row = b.load(Access(w, [AxisMap(zero, tileAxis: 1)]), shape)
    let shift = b.load(Access(c, [AxisMap(zero, tileAxis: 1)]), shape)
    let out = b.map(.multiplyAdd, [b.map(.multiply, [d, b.broadcast(scale, shape)]), row, shift])
    b.store(Access(y, at), out, .streaming)
  }
  return b.finish()
}

func columnSumKernel() -> Kernel {
  var b = KernelBuilder(name: "column_sums")
  let (m, n) = (b.argument("m"), b.argument("n"))
  let x = b.contiguous("x", [m, n], .input)
  let y = b.contiguous("y", [n], .output)
  let grid = b.index(.ceilDivide, n, 256)
  b.phase([grid]) { b, id in
    let zero = b.index(0)
    let q = b.index(.multiply, id[0], 256)
    let columns = b.index(.minimum, b.index(.subtract, n, q), 256)
    let v = b.load(Access(x, [AxisMap(zero, tileAxis: 0), AxisMap(q, tileAxis: 1)]), [.value(m), .value(columns)])
    b.store(Access(y, [AxisMap(q, tileAxis: 1)]), b.reduce(.sum, [0], v))
  }
  return b.finish()
}

/// C = gelu(A B + bias), B packed in panels by a phase, A packed inside the instance.
func productKernel(_ target: TargetDescription, gelu: Bool) -> Kernel {
  var b = KernelBuilder(name: gelu ? "product_gelu" : "product")
  let (m, n, k) = (b.argument("m"), b.argument("n"), b.argument("k"))
  let a = b.contiguous("a", [m, k], .input)
  let w = b.contiguous("b", [k, n], .input)
  let bias = b.contiguous("bias", [n], .input)
  let c = b.contiguous("c", [m, n], .output)
  let box = target.registerBox
  let (mb, nb, kb) = (box.rows * 4, box.columns * 16, 1024)
  let packed = b.scratch("packed", .f32, [k, n], .panels(width: box.columns, pad: 0))
  let packGrid = [b.index(.ceilDivide, n, 512), b.index(.ceilDivide, k, 64)]
  b.phase(packGrid) { b, id in
    let k0 = b.index(.multiply, id[1], 64)
    let n0 = b.index(.multiply, id[0], 512)
    let shape: [Extent] = [
      .value(b.index(.minimum, b.index(.subtract, k, k0), 64)),
      .value(b.index(.minimum, b.index(.subtract, n, n0), 512)),
    ]
    let at = [AxisMap(k0, tileAxis: 0), AxisMap(n0, tileAxis: 1)]
    b.store(Access(packed, at), b.load(Access(w, at), shape))
  }
  let grid = [b.index(.ceilDivide, n, nb), b.index(.ceilDivide, m, mb)]
  let trips = b.index(.ceilDivide, k, kb)
  b.phase(grid) { b, id in
    let m0 = b.index(.multiply, id[1], mb)
    let n0 = b.index(.multiply, id[0], nb)
    let shape: [Extent] = [.constant(mb), .constant(nb)]
    let zero = b.splat(ScalarConstant(.f32, 0), shape)
    let sums = b.loop(trips, [zero]) { b, i, carried in
      let k0 = b.index(.multiply, i, kb)
      let inner = Extent.value(b.index(.minimum, b.index(.subtract, k, k0), kb))
      let left = b.load(
        Access(a, [AxisMap(m0, tileAxis: 0, guarded: true), AxisMap(k0, tileAxis: 1)]), [shape[0], inner])
      let right = b.load(Access(packed, [AxisMap(k0, tileAxis: 0), AxisMap(n0, tileAxis: 1)]), [inner, shape[1]])
      return [b.dot(carried[0], left, right)]
    }
    let row = b.load(Access(bias, [AxisMap(n0, tileAxis: 1, guarded: true)]), [.constant(1), shape[1]])
    let out = b.map(.add, [sums[0], b.broadcast(row, shape)])
    b.store(
      Access(c, [AxisMap(m0, tileAxis: 0, guarded: true), AxisMap(n0, tileAxis: 1, guarded: true)]),
      gelu ? b.gelu(out) : out)
  }
  return b.finish()
}

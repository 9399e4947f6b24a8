// Pointwise kernels: strips, tails, guards, strides.
import CodegenLLVM
import Scalars
import Targets
import TensorTypes
import Testing
import TileIR

/// y = x * w + x over a guarded grid of 1-d blocks.
private func blocked(_ block: Int, streaming: Bool = false) -> Kernel {
  var b = KernelBuilder(name: "blocked")
  let n = b.argument("n")
  let x = b.contiguous("x", .f32, [n], role: .input)
  let w = b.contiguous("w", .f32, [n], role: .input)
  let y = b.contiguous("y", .f32, [n], role: .output)
  let grid = b.index(.ceilDivide, n, block)
  b.phase([grid]) { b, id in
    let start = b.index(.multiply, id[0], block)
    let axes = [AxisMap(start, tileAxis: 0, guarded: true)]
    let u = b.load(Access(x, axes), [.constant(block)])
    let v = b.load(Access(w, axes), [.constant(block)])
    b.store(Access(y, axes), b.map(.multiplyAdd, [u, v, u]), streaming ? .streaming : .plain)
  }
  return b.finish()
}

@Test(arguments: runnableTargets)
func guarded_blocks_write_every_element_and_no_more(_ target: TargetDescription) throws {
  for streaming in [false, true] {
    var options = CodegenOptions()
    options.streamingBytes = 100
    let kernel = try LoadedKernel(blocked(32, streaming: streaming), target, options)
    var numbers = Numbers()
    for n in 0...70 {
      let x = numbers.floats(n)
      let w = numbers.floats(n)
      let buffers = [TestBuffer(x), TestBuffer(w), TestBuffer([Float](repeating: 0, count: n), offset: 4 * (n % 5))]
      try kernel.run(buffers, [n])
      let y: [Float] = buffers[2].array()
      #expect(y == zip(x, w).map { $0.addingProduct($0, $1) }, "n \(n) streaming \(streaming)")
    }
  }
}

/// Two outputs, aligned alike or not, rows of any alignment.
@Test(arguments: runnableTargets)
func streamed_rows_of_several_outputs(_ target: TargetDescription) throws {
  var b = KernelBuilder(name: "streamed")
  let m = b.argument("m")
  let n = b.argument("n")
  let x = b.contiguous("x", .f32, [m, n], role: .input)
  let y = b.contiguous("y", .f32, [m, n], role: .output)
  let z = b.contiguous("z", .f32, [m, n], role: .output)
  b.phase([m]) { b, id in
    let zero = b.index(0)
    let at = [AxisMap(id[0]), AxisMap(zero, tileAxis: 1)]
    let u = b.load(Access(x, at), [.constant(1), .value(n)])
    b.store(Access(y, at), b.map(.add, [u, u]), .streaming)
    b.store(Access(z, at), b.map(.negate, [u]), .streaming)
  }
  var options = CodegenOptions()
  options.streamingBytes = 0
  let kernel = try LoadedKernel(b.finish(), target, options)
  var numbers = Numbers(2)
  for n in [1, 16, 37, 64, 200, 333] {
    for offsets in [(0, 0), (4, 4), (8, 12)] {
      let x = numbers.floats(3 * n)
      let zeros = [Float](repeating: 0, count: 3 * n)
      let buffers = [TestBuffer(x), TestBuffer(zeros, offset: offsets.0), TestBuffer(zeros, offset: offsets.1)]
      try kernel.run(buffers, [3, n])
      #expect(buffers[1].array() == x.map { $0 + $0 }, "n \(n) \(offsets)")
      #expect(buffers[2].array() == x.map { -$0 }, "n \(n) \(offsets)")
    }
  }
}

@Test(arguments: runnableTargets)
func whole_rows_of_any_length(_ target: TargetDescription) throws {
  var b = KernelBuilder(name: "rows")
  let m = b.argument("m")
  let n = b.argument("n")
  let x = b.contiguous("x", .f32, [m, n], role: .input)
  let row = b.contiguous("row", .f32, [n], role: .input)
  let column = b.contiguous("column", .f32, [m], role: .input)
  let y = b.contiguous("y", .f32, [m, n], role: .output)
  let zero = b.index(0)
  b.phase([m]) { b, id in
    let shape: [Extent] = [.constant(1), .value(n)]
    let u = b.load(Access(x, [AxisMap(id[0], tileAxis: 0), AxisMap(zero, tileAxis: 1)]), shape)
    let v = b.load(Access(row, [AxisMap(zero, tileAxis: 1)]), shape)
    let c = b.load(Access(column, [AxisMap(id[0], tileAxis: 0)]), [.constant(1), .constant(1)])
    let sum = b.map(.add, [b.map(.multiply, [u, b.broadcast(c, shape)]), v])
    b.store(Access(y, [AxisMap(id[0], tileAxis: 0), AxisMap(zero, tileAxis: 1)]), sum)
  }
  let kernel = try LoadedKernel(b.finish(), target)
  var numbers = Numbers(2)
  for n in [0, 1, 3, 15, 16, 17, 64, 65, 200] {
    let m = 3
    let x = numbers.floats(m * n)
    let row = numbers.floats(n)
    let column = numbers.floats(m)
    let buffers = [TestBuffer(x), TestBuffer(row), TestBuffer(column), TestBuffer([Float](repeating: 0, count: m * n))]
    try kernel.run(buffers, [m, n], chunk: 2)
    let expected = (0..<m * n).map { x[$0] * column[$0 / n] + row[$0 % n] }
    #expect(buffers[3].array() == expected, "n \(n)")
  }
}

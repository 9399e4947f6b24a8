// Random small kernels, compiled and interpreted: what nobody thought of writing down.
// Not random inputs to known kernels. Surprise: float kernels avoid operations that jump (comparisons, positions), since
// the two machines round sums differently; integer kernels use everything.
import CodegenLLVM
import Scalars
import Targets
import TensorTypes
import Testing
import TileIR

/// Grows a kernel by random operations on tiles whose axes are whole or 1.
private struct KernelGrower: ~Copyable {
  var b: KernelBuilder
  var numbers: Numbers
  let dtype: DType
  let shape: [Extent]
  var pool: [TileValue] = []

  init(_ b: consuming KernelBuilder, _ numbers: Numbers, _ dtype: DType, _ shape: [Extent]) {
    self.b = b
    self.numbers = numbers
    self.dtype = dtype
    self.shape = shape
  }

  mutating func any() -> TileValue { pool[numbers.below(pool.count)] }
  mutating func whole(_ value: TileValue) -> TileValue { b.broadcast(value, shape) }
  mutating func axis() -> Int { numbers.below(shape.count) }

  /// Keeps floats small, so that errors stay relative to 1.
  mutating func bounded(_ value: TileValue) -> TileValue {
    guard dtype.isFloating else { return value }
    let extents = b.shape(value)
    let low = b.map(.maximum, [value, b.splat(ScalarConstant(dtype, -3), extents)])
    return b.map(.minimum, [low, b.splat(ScalarConstant(dtype, 3), extents)])
  }

  mutating func arithmetic() -> TileValue {
    let operations: [ScalarInstruction] = [.add, .subtract, .multiply, .maximum, .minimum]
    let chosen = operations[numbers.below(operations.count)]
    let x = any()
    let y = any()
    if b.shape(x) == b.shape(y) { return bounded(b.map(chosen, [x, y])) }
    let (u, v) = (whole(x), whole(y))
    return bounded(b.map(chosen, [u, v]))
  }

  mutating func unary() -> TileValue {
    let x = any()
    switch numbers.below(4) {
    case 0: return b.map(.negate, [x])
    case 1: return b.map(.absolute, [x])
    case 2: return dtype.isFloating ? bounded(b.map(.exp, [bounded(x)])) : b.map(.not, [x])
    case _: return bounded(b.map(.multiplyAdd, [x, x, x]))
    }
  }

  mutating func across() -> TileValue {
    let x = whole(any())
    let axis = axis()
    let monoids: [Monoid] = [.sum, .maximum, .minimum]
    let monoid = monoids[numbers.below(3)]
    switch numbers.below(dtype.isFloating ? 3 : 6) {
    case 0: return bounded(b.reduce(monoid, [axis], x))
    case 1: return bounded(b.scan(monoid, axis, x))
    case 2: return bounded(b.reduce(monoid, Array(shape.indices), x))
    case 3: return b.convert(b.argReduce(.maximum, axis, x), to: dtype)
    case 4: return b.convert(b.sortOrder(axis, descending: numbers.below(2) == 0, x), to: dtype)
    case _: return b.convert(b.argScan(.minimum, axis, x), to: dtype)
    }
  }

  mutating func loop() -> [TileValue] {
    let starts = [any(), whole(any())]
    let trips = b.index(1 + numbers.below(3))
    let (counter, carried) = b.openLoop(starts)
    let outer = pool
    pool += carried
    let time = b.convert(b.coordinates(start: counter, axis: nil, b.shape(carried[1])), to: dtype)
    pool.append(time)
    for _ in 0..<(1 + numbers.below(2)) { grow(depth: 1) }
    // The next tiles: anything that has the shape, or the other tile, or a mixture.
    let swaps = numbers.below(3) == 0 && b.shape(carried[0]) == b.shape(carried[1])
    let mixed = bounded(b.map(.add, [whole(any()), carried[1]]))
    let kept = b.shape(carried[0]) == shape ? whole(any()) : b.map(.negate, [carried[0]])
    let yields = swaps ? [carried[1], carried[0]] : [kept, mixed]
    pool = outer
    return b.closeLoop(trips, starts, counter: counter, carried: carried, yields: yields)
  }

  mutating func grow(depth: Int) {
    switch numbers.below(depth == 0 ? 8 : 7) {
    case 0...2: pool.append(arithmetic())
    case 3, 4: pool.append(unary())
    case 5, 6: pool.append(across())
    case _: pool += loop()
    }
  }

  consuming func finish() -> Kernel { b.finish() }
}

private func randomKernel(_ seed: UInt64) -> (kernel: Kernel, buffers: [Elements], arguments: [Int]) {
  var numbers = Numbers(seed)
  let dtypes: [DType] = [.f32, .i32, .i64, .f64, .i8]
  let dtype = dtypes[numbers.below(dtypes.count)]
  let rank = 1 + numbers.below(3)
  let extents = (0..<rank).map { _ in [1, 2, 5, 16, 19, 33][numbers.below(6)] }
  let block = 1 + numbers.below(6) * 3
  let guarded = numbers.below(2) == 0
  var b = KernelBuilder(name: "random_\(seed)")
  let sizes = extents.indices.map { b.argument("n\($0)") }
  let inputs = (0..<2).map { b.contiguous("x\($0)", dtype, sizes, role: .input) }
  let row = b.contiguous("row", dtype, [sizes[rank - 1]], role: .input)
  let outputs = (0..<2).map { b.contiguous("y\($0)", dtype, sizes, role: .output) }
  let grid = b.index(.ceilDivide, sizes[0], block)
  let id = b.openPhase([grid])
  let zero = b.index(0)
  let start = b.index(.multiply, id[0], block)
  let first: Extent =
    guarded ? .constant(block) : .value(b.index(.minimum, b.index(.subtract, sizes[0], start), block))
  let shape = [first] + sizes.dropFirst().map { Extent.value($0) }
  let maps = shape.indices.map {
    $0 == 0 ? AxisMap(start, tileAxis: 0, guarded: guarded) : AxisMap(zero, tileAxis: $0)
  }
  let loads = inputs.map { b.load(Access($0, maps), shape) }
  let rowMap = rank == 1 ? maps[0] : AxisMap(zero, tileAxis: rank - 1)
  let bias = b.load(Access(row, [rowMap]), shape)
  var grower = KernelGrower(b, numbers, dtype, shape)
  grower.pool = loads + [bias]
  for _ in 0..<(3 + grower.numbers.below(5)) { grower.grow(depth: 0) }
  let results = [grower.whole(grower.pool[grower.pool.count - 1]), grower.whole(grower.any())]
  for (output, result) in zip(outputs, results) { grower.b.store(Access(output, maps), result) }
  grower.b.closePhase([grid])
  numbers = grower.numbers
  let count = extents.reduce(1, *)
  let buffers =
    inputs.map { _ in Elements.random(dtype, count, &numbers, scale: 1) }
    + [Elements.random(dtype, extents[rank - 1], &numbers, scale: 1)]
    + outputs.map { _ in Elements(dtype, count: count) }
  return (grower.finish(), buffers, extents)
}

@Test(arguments: [0, 1, 2, 3] as [UInt64])
func random_kernels_agree(_ part: UInt64) throws {
  for seed in (part * 10)..<(part * 10 + 10) {
    let (kernel, buffers, arguments) = randomKernel(seed)
    // Sums of up to 600 terms of magnitude 3, then used again: errors are relative to the terms.
    try expectAgreement(kernel, buffers, arguments, tolerance: 3e-4)
  }
}

// Arg-reductions, scans and sorting against plain loops: every dtype, every axis, lengths around the vector widths.
// Not the interpreter's word: what is expected is written here. Surprise: values come from a handful, so that most lines
// have ties, both zeros and, for floats, infinities and NaNs.
import CodegenLLVM
import Scalars
import Targets
import TensorTypes
import Testing
import TileIR

/// What one kernel does to a tile along an axis: all results of a kind at once.
private enum Question: CaseIterable {
  case positions, scans, orders

  func ask(_ b: inout KernelBuilder, _ x: TileValue, _ axis: Int) -> [TileValue] {
    switch self {
    case .positions:
      [
        b.argReduce(.maximum, axis, x), b.argReduce(.minimum, axis, x), b.argScan(.maximum, axis, x),
        b.argScan(.minimum, axis, x),
      ]
    case .scans: Self.monoids(b.dtype(x)).map { b.scan($0, axis, x) }
    case .orders: [b.sortOrder(axis, descending: false, x), b.sortOrder(axis, descending: true, x)]
    }
  }

  func answers(_ line: [ScalarValue], _ dtype: DType) -> [[ScalarValue]] {
    func integers(_ positions: [Int]) -> [ScalarValue] { positions.map { .integer(Int64($0)) } }
    switch self {
    case .positions:
      return [
        integers([best(line, 1)]), integers([best(line, -1)]), integers(running(line, 1)), integers(running(line, -1)),
      ]
    case .scans: return Self.monoids(dtype).map { scanned(line, $0, dtype) }
    case .orders: return [integers(ordered(line, descending: false)), integers(ordered(line, descending: true))]
    }
  }

  static func monoids(_ dtype: DType) -> [Monoid] {
    Monoid.allCases.filter { $0.isDefined(on: dtype) || $0.instruction?.resultDType([dtype, dtype]) != nil }
  }
}

private func isNaN(_ value: ScalarValue) -> Bool {
  if case .float(let x) = value { x.isNaN } else { false }
}

/// Within a few last places of f64.
private func isClose(_ a: ScalarValue, _ b: ScalarValue) -> Bool {
  if case (.float(let x), .float(let y)) = (a, b) { abs(x - y) <= 1e-14 * max(abs(y), 1) } else { false }
}

private func isLess(_ a: ScalarValue, _ b: ScalarValue) -> Bool {
  switch (a, b) {
  case (.float(let x), .float(let y)): x < y
  case (.integer(let x), .integer(let y)): x < y
  case (.float, .integer), (.integer, .float): false
  }
}

/// The first NaN, else the first extreme; 0 for no element. `sign` 1: maximum, -1: minimum.
private func best(_ line: [ScalarValue], _ sign: Int) -> Int {
  if let first = line.firstIndex(where: isNaN) { return first }
  var best = 0
  for i in line.indices where sign > 0 ? isLess(line[best], line[i]) : isLess(line[i], line[best]) { best = i }
  return best
}

/// The last extreme of each beginning; the last NaN where there is one.
private func running(_ line: [ScalarValue], _ sign: Int) -> [Int] {
  var best = 0
  return line.indices.map { i in
    let loses = sign > 0 ? isLess(line[i], line[best]) : isLess(line[best], line[i])
    if isNaN(line[i]) || (!isNaN(line[best]) && !loses) { best = i }
    return best
  }
}

/// Floats are carried in f64, sums of f64 with what was rounded off.
private func scanned(_ line: [ScalarValue], _ monoid: Monoid, _ dtype: DType) -> [ScalarValue] {
  let wide = !monoid.accumulates ? dtype : dtype.isFloating ? .f64 : dtype.computeDType
  var total: ScalarValue?
  if dtype == .f64, monoid == .sum {
    var lost = 0.0
    return line.map { element in
      guard case .float(let x) = element else { return element }
      guard case .float(let sum)? = total else {
        total = element
        return element
      }
      let next = sum + x
      lost += sum.magnitude >= x.magnitude ? (sum - next) + x : (x - next) + sum
      total = .float(next)
      return .float(next.isFinite ? next + lost : next)
    }
  }
  return line.map { element in
    let next = total.map { monoid.combined($0, element, wide) } ?? element
    total = next
    if case .float(let x) = next { return .float(ScalarReference.rounded(x, to: dtype)) }
    return next
  }
}

private func ordered(_ line: [ScalarValue], descending: Bool) -> [Int] {
  func precedes(_ a: Int, _ b: Int) -> Bool {
    let (low, high) = descending ? (line[b], line[a]) : (line[a], line[b])
    return isLess(low, high) || (isNaN(high) && !isNaN(low))
  }
  return line.indices.sorted { precedes($0, $1) || (!precedes($1, $0) && $0 < $1) }
}

/// Few values, extremes among them.
private func element(_ dtype: DType, _ numbers: inout Numbers) -> ScalarValue {
  if dtype.isFloating {
    let few: [Double] = [-.infinity, -2.5, -1, -0.0, 0, 0.5, 3, 1e-7, .infinity]
    let choice = numbers.below(64)
    return .float(choice == 63 ? .nan : ScalarReference.rounded(few[choice % few.count], to: dtype))
  }
  let range = dtype.integerRange ?? 0...0
  let few = [range.lowerBound, range.upperBound, 0, 1, 2, 3, range.upperBound / 2]
  return .integer(ScalarReference.wrapped(few[numbers.below(few.count)], to: dtype))
}

private func bytes(_ values: [ScalarValue], _ dtype: DType) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: values.count * dtype.size)
  bytes.withUnsafeMutableBytes { raw in
    for (i, value) in values.enumerated() { ScalarReference.store(value, raw.baseAddress! + i * dtype.size, dtype) }
  }
  return bytes
}

private func values(_ bytes: [UInt8], _ dtype: DType) -> [ScalarValue] {
  bytes.withUnsafeBytes { raw in
    (0..<bytes.count / dtype.size).map { ScalarReference.load(raw.baseAddress! + $0 * dtype.size, dtype) }
  }
}

/// A tile `outer x length x inner` and its two stored forms: with all axes, or without those of extent 1.
private struct Block {
  var outer: Int
  var length: Int
  var inner: Int
  var rank: Int

  var shape: [Int] {
    switch rank {
    case 1: [length]
    case 2: outer == 1 ? [length, inner] : [outer, length]
    case _: [outer, length, inner]
    }
  }
  var axis: Int { rank == 1 || (rank == 2 && outer == 1) ? 0 : 1 }
}

/// The kernel of a question; extents are launch arguments where `symbolic`. Outputs are as long as the tile, an
/// arg-reduction's as long as its lines are many.
private func kernel(
  _ question: Question, _ dtype: DType, _ block: Block, symbolic: Bool,
  _ prepared: (inout KernelBuilder, TileValue) -> TileValue = { $1 }
) -> Kernel {
  var b = KernelBuilder(name: "\(question)_\(dtype)")
  let extents = block.shape.map { n in symbolic ? b.argument("n\(b.kernel.arguments.count)") : b.index(n) }
  let tile: [Extent] = zip(block.shape, extents).map { symbolic ? .value($1) : .constant($0) }
  _ = b.contiguous("x", dtype, extents, role: .input)
  let zero = b.index(0)
  let one = b.index(1)
  var kept = extents
  kept[block.axis] = one
  switch question {
  case .positions:
    for i in 0..<4 { _ = b.contiguous("y\(i)", .i64, i < 2 ? kept : extents, role: .output) }
  case .scans: for monoid in Question.monoids(dtype) { _ = b.contiguous("\(monoid)", dtype, extents, role: .output) }
  case .orders: for i in 0..<2 { _ = b.contiguous("y\(i)", .i64, extents, role: .output) }
  }
  b.phase([one]) { b, _ in
    let axes = extents.indices.map { AxisMap(zero, tileAxis: $0) }
    let x = prepared(&b, b.load(Access(0, axes), tile))
    for (i, result) in question.ask(&b, x, block.axis).enumerated() { b.store(Access(i + 1, axes), result) }
  }
  return b.finish()
}

private func expectAnswers(
  _ question: Question, _ dtype: DType, _ block: Block, _ loaded: LoadedKernel, symbolic: Bool, _ label: String,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  var numbers = Numbers(UInt64(block.length * 31 + block.inner))
  let count = block.outer * block.length * block.inner
  let input = (0..<count).map { _ in element(dtype, &numbers) }
  var expected: [[ScalarValue]] = []
  for outer in 0..<block.outer {
    for inner in 0..<block.inner {
      func place(_ i: Int, _ length: Int) -> Int { (outer * length + i) * block.inner + inner }
      let line = (0..<block.length).map { input[place($0, block.length)] }
      for (result, answer) in question.answers(line, dtype).enumerated() {
        if expected.count <= result {
          expected.append(.init(repeating: .integer(-1), count: block.outer * answer.count * block.inner))
        }
        for (i, value) in answer.enumerated() { expected[result][place(i, answer.count)] = value }
      }
    }
  }
  let outputType: DType = question == .scans ? dtype : .i64
  let outputs = expected.map { TestBuffer([UInt8](repeating: 0x5a, count: $0.count * outputType.size)) }
  let fault = try loaded.run([TestBuffer(bytes(input, dtype))] + outputs, symbolic ? block.shape : [])
  #expect(fault[0] == 0)
  for (result, output) in outputs.enumerated() {
    let actual = values(output.array(), outputType)
    // Exponentials and logarithms of f64 are ours there and libm's here.
    let isRounded = question == .scans && dtype == .f64 && Question.monoids(dtype)[result] == .logSumExp
    let wrong = actual.indices.first {
      actual[$0] != expected[result][$0] && !(isNaN(actual[$0]) && isNaN(expected[result][$0]))
        && !(isRounded && isClose(actual[$0], expected[result][$0]))
    }
    if let wrong {
      Issue.record(
        "\(label) \(dtype) \(block.shape) result \(result) [\(wrong)]: \(actual[wrong]), not \(expected[result][wrong])",
        sourceLocation: sourceLocation)
      return
    }
  }
}

/// The tile has the line's axis alone, last, first, and in the middle.
private func blocks(_ length: Int) -> [Block] {
  [
    Block(outer: 1, length: length, inner: 1, rank: 1), Block(outer: 3, length: length, inner: 1, rank: 2),
    Block(outer: 1, length: length, inner: 21, rank: 2), Block(outer: 2, length: length, inner: 5, rank: 3),
  ]
}

@Test(arguments: runnableTargets, DType.allCases.filter { !$0.isStorageOnly })
func positions_scans_and_orders_of_lines_of_any_length(_ target: TargetDescription, _ dtype: DType) throws {
  for question in Question.allCases {
    for pattern in blocks(1) {
      let loaded = try LoadedKernel(kernel(question, dtype, pattern, symbolic: true), target)
      for length in [0, 1, 2, 15, 16, 17, 70] {
        var block = pattern
        block.length = length
        try expectAnswers(question, dtype, block, loaded, symbolic: true, "\(target.name) \(question)")
      }
    }
  }
}

@Test(arguments: runnableTargets, [DType.bool, .i64, .bf16, .f32])
func positions_scans_and_orders_of_constant_extents(_ target: TargetDescription, _ dtype: DType) throws {
  for question in Question.allCases {
    let more = [
      Block(outer: 1, length: 1, inner: 1, rank: 1), Block(outer: 1, length: 16, inner: 1, rank: 1),
      Block(outer: 1, length: 16, inner: 21, rank: 2), Block(outer: 2, length: 6, inner: 64, rank: 3),
    ]
    for block in blocks(17) + more {
      let loaded = try LoadedKernel(kernel(question, dtype, block, symbolic: false), target)
      try expectAnswers(question, dtype, block, loaded, symbolic: false, "\(target.name) \(question)")
    }
  }
}

@Test(arguments: runnableTargets)
func costly_and_transposed_operands_are_the_same_lines(_ target: TargetDescription) throws {
  // Exact arithmetic that costs enough to be kept in memory, and two transpositions that undo each other.
  for question in Question.allCases {
    for block in blocks(1) {
      let made = kernel(question, .f64, block, symbolic: true) { b, x in
        let two = b.splat(ScalarConstant(.f64, 2), b.shape(x))
        let half = b.splat(ScalarConstant(.f64, 0.5), b.shape(x))
        let order = Array(b.shape(x).indices.reversed())
        let turned = b.transpose(b.map(.multiply, [b.map(.multiply, [x, two]), half]), order)
        return b.transpose(turned, order)
      }
      let loaded = try LoadedKernel(made, target)
      for length in [1, 17, 40] {
        var block = block
        block.length = length
        try expectAnswers(question, .f64, block, loaded, symbolic: true, "\(target.name) \(question)")
      }
    }
  }
}

@Test(arguments: runnableTargets)
func long_lines_sort_and_find_their_extremes(_ target: TargetDescription) throws {
  let block = Block(outer: 2, length: 5000, inner: 1, rank: 2)
  // Keys of 32 and of 64 bits.
  for dtype in [DType.f32, .f64] {
    for question in [Question.orders, .positions] {
      let loaded = try LoadedKernel(kernel(question, dtype, block, symbolic: true), target)
      try expectAnswers(question, dtype, block, loaded, symbolic: true, "\(target.name) \(question)")
    }
  }
}

@Test(arguments: runnableTargets)
func a_guarded_store_keeps_only_what_it_asks_for(_ target: TargetDescription) throws {
  // Blocks of 32 of a row: running sums start again in each.
  var b = KernelBuilder(name: "blocked_scan")
  let n = b.argument("n")
  let x = b.contiguous("x", .i32, [n], role: .input)
  let y = b.contiguous("y", .i32, [n], role: .output)
  let z = b.contiguous("z", .i64, [n], role: .output)
  let grid = b.index(.ceilDivide, n, 32)
  b.phase([grid]) { b, id in
    let axes = [AxisMap(b.index(.multiply, id[0], 32), tileAxis: 0, guarded: true)]
    let u = b.load(Access(x, axes), [.constant(32)])
    b.store(Access(y, axes), b.scan(.sum, 0, u))
    b.store(Access(z, axes), b.argScan(.maximum, 0, u))
  }
  let kernel = try LoadedKernel(b.finish(), target)
  for n in [0, 1, 31, 32, 33, 70] {
    let x = (0..<n).map { Int32($0 * 7 % 11) }
    let buffers = [
      TestBuffer(x), TestBuffer([Int32](repeating: -1, count: n)), TestBuffer([Int64](repeating: -1, count: n)),
    ]
    try kernel.run(buffers, [n], chunk: 1)
    var sums: [Int32] = []
    var places: [Int64] = []
    for i in 0..<n {
      let first = i / 32 * 32
      sums.append(x[first...i].reduce(0, +))
      let most = x[first...i].max()
      places.append(Int64(x[first...i].lastIndex { $0 == most } ?? 0) - Int64(first))
    }
    #expect(buffers[1].array() == sums, "n \(n)")
    #expect(buffers[2].array() == places, "n \(n)")
  }
}

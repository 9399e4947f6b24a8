// Operations of the interpreter that look across elements: shapes, reductions, scans, sorting, dot.
// All but dot bring the axis they work on to the end, line by line, and put results back.
// Surprise: float reductions combine pairwise, as a vector machine's accumulators would, not from left to right.
import Basics
import Scalars
import TensorTypes

/// Elements in another order: extents, and for each axis the step in the tile's own memory.
private struct Reordering {
  var extents: [Int]
  var strides: [Int]

  /// Calls `body` with the offset of each element, the last axis fastest.
  @inline(__always)
  func forEachOffset(_ body: (Int) -> Void) {
    guard !extents.contains(0) else { return }
    var position = Array(repeating: 0, count: extents.count)
    let last = extents.count - 1
    let (inner, step) = last < 0 ? (1, 0) : (extents[last], strides[last])
    var base = 0
    while true {
      for j in 0..<inner { body(base + j * step) }
      var axis = last - 1
      while axis >= 0 {
        position[axis] += 1
        base += strides[axis]
        if position[axis] < extents[axis] { break }
        base -= strides[axis] * extents[axis]
        position[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}

extension TileMachine {
  /// The order in which `axes` run fastest.
  fileprivate func order(_ tile: Int, lastAxes axes: [Int]) -> Reordering {
    let all = Array(0..<tiles[tile].rank)
    let order = all.filter { !axes.contains($0) } + axes.sorted()
    let (extents, strides) = (extents(tile), strides(tile))
    return Reordering(extents: order.map { extents[$0] }, strides: order.map { strides[$0] })
  }

  /// A tile's elements, lines along `axes` contiguous, in temporary 0.
  fileprivate func lines(_ tile: Int, _ axes: [Int]) -> (words: Words, lineCount: Int, length: Int) {
    let words = temporary(0, tiles[tile].count)
    let source = tiles[tile].words
    var next = 0
    order(tile, lastAxes: axes).forEachOffset { offset in
      words[next] = source[offset]
      next += 1
    }
    let length = axes.reduce(1) { $0 * tiles[tile].extents[$1] }
    let lineCount = (0..<tiles[tile].rank).reduce(1) { axes.contains($1) ? $0 : $0 * tiles[tile].extents[$1] }
    return (words, lineCount, length)
  }

  /// Lines along `axis` back into a tile of the same extents as they were taken from.
  fileprivate func scatterLines(_ lines: Words, _ axis: Int, to tile: Int) {
    let target = tiles[tile].words
    var next = 0
    order(tile, lastAxes: [axis]).forEachOffset { offset in
      target[offset] = lines[next]
      next += 1
    }
  }
}

extension InterpretedKernel {
  static func broadcast(_ id: Int, _ shape: [Extent], _ source: Int) -> MachineStep {
    { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let extents = machine.extents(id)
      var strides = machine.strides(source)
      for axis in strides.indices where machine.tiles[source].extents[axis] == 1 { strides[axis] = 0 }
      let (input, output) = (machine.tiles[source].words, machine.tiles[id].words)
      var next = 0
      Reordering(extents: extents, strides: strides).forEachOffset { offset in
        output[next] = input[offset]
        next += 1
      }
    }
  }

  static func transpose(_ id: Int, _ shape: [Extent], _ source: Int, _ permutation: [Int]) -> MachineStep {
    { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let strides = machine.strides(source)
      let (input, output) = (machine.tiles[source].words, machine.tiles[id].words)
      var next = 0
      Reordering(extents: machine.extents(id), strides: permutation.map { strides[$0] }).forEachOffset { offset in
        output[next] = input[offset]
        next += 1
      }
    }
  }

  static func reduce(
    _ id: Int, _ shape: [Extent], _ monoid: Monoid, _ dtype: DType, _ axes: [Int], _ source: Int
  ) -> MachineStep {
    let identity = word(monoid.identity(dtype).value)
    let wide = monoid.keepsErrorsOfParts ? monoid.partialDType(dtype) : dtype
    return { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let (words, lineCount, length) = machine.lines(source, axes)
      let output = machine.tiles[id].words
      for line in 0..<lineCount {
        output[line] = length == 0 ? identity : total(words + line * length, length, monoid, wide)
      }
      if wide != dtype { converted(output, output, lineCount, wide, dtype) }
    }
  }

  private static func total(_ words: Words, _ count: Int, _ monoid: Monoid, _ dtype: DType) -> UInt64 {
    if count <= 8 {
      var sum = words[0]
      for i in 1..<max(count, 1) { sum = combined(monoid, dtype, sum, words[i]) }
      return sum
    }
    let half = count / 2
    return combined(
      monoid, dtype, total(words, half, monoid, dtype), total(words + half, count - half, monoid, dtype))
  }

  static func scan(
    _ id: Int, _ shape: [Extent], _ monoid: Monoid, _ dtype: DType, _ axis: Int, _ source: Int
  ) -> MachineStep {
    { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let (words, lineCount, length) = machine.lines(source, [axis])
      for line in 0..<lineCount {
        running(words + line * length, length, monoid, dtype)
      }
      machine.scatterLines(words, axis, to: id)
    }
  }

  /// What floats have come to is carried in f64 and rounded where it is written; sums of f64 with what they lost.
  private static func running(_ row: Words, _ count: Int, _ monoid: Monoid, _ dtype: DType) {
    guard dtype.isFloating, monoid.accumulates else {
      for i in 1..<max(count, 1) { row[i] = combined(monoid, dtype, row[i - 1], row[i]) }
      return
    }
    // -0 + x is x for every x, 0 included.
    var (total, lost) = (monoid == .sum ? -0.0 : monoid.identity(.f64).doubleValue, 0.0)
    for i in 0..<count {
      let x = Double(bitPattern: row[i])
      let next = monoid.combined(.float(total), .float(x), .f64).doubleValue
      if monoid == .sum {
        let added = next - total
        lost += (total - (next - added)) + (x - added)
      }
      total = next
      let exact = dtype == .f64 && (lost < 0 || lost > 0) ? next + lost : next
      row[i] = ScalarReference.rounded(exact, to: dtype).bitPattern
    }
  }

  // MARK: Positions

  /// Whether `a` comes before `b` in ascending order; NaN is the largest.
  @inline(__always)
  private static func isLess(_ a: UInt64, _ b: UInt64, _ dtype: DType) -> Bool {
    guard dtype.isFloating else { return ScalarReference.isLess(Int64(bitPattern: a), Int64(bitPattern: b), dtype) }
    let (x, y) = (Double(bitPattern: a), Double(bitPattern: b))
    return x < y || (!x.isNaN && y.isNaN)
  }

  private static func isNaN(_ word: UInt64, _ dtype: DType) -> Bool {
    dtype.isFloating && Double(bitPattern: word).isNaN
  }

  /// Whether `candidate` beats `best`; a NaN beats all but a NaN.
  private static func wins(_ candidate: UInt64, over best: UInt64, _ monoid: ArgMonoid, _ dtype: DType) -> Bool {
    if isNaN(best, dtype) { return false }
    if isNaN(candidate, dtype) { return true }
    switch monoid {
    case .maximum: return isLess(best, candidate, dtype)
    case .minimum: return isLess(candidate, best, dtype)
    }
  }

  static func argReduce(
    _ id: Int, _ shape: [Extent], _ monoid: ArgMonoid, _ dtype: DType, _ axis: Int, _ source: Int
  ) -> MachineStep {
    { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let (words, lineCount, length) = machine.lines(source, [axis])
      let output = machine.tiles[id].words
      for line in 0..<lineCount {
        let row = words + line * length
        var best = 0
        for i in 1..<max(length, 1) where wins(row[i], over: row[best], monoid, dtype) { best = i }
        output[line] = UInt64(best)
      }
    }
  }

  static func argScan(
    _ id: Int, _ shape: [Extent], _ monoid: ArgMonoid, _ dtype: DType, _ axis: Int, _ source: Int
  ) -> MachineStep {
    { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let (words, lineCount, length) = machine.lines(source, [axis])
      let positions = machine.temporary(1, machine.tiles[source].count)
      for line in 0..<lineCount {
        let row = words + line * length
        var best = 0
        for i in 0..<length {
          // The last among equals: the new one stays unless the old one is strictly better.
          if !wins(row[best], over: row[i], monoid, dtype) { best = i }
          positions[line * length + i] = UInt64(best)
        }
      }
      machine.scatterLines(positions, axis, to: id)
    }
  }

  static func sortOrder(
    _ id: Int, _ shape: [Extent], _ dtype: DType, _ axis: Int, _ descending: Bool, _ source: Int
  ) -> MachineStep {
    { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let (words, lineCount, length) = machine.lines(source, [axis])
      let positions = machine.temporary(1, machine.tiles[source].count)
      var order = Array(0..<length)
      for line in 0..<lineCount {
        let row = words + line * length
        for i in 0..<length { order[i] = i }
        order.sort { a, b in
          let (first, second) = descending ? (b, a) : (a, b)
          if isLess(row[first], row[second], dtype) { return true }
          return !isLess(row[second], row[first], dtype) && a < b
        }
        for i in 0..<length { positions[line * length + i] = UInt64(order[i]) }
      }
      machine.scatterLines(positions, axis, to: id)
    }
  }

  // MARK: Dot

  static func dot(
    _ id: Int, _ shape: [Extent], _ dtype: DType, accumulator: Int, a: Int, _ aType: DType, b: Int, _ bType: DType
  ) -> MachineStep {
    let rank = shape.count
    return { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let (m, n) = (machine.tiles[id].extents[rank - 2], machine.tiles[id].extents[rank - 1])
      let k = machine.tiles[a].extents[rank - 1]
      guard machine.tiles[id].count > 0 else { return }
      let left = converted(machine, a, aType, dtype, temporary: 0)
      let right = converted(machine, b, bType, dtype, temporary: 1)
      let sums = machine.tiles[id].words
      // 0 is 0 bits in every dtype.
      for i in 0..<(m * n) { sums[i] = 0 }
      for i in 0..<m {
        for p in 0..<k {
          let x = left[i * k + p]
          let (row, output) = (right + p * n, sums + i * n)
          if dtype.isFloating {
            for j in 0..<n {
              let (y, z) = (Double(bitPattern: row[j]), Double(bitPattern: output[j]))
              output[j] = ScalarReference.evaluate(.multiplyAdd, dtype, Double(bitPattern: x), y, z).bitPattern
            }
          } else {
            for j in 0..<n {
              let (y, z) = (Int64(bitPattern: row[j]), Int64(bitPattern: output[j]))
              output[j] = UInt64(
                bitPattern: ScalarReference.evaluate(.multiplyAdd, dtype, Int64(bitPattern: x), y, z) ?? 0)
            }
          }
        }
      }
      let before = machine.tiles[accumulator].words
      for i in 0..<(m * n) { sums[i] = combined(.sum, dtype, before[i], sums[i]) }
    }
  }

  private static func converted(
    _ machine: TileMachine, _ tile: Int, _ from: DType, _ to: DType, temporary: Int
  ) -> Words {
    if from == to { return machine.tiles[tile].words }
    let words = machine.temporary(temporary, machine.tiles[tile].count)
    converted(machine.tiles[tile].words, words, machine.tiles[tile].count, from, to)
    return words
  }
}

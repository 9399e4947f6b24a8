// Random tensors by Philox4x32-10: an element's value depends on the seed and its number, and on nothing else.
// Not a cryptographic source. Surprise: shape, strides and threads do not matter; [2, 3] and [6] drawn from one seed
// have the same elements.
import Basics
import Engine
import GraphIR
import Scalars
import Synchronization
import TensorTypes

private enum Draws {
  /// Word `word` (0 ..< 2^32, as i64) of the element; operands: key, first counter.
  private static func word(_ word: Int, _ position: Term, _ x: [Term]) -> Term {
    (position + x[1]).apply(.philox(word: word), x[0].like(position))
  }

  /// Operands 2...: how many bits are dropped, 2 to the minus of the others, low, high - low (both divided by the factor
  /// where the difference is beyond the dtype), the factor, the largest value below the end.
  static let uniform = GeneratedOperation("uniform") { position, x in
    let bits = word(0, position, x).apply(.shiftRight, x[2])
    return ((bits.converted(to: .f32) * x[3] * x[5] + x[4]) * x[6]).apply(.minimum, x[7])
  }
  static let uniformDouble = GeneratedOperation("uniform f64") { position, x in
    let high = word(0, position, x).apply(.shiftLeft, x[0].constant(21, .i64))
    let low = word(1, position, x).apply(.shiftRight, x[0].constant(11, .i64))
    return (((high + low).converted(to: .f64) * 0x1p-53 * x[5] + x[4]) * x[6]).apply(.minimum, x[7])
  }
  private static func gauss(_ position: Term, _ x: [Term], _ dtype: DType) -> Term {
    // Box-Muller: the first word never is 0, so its logarithm is finite.
    let radius = ((word(0, position, x).converted(to: dtype) + 0.5) * 0x1p-32).minimum(1).log() * -2
    let angle = word(1, position, x).converted(to: dtype) * (0x1p-32 * 2 * Double.pi)
    return radius.maximum(0).sqrt() * angle.apply(.cos)
  }
  /// Operands 2, 3: mean, deviation.
  static let normal = GeneratedOperation("normal") { position, x in gauss(position, x, .f32) * x[3] + x[2] }
  static let normalDouble = GeneratedOperation("normal f64") { position, x in
    gauss(position, x, .f64) * x[3] + x[2]
  }
  /// Operands 2, 3: the first integer, how many.
  static let integers = GeneratedOperation("randint") { position, x in
    let high = word(1, position, x).apply(.and, x[0].constant(0x3fff_ffff, .i64))
    let whole = high.apply(.shiftLeft, x[0].constant(32, .i64)) + word(0, position, x)
    return whole.apply(.remainder, x[3]) + x[2]
  }
  /// As `integers`, for counts that leave few of 2^64 for each: the upper half of a 128-bit product, which spreads the
  /// unevenness over all values and reaches every one.
  static let wideIntegers = GeneratedOperation("randint wide") { position, x in
    func low(_ a: Term) -> Term { a.apply(.and, x[0].constant(0xffff_ffff, .i64)) }
    func high(_ a: Term) -> Term { low(a.apply(.shiftRight, x[0].constant(32, .i64))) }
    let (a, b) = (word(1, position, x), word(0, position, x))
    let (c, d) = (high(x[3]).like(position), low(x[3]).like(position))
    let middle = high(b * d) + low(a * d) + low(b * c)
    return a * c + high(a * d) + high(b * c) + high(middle) + x[2]
  }
  static let bernoulli = GeneratedOperation("bernoulli") { position, x in
    word(0, position, x).converted(to: .f64) * 0x1p-32 .< x[2]
  }
}

extension ScalarReference {
  /// The largest value of a float dtype below `value`, which is within the dtype's range.
  fileprivate static func below(_ value: Double, in dtype: DType) -> Double {
    if dtype == .f64 { return value.nextDown }
    let nearest = rounded(value, to: dtype)
    if nearest < value { return nearest }
    // The first step beyond half of what is between neighbours goes to the lower one.
    var step = Swift.max(nearest.magnitude * 0x1p-26, 0x1p-160)
    while true {
      let lower = rounded(nearest - step, to: dtype)
      if lower < nearest { return lower }
      step *= 2
    }
  }
}

/// A source of random tensors. Equal seeds give equal tensors, on every device and with any number of threads.
///
///     var random = RandomGenerator(seed: 7)
///     let weights = random.normal([128, 64])
///
/// PyTorch: `torch.Generator`.
public struct RandomGenerator: Sendable, Hashable {
  /// What the sequence starts from.
  public let seed: UInt64
  /// How many elements were drawn. Inside `compile` asking is a guard.
  public var drawn: Int64 { Int64((try? position.sizeAtHand) ?? 0) }
  /// The same, which may follow extents from call to call: a generator in the state of a compiled function goes on.
  package var position: Dim = 0

  public init(seed: UInt64) {
    self.seed = seed
    DrawLog.current?.noteGenerator(seed)
  }

  /// Of functions that are given no generator. Seed it with ``Tensor/seed(_:)``.
  static let shared = Mutex(RandomGenerator(seed: 0))

  private mutating func draw(
    _ operation: GeneratedOperation, _ shape: [Dim], _ dtype: DType, _ numbers: [ScalarConstant],
    _ file: StaticString, _ line: UInt
  ) -> Tensor {
    let key = Int64(bitPattern: seed)
    var count: Dim = 0
    let result = Tensor.attempt(file, line, of: []) { () throws(Diagnostic) in
      let extents = try Tensor.extents(shape, operation.name)
      let made = try operation(
        dtype, extents,
        numbers: [ScalarOperand(ScalarConstant(.i64, integer: key)), counter()]
          + numbers.map { ScalarOperand($0) }, dims: shape)
      count = made.elementCount
      return made
    }
    DrawLog.current?.noteDraw(seed, from: position, to: position + count)
    position += count
    return result
  }

  /// The number of the next element.
  private func counter() throws(Diagnostic) -> ScalarOperand {
    if let first = position.knownValue { return ScalarOperand(.i64, bits: Int64(first)) }
    return ScalarOperand(.i64, bits: 0, count: SymbolicCount(position))
  }

  /// Evenly distributed in `range`, its end excluded; of a float dtype that holds both bounds. PyTorch: `rand`, `uniform_`.
  public mutating func uniform(
    _ shape: [Dim], in range: Range<Double> = 0..<1, dtype: DType = .f32, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    let (low, high) = (range.lowerBound, range.upperBound)
    guard dtype.isFloating, [low, high].allSatisfy({ Self.isHeld($0, by: dtype) }) else {
      return Tensor.failed(
        Diagnostic(
          .argument, "uniform: \(dtype) does not hold numbers in \(low)..<\(high)",
          remedy: "give a float dtype and finite bounds within it; integers are drawn with integers(_:in:)"), file, line
      )
    }
    // As many bits as the dtype holds: more would be rounded to few values, unevenly.
    let bits = dtype == .f16 ? 11 : dtype == .bf16 ? 8 : 24
    let compute: DType = dtype == .f64 ? .f64 : .f32
    let factor = ScalarReference.rounded(high - low, to: compute).isFinite ? 1.0 : 2
    let numbers = [
      ScalarConstant(.i64, integer: Int64(32 - bits)), ScalarConstant(.f32, 1 / Double(1 << bits)),
      ScalarConstant(compute, low / factor), ScalarConstant(compute, high / factor - low / factor),
      ScalarConstant(compute, factor),
      // The sum may be rounded up to the end, and once more when it is written.
      ScalarConstant(compute, low < high ? ScalarReference.below(high, in: dtype) : high),
    ]
    return draw(dtype == .f64 ? Draws.uniformDouble : Draws.uniform, shape, dtype, numbers, file, line)
  }

  private static func isHeld(_ bound: Double, by dtype: DType) -> Bool {
    bound.isFinite && ScalarReference.rounded(bound, to: dtype).isFinite
  }

  /// Normally distributed; of a float dtype. PyTorch: `randn`, `normal`.
  public mutating func normal(
    _ shape: [Dim], mean: Double = 0, deviation: Double = 1, dtype: DType = .f32, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    guard dtype.isFloating, deviation >= 0 else {
      return Tensor.failed(
        Diagnostic(
          .argument, "normal: \(dtype) with a deviation of \(deviation)",
          remedy: "give a float dtype and a deviation that is not negative"), file, line)
    }
    let compute: DType = dtype == .f64 ? .f64 : .f32
    return draw(
      dtype == .f64 ? Draws.normalDouble : Draws.normal, shape, dtype,
      [ScalarConstant(compute, mean), ScalarConstant(compute, deviation)], file, line)
  }

  /// Integers of `range`, its end excluded; of a dtype that holds them. PyTorch: `randint`.
  public mutating func integers(
    _ shape: [Dim], in range: Range<Int>, dtype: DType = .i64, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let (count, overflows) = range.upperBound.subtractingReportingOverflow(range.lowerBound)
    guard !range.isEmpty, !overflows else {
      return Tensor.failed(
        Diagnostic(.argument, "randint: the range \(range) cannot be drawn from", remedy: "give a range with elements"),
        file, line)
    }
    // As PyTorch: what the dtype cannot hold is no number of the range any more.
    let held: ClosedRange<Int> =
      dtype == .f16
      ? -65504...65504 : dtype.integerRange.map { Int($0.lowerBound)...Int($0.upperBound) } ?? Int.min...Int.max
    guard held.contains(range.lowerBound), held.contains(range.upperBound - 1) else {
      return Tensor.failed(
        Diagnostic(
          .argument, "randint: \(dtype) cannot hold the numbers of \(range)",
          remedy: "give a range within \(held), or a wider dtype"), file, line)
    }
    // Of 2^62 a count of 2^40 leaves no value more often than others by a millionth.
    return draw(
      count > 1 << 40 ? Draws.wideIntegers : Draws.integers, shape, dtype,
      [ScalarConstant(.i64, integer: Int64(range.lowerBound)), ScalarConstant(.i64, integer: Int64(count))], file, line)
  }

  /// True with the given probability. PyTorch: `bernoulli`.
  public mutating func bernoulli(
    _ shape: [Dim], probability: Double, dtype: DType = .bool, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    guard (0...1).contains(probability) else {
      return Tensor.failed(
        Diagnostic(.argument, "bernoulli: the probability \(probability) is outside 0...1", remedy: "give 0...1"),
        file, line)
    }
    return draw(Draws.bernoulli, shape, dtype, [ScalarConstant(.f64, probability)], file, line)
  }

  /// 0 ..< count in random order (i64). PyTorch: `randperm`.
  public mutating func permutation(_ count: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    integers([Dim(count)], in: 0..<Int.max, file: file, line: line).argsorted(0, file: file, line: line)
  }
}

extension Tensor {
  /// Starts the sequence of all functions that are given no generator. PyTorch: `manual_seed`.
  public static func seed(_ seed: UInt64) { RandomGenerator.shared.withLock { $0 = RandomGenerator(seed: seed) } }

  /// Evenly distributed in 0 ..< 1. PyTorch: `rand`.
  public static func random(
    _ shape: [Dim], dtype: DType = .f32, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { RandomGenerator.shared.withLock { $0.uniform(shape, dtype: dtype, file: file, line: line) } }

  /// Normally distributed with mean 0 and deviation 1. PyTorch: `randn`.
  public static func randomNormal(
    _ shape: [Dim], dtype: DType = .f32, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { RandomGenerator.shared.withLock { $0.normal(shape, dtype: dtype, file: file, line: line) } }

  /// Integers of `range`. PyTorch: `randint`.
  public static func randomIntegers(
    _ shape: [Dim], in range: Range<Int>, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { RandomGenerator.shared.withLock { $0.integers(shape, in: range, file: file, line: line) } }

  /// 0 with the given probability, else x / (1 - probability). PyTorch: `nn.functional.dropout`.
  public func dropout(
    _ probability: Double, using random: inout RandomGenerator, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if failure != nil { return self }
    guard (0...1).contains(probability) else {
      return Tensor.failed(
        Diagnostic(.argument, "dropout: the probability \(probability) is outside 0...1", remedy: "give 0...1"),
        file, line)
    }
    let kept = random.bernoulli(shape.dims, probability: 1 - probability, file: file, line: line)
    let scaled = Arithmetic.multiply(
      file, line, operand, .scalar(.floating(probability < 1 ? 1 / (1 - probability) : 0)))
    return Tensor.select(kept, scaled, 0, file: file, line: line)
  }
}

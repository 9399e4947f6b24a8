// Reductions: sums, means, extremes, truth, variances, norms. Not scans or sorts.
// Surprise: each is one launch over coalesced axes, however many statistics it needs; counts are launch arguments.
import Basics
import Engine
import GraphIR
import Scalars
import TensorTypes

private enum Reductions {
  static let sum = RowOperation(.sum)
  static let product = RowOperation(.product)
  static let minimum = RowOperation(.minimum)
  static let maximum = RowOperation(.maximum)
  static let all = RowOperation("all") { x in [x[0].truth.reduced(.and)] }
  static let any = RowOperation("any") { x in [x[0].truth.reduced(.or)] }
  static let countNonzero = RowOperation("count nonzero") { x in [x[0].truth.converted(to: .i64).sum()] }
  static let extremes = RowOperation("aminmax") { x in [x[0].min(), x[0].max()] }
  static let mean = RowOperation("mean") { x in [x[0].sum() / x[1]] }
  static let sumOfNumbers = RowOperation("nansum") { x in [x[0].isNaN.select(0, x[0]).sum()] }
  static let meanOfNumbers = RowOperation("nanmean") { x in
    let count = x[0].isNaN.select(0, x[0].constant(1)).sum()
    return [x[0].isNaN.select(0, x[0]).sum() / count]
  }
  /// Operands: x, the count, the correction. Results: variance, mean.
  static let variance = RowOperation("var_mean") { x in
    let mean = x[0].sum() / x[1]
    return [(x[0] - mean).squared().sum() / freedom(x[1], x[2]), mean]
  }
  static let deviation = RowOperation("std_mean") { x in
    let mean = x[0].sum() / x[1]
    return [((x[0] - mean).squared().sum() / freedom(x[1], x[2])).sqrt(), mean]
  }
  /// In the kernel, so that one plan is right on both sides of 0.
  private static func freedom(_ count: Term, _ correction: Term) -> Term {
    (count - correction).maximum(count.constant(0))
  }
  static let logSumExp = RowOperation("logsumexp") { x in
    let peak = x[0].max()
    // An infinite peak would give infinity - infinity.
    let shift = peak.apply(.isFinite).select(peak, 0)
    return [(x[0] - shift).exp().sum().log() + shift]
  }
  static let norm2 = RowOperation("norm 2") { x in [x[0].squared().sum().sqrt()] }
  static let norm1 = RowOperation("norm 1") { x in [x[0].abs().sum()] }
  static let norm0 = RowOperation("norm 0") { x in [(x[0] .!= 0).converted(to: x[0].dtype).sum()] }
  static let normMaximum = RowOperation("norm inf") { x in [x[0].abs().max()] }
  static let normMinimum = RowOperation("norm -inf") { x in [x[0].abs().min()] }
  static let normPower = RowOperation("norm p") { x in [x[0].abs().power(x[1]).sum().power(1 / x[1])] }
}

/// How many of a reduction's elements do not count as degrees of freedom.
enum ReducedShape {
  /// Elements that one result combines.
  static func count(_ extents: [Int], _ axes: [Int]) -> Int { axes.reduce(1) { $0 * extents[$1] } }
}

extension Tensor {
  /// Runs `operation` over `axes` (empty: all); results in order, with extents of 1 where `keepDims`.
  package func reducing(
    _ operation: RowOperation, _ axes: [Int], keepDims: Bool, compute: DType?, results: [DType],
    needsElements: Bool = false, numbers: (_ count: Int) -> [Double] = { _ in [] }
  ) throws(Diagnostic) -> [Tensor] {
    let source = try view
    let reduced = try resolvedAxes(axes.isEmpty ? nil : axes, rank: source.rank, operation.name)
    let axesInRange = source.rank == 0 ? [] : reduced
    let count = ReducedShape.count(source.hints, axesInRange)
    // Whether there are elements is a guard.
    if needsElements, axesInRange.contains(where: { source.dim($0) == 0 }),
      source.hints.indices.allSatisfy({ axesInRange.contains($0) || source.dim($0) != 0 })
    {
      throw Diagnostic(
        .shape, "\(operation.name): axes \(axesInRange) of \(source.hints) have no element",
        remedy: "this reduction has no identity: give it at least one element")
    }
    var operands: [PointwiseOperand] = [.tensor(self)]
    let extent = axesInRange.reduce(Dim(1)) { $0 * source.dims[$1] }
    for (number, next) in zip(numbers(count), numbers(count + 1)) {
      // A count that a capture knows as a symbol must not become a number of the graph.
      let offset = number - Double(count)
      if extent.knownValue == nil, next == number + 1, offset.magnitude < 1e9,
        Dim.asks(.lessOrEqual, Dim(Int((-offset).rounded(.up))), extent)
      {
        operands.append(.count(SymbolicCount(extent, offset: offset)))
      } else {
        // A count that ended at 0 goes on from some size on.
        if number == 0 { _ = try extent.sizeAtHand }
        operands.append(.scalar(.floating(number)))
      }
    }
    let made = try operation(
      operands, domain: source.hints, axes: axesInRange, compute: compute, results.map { .reduced($0) })
    guard keepDims else { return made }
    var kept: [Tensor] = []
    for result in made { kept.append(Tensor(try result.view.keepingDims(axesInRange))) }
    return kept
  }

  private func reduce(
    _ operation: RowOperation, _ axes: [Int], _ keepDims: Bool, compute: DType? = nil, result: DType? = nil,
    needsElements: Bool = false, _ file: StaticString, _ line: UInt, numbers: (_ count: Int) -> [Double] = { _ in [] }
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      try reducing(
        operation, axes, keepDims: keepDims, compute: compute, results: [result ?? compute ?? dtype],
        needsElements: needsElements, numbers: numbers)[0]
    }
  }

  /// What sums and products of this dtype give: integers count in i64.
  private var sumDType: DType { dtype.isFloating ? dtype : .i64 }

  /// The sum along `axes` (none named: all); integers give i64. PyTorch: `sum`.
  public func sum(
    _ axes: Int..., keepDims: Bool = false, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { sum(axes: axes, keepDims: keepDims, dtype: dtype, file: file, line: line) }

  /// The sum along `axes` (empty: all); integers give i64. PyTorch: `sum`.
  public func sum(
    axes: [Int], keepDims: Bool = false, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let result = dtype ?? sumDType
    return reduce(Reductions.sum, axes, keepDims, compute: result.computeDType, result: result, file, line)
  }

  /// The product along `axes` (none named: all); integers give i64. PyTorch: `prod`.
  public func product(
    _ axes: Int..., keepDims: Bool = false, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { product(axes: axes, keepDims: keepDims, dtype: dtype, file: file, line: line) }

  /// The product along `axes` (empty: all); integers give i64. PyTorch: `prod`.
  public func product(
    axes: [Int], keepDims: Bool = false, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let result = dtype ?? sumDType
    return reduce(Reductions.product, axes, keepDims, compute: result.computeDType, result: result, file, line)
  }

  /// The mean along `axes` (none named: all). PyTorch: `mean`.
  public func mean(
    _ axes: Int..., keepDims: Bool = false, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { mean(axes: axes, keepDims: keepDims, dtype: dtype, file: file, line: line) }

  /// The mean along `axes` (empty: all). PyTorch: `mean`.
  public func mean(
    axes: [Int], keepDims: Bool = false, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let result = (dtype ?? self.dtype).floatingResult
    return reduce(Reductions.mean, axes, keepDims, compute: result.computeDType, result: result, file, line) {
      [Double($0)]
    }
  }

  /// The sum of the elements that are not NaN. PyTorch: `nansum`.
  public func sumIgnoringNaN(
    _ axes: Int..., keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { sumIgnoringNaN(axes: axes, keepDims: keepDims, file: file, line: line) }

  /// The sum of the elements that are not NaN. PyTorch: `nansum`.
  public func sumIgnoringNaN(
    axes: [Int], keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    guard dtype.isFloating else { return sum(axes: axes, keepDims: keepDims, file: file, line: line) }
    return reduce(Reductions.sumOfNumbers, axes, keepDims, compute: dtype.computeDType, result: dtype, file, line)
  }

  /// The mean of the elements that are not NaN. PyTorch: `nanmean`.
  public func meanIgnoringNaN(
    _ axes: Int..., keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { meanIgnoringNaN(axes: axes, keepDims: keepDims, file: file, line: line) }

  /// The mean of the elements that are not NaN. PyTorch: `nanmean`.
  public func meanIgnoringNaN(
    axes: [Int], keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let result = dtype.floatingResult
    return reduce(Reductions.meanOfNumbers, axes, keepDims, compute: result.computeDType, result: result, file, line)
  }

  /// The largest element along `axes` (none named: all); NaN wins. PyTorch: `amax`.
  public func max(
    _ axes: Int..., keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { max(axes: axes, keepDims: keepDims, file: file, line: line) }

  /// The largest element along `axes` (empty: all); NaN wins. PyTorch: `amax`.
  public func max(
    axes: [Int], keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { reduce(Reductions.maximum, axes, keepDims, needsElements: true, file, line) }

  /// The smallest element along `axes` (none named: all); NaN wins. PyTorch: `amin`.
  public func min(
    _ axes: Int..., keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { min(axes: axes, keepDims: keepDims, file: file, line: line) }

  /// The smallest element along `axes` (empty: all); NaN wins. PyTorch: `amin`.
  public func min(
    axes: [Int], keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { reduce(Reductions.minimum, axes, keepDims, needsElements: true, file, line) }

  /// The smallest and the largest element, in one pass. PyTorch: `aminmax`.
  public func extremes(
    _ axes: Int..., keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> (min: Tensor, max: Tensor) { extremes(axes: axes, keepDims: keepDims, file: file, line: line) }

  /// The smallest and the largest element, in one pass. PyTorch: `aminmax`.
  public func extremes(
    axes: [Int], keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> (min: Tensor, max: Tensor) {
    Self.attemptAll(file, line, of: [self], onFailure: { ($0, $0) }, tensors: { [$0.0, $0.1] }) {
      () throws(Diagnostic) in
      let both = try reducing(
        Reductions.extremes, axes, keepDims: keepDims, compute: nil, results: [dtype, dtype], needsElements: true)
      return (both[0], both[1])
    }
  }

  /// Whether all elements along `axes` are not 0. PyTorch: `all`.
  public func all(
    _ axes: Int..., keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { all(axes: axes, keepDims: keepDims, file: file, line: line) }

  /// Whether all elements along `axes` are not 0. PyTorch: `all`.
  public func all(
    axes: [Int], keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { reduce(Reductions.all, axes, keepDims, result: .bool, file, line) }

  /// Whether an element along `axes` is not 0. PyTorch: `any`.
  public func any(
    _ axes: Int..., keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { any(axes: axes, keepDims: keepDims, file: file, line: line) }

  /// Whether an element along `axes` is not 0. PyTorch: `any`.
  public func any(
    axes: [Int], keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { reduce(Reductions.any, axes, keepDims, result: .bool, file, line) }

  /// How many elements along `axes` are not 0 (i64). PyTorch: `count_nonzero`.
  public func countNonzero(
    _ axes: Int..., keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { countNonzero(axes: axes, keepDims: keepDims, file: file, line: line) }

  /// How many elements along `axes` are not 0 (i64). PyTorch: `count_nonzero`.
  public func countNonzero(
    axes: [Int], keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { reduce(Reductions.countNonzero, axes, keepDims, result: .i64, file, line) }

  // MARK: Spread

  private func spread(
    _ operation: RowOperation, _ axes: [Int], _ correction: Double, _ keepDims: Bool, _ file: StaticString,
    _ line: UInt
  ) -> (Tensor, mean: Tensor) {
    Self.attemptAll(file, line, of: [self], onFailure: { ($0, $0) }, tensors: { [$0.0, $0.1] }) {
      () throws(Diagnostic) in
      let result = dtype.floatingResult
      // In f64: squares of what f32 holds must not overflow, nor differences of large elements lose what they differ by.
      let both = try reducing(
        operation, axes, keepDims: keepDims, compute: .f64, results: [result, result]
      ) { [Double($0), correction] }
      return (both[0], both[1])
    }
  }

  /// The variance along `axes` (none named: all), divided by the count less `correction`. PyTorch: `var`.
  public func variance(
    _ axes: Int..., correction: Double = 1, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { variance(axes: axes, correction: correction, keepDims: keepDims, file: file, line: line) }

  /// The variance along `axes` (empty: all), divided by the count less `correction`. PyTorch: `var`.
  public func variance(
    axes: [Int], correction: Double = 1, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { spread(Reductions.variance, axes, correction, keepDims, file, line).0 }

  /// The square root of the variance. PyTorch: `std`.
  public func standardDeviation(
    _ axes: Int..., correction: Double = 1, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { standardDeviation(axes: axes, correction: correction, keepDims: keepDims, file: file, line: line) }

  /// The square root of the variance. PyTorch: `std`.
  public func standardDeviation(
    axes: [Int], correction: Double = 1, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { spread(Reductions.deviation, axes, correction, keepDims, file, line).0 }

  /// Variance and mean, in one launch. PyTorch: `var_mean`.
  public func varianceAndMean(
    _ axes: Int..., correction: Double = 1, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> (variance: Tensor, mean: Tensor) {
    varianceAndMean(axes: axes, correction: correction, keepDims: keepDims, file: file, line: line)
  }

  /// Variance and mean, in one launch. PyTorch: `var_mean`.
  public func varianceAndMean(
    axes: [Int], correction: Double = 1, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> (variance: Tensor, mean: Tensor) {
    let both = spread(Reductions.variance, axes, correction, keepDims, file, line)
    return (both.0, both.mean)
  }

  /// Standard deviation and mean, in one launch. PyTorch: `std_mean`.
  public func standardDeviationAndMean(
    _ axes: Int..., correction: Double = 1, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> (standardDeviation: Tensor, mean: Tensor) {
    standardDeviationAndMean(axes: axes, correction: correction, keepDims: keepDims, file: file, line: line)
  }

  /// Standard deviation and mean, in one launch. PyTorch: `std_mean`.
  public func standardDeviationAndMean(
    axes: [Int], correction: Double = 1, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> (standardDeviation: Tensor, mean: Tensor) {
    let both = spread(Reductions.deviation, axes, correction, keepDims, file, line)
    return (both.0, both.mean)
  }

  // MARK: Sizes

  /// log of the sum of e^x along `axes`, without overflow. PyTorch: `logsumexp`.
  public func logSumExp(
    _ axes: Int..., keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { logSumExp(axes: axes, keepDims: keepDims, file: file, line: line) }

  /// log of the sum of e^x along `axes`, without overflow. PyTorch: `logsumexp`.
  public func logSumExp(
    axes: [Int], keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let result = dtype.floatingResult
    return reduce(Reductions.logSumExp, axes, keepDims, compute: result.computeDType, result: result, file, line)
  }

  /// The p-norm of the elements along `axes` (none named: all); p may be 0 or infinite. PyTorch: `norm`.
  public func norm(
    _ axes: Int..., p: Double = 2, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { norm(axes: axes, p: p, keepDims: keepDims, file: file, line: line) }

  /// The p-norm of the elements along `axes` (empty: all); p may be 0 or infinite. PyTorch: `linalg.vector_norm`.
  public func norm(
    axes: [Int], p: Double = 2, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let result = dtype.floatingResult
    let operation: RowOperation =
      switch p {
      case 2: Reductions.norm2
      case 1: Reductions.norm1
      case 0: Reductions.norm0
      case .infinity: Reductions.normMaximum
      case -.infinity: Reductions.normMinimum
      default: Reductions.normPower
      }
    let needsP = operation === Reductions.normPower
    return reduce(operation, axes, keepDims, compute: result.computeDType, result: result, file, line) { _ in
      needsP ? [p] : []
    }
  }

  /// The p-norm of the difference. PyTorch: `dist`.
  public func distance(
    to other: Tensor, p: Double = 2, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Arithmetic.subtract(file, line, operand, other.operand).norm(p: p, file: file, line: line)
  }
}

// Normalisation layers: statistics and the rescaled elements in one launch.
// Surprise: a layer with running statistics takes and gives them as values; nothing is changed behind the
// caller's back.
import Basics
import Engine
import GraphIR
import TensorTypes

/// A row operation for each choice of a weight and a bias; their operands come last, in this order.
private struct AffineOperation: Sendable {
  private let variants: [RowOperation]

  init(_ name: String, _ formula: @escaping @Sendable ([Term]) -> (result: Term, statistics: [Term]), plain: Int) {
    variants = (0..<4).map { choice in
      RowOperation("\(name) \(choice & 1 != 0 ? "weight" : "")\(choice & 2 != 0 ? "bias" : "")") { x in
        var (result, statistics) = formula(x)
        var next = plain
        if choice & 1 != 0 {
          result = result * x[next]
          next += 1
        }
        if choice & 2 != 0 { result = result + x[next] }
        return [result] + statistics
      }
    }
  }

  /// The variant and its operands.
  func callAsFunction(
    _ operands: [PointwiseOperand], weight: Tensor?, bias: Tensor?, domain: [Int], axes: [Int], dtype: DType,
    statistics: Int
  ) throws(Diagnostic) -> [Tensor] {
    let operation = variants[(weight == nil ? 0 : 1) + (bias == nil ? 0 : 2)]
    let affine = [weight, bias].compactMap { $0.map { PointwiseOperand.tensor($0) } }
    return try operation(
      operands + affine, domain: domain, axes: axes, compute: dtype.computeDType,
      [.full(dtype)] + (0..<statistics).map { _ in .reduced(dtype) })
  }
}

private enum Norms {
  /// Operands: x, the count, epsilon.
  static let moments = AffineOperation(
    "norm",
    { x in
      let mean = x[0].sum() / x[1]
      let centred = x[0] - mean
      let scale = (centred.squared().sum() / x[1] + x[2]).apply(.reciprocalSquareRoot)
      return (centred * scale, [mean, scale])
    }, plain: 3)
  static let batchMoments = AffineOperation(
    "batch norm",
    { x in
      let mean = x[0].sum() / x[1]
      let centred = x[0] - mean
      let variance = centred.squared().sum() / x[1]
      let scale = (variance + x[2]).apply(.reciprocalSquareRoot)
      return (centred * scale, [mean, scale, variance])
    }, plain: 3)
  static let rootMeanSquare = AffineOperation(
    "rms norm",
    { x in
      let scale = (x[0].squared().sum() / x[1] + x[2]).apply(.reciprocalSquareRoot)
      return (x[0] * scale, [])
    }, plain: 3)
  /// Operands: x, mean, variance, epsilon, then weight and bias.
  static let fixed = (0..<4).map { choice in
    PointwiseOperation("norm by running \(choice)", .floating) { x in
      var result = (x[0] - x[1]) * (x[2] + x[3]).apply(.reciprocalSquareRoot)
      if choice & 1 != 0 { result = result * x[4] }
      if choice & 2 != 0 { result = result + x[x.count - 1] }
      return result
    }
  }
  /// Operands: the running mean or variance, the batch's, the momentum, a factor.
  static let running = PointwiseOperation("running statistic", .floating) { x in
    x[0] * (1 - x[2]) + x[1] * x[2] * x[3]
  }
  static let normalize = RowOperation("normalize") { x in [x[0] / x[0].squared().sum().sqrt().maximum(x[1])] }
  static let responseDivided = PointwiseOperation("local response", .floating) { x in
    x[0] / (x[1] * x[2] + x[3]).power(x[4])
  }
}

extension DType {
  /// The distance from 1 to the next number.
  fileprivate var spacing: Double { self == .f64 ? Double.ulpOfOne : Double(Float.ulpOfOne) }
}

/// What batch normalisation gives: the elements, and the statistics of the batch.
public struct BatchNormResult: Sendable {
  public var output: Tensor
  /// One mean for each channel; without elements where running statistics were used.
  public var mean: Tensor
  /// 1 / sqrt(variance + epsilon) for each channel; without elements where running statistics were used.
  public var inverseDeviation: Tensor
  /// The updated running statistics; nil where none were given.
  public var runningMean: Tensor?
  public var runningVariance: Tensor?

  /// Moves the running statistics toward those of `x` [batch, channels, elements], whose `moments` are known: 1 the means,
  /// 3 the variances.
  fileprivate mutating func move(
    _ runningMean: Tensor?, _ runningVariance: Tensor?, by momentum: Double, moments: [Tensor], of x: TensorView
  ) throws(Diagnostic) {
    let rate = PointwiseOperand.scalar(.floating(momentum))
    let values = x.dims[0] * x.dims[2]
    // Statistics of nothing change nothing.
    if runningMean != nil || runningVariance != nil, Dim.asks(.less, values, 1) {
      (self.runningMean, self.runningVariance) = (runningMean, runningVariance)
      return
    }
    if let runningMean {
      self.runningMean = try Norms.running([runningMean.operand, moments[1].operand, rate, .scalar(.floating(1))])
    }
    guard let runningVariance else { return }
    // Running variances are unbiased.
    guard Dim.asks(.less, 1, values) else {
      throw Diagnostic(
        .shape, "batchNorm: one value per channel, \(output.shape), has no variance for the running one",
        remedy: "train on batches of two values or more per channel, or leave runningVariance out")
    }
    var variance = moments[3]
    let count = Double(x.hints[0] * x.hints[2])
    var unbiased = PointwiseOperand.scalar(.floating(count / (count - 1)))
    if values.knownValue == nil {
      variance = try Arithmetic.divide([variance.operand, .count(SymbolicCount(values, offset: -1))])
      unbiased = .count(SymbolicCount(values))
    }
    self.runningVariance = try Norms.running([runningVariance.operand, variance.operand, rate, unbiased])
  }
}

extension Tensor {
  // MARK: Norms over trailing axes

  private func trailing(
    _ shape: [Dim], _ weight: Tensor?, _ bias: Tensor?, _ name: String
  ) throws(Diagnostic) -> (extents: [Int], axes: [Int]) {
    let x = try view
    let extents = x.hints
    guard !shape.isEmpty, shape.count <= x.rank, Array(x.dims.suffix(shape.count)) == shape else {
      throw Diagnostic(
        .shape, "\(name): \(shape) is no end of the shape \(extents)", remedy: "name the last extents of the tensor")
    }
    for affine in [weight, bias] {
      if let found = try affine?.view.dims, found != shape {
        throw Diagnostic(
          .shape, "\(name): a weight or bias \(found) for the axes \(shape)", remedy: "give it the normalised shape")
      }
    }
    return (extents, Array((extents.count - shape.count)..<extents.count))
  }

  /// How many elements a row of these extents has; a failed extent throws.
  private static func count(_ dims: [Dim]) throws(Diagnostic) -> PointwiseOperand {
    var sizes: [Int] = []
    for dim in dims { sizes.append(try dim.sizeHint) }
    return PointwiseOperand(count: dims, of: sizes)
  }

  /// The elements with mean 0 and variance 1 over the last axes, scaled and moved.
  /// PyTorch: `nn.functional.layer_norm`.
  ///
  /// `shape` names the last extents; weight and bias have that shape.
  public func layerNorm(
    _ shape: [Dim], weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    layerNormAndStatistics(shape, weight: weight, bias: bias, eps: eps, file: file, line: line).output
  }

  /// Layer normalisation with the mean and 1 / sqrt(variance + eps) of each row. PyTorch: `native_layer_norm`.
  public func layerNormAndStatistics(
    _ shape: [Dim], weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5,
    file: StaticString = #fileID, line: UInt = #line
  ) -> (output: Tensor, mean: Tensor, inverseDeviation: Tensor) {
    Self.attemptAll(
      file, line, of: [self, weight, bias], onFailure: { ($0, $0, $0) }, tensors: { [$0.0, $0.1, $0.2] }
    ) { () throws(Diagnostic) in
      let count = try Self.count(shape)
      let (extents, axes) = try trailing(shape, weight, bias, "layerNorm")
      let made = try Norms.moments(
        [operand, count, .scalar(.floating(eps))], weight: weight, bias: bias,
        domain: extents, axes: axes, dtype: dtype.floatingResult, statistics: 2)
      let kept = [try made[1].view, try made[2].view].map { Tensor($0.keepingDims(axes)) }
      return (made[0], kept[0], kept[1])
    }
  }

  /// The elements divided by their root mean square over the last axes. PyTorch: `nn.functional.rms_norm`.
  public func rmsNorm(
    _ shape: [Dim], weight: Tensor? = nil, eps: Double? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, weight]) { () throws(Diagnostic) in
      let count = try Self.count(shape)
      let (extents, axes) = try trailing(shape, weight, nil, "rmsNorm")
      let result = dtype.floatingResult
      return try Norms.rootMeanSquare(
        [
          operand, count,
          .scalar(.floating(eps ?? result.computeDType.spacing)),
        ],
        weight: weight, bias: nil, domain: extents, axes: axes, dtype: result, statistics: 0)[0]
    }
  }

  // MARK: Norms over channels

  /// One value for each channel, seen in a domain whose axis `axis` has the channels.
  private static func channels(
    _ values: Tensor?, _ count: Dim, _ name: String, _ place: (TensorView) -> TensorView
  ) throws(Diagnostic) -> Tensor? {
    guard let view = try values?.view else { return nil }
    guard view.rank == 1, view.dim(0) == count else {
      throw Diagnostic(
        .shape, "\(name): \(view.hints) values for \(count) channels", remedy: "give one value for each channel")
    }
    return Tensor(place(view))
  }

  /// [batch, channels, rest]; fails without a channel axis.
  private func byChannels(_ name: String) throws(Diagnostic) -> (view: TensorView, extents: [Dim]) {
    let extents = try view.dims
    guard extents.count >= 2 else {
      throw Diagnostic(
        .shape, "\(name): \(extents) has no channel axis", remedy: "give a tensor [batch, channels, ..]")
    }
    let merged = [extents[0], extents[1], Shape(Array(extents[2...])).elementCount]
    return (try reshaped(dims: merged).view, extents)
  }

  /// Normalises over each group of channels of each sample. PyTorch: `nn.functional.group_norm`.
  public func groupNorm(
    _ groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    groupNormAndStatistics(groups, weight: weight, bias: bias, eps: eps, file: file, line: line).output
  }

  /// Group normalisation with the mean and 1 / sqrt(variance + eps) of each group. PyTorch: `native_group_norm`.
  public func groupNormAndStatistics(
    _ groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5,
    file: StaticString = #fileID, line: UInt = #line
  ) -> (output: Tensor, mean: Tensor, inverseDeviation: Tensor) {
    Self.attemptAll(
      file, line, of: [self, weight, bias], onFailure: { ($0, $0, $0) }, tensors: { [$0.0, $0.1, $0.2] }
    ) { () throws(Diagnostic) in
      let (x, extents) = try byChannels("groupNorm")
      let count = x.dim(1)
      guard groups > 0, count % Dim(groups) == 0 else {
        throw Diagnostic(
          .argument, "groupNorm: \(x.hints[1]) channels in \(groups) groups", remedy: "groups must divide the channels")
      }
      let each = count / Dim(groups)
      let split = try Tensor(x).reshaped(dims: [x.dim(0), Dim(groups), each, x.dim(2)])
      let domain = try split.view.hints
      func place(_ values: TensorView) -> TensorView {
        values.splitting(0, outer: groups).inserting(2)
      }
      let made = try Norms.moments(
        [
          .tensor(split), PointwiseOperand(count: [each, x.dim(2)], of: [domain[2], domain[3]]),
          .scalar(.floating(eps)),
        ], weight: Self.channels(weight, count, "groupNorm", place),
        bias: Self.channels(bias, count, "groupNorm", place),
        domain: domain, axes: [2, 3], dtype: dtype.floatingResult, statistics: 2)
      return (try made[0].reshaped(dims: extents), made[1], made[2])
    }
  }

  /// Normalises each channel of each sample, or by running statistics. PyTorch: `nn.functional.instance_norm`.
  public func instanceNorm(
    weight: Tensor? = nil, bias: Tensor? = nil, runningMean: Tensor? = nil, runningVariance: Tensor? = nil,
    usesInputStatistics: Bool = true, eps: Double = 1e-5, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, weight, bias, runningMean, runningVariance]) { () throws(Diagnostic) in
      let (x, extents) = try byChannels("instanceNorm")
      for unread in [runningMean, runningVariance] where usesInputStatistics { _ = try unread?.view }
      if !usesInputStatistics {
        return try normalized(x, runningMean, runningVariance, weight, bias, eps, "instanceNorm").reshaped(
          dims: extents)
      }
      let made = try Norms.moments(
        [.tensor(Tensor(x)), PointwiseOperand(count: [x.dims[2]], of: [x.hints[2]]), .scalar(.floating(eps))],
        weight: Self.channels(weight, x.dim(1), "instanceNorm") { $0.inserting(1) },
        bias: Self.channels(bias, x.dim(1), "instanceNorm") { $0.inserting(1) }, domain: x.hints, axes: [2],
        dtype: dtype.floatingResult, statistics: 2)
      return try made[0].reshaped(dims: extents)
    }
  }

  /// By given statistics: pointwise.
  private func normalized(
    _ x: TensorView, _ mean: Tensor?, _ variance: Tensor?, _ weight: Tensor?, _ bias: Tensor?, _ eps: Double,
    _ name: String
  ) throws(Diagnostic) -> Tensor {
    var values: [Tensor?] = []
    for each in [mean, variance, weight, bias] {
      values.append(try Self.channels(each, x.dim(1), name) { $0.inserting(1) })
    }
    guard let mean = values[0], let variance = values[1] else {
      throw Diagnostic(
        .argument, "\(name): there are no running statistics to normalise by",
        remedy: "give a running mean and a running variance, or use those of the batch")
    }
    let affine = [values[2], values[3]].compactMap { $0.map { PointwiseOperand.tensor($0) } }
    let operation = Norms.fixed[(values[2] == nil ? 0 : 1) + (values[3] == nil ? 0 : 2)]
    return try operation(
      [.tensor(Tensor(x)), mean.operand, variance.operand, .scalar(.floating(eps))] + affine)
  }

  /// Normalises each channel over the batch, or by running statistics. PyTorch: `nn.functional.batch_norm`.
  ///
  /// While `training`, the result has the running statistics moved toward the batch's by `momentum`.
  public func batchNorm(
    runningMean: Tensor? = nil, runningVariance: Tensor? = nil, weight: Tensor? = nil, bias: Tensor? = nil,
    training: Bool = false, momentum: Double = 0.1, eps: Double = 1e-5,
    file: StaticString = #fileID, line: UInt = #line
  ) -> BatchNormResult {
    Self.attemptAll(
      file, line, of: [self, runningMean, runningVariance, weight, bias],
      onFailure: {
        BatchNormResult(
          output: $0, mean: $0, inverseDeviation: $0, runningMean: runningMean == nil ? nil : $0,
          runningVariance: runningVariance == nil ? nil : $0)
      },
      tensors: { [$0.output, $0.mean, $0.inverseDeviation] + [$0.runningMean, $0.runningVariance].compactMap { $0 } }
    ) { () throws(Diagnostic) in
      // Results that do not read them fail as well: they come together.
      for given in [runningMean, runningVariance] { _ = try given?.view }
      if try view.rank == 1, try view.dim(0) == 0 {
        let none = try Self.filled(.floating(0), [0], dtype.floatingResult)
        return BatchNormResult(
          output: self, mean: none, inverseDeviation: none, runningMean: runningMean, runningVariance: runningVariance)
      }
      let (x, extents) = try byChannels("batchNorm")
      guard training else {
        let none = try Self.filled(.floating(0), [0], dtype.floatingResult)
        let output = try normalized(x, runningMean, runningVariance, weight, bias, eps, "batchNorm")
        return BatchNormResult(
          output: try output.reshaped(dims: extents), mean: none, inverseDeviation: none, runningMean: runningMean,
          runningVariance: runningVariance)
      }
      let made = try Norms.batchMoments(
        [
          .tensor(Tensor(x)), PointwiseOperand(count: [x.dims[0], x.dims[2]], of: [x.hints[0], x.hints[2]]),
          .scalar(.floating(eps)),
        ],
        weight: Self.channels(weight, x.dim(1), "batchNorm") { $0.inserting(1) },
        bias: Self.channels(bias, x.dim(1), "batchNorm") { $0.inserting(1) }, domain: x.hints, axes: [0, 2],
        dtype: dtype.floatingResult, statistics: 3)
      var result = BatchNormResult(
        output: try made[0].reshaped(dims: extents), mean: made[1], inverseDeviation: made[2])
      try result.move(runningMean, runningVariance, by: momentum, moments: made, of: x)
      return result
    }
  }

  // MARK: Others

  /// Divided by the p-norm along `axis`, or by `eps` where that is larger. PyTorch: `nn.functional.normalize`.
  public func normalized(
    p: Double = 2, axis: Int = 1, eps: Double = 1e-12, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      if p == 2 { return try alongAxis(Norms.normalize, axis, dtype: nil, [.scalar(.floating(eps))]) }
      let size = norm(axes: [axis], p: p, keepDims: true, file: file, line: line)
      return try Arithmetic.divide([operand, size.clamped(min: eps, file: file, line: line).operand])
    }
  }

  /// Divided by a power of the mean square of `size` neighbouring channels.
  /// PyTorch: `nn.functional.local_response_norm`.
  public func localResponseNorm(
    _ size: Int, alpha: Double = 1e-4, beta: Double = 0.75, k: Double = 1,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let (x, extents) = try byChannels("localResponseNorm")
      guard size > 0 else {
        throw Diagnostic(.argument, "localResponseNorm: \(size) channels", remedy: "ask for 1 or more")
      }
      // A half type does not hold the squares.
      let result = try Tensor(x).roundedOnce { (x) throws(Diagnostic) in
        let padded = try x.square().padded(
          low: [0, size / 2, 0], high: [0, (size - 1) / 2, 0], with: .floating(0)
        ).view
        let sums = Tensor(try padded.windowed(1, size: size, step: 1)).sum(-1)
        return try Norms.responseDivided([
          x.operand, sums.operand, .scalar(.floating(alpha / Double(size))), .scalar(.floating(k)),
          .scalar(.floating(beta)),
        ])
      }
      return try result.reshaped(dims: extents)
    }
  }
}

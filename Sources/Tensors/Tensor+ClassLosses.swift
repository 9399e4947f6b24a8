// Losses of scores for classes: targets are class numbers (i64) or probabilities.
// Surprise: a class number outside the classes is a fault of the kernel and fails the tensor; `ignoreIndex`
// is not one.
import Basics
import Engine
import GraphIR
import Scalars
import TensorTypes

private enum ClassLosses {
  /// Operands: scores [samples, classes, places], targets [samples, 1, places], the ignored target, the
  /// weights or none.
  // Labels: 0 samples, 1 classes, 2 places, 3 one.
  static let likelihood = Program("nll", axes: [[0, 1, 2], [0, 3, 2], [], [0, 1, 2]]) { builder, x throws(Diagnostic) in
    try picked(&builder, x)
  }
  static let likelihoodUnweighted = Program("nll unweighted", axes: [[0, 1, 2], [0, 3, 2], []]) {
    builder, x throws(Diagnostic) in try picked(&builder, x)
  }

  /// Minus the weighted score of the target, and the weight; both 0 where the target is ignored.
  private static func picked(_ builder: inout GraphBuilder, _ x: [Value]) throws(Diagnostic) -> [Value] {
    let (shape, dtype) = (builder.shape(x[1]), builder.dtype(x[0]))
    let ignored = try builder.append(.equal, x[1], builder.broadcast(x[2], shape))
    let first = try builder.filled(ScalarConstant(.i64, integer: 0), shape)
    let target = try builder.append(.select, ignored, first, x[1])
    let score = try builder.append(.gather(axis: 1), x[0], target)
    let zero = try builder.filled(ScalarConstant(dtype, 0), shape)
    let weight =
      x.count > 3
      ? try builder.append(.gather(axis: 1), x[3], target) : try builder.filled(ScalarConstant(dtype, 1), shape)
    let loss = try builder.append(.negate, builder.append(.multiply, score, weight))
    return [try builder.append(.select, ignored, zero, loss), try builder.append(.select, ignored, zero, weight)]
  }

  static let pickEach = Program("pick each", axes: [[0, 1], [0, 2]]) { builder, x throws(Diagnostic) in
    [try builder.append(.gather(axis: 1), x[0], x[1])]
  }
  /// Operands: log probabilities, target probabilities, weights.
  static let probabilities = RowOperation("cross entropy of probabilities") { x in [-(x[0] * x[1] * x[2]).sum()] }
  /// Operands: log probabilities, weights.
  static let smoothing = RowOperation("cross entropy smoothing") { x in [-(x[0] * x[1]).sum()] }
  /// Operands: scores, the target's score, the target, class numbers, weights, the margin, the class count.
  static let multiMargin = [1, 2].map { p in
    RowOperation("multi margin loss \(p)") { x in
      let gap = (x[5] - x[1] + x[0]).maximum(0)
      let loss = x[4] * (p == 1 ? gap : gap.squared())
      return [(x[2] .== x[3]).select(0, loss).sum() / x[6]]
    }
  }
  /// Operands: scores by class, the targets' scores by place, live places, which classes are targets, the
  /// class count.
  static let multilabelMargin = RowOperation("multilabel margin loss") { x in
    let gap = (1 - x[1] + x[0]).maximum(0)
    return [((x[2] .!= 0) && (x[3] .== 0)).select(gap, 0).sum() / x[4]]
  }
  /// Operands: targets, places, places: whether all targets up to a place are classes.
  static let livePlaces = RowOperation("targets before the end") { x in
    [((x[0] .>= 0) || (x[2] .> x[1])).reduced(.and)]
  }
  /// Operands: targets, live places, class numbers.
  static let isTarget = RowOperation("classes among targets") { x in [((x[0] .== x[2]) && (x[1] .!= 0)).reduced(.or)] }
  /// Operands: scores, targets, weights.
  static let softMargin = RowOperation("multilabel soft margin loss") { x in
    func logSigmoid(_ x: Term) -> Term { x.minimum(0) - (-x.abs()).exp().log1p() }
    return [-(x[2] * (x[1] * logSigmoid(x[0]) + (1 - x[1]) * logSigmoid(-x[0]))).sum() / x[3]]
  }
}

extension Tensor {
  /// [samples, classes, places]: one sample has no sample axis, more axes are places.
  private func byClasses(_ name: String) throws(Diagnostic) -> (scores: Tensor, result: [Dim]) {
    let dims = try view.dims
    guard !dims.isEmpty else {
      throw Diagnostic(.shape, "\(name): a 0-d tensor has no class axis", remedy: "give scores [samples, classes, ..]")
    }
    if dims.count == 1 { return (try reshaped(dims: [1, dims[0], 1]), []) }
    let places = Array(dims[2...])
    return (try reshaped(dims: [dims[0], dims[1], Shape(places).elementCount]), [dims[0]] + places)
  }

  /// A weight for each class, seen as [samples, classes, places].
  private static func weights(_ weight: Tensor, _ domain: [Dim], _ name: String) throws(Diagnostic) -> TensorView {
    let view = try weight.view
    guard view.rank == 1, view.dim(0) == domain[1] else {
      throw Diagnostic(
        .shape, "\(name): weights \(view.hints) for \(domain[1]) classes", remedy: "give one weight for each class")
    }
    return try view.inserting(1).expanded(to: domain)
  }

  /// The losses [samples, places] and their weights.
  private func likelihood(
    _ target: Tensor, _ weight: Tensor?, _ ignored: Int, _ name: String
  ) throws(Diagnostic) -> (losses: Tensor, weights: Tensor) {
    let (scores, shape) = try byClasses(name)
    let (x, t) = (try scores.view, try target.view)
    guard t.dims == shape, t.dtype.isInteger else {
      throw Diagnostic(
        .shape, "\(name): targets \(t.dtype)\(t.hints) for scores \(self.shape)",
        remedy: "give integer targets of shape \(shape)")
    }
    let numbers = try target.converted(to: .i64).reshaped(dims: [x.dim(0), 1, x.dim(2)]).view
    let ignore = Operand.scalar(ScalarOperand(.i64, bits: Int64(ignored)))
    var operands: [Operand] = [.tensor(x), .tensor(numbers), ignore]
    if let weight {
      let typed = weight.converted(to: x.dtype)
      operands.append(.tensor(try Self.weights(typed, x.dims, name)))
    }
    let program = weight == nil ? ClassLosses.likelihoodUnweighted : ClassLosses.likelihood
    let made = try Engine.current.run(
      program, operands, [.fresh(x.dtype, numbers.hints), .fresh(x.dtype, numbers.hints)])
    return (try Tensor(made[0]).reshaped(dims: shape), try Tensor(made[1]).reshaped(dims: shape))
  }

  private static func finish(
    _ losses: Tensor, _ weights: Tensor, _ reduction: LossReduction, _ file: StaticString, _ line: UInt
  ) throws(Diagnostic) -> Tensor {
    if reduction != .mean { return losses.reduced(reduction, file, line) }
    // A half type does not hold the sums.
    let wide = losses.dtype.computeDType
    return try Arithmetic.divide([losses.sum(dtype: wide).operand, weights.sum(dtype: wide).operand])
      .converted(to: losses.dtype)
  }

  /// Minus the log probability of the target class; a mean is weighted. PyTorch: `nn.functional.nll_loss`.
  ///
  /// Scores [samples, classes, ..] or [classes]; targets [samples, ..] or 0-d.
  public func nllLoss(
    _ target: Tensor, weight: Tensor? = nil, ignoreIndex: Int = -100, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, target, weight]) { () throws(Diagnostic) in
      let (losses, weights) = try likelihood(target, weight, ignoreIndex, "nllLoss")
      return try Self.finish(losses, weights, reduction, file, line)
    }
  }

  /// The cross entropy of softmax(x) and the target, classes on axis 1. PyTorch: `nn.functional.cross_entropy`.
  ///
  /// Integer targets are class numbers, floating ones probabilities of this tensor's shape.
  public func crossEntropy(
    _ target: Tensor, weight: Tensor? = nil, ignoreIndex: Int = -100, labelSmoothing: Double = 0,
    reduction: LossReduction = .mean, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, target, weight]) { () throws(Diagnostic) in
      let (scores, shape) = try byClasses("crossEntropy")
      let logs = scores.logSoftmax(1)
      let x = try logs.view
      let one = PointwiseOperand.scalar(.integer(1))
      let weights = try weight.map { (w) throws(Diagnostic) in
        PointwiseOperand.tensor(Tensor(try Self.weights(w, x.dims, "crossEntropy")))
      }
      func summed(_ operation: RowOperation, _ operands: [PointwiseOperand]) throws(Diagnostic) -> Tensor {
        try operation(operands, domain: x.hints, axes: [1], compute: x.dtype.computeDType, [.reduced(x.dtype)])[0]
          .reshaped(dims: shape)
      }
      if target.dtype.isFloating {
        try sameShape(self, target, "crossEntropy")
        var wanted = try target.reshaped(dims: x.dims)
        if labelSmoothing > 0 { wanted = wanted * (1 - labelSmoothing) + labelSmoothing / Double(x.extent(1)) }
        let losses = try summed(ClassLosses.probabilities, [logs.operand, wanted.operand, weights ?? one])
        if reduction != .mean { return losses.reduced(reduction, file, line) }
        return try Arithmetic.divide([
          losses.sum(dtype: losses.dtype.computeDType).operand,
          PointwiseOperand(count: losses.view.dims, of: losses.view.hints),
        ]).converted(to: losses.dtype)
      }
      let same = try logs.reshaped(dims: view.dims)
      let (losses, counted) = try same.likelihood(target, weight, ignoreIndex, "crossEntropy")
      if labelSmoothing == 0 { return try Self.finish(losses, counted, reduction, file, line) }
      let spread = try summed(ClassLosses.smoothing, [logs.operand, weights ?? one])
      let kept = spread.kept(where: target .!= ignoreIndex, else: 0)
      let mixed = losses * (1 - labelSmoothing) + kept * (labelSmoothing / Double(x.extent(1)))
      return try Self.finish(mixed, counted, reduction, file, line)
    }
  }

  /// [samples, classes]; 0-d and one sample get the axes they lack.
  private func samples(_ name: String) throws(Diagnostic) -> (scores: Tensor, isSingle: Bool) {
    let dims = try view.dims
    guard dims.count <= 2 else {
      throw Diagnostic(.shape, "\(name): scores \(dims)", remedy: "give scores [samples, classes] or [classes]")
    }
    // No target names one of no classes.
    guard try view.extents.last != 0 else {
      throw Diagnostic(.shape, "\(name): scores \(dims) have no classes", remedy: "give scores of one class or more")
    }
    return (try reshaped(dims: dims.count == 2 ? dims : [1, dims.first ?? 1]), dims.count < 2)
  }

  private static func pickEach(_ x: Tensor, _ positions: Tensor) throws(Diagnostic) -> Tensor {
    let (source, index) = (try x.view, try positions.view)
    return Tensor(
      try Engine.current.run(
        ClassLosses.pickEach, [.tensor(source), .tensor(index)], [.fresh(source.dtype, index.hints)])[0])
  }

  /// How far other classes come near the target's score. PyTorch: `nn.functional.multi_margin_loss`.
  public func multiMarginLoss(
    _ target: Tensor, p: Int = 1, margin: Double = 1, weight: Tensor? = nil, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, target, weight]) { () throws(Diagnostic) in
      guard p == 1 || p == 2 else {
        throw Diagnostic(.argument, "multiMarginLoss: p is \(p)", remedy: "p is 1 or 2")
      }
      let (scores, isSingle) = try samples("multiMarginLoss")
      let extents = try scores.view.extents
      guard try target.view.elementCount == extents[0] else {
        throw Diagnostic(
          .shape, "multiMarginLoss: targets \(target.shape) for scores \(shape)",
          remedy: "give a target for each sample")
      }
      let numbers = try target.converted(to: .i64).reshaped(to: [extents[0], 1])
      let best = try Self.pickEach(scores, numbers)
      var weights = PointwiseOperand.scalar(.integer(1))
      if let weight {
        let row = try Self.weights(weight, scores.view.dims + [1], "multiMarginLoss").removing(2)
        weights = .tensor(try Self.pickEach(Tensor(row), numbers))
      }
      let classes = Tensor.arange(Dim(extents[1]))
      let losses = try ClassLosses.multiMargin[p - 1](
        [
          scores.operand, best.operand, numbers.operand, classes.operand, weights, .scalar(.floating(margin)),
          .scalar(.floating(Double(extents[1]))),
        ], domain: extents, axes: [1], compute: dtype.floatingResult.computeDType, [.reduced(dtype.floatingResult)])[0]
      return (isSingle ? try losses.reshaped(to: []) : losses).reduced(reduction, file, line)
    }
  }

  /// How far classes that are no targets come near those that are. PyTorch: `nn.functional.multilabel_margin_loss`.
  ///
  /// A row of targets has class numbers up to the first negative one.
  public func multilabelMarginLoss(
    _ target: Tensor, reduction: LossReduction = .mean, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, target]) { () throws(Diagnostic) in
      try sameShape(self, target, "multilabelMarginLoss")
      let (scores, isSingle) = try samples("multilabelMarginLoss")
      let extents = try scores.view.extents
      let numbers = try target.converted(to: .i64).reshaped(to: extents)
      let count = extents[1]
      let domain = [extents[0], count, count]
      let line0 = try Tensor.arange(Dim(count)).view
      let column = PointwiseOperand.tensor(Tensor(line0.inserting(1)))
      let row = PointwiseOperand.tensor(Tensor(line0))
      func onRows(_ x: Tensor) throws(Diagnostic) -> PointwiseOperand { .tensor(Tensor(try x.view.inserting(2))) }
      func onColumns(_ x: Tensor) throws(Diagnostic) -> PointwiseOperand { .tensor(Tensor(try x.view.inserting(1))) }
      let live = try ClassLosses.livePlaces(
        [onColumns(numbers), column, row], domain: domain, axes: [2], compute: nil, [.reduced(.bool)])[0]
      let isTarget = try ClassLosses.isTarget(
        [onColumns(numbers), onColumns(live), column], domain: domain, axes: [2], compute: nil, [.reduced(.bool)])[0]
      let best = try Self.pickEach(scores, numbers.clamped(min: 0))
      let losses = try ClassLosses.multilabelMargin(
        [
          onRows(scores), onColumns(best), onColumns(live), onRows(isTarget), .scalar(.floating(Double(count))),
        ], domain: domain, axes: [1, 2], compute: dtype.floatingResult.computeDType, [.reduced(dtype.floatingResult)])[
          0]
      return (isSingle ? try losses.reshaped(to: []) : losses).reduced(reduction, file, line)
    }
  }

  /// The mean over classes of the binary cross entropy of sigmoid(x).
  /// PyTorch: `nn.functional.multilabel_soft_margin_loss`.
  public func multilabelSoftMarginLoss(
    _ target: Tensor, weight: Tensor? = nil, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, target, weight]) { () throws(Diagnostic) in
      try sameShape(self, target, "multilabelSoftMarginLoss")
      let extents = try view.extents
      guard let classes = extents.last else {
        throw Diagnostic(.shape, "multilabelSoftMarginLoss: a 0-d tensor has no class axis")
      }
      let result = dtype.floatingResult
      let losses = try ClassLosses.softMargin(
        [
          operand, target.operand, weight?.operand ?? .scalar(.integer(1)), .scalar(.floating(Double(classes))),
        ], domain: extents, axes: [extents.count - 1], compute: result.computeDType, [.reduced(result)])[0]
      return losses.reduced(reduction, file, line)
    }
  }
}

// Losses of two tensors element by element. Not those of classes, which pick by targets.
// Surprise: a summed or averaged loss is one launch; the elements' losses are never in memory.
import Basics
import Engine
import GraphIR
import TensorTypes

/// What becomes of the losses of the elements.
public enum LossReduction: Sendable, Hashable {
  case none, mean, sum
}

/// A loss by its formula: as elements, or summed and divided.
struct Loss: Sendable {
  private let elements: PointwiseOperation
  private let total: RowOperation

  init(_ name: String, _ formula: @escaping @Sendable ([Term]) -> Term) {
    elements = PointwiseOperation(name, .floating, formula)
    total = RowOperation(name) { x in [formula(Array(x.dropLast())).sum() / x[x.count - 1]] }
  }

  func callAsFunction(
    _ file: StaticString, _ line: UInt, _ reduction: LossReduction, _ operands: PointwiseOperand...
  ) -> Tensor {
    Tensor.attempt(file, line, of: operands.map(\.tensor)) { () throws(Diagnostic) in try self(reduction, operands) }
  }

  /// `divisor` takes the place of the element count of a mean.
  func callAsFunction(
    _ reduction: LossReduction, _ operands: [PointwiseOperand], divisor: Double? = nil
  ) throws(Diagnostic) -> Tensor {
    if reduction == .none { return try elements(operands) }
    let dtype = try elements.computeDType(operands)
    var domain: [Int] = []
    for case .tensor(let tensor) in operands {
      domain = try broadcastExtents(domain, try tensor.view.hints, elements.name)
    }
    var views: [TensorView] = []
    for case .tensor(let tensor) in operands { views.append(try tensor.view) }
    let count = PointwiseOperand(count: broadcastDims(views, to: domain.count), of: domain)
    let share: PointwiseOperand = reduction == .sum ? .scalar(.floating(1)) : count
    return try total(
      operands + [divisor.map { .scalar(.floating($0)) } ?? share], domain: domain, axes: Array(domain.indices),
      compute: dtype.computeDType, [.reduced(dtype)])[0]
  }
}

private enum Losses {
  static let absolute = Loss("l1 loss") { x in (x[0] - x[1]).abs() }
  static let squared = Loss("mse loss") { x in (x[0] - x[1]).squared() }
  static let smooth = Loss("smooth l1 loss") { x in
    let gap = (x[0] - x[1]).abs()
    return (gap .< x[2]).select(0.5 * gap.squared() / x[2], gap - 0.5 * x[2])
  }
  static let huber = Loss("huber loss") { x in
    let gap = (x[0] - x[1]).abs()
    return (gap .<= x[2]).select(0.5 * gap.squared(), x[2] * (gap - 0.5 * x[2]))
  }
  /// Operands: the probability, the target, the weight. Logarithms end at -100, as in PyTorch.
  static let crossEntropy = Loss("binary cross entropy") { x in
    let (yes, no) = (x[0].log().maximum(-100), (-x[0]).log1p().maximum(-100))
    return x[2] * -(x[1] * yes + (1 - x[1]) * no)
  }
  /// Operands: the logit, the target, the weight, the weight of positives.
  static let logits = Loss("binary cross entropy with logits") { x in
    let tail = (-x[0].abs()).exp().log1p() + (-x[0]).maximum(0)
    return x[2] * ((1 - x[1]) * x[0] + (1 + (x[3] - 1) * x[1]) * tail)
  }
  static let softMargin = Loss("soft margin loss") { x in (-x[1] * x[0]).exp().log1p() }
  static let marginRanking = Loss("margin ranking loss") { x in (x[3] - x[2] * (x[0] - x[1])).maximum(0) }
  static let hinge = Loss("hinge embedding loss") { x in
    (x[1] .!= 1).select((x[2] - x[0]).maximum(0), 0) + (x[1] .!= -1).select(x[0], 0)
  }
  /// Operands: input, target, eps. Variants: log input, and Stirling's approximation of log target!.
  static let poisson = (0..<4).map { choice in
    Loss("poisson nll loss \(choice)") { x in
      let (input, target) = (x[0], x[1])
      let loss = choice & 1 != 0 ? input.exp() - target * input : input - target * (input + x[2]).log()
      if choice & 2 == 0 { return loss }
      let stirling = target * target.log() - target + 0.5 * (2 * Double.pi * target).log()
      return loss + (target .> 1).select(stirling, 0)
    }
  }
  /// Operands: input, target, variance, eps, the constant of a full loss.
  static let gaussian = Loss("gaussian nll loss") { x in
    let variance = x[2].maximum(x[3])
    return 0.5 * (variance.log() + (x[0] - x[1]).squared() / variance) + x[4]
  }
  static let divergence = Loss("kl div") { x in
    // 0 · log(0) is 0.
    (x[1] .== 0).select(0, x[1] * x[1].log()) - x[1] * x[0]
  }
  static let logDivergence = Loss("kl div of logs") { x in x[1].exp() * (x[1] - x[0]) }
  static let cosine = RowOperation("cosine embedding loss") { x in
    let (a, b, target, margin) = (x[0], x[1], x[2].max(), x[3])
    let lengths = (a.squared().sum() + 1e-12) * (b.squared().sum() + 1e-12)
    let cosine = (a * b).sum() / lengths.sqrt()
    let apart = (target .== -1).select((cosine - margin).maximum(0), 0)
    return [(target .== 1).select(1 - cosine, apart)]
  }
  static let triplet = Loss("triplet margin loss") { x in (x[2] + x[0] - x[1]).maximum(0) }
}

extension Tensor {
  func reduced(
    _ reduction: LossReduction, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    switch reduction {
    case .none: self
    case .mean: mean(file: file, line: line)
    case .sum: sum(file: file, line: line)
    }
  }

  /// |x - target|. PyTorch: `nn.functional.l1_loss`.
  public func l1Loss(
    _ target: Tensor, reduction: LossReduction = .mean, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Losses.absolute(file, line, reduction, operand, target.operand) }

  /// (x - target)². PyTorch: `nn.functional.mse_loss`.
  public func mseLoss(
    _ target: Tensor, reduction: LossReduction = .mean, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Losses.squared(file, line, reduction, operand, target.operand) }

  /// Squared below `beta`, absolute above. PyTorch: `nn.functional.smooth_l1_loss`.
  public func smoothL1Loss(
    _ target: Tensor, beta: Double = 1, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Losses.smooth(file, line, reduction, operand, target.operand, .scalar(.floating(beta))) }

  /// Squared up to `delta`, linear above. PyTorch: `nn.functional.huber_loss`.
  public func huberLoss(
    _ target: Tensor, delta: Double = 1, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Losses.huber(file, line, reduction, operand, target.operand, .scalar(.floating(delta))) }

  /// The cross entropy of probabilities and targets in 0...1. PyTorch: `nn.functional.binary_cross_entropy`.
  public func binaryCrossEntropy(
    _ target: Tensor, weight: Tensor? = nil, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Losses.crossEntropy(file, line, reduction, operand, target.operand, weight?.operand ?? .scalar(.integer(1)))
  }

  /// The cross entropy of sigmoid(x) and targets, without overflow.
  /// PyTorch: `nn.functional.binary_cross_entropy_with_logits`.
  public func binaryCrossEntropyWithLogits(
    _ target: Tensor, weight: Tensor? = nil, positiveWeight: Tensor? = nil, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Losses.logits(
      file, line, reduction, operand, target.operand, weight?.operand ?? .scalar(.integer(1)),
      positiveWeight?.operand ?? .scalar(.integer(1)))
  }

  /// log(1 + e^(-target·x)), with targets 1 and -1. PyTorch: `nn.functional.soft_margin_loss`.
  public func softMarginLoss(
    _ target: Tensor, reduction: LossReduction = .mean, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Losses.softMargin(file, line, reduction, operand, target.operand) }

  /// max(0, margin - target·(x - other)). PyTorch: `nn.functional.margin_ranking_loss`.
  public func marginRankingLoss(
    _ other: Tensor, _ target: Tensor, margin: Double = 0, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Losses.marginRanking(
      file, line, reduction, operand, other.operand, target.operand, .scalar(.floating(margin)))
  }

  /// x where the target is 1, max(0, margin - x) where it is -1. PyTorch: `nn.functional.hinge_embedding_loss`.
  public func hingeEmbeddingLoss(
    _ target: Tensor, margin: Double = 1, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Losses.hinge(file, line, reduction, operand, target.operand, .scalar(.floating(margin))) }

  /// The negative log likelihood of Poisson targets. PyTorch: `nn.functional.poisson_nll_loss`.
  ///
  /// `full` adds Stirling's approximation of log(target!).
  public func poissonNLLLoss(
    _ target: Tensor, logInput: Bool = true, full: Bool = false, eps: Double = 1e-8, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let loss = Losses.poisson[(logInput ? 1 : 0) + (full ? 2 : 0)]
    return loss(file, line, reduction, operand, target.operand, .scalar(.floating(eps)))
  }

  /// The negative log likelihood of normal targets. PyTorch: `nn.functional.gaussian_nll_loss`.
  ///
  /// `variance` has the shape of this tensor, or one for each row.
  public func gaussianNLLLoss(
    _ target: Tensor, variance: Tensor, full: Bool = false, eps: Double = 1e-6, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, target, variance]) { () throws(Diagnostic) in
      var spread = try variance.view
      let dims = try view.dims
      if spread.rank + 1 == dims.count, spread.dims == Array(dims.dropLast()) {
        spread = spread.inserting(spread.rank)
      }
      let constant = full ? 0.5 * 1.8378770664093453 : 0
      return try Losses.gaussian(
        reduction,
        [
          operand, target.operand, .tensor(Tensor(spread)), .scalar(.floating(eps)), .scalar(.floating(constant)),
        ])
    }
  }

  /// The divergence of log probabilities x from `target`. PyTorch: `nn.functional.kl_div`.
  ///
  /// `perSample` divides the sum by the first extent ("batchmean").
  public func klDivergence(
    _ target: Tensor, logTarget: Bool = false, reduction: LossReduction = .mean, perSample: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, target]) { () throws(Diagnostic) in
      let loss = logTarget ? Losses.logDivergence : Losses.divergence
      let samples = perSample ? Double(try rank == 0 ? 1 : view.extent(0)) : nil
      return try loss(reduction, [operand, target.operand], divisor: samples)
    }
  }

  /// 1 - cos of two rows with target 1, max(0, cos - margin) with target -1.
  /// PyTorch: `nn.functional.cosine_embedding_loss`.
  public func cosineEmbeddingLoss(
    _ other: Tensor, _ target: Tensor, margin: Double = 0, reduction: LossReduction = .mean,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, other, target]) { () throws(Diagnostic) in
      let (x, y, t) = (try view, try other.view, try target.view)
      let domain = try broadcastExtents(x.hints, y.hints, "cosineEmbeddingLoss")
      guard domain.count > 0, t.rank == domain.count - 1 else {
        throw Diagnostic(
          .shape, "cosineEmbeddingLoss: targets \(t.hints) for rows of \(domain)",
          remedy: "give a target for each row")
      }
      let dtype = try x.dtype.promoted(with: y.dtype).floatingResult
      let rows = try Losses.cosine(
        [operand, other.operand, .tensor(Tensor(t.inserting(t.rank))), .scalar(.floating(margin))], domain: domain,
        axes: [domain.count - 1], compute: dtype.computeDType, [.reduced(dtype)])[0]
      return rows.reduced(reduction, file, line)
    }
  }

  /// max(0, margin + |x - positive| - |x - negative|) of each row. PyTorch: `nn.functional.triplet_margin_loss`.
  ///
  /// `swap` takes the distance of positive and negative where that is smaller.
  public func tripletMarginLoss(
    _ positive: Tensor, _ negative: Tensor, margin: Double = 1, p: Double = 2, eps: Double = 1e-6, swap: Bool = false,
    reduction: LossReduction = .mean, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    func distance(_ a: Tensor, _ b: Tensor) -> Tensor { a.pairwiseDistance(b, p: p, eps: eps, file: file, line: line) }
    return tripletMarginLoss(
      positive, negative, distance: distance, margin: margin, swap: swap, reduction: reduction, file: file, line: line)
  }

  /// The triplet loss with a distance of one's own. PyTorch: `nn.functional.triplet_margin_with_distance_loss`.
  public func tripletMarginLoss(
    _ positive: Tensor, _ negative: Tensor, distance: (Tensor, Tensor) -> Tensor, margin: Double = 1,
    swap: Bool = false, reduction: LossReduction = .mean, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, positive, negative]) { () throws(Diagnostic) in
      let near = distance(self, positive)
      var far = distance(self, negative)
      if swap { far = far.minimum(distance(positive, negative), file: file, line: line) }
      return try Losses.triplet(reduction, [near.operand, far.operand, .scalar(.floating(margin))])
    }
  }
}

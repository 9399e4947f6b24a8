// Losses. PyTorch's deprecated arguments size_average and reduce are not read.
import Basics
import Tensors

extension ConformanceArguments {
  fileprivate var reduction: LossReduction {
    switch string(-1, "reduction") {
    case "none": .none
    case "sum": .sum
    default: .mean
    }
  }
  fileprivate func target(_ place: Int = 1) throws(Diagnostic) -> Tensor { try tensor(place, "target") }
  fileprivate var weight: Tensor? { optionalTensor(2, "weight") }
}

extension ConformanceTable {
  mutating func addLosses() {
    addElementLosses()
    addClassLosses()
  }

  private mutating func addElementLosses() {
    let f = "nn.functional."
    tensor(f + "l1_loss") { a throws(Diagnostic) in try a.tensor(0).l1Loss(a.target(), reduction: a.reduction) }
    tensor(f + "mse_loss") { a throws(Diagnostic) in try a.tensor(0).mseLoss(a.target(), reduction: a.reduction) }
    tensor(f + "smooth_l1_loss") { a throws(Diagnostic) in
      try a.tensor(0).smoothL1Loss(a.target(), beta: a.double(-1, "beta", else: 1), reduction: a.reduction)
    }
    tensor(f + "huber_loss") { a throws(Diagnostic) in
      try a.tensor(0).huberLoss(a.target(), delta: a.double(-1, "delta", else: 1), reduction: a.reduction)
    }
    tensor(f + "binary_cross_entropy") { a throws(Diagnostic) in
      try a.tensor(0).binaryCrossEntropy(a.target(), weight: a.weight, reduction: a.reduction)
    }
    tensor(f + "binary_cross_entropy_with_logits") { a throws(Diagnostic) in
      try a.tensor(0).binaryCrossEntropyWithLogits(
        a.target(), weight: a.weight, positiveWeight: a.optionalTensor(-1, "pos_weight"), reduction: a.reduction)
    }
    tensor(f + "soft_margin_loss") { a throws(Diagnostic) in
      try a.tensor(0).softMarginLoss(a.target(), reduction: a.reduction)
    }
    tensor(f + "margin_ranking_loss") { a throws(Diagnostic) in
      try a.tensor(0).marginRankingLoss(
        a.tensor(1), a.target(2), margin: a.double(-1, "margin", else: 0), reduction: a.reduction)
    }
    tensor(f + "hinge_embedding_loss") { a throws(Diagnostic) in
      try a.tensor(0).hingeEmbeddingLoss(a.target(), margin: a.double(-1, "margin", else: 1), reduction: a.reduction)
    }
    tensor(f + "poisson_nll_loss") { a throws(Diagnostic) in
      try a.tensor(0).poissonNLLLoss(
        a.target(), logInput: a.bool(-1, "log_input", else: true), full: a.bool(-1, "full"),
        eps: a.double(-1, "eps", else: 1e-8), reduction: a.reduction)
    }
    tensor(f + "gaussian_nll_loss") { a throws(Diagnostic) in
      try a.tensor(0).gaussianNLLLoss(
        a.target(), variance: a.tensor(2, "var"), full: a.bool(-1, "full"), eps: a.double(-1, "eps", else: 1e-6),
        reduction: a.reduction)
    }
    tensor(f + "kl_div") { a throws(Diagnostic) in
      let perSample = a.string(-1, "reduction") == "batchmean"
      return try a.tensor(0).klDivergence(
        a.target(), logTarget: a.bool(-1, "log_target"), reduction: a.reduction, perSample: perSample)
    }
    tensor(f + "cosine_embedding_loss") { a throws(Diagnostic) in
      try a.tensor(0).cosineEmbeddingLoss(
        a.tensor(1), a.target(2), margin: a.double(-1, "margin", else: 0), reduction: a.reduction)
    }
    tensor(f + "triplet_margin_loss") { a throws(Diagnostic) in
      try a.tensor(0).tripletMarginLoss(
        a.tensor(1), a.tensor(2), margin: a.double(-1, "margin", else: 1), p: a.double(-1, "p", else: 2),
        eps: a.double(-1, "eps", else: 1e-6), swap: a.bool(-1, "swap"), reduction: a.reduction)
    }
    tensor(f + "triplet_margin_with_distance_loss") { a throws(Diagnostic) in
      guard case .text("PairwiseDistance()")? = a.value(-1, "distance_function") else {
        throw Diagnostic(.argument, "a distance function that is not known here")
      }
      return try a.tensor(0).tripletMarginLoss(
        a.tensor(1), a.tensor(2), distance: { $0.pairwiseDistance($1) }, margin: a.double(-1, "margin", else: 1),
        swap: a.bool(-1, "swap"), reduction: a.reduction)
    }
  }

  private mutating func addClassLosses() {
    let f = "nn.functional."
    tensor(f + "nll_loss") { a throws(Diagnostic) in
      try a.tensor(0).nllLoss(
        a.target(), weight: a.weight, ignoreIndex: a.int(-1, "ignore_index", else: -100), reduction: a.reduction)
    }
    tensor(f + "cross_entropy") { a throws(Diagnostic) in
      try a.tensor(0).crossEntropy(
        a.target(), weight: a.weight, ignoreIndex: a.int(-1, "ignore_index", else: -100),
        labelSmoothing: a.double(-1, "label_smoothing", else: 0), reduction: a.reduction)
    }
    tensor(f + "multi_margin_loss") { a throws(Diagnostic) in
      try a.tensor(0).multiMarginLoss(
        a.target(), p: a.int(-1, "p", else: 1), margin: a.double(-1, "margin", else: 1),
        weight: a.optionalTensor(-1, "weight"), reduction: a.reduction)
    }
    tensor(f + "multilabel_margin_loss") { a throws(Diagnostic) in
      try a.tensor(0).multilabelMarginLoss(a.target(), reduction: a.reduction)
    }
    tensor(f + "multilabel_soft_margin_loss") { a throws(Diagnostic) in
      try a.tensor(0).multilabelSoftMarginLoss(a.target(), weight: a.weight, reduction: a.reduction)
    }
  }
}

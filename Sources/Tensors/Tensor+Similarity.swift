// Distances and similarities of rows, one launch each. Not losses made of them.
import Basics
import Engine
import GraphIR
import TensorTypes

private enum Similarity {
  static let cosine = RowOperation("cosine similarity") { x in
    // Each length is kept above eps by itself.
    let lengths = x[0].squared().sum().sqrt().maximum(x[2]) * x[1].squared().sum().sqrt().maximum(x[2])
    return [(x[0] * x[1]).sum() / lengths]
  }
  /// Operands: two rows, eps, p.
  static let distance1 = RowOperation("pairwise distance 1") { x in [(x[0] - x[1] + x[2]).abs().sum()] }
  static let distance2 = RowOperation("pairwise distance 2") { x in [(x[0] - x[1] + x[2]).squared().sum().sqrt()] }
  static let distanceMaximum = RowOperation("pairwise distance inf") { x in [(x[0] - x[1] + x[2]).abs().max()] }
  static let distanceMinimum = RowOperation("pairwise distance -inf") { x in [(x[0] - x[1] + x[2]).abs().min()] }
  static let distance0 = RowOperation("pairwise distance 0") { x in
    [((x[0] - x[1] + x[2]) .!= 0).converted(to: x[0].dtype).sum()]
  }
  static let distance = RowOperation("pairwise distance") { x in
    [(x[0] - x[1] + x[2]).abs().power(x[3]).sum().power(1 / x[3])]
  }
}

extension Tensor {
  private func comparing(
    _ operation: RowOperation, _ other: Tensor, _ axis: Int, _ numbers: [Double], keepDims: Bool
  ) throws(Diagnostic) -> Tensor {
    let (x, y) = (try view, try other.view)
    let domain = try broadcastExtents(x.hints, y.hints, operation.name)
    let place = try resolvedAxis(axis, rank: domain.count, operation.name)
    let axes = domain.isEmpty ? [] : [place]
    let result = try x.dtype.promoted(with: y.dtype).floatingResult
    let made = try operation(
      [operand, other.operand] + numbers.map { .scalar(.floating($0)) }, domain: domain, axes: axes,
      compute: result.computeDType, [.reduced(result)])[0]
    return keepDims ? Tensor(try made.view.keepingDims(axes)) : made
  }

  /// The cosine of the angle between two vectors along `axis`. PyTorch: `nn.functional.cosine_similarity`.
  public func cosineSimilarity(
    _ other: Tensor, axis: Int = 1, eps: Double = 1e-8, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      try comparing(Similarity.cosine, other, axis, [eps], keepDims: false)
    }
  }

  /// The p-norm of x - other + eps along the last axis. PyTorch: `nn.functional.pairwise_distance`.
  public func pairwiseDistance(
    _ other: Tensor, p: Double = 2, eps: Double = 1e-6, keepDims: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let operation: RowOperation =
        switch p {
        case 0: Similarity.distance0
        case 1: Similarity.distance1
        case 2: Similarity.distance2
        case .infinity: Similarity.distanceMaximum
        case -.infinity: Similarity.distanceMinimum
        default: Similarity.distance
        }
      let numbers = operation === Similarity.distance ? [eps, p] : [eps]
      return try comparing(operation, other, -1, numbers, keepDims: keepDims)
    }
  }
}

// Statistics of samples: quantiles, covariances, histograms, trapezoids, distances between rows.
// Not sums and means. Surprise: a quantile sorts its axis once and then reads two neighbours.
import Basics
import Engine
import GraphIR
import TensorTypes

/// What a quantile between two elements is.
public enum QuantileRule: Sendable {
  case linear, lower, higher, midpoint, nearest
}

private enum Statistics {
  static let rowDistance = RowOperation("cdist") { x in [(x[0] - x[1]).abs().power(x[2]).sum().power(1 / x[2])] }
  static let rowDistance2 = RowOperation("cdist 2") { x in [(x[0] - x[1]).squared().sum().sqrt()] }
  static let rowDistance1 = RowOperation("cdist 1") { x in [(x[0] - x[1]).abs().sum()] }
  static let rowDistanceMax = RowOperation("cdist inf") { x in [(x[0] - x[1]).abs().max()] }
  static let rowDistance0 = RowOperation("cdist 0") { x in [(x[0] .!= x[1]).converted(to: x[0].dtype).sum()] }
}

extension Tensor {
  /// The element at the fraction `q` (0...1) of the order along `axis`, or among all. PyTorch: `quantile`,
  /// `nanquantile`.
  public func quantile(
    _ q: Double, _ axis: Int? = nil, keepDims: Bool = false, rule: QuantileRule = .linear, ignoringNaN: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      guard (0...1).contains(q), dtype == .f32 || dtype == .f64 else {
        throw Diagnostic(
          .argument, "quantile: \(q) of elements of dtype \(dtype)", remedy: "ask for 0...1 of f32 or f64 elements")
      }
      let extents = try view.extents
      let flat = axis == nil || extents.isEmpty ? try reshaped(to: [-1]) : self
      let place = extents.isEmpty ? 0 : try resolvedAxis(axis ?? 0, rank: try flat.view.rank, "quantile")
      let extent = try flat.view.extent(place)
      guard extent > 0 else {
        throw Diagnostic(.shape, "quantile: axis \(place) of \(extents) has no element", remedy: "give it one")
      }
      let order = flat.sorted(place).values
      let nans = flat.isNaN().countNonzero(place, keepDims: true)
      // NaN are last: they take the row, or are left out of it.
      let last = ignoringNaN ? (extent - 1 - nans).clamped(min: 0) : Tensor.full(like: nans, extent - 1)
      let rank = last.converted(to: .f64) * q
      let low = rank.floor()
      let high = rank.ceil()
      func read(_ position: Tensor) throws(Diagnostic) -> Tensor {
        try AxisPrograms.elements(of: order.view, at: position.converted(to: .i64).view, axis: place)
      }
      var result: Tensor
      switch rule {
      case .lower: result = try read(low)
      case .higher: result = try read(high)
      case .nearest: result = try read(rank.rounded())
      case .midpoint: result = try read(low).lerp(try read(high), 0.5)
      case .linear: result = try read(low).lerp(try read(high), (rank - low).converted(to: dtype))
      }
      if !ignoringNaN { result = result.filled(where: nans > 0, with: Double.nan) }
      if axis == nil { return try result.reshaped(to: keepDims ? extents.map { _ in 1 } : []) }
      if extents.isEmpty { return try result.reshaped(to: []) }
      return keepDims ? result : Tensor(try result.view.removing(place))
    }
  }

  /// How variables (rows) vary together over observations (columns). PyTorch: `cov`.
  public func covariance(
    correction: Double = 1, frequencies: Tensor? = nil, weights: Tensor? = nil, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, frequencies, weights]) { () throws(Diagnostic) in
      var result = try view.dtype.floatingResult
      if let weights { result = try result.promoted(with: weights.view.dtype) }
      return try roundedOnce(to: result) { (x) throws(Diagnostic) in
        try x.covariances(correction, frequencies, weights?.converted(to: result.computeDType))
      }
    }
  }

  private func covariances(
    _ correction: Double, _ frequencies: Tensor?, _ weights: Tensor?
  ) throws(Diagnostic) -> Tensor {
    let extents = try view.extents
    guard extents.count <= 2 else {
      throw Diagnostic(.shape, "cov: shape \(extents) is no matrix", remedy: "give [variables, observations]")
    }
    let x = extents.count == 2 ? self : try reshaped(to: [1, -1])
    let columns = try x.view.extent(1)
    var weight = Tensor.full([Dim(columns)], 1, dtype: dtype.floatingResult)
    if let frequencies { weight = weight * frequencies.converted(to: weight.dtype) }
    if let weights { weight = weight * weights }
    let total = weight.sum()
    let centred = x - (x * weight).sum(1, keepDims: true) / total
    var divisor = total - correction
    if let weights {
      let squares = (weight * weights).sum()
      divisor = total - squares * correction / total
    }
    let result = centred.matmul((centred * weight).transposed()) / divisor.clamped(min: 0)
    return extents.count == 2 && extents[0] != 1 ? result : try result.reshaped(to: [])
  }

  /// Covariances divided by both deviations. PyTorch: `corrcoef`.
  public func correlation(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      try roundedOnce { (x) throws(Diagnostic) in
        let c = try x.covariances(1, nil, nil)
        if try c.view.rank == 0 { return c / c }
        let deviation = c.diagonal().sqrt()
        return (c / Tensor(try deviation.view.inserting(1)) / deviation).clamped(-1.0, 1.0)
      }
    }
  }

  /// How many elements fall in each of `bins` equal parts of low...high; the elements' own range if both are equal.
  /// PyTorch: `histc`.
  public func histogram(
    bins: Int = 100, low: Double = 0, high: Double = 0, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      var (from, to) = (low, high)
      if from == to, try view.elementCount > 0 {
        from = try min().item()
        to = try max().item()
      }
      if from == to { (from, to) = (from - 1, to + 1) }
      guard bins > 0, from < to, from.isFinite, to.isFinite else {
        throw Diagnostic(.argument, "histc: \(bins) bins of \(low)...\(high)", remedy: "give a finite range and bins")
      }
      let flat = try reshaped(to: [-1])
      let inside = (flat >= from) & (flat <= to)
      let safe = try flat.roundedOnce(to: .i64) { (x) throws(Diagnostic) in
        let slot = ((x - from) * (Double(bins) / (to - from))).floor().clamped(0, bins - 1)
        return Tensor.select(inside, slot, 0)
      }
      return try Self.filled(.integer(0), [bins], dtype).scattering(
        inside.converted(to: dtype), at: safe, axis: 0, reduction: .sum)
    }
  }

  /// The area under the points along `axis`, `x` apart by 1 or at the places given. PyTorch: `trapezoid`.
  public func trapezoids(
    at places: Tensor? = nil, step: Double = 1, _ axis: Int = -1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    areas(places, step, axis, file, line) { $0.sum(axis) }
  }

  /// The area up to each point. PyTorch: `cumulative_trapezoid`.
  public func cumulativeTrapezoids(
    at places: Tensor? = nil, step: Double = 1, _ axis: Int = -1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    areas(places, step, axis, file, line) { $0.cumulativeSum(axis) }
  }

  /// The areas between neighbours, added up by `adding`.
  private func areas(
    _ places: Tensor?, _ step: Double, _ axis: Int, _ file: StaticString, _ line: UInt, adding: (Tensor) -> Tensor
  ) -> Tensor {
    Self.attempt(file, line, of: [self, places]) { () throws(Diagnostic) in
      var result = try view.dtype
      if let places { result = try result.promoted(with: places.view.dtype) }
      return try roundedOnce(to: result.floatingResult) { (x) throws(Diagnostic) in
        let source = try x.view
        let place = try resolvedAxis(axis, rank: source.rank, "trapezoid")
        guard source.rank > 0 else {
          throw Diagnostic(.shape, "trapezoid: a 0-d tensor has no axis", remedy: "give rank 1 or more")
        }
        let count = Swift.max(source.hints[place] - 1, 0)
        // Whether there are elements is a guard.
        let (first, length) = source.dim(place) == 0 ? (0, 0) : (1, source.dim(place) - 1)
        let sums =
          Tensor(source.sliced(place, start: first, count: count, dims: (Dim(first), length)))
          + Tensor(source.sliced(place, start: 0, count: count, dims: (0, length)))
        guard let places else { return adding(sums * (step / 2)) }
        let gaps = try places.roundedOnce(to: result.floatingResult.computeDType) { (x) throws(Diagnostic) in
          x.differences(axis: x.rank == 1 ? 0 : axis)
        }
        return adding(sums * gaps * 0.5)
      }
    }
  }

  /// The p-distance of every row of this to every row of `other`; leading axes broadcast. PyTorch: `cdist`.
  public func rowDistances(
    _ other: Tensor, p: Double = 2, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let (a, b) = (try view, try other.view)
      guard a.rank >= 2, b.rank >= 2, a.dim(a.rank - 1) == b.dim(b.rank - 1), p >= 0 else {
        throw Diagnostic(
          .shape, "cdist: shapes \(a.hints) and \(b.hints), p \(p)", remedy: "rows of both have one extent")
      }
      let left = a.inserting(a.rank - 1)
      let right = b.inserting(b.rank - 2)
      let domain = try broadcastExtents(left.hints, right.hints, "cdist")
      let result = try a.dtype.promoted(with: b.dtype).floatingResult
      let operation: RowOperation =
        switch p {
        case 0: Statistics.rowDistance0
        case 1: Statistics.rowDistance1
        case 2: Statistics.rowDistance2
        case .infinity: Statistics.rowDistanceMax
        default: Statistics.rowDistance
        }
      var operands: [PointwiseOperand] = [.tensor(Tensor(left)), .tensor(Tensor(right))]
      if operation === Statistics.rowDistance { operands.append(.scalar(.floating(p))) }
      return try operation(
        operands, domain: domain, axes: [domain.count - 1], compute: result.computeDType, [.reduced(result)])[0]
    }
  }

  /// Matrices along the diagonal of one, 0 elsewhere. PyTorch: `block_diag`.
  public static func blockDiagonal(
    _ blocks: [Tensor], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: blocks) { () throws(Diagnostic) in
      var matrices: [TensorView] = []
      var dtype = blocks.first?.dtype ?? .f32
      for block in blocks {
        matrices.append(try block.atLeast2D().view)
        dtype = try dtype.promoted(with: block.dtype)
      }
      guard matrices.allSatisfy({ $0.rank == 2 }) else {
        throw Diagnostic(.shape, "block_diag: a block has more than two axes", remedy: "give matrices")
      }
      let extents = [matrices.reduce(0) { $0 + $1.extent(0) }, matrices.reduce(0) { $0 + $1.extent(1) }]
      let result = try filled(.integer(0), extents, dtype)
      var (row, column) = (0, 0)
      for block in matrices {
        let target = try result.view.sliced(0, start: row, count: block.extent(0))
          .sliced(1, start: column, count: block.extent(1))
        if block.elementCount > 0 { try copy(block, into: target) }
        row += block.extent(0)
        column += block.extent(1)
      }
      return result
    }
  }
}

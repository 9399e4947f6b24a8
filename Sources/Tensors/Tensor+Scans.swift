// Along one axis: running sums and extremes, positions of extremes, sorting, order statistics, searching.
// Not reductions that need no position. Surprise: NaN counts as the largest value in all orders, as in PyTorch.
import Basics
import Engine
import GraphIR
import Scalars
import TensorTypes

/// Values and where they were found along the axis.
public struct ValuesAndIndices: Sendable {
  public var values: Tensor
  /// i64.
  public var indices: Tensor
}

private enum Scanning {
  static let search = RowOperation("searchsorted") { x in
    // Operands: boundaries (last axis reduced), the value repeated, 1 to count equal boundaries too.
    // NaN is behind everything.
    let before = (x[0] .< x[1]) || x[1].isNaN || (x[2].truth && (x[0] .== x[1]))
    return [before.converted(to: .i64).sum()]
  }
  static let choice = PointwiseOperation("median position", .selection) { x in x[0].select(x[1], x[2]) }
  static let member = RowOperation("isin") { x in [(x[0] .== x[1]).reduced(.or)] }
}

extension Tensor {
  private func scanning(
    _ name: String, _ axis: Int, _ dtype: DType?, _ file: StaticString, _ line: UInt,
    _ body: @escaping @Sendable (inout GraphBuilder, Value, Int) throws(Diagnostic) -> Value
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, name)
      let result = dtype ?? source.dtype
      if source.rank == 0 { return converted(to: result) }
      return try AxisPrograms.scan(name, source, axis: place, compute: result.computeDType, result: result, body)
    }
  }

  /// The sum of the elements up to each one; integers give i64. PyTorch: `cumsum`.
  public func cumulativeSum(
    _ axis: Int, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let result = dtype ?? (self.dtype.isFloating ? self.dtype : .i64)
    return scanning("cumsum", axis, result, file, line) { builder, x, axis throws(Diagnostic) in
      try builder.append(.scan(.sum, axis: axis), x)
    }
  }

  /// The product of the elements up to each one; integers give i64. PyTorch: `cumprod`.
  public func cumulativeProduct(
    _ axis: Int, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let result = dtype ?? (self.dtype.isFloating ? self.dtype : .i64)
    return scanning("cumprod", axis, result, file, line) { builder, x, axis throws(Diagnostic) in
      try builder.append(.scan(.product, axis: axis), x)
    }
  }

  /// log of the running sum of e^x, without overflow. PyTorch: `logcumsumexp`.
  public func logCumulativeSumExp(_ axis: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    scanning("logcumsumexp", axis, dtype.floatingResult, file, line) { builder, x, axis throws(Diagnostic) in
      try builder.append(.scan(.logSumExp, axis: axis), x)
    }
  }

  private static func attemptPair(
    _ file: StaticString, _ line: UInt, of operands: @autoclosure () -> [Tensor?],
    _ make: () throws(Diagnostic) -> ValuesAndIndices
  ) -> ValuesAndIndices {
    attemptAll(
      file, line, of: operands(), onFailure: { ValuesAndIndices(values: $0, indices: $0) },
      tensors: { [$0.values, $0.indices] }, make)
  }

  private func runningExtreme(
    _ monoid: ArgMonoid, _ axis: Int, _ file: StaticString, _ line: UInt
  ) -> ValuesAndIndices {
    Self.attemptPair(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "cum\(monoid)")
      if source.rank == 0 {
        return ValuesAndIndices(values: self, indices: try Self.filled(.integer(0), [], .i64))
      }
      let indices = try AxisPrograms.scan(
        "cum\(monoid)", source, axis: place, compute: source.dtype, result: .i64
      ) { builder, x, axis throws(Diagnostic) in try builder.append(.argScan(monoid, axis: axis), x) }
      return ValuesAndIndices(
        values: try AxisPrograms.elements(of: source, at: indices.view, axis: place), indices: indices)
    }
  }

  /// The largest element up to each one, and its position. PyTorch: `cummax`.
  public func cumulativeMax(_ axis: Int, file: StaticString = #fileID, line: UInt = #line) -> ValuesAndIndices {
    runningExtreme(.maximum, axis, file, line)
  }

  /// The smallest element up to each one, and its position. PyTorch: `cummin`.
  public func cumulativeMin(_ axis: Int, file: StaticString = #fileID, line: UInt = #line) -> ValuesAndIndices {
    runningExtreme(.minimum, axis, file, line)
  }

  // MARK: Positions

  private func position(
    _ monoid: ArgMonoid, _ axis: Int?, _ keepDims: Bool, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = axis == nil ? try reshaped(to: [-1]).view : try view
      let place = try resolvedAxis(axis ?? 0, rank: source.rank, "\(monoid)")
      if source.rank == 0 { return try Self.filled(.integer(0), [], .i64) }
      guard source.dim(place) != 0 else {
        throw Diagnostic(
          .shape, "\(monoid): axis \(place) of \(source.hints) has no element", remedy: "give it at least one")
      }
      let result = try AxisPrograms.argReduce(monoid, source, axis: place)
      if !keepDims { return result }
      return try Tensor(result.view.keepingDims(axis == nil ? Array(0..<rank) : [place]))
    }
  }

  /// The first position (i64) of the largest element, along `axis` or among all. PyTorch: `argmax`.
  public func argmax(
    _ axis: Int? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { position(.maximum, axis, keepDims, file, line) }

  /// The first position (i64) of the smallest element, along `axis` or among all. PyTorch: `argmin`.
  public func argmin(
    _ axis: Int? = nil, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { position(.minimum, axis, keepDims, file, line) }

  /// Elements at `indices` of a reduced axis, with or without it.
  private func taking(_ indices: Tensor, _ axis: Int, _ keepDims: Bool) throws(Diagnostic) -> ValuesAndIndices {
    let source = try view
    if source.rank == 0 { return ValuesAndIndices(values: self, indices: indices) }
    let place = try resolvedAxis(axis, rank: source.rank, "gather")
    let values = try AxisPrograms.elements(of: source, at: indices.view, axis: place)
    if keepDims { return ValuesAndIndices(values: values, indices: indices) }
    return ValuesAndIndices(
      values: Tensor(try values.view.removing(place)), indices: Tensor(try indices.view.removing(place)))
  }

  /// The largest element along `axis` and its first position. PyTorch: `max(dim=)`.
  public func maxWithIndices(
    _ axis: Int, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> ValuesAndIndices {
    Self.attemptPair(file, line, of: [self]) { () throws(Diagnostic) in
      try taking(argmax(axis, keepDims: true, file: file, line: line), axis, keepDims)
    }
  }

  /// The smallest element along `axis` and its first position. PyTorch: `min(dim=)`.
  public func minWithIndices(
    _ axis: Int, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> ValuesAndIndices {
    Self.attemptPair(file, line, of: [self]) { () throws(Diagnostic) in
      try taking(argmin(axis, keepDims: true, file: file, line: line), axis, keepDims)
    }
  }

  // MARK: Order

  /// The positions (i64) that sort `axis`; stable. PyTorch: `argsort`.
  public func argsorted(
    _ axis: Int = -1, descending: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "argsort")
      if source.rank == 0 { return try Self.filled(.integer(0), [], .i64) }
      return try AxisPrograms.scan(
        descending ? "argsort descending" : "argsort", source, axis: place, compute: source.dtype, result: .i64
      ) { builder, x, axis throws(Diagnostic) in
        try builder.append(.sortOrder(axis: axis, descending: descending), x)
      }
    }
  }

  /// The elements along `axis` in order, and where they were; stable. PyTorch: `sort`.
  public func sorted(
    _ axis: Int = -1, descending: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> ValuesAndIndices {
    Self.attemptPair(file, line, of: [self]) { () throws(Diagnostic) in
      try taking(argsorted(axis, descending: descending, file: file, line: line), axis, true)
    }
  }

  /// The `count` largest (or smallest) elements along `axis`, in order. PyTorch: `topk`.
  public func top(
    _ count: Int, _ axis: Int = -1, largest: Bool = true, file: StaticString = #fileID, line: UInt = #line
  ) -> ValuesAndIndices {
    Self.attemptPair(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "topk")
      guard count >= 0, source.rank == 0 ? count <= 1 : count <= source.dim(place) else {
        let extent = source.rank == 0 ? 1 : source.hints[place]
        throw Diagnostic(
          .argument, "topk: \(count) elements are wanted, axis \(axis) of \(source.hints) has \(extent)",
          remedy: "ask for 0...\(extent)")
      }
      let order = try argsorted(axis, descending: largest, file: file, line: line).view
      if source.rank == 0 { return ValuesAndIndices(values: self, indices: Tensor(order)) }
      return try taking(Tensor(order.sliced(place, start: 0, count: count)).contiguous(), axis, true)
    }
  }

  /// The k-th smallest element along `axis` (1 is the smallest). PyTorch: `kthvalue`.
  public func kthSmallest(
    _ k: Int, _ axis: Int = -1, keepDims: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> ValuesAndIndices {
    Self.attemptPair(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "kthvalue")
      guard k >= 1, source.rank == 0 ? k <= 1 : k <= source.dim(place) else {
        let extent = source.rank == 0 ? 1 : source.hints[place]
        throw Diagnostic(
          .argument, "kthvalue: k is \(k), axis \(axis) of \(source.hints) has \(extent) elements",
          remedy: "ask for 1...\(extent)")
      }
      let order = try argsorted(axis, file: file, line: line).view
      if source.rank == 0 { return ValuesAndIndices(values: self, indices: Tensor(order)) }
      return try taking(Tensor(order.sliced(place, start: k - 1, count: 1)).contiguous(), axis, keepDims)
    }
  }

  /// The middle element along `axis` (of two the lower one); NaN if there is one, unless ignored. PyTorch: `median`,
  /// `nanmedian`.
  public func medianWithIndices(
    _ axis: Int, keepDims: Bool = false, ignoringNaN: Bool = false, file: StaticString = #fileID,
    line: UInt = #line
  ) -> ValuesAndIndices {
    Self.attemptPair(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "median")
      if source.rank == 0 {
        return ValuesAndIndices(values: self, indices: try Self.filled(.integer(0), [], .i64))
      }
      let extent = source.dim(place)
      guard extent != 0 else {
        throw Diagnostic(.shape, "median: axis \(axis) of \(source.hints) has no element", remedy: "give it one")
      }
      let order = argsorted(axis, file: file, line: line)
      let nans = isNaN(file: file, line: line).countNonzero(axis, keepDims: true, file: file, line: line)
      // NaNs are last: ignored, they shorten the row; else any of them is the answer, and the last one is one.
      let (last, half) = (source.hints[place] - 1, (source.hints[place] - 1) / 2)
      let end = PointwiseOperand(extent: extent - 1, last)
      let middle =
        ignoringNaN
        ? try Arithmetic.subtract([end, nans.operand]).floorDivided(by: 2).clamped(min: 0)
        : try Scanning.choice([(nans > 0).operand, end, PointwiseOperand(extent: (extent - 1) / 2, half)])
      let place2 = try AxisPrograms.elements(of: order.view, at: middle.view, axis: place)
      return try taking(place2, axis, keepDims)
    }
  }

  /// The middle of all elements. PyTorch: `median`, `nanmedian`.
  public func median(
    ignoringNaN: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if failure == nil, dtype.isFloating, body.view.elementCount == 0 {
      // NaN as well, of dtypes that have a middle.
      return mean(file: file, line: line)
    }
    return flattened(file: file, line: line).medianWithIndices(0, ignoringNaN: ignoringNaN, file: file, line: line)
      .values
  }

  // MARK: Searching

  /// For each value, how many of the sorted `self` (last axis) are below it; with `right`, below or equal. PyTorch:
  /// `searchsorted(self, values)`. Leading axes of both are equal, or `self` has one axis.
  public func searchSorted(
    _ values: Tensor, right: Bool = false, dtype: DType = .i64, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, values]) { () throws(Diagnostic) in
      let (sorted, wanted) = (try view, try values.view)
      guard sorted.rank >= 1 else {
        throw Diagnostic(.shape, "searchsorted: the boundaries have no axis", remedy: "give a tensor of rank 1 or more")
      }
      let meet = try sorted.dtype.promoted(with: wanted.dtype)
      let domain = wanted.hints + [sorted.hints[sorted.rank - 1]]
      var boundaries = sorted
      if sorted.rank > 1 {
        guard wanted.rank == sorted.rank, wanted.dims.dropLast() == sorted.dims.dropLast() else {
          throw Diagnostic(
            .shape,
            "searchsorted: boundaries \(sorted.hints) and values \(wanted.hints) differ before the last axis",
            remedy: "give boundaries of rank 1, or equal leading extents")
        }
        boundaries = sorted.inserting(sorted.rank - 1)
      }
      let points = wanted.inserting(wanted.rank)
      return try Scanning.search(
        [.tensor(Tensor(boundaries)), .tensor(Tensor(points)), .scalar(.integer(right ? 1 : 0))],
        domain: domain, axes: [wanted.rank], compute: meet, [.reduced(dtype)])[0]
    }
  }

  /// The number of the bucket each element falls in. PyTorch: `bucketize`.
  public func bucketized(
    _ boundaries: Tensor, right: Bool = false, dtype: DType = .i64, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { boundaries.searchSorted(self, right: right, dtype: dtype, file: file, line: line) }

  /// Where an element is one of `others`. PyTorch: `isin`.
  public func isIn(_ others: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, others]) { () throws(Diagnostic) in
      let source = try view
      let flat = try others.reshaped(to: [-1]).view
      return try Scanning.member(
        [.tensor(Tensor(source.inserting(source.rank))), .tensor(Tensor(flat))], domain: source.hints + flat.hints,
        axes: [source.rank], compute: try source.dtype.promoted(with: flat.dtype), [.reduced(.bool)])[0]
    }
  }
}

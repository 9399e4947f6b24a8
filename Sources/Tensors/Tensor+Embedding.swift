// Rows of a table by number, one by one or in bags.
// Surprise: bags of different sizes are padded to the largest, so offsets are read on the host.
import Basics
import Engine
import GraphIR
import TensorTypes

/// What an embedding bag makes of its rows.
public enum EmbeddingBagMode: Sendable, Hashable {
  case sum, mean, max
}

private enum Embeddings {
  // Labels: 0 rows of the table, 1 columns, 2 numbers.
  static let rows = Program("embedding", axes: [[0, 1], [2]]) { builder, x throws(Diagnostic) in
    [try builder.slices(of: x[0], at: x[1], axis: 0)]
  }
  /// Operands: rows [bags, places, columns], weights (0 where there is no row), whether there is one.
  static let sum = RowOperation("embedding bag sum") { x in [(x[2] .!= 0).select(x[0] * x[1], 0).sum()] }
  static let mean = RowOperation("embedding bag mean") { x in
    let count = (x[2] .!= 0).converted(to: x[0].dtype).sum()
    return [(x[2] .!= 0).select(x[0] * x[1], 0).sum() / count.maximum(1)]
  }
  static let max = RowOperation("embedding bag max") { x in
    let largest = (x[2] .!= 0).select(x[0], -.infinity).max()
    let count = (x[2] .!= 0).converted(to: x[0].dtype).sum()
    return [(count .== 0).select(0, largest)]
  }
}

extension Tensor {
  /// The rows of this table [rows, columns] with the numbers `indices`. PyTorch: `nn.functional.embedding`.
  ///
  /// The result has the shape of `indices` and one more axis, in `dtype` (nil: the table's). A number outside the table
  /// fails.
  public func embedding(
    _ indices: Tensor, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, indices]) { () throws(Diagnostic) in
      let (table, shape) = (try view, try indices.view.dims)
      guard table.rank == 2, indices.dtype.isInteger else {
        throw Diagnostic(
          .shape, "embedding: a table \(table.hints) and \(indices.dtype) numbers",
          remedy: "give a table [rows, columns] and integer numbers")
      }
      let numbers = try indices.converted(to: .i64).reshaped(dims: [Shape(shape).elementCount]).view
      let made = try Engine.current.run(
        Embeddings.rows, [.tensor(table), .tensor(numbers)],
        [.fresh(dtype ?? table.dtype, [numbers.hints[0], table.hints[1]])])
      return try Tensor(made[0]).reshaped(dims: shape + [table.dim(1)])
    }
  }

  /// Sums, means or maxima of rows of this table. PyTorch: `nn.functional.embedding_bag`.
  ///
  /// Bags are the rows of a matrix `indices`, or start at `offsets` of a vector. `weights` (for sums) has the shape of
  /// `indices`; rows with the number `paddingIndex` (negative: counted from the end) do not count. An empty bag gives zeros.
  public func embeddingBag(
    _ indices: Tensor, offsets: Tensor? = nil, mode: EmbeddingBagMode = .mean, weights: Tensor? = nil,
    includesLastOffset: Bool = false, paddingIndex: Int? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, indices, offsets, weights]) { () throws(Diagnostic) in
      let shape = try indices.view.extents
      guard weights == nil || mode == .sum, try view.rank == 2 else {
        throw Diagnostic(
          .argument, "embeddingBag: a table \(self.shape) in mode \(mode) with weights",
          remedy: "give a table [rows, columns]; weights are for sums")
      }
      if let weights { try sameShape(indices, weights, "embeddingBag") }
      let padding = try paddingIndex.map { (index) throws(Diagnostic) in try paddingRow(index) }
      let places = try Self.bags(shape, offsets, includesLastOffset)
      let width = places.map(\.count).max() ?? 0
      // Places without a row read the first number and count as 0.
      let columns = try view.extent(1)
      let domain = [places.count, width, columns]
      if domain[0] * domain[2] == 0 || width == 0 {
        return try Self.filled(.integer(0), [places.count, columns], dtype)
      }
      let flat = try indices.converted(to: .i64).reshaped(to: [shape.reduce(1, *)])
      guard let count = CheckedSize.product(places.count, width) else {
        throw Diagnostic(.memory, "embeddingBag: \(places.count) bags of up to \(width) numbers")
      }
      let positions = try Self.table(count) { place in
        let (bag, i) = (places[place / width], place % width)
        return i < bag.count ? bag.lowerBound + i : 0
      }
      let numbers = try flat.picking(0, positions)
      var live = try Self.table(count) { $0 % width < places[$0 / width].count }
      if let padding { live = live.logicalAnd(numbers .!= padding) }
      func perRow(_ x: Tensor) throws(Diagnostic) -> PointwiseOperand {
        .tensor(try x.reshaped(to: [places.count, width, 1]))
      }
      var factors = PointwiseOperand.scalar(.integer(1))
      if let weights {
        factors = try perRow(weights.reshaped(to: [shape.reduce(1, *)]).picking(0, positions))
      }
      let rows = try embedding(numbers).reshaped(to: domain)
      let operation =
        switch mode {
        case .sum: Embeddings.sum
        case .mean: Embeddings.mean
        case .max: Embeddings.max
        }
      return try operation(
        [rows.operand, factors, perRow(live)], domain: domain, axes: [1], compute: dtype.computeDType,
        [.reduced(dtype)])[0]
    }
  }

  /// The row of the table that `index` names, as a tensor, for it may follow the table's extent.
  private func paddingRow(_ index: Int) throws(Diagnostic) -> Tensor {
    let rows = try view.dim(0)
    let row = index < 0 ? rows + Dim(index) : Dim(index)
    guard row >= 0, row < rows else {
      throw Diagnostic(
        .argument, "embeddingBag: there is no row \(index) of \(rows) to be padding",
        remedy: "name a row of the table, or none")
    }
    return Tensor(row)
  }

  /// The places of each bag in the flat numbers.
  private static func bags(
    _ shape: [Int], _ offsets: Tensor?, _ includesLast: Bool
  ) throws(Diagnostic) -> [Range<Int>] {
    if shape.count == 2, offsets == nil {
      return (0..<shape[0]).map { ($0 * shape[1])..<(($0 + 1) * shape[1]) }
    }
    guard shape.count == 1, let offsets else {
      throw Diagnostic(
        .shape, "embeddingBag: numbers \(shape) \(offsets == nil ? "without" : "with") offsets",
        remedy: "give a vector with offsets or a matrix without")
    }
    var starts = try offsets.array(as: Int.self)
    if !includesLast { starts.append(shape[0]) }
    guard starts.first == 0 || starts.count == 1, zip(starts, starts.dropFirst()).allSatisfy({ $0 <= $1 }),
      starts.allSatisfy({ $0 <= shape[0] })
    else {
      throw Diagnostic(
        .argument, "embeddingBag: offsets \(starts) of \(shape[0]) numbers", remedy: "offsets ascend from 0")
    }
    return zip(starts, starts.dropFirst()).map { $0..<$1 }
  }
}

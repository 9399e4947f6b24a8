// Windows as columns of a matrix and back. Not convolutions, which need no such matrix.
// Surprise: folding picks, for each element of the result, the columns that cover it: a gather and a sum for
// each axis.
import Basics
import Engine
import TensorTypes

extension Tensor {
  private func images(_ name: String) throws(Diagnostic) -> (whole: Tensor, isBatched: Bool) {
    let x = try view
    guard x.rank == 3 || x.rank == 4 else {
      throw Diagnostic(
        .shape, "\(name): a tensor \(x.extents)", remedy: "give [batch, channels, height, width] or one sample of it")
    }
    return x.rank == 4 ? (self, true) : (Tensor(x.inserting(0)), false)
  }

  /// Windows as columns: [batch, channels · kernel, windows]. PyTorch: `nn.functional.unfold`.
  public func unfoldedWindows(
    _ kernel: PerAxis, dilation: PerAxis = 1, padding: PerAxis = 0, stride: PerAxis = 1,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let (whole, isBatched) = try images("unfold")
      let windows = SpatialWindows(
        size: try kernel.spread(2, "unfold", "a kernel"), step: try stride.spread(2, "unfold", "strides"),
        dilation: try dilation.spread(2, "unfold", "dilations"))
      let around = try padding.spread(2, "unfold", "padding", minimum: 0)
      let padded = try whole.padded(low: [0, 0] + around, high: [0, 0] + around, with: .integer(0)).view
      guard padded.extent(2) >= windows.span(0), padded.extent(3) >= windows.span(1) else {
        throw Diagnostic(
          .shape, "unfold: a kernel \(windows.size) does not fit into the padded extents \(padded.extents)",
          remedy: "pad more, or take a smaller kernel or dilation")
      }
      let columns = try windows.view(of: padded, from: 2).permuted([0, 1, 4, 5, 2, 3])
      let e = columns.extents
      let result = try Tensor(columns).contiguousCopy().reshaped(to: [e[0], e[1] * e[2] * e[3], e[4] * e[5]])
      return isBatched ? result : Tensor(try result.view.removing(0))
    }
  }

  /// The sum of columns put back to where ``unfoldedWindows`` took them from. PyTorch: `nn.functional.fold`.
  public func folded(
    _ size: PerAxis, kernel: PerAxis, dilation: PerAxis = 1, padding: PerAxis = 0, stride: PerAxis = 1,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let x = try view
      let extents = try size.spread(2, "fold", "extents")
      let windows = SpatialWindows(
        size: try kernel.spread(2, "fold", "a kernel"), step: try stride.spread(2, "fold", "strides"),
        dilation: try dilation.spread(2, "fold", "dilations"))
      let around = try padding.spread(2, "fold", "padding", minimum: 0)
      let counts = (0..<2).map { (extents[$0] + 2 * around[$0] - windows.span($0)) / windows.step[$0] + 1 }
      let area = windows.size[0] * windows.size[1]
      guard x.rank == 2 || x.rank == 3, x.extent(x.rank - 2) % area == 0,
        counts.allSatisfy({ $0 > 0 }), let all = CheckedSize.product(counts[0], counts[1]), x.extent(x.rank - 1) == all
      else {
        throw Diagnostic(
          .shape, "fold: columns \(x.extents) for \(counts) windows of \(windows.size)",
          remedy: "give [batch, channels · kernel, windows]")
      }
      let batch = x.rank == 3 ? x.extent(0) : 1
      let channels = x.extent(x.rank - 2) / area
      let split = [batch * channels, windows.size[0], windows.size[1], counts[0], counts[1]]
      // [planes, kernel 0, windows 0, kernel 1, windows 1]
      var columns = Tensor(try reshaped(to: split).view.permuted([0, 1, 3, 2, 4]))
      for axis in 0..<2 {
        let e = try columns.view.extents
        let merged = e[..<(1 + axis)] + [e[1 + axis] * e[2 + axis]] + e[(3 + axis)...]
        let joined = try columns.reshaped(to: Array(merged))
        columns = try joined.covering(1 + axis, extents[axis], windows, axis, counts[axis], around[axis])
      }
      let lead = x.rank == 3 ? [batch, channels] : [channels]
      return try columns.reshaped(to: lead + extents)
    }
  }

  /// Sums, for each of `extent` places, the elements of `place` (kernel · windows) that cover it.
  private func covering(
    _ place: Int, _ extent: Int, _ windows: SpatialWindows, _ axis: Int, _ count: Int, _ padding: Int
  ) throws(Diagnostic) -> Tensor {
    let size = windows.size[axis]
    // One zero at the end stands for a window that is not there.
    let low = [Int](repeating: 0, count: try view.rank)
    var high = low
    high[place] = 1
    // Both are at most `CheckedSize.mostWindow`.
    let positions = try Self.table(extent * size) { place in
      let (i, k) = (place / size, place % size)
      let start = i + padding - k * windows.dilation[axis]
      let isThere = start >= 0 && start % windows.step[axis] == 0 && start / windows.step[axis] < count
      return isThere ? k * count + start / windows.step[axis] : size * count
    }
    let picked = try padded(low: low, high: high, with: .integer(0)).picking(place, positions)
    var split = try picked.view.extents
    split.replaceSubrange(place...place, with: [extent, size])
    return try picked.reshaped(to: split).sum(place + 1)
  }
}

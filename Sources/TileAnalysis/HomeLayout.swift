// How a tile lies in the memory of an instance: strides and bytes over launch arguments. Not an address.
// Surprise: rows are padded to whole vectors, and so that they do not all fall into the same cache sets.
import TensorTypes
import TileIR

package struct HomeLayout {
  /// Elements per coordinate of each axis.
  package var strides: [Dim]
  /// The axis along which neighbours are neighbours.
  package var inner: Int
  /// A multiple of 64.
  package var bytes: Dim
}

extension PhaseFacts {
  /// nil: some extent has no bound in launch arguments.
  /// - Parameter slack: rows and columns beyond the extent, up to whole register boxes, exist and hold anything.
  package func homeLayout(_ shape: [Extent], _ dtype: DType, slack: Bool) -> HomeLayout? {
    let inner = innerAxis(shape)
    var bounds: [Dim] = []
    for extent in shape {
      guard let bound = index.upper(extent) else { return nil }
      bounds.append(bound.knownValue == nil ? bound.maximum(0) : bound)
    }
    if slack, shape.count >= 2 {
      let box = registerBox(dtype)
      bounds[shape.count - 2] = bounds[shape.count - 2] + (box.rows - 1)
      bounds[shape.count - 1] =
        bounds[shape.count - 1].ceilDivided(by: Dim(box.vectors * lanes)) * (box.vectors * lanes)
    }
    var strides = [Dim](repeating: 1, count: shape.count)
    var total: Dim = 1
    for axis in shape.indices.reversed() where axis <= inner {
      strides[axis] = total
      var extent = bounds[axis]
      if axis == inner, inner > 0 { extent = paddedRow(extent, dtype, rows: bounds[..<inner]) }
      total = total * extent
    }
    return HomeLayout(strides: strides, inner: inner, bytes: (total * dtype.size).ceilDivided(by: 64) * 64)
  }

  /// The axis along which neighbours are neighbours, in memory of an instance.
  func innerAxis(_ shape: [Extent]) -> Int {
    shape.indices.last { shape[$0] != .constant(1) } ?? max(shape.count - 1, 0)
  }

  private func paddedRow(_ extent: Dim, _ dtype: DType, rows: ArraySlice<Dim>) -> Dim {
    let unit = max(lanes, 16)
    if rows.allSatisfy({ $0.isKnown(1) }) { return extent.ceilDivided(by: Dim(unit)) * unit }
    guard let constant = extent.knownValue else { return extent.ceilDivided(by: Dim(unit)) * unit + unit }
    if constant < unit { return extent }
    let whole = (constant + unit - 1) / unit * unit
    return Dim(whole * dtype.size % 1024 == 0 ? whole + unit : whole)
  }
}

// Memory as a nest sees it: a buffer, where its first element is, and strides. Reindexing of memory is arithmetic here.
// Not an allocation. Surprise: an extent-1 axis may have any stride, so "row-major" ignores such axes.
import GraphIR
import TensorTypes

package struct MemoryView: Sendable, Hashable {
  package var source: Schedule.BufferSource
  package var type: TensorType
  /// In elements, one for each axis.
  package var strides: [Dim]
  /// Elements before the first one.
  package var offset: Dim

  package init(_ source: Schedule.BufferSource, _ type: TensorType, strides: [Dim]? = nil, offset: Dim = 0) {
    self.source = source
    self.type = type
    self.strides = strides ?? type.shape.contiguousStrides
    self.offset = offset
  }

  var shape: Shape { type.shape }
  var byteOffset: Dim { offset * type.dtype.size }

  /// The elements are where a row-major tensor of this shape has them.
  var isRowMajor: Bool {
    let contiguous = shape.contiguousStrides
    return strides.indices.allSatisfy { strides[$0] == contiguous[$0] || shape[$0].isKnown(1) }
  }

  /// What a reindexing of this memory is, if it is memory again: not padding, joining, or a reshape across gaps.
  func reindexed(_ node: GraphNode) -> MemoryView? {
    var view = self
    view.type = node.type
    switch node.primitive.payload {
    case .shape(let shape):
      guard let strides = reshapedStrides(shape) else { return nil }
      view.strides = strides
    case .repeated(let shape):
      let lead = shape.rank - self.shape.rank
      view.strides = shape.dims.indices.map { axis in
        axis < lead || (self.shape[axis - lead].isKnown(1) && !shape[axis].isKnown(1)) ? 0 : strides[axis - lead]
      }
    case .permutation(let permutation): view.strides = permutation.map { strides[$0] }
    case .slice(let starts, _, let steps):
      view.moveTo(starts)
      view.strides = zip(strides, steps).map { $0 * $1 }
    case .windows(let axis, _, let step, let dilation):
      view.strides[axis] = strides[axis] * step
      view.strides.append(strides[axis] * dilation)
    default: return nil
    }
    return view
  }

  /// The part that a range write replaces.
  func window(_ starts: [Dim], _ steps: [Int], _ counts: Shape) -> MemoryView {
    var view = self
    view.moveTo(starts)
    view.strides = zip(strides, steps).map { $0 * $1 }
    view.type.shape = counts
    return view
  }

  private mutating func moveTo(_ starts: [Dim]) {
    for (start, stride) in zip(starts, strides) { offset += start * stride }
  }

  /// Strides of the same elements under another shape; nil where no strides reach them.
  private func reshapedStrides(_ shape: Shape) -> [Dim]? {
    if isRowMajor { return shape.contiguousStrides }
    let axes = self.shape.dims.indices.filter { !self.shape[$0].isKnown(1) }
    var result = shape.contiguousStrides
    var (old, new) = (0, 0)
    while new < shape.rank {
      if shape[new].isKnown(1) {
        new += 1
        continue
      }
      guard old < axes.count, let group = Self.group(self.shape, axes[old...], shape, new) else { return nil }
      for i in old..<(old + group.old - 1) where strides[axes[i]] != strides[axes[i + 1]] * self.shape[axes[i + 1]] {
        return nil
      }
      var stride = strides[axes[old + group.old - 1]]
      for i in (new..<(new + group.new)).reversed() where !shape[i].isKnown(1) {
        result[i] = stride
        stride = stride * shape[i]
      }
      old += group.old
      new += group.new
    }
    return old == axes.count ? result : nil
  }

  /// How many old axes and how many new ones, from these on, have as many elements.
  private static func group(
    _ old: Shape, _ axes: ArraySlice<Int>, _ new: Shape, _ first: Int
  ) -> (old: Int, new: Int)? {
    var product: Dim = 1
    for (i, axis) in axes.enumerated() {
      product = product * old[axis]
      var other: Dim = 1
      for j in first..<new.rank {
        other = other * new[j]
        if other == product { return (i + 1, j + 1 - first) }
      }
    }
    return nil
  }
}

/// A box of a tensor's elements: start, count and step on each axis.
struct ElementBox: Hashable {
  var starts: [Dim]
  var counts: [Dim]
  var steps: [Int]

  /// No element is in both: on some axis one certainly ends before the other begins.
  func isDisjoint(from other: ElementBox) -> Bool {
    guard starts.count == other.starts.count else { return false }
    return starts.indices.contains { axis in
      guard steps[axis] == 1, other.steps[axis] == 1 else { return false }
      return ends(self, other, axis) || ends(other, self, axis)
    }
  }

  private func ends(_ a: ElementBox, _ b: ElementBox, _ axis: Int) -> Bool {
    (b.starts[axis] - a.starts[axis] - a.counts[axis]).isNeverNegative
  }
}

extension Dim {
  /// By its form alone: extents and positions are never negative, and nothing is subtracted.
  fileprivate var isNeverNegative: Bool {
    switch expression {
    case nil: (knownValue ?? -1) >= 0
    case .symbol?: true
    case .failed?: false
    case .binary(.subtract, _, _)?: false
    case .binary(_, let a, let b)?: a.isNeverNegative && b.isNeverNegative
    }
  }
}

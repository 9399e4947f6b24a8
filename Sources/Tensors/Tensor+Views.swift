// Views: other shapes of the same memory. Not copies, except where a shape cannot be had by strides (`reshaped`).
// Surprise: writing to a view copies first, because the memory is shared; the original never changes.
import Basics
import Engine
import TensorTypes

/// A size in a shape: an `Int` or a ``Dim``.
public protocol Extent: Sendable { var dim: Dim { get } }
extension Int: Extent { public var dim: Dim { Dim(self) } }
extension Dim: Extent { public var dim: Dim { self } }

/// The product of extents; nil if no machine could count so many elements.
package func countedElements(_ extents: [Int]) -> Int? {
  var count = 1
  for extent in extents {
    let (product, overflows) = count.multipliedReportingOverflow(by: extent)
    if overflows { return nil }
    count = product
  }
  return count
}

extension TensorView {
  /// Different coordinates are different memory, as far as ordered strides show.
  package var elementsAreDistinct: Bool {
    var reach = 1
    for axis in extents.indices.sorted(by: { abs(strides[$0]) < abs(strides[$1]) }) where extents[axis] > 1 {
      if abs(strides[axis]) < reach { return false }
      reach = abs(strides[axis]) * extents[axis]
    }
    return true
  }

  /// The view in `extents` (same element count), or nil where strides cannot say it.
  package func reshapedView(_ target: [Int], dims: [Dim?]? = nil) -> TensorView? {
    if let lifted = lifted(for: dims?.compactMap { $0 } ?? []) { return lifted.reshapedView(target, dims: dims) }
    var view = self
    view.extents = target
    if let traced {
      let symbolic = TracedExtents.reshaped(self.dims, extents, to: dims ?? target.map { _ in nil }, target)
      let source = self.dims.elementsEqual(traced.dims) { $0.isIdentical(to: $1) }
      let whole = source ? traced : traced.adding(.broadcast(self.dims))
      view.traced = whole.adding(.reshape(symbolic))
      view.strides = TensorView.contiguousStrides(target)
      return view
    }
    if isContiguous || elementCount == 0 {
      view.strides = TensorView.contiguousStrides(target)
      return view
    }
    // Split both shapes into the shortest groups of equal element count; each group must be contiguous inside.
    let old = extents.indices.filter { extents[$0] != 1 }
    var newStrides = [Int](repeating: 0, count: target.count)
    var i = 0
    var j = 0
    while i < old.count {
      var oldCount = extents[old[i]]
      var iEnd = i + 1
      while j < target.count, target[j] == 1 { j += 1 }
      guard j < target.count else { return nil }
      var newCount = target[j]
      var jEnd = j + 1
      while oldCount != newCount {
        if oldCount < newCount {
          guard iEnd < old.count, strides[old[iEnd - 1]] == strides[old[iEnd]] * extents[old[iEnd]] else { return nil }
          oldCount *= extents[old[iEnd]]
          iEnd += 1
        } else {
          guard jEnd < target.count else { return nil }
          newCount *= target[jEnd]
          jEnd += 1
        }
      }
      var stride = strides[old[iEnd - 1]]
      for axis in (j..<jEnd).reversed() {
        newStrides[axis] = stride
        stride *= target[axis]
      }
      i = iEnd
      j = jEnd
    }
    view.strides = newStrides
    return view
  }

  /// For views of a constant that depend on extents which the capture knows as symbols only: the constant as a value of
  /// the capture. nil: none of `dims` is a symbol, or this is such a value.
  func lifted(for dims: [Dim]) -> TensorView? {
    guard traced == nil, dims.contains(where: { $0.knownValue == nil }), let trace = Trace.current else { return nil }
    let constant = trace.lifted(self)
    return constant.traced == nil ? nil : constant
  }

  package func permuted(_ order: [Int]) -> TensorView {
    var view = self
    view.extents = order.map { extents[$0] }
    view.strides = order.map { strides[$0] }
    if let traced {
      // Axes that are left out have the extent 1.
      let dropped = extents.indices.filter { !order.contains($0) }
      let kept = extents.indices.filter { order.contains($0) }
      let squeezed = dropped.reversed().reduce(traced) { $0.adding(.remove(axis: $1)) }
      view.traced = squeezed.adding(.permute(order.map { kept.firstIndex(of: $0) ?? 0 }))
    }
    return view
  }

  /// Elements start, start + step, ... (`count` of them) on `axis`.
  /// `dims`: start and count as a capture knows them, where they are not numbers.
  package func sliced(
    _ axis: Int, start: Int, count: Int, step: Int = 1, dims: (start: Dim, count: Dim)? = nil
  ) -> TensorView {
    if start == 0, step == 1, count == extents[axis], dims == nil { return self }
    if let dims, let lifted = lifted(for: [dims.start, dims.count]) {
      return lifted.sliced(axis, start: start, count: count, step: step, dims: dims)
    }
    var view = self
    if let traced {
      // A repeated axis stays one: its elements are all the same.
      if !traced.dims[axis].isKnown(1) || extents[axis] == 1 {
        let (first, length) = dims ?? (Dim(start), Dim(count))
        // A number that fits at the sizes at hand need not fit at others: a guard.
        if dims == nil, count > 0 { _ = Dim.asks(.less, Dim(max(start, start + (count - 1) * step)), self.dims[axis]) }
        view.traced = traced.adding(.slice(axis: axis, start: first, count: length, step: step))
      }
      view.extents[axis] = count
      return view
    }
    // Who calls has checked its arguments: a view that leaves its memory is a mistake here, and must not be read.
    precondition(
      start >= 0 && count >= 0 && (count == 0 || start + (count - 1) * step < extents[axis]),
      "elements \(start), \(start) + \(step)... (\(count)) of an axis of \(extents[axis])")
    view.offset += start * strides[axis] * dtype.size
    view.extents[axis] = count
    // A step beyond the only element says nothing, and must not overflow.
    view.strides[axis] = count > 1 ? strides[axis] * step : strides[axis]
    return view
  }

  /// Windows of `size` elements, `dilation` apart, every `step`: axis keeps the window count, a last axis has the size.
  package func windowed(_ axis: Int, size: Int, step: Int, dilation: Int = 1) -> TensorView {
    var view = self
    let span = (size - 1) * dilation + 1
    view.extents[axis] = max((extents[axis] - span) / step + 1, 0)
    view.strides[axis] = view.extents[axis] > 1 ? strides[axis] * step : strides[axis]
    view.extents.append(size)
    view.strides.append(strides[axis] * dilation)
    if let traced {
      _ = Dim.asks(.lessOrEqual, Dim(span), dims[axis])
      let whole = traced.dims[axis].isKnown(extents[axis]) ? traced : traced.adding(.broadcast(dims))
      view.traced = whole.adding(.windows(axis: axis, size: size, step: step, dilation: dilation))
    }
    return view
  }

  package func inserting(_ axis: Int) -> TensorView {
    var view = self
    view.extents.insert(1, at: axis)
    view.strides.insert(0, at: axis)
    view.traced = traced?.adding(.insert(axis: axis))
    return view
  }

  package func removing(_ axis: Int) -> TensorView {
    var view = self
    view.extents.remove(at: axis)
    view.strides.remove(at: axis)
    if let traced {
      // Any element will do where all are wanted the same.
      let one = traced.dims[axis].isKnown(1) ? traced : traced.adding(.slice(axis: axis, start: 0, count: 1, step: 1))
      view.traced = one.adding(.remove(axis: axis))
    }
    return view
  }

  /// While a function is captured: the elements [i, i] of two axes of one extent, as a last axis.
  func diagonal(_ a: Int, _ b: Int) -> TensorView {
    var view = self
    for axis in [a, b].sorted().reversed() {
      view.extents.remove(at: axis)
      view.strides.remove(at: axis)
    }
    view.extents.append(extents[a])
    view.strides.append(1)
    view.traced = traced?.adding(.diagonal(a, b, count: dims[a]))
    return view
  }

  /// `axis` as two: `outer` blocks of neighbours.
  package func splitting(_ axis: Int, outer: Int) -> TensorView {
    let inner = extents[axis] / max(outer, 1)
    let target = extents[..<axis] + [outer, inner] + extents[(axis + 1)...]
    if traced != nil {
      var dims: [Dim?] = self.dims
      dims.replaceSubrange(axis...axis, with: [Dim(outer), self.dims[axis].knownValue == nil ? nil : Dim(inner)])
      return reshapedView(Array(target), dims: dims) ?? self
    }
    var view = self
    view.extents = Array(target)
    view.strides.replaceSubrange(axis...axis, with: [strides[axis] * inner, strides[axis]])
    return view
  }
}

extension Tensor {
  private static let copyOperation = PointwiseOperation("copy", .promoted, movesOnly: true) { _, values in values[0] }

  /// The elements in fresh row-major memory.
  package func contiguousCopy() throws(Diagnostic) -> Tensor {
    let source = try view
    return try Self.copyOperation.asIs(source, into: nil)
  }

  /// Writes the elements of `source`, broadcast and converted, into `target`.
  package static func copy(_ source: TensorView, into target: TensorView) throws(Diagnostic) {
    _ = try copyOperation.asIs(source.expanded(to: target.extents), into: target)
  }

  /// A row-major tensor: this one if it already is.
  public func contiguous(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line) { () throws(Diagnostic) in try view.isContiguous ? self : contiguousCopy() }
  }

  /// The same elements, in row-major order, in another shape; one extent may be -1. A view where strides allow it.
  public func reshaped<each D: Extent>(
    _ dims: repeat each D, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    var list: [Dim] = []
    repeat list.append((each dims).dim)
    return reshaped(list, file: file, line: line)
  }

  /// The same elements in the shape `dims`; one extent may be -1.
  public func reshaped(_ dims: [Dim], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line) { () throws(Diagnostic) in
      var extents: [Int] = []
      for dim in dims { extents.append(try dim.sizeAtHand) }
      return try reshaped(to: extents, dims: dims.map { $0.isIdentical(to: -1) ? nil : $0 })
    }
  }

  /// `dims`: the wanted extents as a capture knows them; nil where they follow from the others.
  package func reshaped(to wanted: [Int], dims: [Dim?]? = nil) throws(Diagnostic) -> Tensor {
    let source = try view
    let count = source.elementCount
    var extents = wanted
    if let free = extents.firstIndex(of: -1) {
      let known = countedElements(extents.enumerated().filter { $0.offset != free }.map(\.element)) ?? 0
      guard known > 0, count % known == 0 else {
        throw Diagnostic(.shape, "reshape: \(source.extents) has \(count) elements, which \(wanted) does not divide")
      }
      extents[free] = count / known
    }
    let wantedCount = countedElements(extents)
    guard extents.allSatisfy({ $0 >= 0 }), wantedCount == count else {
      throw Diagnostic(
        .shape,
        "reshape: \(source.extents) has \(count) elements, \(wanted) has \(wantedCount.map { "\($0)" } ?? "too many")",
        remedy: "the extents' product must be \(count)")
    }
    if let reshaped = source.reshapedView(extents, dims: dims) { return Tensor(reshaped) }
    guard let reshaped = try contiguousCopy().view.reshapedView(extents, dims: dims) else {
      throw Diagnostic(.compiler, "reshape: a copy of \(source.extents) is not row-major")
    }
    return Tensor(reshaped)
  }

  /// Axis i of the result is axis `order[i]`. A view.
  public func permuted(_ order: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line) { () throws(Diagnostic) in
      let source = try view
      var axes: [Int] = []
      for axis in order { axes.append(try resolvedAxis(axis, rank: source.rank, "permute")) }
      guard axes.sorted() == Array(0..<source.rank) else {
        throw Diagnostic(.argument, "permute: \(order) is not a permutation of the \(source.rank) axes")
      }
      return Tensor(source.permuted(axes))
    }
  }

  /// Two axes exchanged. A view.
  public func transposed(
    _ a: Int = -2, _ b: Int = -1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line) { () throws(Diagnostic) in
      let source = try view
      let i = try resolvedAxis(a, rank: source.rank, "transpose")
      let j = try resolvedAxis(b, rank: source.rank, "transpose")
      if source.rank == 0 { return self }
      var order = Array(0..<source.rank)
      order.swapAt(i, j)
      return Tensor(source.permuted(order))
    }
  }

  /// Repeats axes of extent 1 (and missing leading axes) to `dims`; -1 keeps an extent. A view with stride 0.
  public func expanded<each D: Extent>(
    _ dims: repeat each D, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    var list: [Dim] = []
    repeat list.append((each dims).dim)
    return expanded(list, file: file, line: line)
  }

  /// Repeats axes of extent 1 (and missing leading axes) to `dims`; -1 keeps an extent. A view with stride 0.
  public func expanded(_ dims: [Dim], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line) { () throws(Diagnostic) in
      let source = try view
      var extents: [Int] = []
      let lead = dims.count - source.rank
      var known: [Dim] = []
      for (i, dim) in dims.enumerated() {
        let wanted = try dim.sizeAtHand
        let isKept = wanted == -1 && i >= lead
        extents.append(isKept ? source.extents[i - lead] : wanted)
        known.append(isKept ? source.dims[i - lead] : dim)
      }
      guard lead >= 0,
        source.extents.indices.allSatisfy({ source.extents[$0] == 1 || source.extents[$0] == extents[lead + $0] }),
        extents.allSatisfy({ $0 >= 0 }), countedElements(extents) != nil
      else {
        throw Diagnostic(
          .shape, "expand: \(source.extents) cannot be repeated to \(extents)",
          remedy: "only axes of extent 1 repeat, to extents of 0 or more")
      }
      return Tensor(try source.expanded(to: extents, dims: known))
    }
  }

  /// An axis of extent 1 inserted at `axis`. A view.
  public func expandedDims(at axis: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line) { () throws(Diagnostic) in
      let source = try view
      return Tensor(source.inserting(try resolvedAxis(axis, rank: source.rank + 1, "expandedDims")))
    }
  }

  /// Axes of extent 1 removed: those in `axes`, or all. Others stay. A view.
  public func squeezed(_ axes: [Int]? = nil, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line) { () throws(Diagnostic) in
      var result = try view
      if result.rank == 0 { return self }
      for axis in try resolvedAxes(axes, rank: result.rank, "squeeze").reversed() {
        // Whether an extent is 1 is a guard.
        let dim = result.dims[axis]
        if dim.knownValue.map({ $0 == 1 }) ?? Dim.asks(.equal, dim, 1) { result = result.removing(axis) }
      }
      return Tensor(result)
    }
  }

  /// Axes `first...last` merged into one. A view where strides allow it.
  public func flattened(
    _ first: Int = 0, _ last: Int = -1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line) { () throws(Diagnostic) in
      let extents = try view.extents
      if extents.isEmpty { return try reshaped(to: [1]) }
      let i = try resolvedAxis(first, rank: extents.count, "flatten")
      let j = try resolvedAxis(last, rank: extents.count, "flatten")
      guard i <= j else { throw Diagnostic(.argument, "flatten: axis \(first) comes after axis \(last)") }
      return try reshaped(to: Array(extents[..<i]) + [extents[i...j].reduce(1, *)] + Array(extents[(j + 1)...]))
    }
  }
}

// Views: other shapes of the same memory. Not copies, except where a shape cannot be had by strides (`reshaped`).
// Surprise: writing to a view copies first, because the memory is shared; the original never changes.
import Basics
import Engine
import TensorTypes

/// A size in a shape: an `Int` or a ``Dim``.
public protocol Extent: Sendable { var dim: Dim { get } }
extension Int: Extent { public var dim: Dim { Dim(self) } }
extension Dim: Extent { public var dim: Dim { self } }

extension TensorView {
  /// Different coordinates are different memory, as far as ordered strides show.
  package var elementsAreDistinct: Bool {
    // Of memory only: what a capture writes to is a value.
    if !hasMemory { return true }
    var reach = 1
    for axis in hints.indices.sorted(by: { abs(strides[$0]) < abs(strides[$1]) }) where hints[axis] > 1 {
      if abs(strides[axis]) < reach { return false }
      reach = abs(strides[axis]) * hints[axis]
    }
    return true
  }

  /// The view in `extents` (same element count), or nil where strides cannot say it. `dims`: the extents as a capture
  /// knows them; nil where they follow from the others.
  package func reshapedView(_ target: [Int], dims: [Dim?]? = nil) -> TensorView? {
    if let lifted = lifted(for: dims?.compactMap { $0 } ?? []) { return lifted.reshapedView(target, dims: dims) }
    var view = self
    view.hints = target
    if let path {
      let symbolic = TracedExtents.reshaped(self.dims, hints, to: dims ?? target.map { _ in nil }, target)
      let source = self.dims.elementsEqual(path.dims) { $0.isIdentical(to: $1) }
      let whole = source ? path : path.adding(.broadcast(self.dims))
      view.path = whole.adding(.reshape(symbolic))
    }
    if !hasMemory || isContiguous || elementCount == 0 {
      view.strides = TensorView.contiguousStrides(target)
      return view
    }
    // Split both shapes into the shortest groups of equal element count; each group must be contiguous inside.
    let old = hints.indices.filter { hints[$0] != 1 }
    var newStrides = [Int](repeating: 0, count: target.count)
    var i = 0
    var j = 0
    while i < old.count {
      var oldCount = hints[old[i]]
      var iEnd = i + 1
      while j < target.count, target[j] == 1 { j += 1 }
      guard j < target.count else { return nil }
      var newCount = target[j]
      var jEnd = j + 1
      while oldCount != newCount {
        if oldCount < newCount {
          guard iEnd < old.count, strides[old[iEnd - 1]] == strides[old[iEnd]] * hints[old[iEnd]] else { return nil }
          oldCount *= hints[old[iEnd]]
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
    guard hasMemory, dims.contains(where: { $0.knownValue == nil }), let trace = Trace.current else { return nil }
    let constant = trace.lifted(self)
    return constant.hasMemory ? nil : constant
  }

  package func permuted(_ order: [Int]) -> TensorView {
    var view = self
    view.hints = order.map { hints[$0] }
    view.strides = order.map { strides[$0] }
    if let path {
      // Axes that are left out have the extent 1.
      let dropped = hints.indices.filter { !order.contains($0) }
      let kept = hints.indices.filter { order.contains($0) }
      let squeezed = dropped.reversed().reduce(path) { $0.adding(.remove(axis: $1)) }
      view.path = squeezed.adding(.permute(order.map { kept.firstIndex(of: $0) ?? 0 }))
    }
    return view
  }

  /// Elements start, start + step, ... (`count` of them) on `axis`.
  /// `dims`: start and count as a capture knows them, where they are not numbers.
  package func sliced(
    _ axis: Int, start: Int, count: Int, step: Int = 1, dims: (start: Dim, count: Dim)? = nil
  ) -> TensorView {
    if start == 0, step == 1, count == hints[axis], dims == nil, hasMemory || self.dims[axis].isKnown(count) {
      return self
    }
    if let dims, dims.start.isKnown(0), step == 1, dims.count.isIdentical(to: dim(axis)) { return self }
    if let dims, let lifted = lifted(for: [dims.start, dims.count]) {
      return lifted.sliced(axis, start: start, count: count, step: step, dims: dims)
    }
    var view = self
    if let path {
      let (first, length) = dims ?? (Dim(start), Dim(count))
      let whole = self.dims[axis]
      // A number that fits at the sizes at hand need not fit at others: a guard.
      if dims == nil, count > 0 { _ = Dim.asks(.less, Dim(max(start, start + (count - 1) * step)), whole) }
      if !path.dims[axis].isKnown(1) || hints[axis] == 1 {
        view.path = path.adding(.slice(axis: axis, start: first, count: length, step: step))
      } else if length.knownValue == nil {
        // A repeated axis repeats as far as is asked for: its elements are all the same.
        var wanted = self.dims
        wanted[axis] = length
        view.path = path.adding(.broadcast(wanted))
      }
      view.hints[axis] = count
    }
    if !hasMemory { return view }
    // Who calls has checked its arguments: a view that leaves its memory is a mistake here, and must not be read.
    precondition(
      start >= 0 && count >= 0 && (count == 0 || start + (count - 1) * step < extents[axis]),
      "elements \(start), \(start) + \(step)... (\(count)) of an axis of \(extents[axis])")
    view.offset += start * strides[axis] * dtype.size
    view.hints[axis] = count
    // A step beyond the only element says nothing, and must not overflow.
    view.strides[axis] = count > 1 ? strides[axis] * step : strides[axis]
    return view
  }

  /// Windows of `size` elements, `dilation` apart, every `step`: axis keeps the window count, a last axis has the size.
  package func windowed(_ axis: Int, size: Int, step: Int, dilation: Int = 1) throws(Diagnostic) -> TensorView {
    var view = self
    let span = (size - 1) * dilation + 1
    view.hints[axis] = max((hints[axis] - span) / step + 1, 0)
    view.strides[axis] = view.hints[axis] > 1 ? strides[axis] * step : strides[axis]
    view.hints.append(size)
    // No neighbour in the window, no distance: it must not overflow.
    view.strides.append(size > 1 ? strides[axis] * dilation : strides[axis])
    guard CheckedSize.elements(view.hints) != nil else {
      throw Diagnostic(
        .memory, "windows of \(size) elements of \(hints) are more than a machine can address",
        remedy: "take smaller windows, or fewer")
    }
    if size == 0, !hasMemory {
      // Windows without an element: any empty view has all of them.
      let extents = dims.enumerated().map { $0.offset == axis ? ($0.element - span) / step + 1 : $0.element } + [0]
      let none = inserting(rank).sliced(rank, start: 0, count: 0, dims: (0, 0))
      if let made = none.reshapedView(view.hints, dims: extents) { return made }
    }
    if let path {
      guard Dim.asks(.lessOrEqual, Dim(span), dims[axis]) else {
        // None: nothing to see, of as many places as a window has.
        let none = sliced(axis, start: 0, count: 0, dims: (0, 0)).inserting(rank)
        view.path = none.path?.adding(.broadcast(none.dims.dropLast() + [Dim(size)]))
        return view
      }
      let whole = path.dims[axis].isKnown(hints[axis]) ? path : path.adding(.broadcast(dims))
      view.path = whole.adding(.windows(axis: axis, size: size, step: step, dilation: dilation))
    }
    return view
  }

  package func inserting(_ axis: Int) -> TensorView {
    var view = self
    view.hints.insert(1, at: axis)
    view.strides.insert(0, at: axis)
    view.path = path?.adding(.insert(axis: axis))
    return view
  }

  package func removing(_ axis: Int) -> TensorView {
    var view = self
    view.hints.remove(at: axis)
    view.strides.remove(at: axis)
    if let path {
      // Any element will do where all are wanted the same.
      let one = path.dims[axis].isKnown(1) ? path : path.adding(.slice(axis: axis, start: 0, count: 1, step: 1))
      view.path = one.adding(.remove(axis: axis))
    }
    return view
  }

  /// No elements; whether there are some is a guard.
  var isEmpty: Bool { hasMemory ? hints.contains(0) : dims.contains { $0 == 0 } }

  /// More than one element along the axis, as far as it is known; that there is one is a guard.
  func isLong(_ axis: Int) -> Bool {
    let dim = dim(axis)
    return dim.knownValue.map { $0 > 1 } ?? (Dim.asks(.lessOrEqual, dim, 0) ? false : true)
  }

  /// An axis whose extent is 1, as a guard may say, with 1 for its extent.
  func single(_ axis: Int) -> TensorView {
    dims[axis].isKnown(1) ? self : sliced(axis, start: 0, count: 1, dims: (0, 1))
  }

  /// While a function is captured: the elements [i, i] of two axes of one extent, as a last axis.
  func diagonal(_ a: Int, _ b: Int) -> TensorView {
    var view = self
    for axis in [a, b].sorted().reversed() {
      view.hints.remove(at: axis)
      view.strides.remove(at: axis)
    }
    view.hints.append(hints[a])
    view.strides.append(1)
    view.path = path?.adding(.diagonal(a, b, count: dims[a]))
    return view
  }

  /// `axis` as two: `outer` blocks of neighbours.
  package func splitting(_ axis: Int, outer: Int) -> TensorView {
    let inner = hints[axis] / max(outer, 1)
    let target = hints[..<axis] + [outer, inner] + hints[(axis + 1)...]
    if !hasMemory {
      var dims: [Dim?] = self.dims
      dims.replaceSubrange(axis...axis, with: [Dim(outer), self.dims[axis] / Dim(max(outer, 1))])
      return reshapedView(Array(target), dims: dims) ?? self
    }
    var view = self
    view.hints = Array(target)
    view.strides.replaceSubrange(axis...axis, with: [strides[axis] * inner, strides[axis]])
    return view
  }
}

extension Tensor {
  private static let copyOperation = PointwiseOperation("copy", .promoted, movesOnly: true) { _, values in values[0] }

  /// The elements in fresh row-major memory.
  package func contiguousCopy(as dtype: DType? = nil) throws(Diagnostic) -> Tensor {
    let source = try view
    return try Self.copyOperation.asIs(source, to: .fresh(dtype ?? source.dtype, source.hints))
  }

  /// Writes the elements of `source`, broadcast and converted, into `target`.
  package static func copy(_ source: TensorView, into target: TensorView) throws(Diagnostic) {
    let spread = try source.expanded(to: target.hints, dims: target.hasMemory ? nil : target.dims)
    _ = try copyOperation.asIs(spread, to: .existing(target))
  }

  /// A row-major tensor: this one if it already is.
  public func contiguous(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in try view.isContiguous ? self : contiguousCopy() }
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
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      try reshaped(dims: dims)
    }
  }

  /// The same in extents as a capture knows them; one may be -1.
  package func reshaped(dims: [Dim]) throws(Diagnostic) -> Tensor {
    var extents: [Int] = []
    var wanted: [Dim?] = []
    for dim in dims {
      extents.append(try dim.sizeHint)
      // A symbol that is -1 at hand is that by a guard.
      wanted.append(dim.isIdentical(to: -1) || Dim.asks(.less, dim, 0) ? nil : dim)
    }
    return try reshaped(to: extents, dims: wanted)
  }

  /// `dims`: the wanted extents as a capture knows them; nil where they follow from the others.
  package func reshaped(to wanted: [Int], dims: [Dim?]? = nil) throws(Diagnostic) -> Tensor {
    let source = try view
    let count = source.hints.reduce(1, *)
    var extents = wanted
    if let free = extents.firstIndex(of: -1) {
      let known = CheckedSize.elements(extents.enumerated().filter { $0.offset != free }.map(\.element)) ?? 0
      guard known > 0, count % known == 0 else {
        throw Diagnostic(.shape, "reshape: \(source.hints) has \(count) elements, which \(wanted) does not divide")
      }
      extents[free] = count / known
      // Of no elements nobody can tell how many rows there are: at no later size either.
      if let dims { _ = Dim.asks(.less, 0, Shape(dims.compactMap { $0 }).elementCount) }
    }
    let wantedCount = CheckedSize.elements(extents)
    guard extents.allSatisfy({ $0 >= 0 }), wantedCount == count else {
      throw Diagnostic(
        .shape,
        "reshape: \(source.hints) has \(count) elements, \(wanted) has \(wantedCount.map { "\($0)" } ?? "too many")",
        remedy: "the extents' product must be \(count)")
    }
    if let reshaped = source.reshapedView(extents, dims: dims) {
      // Where a number stood for an extent, the extent is that number by a guard.
      if dims == nil, !reshaped.hasMemory {
        for (dim, given) in zip(reshaped.dims, wanted) where given != -1 { _ = try dim.sizeAtHand }
      }
      return Tensor(reshaped)
    }
    guard let reshaped = try contiguousCopy().view.reshapedView(extents, dims: dims) else {
      throw Diagnostic(.compiler, "reshape: a copy of \(source.hints) is not row-major")
    }
    return Tensor(reshaped)
  }

  /// Axis i of the result is axis `order[i]`. A view.
  public func permuted(_ order: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
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
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
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
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      var extents: [Int] = []
      let lead = dims.count - source.rank
      let own = source.dims
      var known: [Dim] = []
      var fits = lead >= 0
      for (i, dim) in dims.enumerated() {
        let wanted = try dim.sizeHint
        let isKept = i >= lead && Dim.asks(.equal, dim, -1)
        extents.append(isKept ? source.hints[i - lead] : wanted)
        known.append(isKept ? own[i - lead] : dim)
        if isKept { continue }
        // That an extent repeats, is the same, or is no extent at all is a guard.
        if i >= lead, lead >= 0 {
          fits = fits && (Dim.asks(.equal, own[i - lead], dim) || Dim.asks(.equal, own[i - lead], 1))
        }
        fits = fits && Dim.asks(.lessOrEqual, 0, dim)
      }
      guard fits else {
        throw Diagnostic(
          .shape, "expand: \(source.hints) cannot be repeated to \(extents)",
          remedy: "only axes of extent 1 repeat, to extents of 0 or more")
      }
      // More than a machine can address is too much, not wrong.
      if extents.allSatisfy({ $0 >= 0 }) { _ = try Engine.byteCount(source.dtype, extents) }
      return Tensor(try source.expanded(to: extents, dims: known))
    }
  }

  /// An axis of extent 1 inserted at `axis`. A view.
  public func expandedDims(at axis: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      return Tensor(source.inserting(try resolvedAxis(axis, rank: source.rank + 1, "expandedDims")))
    }
  }

  /// Axes of extent 1 removed: those in `axes`, or all. Others stay. A view.
  public func squeezed(_ axes: [Int]? = nil, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
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
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let dims = try view.dims
      if dims.isEmpty { return try reshaped(to: [1]) }
      let i = try resolvedAxis(first, rank: dims.count, "flatten")
      let j = try resolvedAxis(last, rank: dims.count, "flatten")
      guard i <= j else { throw Diagnostic(.argument, "flatten: axis \(first) comes after axis \(last)") }
      return try reshaped(dims: Array(dims[..<i]) + [Shape(Array(dims[i...j])).elementCount] + Array(dims[(j + 1)...]))
    }
  }
}

// Choosing and placing elements by position or mask, by name: gather, scatter, index_*, masked_*, nonzero, unique.
// Not subscripts. Surprise: results whose shape depends on values (nonzero, unique, masked selection) read a count on
// the
// host, so inside `compile` they end a segment.
import Basics
import Engine
import Scalars
import TensorTypes

/// How scattered elements meet those already there.
public enum ScatterReduction: Sendable {
  case sum, product, mean, minimum, maximum
}

/// Distinct elements, ascending, and what can be told about them.
public struct UniqueElements: Sendable {
  public var values: Tensor
  /// For each element of the input, the position of its value.
  public var inverse: Tensor
  /// How often each value occurs.
  public var counts: Tensor
}

extension TensorView {
  /// As many elements as `other` has on each axis but `axis`, the first of them; that there are as many is a guard.
  func cropped(to other: TensorView, except axis: Int? = nil) -> TensorView {
    var view = self
    for i in hints.indices where i != axis && dim(i) != other.dim(i) {
      view = view.sliced(i, start: 0, count: other.hints[i], dims: (0, other.dim(i)))
    }
    return view
  }
}

extension Tensor {
  private func requireFit(_ indices: TensorView, _ source: TensorView, _ axis: Int, _ name: String) throws(Diagnostic) {
    guard indices.rank == source.rank,
      source.hints.indices.allSatisfy({ $0 == axis || indices.dim($0) <= source.dim($0) })
    else {
      throw Diagnostic(
        .shape, "\(name): indices of shape \(indices.hints) do not fit \(source.hints) beside axis \(axis)",
        remedy: "give the indices the rank of the tensor and at most its extents on the other axes")
    }
    guard indices.dtype.isInteger else {
      throw Diagnostic(.dtype, "\(name): the indices are \(indices.dtype)", remedy: "convert them to i64")
    }
  }

  /// result[i][j] = self[indices[i][j]][j] for axis 0, and so on. PyTorch: `gather`.
  public func gathering(
    _ indices: Tensor, axis: Int, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, indices]) { () throws(Diagnostic) in
      var (source, places) = (try view, try indices.view)
      if places.rank != source.rank, places.isEmpty {
        return Tensor(try Engine.current.allocate(dtype, like: places))
      }
      if source.rank == 0 { source = source.inserting(0) }
      if places.rank == 0 { places = places.inserting(0) }
      let place = try resolvedAxis(axis, rank: source.rank, "gather")
      try requireFit(places, source, place, "gather")
      let result = try AxisPrograms.elements(of: source.cropped(to: places, except: place), at: places, axis: place)
      return try result.reshaped(dims: try indices.view.dims)
    }
  }

  /// As ``gathering(_:axis:file:line:)``, the other axes broadcast. PyTorch: `take_along_dim`.
  public func takingAlong(
    _ indices: Tensor, axis: Int? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, indices]) { () throws(Diagnostic) in
      guard let axis else {
        return try reshaped(to: [-1]).gathering(indices.reshaped(to: [-1]), axis: 0, file: file, line: line)
      }
      let (source, places) = (try view, try indices.view)
      let place = try resolvedAxis(axis, rank: source.rank, "take_along_dim")
      guard source.rank == places.rank else {
        throw Diagnostic(
          .shape, "take_along_dim: ranks \(source.rank) and \(places.rank) differ", remedy: "give both one rank")
      }
      if source.rank == 0 { return gathering(indices, axis: axis, file: file, line: line) }
      var (a, b) = (source.hints, places.hints)
      a[place] = 1
      b[place] = 1
      _ = try broadcastExtents(a, b, "take_along_dim")
      func one(_ view: TensorView) -> [Dim] { view.dims.enumerated().map { $0 == place ? 1 : $1 } }
      var met = broadcastDims([one(source), one(places)], to: source.rank)
      met[place] = source.dim(place)
      let wide = try source.expanded(to: met)
      met[place] = places.dim(place)
      return try AxisPrograms.elements(of: wide, at: places.expanded(to: met), axis: place)
    }
  }

  /// The slices at `indices` (rank 0 or 1) along `axis`. PyTorch: `index_select`.
  public func selecting(
    _ indices: Tensor, axis: Int, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, indices]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "index_select")
      let flat = try indices.reshaped(to: [-1]).view
      if source.rank == 0 {
        return try AxisPrograms.elements(of: source.inserting(0), at: flat, axis: 0).reshaped(to: [])
      }
      return try AxisPrograms.elements(of: source, at: flat.along(place, of: source), axis: place)
    }
  }

  /// Rows of this table (axis 0) at `indices` of any shape. PyTorch: `nn.functional.embedding(indices, table)`.
  public func gathering(_ indices: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, indices]) { () throws(Diagnostic) in
      let source = try view
      guard source.rank >= 1 else {
        throw Diagnostic(.shape, "gathering: a table of rank 0 has no rows", remedy: "give it rank 1 or more")
      }
      let flat = try indices.reshaped(to: [-1]).view
      let rows = try AxisPrograms.elements(of: source, at: flat.along(0, of: source), axis: 0)
      return try rows.reshaped(dims: try indices.view.dims + Array(source.dims.dropFirst()))
    }
  }

  /// Elements at `indices` of the row-major order. PyTorch: `take`.
  public func taking(_ indices: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, indices]) { () throws(Diagnostic) in
      let found = try AxisPrograms.elements(
        of: reshaped(to: [-1]).view, at: indices.reshaped(to: [-1]).view, axis: 0)
      return try found.reshaped(dims: try indices.view.dims)
    }
  }

  /// The extents that both broadcast to.
  private static func met(_ a: TensorView, _ b: TensorView, _ name: String) throws(Diagnostic) -> [Dim] {
    let rank = try broadcastExtents(a.hints, b.hints, name).count
    return broadcastDims([a, b], to: rank)
  }

  // MARK: Placing

  private func scattering(
    _ indices: Tensor, _ updates: Tensor, _ axis: Int, _ combine: Monoid?, _ name: String
  ) throws(Diagnostic) -> Tensor {
    let base = try view
    if base.rank == 0 {
      return try expandedDims(at: 0).scattering(
        indices.reshaped(to: [-1]), updates.reshaped(to: [-1]), 0, combine, name
      ).reshaped(to: [])
    }
    let place = try resolvedAxis(axis, rank: base.rank, name)
    let places = try indices.view
    try requireFit(places, base, place, name)
    var source = try updates.view
    if source.rank == 0 { source = try source.expanded(to: places.dims) }
    guard source.rank == places.rank, zip(source.dims, places.dims).allSatisfy({ $0 >= $1 }) else {
      throw Diagnostic(
        .shape, "\(name): updates of shape \(source.hints) for indices of shape \(places.hints)",
        remedy: "give an update for every index")
    }
    source = source.cropped(to: places)
    let window = base.cropped(to: places, except: place)
    let written = try AxisPrograms.scatter(window, places, source, axis: place, combine: combine)
    if window.dims == base.dims { return written }
    let result = try contiguousCopy()
    try Self.copy(try written.view, into: try result.view.cropped(to: places, except: place))
    return result
  }

  /// This tensor with `updates` written at `indices` on `axis`; the last one wins. PyTorch: `scatter`.
  public func scattering(
    _ updates: Tensor, at indices: Tensor, axis: Int, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, updates, indices]) { () throws(Diagnostic) in
      try scattering(indices, updates, axis, nil, "scatter")
    }
  }

  /// This tensor with `updates` combined in at `indices`; without `includeSelf` the old elements there do not count.
  /// PyTorch: `scatter_reduce`, `scatter_add`.
  public func scattering(
    _ updates: Tensor, at indices: Tensor, axis: Int, reduction: ScatterReduction, includeSelf: Bool = true,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, updates, indices]) { () throws(Diagnostic) in
      if case .mean = reduction, dtype == .bool {
        throw Diagnostic(
          .dtype, "scatter_reduce: bool has no mean",
          remedy: "convert to f32 first for the part that is true, or reduce by .maximum for whether any is")
      }
      let wide = dtype.isFloating ? dtype.computeDType : dtype == .u64 ? dtype : .i64
      if case .mean = reduction, wide != dtype {
        // The sum may be more than a half float or a narrow integer holds.
        return converted(to: wide).scattering(
          updates.converted(to: wide), at: indices, axis: axis, reduction: .mean, includeSelf: includeSelf, file: file,
          line: line
        ).converted(to: dtype)
      }
      let monoid: Monoid =
        switch reduction {
        // Truth adds up to whether any is true.
        case .sum, .mean: dtype == .bool ? .or : .sum
        case .product: dtype == .bool ? .and : .product
        case .minimum: .minimum
        case .maximum: .maximum
        }
      var base = self
      if !includeSelf {
        let identity = monoid.identity(dtype)
        let neutral = Tensor.full(
          like: indices, dtype.isFloating ? Number.floating(identity.doubleValue) : .integer(identity.integerValue),
          dtype: dtype)
        base = try scattering(indices, neutral, axis, nil, "scatter_reduce")
      }
      let combined = try base.scattering(indices, updates, axis, monoid, "scatter_reduce")
      guard case .mean = reduction else { return combined }
      let ones = Tensor.ones(like: indices, dtype: .i64)
      let start = includeSelf ? Tensor.ones(like: self, dtype: .i64) : Tensor.zeros(like: self, dtype: .i64)
      let counts = try start.scattering(indices, ones, axis, .sum, "scatter_reduce").clamped(min: 1)
      let divisors = counts.converted(to: dtype)
      return dtype.isFloating ? combined / divisors : combined.floorDivided(by: divisors)
    }
  }

  /// The index of `indices` on `axis` in a tensor of this shape.
  private func slots(_ indices: Tensor, _ axis: Int, _ name: String) throws(Diagnostic) -> (Tensor, Int) {
    let source = try view
    let place = try resolvedAxis(axis, rank: source.rank, name)
    let flat = try indices.reshaped(to: [-1]).view
    return (Tensor(try source.rank == 0 ? flat : flat.along(place, of: source)), place)
  }

  /// This tensor with the slices at `indices` on `axis` replaced. PyTorch: `index_copy`.
  public func replacing(
    _ slices: Tensor, at indices: Tensor, axis: Int, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, slices, indices]) { () throws(Diagnostic) in
      let (slots, place) = try slots(indices, axis, "index_copy")
      return try scattering(slots, slices, place, nil, "index_copy")
    }
  }

  /// This tensor with `scale · slices` added at `indices` on `axis`. PyTorch: `index_add`.
  public func adding(
    _ slices: Tensor, at indices: Tensor, axis: Int, scale: some Scalar = 1, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, slices, indices]) { () throws(Diagnostic) in
      let (slots, place) = try slots(indices, axis, "index_add")
      let updates = slices * scale
      // Truth adds up to whether any is true.
      if dtype == .bool { return try scattering(slots, updates.converted(to: .bool), place, .or, "index_add") }
      return try scattering(slots, updates, place, .sum, "index_add")
    }
  }

  /// This tensor with the slices at `indices` on `axis` set to `value`. PyTorch: `index_fill`.
  public func filling(
    _ value: some TensorOrScalar, at indices: Tensor, axis: Int, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, indices]) { () throws(Diagnostic) in
      let (slots, place) = try slots(indices, axis, "index_fill")
      let single: Tensor =
        switch value.operand {
        case .tensor(let tensor): tensor
        case .scalar(let number): try Self.filled(number, [], dtype)
        case .count(let count): throw Diagnostic(.compiler, "index_fill: a count \(count) is no value")
        }
      return try scattering(slots, single.converted(to: dtype), place, nil, "index_fill")
    }
  }

  // MARK: Shapes that depend on values

  /// [count, rank], i64, row-major order: where elements are not 0. PyTorch: `nonzero`.
  public func nonzero(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in try positions() }
  }

  /// Row-major numbers of the elements that are not 0.
  func chosenNumbers() throws(Diagnostic) -> Tensor {
    let mask = try converted(to: .bool).reshaped(to: [-1])
    let total = try mask.view.elementCount
    if total == 0 { return try Self.filled(.integer(0), [0], .i64) }
    let ranks = mask.converted(to: .i64).cumulativeSum(0)
    let count: Int = try ranks[total - 1].item()
    // Every chosen element writes its number at its rank, every other one at a place behind all ranks.
    let slots = Tensor.select(mask, ranks - 1, count)
    let numbers = Tensor.arange(total)
    let base = try Self.filled(.integer(0), [count + 1], .i64)
    let placed = try AxisPrograms.scatter(try base.view, try slots.view, try numbers.view, axis: 0, combine: nil)
    return Tensor(try placed.view.sliced(0, start: 0, count: count))
  }

  func positions() throws(Diagnostic) -> Tensor {
    let extents = try view.extents
    let numbers = try chosenNumbers()
    let count = try numbers.view.elementCount
    if extents.isEmpty || count == 0 {
      return Tensor(try Engine.current.allocate(.i64, [count, extents.count]))
    }
    let result = try Engine.current.allocate(.i64, [count, extents.count])
    var step = 1
    for axis in extents.indices.reversed() {
      let coordinate = numbers.floorDivided(by: step) % extents[axis]
      try Self.copy(try coordinate.view, into: result.sliced(1, start: axis, count: 1).removing(1))
      step *= extents[axis]
    }
    return Tensor(result)
  }

  /// The elements where `mask` is not 0, row-major, as one axis; shapes broadcast. PyTorch: `masked_select`.
  public func masked(by mask: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, mask]) { () throws(Diagnostic) in
      let shape = try Self.met(try view, try mask.view, "masked_select")
      let wide = Tensor(try mask.view.expanded(to: shape))
      let source = try Tensor(try view.expanded(to: shape)).reshaped(to: [-1]).view
      return try AxisPrograms.elements(of: source, at: wide.chosenNumbers().view, axis: 0)
    }
  }

  /// This tensor with `source`'s elements, in order, where `mask` is not 0. PyTorch: `masked_scatter`.
  public func scattering(
    _ source: Tensor, where mask: Tensor, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, source, mask]) { () throws(Diagnostic) in
      let shape = try Self.met(try view, try mask.view, "masked_scatter")
      let wide = try Tensor(try mask.view.expanded(to: shape)).converted(to: .bool).reshaped(to: [-1])
      let flat = try source.reshaped(to: [-1])
      let available = try flat.view.elementCount
      let ranks = wide.converted(to: .i64).cumulativeSum(0)
      let needed: Int = try wide.countNonzero().item()
      guard needed <= available else {
        throw Diagnostic(
          .shape, "masked_scatter: the mask chooses \(needed) elements, the source has \(available)",
          remedy: "give at least as many elements as the mask chooses")
      }
      if needed == 0 { return self }
      let taken = try AxisPrograms.elements(of: flat.view, at: (ranks - 1).clamped(min: 0).view, axis: 0)
      let own = try Tensor(try view.expanded(to: shape)).reshaped(to: [-1])
      return try Tensor.select(wide, taken.converted(to: dtype), own).reshaped(dims: shape)
    }
  }

  /// The distinct elements, ascending, with the way back and counts. PyTorch: `unique(return_inverse=,
  /// return_counts=)`.
  public func unique(file: StaticString = #fileID, line: UInt = #line) -> UniqueElements {
    Self.attemptAll(
      file, line, of: [self], onFailure: { UniqueElements(values: $0, inverse: $0, counts: $0) },
      tensors: { [$0.values, $0.inverse, $0.counts] }
    ) { () throws(Diagnostic) in
      let extents = try view.extents
      let order = try reshaped(to: [-1]).sorted(0)
      let total = try order.values.view.elementCount
      if total == 0 {
        let none = try Self.filled(.integer(0), [0], .i64)
        return UniqueElements(values: order.values, inverse: Tensor.zeros(like: self, dtype: .i64), counts: none)
      }
      var starts = try Self.filled(.bool(true), [total], .bool)
      if total > 1 { starts[1...] = order.values[1...] .!= order.values[..<(-1)] }
      let group = starts.converted(to: .i64).cumulativeSum(0) - 1
      let first = try starts.chosenNumbers()
      let inverse = try Self.filled(.integer(0), [total], .i64).scattering(group, at: order.indices, axis: 0)
      let count = try first.view.elementCount
      let counts = try Self.filled(.integer(0), [count], .i64).scattering(
        Tensor.ones(like: group), at: group, axis: 0, reduction: .sum)
      return UniqueElements(
        values: try AxisPrograms.elements(of: order.values.view, at: first.view, axis: 0),
        inverse: try inverse.reshaped(to: extents), counts: counts)
    }
  }

  /// How often each of 0, 1, ... occurs, at least `minimumLength` of them; or sums of `weights`. PyTorch: `bincount`.
  public func binCounts(
    weights: Tensor? = nil, minimumLength: Int = 0, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, weights]) { () throws(Diagnostic) in
      let flat = try reshaped(to: [-1])
      guard dtype.isInteger else {
        throw Diagnostic(.dtype, "bincount: the elements are \(dtype)", remedy: "convert them to i64")
      }
      // Sums of other weights than f32 are f64's.
      let updates =
        try weights.map { weights throws(Diagnostic) in
          try weights.converted(to: weights.dtype == .f32 ? .f32 : .f64).reshaped(to: [-1])
        } ?? Tensor.ones(like: flat, dtype: .i64)
      var length = minimumLength
      if try flat.view.elementCount > 0 {
        let (least, most) = flat.extremes()
        let lowest = try least.item(as: Int.self)
        guard lowest >= 0 else {
          throw Diagnostic(.argument, "bincount: the element \(lowest) is negative", remedy: "count what is 0 or more")
        }
        length = Swift.max(length, try CheckedSize.offset(most.item(as: Int.self)) + 1)
      }
      return try Self.filled(.integer(0), [length], updates.dtype).scattering(
        updates, at: flat, axis: 0, reduction: .sum, file: file, line: line)
    }
  }
}

extension TensorView {
  /// This line of indices repeated to the extents of `other`, lying along `axis`.
  func along(_ axis: Int, of other: TensorView) throws(Diagnostic) -> TensorView {
    if !hasMemory || !other.hasMemory {
      var target = other.dims
      target[axis] = dim(0)
      let lead = (0..<axis).reduce(self) { view, _ in view.inserting(0) }
      let line = ((axis + 1)..<other.rank).reduce(lead) { $0.inserting($1) }
      return try line.expanded(to: target)
    }
    var view = self
    view.strides = [Int](repeating: 0, count: other.rank)
    view.strides[axis] = strides[0]
    view.hints = other.hints
    view.hints[axis] = hints[0]
    return view
  }
}

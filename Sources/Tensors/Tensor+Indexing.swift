// `x[...]`: reading and writing parts of a tensor by integers, ranges, new axes, `...`, positions and masks.
// Not gather and scatter by name. Surprise: without tensors in the brackets reading is a view; writing copies first if
// somebody else reads the memory.
import Basics
import Engine
import GraphIR
import Scalars
import TensorTypes

/// A subscript applied to a shape: the basic part as a view, tensors left over.
private struct Subscript {
  var view: TensorView
  /// Axes of `view` that tensors of positions walk.
  var positions: [(axis: Int, tensor: Tensor)] = []

  init(_ source: TensorView, _ indices: [TensorIndex]) throws(Diagnostic) {
    view = source
    for case .tensor(let tensor) in indices { _ = try tensor.view }
    let given = indices.filter { if case .nothing = $0 { false } else { true } }
    let consumed = try Self.consumedAxes(given, of: source)
    var axis = 0
    for index in given {
      switch index {
      case .at(let dim): try select(dim, axis, of: source)
      case .range(let start, let end, let step):
        // A step beyond the extent takes one element however far it goes; where it goes must not overflow.
        let step = Swift.min(step, Swift.max(view.dims[axis].knownValue ?? CheckedSize.mostSymbol, 1))
        let (first, count) = try Self.bounds(start, end, step, view.hints[axis])
        let isSymbolic = !view.hasMemory || [start, end].contains { $0.map { $0.knownValue == nil } ?? false }
        let dims = isSymbolic ? Self.symbolicBounds(start, end, step, view.dims[axis]) : nil
        view = view.sliced(axis, start: first, count: count, step: step, dims: dims)
        axis += 1
      case .insertedAxis:
        view = view.inserting(axis)
        axis += 1
      case .ellipsis: axis += source.rank - consumed
      case .tensor(let tensor) where tensor.dtype == .bool: axis += try choose(tensor, axis)
      case .tensor(let tensor):
        guard tensor.dtype.isInteger else {
          throw Diagnostic(.dtype, "an index tensor is \(tensor.dtype)", remedy: "index with integers or a bool mask")
        }
        positions.append((axis, tensor))
        axis += 1
      case .nothing: break
      }
    }
  }

  /// How many axes of `source` the indices stand for, the ellipsis aside.
  private static func consumedAxes(_ given: [TensorIndex], of source: TensorView) throws(Diagnostic) -> Int {
    var consumed = 0
    var ellipses = 0
    for index in given {
      switch index {
      case .at, .range: consumed += 1
      case .tensor(let tensor): consumed += tensor.dtype == .bool ? tensor.rank : 1
      case .ellipsis: ellipses += 1
      case .insertedAxis, .nothing: break
      }
    }
    guard ellipses <= 1 else {
      throw Diagnostic(.index, "a subscript has \(ellipses) times \"...\"", remedy: "write it once")
    }
    guard consumed <= source.rank else {
      throw Diagnostic(
        .index, "\(consumed) indices for the \(source.rank) axes of shape \(source.hints)",
        remedy: "give at most one index for each axis")
    }
    return consumed
  }

  /// One element of an axis, which goes.
  private mutating func select(_ dim: Dim, _ axis: Int, of source: TensorView) throws(Diagnostic) {
    let extent = view.dims[axis]
    // From which end it counts and that it stays inside are guards.
    let start = Dim.asks(.less, dim, 0) ? extent + dim : dim
    guard Dim.asks(.lessOrEqual, 0, start), Dim.asks(.less, start, extent) else {
      let (wanted, count) = (try dim.sizeHint, view.hints[axis])
      throw Diagnostic(
        .index, "index \(wanted) is outside axis \(axis) of \(source.hints), whose extent is \(count)",
        remedy: "indices are \(-count)..<\(count)")
    }
    view = view.sliced(axis, start: try start.sizeHint, count: 1, dims: (start, 1)).removing(axis)
  }

  /// The elements where a mask of the axes from `axis` on is true; gives how many axes those are now.
  private mutating func choose(_ mask: Tensor, _ axis: Int) throws(Diagnostic) -> Int {
    guard axis + mask.rank <= view.rank, try mask.view.dims == Array(view.dims[axis..<(axis + mask.rank)]) else {
      throw Diagnostic(
        .index, "a mask of shape \(mask.shape) for axes of shape \(view.hints.dropFirst(axis).prefix(mask.rank))",
        remedy: "a mask has the shape of what it chooses from")
    }
    if mask.rank == 0 {
      view = view.inserting(axis)
      let chosen = try mask.item(as: Bool.self) ? 1 : 0
      positions.append((axis, try Tensor.filled(.integer(0), [chosen], .i64)))
      return 1
    }
    let found = try mask.positions()
    for column in 0..<mask.rank {
      positions.append((axis + column, Tensor(try found.view.sliced(1, start: column, count: 1).removing(1))))
    }
    return mask.rank
  }

  /// Python's rules: bounds count from the end if negative, and are kept inside.
  static func bounds(_ start: Dim?, _ end: Dim?, _ step: Int, _ extent: Int) throws(Diagnostic) -> (Int, Int) {
    guard step > 0 else {
      throw Diagnostic(
        .argument, "a slice has the step \(step)", remedy: "steps are 1 or more; use flipped() to go back")
    }
    var first = 0
    var last = extent
    if let start { first = try start.sizeHint }
    if let end { last = try end.sizeHint }
    if first < 0 { first += extent }
    if last < 0 { last += extent }
    first = Swift.min(Swift.max(first, 0), extent)
    last = Swift.min(Swift.max(last, 0), extent)
    return (first, last > first ? (last - first - 1) / step + 1 : 0)
  }
}

extension Subscript {
  /// Start and count as expressions; which side of a bound they are on is a guard.
  static func symbolicBounds(
    _ start: Dim?, _ end: Dim?, _ step: Int, _ extent: Dim
  ) -> (start: Dim, count: Dim) {
    func kept(_ bound: Dim) -> Dim {
      let fromStart = Dim.asks(.less, bound, 0) ? extent + bound : bound
      if Dim.asks(.less, fromStart, 0) { return 0 }
      return Dim.asks(.lessOrEqual, fromStart, extent) ? fromStart : extent
    }
    let low = start.map(kept) ?? 0
    let high = end.map(kept) ?? extent
    guard Dim.asks(.less, low, high) else { return (low, 0) }
    return (low, step == 1 ? high - low : (high - low - 1) / step + 1)
  }
}

private enum Linear {
  /// acc · extent + index, indices wrapped; anything outside becomes and stays a mark that says what was wrong.
  static let step = PointwiseOperation("linear index", .unchanged(.i64)) { x in
    let (sum, index, extent) = (x[0].converted(to: .i64), x[1].converted(to: .i64), x[2].converted(to: .i64))
    let wrapped = (index .< 0).select(index + extent, index)
    let isOutside = (wrapped .< 0) || (wrapped .>= extent)
    let shown = index.maximum(-OutsideIndex.most).minimum(OutsideIndex.most)
    let mark = shown * OutsideIndex.radix + extent.minimum(OutsideIndex.most) + OutsideIndex.base
    return (sum .< 0).select(sum, isOutside.select(mark, sum * extent + wrapped))
  }
}

extension Tensor {
  func indexed(_ indices: [TensorIndex]) throws(Diagnostic) -> Tensor {
    let part = try Subscript(try view, indices)
    if part.positions.isEmpty { return Tensor(part.view) }
    let plan = try AdvancedIndexing(part.view, part.positions)
    return try plan.read()
  }

  mutating func assign(_ value: Tensor, at indices: [TensorIndex], accumulate: Bool = false) throws(Diagnostic) {
    let source = try value.view
    let part = try Subscript(try view, indices)
    guard !part.positions.isEmpty else {
      try broadcastInto(part.view.dims, source.dims)
      // A value that reads this tensor's own memory is copied before it changes.
      let shares = source.sharesMemory(with: part.view)
      let safe = shares ? try value.contiguousCopy().view : source
      try makeUnique()
      let target = try Subscript(try view, indices).view
      let fitted = Tensor(safe.dropping(to: target.rank))
      let result = accumulate ? try Arithmetic.add([.tensor(Tensor(target)), .tensor(fitted)]) : fitted
      try Self.copy(try result.view, into: target)
      return
    }
    let plan = try AdvancedIndexing(part.view, part.positions)
    let updated = try plan.updated(value, accumulate: accumulate)
    try makeUnique()
    let target = try Subscript(try view, indices).view.permuted(plan.order)
    try Self.copy(try updated.view, into: target)
  }

  // MARK: Subscripts

  private func reading(_ indices: [TensorIndex], _ file: StaticString, _ line: UInt) -> Tensor {
    Self.attempt(file, line, of: [self] + indices.map(\.positions)) { () throws(Diagnostic) in try indexed(indices) }
  }

  private mutating func writing(
    _ value: Tensor, _ indices: [TensorIndex], _ file: StaticString, _ line: UInt
  ) {
    do { try assign(value, at: indices) } catch {
      self = Self.failed(Self.firstFailure([self, value] + indices.map(\.positions)) ?? error, file, line)
    }
  }

  /// A part of the tensor: `x[0]`, `x[1..<3, 2]`, `x[.newAxis]`, `x[mask]`, `x[stride(from: 0, to: 9, by: 2)]`.
  ///
  /// Ranges are views. Positions (integer tensors, `[Int]`) and masks choose elements into new memory, with PyTorch's
  /// rules.
  /// Writing leaves other holders of the memory as they were. PyTorch: `x[...]`.
  public subscript<A: TensorIndexable, B: TensorIndexable, C: TensorIndexable, D: TensorIndexable, E: TensorIndexable>(
    _ a: A, _ b: B = TensorIndex.nothing, _ c: C = TensorIndex.nothing, _ d: D = TensorIndex.nothing,
    _ e: E = TensorIndex.nothing, file file: StaticString = #fileID, line line: UInt = #line
  ) -> Tensor {
    get { reading([a.tensorIndex, b.tensorIndex, c.tensorIndex, d.tensorIndex, e.tensorIndex], file, line) }
    set { writing(newValue, [a.tensorIndex, b.tensorIndex, c.tensorIndex, d.tensorIndex, e.tensorIndex], file, line) }
  }

  /// `x[..., 0..<3]`: the indices after `...` belong to the last axes.
  public subscript<B: TensorIndexable, C: TensorIndexable, D: TensorIndexable>(
    _ rest: UnboundedRange, _ b: B = TensorIndex.nothing, _ c: C = TensorIndex.nothing,
    _ d: D = TensorIndex.nothing, file file: StaticString = #fileID, line line: UInt = #line
  ) -> Tensor {
    get { reading([.ellipsis, b.tensorIndex, c.tensorIndex, d.tensorIndex], file, line) }
    set { writing(newValue, [.ellipsis, b.tensorIndex, c.tensorIndex, d.tensorIndex], file, line) }
  }

  /// `x[0, ..., 1]`.
  public subscript<A: TensorIndexable, C: TensorIndexable, D: TensorIndexable>(
    _ a: A, _ rest: UnboundedRange, _ c: C = TensorIndex.nothing, _ d: D = TensorIndex.nothing,
    file file: StaticString = #fileID, line line: UInt = #line
  ) -> Tensor {
    get { reading([a.tensorIndex, .ellipsis, c.tensorIndex, d.tensorIndex], file, line) }
    set { writing(newValue, [a.tensorIndex, .ellipsis, c.tensorIndex, d.tensorIndex], file, line) }
  }

  /// A subscript made at run time.
  public subscript(indices indices: [TensorIndex], file file: StaticString = #fileID, line line: UInt = #line) -> Tensor
  {
    get { reading(indices, file, line) }
    set { writing(newValue, indices, file, line) }
  }

  /// This tensor with `value` added at positions: repeated positions add up. PyTorch: `index_put(accumulate=True)`.
  public func adding(
    _ value: Tensor, at indices: [TensorIndex], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, value]) { () throws(Diagnostic) in
      var result = try contiguousCopy()
      try result.assign(value, at: indices, accumulate: true)
      return result
    }
  }
}

/// `value` must repeat to `target`, never the other way. Which axes do is a guard.
func broadcastInto(
  _ target: [Dim], _ value: [Dim], _ mistake: (() throws(Diagnostic) -> Diagnostic)? = nil
) throws(Diagnostic) {
  let lead = target.count - value.count
  let fits = value.enumerated().allSatisfy { i, dim in
    // Leading axes of extent 1 may be missing in the target.
    (i + lead >= 0 && Dim.asks(.equal, dim, target[i + lead])) || Dim.asks(.equal, dim, 1)
  }
  guard fits else {
    if let mistake { throw try mistake() }
    throw Diagnostic(
      .shape, "assign: shape \(value) does not repeat to \(target)", remedy: "extents must be equal or 1")
  }
}

extension TensorView {
  /// Leading axes of extent 1 removed until `rank` axes are left.
  func dropping(to rank: Int) -> TensorView {
    var view = self
    while view.rank > rank, Dim.asks(.equal, view.dims[0], 1) { view = view.removing(0) }
    return view
  }
}

/// Positions on several axes, read or written as one gather or scatter on the merged axis.
private struct AdvancedIndexing {
  let view: TensorView
  /// Axes in the order: indexed ones, then the others.
  let order: [Int]
  let indexed: [Int]
  /// The shape the position tensors meet in.
  let shape: [Dim]
  /// i64, one position on the merged axis for each element of `shape`.
  let linear: Tensor
  let originals: [(axis: Int, tensor: Tensor)]

  init(_ view: TensorView, _ positions: [(axis: Int, tensor: Tensor)]) throws(Diagnostic) {
    self.view = view
    originals = positions
    indexed = positions.map(\.axis)
    var hints: [Int] = []
    var views: [TensorView] = []
    for position in positions {
      views.append(try position.tensor.view)
      hints = try broadcastExtents(hints, views[views.count - 1].hints, "index")
    }
    shape = broadcastDims(views, to: hints.count)
    let axes = positions.map(\.axis)
    order = axes + (0..<view.rank).filter { !axes.contains($0) }
    var sum: PointwiseOperand = .scalar(.integer(0))
    for position in positions {
      let extent = PointwiseOperand(extent: view.dims[position.axis], view.hints[position.axis])
      sum = .tensor(try Linear.step([sum, .tensor(position.tensor), extent]))
    }
    guard case .tensor(let linear) = sum else { throw Diagnostic(.index, "no positions") }
    self.linear = Tensor(try linear.view.expanded(to: hints, dims: shape))
  }

  private var rest: [Dim] { order.dropFirst(indexed.count).map { view.dims[$0] } }
  private var count: Dim { Shape(shape).elementCount }

  /// [merged, rest...]
  private func merged() throws(Diagnostic) -> TensorView {
    let total = indexed.reduce(Dim(1)) { $0 * view.dims[$1] }
    return try Tensor(view.permuted(order)).reshaped(dims: [total] + rest).view
  }

  /// Positions repeated along the rest: [count, rest...].
  private func spread() throws(Diagnostic) -> TensorView {
    var index = try linear.reshaped(dims: [count]).view
    for _ in rest { index = index.inserting(index.rank) }
    return try index.expanded(to: [count] + rest)
  }

  private func explaining<T>(_ body: () throws(Diagnostic) -> T) throws(Diagnostic) -> T {
    do { return try body() } catch {
      for position in originals {
        let better = AxisPrograms.located(
          error, try position.tensor.view, view.hints[position.axis], position.axis)
        if better != error { throw better }
      }
      throw error
    }
  }

  func read() throws(Diagnostic) -> Tensor {
    let source = try merged()
    let found = try explaining { () throws(Diagnostic) in try AxisPrograms.elements(of: source, at: spread(), axis: 0) }
    let result = try found.reshaped(dims: shape + rest)
    // Neighbouring indexed axes keep their place; separated ones come first.
    guard let first = indexed.first, indexed == Array(first..<(first + indexed.count)), first > 0 else { return result }
    let lead = shape.count
    return Tensor(
      try result.view.permuted(
        Array(lead..<(lead + first)) + Array(0..<lead) + Array((lead + first)..<(lead + rest.count))))
  }

  /// The permuted view with `value` written in.
  func updated(_ value: Tensor, accumulate: Bool) throws(Diagnostic) -> Tensor {
    let base = try merged()
    var target = shape + rest
    var source = try value.view
    if let first = indexed.first, indexed == Array(first..<(first + indexed.count)), first > 0 {
      // The value's axes are in the result's order: bring the positions' axes to the front.
      let lead = shape.count
      target = Array(rest[..<first]) + shape + Array(rest[first...])
      try broadcastInto(target, source.dims)
      source = try source.dropping(to: target.count).expanded(to: target)
      source = source.permuted(
        Array(first..<(first + lead)) + Array(0..<first) + Array((first + lead)..<target.count))
    } else {
      try broadcastInto(target, source.dims)
      source = try source.dropping(to: target.count).expanded(to: target)
    }
    let updates = try Tensor(source).converted(to: view.dtype).reshaped(dims: [count] + rest).view
    let written = try explaining { () throws(Diagnostic) in
      try AxisPrograms.scatter(base, try spread(), updates, axis: 0, combine: accumulate ? .sum : nil)
    }
    return try written.reshaped(dims: order.map { view.dims[$0] })
  }
}

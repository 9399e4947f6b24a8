// Joining and cutting: cat, stack, split, chunk, tile, repeat. Copies where something is joined, views where it is cut.
// Surprise: joining writes each piece straight into its window of the result, whatever the strides.
import Basics
import Engine
import Execution
import TensorTypes

extension Tensor {
  /// The tensors one after the other along `axis`; other extents are equal. PyTorch: `cat`.
  public static func concatenated(
    _ tensors: [Tensor], axis: Int = 0, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: tensors) { () throws(Diagnostic) in
      var pieces: [TensorView] = []
      for tensor in tensors { pieces.append(try tensor.view) }
      guard let some = pieces.first else {
        throw Diagnostic(.argument, "cat: there are no tensors", remedy: "give at least one")
      }
      var dtype = some.dtype
      for piece in pieces { dtype = try dtype.promoted(with: piece.dtype) }
      // A piece of shape [0] is nothing, as in PyTorch.
      let counting = pieces.filter { $0.rank != 1 || $0.dim(0) != 0 }
      guard let first = counting.first else { return try filled(.integer(0), [0], dtype) }
      let place = try resolvedAxis(axis, rank: first.rank, "cat")
      guard first.rank > 0 else {
        throw Diagnostic(.shape, "cat: 0-d tensors cannot be joined", remedy: "use stacked")
      }
      // At hand: a capture asks for the same, with guards.
      var extents = first.hints
      extents[place] = 0
      for piece in counting {
        var rest = piece.hints
        guard rest.count == extents.count else {
          throw Diagnostic(
            .shape, "cat: shapes \(first.hints) and \(piece.hints) differ in rank", remedy: "give all one rank")
        }
        rest[place] = extents[place]
        guard rest == extents else {
          throw Diagnostic(
            .shape, "cat: shapes \(first.hints) and \(piece.hints) differ beside axis \(place)",
            remedy: "only the extent on the joined axis may differ")
        }
        extents[place] = CheckedSize.sum([extents[place], piece.hints[place]]) ?? .max
      }
      if let trace = Trace.current {
        return Tensor(try trace.concatenate(counting, axis: place, dtype: dtype))
      }
      let result = try Engine.current.allocate(dtype, extents)
      var start = 0
      for piece in counting {
        let count = piece.hints[place]
        try copy(piece, into: result.sliced(place, start: start, count: count))
        start += count
      }
      return Tensor(result)
    }
  }

  /// The tensors side by side along a new axis; shapes are equal. PyTorch: `stack`.
  public static func stacked(
    _ tensors: [Tensor], axis: Int = 0, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: tensors) { () throws(Diagnostic) in
      guard let first = tensors.first else {
        throw Diagnostic(.argument, "stack: there are no tensors", remedy: "give at least one")
      }
      let dims = try first.view.dims
      let place = try resolvedAxis(axis, rank: dims.count + 1, "stack")
      var pieces: [Tensor] = []
      for tensor in tensors {
        guard try tensor.view.dims == dims else {
          throw Diagnostic(
            .shape, "stack: shapes \(first.shape) and \(tensor.shape) differ", remedy: "give tensors of one shape")
        }
        pieces.append(Tensor(try tensor.view.inserting(place)))
      }
      return concatenated(pieces, axis: place, file: file, line: line)
    }
  }

  /// Side by side along the second axis (the first for rank 1). PyTorch: `hstack`.
  public static func horizontallyStacked(
    _ tensors: [Tensor], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let pieces = tensors.map { $0.atLeast1D(file: file, line: line) }
    return concatenated(pieces, axis: pieces.first?.rank == 1 ? 0 : 1, file: file, line: line)
  }

  /// On top of each other, rows of rank 1. PyTorch: `vstack`.
  public static func verticallyStacked(
    _ tensors: [Tensor], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { concatenated(tensors.map { $0.atLeast2D(file: file, line: line) }, axis: 0, file: file, line: line) }

  /// Behind each other along the third axis. PyTorch: `dstack`.
  public static func depthStacked(
    _ tensors: [Tensor], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { concatenated(tensors.map { $0.atLeast3D(file: file, line: line) }, axis: 2, file: file, line: line) }

  /// Columns side by side; tensors of rank 0 and 1 are columns. PyTorch: `column_stack`.
  public static func columnStacked(
    _ tensors: [Tensor], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let columns = tensors.map { tensor in
      tensor.rank > 1
        ? tensor : attempt(file, line, of: [tensor]) { () throws(Diagnostic) in try tensor.reshaped(to: [-1, 1]) }
    }
    return concatenated(columns, axis: 1, file: file, line: line)
  }

  /// Rank 1 at least. PyTorch: `atleast_1d`.
  public func atLeast1D(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in try view.rank == 0 ? reshaped(to: [1]) : self }
  }

  /// Rank 2 at least: [n] becomes [1, n]. PyTorch: `atleast_2d`.
  public func atLeast2D(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      return source.rank >= 2 ? self : source.rank == 1 ? Tensor(source.inserting(0)) : try reshaped(to: [1, 1])
    }
  }

  /// Rank 3 at least: [n] becomes [1, n, 1], [m, n] becomes [m, n, 1]. PyTorch: `atleast_3d`.
  public func atLeast3D(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      switch source.rank {
      case 0: return try reshaped(to: [1, 1, 1])
      case 1: return Tensor(source.inserting(0).inserting(2))
      case 2: return Tensor(source.inserting(2))
      default: return self
      }
    }
  }

  // MARK: Cutting

  /// What a tensor of a list takes on the host, about.
  private static let pieceBytes = 512

  /// `make`'s tensors; if they fail, as many failed ones as were asked for, so that taking one by its number gives the
  /// mistake and stops nobody. `count` nil: nobody knows how many there would be, and there are many.
  static func several(
    _ file: StaticString, _ line: UInt, of operands: @autoclosure () -> [Tensor?], _ count: Int?,
    _ make: () throws(Diagnostic) -> [Tensor]
  ) -> [Tensor] {
    let asked = Swift.min(Swift.max(count ?? .max, 1), 1 << 16)
    return attemptAll(
      file, line, of: operands(), onFailure: { [Tensor](repeating: $0, count: asked) }, tensors: { $0 }, make)
  }

  /// Pieces with the extents `sizes` along `axis`. Views. PyTorch: `split`.
  public func split(
    sizes: [Int], axis: Int = 0, file: StaticString = #fileID, line: UInt = #line
  ) -> [Tensor] {
    Self.several(file, line, of: [self], sizes.count) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "split")
      let total = CheckedSize.sum(sizes)
      guard source.rank > 0, sizes.allSatisfy({ $0 >= 0 }), let total, source.dim(place) == total else {
        throw Diagnostic(
          .shape,
          "split: sizes \(sizes) have the sum \(total.map { "\($0)" } ?? "of no tensor"), axis \(axis) of "
            + "\(source.hints) differs", remedy: "the sizes must add up to the extent")
      }
      return source.pieces(of: sizes, sizes.map { Dim($0) }, place)
    }
  }

  /// Pieces of `size` along `axis`; the last may be shorter. Views. PyTorch: `split`.
  ///
  /// Of a failed tensor, or with a wrong argument, nobody knows how many there would be: the list is long, 65,536 times the
  /// mistake, so that taking a piece by its number stops no program.
  public func split(every size: Int, axis: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> [Tensor] {
    Self.several(file, line, of: [self], nil) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "split")
      guard source.rank > 0, size > 0 else {
        throw Diagnostic(.argument, "split: pieces of \(size) of \(source.hints)", remedy: "give a size of 1 or more")
      }
      try Allocator.requireRoom(source.hints[place] / size, of: Self.pieceBytes)
      return source.pieces(every: size, Dim(size), place)
    }
  }

  /// At most `count` pieces of equal extent; the last may be shorter, and of an axis of extent 0 there are `count`. Views.
  /// PyTorch: `chunk`.
  public func chunks(_ count: Int, axis: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> [Tensor] {
    Self.several(file, line, of: [self], count) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "chunk")
      guard source.rank > 0, count > 0 else {
        throw Diagnostic(.argument, "chunk: \(count) chunks of \(source.hints)", remedy: "ask for 1 or more")
      }
      let extent = source.dim(place)
      if extent == 0 {
        try Allocator.requireRoom(count, of: Self.pieceBytes)
        return [Tensor](repeating: self, count: count)
      }
      let size = (source.hints[place] - 1) / count + 1
      try Allocator.requireRoom(source.hints[place] / size, of: Self.pieceBytes)
      return source.pieces(every: size, (extent - 1) / Dim(count) + 1, place)
    }
  }

  /// Pieces between the positions `at` along `axis`. Views. PyTorch: `tensor_split`.
  public func split(at positions: [Int], axis: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> [Tensor] {
    Self.several(file, line, of: [self], positions.count + 1) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "tensor_split")
      guard source.rank > 0 else {
        throw Diagnostic(.shape, "tensor_split: a 0-d tensor has no axis", remedy: "give rank 1 or more")
      }
      let extent = source.hints[place]
      let whole = source.dims[place]
      var result: [Tensor] = []
      var (start, first) = (0, Dim(0))
      for position in positions.map({ Optional($0) }) + [nil] {
        let given = position ?? extent
        let end = Swift.min(Swift.max(given < 0 ? given + extent : given, 0), extent)
        // Which positions are inside is a guard.
        let bound = position.map { $0 < 0 ? whole + $0 : Dim($0) } ?? whole
        let last = Dim.asks(.less, bound, 0) ? 0 : Dim.asks(.lessOrEqual, bound, whole) ? bound : whole
        let isLong = Dim.asks(.less, first, last)
        result.append(
          Tensor(
            source.sliced(
              place, start: Swift.min(start, extent), count: Swift.max(end - start, 0),
              dims: (first, isLong ? last - first : 0))))
        (start, first) = (end, last)
      }
      return result
    }
  }

  /// `count` pieces whose extents differ by at most 1, longer ones first. Views. PyTorch: `tensor_split`.
  public func split(into count: Int, axis: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> [Tensor] {
    Self.several(file, line, of: [self], count) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "tensor_split")
      guard source.rank > 0, count > 0 else {
        throw Diagnostic(.argument, "tensor_split: \(count) pieces of \(source.hints)", remedy: "ask for 1 or more")
      }
      try Allocator.requireRoom(count, of: Self.pieceBytes)
      let (size, longer) = source.hints[place].quotientAndRemainder(dividingBy: count)
      let extent = source.dims[place]
      _ = Dim.asks(.equal, extent % count, Dim(longer))
      return source.pieces(
        of: (0..<count).map { $0 < longer ? size + 1 : size },
        (0..<count).map { $0 < longer ? extent / count + 1 : extent / count }, place)
    }
  }

  /// The slices along `axis`, without it. Views. PyTorch: `unbind`.
  /// If that fails the list is as long as that of ``split(every:axis:file:line:)``.
  public func unbound(_ axis: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> [Tensor] {
    Self.several(file, line, of: [self], nil) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "unbind")
      guard source.rank > 0 else {
        throw Diagnostic(.shape, "unbind: a 0-d tensor has no axis", remedy: "give rank 1 or more")
      }
      // How many there are is a number of the graph.
      let count = try source.dim(place).value
      try Allocator.requireRoom(count, of: Self.pieceBytes)
      return (0..<count).map { Tensor(source.sliced(place, start: $0, count: 1).removing(place)) }
    }
  }

  /// `count` slices from `start` along `axis`. A view. PyTorch: `narrow`.
  public func narrowed(
    _ axis: Int, start: some Extent, count: some Extent, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "narrow")
      let extent = source.rank == 0 ? 0 : source.dim(place)
      var low = start.dim
      let length = count.dim
      let (start, count) = (try low.sizeHint, try length.sizeHint)
      // From which end it counts and that the range stays inside are guards.
      if Dim.asks(.less, low, 0) { low += extent }
      guard source.rank > 0, Dim.asks(.lessOrEqual, 0, low), Dim.asks(.lessOrEqual, low, extent),
        Dim.asks(.lessOrEqual, 0, length), Dim.asks(.lessOrEqual, length, extent - low)
      else {
        throw Diagnostic(
          .index, "narrow: \(count) from \(start) on axis \(axis) of \(source.hints)",
          remedy: "start and count must stay within 0...\(source.hints.isEmpty ? 0 : source.hints[place])")
      }
      return Tensor(source.sliced(place, start: try low.sizeHint, count: count, dims: (low, length)))
    }
  }

  // MARK: Repeating

  /// The whole tensor repeated along each axis; more counts than axes add leading axes. PyTorch: `repeat`.
  public func repeated(_ counts: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let lead = counts.count - source.rank
      guard lead >= 0, counts.allSatisfy({ $0 >= 0 }), CheckedSize.elements(counts + source.hints) != nil else {
        throw Diagnostic(
          .argument, "repeat: counts \(counts) for a tensor of rank \(source.rank)",
          remedy: "give a count of 0 or more for each axis")
      }
      // [r0, n0, r1, n1, ...] with stride 0 on the r axes.
      var spread = source
      for _ in 0..<lead { spread = spread.inserting(0) }
      let dims = spread.dims
      for axis in dims.indices.reversed() { spread = spread.inserting(axis) }
      let wide = try spread.expanded(to: dims.indices.flatMap { [Dim(counts[$0]), dims[$0]] })
      return try Tensor(wide).reshaped(dims: dims.indices.map { counts[$0] * dims[$0] })
    }
  }

  /// As ``repeated(_:file:line:)``; missing counts are 1. PyTorch: `tile`.
  public func tiled(_ counts: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    repeated([Int](repeating: 1, count: Swift.max(rank - counts.count, 0)) + counts, file: file, line: line)
  }

  /// Every element (slice along `axis`) `count` times in a row. PyTorch: `repeat_interleave`.
  public func repeatingElements(
    _ count: Int, axis: Int? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      guard count >= 0 else {
        throw Diagnostic(.argument, "repeat_interleave: the count \(count) is negative", remedy: "give 0 or more")
      }
      guard let axis else {
        return try reshaped(to: [-1]).repeatingElements(count, axis: 0, file: file, line: line)
      }
      let source = rank == 0 ? try reshaped(to: [1]).view : try view
      let place = try resolvedAxis(axis, rank: source.rank, "repeat_interleave")
      var dims = source.dims
      guard CheckedSize.elements(source.hints + [count]) != nil else {
        throw Diagnostic(
          .memory, "repeat_interleave: \(count) times axis \(axis) of \(source.hints) is more than a tensor can have",
          remedy: "repeat less")
      }
      dims.insert(Dim(count), at: place + 1)
      var merged = source.dims
      merged[place] *= Dim(count)
      return try Tensor(source.inserting(place + 1).expanded(to: dims)).reshaped(dims: merged)
    }
  }

  /// Slice i along `axis` `counts[i]` times in a row. PyTorch: `repeat_interleave`.
  public func repeatingElements(
    counts: Tensor, axis: Int? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, counts]) { () throws(Diagnostic) in
      guard let axis else {
        return try reshaped(to: [-1]).repeatingElements(counts: counts, axis: 0, file: file, line: line)
      }
      if rank == 0 {
        return try reshaped(to: [1]).repeatingElements(counts: counts, axis: axis, file: file, line: line)
      }
      let extent = try view.extent(try resolvedAxis(axis, rank: rank, "repeat_interleave"))
      let times: [Int] = try counts.array()
      if let negative = times.first(where: { $0 < 0 }) {
        throw Diagnostic(
          .argument, "repeat_interleave: the count \(negative) is negative", remedy: "give counts of 0 or more")
      }
      guard times.count == extent || times.count == 1 else {
        throw Diagnostic(
          .shape, "repeat_interleave: \(times.count) counts for axis \(axis) of extent \(extent)",
          remedy: "give one count for each slice")
      }
      let total = times.count == 1 ? CheckedSize.product(times[0], extent) : CheckedSize.sum(times)
      guard let total else {
        throw Diagnostic(
          .memory, "repeat_interleave: the counts for axis \(axis) add up to more than a tensor can have",
          remedy: "repeat less")
      }
      var (slice, left) = (-1, 0)
      let indices = try Self.table(total) { _ in
        while left == 0 {
          slice += 1
          left = times.count == 1 ? times[0] : times[slice]
        }
        left -= 1
        return slice
      }
      return selecting(indices, axis: axis, file: file, line: line)
    }
  }
}

extension TensorView {
  /// Neighbours on `axis` with these counts; `dims` are the counts as a capture knows them.
  fileprivate func pieces(of counts: [Int], _ dims: [Dim], _ axis: Int) -> [Tensor] {
    var result: [Tensor] = []
    var (start, place) = (0, Dim(0))
    for (count, dim) in zip(counts, dims) {
      result.append(Tensor(sliced(axis, start: start, count: count, dims: (place, dim))))
      (start, place) = (start + count, place + dim)
    }
    return result
  }

  /// Pieces of `size`, the last what is left. How many there are is a guard.
  fileprivate func pieces(every size: Int, _ dim: Dim, _ axis: Int) -> [Tensor] {
    let extent = hints[axis]
    let sizes = stride(from: 0, to: Swift.max(extent, 1), by: size).map { Swift.min(size, extent - $0) }
    let (whole, before) = (dims[axis], dim * (sizes.count - 1))
    _ = Dim.asks(.less, before, whole) && Dim.asks(.lessOrEqual, whole, before + dim)
    return pieces(of: sizes, sizes.indices.map { $0 < sizes.count - 1 ? dim : whole - before }, axis)
  }
}

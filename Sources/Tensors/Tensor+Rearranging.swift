// Elements elsewhere: diagonals, triangles, flips, rolls, windows, shuffles between axes, grids. Not joins or indexing.
// Surprise: a diagonal and windows are views; a flip and a roll are copies.
import Basics
import Engine
import TensorTypes

extension Tensor {
  // MARK: Axes

  /// Axes `from` moved to the places `to`; the others keep their order. A view. PyTorch: `movedim`.
  public func movingAxes(
    _ from: [Int], to: [Int], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      var (sources, targets): ([Int], [Int]) = ([], [])
      for axis in from { sources.append(try resolvedAxis(axis, rank: source.rank, "movedim")) }
      for axis in to { targets.append(try resolvedAxis(axis, rank: source.rank, "movedim")) }
      guard sources.count == targets.count, Set(sources).count == sources.count, Set(targets).count == targets.count
      else {
        throw Diagnostic(.argument, "movedim: axes \(from) cannot go to \(to)", remedy: "name each axis once")
      }
      // The one axis that a 0-d tensor may be asked for is none.
      if source.rank == 0 { return self }
      var order = [Int](repeating: -1, count: source.rank)
      for (axis, place) in zip(sources, targets) { order[place] = axis }
      var rest = (0..<source.rank).filter { !sources.contains($0) }[...]
      for place in order.indices where order[place] < 0 { order[place] = rest.removeFirst() }
      return Tensor(source.permuted(order))
    }
  }

  /// An axis of extent 1 inserted at `axis`. A view. PyTorch: `unsqueeze`.
  public func unsqueezed(_ axis: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    expandedDims(at: axis, file: file, line: line)
  }

  /// One axis as several; one extent may be -1. A view. PyTorch: `unflatten`.
  public func unflattened(
    _ axis: Int, _ extents: [Int], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "unflatten")
      // A 0-d tensor is one element of an axis that is not there.
      if source.rank == 0 { return try reshaped(to: [1]).unflattened(axis, extents, file: file, line: line) }
      var parts = extents
      if let free = parts.firstIndex(of: -1) {
        let known = CheckedSize.elements(parts.enumerated().filter { $0.offset != free }.map(\.element))
        if let known, known > 0 { parts[free] = source.extent(place) / known }
      }
      guard CheckedSize.elements(parts) == source.extent(place) else {
        throw Diagnostic(
          .shape, "unflatten: \(extents) does not multiply to the extent \(source.extent(place)) of axis \(axis)",
          remedy: "the product of the extents must be the axis' extent")
      }
      return try reshaped(to: Array(source.extents[..<place]) + parts + Array(source.extents[(place + 1)...]))
    }
  }

  /// The shape of `other`. PyTorch: `expand_as`.
  public func expanded(like other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    expanded(other.shape.dims, file: file, line: line)
  }

  /// All tensors in the shape they broadcast to. Views. PyTorch: `broadcast_tensors`.
  public static func broadcasting(
    _ tensors: [Tensor], file: StaticString = #fileID, line: UInt = #line
  ) -> [Tensor] {
    several(file, line, of: tensors, tensors.count) { () throws(Diagnostic) in
      var shape: [Int] = []
      for tensor in tensors { shape = try broadcastExtents(shape, try tensor.view.hints, "broadcast_tensors") }
      var views: [TensorView] = []
      for tensor in tensors { views.append(try tensor.view) }
      let dims = broadcastDims(views, to: shape.count)
      return try views.map { view throws(Diagnostic) in Tensor(try view.expanded(to: shape, dims: dims)) }
    }
  }

  /// Sums over axes until the shape is `dims`: the way back from a broadcast. PyTorch: `sum_to_size`.
  public func summed(to dims: [Dim], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let target = try Self.extents(dims, "sum_to_size")
      let lead = source.rank - target.count
      // Which axes were repeated is a guard.
      guard lead >= 0, dims.indices.allSatisfy({ dims[$0] == source.dim(lead + $0) || dims[$0] == 1 }) else {
        throw Diagnostic(
          .shape, "sum_to_size: \(source.hints) is no broadcast of \(target)",
          remedy: "extents must be equal or 1, aligned at the last axis")
      }
      let axes = (0..<source.rank).filter { $0 < lead || dims[$0 - lead] != source.dim($0) }
      if axes.isEmpty { return target.isEmpty ? sum(file: file, line: line) : self }
      return try sum(axes: axes, keepDims: true, file: file, line: line).reshaped(dims: dims)
    }
  }

  // MARK: Diagonals and triangles

  /// The elements [i, i + offset] of two axes, as a last axis. A view. PyTorch: `diagonal`.
  public func diagonal(
    offset: Int = 0, _ first: Int = 0, _ second: Int = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let a = try resolvedAxis(first, rank: source.rank, "diagonal")
      let b = try resolvedAxis(second, rank: source.rank, "diagonal")
      guard a != b, source.rank >= 2 else {
        throw Diagnostic(
          .argument, "diagonal: axes \(first) and \(second) of \(source.hints)", remedy: "name two different axes")
      }
      return Tensor(Self.diagonalView(source, offset, a, b))
    }
  }

  private static func diagonalView(_ source: TensorView, _ offset: Int, _ a: Int, _ b: Int) -> TensorView {
    let offset = CheckedSize.offset(offset)
    let (rowStart, columnStart) = (Swift.max(-offset, 0), Swift.max(offset, 0))
    let count = Swift.max(Swift.min(source.extent(a) - rowStart, source.extent(b) - columnStart), 0)
    var view = source
    if !source.hasMemory {
      let square = source.sliced(a, start: rowStart, count: count).sliced(b, start: columnStart, count: count)
      return square.diagonal(a, b)
    }
    if count > 0 { view.offset += (rowStart * source.strides[a] + columnStart * source.strides[b]) * source.dtype.size }
    for axis in [a, b].sorted().reversed() { view = view.removing(axis) }
    view.hints.append(count)
    view.strides.append(source.strides[a] + source.strides[b])
    return view
  }

  /// The last axis as a diagonal of two new axes, 0 elsewhere. PyTorch: `diag_embed`.
  public func embeddedDiagonal(
    offset: Int = 0, _ first: Int = -2, _ second: Int = -1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      guard source.rank >= 1 else {
        throw Diagnostic(.shape, "diag_embed: a 0-d tensor has no diagonal", remedy: "give rank 1 or more")
      }
      let a = try resolvedAxis(first, rank: source.rank + 1, "diag_embed")
      let b = try resolvedAxis(second, rank: source.rank + 1, "diag_embed")
      guard a != b else {
        throw Diagnostic(.argument, "diag_embed: both axes are \(first)", remedy: "name two different axes")
      }
      let size = (source.extents.last ?? 0) + Swift.abs(CheckedSize.offset(offset))
      var extents = Array(source.extents.dropLast())
      for axis in [a, b].sorted() { extents.insert(size, at: axis) }
      let result = try Self.filled(.integer(0), extents, source.dtype)
      try Self.copy(source, into: Self.diagonalView(try result.view, offset, a, b))
      return result
    }
  }

  /// A matrix from its diagonal, or the diagonal of a matrix. PyTorch: `diag`.
  public func diag(_ offset: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    rank == 1
      ? embeddedDiagonal(offset: offset, file: file, line: line)
      : diagonal(offset: offset, file: file, line: line).copied(file: file, line: line)
  }

  /// This tensor with `values` on a diagonal. PyTorch: `diagonal_scatter`.
  public func scattering(
    _ values: Tensor, onDiagonal offset: Int, _ first: Int = 0, _ second: Int = 1,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, values]) { () throws(Diagnostic) in
      let result = try contiguousCopy()
      let a = try resolvedAxis(first, rank: rank, "diagonal_scatter")
      let b = try resolvedAxis(second, rank: rank, "diagonal_scatter")
      guard a != b, rank >= 2 else {
        throw Diagnostic(
          .argument, "diagonal_scatter: axes \(first) and \(second) of \(shape)", remedy: "name two different axes")
      }
      let (source, target) = (try values.view, Self.diagonalView(try result.view, offset, a, b))
      guard source.extents == target.extents else {
        throw Diagnostic(
          .shape, "diagonal_scatter: values of shape \(source.extents) for a diagonal of shape \(target.extents)",
          remedy: "give one value for each place")
      }
      try Self.copy(source, into: target)
      return result
    }
  }

  /// The sum of the diagonal. PyTorch: `trace`.
  public func trace(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    diagonal(file: file, line: line).sum(-1, file: file, line: line)
  }

  private func triangle(
    _ name: String, _ file: StaticString, _ line: UInt, _ mask: (_ rows: Tensor, _ columns: Tensor) -> Tensor
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      guard source.rank >= 2 else {
        throw Diagnostic(.shape, "\(name): shape \(source.hints) is no matrix", remedy: "give rank 2 or more")
      }
      let rows = Tensor.arange(source.dims[source.rank - 2]).unsqueezed(-1)
      let columns = Tensor.arange(source.dims[source.rank - 1])
      return Tensor.select(mask(rows, columns), self, try Self.filled(.integer(0), [], dtype))
    }
  }

  /// The elements on and below a diagonal, 0 above. PyTorch: `tril`.
  public func lowerTriangle(_ diagonal: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    triangle("tril", file, line) { $1 <= $0 + CheckedSize.offset(diagonal) }
  }

  /// The elements on and above a diagonal, 0 below. PyTorch: `triu`.
  public func upperTriangle(_ diagonal: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    triangle("triu", file, line) { $1 >= $0 + CheckedSize.offset(diagonal) }
  }

  // MARK: Order along axes

  /// The elements of `axes` in reverse. PyTorch: `flip`.
  public func flipped(_ axes: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      var result = self
      for axis in try resolvedAxes(axes, rank: source.rank, "flip") where source.rank > 0 {
        let count = source.hints[axis]
        if !source.hasMemory {
          let extent = source.dim(axis)
          // Nothing to reverse without elements, which is a guard.
          if extent == 0 || extent.isKnown(1) { continue }
          result = Tensor(
            try result.view.sliced(axis, start: count - 1, count: count, step: -1, dims: (extent - 1, extent)))
        } else if count > 1 {
          result = result.selecting(
            .arange(from: count - 1, to: -1, by: -1), axis: axis, file: file, line: line)
        }
      }
      return axes.isEmpty ? try contiguousCopy() : result
    }
  }

  /// Elements shifted along `axes`, those that leave coming back at the other end; without axes in row-major order.
  /// PyTorch: `roll`.
  public func rolled(
    _ shifts: [Int], axes: [Int] = [], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      if axes.isEmpty {
        guard shifts.count == 1 else {
          throw Diagnostic(
            .argument, "roll: \(shifts.count) shifts without axes", remedy: "name an axis for each shift")
        }
        return try reshaped(to: [-1]).rolled(shifts, axes: [0], file: file, line: line).reshaped(dims: source.dims)
      }
      guard shifts.count == axes.count else {
        throw Diagnostic(
          .argument, "roll: \(shifts.count) shifts for \(axes.count) axes", remedy: "give one shift for each axis")
      }
      var result = self
      for (shift, axis) in zip(shifts, axes) {
        let place = try resolvedAxis(axis, rank: source.rank, "roll")
        // One element is where it was.
        if source.rank == 0 { continue }
        let extent = source.hints[place]
        if source.dim(place) == 0 { continue }
        let cut = ((extent - shift % extent) % extent + extent) % extent
        let whole = try result.view
        // How many times the shift goes round, and whether it ends where it began, are guards. A shift beyond all sizes
        // belongs to this extent.
        let isFar = CheckedSize.offset(shift) != shift
        let near = isFar ? shift % extent : shift
        if isFar { _ = Dim.asks(.equal, whole.dims[place], Dim(extent)) }
        let before = whole.dims[place] * ((cut + near) / extent) - near
        guard Dim.asks(.less, 0, before), Dim.asks(.less, before, whole.dims[place]) else {
          _ = before == 0
          continue
        }
        result = Tensor.concatenated(
          [
            Tensor(
              whole.sliced(place, start: cut, count: extent - cut, dims: (before, whole.dims[place] - before))),
            Tensor(whole.sliced(place, start: 0, count: cut, dims: (0, before))),
          ], axis: place, file: file, line: line)
      }
      return result
    }
  }

  /// Turned `turns` times by a quarter in the plane of two axes. PyTorch: `rot90`.
  public func rotated(
    turns: Int = 1, _ first: Int = 0, _ second: Int = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    switch ((turns % 4) + 4) % 4 {
    case 1: flipped([second], file: file, line: line).transposed(first, second, file: file, line: line)
    case 2: flipped([first, second], file: file, line: line)
    case 3: flipped([first], file: file, line: line).transposed(first, second, file: file, line: line)
    default: copied(file: file, line: line)
    }
  }

  // MARK: Windows

  /// Windows of `size` every `step` along `axis`, as a last axis. A view. PyTorch: `Tensor.unfold`.
  public func windows(
    _ axis: Int, size: Int, step: Int, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let source = try view
      let place = try resolvedAxis(axis, rank: source.rank, "unfold")
      if source.rank == 0, size == 1, step > 0 { return Tensor(source.inserting(0)) }
      guard source.rank > 0, size >= 0, step > 0, source.dim(place) >= size else {
        throw Diagnostic(
          .argument, "unfold: windows of \(size) every \(step) on axis \(axis) of \(source.hints)",
          remedy: "the size may be at most the extent, the step at least 1")
      }
      return Tensor(try source.windowed(place, size: size, step: step))
    }
  }

  /// The n-th difference of neighbours along `axis`. PyTorch: `diff`.
  public func differences(
    _ order: Int = 1, axis: Int = -1, prepend: Tensor? = nil, append: Tensor? = nil,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, prepend, append]) { () throws(Diagnostic) in
      var result = self
      if prepend != nil || append != nil {
        result = Tensor.concatenated(
          [prepend, self, append].compactMap { $0 }, axis: axis, file: file, line: line)
      }
      let place = try resolvedAxis(axis, rank: try result.view.rank, "diff")
      for _ in 0..<Swift.max(order, 0) {
        let source = try result.view
        guard source.rank > 0 else {
          throw Diagnostic(.shape, "diff: a 0-d tensor has no neighbours", remedy: "give rank 1 or more")
        }
        let count = Swift.max(source.hints[place] - 1, 0)
        // Whether there are neighbours is a guard.
        if source.dim(place) <= 1 {
          let none = Tensor(source.sliced(place, start: 0, count: 0))
          return dtype == .bool ? none ^ none : none - none
        }
        let length = source.dims[place] - 1
        let later = Tensor(source.sliced(place, start: 1, count: count, dims: (1, length)))
        let earlier = Tensor(source.sliced(place, start: 0, count: count, dims: (0, length)))
        result = dtype == .bool ? later ^ earlier : later - earlier
      }
      return result
    }
  }

  /// The cross product along an axis of extent 3. PyTorch: `cross`.
  public func cross(
    _ other: Tensor, axis: Int? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let shape = try broadcastExtents(try view.hints, try other.view.hints, "cross")
      let dims = broadcastDims([try view, try other.view], to: shape.count)
      let place =
        try axis.map { axis throws(Diagnostic) in try resolvedAxis(axis, rank: shape.count, "cross") }
        // Which axes are not of that extent is a guard.
        ?? dims.firstIndex { $0 == 3 }
      guard let place, dims.indices.contains(place), dims[place] == 3 else {
        throw Diagnostic(
          .shape, "cross: shape \(shape) has no axis of extent 3 to use", remedy: "name an axis of extent 3")
      }
      let (a, b) = (
        Tensor(try view.expanded(to: shape, dims: dims)), Tensor(try other.view.expanded(to: shape, dims: dims))
      )
      let (next, last) = (Tensor([1, 2, 0]), Tensor([2, 0, 1]))
      return a.selecting(next, axis: place) * b.selecting(last, axis: place)
        - a.selecting(last, axis: place) * b.selecting(next, axis: place)
    }
  }

  // MARK: Grids

  /// The coordinates of a grid: one tensor for each line, all in the grid's shape. Views. PyTorch: `meshgrid`.
  public static func grid(
    _ lines: [Tensor], exchangingFirstTwo: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> [Tensor] {
    several(file, line, of: lines, lines.count) { () throws(Diagnostic) in
      var flat: [Tensor] = []
      for item in lines { flat.append(try item.reshaped(to: [-1])) }
      // Indexing "xy": the first line runs along axis 1, the second along axis 0.
      var places = Array(flat.indices)
      if exchangingFirstTwo, places.count >= 2 { places.swapAt(0, 1) }
      var dims = [Dim](repeating: 0, count: flat.count)
      for (item, place) in zip(flat, places) { dims[place] = try item.view.dim(0) }
      var result: [Tensor] = []
      for (item, place) in zip(flat, places) {
        let lead = (0..<place).reduce(try item.view) { view, _ in view.inserting(0) }
        let line = ((place + 1)..<dims.count).reduce(lead) { $0.inserting($1) }
        result.append(Tensor(try line.expanded(to: dims)))
      }
      return result
    }
  }
}

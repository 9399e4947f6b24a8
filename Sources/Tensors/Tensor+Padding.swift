// Padding: new elements around the axes, and picking elements of an axis by positions known on the host.
// Surprise: a constant border is a fill and a copy; the other borders are one gather for each axis that has them.
import Basics
import Engine
import GraphIR
import TensorTypes

/// What padding puts around a tensor.
public enum PaddingMode: Sendable, Hashable {
  /// The given number.
  case constant
  /// The elements mirrored at the edge, which is not repeated.
  case reflect
  /// The element at the edge.
  case replicate
  /// The elements from the other side.
  case circular
}

private enum Picking {
  // Labels: 0 outer, 1 the axis, 2 inner, 3 picked.
  static let program = Program("pick", axes: [[0, 1, 2], [3]]) { builder, values throws(Diagnostic) in
    [try builder.slices(of: values[0], at: values[1], axis: 1)]
  }
}

extension Tensor {
  /// [outer, axis, inner] of a row-major tensor.
  func aroundAxis(_ axis: Int) throws(Diagnostic) -> TensorView {
    let dims = try view.dims
    let (outer, inner) = (Shape(Array(dims[..<axis])).elementCount, Shape(Array(dims[(axis + 1)...])).elementCount)
    return try reshaped(dims: [outer, dims[axis], inner]).view
  }

  /// The elements at `positions` of `axis`, in that order. Positions are checked in the kernel.
  package func picking(_ axis: Int, _ positions: Tensor) throws(Diagnostic) -> Tensor {
    let source = try aroundAxis(axis)
    let index = try positions.view
    let count = index.hints[0]
    var (extents, dims) = (try view.hints, try view.dims)
    (extents[axis], dims[axis]) = (count, Dim(count))
    let shape = [source.hints[0], count, source.hints[2]]
    // Whether there are elements is a guard.
    if dims.contains(0) { return Tensor(try Engine.current.allocate(dtype, extents, dims: dims)) }
    let made = try Engine.current.run(Picking.program, [.tensor(source), .tensor(index)], [.fresh(dtype, shape)])
    return try Tensor(made[0]).reshaped(dims: dims)
  }

  /// `low` and `high` elements `number` around each axis; negative amounts cut.
  package func padded(low: [Int], high: [Int], with number: Number) throws(Diagnostic) -> Tensor {
    var source = try view
    if zip(low, high).allSatisfy({ $0 == 0 && $1 == 0 }) { return self }
    let isSane = (low + high).allSatisfy { CheckedSize.offset($0) == $0 }
    let extents = isSane ? source.hints.indices.map { source.hints[$0] + low[$0] + high[$0] } : []
    // What is cut at one end is not made good at the other.
    func left(_ axis: Int) -> Dim { source.dim(axis) - Swift.max(-low[axis], 0) - Swift.max(-high[axis], 0) }
    guard isSane, source.hints.indices.allSatisfy({ left($0) >= 0 }) else {
      throw Diagnostic(
        .shape, "pad: \(low) before and \(high) after cut more than there is of \(source.hints)",
        remedy: "cut no more than an axis has")
    }
    try number.requireFit(dtype, "pad")
    if let trace = Trace.current {
      for axis in extents.indices where low[axis] < 0 || high[axis] < 0 {
        let cut = Swift.max(-low[axis], 0)
        let count = Swift.max(source.hints[axis] - cut - Swift.max(-high[axis], 0), 0)
        let first = count == 0 ? 0 : cut
        source = source.sliced(axis, start: first, count: count, dims: (Dim(first), left(axis)))
      }
      return Tensor(
        try trace.pad(
          source, low: low.map { Swift.max($0, 0) }, high: high.map { Swift.max($0, 0) },
          fill: number.constant(dtype)))
    }
    let result = try Self.filled(number, extents, dtype)
    var target = try result.view
    for axis in extents.indices {
      // What is left of the source, and where it goes.
      let cut = Swift.max(-low[axis], 0)
      let count = Swift.max(source.hints[axis] - cut - Swift.max(-high[axis], 0), 0)
      source = source.sliced(axis, start: count == 0 ? 0 : cut, count: count)
      target = target.sliced(axis, start: count == 0 ? 0 : Swift.max(low[axis], 0), count: count)
    }
    if target.elementCount > 0 { try Self.copy(source, into: target) }
    return result
  }

  /// Elements around the last axes. PyTorch: `nn.functional.pad`, `constant_pad_nd`.
  ///
  /// `amounts` are (before, after) for the last axis, then for the one before it, and so on; negative amounts cut.
  public func padded(
    _ amounts: [Int], mode: PaddingMode = .constant, value: some Scalar = 0,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let extents = try view.hints
      guard amounts.count % 2 == 0, amounts.count <= 2 * extents.count else {
        throw Diagnostic(
          .argument, "pad: \(amounts.count) amounts for the \(extents.count) axes of \(extents)",
          remedy: "give two for each padded axis, the last axis first")
      }
      var (low, high) = ([Int](repeating: 0, count: extents.count), [Int](repeating: 0, count: extents.count))
      for pair in 0..<(amounts.count / 2) {
        low[extents.count - 1 - pair] = amounts[2 * pair]
        high[extents.count - 1 - pair] = amounts[2 * pair + 1]
      }
      if mode == .constant { return try padded(low: low, high: high, with: value.number) }
      var result = self
      for axis in extents.indices where low[axis] != 0 || high[axis] != 0 {
        let positions = try Self.bordered(view.extent(axis), low[axis], high[axis], mode, axis)
        result = try result.picking(axis, positions)
      }
      return result
    }
  }

  /// Which element of an axis each element of the padded axis is.
  private static func bordered(
    _ extent: Int, _ low: Int, _ high: Int, _ mode: PaddingMode, _ axis: Int
  ) throws(Diagnostic) -> Tensor {
    let count = CheckedSize.sum([extent, low, high]) ?? -1
    let limit =
      switch mode {
      case .constant, .replicate: Int.max
      case .reflect: extent - 1
      case .circular: extent
      }
    let isSane = [low, high].allSatisfy { CheckedSize.offset($0) == $0 }
    guard isSane, count >= 0, Swift.max(low, high) <= limit, extent > 0 || count == 0 else {
      throw Diagnostic(
        .argument, "pad: \(low) before and \(high) after axis \(axis) of extent \(extent) in mode \(mode)",
        remedy: "pad by less than the extent, or in mode replicate or constant")
    }
    // What is cut is not there to go round; what is mirrored or repeated is seen from the whole axis.
    let first = Swift.max(-low, 0)
    let left = Swift.max(extent - first - Swift.max(-high, 0), 0)
    guard mode != .circular || left > 0 || count == 0 else {
      throw Diagnostic(
        .argument, "pad: \(low) before and \(high) after leave nothing of axis \(axis) of extent \(extent)",
        remedy: "cut less, or pad in another mode")
    }
    return try table(count) { place in
      let i = place - low
      return switch mode {
      case .constant, .replicate: Swift.min(Swift.max(i, 0), extent - 1)
      case .reflect: i < 0 ? -i : i >= extent ? 2 * (extent - 1) - i : i
      case .circular: first + ((i - first) % left + left) % left
      }
    }
  }
}

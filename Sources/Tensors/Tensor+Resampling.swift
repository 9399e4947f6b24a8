// Resampling: other extents by picking or mixing neighbours, and channels exchanged for places.
// Surprise: resampling goes axis by axis, each one launch that reads a few weighted neighbours; weights are computed on the
// host in f32 (for f64 in f64), as PyTorch does, so that elements at the borders of neighbours agree.
import Basics
import Engine
import Execution
import GraphIR
import TensorTypes

/// How resampled elements come from their neighbours.
public enum InterpolationMode: Sendable, Hashable {
  /// The element at the rounded-down place.
  case nearest
  /// The element whose centre is nearest.
  case nearestExact
  /// Two neighbours on each axis: linear, bilinear and trilinear.
  case linear
  /// Four neighbours on each axis.
  case cubic
  /// The mean of the elements that are covered.
  case area
}

/// Weighted neighbours for each element of a resampled axis.
private struct AxisTaps {
  /// `positions[t]`: the t-th neighbour of each element.
  var positions: [Tensor] = []
  var weights: [Tensor] = []

  /// `scale`: source elements for each element of the result.
  init<Weight: BinaryFloatingPoint & Element>(
    _ mode: InterpolationMode, extent: Int, count: Int, scale: Weight, alignsCorners: Bool
  ) throws(Diagnostic) {
    /// What is beyond all integers is beyond the edge, and no number at all is the first element.
    func whole(_ x: Weight) -> Int { x.isNaN ? 0 : Int(Swift.min(Swift.max(x, -0x1p60), 0x1p60)) }
    func clamped(_ i: Int) -> Int { min(max(i, 0), extent - 1) }
    func place(_ i: Int) -> Weight { alignsCorners ? Weight(i) * scale : (Weight(i) + 0.5) * scale - 0.5 }
    func add(_ position: (Int) -> Int, _ weight: ((Int) -> Weight)? = nil) throws(Diagnostic) {
      positions.append(try Tensor.table(count) { clamped(position($0)) })
      if let weight { weights.append(try Tensor.table(count) { weight($0) }) }
    }
    switch mode {
    case .nearest, .area: try add { whole((Weight($0) * scale).rounded(.down)) }
    case .nearestExact: try add { whole(((Weight($0) + 0.5) * scale).rounded(.down)) }
    case .linear:
      func low(_ i: Int) -> Int { clamped(whole(max(place(i), 0))) }
      func share(_ i: Int) -> Weight { min(max(place(i), 0) - Weight(low(i)), 1) }
      try add(low) { 1 - share($0) }
      try add({ low($0) + 1 }, share)
    case .cubic:
      func low(_ i: Int) -> Int { whole(place(i).rounded(.down)) }
      func share(_ i: Int) -> Weight { place(i) - Weight(low(i)) }
      // Distances rounded as PyTorch rounds them.
      let distances: [(Weight) -> Weight] = [{ $0 + 1 }, { $0 }, { 1 - $0 }, { (1 - $0) + 1 }]
      for (step, distance) in zip(-1...2, distances) {
        try add({ low($0) + step }) { Self.cubic(distance(share($0))) }
      }
    }
  }

  /// Keys' kernel with a = -0.75.
  private static func cubic<Weight: BinaryFloatingPoint>(_ x: Weight) -> Weight {
    let a: Weight = -0.75
    if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
  }
}

private enum Resampling {
  private static let table = ProgramTable()

  // Labels: 0 outer, 1 the axis, 2 inner, 3 resampled.
  static func program(taps: Int) -> Program {
    table.program("taps \(taps)") {
      let axes = [[0, 1, 2]] + [[Int]](repeating: [3], count: 2 * taps)
      return Program("resample \(taps)", operation: "resample", axes: axes) { builder, x throws(Diagnostic) in
        let compute = builder.dtype(x[0]).floatingResult.computeDType
        var shape = builder.shape(x[0])
        shape[1] = builder.shape(x[1])[0]
        var sum: Value?
        for tap in 0..<taps {
          let element = try builder.convert(builder.slices(of: x[0], at: x[1 + tap], axis: 1), to: compute)
          let weight = try builder.convert(builder.restoring(x[1 + taps + tap], [0, 2], shape), to: compute)
          let product = try builder.append(.multiply, element, weight)
          sum = if let before = sum { try builder.append(.add, before, product) } else { product }
        }
        guard let sum else { throw Diagnostic(.compiler, "resample: there are no neighbours") }
        return [sum]
      }
    }
  }
}

extension Tensor {
  /// Given in `result`, where neighbours are mixed.
  private func resampled(_ axis: Int, _ taps: AxisTaps, as result: DType) throws(Diagnostic) -> Tensor {
    if taps.weights.isEmpty { return try picking(axis, taps.positions[0]) }
    let source = try aroundAxis(axis)
    var dims = try view.dims
    let count = try taps.positions[0].view.hints[0]
    dims[axis] = Dim(count)
    var operands: [Operand] = [.tensor(source)]
    for table in taps.positions + taps.weights { operands.append(.tensor(try table.view)) }
    let made = try Engine.current.run(
      Resampling.program(taps: taps.positions.count), operands,
      [.fresh(result, [source.hints[0], count, source.hints[2]])])
    return try Tensor(made[0]).reshaped(dims: dims)
  }

  private func interpolated(
    _ size: [Int], _ scales: [Double]?, _ mode: InterpolationMode, _ alignsCorners: Bool
  ) throws(Diagnostic) -> Tensor {
    let x = try view
    let spatial = x.rank - 2
    // Places and weights are numbers of these extents.
    let extents = (0..<x.rank).map { $0 < 2 ? x.hints[$0] : x.extent($0) }
    guard size.allSatisfy({ $0 > 0 }), extents[2...].allSatisfy({ $0 > 0 }) else {
      throw Diagnostic(
        .shape, "interpolate: from \(extents[2...]) to \(size)", remedy: "both need at least one element on each axis")
    }
    if mode == .area { return adaptiveMeans(size) }
    var result = self
    let mixed = (0..<spatial).filter {
      extents[2 + $0] != size[$0] || (mode == .cubic && !alignsCorners) || scales != nil
    }
    // The last axis first, as PyTorch rounds; only what the first one gives is rounded to a half type.
    for axis in mixed.reversed() {
      let extent = extents[2 + axis]
      func taps<Weight: BinaryFloatingPoint & Element>(_: Weight.Type) throws(Diagnostic) -> AxisTaps {
        let ratio: Weight =
          if alignsCorners {
            size[axis] > 1 ? Weight(extent - 1) / Weight(size[axis] - 1) : 0
          } else if let scales {
            Weight(1 / scales[axis])
          } else {
            Weight(extent) / Weight(size[axis])
          }
        return try AxisTaps(mode, extent: extent, count: size[axis], scale: ratio, alignsCorners: alignsCorners)
      }
      var wanted = try result.view.hints
      wanted[2 + axis] = size[axis]
      // Before the tables are made.
      try Allocator.requireRoom(try Engine.byteCount(dtype, wanted), of: 1)
      // Which element is picked does not depend on the dtype.
      let isWide = dtype == .f64 && (mode == .linear || mode == .cubic)
      let given = axis == mixed.first ? dtype.floatingResult : dtype.floatingResult.computeDType
      result = try result.resampled(2 + axis, isWide ? taps(Double.self) : taps(Float.self), as: given)
    }
    return result
  }

  private func spatialAxes(_ name: String) throws(Diagnostic) -> Int {
    let extents = try view.hints
    guard (3...5).contains(extents.count) else {
      throw Diagnostic(
        .shape, "\(name): a tensor \(extents)", remedy: "give [batch, channels, one to three spatial axes]")
    }
    return extents.count - 2
  }

  /// The spatial axes with the extents `size`. PyTorch: `nn.functional.interpolate`.
  ///
  /// `alignsCorners` (linear and cubic) puts the first and last elements of both on each other.
  public func interpolated(
    size: PerAxis, mode: InterpolationMode = .nearest, alignsCorners: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let each = try size.spread(spatialAxes("interpolate"), "interpolate", "extents", minimum: 0)
      return try interpolated(each, nil, mode, alignsCorners)
    }
  }

  /// The spatial axes times `scale` (one number, or one for each axis). PyTorch: `nn.functional.interpolate`.
  ///
  /// Places follow `scale` itself, or the ratio of the extents where `recomputesScale`.
  public func interpolated(
    scale: [Double], mode: InterpolationMode = .nearest, alignsCorners: Bool = false, recomputesScale: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let spatial = try spatialAxes("interpolate")
      guard scale.count == 1 || scale.count == spatial, scale.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw Diagnostic(
          .argument, "interpolate: scales \(scale) for \(spatial) axes",
          remedy: "give one positive number, or \(spatial)")
      }
      let each = scale.count == spatial ? scale : [Double](repeating: scale[0], count: spatial)
      let x = try view
      var size: [Int] = []
      for axis in 0..<spatial {
        guard let extent = CheckedSize.extent((Double(x.extent(2 + axis)) * each[axis]).rounded(.down)) else {
          throw Diagnostic(
            .memory, "interpolate: \(x.hints[2 + axis]) elements times \(each[axis]) is more than a tensor can have",
            remedy: "give a smaller scale")
        }
        size.append(extent)
      }
      return try interpolated(size, recomputesScale ? nil : each, mode, alignsCorners)
    }
  }

  // MARK: Channels and places

  /// Groups of r² channels become squares of places. PyTorch: `nn.functional.pixel_shuffle`.
  public func pixelShuffled(_ r: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let e = try view.dims
      let n = e.count
      guard n >= 3, r > 0, let square = CheckedSize.product(r, r), e[n - 3] % square == 0 else {
        throw Diagnostic(
          .shape, "pixelShuffled: \(r) squared does not divide the channels of \(e)",
          remedy: "give [.., channels · \(r) · \(r), height, width]")
      }
      let lead = Array(e[..<(n - 3)])
      let channels = e[n - 3] / Dim(square)
      let split = try reshaped(dims: lead + [channels, Dim(r), Dim(r), e[n - 2], e[n - 1]]).view
      let order = Array(0..<lead.count) + [0, 3, 1, 4, 2].map { lead.count + $0 }
      return try Tensor(split.permuted(order)).reshaped(dims: lead + [channels, e[n - 2] * r, e[n - 1] * r])
    }
  }

  /// Squares of r² places become channels. PyTorch: `nn.functional.pixel_unshuffle`.
  public func pixelUnshuffled(_ r: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let e = try view.dims
      let n = e.count
      guard n >= 3, r > 0, e[n - 2] % r == 0, e[n - 1] % r == 0 else {
        throw Diagnostic(
          .shape, "pixelUnshuffled: \(r) does not divide the last extents of \(e)",
          remedy: "give [.., channels, height · \(r), width · \(r)]")
      }
      let lead = Array(e[..<(n - 3)])
      let split = try reshaped(dims: lead + [e[n - 3], e[n - 2] / r, Dim(r), e[n - 1] / r, Dim(r)]).view
      let order = Array(0..<lead.count) + [0, 2, 4, 1, 3].map { lead.count + $0 }
      return try Tensor(split.permuted(order)).reshaped(dims: lead + [e[n - 3] * r * r, e[n - 2] / r, e[n - 1] / r])
    }
  }

  /// Channels in turn from each of `groups` groups. PyTorch: `nn.functional.channel_shuffle`.
  public func channelShuffled(_ groups: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let e = try view.dims
      guard e.count >= 2, groups > 0, e[1] % groups == 0 else {
        throw Diagnostic(
          .shape, "channelShuffled: \(groups) groups do not divide the channels of \(e)",
          remedy: "give [batch, channels, ..] with a multiple of \(groups) channels")
      }
      let rest = Array(e[2...])
      let split = try reshaped(dims: [e[0], Dim(groups), e[1] / groups] + rest).view
      let order = [0, 2, 1] + rest.indices.map { 3 + $0 }
      return try Tensor(split.permuted(order)).reshaped(dims: e)
    }
  }
}

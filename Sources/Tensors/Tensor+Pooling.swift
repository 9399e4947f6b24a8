// Pooling over windows of the last one, two or three axes: windows are views, each pooling is one row launch.
// Surprise: inside a launch the windows' own axes come before the last result axis, so that a kernel works
// on whole rows of
// results and never on one window at a time.
import Basics
import Engine
import Execution
import GraphIR
import TensorTypes

private enum Pooling {
  /// Operands: elements, the count.
  static let mean = RowOperation("mean of windows") { x in [x[0].sum() / x[1]] }
  /// Operands: elements, their positions; those of padding are the largest i64.
  static let largestAndPosition = RowOperation("largest of windows") { x in
    let largest = x[0].max()
    let isHit = x[0] .== largest
    let far = x[1].constant(Double(Int64.max))
    let first = isHit.select(x[1], far.like(x[1])).min()
    // A NaN is the largest, and the last of them wins.
    let lastNaN = x[0].isNaN.select(x[1], x[1].constant(-1).like(x[1])).max()
    return [largest, (lastNaN .>= 0).select(lastNaN, first)]
  }
  static let largest = RowOperation("largest element of windows") { x in [x[0].max()] }
  // Labels: 0 planes, 1 places, 2 windows.
  static let spread = Program("pooling backward", axes: [[0, 1], [0, 2], [0, 2]]) { builder, x throws(Diagnostic) in
    [try builder.append(.scatter(axis: 1, combine: .sum), x[0], x[1], x[2])]
  }
}

/// Windows of a pooling: sizes, steps and what is added around.
private struct PoolingWindows {
  var windows: SpatialWindows
  var padding: [Int]
  var counts: [Dim] = []
  /// Elements added after each axis: as before it, or so that the last window is whole. Negative: some are left over.
  var after: [Int] = []

  init(
    _ name: String, _ planes: TensorView, kernel: PerAxis, stride: PerAxis?, padding: PerAxis, dilation: PerAxis,
    ceilMode: Bool
  ) throws(Diagnostic) {
    let spatial = planes.rank - 1
    let size = try kernel.spread(spatial, name, "a kernel")
    let step = (stride?.values.isEmpty ?? true) ? size : try stride?.spread(spatial, name, "strides") ?? size
    windows = SpatialWindows(size: size, step: step, dilation: try dilation.spread(spatial, name, "dilations"))
    self.padding = try padding.spread(spatial, name, "padding", minimum: 0)
    for axis in 0..<spatial {
      guard self.padding[axis] * 2 <= size[axis] else {
        throw Diagnostic(
          .argument, "\(name): padding \(self.padding) for a kernel \(size)", remedy: "pad at most half a kernel")
      }
      // What is added behind is a number: it belongs to this extent.
      let roundsUp = ceilMode && step[axis] > 1
      let extent = roundsUp ? Dim(planes.extent(1 + axis)) : planes.dim(1 + axis)
      let room = extent + 2 * self.padding[axis] - windows.span(axis) + (roundsUp ? step[axis] - 1 : 0)
      var count = room < 0 ? 0 : room / Dim(step[axis]) + 1
      // The last window must start inside the elements or the padding before them.
      if ceilMode, (count - 1) * step[axis] >= extent + self.padding[axis] { count -= 1 }
      guard count > 0 else {
        throw Diagnostic(
          .shape,
          "\(name): a kernel \(size) does not fit into the extents \(planes.hints[1...]) with padding \(self.padding)",
          remedy: "take a smaller kernel or dilation")
      }
      counts.append(count)
      let behind = (count - 1) * step[axis] + windows.span(axis) - extent - self.padding[axis]
      after.append(try ceilMode ? behind.value : self.padding[axis])
    }
  }
}

extension Tensor {
  /// [planes, spatial..] of [batch, channels, spatial..] or [channels, spatial..].
  private func planes(_ spatial: Int, _ name: String) throws(Diagnostic) -> (planes: Tensor, lead: [Dim]) {
    let extents = try view.hints
    guard extents.count == spatial + 1 || extents.count == spatial + 2 else {
      throw Diagnostic(
        .shape, "\(name): a tensor \(extents)", remedy: "give [batch, channels, \(spatial) spatial axes] or one sample")
    }
    let dims = try view.dims
    let lead = Array(dims[..<(dims.count - spatial)])
    return (try reshaped(dims: [Shape(lead).elementCount] + dims[lead.count...]), lead)
  }

  /// The result of windows, [planes, counts..], in the axes of `self` before the spatial ones. Its counts follow from this
  /// tensor's extents as a capture knows them.
  private func withLead(_ result: Tensor, _ spatial: Int) throws(Diagnostic) -> Tensor {
    let (own, made) = (try view, try result.view)
    let lead = own.rank - spatial
    return try result.reshaped(dims: Array(own.dims[..<lead]) + made.dims[1...])
  }

  /// Windows of [planes, spatial..] in the order that kernels like: the windows' own axes before the last
  /// result axis.
  /// `reduced` names the windows' own axes.
  private static func arranged(
    _ x: TensorView, _ windows: SpatialWindows, _ counts: [Dim]
  ) throws(Diagnostic) -> (view: TensorView, reduced: [Int]) {
    let spatial = counts.count
    var view = try windows.view(of: x, from: 1)
    // A padded axis may have room for more windows than asked for.
    for axis in 0..<spatial {
      view = view.sliced(1 + axis, start: 0, count: try counts[axis].sizeHint, dims: (0, counts[axis]))
    }
    let order = Array(0..<spatial) + ((spatial + 1)...(2 * spatial)) + [spatial]
    return (view.permuted(order), Array(spatial..<(2 * spatial)))
  }

  private static func lowest(_ dtype: DType) -> Number {
    dtype.integerRange.map { .integer($0.lowerBound) } ?? (dtype == .bool ? .bool(false) : .floating(-.infinity))
  }

  // MARK: Largest

  private func largest(
    _ spatial: Int, _ kernel: PerAxis, _ stride: PerAxis?, _ padding: PerAxis, _ dilation: PerAxis, _ ceilMode: Bool,
    positions: Bool
  ) throws(Diagnostic) -> [Tensor] {
    let name = "maxPool\(spatial)d"
    let (planes, lead) = try planes(spatial, name)
    let plan = try PoolingWindows(
      name, try planes.view, kernel: kernel, stride: stride, padding: padding, dilation: dilation,
      ceilMode: ceilMode)
    let (low, high) = ([0] + plan.padding, [0] + plan.after.map { Swift.max($0, 0) })
    let padded = try planes.padded(low: low, high: high, with: Self.lowest(dtype)).view
    let (elements, reduced) = try Self.arranged(padded, plan.windows, plan.counts)
    var places: TensorView?
    if positions {
      // Positions count elements of these extents.
      let extents = Array(try planes.view.extents[1...])
      let numbers = try Self.positions(extents).padded(low: low, high: high, with: .integer(.max)).view
      places = try Self.arranged(numbers, plan.windows, plan.counts).view
    }
    if positions { return try Self.pooled(elements, places, reduced, lead + plan.counts) }
    let made = try Self.pooled(elements, nil, reduced, nil)[0]
    return [try withLead(made, spatial)]
  }

  /// The row-major number of each element of a plane, as [1, spatial..].
  private static func positions(_ extents: [Int]) throws(Diagnostic) -> Tensor {
    let count = extents.reduce(1, *)
    return try Tensor.arange(Dim(count)).reshaped(to: [1] + extents)
  }

  private static func pooled(
    _ elements: TensorView, _ places: TensorView?, _ reduced: [Int], _ shape: [Dim]?
  ) throws(Diagnostic) -> [Tensor] {
    let dtype = elements.dtype
    var made: [Tensor]
    if let places {
      made = try Pooling.largestAndPosition(
        [.tensor(Tensor(elements)), .tensor(Tensor(places))], domain: elements.hints, axes: reduced, compute: nil,
        [.reduced(dtype), .reduced(.i64)])
    } else {
      made = try Pooling.largest(
        [.tensor(Tensor(elements))], domain: elements.hints, axes: reduced, compute: nil, [.reduced(dtype)])
    }
    if let shape { for i in made.indices { made[i] = try made[i].reshaped(dims: shape) } }
    return made
  }

  private func maxPool(
    _ spatial: Int, _ kernel: PerAxis, _ stride: PerAxis?, _ padding: PerAxis, _ dilation: PerAxis, _ ceilMode: Bool,
    _ file: StaticString, _ line: UInt
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      try largest(spatial, kernel, stride, padding, dilation, ceilMode, positions: false)[0]
    }
  }

  private func maxPoolAndPositions(
    _ spatial: Int, _ kernel: PerAxis, _ stride: PerAxis?, _ padding: PerAxis, _ dilation: PerAxis, _ ceilMode: Bool,
    _ file: StaticString, _ line: UInt
  ) -> (values: Tensor, positions: Tensor) {
    Self.attemptAll(file, line, of: [self], onFailure: { ($0, $0) }, tensors: { [$0.0, $0.1] }) {
      () throws(Diagnostic) in
      let made = try largest(spatial, kernel, stride, padding, dilation, ceilMode, positions: true)
      return (made[0], made[1])
    }
  }

  /// The largest element of each window of the last axis. PyTorch: `nn.functional.max_pool1d`.
  public func maxPool1d(
    _ kernel: PerAxis, stride: PerAxis? = nil, padding: PerAxis = 0, dilation: PerAxis = 1, ceilMode: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { maxPool(1, kernel, stride, padding, dilation, ceilMode, file, line) }

  /// The largest element of each window of the last two axes. PyTorch: `nn.functional.max_pool2d`.
  public func maxPool2d(
    _ kernel: PerAxis, stride: PerAxis? = nil, padding: PerAxis = 0, dilation: PerAxis = 1, ceilMode: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { maxPool(2, kernel, stride, padding, dilation, ceilMode, file, line) }

  /// The largest element of each window of the last three axes. PyTorch: `nn.functional.max_pool3d`.
  public func maxPool3d(
    _ kernel: PerAxis, stride: PerAxis? = nil, padding: PerAxis = 0, dilation: PerAxis = 1, ceilMode: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { maxPool(3, kernel, stride, padding, dilation, ceilMode, file, line) }

  /// ``maxPool1d`` with the position (i64) of each largest element. PyTorch: `max_pool1d` with `return_indices`.
  public func maxPool1dAndPositions(
    _ kernel: PerAxis, stride: PerAxis? = nil, padding: PerAxis = 0, dilation: PerAxis = 1, ceilMode: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> (values: Tensor, positions: Tensor) {
    maxPoolAndPositions(1, kernel, stride, padding, dilation, ceilMode, file, line)
  }

  /// ``maxPool2d`` with the position (i64, in the plane) of each largest element.
  /// PyTorch: `max_pool2d` with `return_indices`.
  public func maxPool2dAndPositions(
    _ kernel: PerAxis, stride: PerAxis? = nil, padding: PerAxis = 0, dilation: PerAxis = 1, ceilMode: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> (values: Tensor, positions: Tensor) {
    maxPoolAndPositions(2, kernel, stride, padding, dilation, ceilMode, file, line)
  }

  /// ``maxPool3d`` with the position (i64, in the volume) of each largest element.
  /// PyTorch: `max_pool3d` with `return_indices`.
  public func maxPool3dAndPositions(
    _ kernel: PerAxis, stride: PerAxis? = nil, padding: PerAxis = 0, dilation: PerAxis = 1, ceilMode: Bool = false,
    file: StaticString = #fileID, line: UInt = #line
  ) -> (values: Tensor, positions: Tensor) {
    maxPoolAndPositions(3, kernel, stride, padding, dilation, ceilMode, file, line)
  }

  /// From this gradient of a pooling the gradient of its operand, which had the last extents `size`.
  /// PyTorch: `max_pool2d_with_indices_backward`.
  public func maxPoolBackward(
    positions: Tensor, size: [Dim], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, positions]) { () throws(Diagnostic) in
      try sameShape(self, positions, "maxPoolBackward")
      let (planes, lead) = try planes(size.count, "maxPoolBackward")
      let counts = try planes.view.dims
      let windows = [counts[0], Shape(Array(counts[1...])).elementCount]
      let extents = try Self.extents(size, "maxPoolBackward")
      guard let places = CheckedSize.elements(extents) else {
        throw Diagnostic(
          .memory, "maxPoolBackward: a tensor with the last extents \(extents) has no size a machine can address",
          remedy: "give the operand's extents")
      }
      let zeros = try Self.filled(
        .integer(0), [planes.view.hints[0], places], dtype, dims: [counts[0], Shape(size).elementCount])
      let (updates, indices) = (try reshaped(dims: windows).view, try positions.reshaped(dims: windows).view)
      if try zeros.view.isEmpty, !indices.isEmpty { try AxisPrograms.requireElements(zeros.view, 1, indices) }
      let made = try Engine.current.run(
        Pooling.spread, [.tensor(zeros.view), .tensor(indices), .tensor(updates)], [.fresh(dtype, zeros.view.hints)])
      return try Tensor(made[0]).reshaped(dims: lead + size)
    }
  }

  // MARK: Means

  private func avgPool(
    _ spatial: Int, _ kernel: PerAxis, _ stride: PerAxis?, _ padding: PerAxis, _ ceilMode: Bool,
    _ countsPadding: Bool, _ divisor: Int?, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let name = "avgPool\(spatial)d"
      let (planes, lead) = try planes(spatial, name)
      let plan = try PoolingWindows(
        name, try planes.view, kernel: kernel, stride: stride, padding: padding, dilation: 1, ceilMode: ceilMode)
      // Counts of elements that differ from window to window are numbers.
      let isAnySize = divisor != nil || !ceilMode && (countsPadding || plan.padding.allSatisfy { $0 == 0 })
      let extents = Array(try (isAnySize ? planes.view.hints : planes.view.extents)[1...])
      var places: [Int] = []
      for count in plan.counts { places.append(try count.sizeHint) }
      guard divisor != 0 else { throw Diagnostic(.argument, "\(name): the divisor is 0", remedy: "give another one") }
      let padded = try planes.padded(
        low: [0] + plan.padding, high: [0] + plan.after.map { Swift.max($0, 0) }, with: .integer(0))
      // How many elements of each window count, axis by axis.
      let counted = extents.indices.map { axis in
        (0..<places[axis]).map { i in
          let start = i * plan.windows.step[axis] - plan.padding[axis]
          let end = Swift.min(start + plan.windows.size[axis], extents[axis] + (countsPadding ? plan.padding[axis] : 0))
          return Swift.min(end, extents[axis] + plan.padding[axis]) - (countsPadding ? start : Swift.max(start, 0))
        }
      }
      let made = try Self.mean(padded.view, plan.windows, plan.counts, counted, divisor, isAnySize ? nil : lead)
      return isAnySize ? try withLead(made, spatial) : made
    }
  }

  /// The sums of windows divided by `divisor`, or by the products of `counted`, in the axes `lead` and those of the counts;
  /// nil: [planes, counts..], where all windows count alike.
  private static func mean(
    _ x: TensorView, _ windows: SpatialWindows, _ counts: [Dim], _ counted: [[Int]], _ divisor: Int?, _ lead: [Dim]?
  ) throws(Diagnostic) -> Tensor {
    let result = x.dtype.floatingResult
    let (elements, reduced) = try arranged(x, windows, counts)
    let isUniform = counted.allSatisfy { axis in axis.allSatisfy { $0 == axis[0] } }
    let common = divisor ?? (isUniform ? counted.reduce(1) { $0 * ($1.first ?? 1) } : 1)
    let means = try Pooling.mean(
      [.tensor(Tensor(elements)), .scalar(.floating(Double(common)))], domain: elements.hints, axes: reduced,
      compute: result.computeDType, [.reduced(result)])[0]
    guard let lead else { return means }
    let shape = lead + counts
    if divisor != nil || isUniform { return try means.reshaped(dims: shape) }
    let products = counted.reduce([1.0]) { products, axis in products.flatMap { p in axis.map { p * Double($0) } } }
    let divisors = try Tensor(products).converted(to: result).reshaped(dims: counts)
    let planes = try means.reshaped(dims: [Shape(lead).elementCount] + counts)
    return try Arithmetic.divide([planes.operand, divisors.operand]).reshaped(dims: shape)
  }

  /// The mean of each window of the last axis. PyTorch: `nn.functional.avg_pool1d`.
  public func avgPool1d(
    _ kernel: PerAxis, stride: PerAxis? = nil, padding: PerAxis = 0, ceilMode: Bool = false,
    countsPadding: Bool = true, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { avgPool(1, kernel, stride, padding, ceilMode, countsPadding, nil, file, line) }

  /// The mean of each window of the last two axes; `divisor` takes the place of the element count.
  /// PyTorch: `nn.functional.avg_pool2d`.
  public func avgPool2d(
    _ kernel: PerAxis, stride: PerAxis? = nil, padding: PerAxis = 0, ceilMode: Bool = false,
    countsPadding: Bool = true, divisor: Int? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { avgPool(2, kernel, stride, padding, ceilMode, countsPadding, divisor, file, line) }

  /// The mean of each window of the last three axes; `divisor` takes the place of the element count.
  /// PyTorch: `nn.functional.avg_pool3d`.
  public func avgPool3d(
    _ kernel: PerAxis, stride: PerAxis? = nil, padding: PerAxis = 0, ceilMode: Bool = false,
    countsPadding: Bool = true, divisor: Int? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { avgPool(3, kernel, stride, padding, ceilMode, countsPadding, divisor, file, line) }

  // MARK: Adaptive

  /// Parts of an axis: `counts[i]` elements from `starts[i]` on. They may overlap by one element.
  private struct AxisParts {
    var starts: [Int]
    var counts: [Int]
    let extent: Int

    init(_ extent: Int, _ parts: Int) {
      self.extent = extent
      starts = (0..<parts).map { $0 * extent / parts }
      counts = []
      for i in 0..<parts { counts.append(((i + 1) * extent + parts - 1) / parts - starts[i]) }
    }

    /// Windows of one size without gaps: the axis needs no picking.
    var isUniform: Bool { starts.isEmpty || extent % starts.count == 0 }
    var size: Int { counts.max() ?? 0 }

    /// Where windows of one size are shorter they end with `filler`, or with their last element.
    func positions(filler: Int?) throws(Diagnostic) -> Tensor {
      let size = size
      guard let count = CheckedSize.product(starts.count, size) else {
        throw Diagnostic(.memory, "\(starts.count) windows of \(size) elements")
      }
      return try Tensor.table(count) { place in
        let (i, k) = (place / size, place % size)
        return k < counts[i] ? starts[i] + k : filler ?? starts[i] + counts[i] - 1
      }
    }
  }

  private func parts(_ size: [Int?], _ name: String) throws(Diagnostic) -> (Tensor, [Dim], [AxisParts]) {
    let x = try view
    let extents = x.hints
    // Which elements a part has is a matter of numbers.
    let spatial = x.rank > size.count ? ((x.rank - size.count)..<x.rank).map { x.extent($0) } : []
    let (planes, lead) = try planes(size.count, name)
    let wanted = zip(size, spatial).map { $0 ?? $1 }
    let isCountable = zip(spatial, wanted).allSatisfy { extent, parts in
      parts <= CheckedSize.mostWindow && CheckedSize.product(extent + 1, parts + 1) != nil
    }
    guard wanted.allSatisfy({ $0 >= 0 }), spatial.allSatisfy({ $0 > 0 }), isCountable else {
      throw Diagnostic(
        .argument, "\(name): extents \(wanted) of \(extents)",
        remedy: "ask for extents of 0 or more of axes with elements")
    }
    // A start, a count and a divisor for each part, on the host.
    try Allocator.requireRoom(
      try Engine.byteCount(.u8, wanted.map { Swift.max($0, 1) }), of: 3 * MemoryLayout<Int>.size)
    return (planes, lead, zip(spatial, wanted).map { AxisParts($0, $1) })
  }

  /// [planes, spatial..] with the elements of all parts side by side.
  private func split(_ parts: [AxisParts], fillsWithZero: Bool) throws(Diagnostic) -> Tensor {
    var result = self
    for (i, part) in parts.enumerated() where !part.isUniform {
      if fillsWithZero {
        let low = [Int](repeating: 0, count: parts.count + 1)
        var high = low
        high[1 + i] = 1
        result = try result.padded(low: low, high: high, with: .integer(0))
      }
      result = try result.picking(1 + i, try part.positions(filler: fillsWithZero ? part.extent : nil))
    }
    return result
  }

  private static func windows(_ parts: [AxisParts]) -> SpatialWindows {
    let size = parts.map { Swift.max($0.size, 1) }
    return SpatialWindows(size: size, step: size, dilation: size.map { _ in 1 })
  }

  private func adaptiveAvgPool(_ size: [Int?], _ file: StaticString, _ line: UInt) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let (planes, lead, parts) = try parts(size, "adaptiveAvgPool\(size.count)d")
      let elements = try planes.split(parts, fillsWithZero: true)
      let counts = parts.map { Dim($0.starts.count) }
      return try Self.mean(elements.view, Self.windows(parts), counts, parts.map(\.counts), nil, lead)
    }
  }

  /// Means of `size` parts of the last axis. PyTorch: `nn.functional.adaptive_avg_pool1d`.
  public func adaptiveAvgPool1d(_ size: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    adaptiveAvgPool([size], file, line)
  }

  /// Means of parts of the last two axes; nil keeps an extent. PyTorch: `nn.functional.adaptive_avg_pool2d`.
  public func adaptiveAvgPool2d(
    _ height: Int?, _ width: Int?, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { adaptiveAvgPool([height, width], file, line) }

  /// Means of parts of the last three axes; nil keeps an extent. PyTorch: `nn.functional.adaptive_avg_pool3d`.
  public func adaptiveAvgPool3d(
    _ depth: Int?, _ height: Int?, _ width: Int?, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { adaptiveAvgPool([depth, height, width], file, line) }

  /// Means of parts of the last axes, as many as `size` names.
  package func adaptiveMeans(_ size: [Int?]) -> Tensor { adaptiveAvgPool(size, #fileID, #line) }

  private func adaptiveMaxPool(
    _ size: [Int?], _ file: StaticString, _ line: UInt
  ) -> (values: Tensor, positions: Tensor) {
    Self.attemptAll(file, line, of: [self], onFailure: { ($0, $0) }, tensors: { [$0.0, $0.1] }) {
      () throws(Diagnostic) in
      let (planes, lead, parts) = try parts(size, "adaptiveMaxPool\(size.count)d")
      let elements = try planes.split(parts, fillsWithZero: false).view
      let places = try Self.positions(parts.map(\.extent)).split(parts, fillsWithZero: false).view
      let counts = parts.map { Dim($0.starts.count) }
      let (view, reduced) = try Self.arranged(elements, Self.windows(parts), counts)
      let made = try Self.pooled(
        view, try Self.arranged(places, Self.windows(parts), counts).view, reduced, lead + counts)
      return (made[0], made[1])
    }
  }

  /// The largest elements of `size` parts of the last axis, and their positions.
  /// PyTorch: `nn.functional.adaptive_max_pool1d`.
  public func adaptiveMaxPool1d(
    _ size: Int, file: StaticString = #fileID, line: UInt = #line
  ) -> (values: Tensor, positions: Tensor) { adaptiveMaxPool([size], file, line) }

  /// The largest elements of parts of the last two axes, and their positions; nil keeps an extent.
  /// PyTorch: `nn.functional.adaptive_max_pool2d`.
  public func adaptiveMaxPool2d(
    _ height: Int?, _ width: Int?, file: StaticString = #fileID, line: UInt = #line
  ) -> (values: Tensor, positions: Tensor) { adaptiveMaxPool([height, width], file, line) }

  /// The largest elements of parts of the last three axes, and their positions; nil keeps an extent.
  /// PyTorch: `nn.functional.adaptive_max_pool3d`.
  public func adaptiveMaxPool3d(
    _ depth: Int?, _ height: Int?, _ width: Int?, file: StaticString = #fileID, line: UInt = #line
  ) -> (values: Tensor, positions: Tensor) { adaptiveMaxPool([depth, height, width], file, line) }
}

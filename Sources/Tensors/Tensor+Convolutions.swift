// Convolutions of 1, 2 and 3 spatial axes, and back: windows are views, sums are one contraction.
// Not an own kernel: a window never exists in memory unless rows of the result are too short to be multiplied well.
// Surprise: a transposed convolution is one of the operand spread with zeros, by the weights read backwards.
import Basics
import Engine
import TensorTypes

/// One number for all spatial axes, or one for each: `2` or `[2, 1]`.
public struct PerAxis: Sendable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
  package var values: [Int]
  public init(_ values: [Int]) { self.values = values }
  public init(_ value: Int) { values = [value] }
  public init(integerLiteral value: Int) { values = [value] }
  public init(arrayLiteral elements: Int...) { values = elements }

  /// One value for each of `count` axes, each at least `minimum`.
  package func spread(
    _ count: Int, _ name: String, _ what: String, minimum: Int = 1
  ) throws(Diagnostic) -> [Int] {
    guard values.count == 1 || values.count == count,
      values.allSatisfy({ $0 >= minimum && $0 <= CheckedSize.mostWindow })
    else {
      throw Diagnostic(
        .argument, "\(name): \(what) \(values) for \(count) spatial axes",
        remedy: "give one number, or \(count), each at least \(minimum) and at most \(CheckedSize.mostWindow)")
    }
    return values.count == count ? values : [Int](repeating: values[0], count: count)
  }
}

/// Zeros around the spatial axes of a convolution: `1`, `[1, 2]`, `.valid` or `.same`.
public enum ConvolutionPadding: Sendable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
  /// On both sides of each axis.
  case amounts([Int])
  /// None.
  case valid
  /// As many as keep the extents, with stride 1.
  case same
  public init(integerLiteral value: Int) { self = .amounts([value]) }
  public init(arrayLiteral elements: Int...) { self = .amounts(elements) }
}

/// Windows along all spatial axes of a view.
struct SpatialWindows {
  var size: [Int]
  var step: [Int]
  var dilation: [Int]

  /// Elements from the first to the last of a window.
  func span(_ axis: Int) -> Int { dilation[axis] * (size[axis] - 1) + 1 }

  /// Spatial axes from `first` keep the window counts; axes with the places in a window are appended.
  func view(of x: TensorView, from first: Int) throws(Diagnostic) -> TensorView {
    var view = x
    for axis in size.indices {
      view = try view.windowed(first + axis, size: size[axis], step: step[axis], dilation: dilation[axis])
    }
    return view
  }
}

extension Tensor {
  /// Rows of a result shorter than this are joined by copying the windows first.
  private static let shortRow = 48

  /// x [batch, channels, spatial..], weight [out, channels / groups, kernel..].
  private static func convolved(
    _ x: Tensor, _ w: TensorView, bias: Tensor?, windows: SpatialWindows, groups: Int, out: Int, _ name: String
  ) throws(Diagnostic) -> Tensor {
    // `w` is [groups, out / groups, channels / groups, kernel..].
    let view = try windows.view(of: try x.view, from: 2)
    let spatial = windows.size.count
    let counts = Array(view.hints[2..<(2 + spatial)])
    // [batch, groups, channels / groups, windows.., kernel..]
    let source = view.splitting(1, outer: groups)
    let batch = 0
    let group = 1
    let channel = 2
    let places = (0..<spatial).map { 3 + $0 }
    let kernel = (0..<spatial).map { 3 + spatial + $0 }
    let filter = 3 + 2 * spatial
    var factor = Factor(view: source, labels: [batch, group, channel] + places + kernel)
    let isDense = windows.size.allSatisfy { $0 == 1 } && windows.step.allSatisfy { $0 == 1 }
    if !isDense, spatial > 1, out / groups > 1, view.dim(1 + spatial) < shortRow {
      // Copied windows have places last, without gaps: all rows of a channel become one.
      let order = [0, 1, 2] + kernel + places
      factor = Factor(view: try Tensor(source.permuted(order)).contiguousCopy().view, labels: order)
    }
    let addend = try addend(bias, groups, out / groups, ones: spatial, name)
    let product = try Product.contract(
      Factor(view: w, labels: [group, filter, channel] + kernel), factor,
      out: [batch, group, filter] + places, name, addend: addend)
    let dims = try product.view.dims
    return try product.reshaped(
      to: [source.hints[0], out] + counts, dims: [dims[0], dims[1] * dims[2]] + dims[3...])
  }

  /// This tensor with a batch axis, and whether it had one.
  private func batched(
    _ spatial: Int, _ weight: TensorView, _ leading: String, _ name: String
  ) throws(Diagnostic) -> (whole: Tensor, isBatched: Bool) {
    let x = try view
    guard weight.rank == spatial + 2, x.rank == spatial + 2 || x.rank == spatial + 1 else {
      throw Diagnostic(
        .shape, "\(name): a tensor \(x.hints) and a weight \(weight.hints)",
        remedy: "give [batch, channels, \(spatial) spatial axes] and [\(leading), \(spatial) extents]")
    }
    return x.rank == spatial + 2 ? (self, true) : (Tensor(x.inserting(0)), false)
  }

  private func convolution(
    _ spatial: Int, _ weight: Tensor, _ bias: Tensor?, _ stride: PerAxis, _ padding: ConvolutionPadding,
    _ dilation: PerAxis, _ groups: Int, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    Self.attempt(file, line, of: [self, weight, bias]) { () throws(Diagnostic) in
      let name = "conv\(spatial)d"
      let w = try weight.view
      let (whole, isBatched) = try batched(spatial, w, "out, channels / groups", name)
      let channels = try whole.view.dim(1)
      let out = w.extent(0)
      guard groups > 0, groups <= CheckedSize.mostWindow, channels == w.dim(1) * groups, out % groups == 0 else {
        throw Diagnostic(
          .shape, "\(name): \(try whole.view.hints[1]) channels in \(groups) groups meet a weight \(w.hints)",
          remedy: "the weight's axis 1 is channels / groups, and groups divide its axis 0")
      }
      let windows = SpatialWindows(
        size: (2..<w.rank).map { w.extent($0) }, step: try stride.spread(spatial, name, "strides"),
        dilation: try dilation.spread(spatial, name, "dilations"))
      let around = try Self.amounts(padding, windows, name)
      let padded = try whole.padded(low: [0, 0] + around.low, high: [0, 0] + around.high, with: .integer(0))
      for axis in 0..<spatial {
        guard try padded.view.dim(2 + axis) >= windows.span(axis), windows.size[axis] > 0 else {
          throw Diagnostic(
            .shape,
            "\(name): a kernel \(windows.size) does not fit into the padded extents "
              + "\(try padded.view.hints[2...])", remedy: "pad more, or take a smaller kernel or dilation")
        }
      }
      let split = try weight.reshaped(dims: [Dim(groups), Dim(out / groups)] + Array(w.dims[1...])).view
      let result = try Self.convolved(
        padded, split, bias: bias, windows: windows, groups: groups, out: out, name)
      return isBatched ? result : Tensor(try result.view.removing(0))
    }
  }

  private static func amounts(
    _ padding: ConvolutionPadding, _ windows: SpatialWindows, _ name: String
  ) throws(Diagnostic) -> (low: [Int], high: [Int]) {
    let axes = windows.size.indices
    switch padding {
    case .valid: return (axes.map { _ in 0 }, axes.map { _ in 0 })
    case .same:
      guard windows.step.allSatisfy({ $0 == 1 }) else {
        throw Diagnostic(
          .argument, "\(name): padding .same with strides \(windows.step)", remedy: "give amounts, or stride 1")
      }
      let total = axes.map { windows.span($0) - 1 }
      return (total.map { $0 / 2 }, total.map { $0 - $0 / 2 })
    case .amounts(let values):
      let each = try PerAxis(values).spread(axes.count, name, "padding", minimum: 0)
      return (each, each)
    }
  }

  /// A convolution along the last axis; weight [out, channels / groups, kernel]. PyTorch: `nn.functional.conv1d`.
  public func conv1d(
    _ weight: Tensor, bias: Tensor? = nil, stride: PerAxis = 1, padding: ConvolutionPadding = 0,
    dilation: PerAxis = 1, groups: Int = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { convolution(1, weight, bias, stride, padding, dilation, groups, file, line) }

  /// A convolution along the last two axes; weight [out, channels / groups, kernel..].
  /// PyTorch: `nn.functional.conv2d`.
  public func conv2d(
    _ weight: Tensor, bias: Tensor? = nil, stride: PerAxis = 1, padding: ConvolutionPadding = 0,
    dilation: PerAxis = 1, groups: Int = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { convolution(2, weight, bias, stride, padding, dilation, groups, file, line) }

  /// A convolution along the last three axes; weight [out, channels / groups, kernel..].
  /// PyTorch: `nn.functional.conv3d`.
  public func conv3d(
    _ weight: Tensor, bias: Tensor? = nil, stride: PerAxis = 1, padding: ConvolutionPadding = 0,
    dilation: PerAxis = 1, groups: Int = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { convolution(3, weight, bias, stride, padding, dilation, groups, file, line) }

  // MARK: Transposed

  private func transposedConvolution(
    _ spatial: Int, _ weight: Tensor, _ bias: Tensor?, _ stride: PerAxis, _ padding: PerAxis,
    _ outputPadding: PerAxis, _ groups: Int, _ dilation: PerAxis, _ file: StaticString, _ line: UInt
  ) -> Tensor {
    Self.attempt(file, line, of: [self, weight, bias]) { () throws(Diagnostic) in
      let name = "convTranspose\(spatial)d"
      let w = try weight.view
      let (whole, isBatched) = try batched(spatial, w, "channels, out / groups", name)
      let channels = try whole.view.dim(1)
      guard groups > 0, channels == w.dim(0), channels % groups == 0 else {
        throw Diagnostic(
          .shape, "\(name): \(try whole.view.hints[1]) channels in \(groups) groups meet a weight \(w.hints)",
          remedy: "the weight's axis 0 is the channels, which groups divide")
      }
      let step = try stride.spread(spatial, name, "strides")
      let around = try padding.spread(spatial, name, "padding", minimum: 0)
      let more = try outputPadding.spread(spatial, name, "output padding", minimum: 0)
      let windows = SpatialWindows(
        size: (2..<w.rank).map { w.extent($0) }, step: [Int](repeating: 1, count: spatial),
        dilation: try dilation.spread(spatial, name, "dilations"))
      guard (0..<spatial).allSatisfy({ more[$0] < Swift.max(step[$0], windows.dilation[$0]) }) else {
        throw Diagnostic(
          .argument, "\(name): output padding \(more) with strides \(step) and dilations \(windows.dilation)",
          remedy: "it must be smaller than the stride or the dilation")
      }
      try whole.requireExtents(windows, step, padding: around, more, name)
      if step == windows.size, windows.dilation.allSatisfy({ $0 == 1 }), more.allSatisfy({ $0 == 0 }) {
        let result = try whole.tiled(by: weight, bias: bias, groups: groups, padding: around, name)
        return isBatched ? result : Tensor(try result.view.removing(0))
      }
      let spread = try whole.spreading(step)
      let low = (0..<spatial).map { windows.span($0) - 1 - around[$0] }
      let high = (0..<spatial).map { low[$0] + more[$0] }
      let padded = try spread.padded(low: [0, 0] + low, high: [0, 0] + high, with: .integer(0))
      // [groups, channels / groups, out / groups, kernel..], the kernel backwards.
      let each = w.extent(1)
      var split = try weight.reshaped(dims: [Dim(groups), channels / groups] + Array(w.dims[1...])).view
      for axis in 3..<(3 + spatial) { split = split.reversed(axis) }
      let order = [0, 2, 1] + Array(3..<(3 + spatial))
      let result = try Self.convolved(
        padded, split.permuted(order), bias: bias, windows: windows, groups: groups, out: each * groups, name)
      return isBatched ? result : Tensor(try result.view.removing(0))
    }
  }

  /// What is left of one element where the padding is cut off; further elements add a step each.
  private func requireExtents(
    _ windows: SpatialWindows, _ step: [Int], padding: [Int], _ more: [Int], _ name: String
  ) throws(Diagnostic) {
    for axis in step.indices {
      let one = windows.span(axis) + more[axis] - 2 * padding[axis]
      guard one < 0 else { continue }
      let extent = (try view.dim(2 + axis) - 1) * step[axis] + Dim(one)
      guard extent >= 0 else {
        throw Diagnostic(
          .shape, "\(name): a padding of \(padding[axis]) leaves a negative extent of \(extent)",
          remedy: "give less padding")
      }
    }
  }

  /// A transposed convolution whose windows meet without a gap: one product of matrices, then a copy to the places.
  private func tiled(
    by weight: Tensor, bias: Tensor?, groups: Int, padding: [Int], _ name: String
  ) throws(Diagnostic) -> Tensor {
    let (x, w) = (try view, try weight.view)
    let size = (2..<w.rank).map { w.extent($0) }
    let (channels, each) = (x.dim(1) / groups, w.extent(1))
    // Labels: 0 batch, 1 groups, 2 channels, 3 filters, then places and kernel in turn. Rows and columns of the
    // product are
    // the longer the more of their axes are neighbours, so places and kernel change places only afterwards.
    let places = size.indices.map { 4 + 2 * $0 }
    let kernel = size.indices.map { 5 + 2 * $0 }
    let split = try reshaped(dims: [x.dim(0), Dim(groups), channels] + x.dims[2...]).view
    let filters = try weight.reshaped(dims: [Dim(groups), channels, Dim(each)] + size.map { Dim($0) }).view
    let addend = try Self.addend(bias, groups, each, ones: 2 * size.count, name)
    let product = try Product.contract(
      Factor(view: filters, labels: [1, 2, 3] + kernel), Factor(view: split, labels: [0, 1, 2] + places),
      out: [0, 1, 3] + kernel + places, name, addend: addend)
    let order = [0, 1, 2] + size.indices.flatMap { [3 + size.count + $0, 3 + $0] }
    let placed = Tensor(try product.view.permuted(order))
    let extents = size.indices.map { x.hints[2 + $0] * size[$0] }
    let dims = size.indices.map { x.dim(2 + $0) * size[$0] }
    var result = try placed.reshaped(dims: [x.dim(0), Dim(groups * each)] + dims).view
    for axis in size.indices where padding[axis] > 0 {
      let count = extents[axis] - 2 * padding[axis]
      guard dims[axis] >= 2 * padding[axis] else {
        throw Diagnostic(
          .argument, "\(name): padding \(padding) cuts more than the extents \(extents)", remedy: "pad less")
      }
      let length = result.dims[2 + axis] - 2 * padding[axis]
      result = result.sliced(2 + axis, start: padding[axis], count: count, dims: (Dim(padding[axis]), length))
    }
    return Tensor(result)
  }

  /// A bias for each filter, in the axes [groups, filters, 1..].
  private static func addend(
    _ bias: Tensor?, _ groups: Int, _ each: Int, ones: Int, _ name: String
  ) throws(Diagnostic) -> ProductAddend? {
    guard let bias else { return nil }
    let view = try bias.view
    guard view.rank == 1, view.dim(0) == groups * each else {
      throw Diagnostic(
        .shape, "\(name): a bias \(view.hints) for \(groups * each) channels",
        remedy: "give one for each channel of the result")
    }
    let dims = [Dim(groups), view.dim(0) / Dim(groups)] + [Dim](repeating: 1, count: ones)
    return ProductAddend(tensor: try bias.reshaped(dims: dims))
  }

  /// `step - 1` zeros between neighbours on the spatial axes.
  private func spreading(_ step: [Int]) throws(Diagnostic) -> Tensor {
    if step.allSatisfy({ $0 == 1 }) { return self }
    let source = try view
    var (extents, dims) = (source.hints, source.dims)
    for axis in step.indices {
      let wide = CheckedSize.product(Swift.max(extents[2 + axis] - 1, 0), step[axis]) ?? CheckedSize.most
      extents[2 + axis] = extents[2 + axis] == 0 ? 0 : wide + 1
      // An extent of 0 stays one, which is a guard.
      dims[2 + axis] = dims[2 + axis] == 0 ? 0 : (dims[2 + axis] - 1) * step[axis] + 1
    }
    let result = try Self.filled(.integer(0), extents, dtype, dims: dims)
    var target = try result.view
    for axis in step.indices {
      let place = 2 + axis
      target = target.sliced(
        place, start: 0, count: source.hints[place], step: step[axis], dims: (0, source.dim(place)))
    }
    if !target.isEmpty { try Self.copy(source, into: target) }
    return result
  }

  /// The gradient of ``conv1d`` as an operation; weight [channels, out / groups, kernel].
  /// PyTorch: `nn.functional.conv_transpose1d`.
  public func convTranspose1d(
    _ weight: Tensor, bias: Tensor? = nil, stride: PerAxis = 1, padding: PerAxis = 0, outputPadding: PerAxis = 0,
    groups: Int = 1, dilation: PerAxis = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { transposedConvolution(1, weight, bias, stride, padding, outputPadding, groups, dilation, file, line) }

  /// The gradient of ``conv2d`` as an operation; weight [channels, out / groups, kernel..].
  /// PyTorch: `nn.functional.conv_transpose2d`.
  public func convTranspose2d(
    _ weight: Tensor, bias: Tensor? = nil, stride: PerAxis = 1, padding: PerAxis = 0, outputPadding: PerAxis = 0,
    groups: Int = 1, dilation: PerAxis = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { transposedConvolution(2, weight, bias, stride, padding, outputPadding, groups, dilation, file, line) }

  /// The gradient of ``conv3d`` as an operation; weight [channels, out / groups, kernel..].
  /// PyTorch: `nn.functional.conv_transpose3d`.
  public func convTranspose3d(
    _ weight: Tensor, bias: Tensor? = nil, stride: PerAxis = 1, padding: PerAxis = 0, outputPadding: PerAxis = 0,
    groups: Int = 1, dilation: PerAxis = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { transposedConvolution(3, weight, bias, stride, padding, outputPadding, groups, dilation, file, line) }
}

extension TensorView {
  /// The axis walked backwards.
  func reversed(_ axis: Int) -> TensorView {
    var view = self
    if let path {
      if !path.dims[axis].isKnown(1) {
        let count = dims[axis]
        view.path = path.adding(.slice(axis: axis, start: count - 1, count: count, step: -1))
      }
    }
    if !hasMemory { return view }
    if hints[axis] > 0 { view.offset += (hints[axis] - 1) * strides[axis] * dtype.size }
    view.strides[axis] = -strides[axis]
    return view
  }
}

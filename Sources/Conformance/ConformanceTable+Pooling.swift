// Pooling.
import Basics
import Tensors

extension ConformanceArguments {
  fileprivate func sizes(_ count: Int) throws(Diagnostic) -> [Int?] {
    // -1 stands for none.
    let values = try ints(1, "output_size", hole: -1) ?? []
    let each = values.count == 1 ? [Int](repeating: values[0], count: count) : values
    guard each.count == count else { throw Diagnostic(.argument, "output_size \(values) for \(count) axes") }
    return each.map { $0 < 0 ? nil : $0 }
  }
}

extension ConformanceTable {
  mutating func addPooling() {
    for spatial in 1...3 {
      addLargest("nn.functional.", spatial)
      tolerance = .products  // sums of a window's elements, which may cancel
      addMeans("nn.functional.", spatial)
      tolerance = .elements
    }
    addBackward()
  }

  private mutating func addLargest(_ f: String, _ spatial: Int) {
    add(f + "max_pool\(spatial)d") { a throws(Diagnostic) in
      let x = try a.tensor(0)
      let kernel = try a.perAxis(1, "kernel_size", else: 1)
      let stride = try a.ints(2, "stride").map { PerAxis($0) }
      let padding = try a.perAxis(3, "padding", else: 0)
      let dilation = try a.perAxis(4, "dilation", else: 1)
      let isCeil = a.bool(5, "ceil_mode")
      let made =
        switch spatial {
        case 1:
          x.maxPool1dAndPositions(kernel, stride: stride, padding: padding, dilation: dilation, ceilMode: isCeil)
        case 2:
          x.maxPool2dAndPositions(kernel, stride: stride, padding: padding, dilation: dilation, ceilMode: isCeil)
        default:
          x.maxPool3dAndPositions(kernel, stride: stride, padding: padding, dilation: dilation, ceilMode: isCeil)
        }
      if a.bool(6, "return_indices") { return .list([.tensor(made.values), .tensor(made.positions)]) }
      return .tensor(made.values)
    }
    add(f + "adaptive_max_pool\(spatial)d") { a throws(Diagnostic) in
      let (x, size) = (try a.tensor(0), try a.sizes(spatial))
      let made =
        switch spatial {
        case 1: x.adaptiveMaxPool1d(size[0] ?? 1)
        case 2: x.adaptiveMaxPool2d(size[0], size[1])
        default: x.adaptiveMaxPool3d(size[0], size[1], size[2])
        }
      if a.bool(2, "return_indices") { return .list([.tensor(made.values), .tensor(made.positions)]) }
      return .tensor(made.values)
    }
  }

  private mutating func addMeans(_ f: String, _ spatial: Int) {
    tensor(f + "avg_pool\(spatial)d") { a throws(Diagnostic) in
      let x = try a.tensor(0)
      let kernel = try a.perAxis(1, "kernel_size", else: 1)
      let stride = try a.ints(2, "stride").map { PerAxis($0) }
      let padding = try a.perAxis(3, "padding", else: 0)
      let isCeil = a.bool(4, "ceil_mode")
      let counts = a.bool(5, "count_include_pad", else: true)
      let divisor = try a.int(6, "divisor_override")
      return switch spatial {
      case 1: x.avgPool1d(kernel, stride: stride, padding: padding, ceilMode: isCeil, countsPadding: counts)
      case 2:
        x.avgPool2d(
          kernel, stride: stride, padding: padding, ceilMode: isCeil, countsPadding: counts, divisor: divisor)
      default:
        x.avgPool3d(
          kernel, stride: stride, padding: padding, ceilMode: isCeil, countsPadding: counts, divisor: divisor)
      }
    }
    tensor(f + "adaptive_avg_pool\(spatial)d") { a throws(Diagnostic) in
      let (x, size) = (try a.tensor(0), try a.sizes(spatial))
      return switch spatial {
      case 1: x.adaptiveAvgPool1d(size[0] ?? 1)
      case 2: x.adaptiveAvgPool2d(size[0], size[1])
      default: x.adaptiveAvgPool3d(size[0], size[1], size[2])
      }
    }
  }

  private mutating func addBackward() {
    tensor("max_pool2d_with_indices_backward") { a throws(Diagnostic) in
      // The recorder pools first and sends a gradient of ones back.
      let x = try a.tensor(0)
      let made = x.maxPool2dAndPositions(
        try a.perAxis(-1, "kernel_size", else: 1), stride: try a.ints(-1, "stride").map { PerAxis($0) },
        padding: try a.perAxis(-1, "padding", else: 0), dilation: try a.perAxis(-1, "dilation", else: 1),
        ceilMode: a.bool(-1, "ceil_mode"))
      return Tensor.ones(like: made.values).maxPoolBackward(
        positions: made.positions, size: Array(x.shape.dims.suffix(2)))
    }
  }
}

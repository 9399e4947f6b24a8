// Convolutions and windows.
import Basics
import Tensors

extension ConformanceArguments {
  func perAxis(_ place: Int, _ name: String, else fallback: PerAxis) throws(Diagnostic) -> PerAxis {
    guard let values = try ints(place, name) else { return fallback }
    return PerAxis(values)
  }
  fileprivate func padding(_ place: Int, _ name: String) throws(Diagnostic) -> ConvolutionPadding {
    switch string(place, name) {
    case "same": .same
    case "valid": .valid
    default: .amounts(try ints(place, name) ?? [0])
    }
  }
}

extension ConformanceTable {
  mutating func addConvolutions() {
    tolerance = .products
    defer { tolerance = .elements }
    for spatial in 1...3 {
      tensor("nn.functional.conv\(spatial)d") { a throws(Diagnostic) in
        let x = try a.tensor(0)
        let weight = try a.tensor(1, "weight")
        let bias = a.optionalTensor(2, "bias")
        let stride = try a.perAxis(3, "stride", else: 1)
        let padding = try a.padding(4, "padding")
        let dilation = try a.perAxis(5, "dilation", else: 1)
        let groups = try a.int(6, "groups", else: 1)
        return switch spatial {
        case 1:
          x.conv1d(weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
        case 2:
          x.conv2d(weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
        default:
          x.conv3d(weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
        }
      }
      tensor("nn.functional.conv_transpose\(spatial)d") { a throws(Diagnostic) in
        let x = try a.tensor(0)
        let weight = try a.tensor(1, "weight")
        let bias = a.optionalTensor(2, "bias")
        let stride = try a.perAxis(3, "stride", else: 1)
        let padding = try a.perAxis(4, "padding", else: 0)
        let more = try a.perAxis(5, "output_padding", else: 0)
        let groups = try a.int(6, "groups", else: 1)
        let dilation = try a.perAxis(7, "dilation", else: 1)
        return switch spatial {
        case 1:
          x.convTranspose1d(
            weight, bias: bias, stride: stride, padding: padding, outputPadding: more, groups: groups,
            dilation: dilation)
        case 2:
          x.convTranspose2d(
            weight, bias: bias, stride: stride, padding: padding, outputPadding: more, groups: groups,
            dilation: dilation)
        default:
          x.convTranspose3d(
            weight, bias: bias, stride: stride, padding: padding, outputPadding: more, groups: groups,
            dilation: dilation)
        }
      }
    }
    tensor("nn.functional.unfold") { a throws(Diagnostic) in
      try a.tensor(0).unfoldedWindows(
        a.perAxis(1, "kernel_size", else: 1), dilation: a.perAxis(2, "dilation", else: 1),
        padding: a.perAxis(3, "padding", else: 0), stride: a.perAxis(4, "stride", else: 1))
    }
    tensor("nn.functional.fold") { a throws(Diagnostic) in
      try a.tensor(0).folded(
        a.perAxis(1, "output_size", else: 1), kernel: a.perAxis(2, "kernel_size", else: 1),
        dilation: a.perAxis(3, "dilation", else: 1), padding: a.perAxis(4, "padding", else: 0),
        stride: a.perAxis(5, "stride", else: 1))
    }
  }
}

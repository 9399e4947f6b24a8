// ResNet-50 v1.5 (random weights): images to 1000 logits, batch norm from running statistics.
import Tensors

struct ResNet50 {
  /// A convolution and its batch norm.
  struct Unit {
    var weight: Tensor
    var scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor
    var stride: Int
    var padding: Int

    init(
      _ source: ParameterSource, _ name: String, _ inner: Int, _ outer: Int, _ kernel: Int, stride: Int, padding: Int
    ) rethrows {
      let gain = name.hasSuffix("c3") ? 0.5 : 2.0
      weight = try source(
        .normal(
          "rn" + name, outer, inner, kernel, kernel, scale: (gain / Double(inner * kernel * kernel)).squareRoot()))
      scale = try source(.uniform("rng" + name, outer, from: 0.8, to: 1.2))
      shift = try source(.normal("rnb" + name, outer, scale: 0.1))
      mean = try source(.normal("rnm" + name, outer, scale: 0.1))
      variance = try source(.uniform("rnv" + name, outer, from: 0.8, to: 1.2))
      self.stride = stride
      self.padding = padding
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
      x.conv2d(weight, stride: PerAxis(stride), padding: .amounts([padding]))
        .batchNorm(runningMean: mean, runningVariance: variance, weight: scale, bias: shift).output
    }
  }

  struct Bottleneck {
    var narrow: Unit, middle: Unit, wide: Unit
    var shortcut: Unit?

    init(_ source: ParameterSource, _ name: String, _ inner: Int, _ width: Int, stride: Int, isFirst: Bool) rethrows {
      narrow = try Unit(source, name + "c1", inner, width, 1, stride: 1, padding: 0)
      middle = try Unit(source, name + "c2", width, width, 3, stride: stride, padding: 1)
      wide = try Unit(source, name + "c3", width, 4 * width, 1, stride: 1, padding: 0)
      shortcut = isFirst ? try Unit(source, name + "d", inner, 4 * width, 1, stride: stride, padding: 0) : nil
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
      let y = wide(middle(narrow(x).relu()).relu())
      return (y + (shortcut?(x) ?? x)).relu()
    }
  }

  var stem: Unit
  var blocks: [Bottleneck] = []
  var weight: Tensor, bias: Tensor

  init(_ source: ParameterSource) rethrows {
    stem = try Unit(source, "stem", 3, 64, 7, stride: 2, padding: 3)
    var inner = 64
    for (stage, (count, width)) in [(3, 64), (4, 128), (6, 256), (3, 512)].enumerated() {
      for number in 0..<count {
        let stride = number == 0 && stage > 0 ? 2 : 1
        blocks.append(
          try Bottleneck(source, "s\(stage)b\(number)", inner, width, stride: stride, isFirst: number == 0))
        inner = 4 * width
      }
    }
    weight = try source(.normal("rnfc", 2048, 1000, scale: 0.02))
    bias = try source(.constant(0, 1000))
  }

  func callAsFunction(_ images: Tensor) -> Tensor {
    var x = stem(images).relu().maxPool2d(3, stride: 2, padding: 1)
    for block in blocks { x = block(x) }
    return x.mean(2, 3).matmul(weight) + bias
  }
}

extension Workload {
  static let resNet50 = model(
    "resnet50", "ResNet-50 inference B=8 224x224 NCHW fp32", read: (25_557_032 + 8 * 3 * 224 * 224) * 4,
    written: 8 * 1000 * 4, flops: 65_424_000_000, tolerance: 5e-3, inputs: [.normal("img", 8, 3, 224, 224)],
    build: { try ResNet50($0) }
  ) { model, rest in model(rest[rest.startIndex]) }
}

// Activation functions: one formula each, one launch each. Not softmax, which needs whole rows.
// Surprise: slopes, bounds and thresholds are launch arguments, so one kernel serves all of their values.
import Basics
import Engine
import GraphIR
import TensorTypes

private enum Activations {
  static let relu = PointwiseOperation("relu", .promoted) { x in x[0].maximum(0) }
  static let relu6 = PointwiseOperation("relu6", .promoted) { x in x[0].clamped(0, 6) }
  static let gelu = PointwiseOperation("gelu", .floating) { x in
    x[0] * 0.5 * (1 + (x[0] * 0.5.squareRoot()).apply(.erf))
  }
  static let geluTanh = PointwiseOperation("gelu tanh", .floating) { x in
    // (1 + tanh u) / 2 = 1 / (1 + e^-2u): an exp and a division instead of a tanh; -2u = x (a + b x²).
    let a = -(8 / Double.pi).squareRoot()
    let exponent = x[0] * x[0].squared().multiplied(by: 0.044715 * a, adding: a)
    return x[0] / (1 + exponent.exp())
  }
  static let silu = PointwiseOperation("silu", .floating) { x in x[0] * x[0].sigmoid() }
  static let swiglu = PointwiseOperation("swiglu", .floating) { x in x[0] * x[0].sigmoid() * x[1] }
  static let mish = PointwiseOperation("mish", .floating) { x in x[0] * softplus(x[0]).tanh() }
  static let elu = PointwiseOperation("elu", .floating) { x in (x[0] .> 0).select(x[0], x[1] * x[0].expm1()) }
  static let selu = PointwiseOperation("selu", .floating) { x in
    1.0507009873554805 * (x[0] .> 0).select(x[0], 1.6732632423543772 * x[0].expm1())
  }
  static let celu = PointwiseOperation("celu", .floating) { x in
    (x[0] .> 0).select(x[0], x[1] * (x[0] / x[1]).expm1())
  }
  static let hardTanh = PointwiseOperation("hardtanh", .promoted) { x in x[0].maximum(x[1]).minimum(x[2]) }
  static let hardSigmoid = PointwiseOperation("hardsigmoid", .floating) { x in (x[0] + 3).clamped(0, 6) / 6 }
  static let hardSwish = PointwiseOperation("hardswish", .floating) { x in x[0] * (x[0] + 3).clamped(0, 6) / 6 }
  static let hardShrink = PointwiseOperation("hardshrink", .promoted) { x in
    (x[0] .>= -x[1] && x[0] .<= x[1]).select(0, x[0])
  }
  static let softShrink = PointwiseOperation("softshrink", .promoted) { x in
    // 0 · x keeps NaN.
    (x[0] .> x[1]).select(x[0] - x[1], (x[0] .< -x[1]).select(x[0] + x[1], x[0] * 0))
  }
  static let tanhShrink = PointwiseOperation("tanhshrink", .floating) { x in x[0] - x[0].tanh() }
  static let softSign = PointwiseOperation("softsign", .floating) { x in x[0] / (1 + x[0].abs()) }
  static let softPlus = PointwiseOperation("softplus", .floating) { x in
    let scaled = x[0] * x[1]
    return (scaled .> x[2]).select(x[0], softplus(scaled) / x[1])
  }
  static let logSigmoid = PointwiseOperation("logsigmoid", .floating) { x in
    x[0].minimum(0) - (-x[0].abs()).exp().log1p()
  }
  static let threshold = PointwiseOperation("threshold", .promoted) { x in (x[0] .<= x[1]).select(x[2], x[0]) }
  static let leakyRelu = PointwiseOperation("leaky relu", .promoted) { x in (x[0] .> 0).select(x[0], x[0] * x[1]) }
  static let gated = PointwiseOperation("glu", .floating) { x in x[0] * x[1].sigmoid() }
  static let dropped = PointwiseOperation("dropout backward", .selection) { x in x[0].select(x[1] * x[2], 0) }

  /// log(1 + e^x) without overflow.
  static func softplus(_ x: Term) -> Term { x.maximum(0) + (-x.abs()).exp().log1p() }
}

/// Which form of gelu is computed.
public enum GELUApproximation: Sendable, Hashable {
  /// x · Φ(x), by the error function.
  case none
  /// By tanh, as GPT-2 does.
  case tanh
}

extension Tensor {
  /// max(x, 0). PyTorch: `relu`.
  public func relu(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.relu(file, line, operand)
  }

  /// min(max(x, 0), 6). PyTorch: `nn.functional.relu6`.
  public func relu6(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.relu6(file, line, operand)
  }

  /// x · Φ(x), with Φ the normal distribution. PyTorch: `nn.functional.gelu`.
  public func gelu(
    approximate: GELUApproximation = .none, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    switch approximate {
    case .none: Activations.gelu(file, line, operand)
    case .tanh: Activations.geluTanh(file, line, operand)
    }
  }

  /// x · sigmoid(x). PyTorch: `nn.functional.silu`.
  public func silu(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.silu(file, line, operand)
  }

  /// silu(x) · other, which broadcast: the gate of a feed-forward layer (Shazeer 2020) in one launch. PyTorch: `silu(x) * other`.
  ///
  ///     let hidden = x.linear(weight: gate).swiglu(x.linear(weight: up))
  public func swiglu(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.swiglu(file, line, operand, other.operand)
  }

  /// x · tanh(log(1 + e^x)). PyTorch: `nn.functional.mish`.
  public func mish(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.mish(file, line, operand)
  }

  /// x above 0, else `alpha` · (e^x - 1). PyTorch: `nn.functional.elu`.
  public func elu(alpha: Double = 1, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.elu(file, line, operand, .scalar(.floating(alpha)))
  }

  /// elu with the two constants that keep mean 0 and variance 1. PyTorch: `nn.functional.selu`.
  public func selu(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.selu(file, line, operand)
  }

  /// x above 0, else `alpha` · (e^(x / alpha) - 1). PyTorch: `nn.functional.celu`.
  public func celu(alpha: Double = 1, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.celu(file, line, operand, .scalar(.floating(alpha)))
  }

  /// x kept between `low` and `high`. PyTorch: `nn.functional.hardtanh`.
  public func hardTanh(
    _ low: Double = -1, _ high: Double = 1, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    if dtype.isInteger {
      return clamped(dtype.number(.floating(low)), dtype.number(.floating(high)), file: file, line: line)
    }
    return Activations.hardTanh(file, line, operand, .scalar(.floating(low)), .scalar(.floating(high)))
  }

  /// relu6(x + 3) / 6. PyTorch: `nn.functional.hardsigmoid`.
  public func hardSigmoid(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.hardSigmoid(file, line, operand)
  }

  /// x · hardSigmoid(x). PyTorch: `nn.functional.hardswish`.
  public func hardSwish(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.hardSwish(file, line, operand)
  }

  /// 0 between -lambda and lambda, else x. PyTorch: `nn.functional.hardshrink`.
  public func hardShrink(_ lambda: Double = 0.5, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.hardShrink(file, line, operand, .scalar(.floating(lambda)))
  }

  /// x moved toward 0 by `lambda`; 0 where that passes it. PyTorch: `nn.functional.softshrink`.
  public func softShrink(_ lambda: Double = 0.5, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      guard lambda >= 0 else {
        throw Diagnostic(.argument, "softShrink: lambda is \(lambda)", remedy: "give a lambda of 0 or more")
      }
      return try Activations.softShrink([operand, .scalar(.floating(lambda))])
    }
  }

  /// x - tanh(x). PyTorch: `nn.functional.tanhshrink`.
  public func tanhShrink(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.tanhShrink(file, line, operand)
  }

  /// x / (1 + |x|). PyTorch: `nn.functional.softsign`.
  public func softSign(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.softSign(file, line, operand)
  }

  /// log(1 + e^(beta·x)) / beta; x itself where beta·x > `threshold`. PyTorch: `nn.functional.softplus`.
  public func softPlus(
    beta: Double = 1, threshold: Double = 20, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Activations.softPlus(file, line, operand, .scalar(.floating(beta)), .scalar(.floating(threshold)))
  }

  /// log(sigmoid(x)), without overflow. PyTorch: `nn.functional.logsigmoid`.
  public func logSigmoid(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.logSigmoid(file, line, operand)
  }

  /// x above `threshold`, else `value`. PyTorch: `nn.functional.threshold`.
  public func thresholded(
    _ threshold: some Scalar, _ value: some Scalar, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    let (bound, other) = (dtype.number(threshold.number), dtype.number(value.number))
    return Activations.threshold(file, line, operand, .scalar(bound), .scalar(other))
  }

  /// x above 0, else x · `slope`. PyTorch: `nn.functional.leaky_relu`.
  public func leakyRelu(slope: Double = 0.01, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Activations.leakyRelu(file, line, operand, .scalar(.floating(slope)))
  }

  /// x above 0, else x · weight, with one weight or one for each channel (axis 1). PyTorch: `nn.functional.prelu`.
  public func prelu(weight: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, weight]) { () throws(Diagnostic) in
      let (x, w) = (try view, try weight.view)
      var slope = w
      if w.elementCount == 1 {
        for _ in 0..<w.rank { slope = slope.removing(0) }
      } else {
        let channels = x.rank > 1 ? x.dim(1) : 1
        guard w.rank == 1, w.dim(0) == channels else {
          throw Diagnostic(
            .shape, "prelu: a weight \(w.hints) for \(channels) channels of \(x.hints)",
            remedy: "give one weight, or one for each extent of axis 1")
        }
        for _ in 2..<Swift.max(x.rank, 2) { slope = slope.inserting(slope.rank) }
      }
      return try Activations.leakyRelu([operand, .tensor(Tensor(slope))])
    }
  }

  /// The first half of `axis` times the sigmoid of the second. PyTorch: `nn.functional.glu`.
  public func glu(_ axis: Int = -1, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      let x = try view
      let place = try resolvedAxis(axis, rank: x.rank, "glu")
      guard x.rank > 0, x.dim(place) % 2 == 0 else {
        throw Diagnostic(
          .shape, "glu: axis \(axis) of \(x.hints) cannot be halved", remedy: "give an axis with an even extent")
      }
      let half = x.hints[place] / 2
      let dim = x.dims[place]
      _ = Dim.asks(.equal, dim % 2, 0)
      let halves = [(0, Dim(0)), (half, dim / 2)].map { start, first in
        Tensor(x.sliced(place, start: start, count: half, dims: (first, dim / 2)))
      }
      return try Activations.gated([halves[0].operand, halves[1].operand])
    }
  }

  /// Where `mask` is true this gradient times `scale`, else 0. PyTorch: `native_dropout_backward`.
  public func dropoutBackward(
    mask: Tensor, scale: Double, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { Activations.dropped(file, line, mask.operand, operand, .scalar(.floating(scale))) }
}

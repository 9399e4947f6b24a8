// One token of a Llama of 135M parameters (random ones) at the end of a full cache, with weights in four formats.
// Not the model that generates text (LanguageModels). Surprise: the look-up of the token uses the unpacked embedding, as
// other systems do.
import Basics
import Foundation
import Tensors
import TensorTypes

struct DecodeModel {
  enum Format: String, CaseIterable, Sendable {
    case f32, bf16, int8, int4
    /// Of activations, caches and scales.
    var dtype: DType { self == .f32 ? .f32 : .bf16 }
    /// Bytes of one weight, scales included where they count.
    var weightBytes: Double {
      switch self {
      case .f32: 4
      case .bf16: 2
      case .int8: 1
      case .int4: 0.5625
      }
    }
  }

  static let (layers, width, heads, groups, hidden, vocabulary) = (30, 576, 9, 3, 1536, 49152)
  static let (context, depth) = (512, 64)
  static let packedGroup = 32

  /// A weight [out, in]: plain, or packed with scales.
  struct Linear {
    var format: Format
    var weight: Tensor
    /// int8: [out]. int4: [out, groups, 1].
    var scales: Tensor?

    func callAsFunction(_ x: Tensor) -> Tensor {
      guard let scales else { return x.linear(weight: weight) }
      switch format {
      case .f32, .bf16: return x.linear(weight: weight)
      case .int8: return x.linear(weight: weight.converted(to: x.dtype)) * scales
      case .int4:
        // A byte holds elements j and j + 16 of a group of 32, each plus 8.
        let whole = Tensor.concatenated([weight & 15, weight >> 4], axis: 2)
        let decoded = (whole.converted(to: x.dtype) - 8) * scales
        return x.linear(weight: decoded.reshaped(decoded.shape[0], x.shape[1]))
      }
    }

    /// - Parameter source: gives the weight in f32 and takes what it becomes.
    static func packed(_ exact: Tensor, _ format: Format) -> [Tensor] {
      let rounded = exact.converted(to: format.dtype)
      switch format {
      case .f32, .bf16: return [rounded]
      case .int8:
        let wide = rounded.converted(to: .f32)
        let scale = wide.abs().max(1) / 127
        return [(wide / scale.expandedDims(at: 1)).rounded().converted(to: .i8), scale.converted(to: format.dtype)]
      case .int4:
        let rows = rounded.shape[0]
        let wide = rounded.converted(to: .f32).reshaped(rows, -1, DecodeModel.packedGroup)
        let scale = (wide.abs().max(2, keepDims: true) / 7).clamped(min: 1e-8)
        let codes = ((wide / scale).rounded() + 8).clamped(0, 15).converted(to: .u8)
        let half = DecodeModel.packedGroup / 2
        let low = codes[..., 0..<half]
        let high = codes[..., half..<DecodeModel.packedGroup]
        return [low | high << 4, scale.converted(to: format.dtype)]
      }
    }
  }

  struct Layer {
    var query: Linear, key: Linear, value: Linear, output: Linear
    var gate: Linear, up: Linear, down: Linear
    var norm1: Tensor, norm2: Tensor
  }

  var table: Tensor
  var head: Linear
  var norm: Tensor
  var layers: [Layer]
  var cosine: Tensor, sine: Tensor

  /// The tensors of a model in `format`, in the order `init(_:_:)` takes them.
  static func tensors(_ format: Format) throws -> [Tensor] {
    var tensors: [Tensor] = []
    func add(_ name: String, _ outer: Int, _ inner: Int) throws {
      tensors += Linear.packed(try NamedArray.normal(name, outer, inner, scale: 0.04).tensor(), format)
    }
    let embedding = try NamedArray.normal("demb", vocabulary, width, scale: 0.04).tensor()
    tensors.append(embedding.converted(to: format.dtype))
    tensors += Linear.packed(embedding, format)
    let ones = Tensor.ones([Dim(width)], dtype: format.dtype)
    tensors.append(ones)
    for number in 0..<Self.layers {
      let name = "dl\(number)_"
      try add(name + "q", heads * depth, width)
      try add(name + "k", groups * depth, width)
      try add(name + "v", groups * depth, width)
      try add(name + "o", width, heads * depth)
      try add(name + "g", hidden, width)
      try add(name + "u", hidden, width)
      try add(name + "d", width, hidden)
      tensors += [ones, ones]
    }
    let angles = (0..<depth / 2).map { Double(context - 1) / rotation($0) }
    tensors.append(Tensor((angles + angles).map { Float(cos($0)) }).converted(to: format.dtype))
    tensors.append(Tensor((angles + angles).map { Float(sin($0)) }).converted(to: format.dtype))
    return tensors
  }

  private static func rotation(_ pair: Int) -> Double { pow(10000, Double(2 * pair) / Double(depth)) }

  init(_ tensors: [Tensor], _ format: Format) {
    var rest = tensors.makeIterator()
    // Too few tensors give failed ones, which say so when they are read.
    func next() -> Tensor {
      rest.next() ?? Tensor(failure: Diagnostic(.argument, "the decode model lacks tensors"))
    }
    func linear() -> Linear {
      let weight = next()
      switch format {
      case .f32, .bf16: return Linear(format: format, weight: weight)
      case .int8, .int4: return Linear(format: format, weight: weight, scales: next())
      }
    }
    table = next()
    head = linear()
    norm = next()
    layers = (0..<Self.layers).map { _ in
      Layer(
        query: linear(), key: linear(), value: linear(), output: linear(), gate: linear(), up: linear(),
        down: linear(), norm1: next(), norm2: next())
    }
    cosine = next()
    sine = next()
  }

  private static func normed(_ x: Tensor, _ weight: Tensor) -> Tensor {
    let wide = x.converted(to: .f32)
    return (wide * (wide.square().mean(-1, keepDims: true) + 1e-5).rsqrt()).converted(to: x.dtype) * weight
  }

  private func rotated(_ x: Tensor) -> Tensor {
    let half = Self.depth / 2
    let turned = Tensor.concatenated([-x[..., half..<Self.depth], x[..., 0..<half]], axis: -1)
    return x * cosine + turned * sine
  }

  /// - Parameters:
  ///   - caches: keys and values of each layer in turn, [groups, context, depth]; written at `position`.
  ///   - token: i64 [1].
  func callAsFunction(_ token: Tensor, _ caches: inout [Tensor], at position: Dim) -> Tensor {
    var x = table.embedding(token)
    let place = TensorIndex.range(start: position, end: position + 1, step: 1)
    for (number, layer) in layers.enumerated() {
      let h = Self.normed(x, layer.norm1)
      let query = rotated(layer.query(h).reshaped(Self.heads, 1, Self.depth))
      let key = rotated(layer.key(h).reshaped(Self.groups, 1, Self.depth))
      let value = layer.value(h).reshaped(Self.groups, 1, Self.depth)
      caches[2 * number][..., place, TensorIndex.range(start: nil, end: nil, step: 1)] = key
      caches[2 * number + 1][..., place, TensorIndex.range(start: nil, end: nil, step: 1)] = value
      let seen = Tensor.scaledDotProductAttention(
        query, caches[2 * number], caches[2 * number + 1], groupsQueries: true)
      x = x + layer.output(seen.reshaped(1, Self.heads * Self.depth))
      let g = Self.normed(x, layer.norm2)
      x = x + layer.down(layer.gate(g).silu() * layer.up(g))
    }
    return head(Self.normed(x, norm))
  }
}

extension Workload {
  static let decode = DecodeModel.Format.allCases.map { format in
    let width = DecodeModel.width
    let inner = 2 * DecodeModel.heads * DecodeModel.depth + 2 * DecodeModel.groups * DecodeModel.depth
    let weights =
      DecodeModel.layers * width * (inner + 3 * DecodeModel.hidden) + DecodeModel.vocabulary * width
    let cached = DecodeModel.layers * 2 * DecodeModel.groups * DecodeModel.context * DecodeModel.depth
    return Workload(
      "decode_\(format.rawValue)",
      "Llama 135M, one token at position 511, KV cache 512, \(format.rawValue) weights",
      read: Int(Double(weights) * format.weightBytes) + cached * format.dtype.size,
      written: DecodeModel.vocabulary * format.dtype.size, flops: 2 * weights,
      peak: format == .f32 ? .f32 : .bf16, tolerance: format == .f32 ? 5e-3 : 0.2,
      make: {
        let (layers, groups) = (DecodeModel.layers, DecodeModel.groups)
        let (context, depth) = (DecodeModel.context, DecodeModel.depth)
        let keys = try NamedArray.normal("kc", layers, groups, context, depth).tensor().converted(to: format.dtype)
        let values = try NamedArray.normal("vc", layers, groups, context, depth).tensor().converted(to: format.dtype)
        let caches = (0..<layers).flatMap { [keys[$0].copied(), values[$0].copied()] }
        return (caches, try DecodeModel.tensors(format) + [Tensor([7])])
      }
    ) { caches, tensors in
      let model = DecodeModel(tensors, format)
      return [model(tensors[tensors.count - 1], &caches, at: Dim(DecodeModel.context - 1))]
    }
  }

  static let models = [gpt2, resNet50] + decode + [dlrm]
}

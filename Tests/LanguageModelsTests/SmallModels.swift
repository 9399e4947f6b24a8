// Models of two layers with made-up weights, written as GGUF files, and what they should answer in plain Swift doubles.
// Not a copy of the model's code: every sum is a loop. Surprise: the weights are read back from the file by the format's
// reference decoder, so one description serves dense and packed weights.
import Foundation
import Formats
import Testing

struct SmallModel {
  var architecture = "llama"
  /// The ggml number of the matrices' encoding.
  var encoding: UInt32 = 0
  var hasOutput = false
  /// More metadata of the architecture, as u64.
  var extra: [(key: String, value: UInt64)] = []

  let layers = 2
  let width = 256
  let heads = 4
  let keyHeads = 2
  let inner = 512
  let vocabulary = 300
  private let base = 10000.0
  private let epsilon = 1e-5

  private var headWidth: Int { width / heads }

  // MARK: The file

  private func tensors() -> [(name: String, shape: [Int], encoding: UInt32)] {
    let keyWidth = keyHeads * headWidth
    var list: [(name: String, shape: [Int], encoding: UInt32)] = [
      ("token_embd.weight", [vocabulary, width], encoding), ("output_norm.weight", [width], 0),
    ]
    if hasOutput { list.append(("output.weight", [vocabulary, width], encoding)) }
    for layer in 0..<layers {
      for (name, shape) in [
        ("attn_q", [width, width]), ("attn_k", [keyWidth, width]), ("attn_v", [keyWidth, width]),
        ("attn_output", [width, width]), ("ffn_gate", [inner, width]), ("ffn_up", [inner, width]),
        ("ffn_down", [width, inner]),
      ] {
        list.append(("blk.\(layer).\(name).weight", shape, encoding))
      }
      list.append(("blk.\(layer).attn_norm.weight", [width], 0))
      list.append(("blk.\(layer).ffn_norm.weight", [width], 0))
      if architecture == "qwen2" {
        list.append(("blk.\(layer).attn_q.bias", [width], 0))
        list.append(("blk.\(layer).attn_k.bias", [keyWidth], 0))
        list.append(("blk.\(layer).attn_v.bias", [keyWidth], 0))
      }
    }
    return list
  }

  /// The file's bytes: version 3, the metadata a model needs, then the tensors.
  func bytes() throws -> [UInt8] {
    var file = Array("GGUF".utf8)
    func number<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { file += $0 } }
    func text(_ value: String) {
      number(UInt64(value.utf8.count))
      file += value.utf8
    }
    let integers = [
      ("block_count", layers), ("embedding_length", width), ("attention.head_count", heads),
      ("attention.head_count_kv", keyHeads), ("context_length", 64),
    ]
    let reals = [("attention.layer_norm_rms_epsilon", epsilon), ("rope.freq_base", base)]
    let list = tensors()
    number(UInt32(3))
    number(UInt64(list.count))
    number(UInt64(1 + integers.count + reals.count + extra.count))
    text("general.architecture")
    number(UInt32(8))
    text(architecture)
    for (key, value) in integers {
      text("\(architecture).\(key)")
      number(UInt32(4))
      number(UInt32(value))
    }
    for (key, value) in extra {
      text("\(architecture).\(key)")
      number(UInt32(10))
      number(value)
    }
    for (key, value) in reals {
      text("\(architecture).\(key)")
      number(UInt32(6))
      number(Float(value).bitPattern)
    }
    var generator = Generator(state: 1)
    var data: [UInt8] = []
    for tensor in list {
      text(tensor.name)
      number(UInt32(tensor.shape.count))
      for extent in tensor.shape.reversed() { number(UInt64(extent)) }
      number(tensor.encoding)
      number(UInt64(data.count))
      data += try elements(tensor.shape.reduce(1, *), tensor.encoding, &generator)
      data += [UInt8](repeating: 0, count: (32 - data.count % 32) % 32)
    }
    file += [UInt8](repeating: 0, count: (32 - file.count % 32) % 32)
    return file + data
  }

  private func elements(_ count: Int, _ encoding: UInt32, _ generator: inout Generator) throws -> [UInt8] {
    var bytes: [UInt8] = []
    if let format = QuantizedFormat(ggmlID: encoding), let linear = format.linear {
      // Any bits are a block; its half floats are made small, so that no sum overflows.
      for _ in 0..<count / format.blockElements {
        var block = (0..<format.blockBytes).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        func put(_ value: Float, _ offset: Int) {
          withUnsafeBytes(of: Float16(value).bitPattern.littleEndian) {
            block.replaceSubrange(offset..<offset + 2, with: $0)
          }
        }
        let isGrouped = linear.scale.group != nil
        put((isGrouped ? 0.0004 : 0.01) * (1 + generator.unit()), linear.scale.offset)
        if let minimum = linear.minimum { put((isGrouped ? 0.002 : -0.07) * (1 + generator.unit()), minimum.offset) }
        bytes += block
      }
      return bytes
    }
    if let format = QuantizedFormat(ggmlID: encoding) {
      for _ in 0..<count / format.blockElements { bytes += lookedUpBlock(format, &generator) }
      return bytes
    }
    for _ in 0..<count {
      let value = generator.unit() * 0.2 - 0.1
      switch encoding {
      case 0: withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
      case 1: withUnsafeBytes(of: Float16(value).bitPattern.littleEndian) { bytes += $0 }
      case 30: withUnsafeBytes(of: UInt16(value.bitPattern >> 16).littleEndian) { bytes += $0 }
      default: Issue.record("encoding \(encoding) is not written here")
      }
    }
    return bytes
  }

  /// Any bits, with scales that make the largest element about 0.15.
  private func lookedUpBlock(_ format: QuantizedFormat, _ generator: inout Generator) -> [UInt8] {
    var block = (0..<format.blockBytes).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    func put(_ value: Float) {
      let bits = Float16(value).bitPattern
      if format == .iq1_M {
        // The half float lies in the top four bits of the last four words.
        for part in 0..<4 {
          let byte = 49 + 2 * part
          block[byte] = block[byte] & 15 | UInt8(truncatingIfNeeded: (bits >> UInt16(4 * part)) & 15) << 4
        }
      } else if let field = format.fields.first(where: { $0.name == "d" }) {
        block[field.offset] = UInt8(truncatingIfNeeded: bits)
        block[field.offset + 1] = UInt8(bits >> 8)
      }
    }
    if format == .mxfp4 {
      block[0] = 121
    } else if format == .nvfp4 {
      for i in 0..<4 { block[i] = block[i] & 15 | 8 }
    } else {
      put(1)
      put(0.15 / (format.decode(block).map(abs).max() ?? 1))
    }
    return block
  }

  /// SplitMix64.
  private struct Generator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
    mutating func unit() -> Float { Float(next() >> 40) * 0x1p-24 }
  }

  // MARK: The answer

  /// The logits after `tokens`, of the weights in `file`.
  func logits(_ file: GGUFFile, after tokens: [Int]) throws -> [Double] {
    var weights: [String: [Double]] = [:]
    for tensor in file.tensors { weights[tensor.name] = try tensor.floats().map(Double.init) }
    func weight(_ name: String) throws -> [Double] { try #require(weights[name], "\(name)") }
    func product(_ x: [Double], _ name: String, bias: String? = nil) throws -> [Double] {
      let w = try weight(name)
      var result = bias.flatMap { weights[$0] } ?? [Double](repeating: 0, count: w.count / x.count)
      for row in result.indices {
        for i in x.indices { result[row] += w[row * x.count + i] * x[i] }
      }
      return result
    }
    func normalized(_ x: [Double], _ name: String) throws -> [Double] {
      let scale = 1 / (x.reduce(0) { $0 + $1 * $1 } / Double(x.count) + epsilon).squareRoot()
      return zip(x, try weight(name)).map { $0 * scale * $1 }
    }
    func rotated(_ x: [Double], _ position: Int) -> [Double] {
      var result = x
      let half = headWidth / 2
      for head in 0..<x.count / headWidth {
        for i in 0..<half {
          let (first, second) = architecture == "qwen2" ? (i, i + half) : (2 * i, 2 * i + 1)
          let angle = Double(position) * pow(base, -2 * Double(i) / Double(headWidth))
          let (a, b) = (x[head * headWidth + first], x[head * headWidth + second])
          result[head * headWidth + first] = a * cos(angle) - b * sin(angle)
          result[head * headWidth + second] = a * sin(angle) + b * cos(angle)
        }
      }
      return result
    }
    let table = try weight("token_embd.weight")
    var states = tokens.map { Array(table[$0 * width..<($0 + 1) * width]) }
    for layer in 0..<layers {
      let name = "blk.\(layer)"
      var (keys, values): ([[Double]], [[Double]]) = ([], [])
      for position in states.indices {
        let h = try normalized(states[position], "\(name).attn_norm.weight")
        let q = rotated(try product(h, "\(name).attn_q.weight", bias: "\(name).attn_q.bias"), position)
        keys.append(rotated(try product(h, "\(name).attn_k.weight", bias: "\(name).attn_k.bias"), position))
        values.append(try product(h, "\(name).attn_v.weight", bias: "\(name).attn_v.bias"))
        var mixed = [Double](repeating: 0, count: width)
        for head in 0..<heads {
          let (own, shared) = (head * headWidth, head / (heads / keyHeads) * headWidth)
          var scores = keys.map { key in
            (0..<headWidth).reduce(0) { $0 + q[own + $1] * key[shared + $1] } / Double(headWidth).squareRoot()
          }
          let top = scores.max() ?? 0
          scores = scores.map { exp($0 - top) }
          let total = scores.reduce(0, +)
          for (score, value) in zip(scores, values) {
            for i in 0..<headWidth { mixed[own + i] += score / total * value[shared + i] }
          }
        }
        let attended = try product(mixed, "\(name).attn_output.weight")
        states[position] = zip(states[position], attended).map { $0 + $1 }
        let f = try normalized(states[position], "\(name).ffn_norm.weight")
        let gate = try product(f, "\(name).ffn_gate.weight")
        let up = try product(f, "\(name).ffn_up.weight")
        let down = try product(zip(gate, up).map { $0 / (1 + exp(-$0)) * $1 }, "\(name).ffn_down.weight")
        states[position] = zip(states[position], down).map { $0 + $1 }
      }
    }
    let last = try normalized(try #require(states.last), "output_norm.weight")
    return try product(last, hasOutput ? "output.weight" : "token_embd.weight")
  }
}

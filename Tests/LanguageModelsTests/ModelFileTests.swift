// Files of small models with one thing changed: a setting, a tensor's shape, one too many, one missing. Each is refused
// by name or gives the right values; nothing is ignored, stretched, or crashes.
import Basics
import Formats
import TestSupport
import Testing

@testable import LanguageModels

@Suite struct ModelFileTests {
  private static let tokens: [Int32] = [3, 17, 0, 5, 22]

  private static func bytes(_ name: String) throws -> RewrittenModel {
    try RewrittenModel(try LlamaVariantTests.file(name))
  }

  /// The logits of the model in `file`, or what was wrong with it.
  private static func logits(_ file: RewrittenModel) throws -> Result<[Float], Diagnostic> {
    let scratch = try ScratchFolder()
    let path = try scratch.write(file.bytes(), "model.gguf")
    do throws(Diagnostic) {
      let model = try Llama(try GGUFFile(path: path))
      var cache = try KVCache(model, capacity: tokens.count)
      return .success(try model(tokens, &cache).array(as: Float.self))
    } catch {
      return .failure(error)
    }
  }

  private static func refusal(_ file: RewrittenModel) throws -> String {
    switch try logits(file) {
    case .success: return ""
    case .failure(let error):
      #expect(error.remedy != nil, "\(error.message)")
      return error.message
    }
  }

  private static let settings: [String] = (try? bytes("llama3-biases-tied"))?.metadata.map(\.key) ?? []

  /// Settings whose every value in range is a right one, with other logits.
  private static let isFree: Set<String> = [
    "llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base", "llama.rope.dimension_count",
  ]

  @Test func every_setting_of_a_model_is_read_within_bounds() throws {
    let model = try Self.bytes("llama3-biases-tied")
    let right = try Self.logits(model).get()
    try #require(Self.settings.count > 10)
    for key in Self.settings where key.hasPrefix("llama.") {
      var values: [RewrittenModel.Value] = [
        .integer(0), .integer(1), .integer(3), .integer(.max), .long(1 << 62), .long(.max), .signed(-1), .signed(.min),
        .number(.nan), .number(.infinity), .number(-1), .number(1e30), .text("17"), .flag(true),
        .integers([]), .integers([1, 2]), .texts(["a"]),
      ]
      if case .integer(let value) = model.metadata.first(where: { $0.key == key })?.value {
        values += [.integer(value / 2), .integer(value * 2), .integer(value + 1), .integer(value - 1)]
      }
      for value in values {
        var changed = model
        changed.set(key, value)
        switch try Self.logits(changed) {
        case .success(let logits):
          #expect(Self.isFree.contains(key) || logits == right, "\(key) = \(value) was ignored")
          #expect(logits.allSatisfy { $0.isFinite }, "\(key) = \(value)")
        case .failure(let error):
          let names = model.tensors.map(\.name) + Self.settings + ["heads", "the model's context"]
          #expect(names.contains { error.message.contains($0) }, "\(key) = \(value): \(error.message)")
        }
      }
      var without = model
      without.remove(key)
      switch try Self.logits(without) {
      case .success(let logits): #expect(Self.isFree.contains(key) || logits == right, "\(key) was needed")
      case .failure: break
      }
    }
  }

  @Test(arguments: ["llama3-biases-tied", "biases", "qwen2"])
  func every_tensor_has_the_shape_that_the_settings_imply(name: String) throws {
    let model = try Self.bytes(name)
    for tensor in model.tensors {
      let shape = tensor.shape
      var shapes = [shape + [1], [1] + shape, [], [shape.reduce(1, *)], Array(shape.reversed())]
      for axis in shape.indices {
        for extent in [0, 1, shape[axis] / 2, shape[axis] - 1, shape[axis] + 1, shape[axis] * 2] {
          var other = shape
          other[axis] = extent
          shapes.append(other)
        }
      }
      for other in shapes where other != shape {
        var changed = model
        changed.reshape(tensor.name, other)
        let message = try Self.refusal(changed)
        // A table of tokens with other rows contradicts the number of tokens; of neighbours, either is named.
        #expect(message.contains(tensor.name), "\(tensor.name) \(other): \(message)")
      }
    }
  }

  @Test(arguments: ["llama3-biases-tied", "biases", "qwen2"])
  func every_tensor_is_needed_or_changes_the_values(name: String) throws {
    let model = try Self.bytes(name)
    let right = try Self.logits(model).get()
    for tensor in model.tensors {
      var changed = model
      changed.tensors.removeAll { $0.name == tensor.name }
      switch try Self.logits(changed) {
      case .success(let logits): #expect(logits != right, "\(tensor.name) was ignored")
      case .failure(let error): #expect(error.message.contains(tensor.name), "\(error.message)")
      }
    }
  }

  @Test func tensors_that_the_model_would_ignore_are_refused_by_name() throws {
    for name in [
      "blk.0.attn_q_norm.weight", "blk.1.ffn_gate_inp.weight", "output.bias", "rope_factors_long.weight",
      "blk.2.attn_norm.weight", "blk.0.attn_norm.bias", "token_types.weight", "output_norm.bias", "blk.0.attn_q.scale",
    ] {
      var changed = try Self.bytes("plain")
      changed.tensors.append(.init(name: name, shape: [16], encoding: 0, bytes: [UInt8](repeating: 0, count: 64)))
      #expect(try Self.refusal(changed).contains("'\(name)'"))
    }
  }

  @Test(arguments: [
    ("attention.q_lora_rank", RewrittenModel.Value.integer(8)), ("expert_count", .integer(8)),
    ("attention.sliding_window", .integer(16)), ("attn_logit_softcapping", .number(30)), ("logit_scale", .number(0.5)),
    ("rope.scaling.type", .text("longrope")), ("rope.scaling.yarn_temperature", .number(1)),
    ("attention.causal", .flag(false)), ("made_up", .text("x")), ("use_parallel_residual", .flag(true)),
    ("attention.value_length", .integer(8)), ("attention.scale", .number(0.7)), ("tensor_data_layout", .text("other")),
    ("rope.dimension_sections", .integers([1, 2])), ("embedding_length_out", .integer(8)),
  ]) func settings_that_the_model_would_ignore_are_refused_by_name(
    key: String, value: RewrittenModel.Value
  ) throws {
    var changed = try Self.bytes("plain")
    changed.set("llama.\(key)", value)
    let message = try Self.refusal(changed)
    #expect(message.contains("llama.\(key)"), "\(message)")
  }

  @Test func settings_that_ask_for_nothing_are_let_pass() throws {
    var changed = try Self.bytes("plain")
    let right = try Self.logits(changed).get()
    for (key, value) in [
      ("llama.expert_count", RewrittenModel.Value.integer(0)), ("llama.attention.sliding_window", .integer(64)),
      ("llama.rope.scaling.finetuned", .flag(true)), ("llama.rope.scaling.factor", .number(0)),
      ("llama.rope.dimension_count", .integer(16)), ("llama.attention.scale", .number(0.25)),
      ("llama.attention.causal", .flag(true)), ("llama.feed_forward_length", .integers([20, 20])),
      ("general.type", .text("model")), ("general.quantization_version", .integer(2)), ("general.name", .text("x")),
      ("llama.attention.head_count_kv", .integers([1, 1])),
    ] {
      changed.set(key, value)
    }
    #expect(try Self.logits(changed).get() == right)
  }

  @Test func files_that_are_no_whole_model_are_refused() throws {
    var changed = try Self.bytes("plain")
    changed.set("general.type", .text("adapter"))
    #expect(try Self.refusal(changed).contains("general.type"))
  }

  @Test func factors_of_frequencies_that_are_no_factors_are_refused() throws {
    for value in [Float(0), -1, .nan, .infinity] {
      var changed = try Self.bytes("llama3")
      let index = try #require(changed.tensors.firstIndex { $0.name == "rope_freqs.weight" })
      withUnsafeBytes(of: value.bitPattern.littleEndian) {
        changed.tensors[index].bytes.replaceSubrange(4..<8, with: $0)
      }
      #expect(try Self.refusal(changed).contains("rope_freqs.weight"))
    }
  }

  @Test func vectors_of_every_floating_dtype_are_read_and_integers_are_not() throws {
    let model = try Self.bytes("biases")
    let right = try Self.logits(model).get()
    for (encoding, isRight) in [(UInt32(1), true), (30, true), (28, true), (26, false), (24, false)] {
      for name in ["output_norm.weight", "blk.0.attn_norm.weight", "blk.1.attn_q.bias"] {
        var changed = model
        let index = try #require(changed.tensors.firstIndex { $0.name == name })
        let floats = changed.tensors[index].bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        var bytes: [UInt8] = []
        for value in floats {
          switch encoding {
          case 1: withUnsafeBytes(of: Float16(value).bitPattern.littleEndian) { bytes += $0 }
          case 28: withUnsafeBytes(of: Double(value).bitPattern.littleEndian) { bytes += $0 }
          case 30: withUnsafeBytes(of: UInt16(value.bitPattern >> 16).littleEndian) { bytes += $0 }
          case 26: withUnsafeBytes(of: Int32(value * 8).littleEndian) { bytes += $0 }
          default: bytes.append(UInt8(bitPattern: Int8(value * 8)))
          }
        }
        (changed.tensors[index].encoding, changed.tensors[index].bytes) = (encoding, bytes)
        switch try Self.logits(changed) {
        case .success(let logits):
          let scale = right.map(abs).max() ?? 0
          // Elements keep 8 bits at least; the sums behind them are short.
          #expect(isRight && zip(logits, right).allSatisfy { abs($0 - $1) < 0.1 * scale }, "\(name) as \(encoding)")
        case .failure(let error): #expect(!isRight && error.message.contains(name), "\(error.message)")
        }
      }
    }
  }
}

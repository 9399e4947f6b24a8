// Small BERT directories as Sentence Transformers computes them (Tests/Oracle/make_encoder_cases.py): poolings, modules,
// activations, prompts, lower case. And the same directories with one thing changed: refused by name.
import Basics
import Capture
import Formats
import Foundation
import Tensors
import TestSupport
import Testing

@testable import LanguageModels

@Suite struct EncoderCaseTests {
  private struct Case: CustomStringConvertible {
    var json: JSON
    var description: String { json["name"]?.string ?? "?" }
    var prompt: String? { json["prompt"]?.string }

    /// The model's directory: the common files, some of them replaced.
    func directory(_ scratch: ScratchFolder) throws -> String {
      let files = FileManager.default
      let moved = json["moved"]?.string ?? ""
      try files.copyItem(atPath: Recorded.path("encoders/base"), toPath: scratch.path("model"))
      let root = scratch.path("model")
      for member in json["files"]?.members ?? [] {
        try Self.write(member.value, "\(root)/\(member.key)")
      }
      for member in json["tensors"]?.members ?? [] {
        let path = "\(root)/\(member.key)"
        let source = try #require(member.value.string)
        try files.createDirectory(
          atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try files.copyItem(atPath: Recorded.path("encoders/tensors/\(source)"), toPath: path)
      }
      if !moved.isEmpty {
        try files.createDirectory(atPath: "\(root)/\(moved)", withIntermediateDirectories: true)
        for name in try files.contentsOfDirectory(atPath: root) where name.contains(".") {
          if ["modules.json", "config_sentence_transformers.json"].contains(name) { continue }
          try files.moveItem(atPath: "\(root)/\(name)", toPath: "\(root)/\(moved)/\(name)")
        }
      }
      return root
    }

    static func write(_ value: JSON, _ path: String) throws {
      let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try Data(value.description.utf8).write(to: URL(fileURLWithPath: path))
    }
  }

  private static func record() throws -> (texts: [String], cases: [Case]) {
    let json = try Recorded.json("encoders/cases.json")
    let texts = try #require(json["texts"]?.array).map { try #require($0.string) }
    return (texts, try #require(json["cases"]?.array).map { Case(json: $0) })
  }

  @Test func embeddings_equal_those_of_sentence_transformers() throws {
    let (texts, cases) = try Self.record()
    try #require(cases.count > 50)
    for one in cases {
      let scratch = try ScratchFolder()
      let encoder = try BertEncoder(directory: one.directory(scratch))
      for (number, text) in texts.enumerated() {
        let expected = try #require(one.json["embeddings"]?[number]?.array).map { try #require($0.double) }
        let values = try encoder(text, prompt: one.prompt).array(as: Float.self)
        try #require(values.count == expected.count && values.count == encoder.embeddingWidth, "\(one)")
        let worst = zip(values, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
        let scale = max(1, expected.map(abs).max() ?? 0)
        // Float32 on both sides; the record is rounded to 7 digits.
        #expect(worst < 1e-5 * scale, "\(one), \(text)")
      }
    }
  }

  @Test func captured_embeddings_equal_eager_ones_for_every_pooling() throws {
    let (texts, cases) = try Self.record()
    for one in cases where ["newer joined", "older joined", "dense residual", "norm"].contains("\(one)") {
      let scratch = try ScratchFolder()
      let encoder = try BertEncoder(directory: one.directory(scratch))
      let compiled = compile(mode: .whole, dynamic: .axes(["0": [0]])) { (ids: Tensor) in try encoder(ids) }
      for text in texts {
        let ids = Tensor(encoder.tokenizer.encode(text, maximumLength: encoder.configuration.context).map { Int64($0) })
        let (fused, eager) = (try compiled(ids).array(as: Float.self), try encoder(ids).array(as: Float.self))
        let worst = zip(fused, eager).map { abs($0 - $1) }.max() ?? .infinity
        #expect(worst < 1e-5, "\(one), \(text)")
      }
    }
  }

  @Test func unknown_prompts_are_answered_with_the_known_ones() throws {
    let (_, cases) = try Self.record()
    let scratch = try ScratchFolder()
    let encoder = try BertEncoder(directory: try #require(cases.first { "\($0)" == "usual prompt" }).directory(scratch))
    #expect { try encoder("a", prompt: "passage") } throws: { "\($0)".contains("document, query") }
  }

  @Test func norms_with_their_old_names_give_the_same_embedding() throws {
    let (texts, cases) = try Self.record()
    let scratch = try ScratchFolder()
    let root = try #require(cases.first { "\($0)" == "plain" }).directory(scratch)
    let expected = try texts.map { try BertEncoder(directory: root)($0).array(as: Float.self) }
    var tensors: [OutgoingTensor] = []
    for tensor in try SafetensorsFile(path: Recorded.path("encoders/base/model.safetensors")).tensors {
      let name = tensor.name.replacing("LayerNorm.weight", with: "LayerNorm.gamma")
      tensors.append(
        try OutgoingTensor(name.replacing("LayerNorm.bias", with: "LayerNorm.beta"), tensor.tensor()))
    }
    try SafetensorsWriter.write(tensors, to: "\(root)/model.safetensors")
    #expect(try texts.map { try BertEncoder(directory: root)($0).array(as: Float.self) } == expected)
  }

  // MARK: Refusing

  @Test func weights_that_are_elsewhere_are_named() throws {
    let one = try #require(try Self.record().cases.first { "\($0)" == "plain" })
    for name in ["model.safetensors.index.json", "pytorch_model.bin", "adapter_config.json"] {
      let scratch = try ScratchFolder()
      let root = try one.directory(scratch)
      try FileManager.default.moveItem(atPath: "\(root)/model.safetensors", toPath: "\(root)/\(name)")
      #expect { try BertEncoder(directory: root) } throws: { "\($0)".contains("there is \(name)") }
      // What is there but damaged is not said to be elsewhere.
      try Data([UInt8](repeating: 0, count: 9)).write(to: URL(fileURLWithPath: "\(root)/model.safetensors"))
      #expect { try BertEncoder(directory: root) } throws: { "\($0)".contains("is not a safetensors file") }
    }
  }

  /// A text's special tokens are plain text, since it may be a stranger's; a prompt's would silently be too.
  @Test func prompts_with_special_tokens_are_refused_by_name() throws {
    let one = try #require(try Self.record().cases.first { "\($0)" == "usual prompt" })
    for text in ["[MASK] query: ", "query [SEP]", "[CLS]"] {
      let prompts = JSON.object([.init("fine", "query: "), .init("odd", .string(text))])
      let message = try Self.refusal(one, "config_sentence_transformers.json") { members in
        members.removeAll { $0.key == "prompts" || $0.key == "default_prompt_name" }
        members.append(.init("prompts", prompts))
      }
      #expect(message.contains("'odd'") && message.contains(text), "\(message)")
    }
  }

  /// What is said to the directory `case` with one member of one of its files changed.
  private static func refusal(_ one: Case, _ file: String, _ change: (inout [JSON.Member]) -> Void) throws -> String {
    let scratch = try ScratchFolder()
    let root = try one.directory(scratch)
    let path = "\(root)/\(file)"
    var members: [JSON.Member] = []
    if FileManager.default.fileExists(atPath: path) {
      members = try #require(JSON(parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))).members)
    }
    change(&members)
    try Case.write(.object(members), path)
    do {
      _ = try BertEncoder(directory: root)
      return ""
    } catch {
      // A number that the tensors do not have is theirs to say.
      let name = file.split(separator: "/").last ?? "?"
      #expect(error.remedy != nil, "\(error.message)")
      #expect(error.message.contains(name) || error.message.contains("model.safetensors"), "\(error.message)")
      return error.message
    }
  }

  private static func set(_ key: String, _ value: JSON) -> (inout [JSON.Member]) -> Void {
    { members in
      members.removeAll { $0.key == key }
      members.append(.init(key, value))
    }
  }

  @Test(arguments: [
    ("config.json", "hidden_act", JSON.string("gelu_10")), ("config.json", "position_embedding_type", "relative_key"),
    ("config.json", "is_decoder", true), ("config.json", "auto_map", .object([.init("AutoModel", "x.Y")])),
    ("config.json", "alibi_starting_size", 512), ("config.json", "quantization_config", .object([])),
    ("config.json", "model_type", "distilbert"), ("config.json", "embedding_size", 8),
    ("sentence_bert_config.json", "query_expansion", "x"), ("sentence_bert_config.json", "do_lower_case", "yes"),
    ("sentence_bert_config.json", "max_seq_length", 0), ("tokenizer_config.json", "do_lower_case", true),
    ("tokenizer_config.json", "strip_accents", true), ("tokenizer_config.json", "tokenize_chinese_chars", false),
    ("tokenizer_config.json", "truncation_side", "left"), ("tokenizer_config.json", "tokenizer_class", "MyTokenizer"),
    ("tokenizer_config.json", "cls_token", "[MASK]"), ("tokenizer_config.json", "unk_token", "[MASK]"),
    ("tokenizer_config.json", "sep_token", .object([.init("content", "[CLS]")])),
    ("tokenizer_config.json", "pad_token", "hello"), ("special_tokens_map.json", "cls_token", "[MASK]"),
    ("special_tokens_map.json", "additional_special_tokens", .array(["hello"])),
    ("tokenizer_config.json", "extra_special_tokens", .array(["hello"])),
    ("tokenizer_config.json", "added_tokens_decoder", .object([.init("5", .object([.init("content", "hello")]))])),
    ("added_tokens.json", "hello", 5), ("added_tokens.json", "[CLS]", 5),
    ("config_sentence_transformers.json", "default_prompt_name", "q"),
    ("config_sentence_transformers.json", "prompts", .array([])),
    ("config_sentence_transformers.json", "truncate_dim", 8), ("config_sentence_transformers.json", "made_up", 1),
    ("1_Pooling/config.json", "pooling_mode", "median"), ("1_Pooling/config.json", "word_embedding_dimension", 8),
    ("1_Pooling/config.json", "pooling_mode_made_up", true),
  ]) func settings_that_would_be_ignored_are_refused_by_name(file: String, key: String, value: JSON) throws {
    let one = try #require(try Self.record().cases.first { "\($0)" == "unit length" })
    let message = try Self.refusal(one, file, Self.set(key, value))
    #expect(message.contains("'\(key)'"), "\(message)")
  }

  /// What BertTokenizer does where a file says nothing counts too: it never looks at tokenizer.json's own steps.
  @Test func a_tokenizer_with_other_steps_than_its_class_is_refused() throws {
    let one = try #require(try Self.record().cases.first { "\($0)" == "plain" })
    for (key, said) in [("do_lower_case", true), ("tokenizer_class", false)] as [(String, Bool)] {
      let message = try Self.refusal(one, "tokenizer_config.json") { members in
        members.removeAll { $0.key == key }
      }
      #expect(message.contains("'do_lower_case' is true where nothing is said") == said, "\(message)")
    }
    let lower: JSON = ["type": "Lowercase"]
    for steps in [JSON.null, lower, ["type": "Sequence", "normalizers": [lower]], ["type": "NFC"]] as [JSON] {
      #expect(try !Self.refusal(one, "tokenizer.json", Self.set("normalizer", steps)).isEmpty, "\(steps)")
    }
    for (part, value) in [("pre_tokenizer", ["type": "Whitespace"]), ("post_processor", .null)] as [(String, JSON)] {
      #expect(try !Self.refusal(one, "tokenizer.json", Self.set(part, value)).isEmpty, "\(part)")
    }
  }

  /// Sentence Transformers looks at its files only where modules.json is.
  @Test(
    arguments: [
      ("sentence_bert_config.json", "max_seq_length", 5), ("sentence_bert_config.json", "do_lower_case", true),
      ("config_sentence_transformers.json", "prompts", .object([.init("query", "query: ")])),
    ] as [(String, String, JSON)]) func settings_that_need_modules_are_refused_without(
      file: String, key: String, value: JSON
    ) throws
  {
    let one = try #require(try Self.record().cases.first { "\($0)" == "plain" })
    #expect(try Self.refusal(one, file, Self.set(key, value)).contains("modules.json"))
  }

  @Test func every_number_of_the_configuration_is_read_within_bounds() throws {
    let one = try #require(try Self.record().cases.first { "\($0)" == "unit length" })
    let base = try JSON(
      parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: Recorded.path("encoders/base/config.json")))))
    for member in try #require(base.members) {
      guard let number = member.value.int else { continue }
      for value in [
        JSON.integer(0), .integer(-1), .integer(number + 1), .integer(number * 2), .integer(1 << 62),
        .integer(.max), .integer(.min), .number(1.5), .string("\(number)"), .bool(true), .array([]),
      ] {
        let message = try Self.refusal(one, "config.json", Self.set(member.key, value))
        // More heads than there are may divide the width too: another right model.
        if member.key == "num_attention_heads", value == .integer(number * 2) { continue }
        #expect(!message.isEmpty, "\(member.key) = \(value)")
      }
      let message = try Self.refusal(one, "config.json") { $0.removeAll { $0.key == member.key } }
      #expect(message.contains(member.key) || member.key == "type_vocab_size", "\(message)")
    }
  }

  @Test func modules_that_are_not_known_are_refused_by_name() throws {
    let one = try #require(try Self.record().cases.first { "\($0)" == "unit length" })
    for (type, order) in [
      ("sentence_transformers.models.WeightedLayerPooling", 2), ("sentence_transformers.models.LSTM", 1),
      ("my.own.Module", 2), ("sentence_transformers.models.Pooling", 2),
    ] {
      let scratch = try ScratchFolder()
      let root = try one.directory(scratch)
      let path = "\(root)/modules.json"
      var list = try #require(JSON(parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))).array)
      list.insert(.object([.init("type", .string(type)), .init("path", "1_Pooling")]), at: order)
      try Case.write(.array(list), path)
      #expect { try BertEncoder(directory: root) } throws: {
        let error = "\($0)"
        return error.contains(type.split(separator: ".").last ?? "?") && error.contains("modules.json")
      }
    }
  }

  @Test func every_tensor_of_an_encoder_has_its_shape_and_is_used() throws {
    let one = try #require(try Self.record().cases.first { "\($0)" == "plain" })
    let weights = try SafetensorsFile(path: Recorded.path("encoders/base/model.safetensors"))
    func refusal(_ change: (inout [OutgoingTensor]) throws -> Void) throws -> String {
      let scratch = try ScratchFolder()
      let root = try one.directory(scratch)
      var tensors: [OutgoingTensor] = []
      for tensor in weights.tensors { tensors.append(try OutgoingTensor(tensor.name, tensor.tensor())) }
      try change(&tensors)
      try SafetensorsWriter.write(tensors, to: "\(root)/model.safetensors")
      do {
        _ = try BertEncoder(directory: root)
        return ""
      } catch {
        return error.message
      }
    }
    for (index, tensor) in weights.tensors.enumerated() where !tensor.name.contains("pooler") {
      let shape = tensor.shape
      var shapes = [shape + [1], [0] + shape.dropFirst(), [1] + shape.dropFirst(), []]
      shapes += shape.indices.map { axis in shape.indices.map { shape[$0] * ($0 == axis ? 2 : 1) } }
      if Set(shape).count > 1 { shapes.append(shape.reversed()) }
      for other in shapes where other != shape {
        let ones = Tensor([Float](repeating: 1, count: other.reduce(1, *)), shape: other)
        let message = try refusal { $0[index] = try OutgoingTensor(tensor.name, ones) }
        #expect(message.contains(tensor.name), "\(tensor.name) \(other): \(message)")
      }
      let message = try refusal { _ = $0.remove(at: index) }
      #expect(message.contains(tensor.name), "\(message)")
    }
    for name in ["encoder.layer.2.output.dense.weight", "embeddings.rotary.weight", "cls.weight"] {
      let message = try refusal { $0.append(try OutgoingTensor(name, Tensor.ones(4))) }
      #expect(message.contains("'\(name)'"), "\(message)")
    }
    for name in ["cls.predictions.bias", "classifier.weight", "bert.pooler.dense.other"] {
      #expect(try refusal { $0.append(try OutgoingTensor(name, Tensor.ones(4))) } == "")
    }
  }
}

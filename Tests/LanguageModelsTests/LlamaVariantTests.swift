// Small models of the Llama family as transformers computes them (Tests/Oracle/make_model_cases.py): stretched contexts,
// factors of frequencies, biases, heads that are rotated in part. Eager in one go and in parts, and captured.
import Basics
import Capture
import Formats
import Tensors
import TestSupport
import Testing

@testable import LanguageModels

@Suite struct LlamaVariantTests {
  static let cases = [
    "plain", "linear", "linear-old", "yarn", "yarn-betas", "yarn-attention", "yarn-magnitude", "yarn-log", "llama3",
    "biases", "llama3-biases-tied", "partial", "partial-halves", "qwen2", "qwen2-yarn",
  ]

  static func file(_ name: String) throws -> GGUFFile { try GGUFFile(path: Recorded.path("models/\(name).gguf")) }

  private struct Record {
    var tokens: [Int32]
    /// Logits after the first so many tokens.
    var logits: [(count: Int, values: [Double])]

    init(_ name: String) throws {
      let json = try Recorded.json("models/logits.json")
      tokens = try #require(json["tokens"]?.array).map { Int32(try #require($0.int)) }
      let found = try #require(json["cases"]?.array?.first { $0["name"]?.string == name })
      logits = []
      for (count, list) in zip(try #require(json["prefixes"]?.array), try #require(found["logits"]?.array)) {
        logits.append((try #require(count.int), try #require(list.array).map { try #require($0.double) }))
      }
    }
  }

  private func expectEqual(_ logits: Tensor, _ expected: [Double], _ what: String) throws {
    let values = try logits.array(as: Float.self)
    try #require(values.count == expected.count)
    let scale = expected.map(abs).max() ?? 0
    let worst = zip(values, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
    // Float32 against double, and transformers' angles are float32: at position 39 they are off by 2e-6.
    #expect(worst < 3e-5 * scale, "\(what)")
  }

  @Test(arguments: cases) func eager_logits_equal_those_of_transformers(name: String) throws {
    let record = try Record(name)
    let model = try Llama(try Self.file(name))
    for (count, expected) in record.logits {
      for parts in [[count], [1, count - 1], [count / 2, count - count / 2]] where parts.allSatisfy({ $0 > 0 }) {
        var cache = try KVCache(model, capacity: count)
        var logits = Tensor([Float]())
        var start = 0
        for part in parts {
          logits = try model(Array(record.tokens[start..<start + part]), &cache)
          start += part
        }
        try expectEqual(logits, expected, "\(name), \(count) tokens in \(parts)")
      }
    }
  }

  @Test(arguments: cases) func captured_logits_equal_those_of_transformers(name: String) throws {
    let record = try Record(name)
    let model = try Llama(try Self.file(name))
    let lengths: DynamicShapes = .axes(["0": [0], "memory": [2], "cosine": [0], "sine": [0]])
    let step = compile(updating: KVCache.self, mode: .whole, dynamic: lengths) {
      (cache: inout KVCache, tokens: Tensor) in try model(tokens, &cache)
    }
    let (count, expected) = try #require(record.logits.last)
    var cache = try KVCache(model, capacity: count)
    var logits = Tensor([Float]())
    for part in [0..<7, 7..<(count - 1), (count - 1)..<count] {
      logits = try step(&cache, Tensor(record.tokens[part].map { Int64($0) }))
      if let (_, values) = record.logits.first(where: { $0.count == part.upperBound }) {
        try expectEqual(logits, values, "\(name), \(part.upperBound) tokens")
      }
    }
    try expectEqual(logits, expected, name)
  }

  /// Llamas' files are told apart by these settings alone: the same weights with one of them give other logits.
  @Test func the_recorded_models_differ_in_what_they_are_about() throws {
    let record = try Record("yarn")
    let scratch = try ScratchFolder()
    var plain = try RewrittenModel(try Self.file("yarn"))
    plain.set("llama.rope.scaling.type", .text("none"))
    let model = try Llama(try GGUFFile(path: try scratch.write(plain.bytes(), "model.gguf")))
    let (count, expected) = try #require(record.logits.last)
    var cache = try KVCache(model, capacity: count)
    let logits = try model(record.tokens, &cache).array(as: Float.self)
    #expect(zip(logits, expected).contains { abs(Double($0) - $1) > 0.01 })
  }

  /// Only YaRN knows them: beside another type of scaling they would be ignored.
  @Test func settings_of_yarn_are_refused_by_name_where_the_scaling_is_another() throws {
    let scratch = try ScratchFolder()
    for type in ["none", "linear", nil] {
      for key in ["log_multiplier", "ext_factor", "attn_factor", "beta_fast", "beta_slow"] {
        var model = try RewrittenModel(try Self.file("plain"))
        if let type { model.set("llama.rope.scaling.type", .text(type)) }
        model.set("llama.rope.scaling.yarn_\(key)", .number(1.5))
        let file = try GGUFFile(path: try scratch.write(model.bytes(), "model.gguf"))
        #expect { try Llama(file) } throws: { "\($0)".contains("'llama.rope.scaling.yarn_\(key)'") }
        model.set("llama.rope.scaling.type", .text("yarn"))
        _ = try Llama(GGUFFile(path: try scratch.write(model.bytes(), "model.gguf")))
      }
    }
  }

  /// Whichever way ids come in, the one that the vocabulary lacks is named before anything computes with it.
  @Test func ids_outside_the_vocabulary_are_named_with_it() throws {
    let scratch = try ScratchFolder()
    var model = try RewrittenModel(try Self.file("plain"))
    let tokens = ["<unk>", "<s>", "</s>", "a", "b"]
    model.set("tokenizer.ggml.model", .text("llama"))
    model.set("tokenizer.ggml.tokens", .texts(tokens))
    model.set("tokenizer.ggml.scores", .numbers(tokens.indices.map { -Float($0) }))
    model.set("tokenizer.ggml.token_type", .integers([2, 3, 3, 1, 1]))
    let generator = try TextGenerator(path: try scratch.write(model.bytes(), "model.gguf"))
    let count = Int32(generator.model.vocabulary)
    for id in [count, -1, .max, .min] {
      for prompt in [[id], [3, id], [3, 4, id]] as [[Int32]] {
        func expectNamed(_ what: String, _ run: () throws -> Void) {
          var error: Diagnostic?
          do { try run() } catch let thrown { error = thrown as? Diagnostic }
          let message = "token \(prompt.count - 1) is \(id), the model's vocabulary has \(count) tokens"
          #expect(error?.kind == .index && error?.message == message, "\(what)")
        }
        for mode in TextGenerator.ExecutionMode.allCases {
          expectNamed("logits after") { _ = try generator.logits(after: prompt, mode: mode) }
          expectNamed("generate") { _ = try generator.generate(prompt, maxTokens: 2, mode: mode) }
          var cache = try KVCache(generator.model, capacity: 4)
          expectNamed("logits") { _ = try generator.logits(prompt, &cache, mode: mode) }
          expectNamed("model") { _ = try generator.model(prompt, &cache) }
          // The cache is as before.
          _ = try generator.logits([3, 4, 3, 4], &cache, mode: mode)
        }
      }
    }
    for mode in TextGenerator.ExecutionMode.allCases {
      #expect { try generator.logits(after: [], mode: mode) } throws: { "\($0)".contains("no tokens") }
    }
  }
}

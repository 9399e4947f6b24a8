// Small models of the Llama family as transformers computes them (Tests/Oracle/make_model_cases.py): stretched contexts,
// factors of frequencies, biases, heads that are rotated in part. Eager in one go and in parts, and captured.
import Basics
import Capture
import Formats
import Tensors
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
}

// Every encoding of weights, both rotary layouts, tied and own outputs: against plain loops in double. Nothing is fetched.
import Basics
import Formats
import TestSupport
import Testing

@testable import LanguageModels

@Suite struct SmallModelTests {
  private static let tokens: [Int32] = [3, 299, 0, 17, 42]

  private func file(_ model: SmallModel, _ scratch: ScratchFolder) throws -> GGUFFile {
    try GGUFFile(path: try scratch.write(try model.bytes(), "model.gguf"))
  }

  /// The logits are within `tolerance` of the largest one, however the prompt is cut.
  private func check(_ model: SmallModel, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let scratch = try ScratchFolder()
    let file = try file(model, scratch)
    let expected = try model.logits(file, after: Self.tokens.map(Int.init))
    let scale = expected.map(abs).max() ?? 0
    try #require(scale > 0.01, sourceLocation: sourceLocation)
    let llama = try Llama(file)
    for parts in [
      [Self.tokens[...]], [Self.tokens[..<3], Self.tokens[3...]], Self.tokens.indices.map { Self.tokens[$0...$0] },
    ] {
      var cache = try KVCache(llama, capacity: Self.tokens.count)
      var logits: [Float] = []
      for part in parts { logits = try llama(Array(part), &cache).array(as: Float.self) }
      try #require(logits.count == expected.count, sourceLocation: sourceLocation)
      let worst = zip(logits, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
      // Two layers of float32 sums of at most 512 terms.
      #expect(worst < 2e-5 * scale, "\(model) in \(parts.count) parts", sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: [0, 1, 30] + QuantizedFormat.all.map(\.ggmlID))
  func logits_of_every_encoding_equal_plain_loops(encoding: UInt32) throws {
    try check(SmallModel(encoding: encoding))
  }

  @Test(arguments: [false, true]) func models_with_biases_and_halved_rotation_equal_plain_loops(hasOutput: Bool) throws
  {
    try check(SmallModel(architecture: "qwen2", hasOutput: hasOutput))
  }

  @Test func a_model_without_a_tokenizer_says_so() throws {
    let scratch = try ScratchFolder()
    let path = try scratch.write(try SmallModel().bytes(), "model.gguf")
    #expect { try TextGenerator(path: path) } throws: { "\($0)".contains("tokenizer.ggml.model") }
  }

  @Test(
    arguments: [
      ("expert_count", 8, "mixture of 8 experts"), ("attention.key_length", 1 << 62, "attention.key_length"),
      ("attention.key_length", .max, "attention.key_length"),
    ] as [(String, UInt64, String)])
  func numbers_of_no_supported_model_are_refused(_ key: String, _ value: UInt64, _ part: String) throws {
    let scratch = try ScratchFolder()
    let file = try file(SmallModel(extra: [(key, value)]), scratch)
    #expect { try Llama(file) } throws: { "\($0)".contains(part) }
  }

  @Test func an_unknown_architecture_is_answered_with_the_known_ones() throws {
    let scratch = try ScratchFolder()
    let file = try file(SmallModel(architecture: "mamba"), scratch)
    #expect { try Llama(file) } throws: { "\($0)".contains("mamba") && "\($0)".contains("llama, qwen2") }
  }

  @Test func a_cache_refuses_more_than_it_holds_and_ids_outside_the_vocabulary_are_errors() throws {
    let scratch = try ScratchFolder()
    let model = SmallModel()
    let llama = try Llama(try file(model, scratch))
    #expect { try KVCache(llama, capacity: 65) } throws: { "\($0)".contains("1...64") }
    #expect { try KVCache(llama, capacity: 0) } throws: { ($0 as? Diagnostic)?.kind == .argument }
    var cache = try KVCache(llama, capacity: 2)
    #expect { try llama([1, 2, 3], &cache) } throws: { "\($0)".contains("3 tokens after 0") }
    #expect { try llama([], &cache) } throws: { ($0 as? Diagnostic)?.kind == .argument }
    #expect { try llama([Int32(model.vocabulary)], &cache).array(as: Float.self) } throws: {
      ($0 as? Diagnostic)?.kind == .index
    }
  }
}

// The fetched models against PyTorch's results for the same weights.
import Basics
import Capture
import Formats
import Foundation
import Tensors
import TestSupport
import Testing

@testable import LanguageModels

@Suite(.serialized, .needs(.time)) struct RecordedModelTests {
  /// A gap between best and second logit below which rounding may choose the other one.
  private static let nearTie = 0.02

  private static let generator: Result<TextGenerator, any Error> = Result {
    try TextGenerator(path: FetchedModels.smollm2)
  }

  private struct Case {
    var prompt: String
    var isChat: Bool
    var ids: [Int32]
    var greedy: [Int32]
    var gaps: [Double]

    init(_ json: JSON) throws {
      func ids(_ key: String) throws -> [Int32] { try #require(json[key]?.array).map { Int32(try #require($0.int)) } }
      prompt = try #require(json["prompt"]?.string)
      isChat = json["kind"]?.string == "chat"
      self.ids = try ids("prompt_tokens")
      greedy = try ids("greedy")
      gaps = try #require(json["gaps"]?.array).map { try #require($0.double) }
    }

    func ids(_ generator: TextGenerator) throws -> [Int32] {
      isChat ? try generator.tokens(for: prompt) : generator.tokens(raw: prompt)
    }
  }

  private func recordedCase(_ number: Int) throws -> Case {
    try Case(try #require(try Recorded.json("smollm2.json")[number]))
  }

  private static func position(ofLargest logits: [Float]) -> Int32 {
    Int32(logits.indices.max { logits[$0] < logits[$1] } ?? -1)
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"), arguments: 0..<4)
  func smollm2_prompt_ids_equal_the_recorded_ones(number: Int) throws {
    let recorded = try recordedCase(number)
    #expect(try recorded.ids(try Self.generator.get()) == recorded.ids)
  }

  @Test(
    .enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"), arguments: 0..<4,
    TextGenerator.ExecutionMode.allCases)
  func smollm2_logits_after_the_prompt_are_within_2e_3_of_the_record(
    number: Int, mode: TextGenerator.ExecutionMode
  ) throws {
    let recorded = try recordedCase(number)
    let expected = try SafetensorsFile(path: Recorded.path("smollm2.safetensors")).tensor("\(number)/last_logits")
      .floats()
    let logits = try Self.generator.get().logits(after: recorded.ids, mode: mode)
    try #require(logits.count == expected.count)
    // 30 layers of float32 sums in another order: the promise of the house, about 1e-4 of the logits' range.
    let worst = zip(logits, expected).map { abs($0 - $1) }.max() ?? .infinity
    #expect(worst < 2e-3)
  }

  /// Each step gets the recorded tokens before it, so that a near tie does not end the comparison.
  @Test(
    .enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"), arguments: 0..<4,
    TextGenerator.ExecutionMode.allCases)
  func smollm2_chooses_the_recorded_token_at_every_step_that_is_no_near_tie(
    number: Int, mode: TextGenerator.ExecutionMode
  ) throws {
    let recorded = try recordedCase(number)
    let generator = try Self.generator.get()
    var cache = try KVCache(generator.model, capacity: recorded.ids.count + recorded.greedy.count)
    var input = recorded.ids
    for (step, token) in recorded.greedy.enumerated() {
      let logits = try generator.logits(input, &cache, mode: mode).array(as: Float.self)
      if recorded.gaps[step] >= Self.nearTie {
        #expect(Self.position(ofLargest: logits) == token, "step \(step)")
      }
      input = [token]
    }
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func smollm2_says_where_paris_is_and_stops_by_itself() throws {
    let generator = try Self.generator.get()
    let recorded = try recordedCase(0)
    var pieces: [String] = []
    let made = try generator.generate(try generator.tokens(for: recorded.prompt), maxTokens: 64) {
      pieces.append($0)
      return true
    }
    #expect(made.tokens == recorded.greedy)
    #expect(made.text == "The capital of France is Paris.")
    #expect(made.ending == .finished)
    #expect(pieces.joined() == made.text)
    #expect(pieces.count > 3)
    #expect(made.prefillTokensPerSecond > 0 && made.decodeTokensPerSecond > 0)
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func a_prompt_read_in_parts_gives_the_logits_of_one_read_at_once() throws {
    let model = try Self.generator.get().model
    let ids = try recordedCase(0).ids
    func logits(_ parts: [ArraySlice<Int32>]) throws -> [Float] {
      var cache = try KVCache(model, capacity: ids.count)
      var last: [Float] = []
      for part in parts { last = try model(Array(part), &cache).array(as: Float.self) }
      return last
    }
    let (whole, parted) = (try logits([ids[...]]), try logits([ids[..<16], ids[16..<17], ids[17...]]))
    // Other tile sizes sum in another order.
    #expect(zip(whole, parted).allSatisfy { abs($0 - $1) < 1e-3 })
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func a_copied_cache_continues_as_the_original_would() throws {
    let model = try Self.generator.get().model
    let ids = try recordedCase(2).ids
    var cache = try KVCache(model, capacity: ids.count + 4)
    _ = try model(ids, &cache)
    var copy = cache
    let first = try model([665], &cache).array(as: Float.self)
    _ = try model([100, 200], &copy)
    var again = copy
    _ = try model([436], &cache)
    #expect(try again.length.value == ids.count + 2)
    var fresh = try KVCache(model, capacity: ids.count + 4)
    _ = try model(ids, &fresh)
    #expect(try model([665], &fresh).array(as: Float.self) == first)
    _ = try model([436], &again)
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func a_cache_that_nobody_shares_is_written_in_place() throws {
    let model = try Self.generator.get().model
    var cache = try KVCache(model, capacity: 8)
    func place() throws -> UnsafeMutableRawPointer { try cache.memory.view.base }
    _ = try model([1, 2], &cache)
    let before = try place()
    _ = try model([3], &cache)
    #expect(try place() == before)
    let copy = cache
    _ = try model([4], &cache)
    #expect(try place() != before)
    #expect(try copy.memory.view.base == before)
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func generating_ends_at_the_limit_and_when_the_reader_leaves() throws {
    let generator = try Self.generator.get()
    let ids = generator.tokens(raw: "Once upon a time")
    let limited = try generator.generate(ids, maxTokens: 3)
    #expect(limited.ending == .tokenLimit)
    #expect(limited.tokens.count == 3)
    let cancelled = try generator.generate(ids, maxTokens: 50) { _ in false }
    #expect(cancelled.ending == .cancelled)
    #expect(cancelled.tokens.count == 1)
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func prompts_that_cannot_be_answered_are_refused_with_both_numbers() throws {
    let generator = try Self.generator.get()
    let context = generator.model.configuration.context
    func message(_ ids: [Int32], _ maxTokens: Int) -> String {
      do {
        _ = try generator.generate(ids, maxTokens: maxTokens)
        return ""
      } catch {
        return error.description
      }
    }
    #expect(message([Int32](repeating: 28, count: context), 1).contains("has \(context) tokens"))
    #expect(message([], 1).contains("empty"))
    #expect(message([28], -1).contains("-1"))
  }

  @Test(.enabled(if: FetchedModels.hasMinilm, "needs MiniLM: run scripts/fetch-models"))
  func minilm_embeddings_are_within_1e_5_of_the_record() throws {
    let encoder = try BertEncoder(directory: FetchedModels.minilm)
    let texts = ["That is a happy person", "That is a very happy person", "Today is a sunny day"]
    let expected = try SafetensorsFile(path: Recorded.path("minilm_3sent.safetensors")).tensor("emb").floats()
    for (number, text) in texts.enumerated() {
      let embedding = try encoder(text).array(as: Float.self)
      try #require(embedding.count == 384)
      let worst = zip(embedding, expected[number * 384..<(number + 1) * 384]).map { abs($0 - $1) }.max() ?? .infinity
      // The promise of the house; elements are about 0.05.
      #expect(worst < 1e-5, "\(text)")
    }
  }

  @Test(.enabled(if: FetchedModels.hasMinilm, "needs MiniLM: run scripts/fetch-models"))
  func a_captured_encoder_serves_all_lengths_with_one_plan() throws {
    let encoder = try BertEncoder(directory: FetchedModels.minilm)
    let compiled = compile(mode: .whole, dynamic: .axes(["0": [0]])) { (ids: Tensor) in try encoder(ids) }
    for text in [
      "That is a happy person", "Today", "A much longer sentence about the weather of today, and of tomorrow",
    ] {
      let ids = Tensor(encoder.tokenizer.encode(text).map { Int64($0) })
      let (fused, eager) = (try compiled(ids).array(as: Float.self), try encoder(ids).array(as: Float.self))
      let worst = zip(fused, eager).map { abs($0 - $1) }.max() ?? .infinity
      // Sums in another order; elements are about 0.05.
      #expect(worst < 2e-6, "\(text)")
    }
    #expect(compiled.planCount == 1)
  }

  @Test(.enabled(if: FetchedModels.hasMinilm, "needs MiniLM: run scripts/fetch-models"))
  func a_text_longer_than_the_encoder_is_cut() throws {
    let encoder = try BertEncoder(directory: FetchedModels.minilm)
    let long = String(repeating: "word ", count: 2 * encoder.configuration.context)
    let embedding = try encoder(long).array(as: Float.self)
    let length = embedding.reduce(0) { $0 + $1 * $1 }
    // A sum of 384 squares in float32.
    #expect(abs(length - 1) < 1e-5)
  }
}

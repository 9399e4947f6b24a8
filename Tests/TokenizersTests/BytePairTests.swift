import Basics
import Testing

@testable import Tokenizers

@Suite struct BytePairTests {
  @Test func ids_of_a_small_vocabulary_equal_the_recorded_ones() throws {
    let tokenizer = try RecordedCases.small("small_bpe")
    let recorded = try RecordedCases.idLists(try #require(try RecordedCases.value("small_bpe")["ids"]))
    for (text, ids) in zip(try RecordedCases.texts(), recorded) {
      #expect(tokenizer.encode(text, parsingSpecialTokens: true) == ids, "\(text.debugDescription)")
    }
  }

  @Test func long_texts_without_a_place_to_cut_equal_the_recorded_ones() throws {
    let tokenizer = try RecordedCases.small("small_bpe")
    for text in try #require(try RecordedCases.value("small_bpe")["long"]?.array) {
      let unit = try #require(text["unit"]?.string)
      let count = try #require(text["count"]?.int)
      let ids = tokenizer.encode(String(repeating: unit, count: count), parsingSpecialTokens: true)
      #expect(ids.count == text["ids"]?.int, "\(unit.debugDescription)")
      let sum = ids.enumerated().reduce(0) { $0 + Int($1.element) * ($1.offset % 1009 + 1) }
      #expect(sum % 1_000_003 == text["sum"]?.int, "\(unit.debugDescription)")
    }
  }

  @Test func text_comes_back_from_its_ids() throws {
    let tokenizer = try RecordedCases.small("small_bpe")
    // "[SEP]" of this vocabulary swallows the space around it.
    for text in try RecordedCases.texts() where !text.contains("[SEP]") {
      let composed = [TextNormalizer.composed].applied(to: text)
      #expect(tokenizer.decode(tokenizer.encode(composed)) == composed)
    }
  }

  // MARK: A vocabulary by hand

  private static let handMade = ["a", "b", "c", "Ġ", "ab", "bc", "abc", "Ġa", "<end>", "user", "Ġab"]
  private static let merges = ["b c", "a b", "a bc", "Ġ a", "Ġ ab"]
  private static let kinds: [Int32] = [1, 1, 1, 1, 1, 1, 1, 1, 3, 4, 1]

  private func handMade(addsBeginning: Bool? = nil, pretokenizer: String = "gpt2") throws -> Tokenizer {
    try Tokenizer(
      tokens: Self.handMade, merges: Self.merges, kinds: Self.kinds, pretokenizer: pretokenizer, beginning: 8, end: 8,
      addsBeginning: addsBeginning)
  }

  @Test func merges_are_taken_by_rank_not_from_left_to_right() throws {
    #expect(try handMade().encode("abc") == [6])
    #expect(try handMade().encode("abab abc") == [4, 4, 3, 6])
  }

  @Test func bytes_without_a_token_are_dropped() throws {
    #expect(try handMade().encode("aéc") == [0, 2])
  }

  @Test func control_tokens_are_text_unless_asked_for_and_user_tokens_always_found() throws {
    let tokenizer = try Tokenizer(
      tokens: Self.handMade + ["<", "e", "n", "d", ">"], merges: Self.merges, kinds: Self.kinds + [1, 1, 1, 1, 1])
    #expect(tokenizer.encode("a<end>auser", parsingSpecialTokens: true) == [0, 8, 0, 9])
    #expect(tokenizer.encode("a<end>auser") == [0, 11, 12, 13, 14, 15, 0, 9])
  }

  @Test func of_added_tokens_at_one_place_the_longest_wins() {
    let names = ["<a", "<a>", "<ab>>", "b"]
    let added = AddedTokens(names.enumerated().map { .init(id: Int32($0), text: Array($1.utf8), isControl: true) })
    func found(_ text: String) -> [Int32?] {
      Array(text.utf8).withUnsafeBufferPointer { utf8 in
        added.pieces(of: utf8, includingControl: true).map { if case .token(let id) = $0 { id } else { nil } }
      }
    }
    #expect(found("<a><ab><ab>>x<a") == [1, 0, 3, nil, 2, nil, 0])
    #expect(found("<<a") == [nil, 0])
    #expect(found("") == [])
  }

  @Test func the_beginning_is_added_as_the_file_says_and_llama3_does_so_unasked() throws {
    #expect(try handMade(addsBeginning: true).encode("a") == [8, 0])
    #expect(try handMade(addsBeginning: true).encode("a", addingSpecialTokens: false) == [0])
    #expect(try handMade().encode("a") == [0])
    #expect(try handMade(pretokenizer: "llama-bpe").encode("a") == [8, 0])
  }

  @Test func a_length_limit_keeps_the_first_ids() throws {
    #expect(try handMade(addsBeginning: true).encode("cccc", maximumLength: 3) == [8, 2, 2])
    #expect(try handMade().encode("cccc", maximumLength: 0) == [])
  }

  @Test func decoding_skips_control_tokens_on_request_and_ids_outside_the_vocabulary() throws {
    #expect(try handMade().decode([10, 8, 2, 99, -1]) == " abc")
    #expect(try handMade().decode([10, 8, 2], skippingSpecialTokens: false) == " ab<end>c")
  }

  @Test func damaged_vocabularies_are_format_errors() throws {
    func refused(_ make: () throws -> Tokenizer) { #expect(throws: Diagnostic.self) { try make() } }
    refused { try Tokenizer(tokens: [], merges: []) }
    refused { try Tokenizer(tokens: ["a", "b"], merges: ["a b"]) }
    refused { try Tokenizer(tokens: ["a", "b", "ab"], merges: ["ab"]) }
    refused { try Tokenizer(tokens: ["a"], merges: [], kinds: [1, 1]) }
    refused { try Tokenizer(tokens: ["a"], merges: [], beginning: 1) }
    refused { try Tokenizer(tokens: ["a"], merges: [], end: -1) }
    refused { try Tokenizer(tokens: ["a"], merges: [], pretokenizer: "none such") }
  }

  // MARK: SmolLM2

  private static let present = FetchedModels.has(FetchedModels.smollm2)

  @Test(.enabled(if: present, "needs the SmolLM2 GGUF: run scripts/fetch-models"))
  func smollm2_ids_equal_the_recorded_ones() throws {
    let tokenizer = try FetchedModels.smollm2Tokenizer()
    let texts = try RecordedCases.texts()
    for (text, ids) in zip(texts, try RecordedCases.idLists(RecordedCases.value("smollm2"))) {
      #expect(tokenizer.encode(text) == ids, "\(text.debugDescription)")
    }
    for member in try #require(RecordedCases.value("smollm2_special").members) {
      let text = texts[try #require(Int(member.key))]
      #expect(tokenizer.encode(text, parsingSpecialTokens: true) == (try RecordedCases.ids(member.value)))
    }
  }

  @Test(.enabled(if: present, "needs the SmolLM2 GGUF: run scripts/fetch-models"))
  func smollm2_text_comes_back_from_its_ids() throws {
    let tokenizer = try FetchedModels.smollm2Tokenizer()
    for text in try RecordedCases.texts() { #expect(tokenizer.decode(tokenizer.encode(text)) == text) }
    #expect(tokenizer.endOfGeneration.isSuperset(of: [0, 2]))
  }
}

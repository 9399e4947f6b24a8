import Basics
import Testing

@testable import Tokenizers

/// tokenizer.json files by hand: what is read, and what is refused rather than guessed.
@Suite struct TokenizerFileTests {
  private func bytePairs(_ changes: [String: JSON] = [:], model: [String: JSON] = [:]) -> JSON {
    var parts: [String: JSON] = [
      "type": "BPE", "vocab": ["a": 0, "b": 1, "ab": 2, "Ġ": 3, "<s>": 4], "merges": ["a b"],
    ]
    parts.merge(model) { $1 }
    var file: [String: JSON] = [
      "model": .object(parts.map { JSON.Member($0.key, $0.value) }),
      "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false],
    ]
    file.merge(changes) { $1 }
    return .object(file.map { JSON.Member($0.key, $0.value) })
  }

  @Test func merges_may_be_written_as_texts_or_as_pairs() throws {
    #expect(try Tokenizer(json: bytePairs()).encode("ab a") == [2, 3, 0])
    #expect(try Tokenizer(json: bytePairs(model: ["merges": [["a", "b"]]])).encode("ab a") == [2, 3, 0])
  }

  @Test func a_prefix_space_is_added_where_the_text_has_none() throws {
    let json = bytePairs(["pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": true]])
    #expect(try Tokenizer(json: json).encode("ab") == [3, 2])
    #expect(try Tokenizer(json: json).encode(" ab") == [3, 2])
  }

  @Test func the_template_puts_special_tokens_around_the_text() throws {
    let template: JSON = [
      "type": "TemplateProcessing",
      "single": [["SpecialToken": ["id": "<s>"]], ["Sequence": ["id": "A"]], ["SpecialToken": ["id": "<s>"]]],
      "special_tokens": ["<s>": ["ids": [4]]],
    ]
    let tokenizer = try Tokenizer(json: bytePairs(["post_processor": template]))
    #expect(tokenizer.encode("a") == [4, 0, 4])
    #expect(tokenizer.encode("a", addingSpecialTokens: false) == [0])
    #expect(tokenizer.encode("aaaa", maximumLength: 3) == [4, 0, 4])
    #expect(tokenizer.encode("aaaa", maximumLength: .min) == [4])
  }

  @Test func added_tokens_obey_their_flags() throws {
    func added(_ content: String, _ flags: JSON.Member...) -> JSON {
      .object([.init("id", 5), .init("content", .string(content)), .init("special", false)] + flags)
    }
    func encoded(_ text: String, _ token: JSON) throws -> [Int32] {
      try Tokenizer(json: bytePairs(["added_tokens": [token]])).encode(text)
    }
    #expect(try encoded("a XY b", added("XY")) == [0, 3, 5, 3, 1])
    #expect(try encoded("a XY b", added("XY", .init("lstrip", true))) == [0, 5, 3, 1])
    #expect(try encoded("a XY b", added("XY", .init("rstrip", true))) == [0, 3, 5, 1])
    #expect(try encoded("aXY b", added("XY", .init("single_word", true))) == [0, 3, 1])
    #expect(try encoded("a XY b", added("XY", .init("single_word", true))) == [0, 3, 5, 3, 1])
  }

  @Test func what_would_change_ids_unnoticed_is_refused_by_name() {
    let split: JSON = ["type": "Split", "pattern": ["Regex": "(?<=a)b"], "behavior": "Isolated"]
    let merged: JSON = ["type": "Split", "pattern": ["Regex": #"\p{N}"#], "behavior": "MergedSideways"]
    for (json, name) in [
      (bytePairs(["normalizer": ["type": "NFKC"]]), "NFKC"),
      (bytePairs(["pre_tokenizer": ["type": "UnicodeScripts"]]), "UnicodeScripts"),
      (bytePairs(["pre_tokenizer": ["type": "Sequence", "pretokenizers": [split]]]), "(?<=a)b"),
      (bytePairs(["pre_tokenizer": ["type": "Sequence", "pretokenizers": [merged]]]), "MergedSideways"),
      (bytePairs(["decoder": ["type": "CTC"]]), "CTC"), (bytePairs(model: ["type": "WordLevel"]), "WordLevel"),
      (["model": ["type": "Unheard"]], "Unheard"),
      (["model": ["type": "Unigram", "vocab": [["a", -1], ["b"]]]], "entry 1"),
      (["model": ["type": "Unigram", "unk_id": 7, "vocab": [["a", -1]]]], "unk_id"),
      (bytePairs(["post_processor": ["type": "Unheard"]]), "Unheard"),
      (bytePairs(model: ["type": "Unigram"]), "Unigram"),
      (bytePairs(model: ["end_of_word_suffix": "</w>"]), "</w>"),
      (bytePairs(model: ["merges": [1]]), "merge 0"),
      (bytePairs(model: ["merges": ["b a"]]), "b a"),
      (bytePairs(model: ["unk_token": "?"]), "?"),
      (bytePairs(model: ["vocab": ["a": 99_999_999]]), "'a'"),
      (bytePairs(model: ["vocab": ["a": -1]]), "'a'"),
      (bytePairs(model: ["vocab": [:]]), "vocab"),
      (bytePairs(["added_tokens": [["id": 1]]]), "content"),
      ([:], "no model"),
      (["model": ["type": "WordPiece", "vocab": ["a": 0]], "normalizer": ["type": "BertNormalizer"]], "[UNK]"),
    ] as [(JSON, String)] {
      let error = #expect(throws: Diagnostic.self) { try Tokenizer(json: json) }
      #expect(error?.kind == .format)
      #expect(error?.message.contains(name) == true, "\(error?.message ?? "") lacks \(name)")
    }
  }
}

// SentencePiece's models and tokenizer.json files against the libraries `sentencepiece` and `tokenizers`
// (Tests/Oracle/make_tokenizer_model_cases.py), and what ends a generation.
import Basics
import Testing

@testable import Tokenizers

@Suite struct TokenizerModelTests {
  @Test func ids_of_every_recorded_file_equal_those_of_tokenizers() throws {
    let json = try RecordedCases.models.get()
    let texts = try RecordedCases.strings(#require(json["texts"]))
    let files = try #require(json["files"]?.members)
    try #require(files.count > 20)
    for file in files {
      let tokenizer = try Tokenizer(json: #require(file.value["tokenizer"]))
      for (text, ids) in zip(texts, try RecordedCases.idLists(#require(file.value["ids"]))) {
        let found = tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: true)
        #expect(found == ids, "\(file.key) \(text.debugDescription)")
      }
    }
  }

  /// A recorded SentencePiece model, as a GGUF file would hold it.
  private func pieces(_ model: JSON.Member) throws -> Tokenizer {
    var settings = Tokenizer.VocabularySettings()
    settings.addsSpace = try #require(model.value["space"]?.bool)
    settings.removesSpaces = try #require(model.value["removes"]?.bool)
    let map = try #require(model.value["map"]?.array).map { UInt8(try #require($0.int)) }
    if !map.isEmpty { settings.characterMap = map }
    let tokens = try RecordedCases.strings(#require(model.value["tokens"]))
    let scores = try #require(model.value["scores"]?.array).map { Float(try #require($0.double)) }
    let kinds = try RecordedCases.ids(#require(model.value["kinds"]))
    return model.key.hasSuffix("bpe")
      ? try Tokenizer(scoredPieces: tokens, scores: scores, kinds: kinds, settings)
      : try Tokenizer(weighedPieces: tokens, scores: scores, kinds: kinds, settings)
  }

  @Test func ids_and_texts_of_every_recorded_model_equal_those_of_sentencepiece() throws {
    let json = try RecordedCases.models.get()
    let texts = try RecordedCases.strings(#require(json["texts"]))
    let models = try #require(json["pieces"]?.members)
    try #require(models.count > 8)
    for model in models {
      let tokenizer = try pieces(model)
      let decoded = try RecordedCases.strings(#require(model.value["decoded"]))
      for (index, ids) in try RecordedCases.idLists(#require(model.value["ids"])).enumerated() {
        #expect(
          tokenizer.encode(texts[index], addingSpecialTokens: false) == ids,
          "\(model.key) \(texts[index].debugDescription)")
        // SentencePiece shows unknown tokens as a sign of its own.
        guard !ids.contains(0) else { continue }
        #expect(tokenizer.decode(ids) == decoded[index], "\(model.key) \(texts[index].debugDescription)")
        var streaming = StreamingDecoder(tokenizer)
        let streamed = ids.map { streaming.append($0) }.joined() + streaming.finish()
        #expect(streamed == decoded[index], "\(model.key) \(texts[index].debugDescription)")
      }
    }
  }

  @Test func beginnings_and_ends_of_pieces_have_the_defaults_of_their_family() throws {
    let tokens = ["<unk>", "<s>", "</s>", "\u{2581}a", "a", "\u{2581}"]
    let (scores, kinds): ([Float], [Int32]) = ([0, 0, 0, -1, -2, -3], [2, 3, 3, 1, 1, 1])
    var settings = Tokenizer.VocabularySettings()
    let bpe = try Tokenizer(scoredPieces: tokens, scores: scores, kinds: kinds, settings)
    #expect(bpe.encode("a") == [1, 3] && bpe.beginning == 1 && bpe.end == 2)
    #expect(bpe.encode("a</s>a", parsingSpecialTokens: true) == [1, 3, 2, 3])
    settings.end = 2
    let unigram = try Tokenizer(weighedPieces: tokens, scores: scores, kinds: kinds, settings)
    #expect(unigram.encode("a") == [4, 2])
    settings.addsEnd = false
    settings.addsSpace = true
    #expect(try Tokenizer(weighedPieces: tokens, scores: scores, kinds: kinds, settings).encode("a") == [3])
  }

  @Test func every_end_that_is_named_or_well_known_ends_a_generation() throws {
    func ends(_ tokens: [String], end: Int32? = nil, otherEnds: [Int32] = []) throws -> Set<Int32> {
      try Tokenizer(tokens: tokens, merges: [], end: end, otherEnds: otherEnds).endOfGeneration
    }
    #expect(try ends(["a", "b", "c"]) == [])
    #expect(try ends(["a", "b", "c"], end: 1, otherEnds: [2]) == [1, 2])
    for text in ["<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<end_of_turn>", "<｜end▁of▁sentence｜>", "[EOS]", "<EOT>"] {
      #expect(try ends(["a", text], end: 0) == [0, 1], "\(text)")
    }
    // A part of a turn ends with it where turns end in other tokens.
    #expect(try ends(["<|end|>", "a"]) == [0])
    #expect(try ends(["<|end|>", "<|return|>"]) == [1])
    #expect(try ends(["<|end|>", "<|return|>"], end: 0) == [0, 1])
    #expect(throws: Diagnostic.self) { try ends(["a"], otherEnds: [1]) }
  }

  @Test func damaged_lists_of_pieces_are_format_errors() throws {
    let settings = Tokenizer.VocabularySettings()
    for (tokens, scores, kinds) in [
      ([], [], []), (["a"], [], []), (["a"], [Float.nan], []), (["a", "b"], [0, 0], [1]),
    ] as [([String], [Float], [Int32])] {
      #expect(throws: Diagnostic.self) {
        try Tokenizer(scoredPieces: tokens, scores: scores, kinds: kinds, settings)
      }
      #expect(throws: Diagnostic.self) {
        try Tokenizer(weighedPieces: tokens, scores: scores, kinds: kinds, settings)
      }
    }
    for map in [[], [1], [255, 255, 255, 255], [8, 0, 0, 0, 1, 2, 3, 4], [4, 0, 0, 0, 1, 2, 3, 4, 5]] as [[UInt8]] {
      #expect(throws: Diagnostic.self) { try CharacterMap(map) }
    }
    // Nonsense inside a sound frame reads nothing outside of it.
    var state: UInt64 = 1
    for _ in 0..<200 {
      let units = (0..<64).map { _ -> UInt8 in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
      }
      let map = try CharacterMap([64, 0, 0, 0] + units + [65, 0])
      _ = map.mapped(Array(0x20...0x17F))
      _ = map.mappedByCharacter(Array(0x20...0x17F))
    }
  }
}

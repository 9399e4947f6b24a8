// What a GGUF vocabulary reserves: no text of a stranger becomes a control token, and a prompt's always do.
import Basics
import Testing

@testable import Tokenizers

@Suite struct ReservedTokenTests {
  /// Control tokens beside all the pieces that a model could put them together from.
  private static let controls = ["<s>", "</s>", "STOP", "<|im_end|>", "x"]
  private static let pieces: [String] = {
    var pieces = ["\u{2581}", "\u{120}"]
    for text in controls {
      let letters = text.map(String.init)
      for start in letters.indices {
        for end in (start + 1)...letters.count where end - start < letters.count {
          pieces.append(letters[start..<end].joined())
        }
      }
    }
    return Array(Set(pieces).subtracting(controls)).sorted()
  }()
  private static let tokens = ["<unk>"] + controls + pieces
  /// The first token is the unknown one.
  private static func kinds(_ controls: Int32) -> [Int32] {
    [2] + [Int32](repeating: controls, count: Self.controls.count) + [Int32](repeating: 1, count: pieces.count)
  }
  /// Every pair of pieces whose union is a token, control tokens first.
  private static let merges: [String] = {
    let all = Set(tokens)
    var merges: [String] = []
    for token in tokens where token.count > 1 && token != "<unk>" {
      for place in 1..<token.count where all.contains(String(token.prefix(place))) {
        let right = String(token.dropFirst(place))
        if all.contains(right) { merges.append("\(token.prefix(place)) \(right)") }
      }
    }
    return merges
  }()

  private static func tokenizers(_ kinds: [Int32]) throws -> [(name: String, tokenizer: Tokenizer)] {
    var settings = Tokenizer.VocabularySettings()
    (settings.beginning, settings.end, settings.unknown) = (1, 2, 0)
    let scores = tokens.indices.map { -Float($0) }
    var all = [
      ("llama", try Tokenizer(scoredPieces: tokens, scores: scores, kinds: kinds, settings)),
      ("t5", try Tokenizer(weighedPieces: tokens, scores: scores, kinds: kinds, settings)),
    ]
    for family in PretokenizerFamily.all {
      let name = family.names[0]
      all.append(
        (
          "gpt2 \(name)",
          try Tokenizer(tokens: tokens, merges: merges, kinds: kinds, pretokenizer: name, beginning: 1, end: 2)
        ))
    }
    return all.map { (name: $0.0, tokenizer: $0.1) }
  }

  @Test func no_text_of_a_stranger_becomes_a_control_token() throws {
    for (name, tokenizer) in try Self.tokenizers(Self.kinds(3)) {
      for control in Self.controls {
        let id = try #require(tokenizer.id(of: control))
        for (before, after) in [("", ""), (" ", ""), ("a ", " b"), ("", control), ("S", ">"), ("\n", "\n")] {
          let text = before + control + after
          let ids = tokenizer.encode(text, addingSpecialTokens: false)
          #expect(ids.allSatisfy { !tokenizer.isControl($0) || $0 == 0 }, "\(name): \(text) gives \(ids)")
          let parsed = tokenizer.encode(text, addingSpecialTokens: false, parsingSpecialTokens: true)
          #expect(parsed.contains(id), "\(name): \(text) gives \(parsed)")
        }
      }
    }
  }

  /// Converters have called them plain or user's tokens, or have left the kinds out.
  @Test func what_is_known_to_end_a_generation_is_a_control_token_whatever_the_file_calls_it() throws {
    for kinds in [Self.kinds(1), Self.kinds(4), []] {
      for (name, tokenizer) in try Self.tokenizers(kinds) {
        for text in ["</s>", "<|im_end|>"] {
          let id = try #require(tokenizer.id(of: text))
          #expect(tokenizer.isControl(id) && tokenizer.endOfGeneration.contains(id), "\(name) \(text)")
          #expect(!tokenizer.encode("a\(text)", addingSpecialTokens: false).contains(id), "\(name) \(text)")
          #expect(tokenizer.encode("a\(text)", parsingSpecialTokens: true).contains(id), "\(name) \(text)")
          #expect(tokenizer.decode([id]) == "", "\(name) \(text)")
        }
      }
    }
  }

  private static func message(_ make: () throws -> Tokenizer) -> String {
    do {
      _ = try make()
      return ""
    } catch { return (error as? Diagnostic)?.message ?? "\(error)" }
  }

  /// What each family says of the vocabulary above with something changed: llama, t5, gpt2.
  private static func refusals(
    _ settings: Tokenizer.VocabularySettings = .init(), kinds: [Int32] = kinds(3), score: Float = -3
  ) -> [String] {
    var scores = tokens.indices.map { -Float($0) }
    scores[4] = score
    return [
      message { try Tokenizer(scoredPieces: tokens, scores: scores, kinds: kinds, settings) },
      message { try Tokenizer(weighedPieces: tokens, scores: scores, kinds: kinds, settings) },
      message {
        try Tokenizer(
          tokens: tokens, merges: merges, kinds: kinds, beginning: settings.beginning, end: settings.end,
          addsBeginning: settings.addsBeginning, addsEnd: settings.addsEnd)
      },
    ]
  }

  @Test func vocabularies_that_contradict_themselves_are_refused_by_name() {
    #expect(Self.refusals() == ["", "", ""])
    for kind in [7, -1, 100] as [Int32] {
      var kinds = Self.kinds(3)
      kinds[3] = kind
      #expect(Self.refusals(kinds: kinds).allSatisfy { $0.contains("token 3") && $0.contains("\(kind)") })
    }
    #expect(Self.refusals(score: .nan).map { $0.contains("token 4") } == [true, true, false])
    // SentencePiece numbers its own beginning and end; the others have none unless the file names one.
    var settings = Tokenizer.VocabularySettings()
    settings.addsBeginning = true
    #expect(Self.refusals(settings).map { $0.contains("bos_token_id") } == [false, true, true])
    settings = .init()
    settings.addsEnd = true
    #expect(Self.refusals(settings).map { $0.contains("eos_token_id") } == [false, true, true])
  }

  @Test func a_sign_for_a_space_at_the_end_of_a_text_goes_where_spaces_do() throws {
    var settings = Tokenizer.VocabularySettings()
    settings.removesSpaces = true
    let scores = Self.tokens.indices.map { -Float($0) }
    let tokenizer = try Tokenizer(weighedPieces: Self.tokens, scores: scores, kinds: Self.kinds(3), settings)
    // As SentencePiece: signs inside and at the beginning stay.
    for (text, same) in [("S \u{2581}", "S"), ("\u{2581}", ""), ("S\u{2581}\u{2581} T", "S\u{2581}\u{2581}\u{2581}T")] {
      #expect(tokenizer.encode(text) == tokenizer.encode(same), "\(text)")
    }
  }
}

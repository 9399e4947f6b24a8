import Basics
import Testing

@testable import Tokenizers

@Suite struct StreamingTests {
  @Test func recorded_id_sequences_stream_to_the_recorded_text() throws {
    let tokenizer = try RecordedCases.small("small_bpe")
    for stream in try #require(try RecordedCases.value("small_bpe")["streams"]?.array) {
      let ids = try RecordedCases.ids(try #require(stream["ids"]))
      for (key, skipping) in [("text", true), ("all", false)] {
        var decoder = StreamingDecoder(tokenizer, skippingSpecialTokens: skipping)
        let streamed = ids.map { decoder.append($0) }.joined() + decoder.finish()
        #expect(streamed == stream[key]?.string, "\(ids)")
        #expect(tokenizer.decode(ids, skippingSpecialTokens: skipping) == stream[key]?.string, "\(ids)")
      }
    }
  }

  @Test func a_character_waits_until_its_last_byte() throws {
    var decoder = StreamingDecoder(try RecordedCases.small("small_bpe"))
    let pieces = "é€😀".utf8.map { decoder.append(bytes: [$0]) }
    #expect(pieces == ["", "é", "", "", "€", "", "", "", "😀"])
    #expect(decoder.finish() == "")
  }

  @Test func bytes_beyond_saving_are_not_held_back() throws {
    var decoder = StreamingDecoder(try RecordedCases.small("small_bpe"))
    #expect(decoder.append(bytes: [0xFF]) == "\u{FFFD}")
    #expect(decoder.append(bytes: [0x80]) == "\u{FFFD}")
    // E0 80 is overlong from its second byte on, F4 90 is beyond the last scalar.
    #expect(decoder.append(bytes: [0xE0]) == "")
    #expect(decoder.append(bytes: [0x80]) == "\u{FFFD}\u{FFFD}")
    #expect(decoder.append(bytes: [0xF4, 0x90]) == "\u{FFFD}\u{FFFD}")
    #expect(decoder.append(bytes: [0xF0, 0x9F, 0x98]) == "")
    #expect(decoder.append(bytes: [0x61]) == "\u{FFFD}a")
    #expect(decoder.append(bytes: [0xE2, 0x82]) == "" && decoder.finish() == "\u{FFFD}")
    #expect(decoder.finish() == "")
  }

  /// Steps of decoders, and tokens that some of them take apart.
  private static let steps = [
    #"{"type": "ByteLevel"}"#, #"{"type": "WordPiece", "prefix": "@@", "cleanup": true}"#, #"{"type": "Fuse"}"#,
    #"{"type": "Metaspace", "replacement": "\#u{2581}", "prepend_scheme": "always"}"#, #"{"type": "ByteFallback"}"#,
    #"{"type": "BPEDecoder", "suffix": "</w>"}"#,
    #"{"type": "Replace", "pattern": {"String": "\#u{2581}"}, "content": " "}"#,
    #"{"type": "Replace", "pattern": {"Regex": "ab|\\s+"}, "content": "z"}"#,
    #"{"type": "Strip", "content": " ", "start": 1, "stop": 0}"#,
    #"{"type": "Strip", "content": "a", "start": 0, "stop": 1}"#,
    #"{"type": "Strip", "content": "a", "start": 2, "stop": 3}"#,
    #"{"type": "Strip", "content": " ", "start": 0, "stop": 4096}"#,
  ]
  private static let tokens = [
    "[UNK]", "a", "b", "\u{2581}", "\u{2581}a", "\u{E4}", "\u{C3}", "\u{A4}", "@@b", "<", "/w>", "c</w>", "<0xC3>",
    "<0xA4>", ".", "n't", "\u{2581}\u{2581}", "\u{65E5}",
  ]

  private static func tokenizer(_ decoder: [String]) throws -> Tokenizer {
    let vocabulary = tokens.map { #"["\#($0)", -1.0]"# }.joined(separator: ", ")
    let model = #"{"type": "Unigram", "unk_id": 0, "vocab": [\#(vocabulary)]}"#
    let steps = #"{"type": "Sequence", "decoders": [\#(decoder.joined(separator: ", "))]}"#
    return try Tokenizer(json: JSON(parsing: #"{"model": \#(model), "decoder": \#(steps)}"#))
  }

  /// Whatever steps follow each other: what was given cannot be taken back, so it must never have to be.
  @Test func pieces_joined_are_the_whole_text_for_every_decoder() throws {
    var decoders = [[]] + Self.steps.map { [$0] }
    decoders += Self.steps.flatMap { first in Self.steps.map { [first, $0] } }
    decoders += Self.steps.flatMap { last in Self.steps.map { [Self.steps[6], Self.steps[2], $0, last] } }
    decoders += (0..<200).map { _ in (0..<Int.random(in: 3...6)).map { _ in Self.steps.randomElement() ?? "" } }
    for decoder in decoders {
      let tokenizer = try Self.tokenizer(decoder)
      let steps = try #require(tokenizer.decoder)
      for round in 0..<12 {
        // In every other round bytes only, which make a character or spoil each other; and runs of a few tokens.
        var drawn = round % 2 == 0 ? Array(Int32(0)..<Int32(Self.tokens.count)) : [11, 12, 13, 14]
        if round % 3 == 0 { drawn = (0..<2).map { _ in drawn.randomElement() ?? 0 } }
        let ids = (0..<Int.random(in: 0...12)).map { _ in drawn.randomElement() ?? 0 }
        var streaming = StreamingDecoder(tokenizer)
        let streamed = ids.map { streaming.append($0) }.joined() + streaming.finish()
        let whole = WholeDecoding.text(ids.map { Self.tokens[Int($0)] }, steps)
        #expect(streamed == whole, "\(decoder) \(ids)")
        #expect(tokenizer.decode(ids) == whole, "\(decoder) \(ids)")
        #expect(streaming.finish() == "", "\(decoder) \(ids)")
      }
    }
  }

  /// The usual decoders do not wait for the end.
  @Test func usual_decoders_give_text_as_it_comes() throws {
    for steps in [[3], [6, 4, 2], [6, 4, 2, 8], [1], [5], [6, 4, 2, 11], [2, 3]] {
      var streaming = StreamingDecoder(try Self.tokenizer(steps.map { Self.steps[$0] }))
      #expect(streaming.append(1) == "a", "\(steps)")
      #expect(streaming.append(2).hasSuffix("b"), "\(steps)")
    }
  }

  /// Tokens that wait for what follows them, as many as there are: each comes at the price of the first.
  @Test(.timeLimit(.minutes(2))) func a_run_of_tokens_costs_what_its_length_does() throws {
    func seconds(_ tokenizer: Tokenizer, _ ids: [Int32], _ count: Int) -> Double {
      let start = ContinuousClock.now
      var streaming = StreamingDecoder(tokenizer)
      for index in 0..<count { _ = streaming.append(ids[index % ids.count]) }
      _ = streaming.finish()
      return (ContinuousClock.now - start) / .seconds(1)
    }
    let usual = [[6, 4, 2, 8], [6, 4, 2, 9], [2, 7], [6, 4, 2, 10]].map { $0.map { Self.steps[$0] } }
    for decoder in Self.steps.map({ [$0] }) + usual {
      let tokenizer = try Self.tokenizer(decoder)
      for ids: [Int32] in [[1], [3], [6], [8], [11], [12], [12, 13], [14]] {
        // The machine may be busy, so the few count at their slowest and the many at their fastest.
        let few = (0..<3).map { _ in seconds(tokenizer, ids, 300) }.max() ?? 0
        var many = Double.infinity
        for _ in 0..<4 where many > 120 * few { many = min(many, seconds(tokenizer, ids, 6000)) }
        // Twenty times as many: the square would be 400 times.
        #expect(many <= 120 * few, "\(decoder) \(ids): \(many) s after \(few) s")
      }
    }
  }
}

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
    var decoders = Self.steps.map { [$0] }
    decoders += Self.steps.flatMap { first in Self.steps.map { [first, $0] } }
    decoders += Self.steps.flatMap { last in Self.steps.map { [Self.steps[6], Self.steps[2], $0, last] } }
    for decoder in decoders {
      let tokenizer = try Self.tokenizer(decoder)
      for round in 0..<12 {
        // In every other round bytes only, which make a character or spoil each other.
        let drawn = round % 2 == 0 ? Int32(0)..<Int32(Self.tokens.count) : 11..<15
        let ids = (0..<8).map { _ in Int32.random(in: drawn) }
        var streaming = StreamingDecoder(tokenizer)
        let streamed = ids.map { streaming.append($0) }.joined() + streaming.finish()
        #expect(streamed == tokenizer.decode(ids), "\(decoder) \(ids)")
      }
    }
  }

  /// The usual decoders do not wait for the end.
  @Test func usual_decoders_give_text_as_it_comes() throws {
    for steps in [[3], [6, 4, 2], [6, 4, 2, 8], [1], [5]] {
      var streaming = StreamingDecoder(try Self.tokenizer(steps.map { Self.steps[$0] }))
      #expect(streaming.append(1) == "a", "\(steps)")
      #expect(streaming.append(2).hasSuffix("b"), "\(steps)")
    }
  }
}

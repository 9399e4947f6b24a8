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
}

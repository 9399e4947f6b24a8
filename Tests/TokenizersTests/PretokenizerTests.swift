import Basics
import Testing

@testable import Tokenizers

@Suite struct PretokenizerTests {
  @Test(arguments: ["gpt2", "smollm", "llama-bpe", "qwen2", "gpt-4o", "tekken"])
  func words_equal_those_of_the_regular_expression(name: String) throws {
    let pretokenizer = try Pretokenizer(named: name)
    let recorded = try #require(try RecordedCases.value("words")[name]?.array)
    for (text, lengths) in zip(try RecordedCases.texts(), recorded) {
      #expect(
        lengthsOfWords(text, pretokenizer) == (try RecordedCases.ids(lengths).map(Int.init)), "\(text.debugDescription)"
      )
    }
  }

  @Test func every_scanner_is_found_again_by_its_own_pattern() throws {
    for name in ["gpt2", "smollm", "llama-bpe", "qwen2", "gpt-4o", "tekken"] {
      for rule in try Pretokenizer(named: name).rules { #expect(SplitRule(pattern: rule.pattern) == rule) }
    }
    #expect(SplitRule(pattern: ".+") == nil)
  }

  @Test func an_unknown_name_is_a_format_error_that_lists_the_known_ones() {
    let error = #expect(throws: Diagnostic.self) { try Pretokenizer(named: "martian") }
    #expect(error?.kind == .format)
    #expect(error?.message.contains("martian") == true && error?.remedy?.contains("smollm") == true)
  }

  @Test func the_end_of_a_piece_counts_as_the_end_of_the_text() throws {
    // Two spaces before a digit: the digit is cut off first, so both belong together.
    #expect(lengthsOfWords("a  1", try Pretokenizer(named: "smollm")) == [1, 2, 1])
    #expect(lengthsOfWords("a  1", try Pretokenizer(named: "gpt2")) == [1, 1, 2])
  }

  private func lengthsOfWords(_ text: String, _ pretokenizer: Pretokenizer) -> [Int] {
    var text = text
    return text.withUTF8 { utf8 in
      let ends = pretokenizer.wordEnds(in: ScalarText(utf8: utf8))
      return zip(ends, [0] + ends).map { $0 - $1 }
    }
  }
}

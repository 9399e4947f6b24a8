import Basics
import Testing

@testable import Tokenizers

@Suite struct PretokenizerTests {
  @Test(arguments: ["gpt2", "smollm", "llama-bpe", "qwen2", "gpt-4o", "tekken"])
  func words_equal_those_of_the_regular_expression(name: String) throws {
    let pretokenizer = try Self.named(name)
    let recorded = try #require(try RecordedCases.value("words")[name]?.array)
    for (text, lengths) in zip(try RecordedCases.texts(), recorded) {
      #expect(
        lengthsOfWords(text, pretokenizer) == (try RecordedCases.ids(lengths).map(Int.init)), "\(text.debugDescription)"
      )
    }
  }

  @Test func every_scanner_is_found_again_by_its_own_pattern() throws {
    for name in ["gpt2", "smollm", "llama-bpe", "qwen2", "gpt-4o", "tekken"] {
      for rule in try Self.named(name).rules {
        #expect(try SplitRule(pattern: rule.pattern) == rule)
        if case .pattern = rule { Issue.record("\(name) has no scanner") }
      }
    }
  }

  @Test func an_unknown_name_is_a_format_error_that_lists_the_known_ones() {
    let error = #expect(throws: Diagnostic.self) { try PretokenizerFamily.named("martian") }
    #expect(error?.kind == .format)
    #expect(error?.message.contains("martian") == true && error?.remedy?.contains("smollm") == true)
  }

  @Test func the_end_of_a_piece_counts_as_the_end_of_the_text() throws {
    // Two spaces before a digit: the digit is cut off first, so both belong together.
    #expect(lengthsOfWords("a  1", try Self.named("smollm")) == [1, 2, 1])
    #expect(lengthsOfWords("a  1", try Self.named("gpt2")) == [1, 1, 2])
  }

  private static func named(_ name: String) throws -> Pretokenizer {
    Pretokenizer(rules: try PretokenizerFamily.named(name).rules())
  }

  @Test func every_scanner_cuts_as_its_own_pattern_does() throws {
    let rules: [SplitRule] = [
      .eachNumber, .numberRuns, .numberTriples, .gpt2, .words(digits: 1), .words(digits: 3),
      .casedWords(digits: 3, contractions: true), .casedWords(digits: 1, contractions: false),
    ]
    let texts = try RecordedCases.texts() + RecordedCases.strings(#require(RecordedCases.models.get()["texts"]))
    for rule in rules {
      let pattern = PatternSplit(pattern: try SplitPattern(rule.pattern))
      for text in texts {
        #expect(
          lengthsOfWords(text, Pretokenizer(rules: [rule]))
            == lengthsOfWords(
              text, Pretokenizer(rules: [.pattern(pattern)])), "\(rule) \(text.debugDescription)")
      }
    }
  }

  @Test func words_of_every_family_equal_those_of_its_regular_expressions() throws {
    let json = try RecordedCases.models.get()
    let texts = try RecordedCases.strings(#require(json["texts"]))
    let families = try #require(json["families"]?.members)
    try #require(families.count > 20)
    for family in families {
      let pretokenizer = try Self.named(family.key)
      for (text, lengths) in zip(texts, try RecordedCases.idLists(family.value)) {
        #expect(lengthsOfWords(text, pretokenizer) == lengths.map(Int.init), "\(family.key) \(text.debugDescription)")
      }
    }
    for family in PretokenizerFamily.all { _ = try family.rules() }
  }

  @Test func patterns_that_nest_repetitions_take_no_more_than_linear_time() throws {
    for (source, text) in [
      (#"(?:a+)+b"#, String(repeating: "a", count: 20_000)), (#"(?:a|aa|a*)*c"#, String(repeating: "a", count: 20_000)),
      (#"\s*[\r\n]+|\s+(?!\S)|\s+"#, String(repeating: " ", count: 100_000) + "x"),
      (#"(?:(?:a?){10}){10}b"#, String(repeating: "a", count: 2_000)),
    ] {
      let rules = Pretokenizer(rules: [.pattern(PatternSplit(pattern: try SplitPattern(source)))])
      let started = ContinuousClock.now
      #expect(lengthsOfWords(text, rules).reduce(0, +) == text.unicodeScalars.count)
      // Milliseconds; exponential time would not end.
      #expect(ContinuousClock.now - started < .seconds(20), "\(source)")
    }
  }

  @Test(arguments: [
    "(?<=a)b", "(a", "a)", "[a", "*a", #"\k"#, #"\p{Unheard}"#, "a{2000}", "[[:alpha:]]", #"\"#, "(?<n>a)", "[z-a]",
    String(repeating: "(", count: 200),
  ]) func patterns_that_cannot_be_used_are_errors_that_quote_them(source: String) {
    let error = #expect(throws: Diagnostic.self) { try SplitPattern(source) }
    #expect(error?.message.contains(source.prefix(100)) == true && error?.remedy != nil)
  }

  private func lengthsOfWords(_ text: String, _ pretokenizer: Pretokenizer) -> [Int] {
    var text = text
    return text.withUTF8 { utf8 in
      pretokenizer.words(in: ScalarText(utf8: utf8)).map(\.count)
    }
  }
}

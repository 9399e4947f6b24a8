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

  /// Matches may be empty: they cut, and are replaced, all the same (Tests/Oracle/make_tokenizer_pattern_cases.py).
  @Test func texts_are_cut_and_replaced_at_the_matches_that_tokenizers_finds() throws {
    let cases = try #require(RecordedCases.patterns.get().array)
    try #require(cases.count > 200)
    for one in cases {
      let pattern = try SplitPattern(#require(one["pattern"]?.string))
      let split = PatternSplit(
        pattern: pattern, behavior: try #require(one["behavior"]?.string.flatMap(PatternSplit.Behavior.init)),
        isInverted: try #require(one["invert"]?.bool as Bool?))
      for (index, text) in try RecordedCases.strings(#require(one["texts"])).enumerated() {
        let scalars = text.unicodeScalars.map(\.value)
        var bytes = text
        let words = bytes.withUTF8 { utf8 in
          Pretokenizer(rules: [.pattern(split)]).words(in: ScalarText(utf8: utf8)).map { String(scalars[$0]) }
        }
        let expected = try RecordedCases.strings(#require(one["words"]?[index]))
        #expect(words == expected, "\(split.behavior) \(split.isInverted) \(pattern.source) \(text.debugDescription)")
        let replaced = String(TextNormalizer.replace(pattern, [0x3C, 0x3E]).applied(to: scalars))
        #expect(replaced == one["replaced"]?[index]?.string, "\(pattern.source) \(text.debugDescription)")
      }
    }
  }

  @Test func patterns_that_nest_repetitions_take_no_more_than_linear_time() throws {
    for (source, text) in [
      (#"(?:a+)+b"#, String(repeating: "a", count: 20_000)), (#"(?:a|aa|a*)*c"#, String(repeating: "a", count: 20_000)),
      (#"\s*[\r\n]+|\s+(?!\S)|\s+"#, String(repeating: " ", count: 100_000) + "x"),
      (#"(?:(?:a?){10}){10}b"#, String(repeating: "a", count: 2_000)),
      // What looks ahead and atomic groups found is not looked for again at the next place.
      (#"\d{1,3}(?=(?:\d{3})*\b)"#, String(repeating: "1", count: 100_000)),
      (#"(?!a*b)a"#, String(repeating: "a", count: 50_000)), (#"(?=a*)a"#, String(repeating: "a", count: 50_000)),
      (#"(?>a+)b"#, String(repeating: "a", count: 50_000)), (#"(?:aa)++b"#, String(repeating: "a", count: 50_000)),
      (#"(?=(?>(?:a|aa)*)\b)a"#, String(repeating: "a", count: 50_000)),
    ] {
      let rules = Pretokenizer(rules: [.pattern(PatternSplit(pattern: try SplitPattern(source)))])
      let started = ContinuousClock.now
      #expect(lengthsOfWords(text, rules).reduce(0, +) == text.unicodeScalars.count)
      // Milliseconds; exponential time would not end.
      #expect(ContinuousClock.now - started < .seconds(20), "\(source)")
    }
  }

  @Test func patterns_know_whether_a_match_of_theirs_may_be_empty() throws {
    for source in ["", "a*", "a?|b", "(?=a)", #"\b"#, "^", "$", "(?>a*)", "(?:a|b?)+", "(?:(?:a*)*)*", "(?!a)b*"] {
      #expect(try SplitPattern(source).mayBeEmpty, "\(source)")
    }
    for source in ["a", "a+", "(?=a)b", #"\ba"#, "^a|b", "(?>a*)b", "(?:a|b){2}", "a(?:b*)*"] {
      #expect(try !SplitPattern(source).mayBeEmpty, "\(source)")
    }
  }

  /// A matcher that remembers finds at every place what one does that begins anew there.
  @Test func what_a_matcher_remembers_changes_no_match() throws {
    let parts = [
      "a", "b", "(?:a|ab)*", "(?>a*)", "(?>(?:a|ab)*)", "a*?", "(?=(?:aa)*b)", "(?!(?:aa)*b)",
      #"(?=(?:a|b)*\b)"#, "a?+", "(?=(?>a*)b)", "(?:aa)*+", "(?:(?!b)a)*",
    ]
    for first in parts {
      for second in parts {
        for third in ["", "a", "b", "(?=a*b)"] {
          let pattern = try SplitPattern(first + second + third)
          for _ in 0..<2 {
            // Long runs, so that walks are long enough to be remembered.
            let runs = (0..<4).map { String(repeating: ["a", "b", "ab", " "][$0], count: .random(in: 0...12)) }
            let scalars = runs.shuffled().joined().unicodeScalars.map(\.value)
            var lasting = SplitMatcher(pattern, scalars[...])
            for start in 0...scalars.count {
              var fresh = SplitMatcher(pattern, scalars[...])
              #expect(lasting.match(at: start) == fresh.match(at: start), "\(pattern.source) \(runs) \(start)")
            }
          }
        }
      }
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

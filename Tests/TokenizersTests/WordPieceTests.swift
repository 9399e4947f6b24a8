import Basics
import Foundation
import Testing

@testable import Tokenizers

@Suite struct WordPieceTests {
  @Test func cleaned_words_equal_the_recorded_ones() throws {
    let recorded = try #require(try RecordedCases.value("bert_words").array)
    for (text, words) in zip(try RecordedCases.texts(), recorded) {
      var text = text
      var found: [String] = []
      text = [TextNormalizer.bert(BertNormalizer())].applied(to: text)
      text.withUTF8 { utf8 in
        TextCutter(steps: [.cut(.bertWords)]).forEachWord(of: utf8, start: 0) {
          found.append(String(decoding: $0, as: UTF8.self))
        }
      }
      // Compared as bytes: Swift's == would overlook different normal forms.
      let expected = try RecordedCases.strings(words)
      #expect(found.map { Array($0.utf8) } == expected.map { Array($0.utf8) }, "\(text.debugDescription)")
    }
  }

  @Test func ids_and_text_of_a_small_vocabulary_equal_the_recorded_ones() throws {
    let tokenizer = try RecordedCases.small("small_wordpiece")
    let cases = try RecordedCases.value("small_wordpiece")
    let ids = try RecordedCases.idLists(try #require(cases["ids"]))
    let decoded = try RecordedCases.strings(try #require(cases["decoded"]))
    for (index, text) in try RecordedCases.texts().enumerated() {
      #expect(tokenizer.encode(text, parsingSpecialTokens: true) == ids[index], "\(text.debugDescription)")
      #expect(tokenizer.decode(ids[index]) == decoded[index], "\(text.debugDescription)")
    }
  }

  @Test func a_length_limit_keeps_the_separator() throws {
    let tokenizer = try RecordedCases.small("small_wordpiece")
    let whole = tokenizer.encode("the the the the")
    let cut = tokenizer.encode("the the the the", maximumLength: 4)
    let separator = try #require(tokenizer.id(of: "[SEP]"))
    #expect(whole.count == 6)
    #expect(cut == Array(whole[0..<3]) + [separator])
  }

  private static let present = FetchedModels.has(FetchedModels.minilm)

  @Test(.enabled(if: present, "needs MiniLM's tokenizer.json: run scripts/fetch-models"))
  func minilm_ids_and_text_equal_the_recorded_ones() throws {
    let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: FetchedModels.minilm)))
    let tokenizer = try Tokenizer(json: try JSON(parsing: file))
    let ids = try RecordedCases.idLists(RecordedCases.value("minilm"))
    let decoded = try RecordedCases.strings(RecordedCases.value("minilm_decoded"))
    for (index, text) in try RecordedCases.texts().enumerated() {
      #expect(tokenizer.encode(text, parsingSpecialTokens: true) == ids[index], "\(text.debugDescription)")
      #expect(tokenizer.decode(ids[index]) == decoded[index], "\(text.debugDescription)")
    }
    #expect(tokenizer.maximumLength == 128)
  }
}

@Suite struct CanonicalFormTests {
  @Test func composed_texts_equal_the_recorded_ones() throws {
    for (text, composed) in zip(try RecordedCases.texts(), try RecordedCases.strings(RecordedCases.value("nfc"))) {
      #expect(
        CanonicalForm.composed(text.unicodeScalars.map(\.value)) == composed.unicodeScalars.map(\.value),
        "\(text.debugDescription)"
      )
    }
  }

  @Test func marks_are_sorted_by_class_and_blocked_ones_stay_apart() {
    #expect(CanonicalForm.decomposed([0x1EAD]) == [0x61, 0x323, 0x302])
    #expect(CanonicalForm.decomposed([0x61, 0x302, 0x323]) == [0x61, 0x323, 0x302])
    #expect(CanonicalForm.decomposed([0xAC01]) == [0x1100, 0x1161, 0x11A8])
    // A second acute is blocked by the first.
    #expect(CanonicalForm.composed([0x61, 0x301, 0x301]) == [0xE1, 0x301])
    // U+0958 is excluded from composition.
    #expect(CanonicalForm.composed([0x958]) == [0x915, 0x93C])
  }
}

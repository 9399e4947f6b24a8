// Drawn combinations of a tokenizer.json's steps against the library `tokenizers` (Tests/Oracle/make_tokenizer_step_cases.py):
// ids, texts put together again at once and token by token. A combination may be refused, by the step's name; never wrong.
import Basics
import Testing

@testable import Tokenizers

@Suite struct TokenizerStepTests {
  private struct Case {
    var number: Int
    var file: JSON
    var ids: [[Int32]]
    /// nil where the library gives added tokens other names than they have.
    var decoded: [String]?
    /// Where it has texts of its own.
    var texts: [String]?
    /// Ids that no text has, and what they are put together to.
    var drawn: [(ids: [Int32], text: String)]

    init(_ number: Int, _ json: JSON, bases: JSON) throws {
      self.number = number
      let base = try #require(json["base"]?.string.flatMap { bases[$0]?.members })
      let changes = try #require(json["changes"]?.members)
      var members = base.filter { member in !changes.contains { $0.key == member.key } }
      for change in changes {
        let old = base.first { $0.key == change.key }?.value
        switch (old, change.value) {
        case (.object(let old)?, .object(let new)):
          members.append(.init(change.key, .object(old.filter { o in !new.contains { $0.key == o.key } } + new)))
        case (.array(let old)?, .array(let new)): members.append(.init(change.key, .array(old + new)))
        default: members.append(change)
        }
      }
      file = .object(members)
      ids = try RecordedCases.idLists(#require(json["ids"]))
      drawn = try (json["drawn"]?.array ?? []).map {
        (try RecordedCases.ids(#require($0[0])), try #require($0[1]?.string))
      }
      texts = try json["texts"].map(RecordedCases.strings)
      decoded = try json["decoded"].flatMap { $0.isNull ? nil : $0 }.map(RecordedCases.strings)
    }
  }

  private static func cases() throws -> (texts: [String], cases: [Case]) {
    let json = try RecordedCases.steps.get()
    let bases = try #require(json["bases"])
    let cases = try #require(json["cases"]?.array).enumerated().map { try Case($0.offset, $0.element, bases: bases) }
    return (try RecordedCases.strings(#require(json["texts"])), cases)
  }

  @Test func every_combination_of_steps_is_done_as_written_or_refused() throws {
    let (texts, cases) = try Self.cases()
    try #require(cases.count >= 200)
    var refused = 0
    for one in cases {
      let tokenizer: Tokenizer
      do {
        tokenizer = try Tokenizer(json: one.file)
      } catch {
        refused += 1
        #expect(error.message.contains("not supported"), "\(one.number): \(error.message)")
        continue
      }
      for (index, text) in (one.texts ?? texts).enumerated() {
        let ids = tokenizer.encode(text, parsingSpecialTokens: true)
        #expect(ids == one.ids[index], "\(one.number) \(text.debugDescription)")
        guard let decoded = one.decoded?[index] else { continue }
        #expect(tokenizer.decode(one.ids[index]) == decoded, "\(one.number) \(text.debugDescription)")
        var streaming = StreamingDecoder(tokenizer)
        let streamed = one.ids[index].map { streaming.append($0) }.joined() + streaming.finish()
        #expect(streamed == decoded, "\(one.number) \(text.debugDescription), token by token")
      }
      for (ids, text) in one.drawn {
        #expect(tokenizer.decode(ids, skippingSpecialTokens: false) == text, "\(one.number) \(ids)")
        var streaming = StreamingDecoder(tokenizer, skippingSpecialTokens: false)
        let streamed = ids.map { streaming.append($0) }.joined() + streaming.finish()
        #expect(streamed == text, "\(one.number) \(ids), token by token")
      }
    }
    #expect(refused < cases.count / 10)
    #expect(cases.reduce(0) { $0 + $1.drawn.count } > 500)
  }

  /// The library hands the second one what the first has made as a pair of texts: nothing a file can mean.
  @Test func two_frames_around_a_text_are_refused() throws {
    let (_, cases) = try Self.cases()
    let base = try #require(cases.first?.file.members)
    let frame: JSON = ["type": "BertProcessing", "cls": ["[CLS]", 1], "sep": ["[SEP]", 2]]
    let both: JSON = ["type": "Sequence", "processors": [frame, frame]]
    let file = JSON.object(base.filter { $0.key != "post_processor" } + [.init("post_processor", both)])
    let error = #expect(throws: Diagnostic.self) { try Tokenizer(json: file) }
    #expect(error?.message.contains("post-processor") == true)
  }
}

// Python's formats, and Jinja's filters for plain text, as recorded (Tests/Oracle/make_format_cases.py).

import Basics
import Testing

@testable import Tokenizers

@Suite struct TemplateFormatTests {
  @Test func drawn_formats_and_texts_are_as_recorded_or_an_error() throws {
    let cases = try #require(RecordedCases.json("template_formats.json").array)
    var (texts, refused) = (0, 0)
    for sample in cases {
      let source = try #require(sample[0]?.string)
      let expected = sample[1]?.string
      if expected != nil { texts += 1 }
      do {
        let text = try ChatTemplate(source).text([:])
        #expect(text == expected, "\(source)")
      } catch {
        if expected != nil { refused += 1 }
      }
    }
    #expect(texts > 1000 && refused * 4 < texts, "\(refused) of \(texts) refused")
  }
}

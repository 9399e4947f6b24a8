// Templates of a random grammar, whose texts and refusals were recorded from Jinja (Tests/Oracle/random_templates.py).

import Basics
import Testing

@testable import Tokenizers

@Suite struct TemplateOracleTests {
  /// What a template must give: Jinja's text or an error, never another text; an error where Jinja has one.
  @Test func random_templates_give_the_text_that_jinja_gives_or_an_error() throws {
    let cases = try RecordedCases.json("chat_template_cases.json")
    let variables = try RecordedCases.variables(cases["random_variables"])
    var (equal, refused, texts) = (0, 0, 0)
    for sample in try #require(cases["random"]?.array) {
      let source = try #require(sample[0]?.string)
      let expected = sample[1]?.string
      if expected != nil { texts += 1 }
      do {
        let text = try ChatTemplate(source).text(variables)
        #expect(text == expected, "\(source)")
        equal += 1
      } catch {
        #expect(error.message.contains("line"), "\(source): \(error)")
        if expected != nil { refused += 1 }
      }
    }
    // `encode` makes bytes, constants are folded: a few refusals are ours alone.
    #expect(equal > 1000 && refused * 50 < texts, "\(equal) equal, \(refused) of \(texts) refused")
  }
}

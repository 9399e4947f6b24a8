// The features that chat templates rarely use, as recorded from Jinja (Tests/Oracle/make_template_feature_cases.py): each
// gives Jinja's text or an error that names it, never another text.

import Basics
import Testing

@testable import Tokenizers

@Suite struct TemplateFeatureTests {
  @Test func rare_features_are_as_in_jinja_or_refused_by_name() throws {
    let recorded = try RecordedCases.json("template_features.json")
    let variables = try RecordedCases.variables(recorded["variables"])
    var (equal, refused) = (0, 0)
    for row in try #require(recorded["rows"]?.array) {
      let (source, name) = (try #require(row[0]?.string), try #require(row[2]?.string))
      do {
        let text = try ChatTemplate(source).text(variables)
        #expect(text == row[1]?.string, "\(source)")
        equal += 1
      } catch {
        guard row[1]?.string != nil else { continue }
        refused += 1
        let isNamed = name.split(separator: "|").contains { error.message.contains($0) }
        #expect(isNamed && error.message.contains("line"), "\(source): \(error.message)")
      }
    }
    #expect(equal > 700 && refused < 500, "\(equal) equal, \(refused) refused")
  }
}

// The generated page about primitives is the one in the repository.
import Foundation
import Testing

@testable import GraphIR

@Suite struct DocumentationTests {
  @Test func primitives_page_is_current() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let page = root.appending(path: "Documentation/Primitives.md")
    if ProcessInfo.processInfo.environment["AZULEJO_WRITE_DOCUMENTATION"] != nil {
      try Primitive.documentation.write(to: page, atomically: true, encoding: .utf8)
    }
    let written = try String(contentsOf: page, encoding: .utf8)
    // Lines, so that a failure shows the row.
    #expect(written.split(separator: "\n") == Primitive.documentation.split(separator: "\n"))
  }

  @Test func every_record_says_what_it_means() {
    for sample in Primitive.samples {
      let definition = sample.definition
      #expect(definition.meaning.hasSuffix(".") && definition.name.allSatisfy { $0.isLowercase || $0.isNumber })
      #expect(!definition.dtypes.members.isEmpty, "\(definition.name)")
      #expect(definition.constraints.allSatisfy { !$0.hasSuffix(".") }, "\(definition.name)")
    }
  }
}

// Where the recorded files of Tests/Oracle/formats lie, and scratch files that vanish with their test.

import Basics
import Foundation
import Testing

@testable import Formats

enum RecordedFiles {
  static func path(_ name: String, testFile: String = #filePath) -> String {
    let tests = URL(fileURLWithPath: testFile).deletingLastPathComponent().deletingLastPathComponent()
    return tests.appendingPathComponent("Oracle/formats/\(name)").path
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path(name))))
  }
}

/// Expects `body` to throw a Diagnostic of `kind` whose text has all of `parts`.
func expectDiagnostic(
  _ kind: Diagnostic.Kind, _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () throws -> Void
) {
  do {
    try body()
    Issue.record("no error was thrown, expected one with \(parts)", sourceLocation: sourceLocation)
  } catch let error as Diagnostic {
    #expect(error.kind == kind, "\(error)", sourceLocation: sourceLocation)
    for part in parts {
      #expect(error.description.contains(part), "\(error) lacks \(part)", sourceLocation: sourceLocation)
    }
  } catch {
    Issue.record("expected a Diagnostic, got \(error)", sourceLocation: sourceLocation)
  }
}

// The table of canonical mappings is what its script writes. Surprise: another Python may know another Unicode; then the
// two tables must agree in what both versions know.
import Foundation
import Testing

private let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()
private let python = ["/usr/bin/python3", "/usr/local/bin/python3", "/opt/homebrew/bin/python3"]
  .first(where: FileManager.default.isExecutableFile)

@Suite struct CanonicalMappingsTests {
  /// "C0=+41,300" by "C0".
  private func table(_ text: String) -> [Substring: Substring] {
    let entries = text.split { $0.isWhitespace }.filter { $0.wholeMatch(of: /[0-9A-F]+=\+?[0-9A-F,]+/) != nil }
    return Dictionary(entries.map { ($0.prefix { $0 != "=" }, $0) }) { $1 }
  }

  @Test(.enabled(if: python != nil)) func the_table_is_what_its_script_writes() throws {
    let written = FileManager.default.temporaryDirectory.appending(path: "azulejo-mappings-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: written) }
    let process = Process()
    process.executableURL = URL(filePath: try #require(python))
    process.arguments = [root.appending(path: "scripts/make_canonical_mappings.py").path, written.path]
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    let fresh = try String(contentsOf: written, encoding: .utf8)
    let kept = try String(
      contentsOf: root.appending(path: "Sources/Tokenizers/CanonicalMappings.swift"), encoding: .utf8)
    let (freshTable, keptTable) = (table(fresh), table(kept))
    #expect(keptTable.count > 2000)
    let isSameUnicode = fresh.prefix { $0 != "\n" } == kept.prefix { $0 != "\n" }
    let isSame = fresh == kept
    #expect(isSame || !isSameUnicode, "run scripts/make_canonical_mappings.py")
    // Mappings never change once they are there: stability of normalization.
    for (key, entry) in keptTable where freshTable[key] != nil { #expect(freshTable[key] == entry) }
  }
}

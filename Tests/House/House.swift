// What the house is counted by: lines, switches over whole enums, files that name an operation, what is longest.
// Not a judgement and no rules of style (the formatter has those): limits stand in the tests that ask. Surprise: it counts
// text, so a name that means two things counts for both.
import Foundation

package struct House: Sendable {
  package let sources: [SourceText]
  /// By the folder below Sources.
  private let modules: [String: [SourceText]]

  /// - Parameter root: the folder with Package.swift.
  package init(_ root: URL) throws {
    let folder = root.appending(path: "Sources")
    var modules: [String: [SourceText]] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
      modules[name] = try SourceText.all(in: folder.appending(path: name))
    }
    self.modules = modules
    sources = modules.sorted { $0.key < $1.key }.flatMap(\.value)
  }

  /// Lines of all sources, remarks and empty lines included.
  package var lines: Int { sources.reduce(0) { $0 + $1.lines.count } }

  /// The enums of the IRs that a new operation enlarges.
  package static let enums = [
    "TileOperation", "Lowering", "Payload", "PayloadField", "ScalarInstruction", "Primitive",
  ]

  package func cases(of name: String) throws -> Set<String> {
    for source in sources { if let cases = try source.cases(of: name) { return cases } }
    return []
  }

  /// Where switches list the whole of `name`.
  package func switches(over name: String) throws -> [String] {
    let cases = try cases(of: name)
    return sources.flatMap { source in source.switches.filter { $0.lists(cases) }.map(\.place) }
  }

  /// Files whose code has the operation's name as a word. Where tensors are made of formulas, `.apply(.erf)` in one of another
  /// operation does not count: it uses the operation as a user would, and says nothing of what it is.
  package func files(naming operation: String) -> [String] {
    let formulas = Set((modules["Tensors"] ?? []).map(\.file))
    return sources.filter {
      $0.names(operation, leavingOut: formulas.contains($0.file) ? ".apply(.\(operation))" : nil)
    }.map(\.file)
  }

  package var longestFunction: SourceText.Function? {
    sources.flatMap(\.functions).max { $0.lines < $1.lines }
  }

  package var longestFile: (name: String, lines: Int)? {
    sources.map { ($0.file, $0.lines.count) }.max { $0.1 < $1.1 }.map { (name: $0.0, lines: $0.1) }
  }

  /// Functions of the models by which they say themselves what the public library says.
  package var duplicatesOfPublic: [String] {
    func declared(_ module: String, _ pattern: Regex<(Substring, Substring)>) -> Set<Substring> {
      Set((modules[module] ?? []).flatMap { $0.text.matches(of: pattern).map(\.1) })
    }
    let known = declared("Tensors", /public (?:static )?func (\w+)/)
    return declared("LanguageModels", /\n  (?:\w+ )*func (\w+)/).intersection(known).map(String.init).sorted()
  }
}

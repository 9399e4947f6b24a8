// How many switches list a whole enum of the IRs: each is a place that a new operation must edit. What most code wants to
// know stands beside the enum, as its kind. Not a parser of Swift: braces and case labels are counted in the text.
import Foundation
import Testing

@Suite struct SwitchTests {
  /// The text between the brace at the end of `start` and the one that closes it.
  private static func block(_ text: Substring, after start: Substring.Index) -> Substring {
    var depth = 1
    var end = start
    while end < text.endIndex, depth > 0 {
      depth += text[end] == "{" ? 1 : text[end] == "}" ? -1 : 0
      end = text.index(after: end)
    }
    return text[start..<end]
  }

  /// Names of the cases of `name`.
  private static func cases(_ name: String, in texts: [Substring]) throws -> Set<String> {
    let header = try Regex("enum \(name)\\b[^{\\n]*\\{")
    for text in texts {
      guard let found = text.firstMatch(of: header) else { continue }
      var names: Set<String> = []
      var depth = 0
      for line in block(text, after: found.range.upperBound).split(separator: "\n") {
        if depth == 0, let match = line.firstMatch(of: /^\s*case (.*)$/) {
          // Payloads, raw values and remarks are no names.
          var list = String(match.1.split(separator: "//", maxSplits: 1)[0])
          while let payload = list.firstRange(of: /\([^()]*\)/) { list.removeSubrange(payload) }
          for part in list.split(separator: ",") {
            if let word = part.firstMatch(of: /\w+/) { names.insert(String(word.0)) }
          }
        }
        depth += line.count { $0 == "{" } - line.count { $0 == "}" }
      }
      return names
    }
    return []
  }

  /// The names in the labels of each switch, and where it stands.
  private static func switches(in texts: [(file: String, text: Substring)]) -> [(place: String, labels: Set<String>)] {
    var found: [(String, Set<String>)] = []
    for (file, text) in texts {
      for match in text.matches(of: /\bswitch\b[^\n{]*\{/) {
        var labels: Set<String> = []
        for label in block(text, after: match.range.upperBound).matches(of: /\bcase\b([^:"]|"[^"]*")*:/) {
          for name in label.0.matches(of: /\.(\w+)/) { labels.insert(String(name.1)) }
        }
        let line = text[..<match.range.lowerBound].count { $0 == "\n" } + 1
        found.append(("\(file):\(line)", labels))
      }
    }
    return found
  }

  @Test func few_switches_list_a_whole_enum_of_the_irs() throws {
    let targets = [
      "Scalars", "TileIR", "GraphIR", "Fusion", "CodegenLLVM", "Backends", "Engine", "Capture", "RandomGraphs",
      "Fuzzing", "Conformance", "Insight", "DriverInterpreter", "AzulejoCommand",
    ]
    let texts = try targets.flatMap { target in
      try sources(target).map { ($0.lastPathComponent, try String(contentsOf: $0, encoding: .utf8)[...]) }
    }
    let switches = Self.switches(in: texts)
    #expect(switches.count > 400)
    let enums = [
      "TileOperation": 23, "Lowering": 13, "Payload": 20, "PayloadField": 11, "ScalarInstruction": 35,
      "Primitive": 87,
    ]
    for (name, least) in enums {
      let cases = try Self.cases(name, in: texts.map(\.1))
      #expect(cases.count >= least, "\(name): \(cases.sorted())")
      let whole = switches.filter { $0.labels.intersection(cases).count * 4 >= cases.count * 3 }
      #expect(whole.count <= 8, "\(name) is listed at \(whole.map(\.place))")
      #expect(!whole.isEmpty, "no switch lists \(name): is this test still right?")
    }
  }
}

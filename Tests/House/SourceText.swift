// Sources as text: blocks between braces, functions, switches, names. What the house is counted by.
// Not a parser of Swift: it knows braces, strings on one line and remarks, which is enough for formatted code.
import Foundation

/// One source file.
package struct SourceText: Sendable {
  package let file: String
  package let text: String

  package init(_ url: URL) throws {
    file = url.lastPathComponent
    text = try String(contentsOf: url, encoding: .utf8)
  }

  /// Every Swift file below `folder`.
  package static func all(in folder: URL) throws -> [SourceText] {
    let found = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
    let files = (found?.compactMap { $0 as? URL } ?? []).filter { $0.pathExtension == "swift" }
    return try files.sorted { $0.path < $1.path }.map { try SourceText($0) }
  }

  package var lines: [Substring] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.last?.isEmpty == true ? lines.dropLast() : lines
  }

  /// The text behind the brace at `start` up to the one that closes it.
  static func block(_ text: Substring, after start: Substring.Index) -> Substring {
    var depth = 1
    var end = start
    while end < text.endIndex, depth > 0 {
      depth += text[end] == "{" ? 1 : text[end] == "}" ? -1 : 0
      end = text.index(after: end)
    }
    return text[start..<end]
  }

  /// Names of the cases of the enum `name`, where it is declared here.
  package func cases(of name: String) throws -> Set<String>? {
    guard let found = text[...].firstMatch(of: try Regex("enum \(name)\\b[^{\\n]*\\{")) else { return nil }
    var names: Set<String> = []
    var depth = 0
    for line in Self.block(text[...], after: found.range.upperBound).split(separator: "\n") {
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

  package struct Switch: Sendable {
    package let place: String
    /// The names in its labels.
    package let labels: Set<String>

    /// Lists three quarters of the cases or more.
    package func lists(_ cases: Set<String>) -> Bool { labels.intersection(cases).count * 4 >= cases.count * 3 }
  }

  package var switches: [Switch] {
    text[...].matches(of: /\bswitch\b[^\n{]*\{/).map { match in
      var labels: Set<String> = []
      for label in Self.block(text[...], after: match.range.upperBound).matches(of: /\bcase\b([^:"]|"[^"]*")*:/) {
        for name in label.0.matches(of: /\.(\w+)/) { labels.insert(String(name.1)) }
      }
      let line = text[..<match.range.lowerBound].count { $0 == "\n" } + 1
      return Switch(place: "\(file):\(line)", labels: labels)
    }
  }

  package struct Function: Sendable {
    package let place: String
    package let lines: Int
  }

  /// Functions and initialisers from the line of their name to the one that closes them.
  package var functions: [Function] {
    let lines = lines
    var found: [Function] = []
    for (i, line) in lines.enumerated() {
      guard let match = line.firstMatch(of: /^(\s*)(?:[@\w()]+ )*(?:func \S+|init[?(<])/) else { continue }
      // Formatted code closes a body where its declaration began.
      let end = "\(match.1)}"
      // Other bodies are on one line, or there is none.
      guard let open = lines[i...].first(where: { $0.contains("{") }), open.hasSuffix("{"),
        let close = lines[(i + 1)...].firstIndex(where: { $0 == end })
      else { continue }
      found.append(Function(place: "\(file):\(i + 1)", lines: close - i + 1))
    }
    return found
  }

  /// Whether code, remarks and `use` left out, has `word` as a whole word.
  package func names(_ word: String, leavingOut use: String? = nil) -> Bool {
    text.split(separator: "\n").contains { line in
      var code = line.drop { $0 == " " }
      if let use { code = code.replacing(use, with: "") }
      return !code.hasPrefix("//") && code.contains(word) && code.wholeWords.contains(Substring(word))
    }
  }
}

extension Substring {
  fileprivate var wholeWords: [Substring] { split { !($0.isLetter || $0.isNumber || $0 == "_") } }
}

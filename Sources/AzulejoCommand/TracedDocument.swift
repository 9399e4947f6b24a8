// A Markdown file whose code blocks are traces, each under a comment that is the command that makes it:
//
//     <!-- azulejo trace softmax --stage tile -->
//     ```
//     ...
//     ```
//
// Not a template engine: only the block after such a comment is replaced. A file without one is refused and stays as it is.
import Basics
import Formats

struct TracedDocument {
  let path: String
  private static let marker = "<!-- azulejo trace "
  private static let fence = "```"

  /// Replaces every traced block by what its command gives now.
  func renew() throws {
    let old = try MappedFile(path: path).text()
    var lines = old.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    var at = 0
    var count = 0
    while at < lines.count {
      defer { at += 1 }
      guard lines[at].hasPrefix(Self.marker), lines[at].hasSuffix("-->") else { continue }
      let words = lines[at].dropFirst(Self.marker.count).dropLast(3).split(separator: " ").map(String.init)
      guard at + 1 < lines.count, lines[at + 1].hasPrefix(Self.fence),
        let end = lines[(at + 2)...].firstIndex(of: Self.fence)
      else {
        throw Diagnostic(
          .format, "\(path): line \(at + 1): no code block follows", remedy: "begin and end one with \(Self.fence)")
      }
      let text = try TraceCommand.parse(words).text()
      let new = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      lines.replaceSubrange(at + 2..<end, with: new)
      at += 2 + new.count
      count += 1
    }
    guard count > 0 else {
      throw Diagnostic(
        .format, "\(path): there are no traces in it", remedy: "write \(Self.marker)softmax --> above a code block")
    }
    let new = lines.joined(separator: "\n")
    if new != old { try AtomicFile.write(new, to: path) }
    Console.note("\(path): \(count) traces")
  }
}

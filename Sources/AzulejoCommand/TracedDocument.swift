// A Markdown file whose code blocks are traces, each under a comment that is the command that makes it:
//
//     <!-- azulejo trace softmax --stage tile -->
//     ```
//     ...
//     ```
//
// Not a template engine: only the block after such a comment is replaced.
import Basics

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

struct TracedDocument {
  let path: String
  private static let marker = "<!-- azulejo trace "
  private static let fence = "```"

  /// Replaces every traced block by what its command gives now.
  func renew() throws {
    var lines = try read().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
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
    try write(lines.joined(separator: "\n"))
    Console.note("\(path): \(count) traces")
  }

  private func read() throws(Diagnostic) -> String {
    guard let file = fopen(path, "r") else { throw failure("read") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = fread(&block, 1, block.count, file)
      if count == 0 { break }
      bytes += block[..<count]
    }
    guard ferror(file) == 0 else { throw failure("read") }
    return String(decoding: bytes, as: UTF8.self)
  }

  private func write(_ text: String) throws(Diagnostic) {
    guard let file = fopen(path, "w") else { throw failure("write") }
    var text = text
    let isWritten = text.withUTF8 { fwrite($0.baseAddress, 1, $0.count, file) == $0.count }
    guard fclose(file) == 0, isWritten else { throw failure("write") }
  }

  private func failure(_ verb: String) -> Diagnostic {
    Diagnostic(.file, "\(path): cannot \(verb): \(String(cString: strerror(errno)))", remedy: "check the path")
  }
}

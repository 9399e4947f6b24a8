// Which kernels programs launch, and in which order: recorded before the compiler is changed and compared after.
// Not a measurement and not a result: it runs on the device null, where kernels are made and not run, so that one machine
// records for every processor. Surprise: a recording keeps a hash of each program's launches, not the launches; to see what
// differs, dump the tile stage of both builds (AZULEJO_DUMP).
import Basics
import Engine
import Foundation

/// Launches of programs by the programs' names.
package struct Replay: Sendable, Hashable {
  /// The launches of one program.
  package struct Row: Sendable, Hashable {
    package var name: String
    package var kernels: Int
    /// Of the tile texts in the order of their launches.
    package var hash: String
  }

  /// What the kernels were made for: `TargetDescription.name`.
  package var target: String
  package private(set) var rows: [Row] = []

  package init(target: String) { self.target = target }

  /// Runs `body` and adds what it launches on this thread; launches before an error count too.
  package mutating func record(_ name: String, _ body: () throws -> Void) {
    let launches = LaunchLog.recording { try? body() }.launches
    var hash = StableHash()
    for launch in launches { hash.combine(launch.tile) }
    rows.append(Row(name: name, kernels: launches.count, hash: String(hash.description.prefix(16))))
  }

  /// One step of a program in one mode, the one before it included.
  package mutating func record(_ workload: Workload, _ mode: Benchmark.Mode) throws {
    var (state, inputs) = try workload.tensors()
    let function = Benchmark.function(workload, mode).run
    record("\(workload.name) \(mode.rawValue)") { for _ in 0..<2 { _ = try function(&state, inputs) } }
  }

  /// What is not as in `recorded`: a line for each program that both have. Those that one of them lacks are not compared.
  package func differences(from recorded: Replay) -> [String] {
    let known = Dictionary(recorded.rows.map { ($0.name, $0) }) { first, _ in first }
    return rows.compactMap { row in
      guard let old = known[row.name], old != row else { return nil }
      let what = old.kernels == row.kernels ? "other kernels" : "recorded are \(old.kernels) kernels"
      return "\(row.name): \(row.kernels), \(what)"
    }
  }

  /// Programs that `recorded` lacks, and those that only `recorded` has.
  package func unmatched(with recorded: Replay) -> (new: [String], missing: [String]) {
    let (here, there) = (Set(rows.map(\.name)), Set(recorded.rows.map(\.name)))
    return (here.subtracting(there).sorted(), there.subtracting(here).sorted())
  }

  // MARK: The file

  private static let title = "replay of kernels for "

  /// A line with the target, then one for each program: name, kernels, hash.
  package var text: String {
    ([Self.title + target] + rows.map { "\($0.name)\t\($0.kernels)\t\($0.hash)" }).joined(separator: "\n") + "\n"
  }

  /// - Throws: a Diagnostic with the number of the first line that is none of a replay.
  package init(text: String, path: String) throws(Diagnostic) {
    func malformed(_ line: Int, _ what: String) -> Diagnostic {
      Diagnostic(.format, "\(path):\(line): \(what)", remedy: "record it again: azulejo replay --update")
    }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    guard let first = lines.first, first.hasPrefix(Self.title) else { throw malformed(1, "is not a replay") }
    target = String(first.dropFirst(Self.title.count))
    var names: Set<String> = []
    for (i, line) in lines.enumerated().dropFirst() {
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 3, let kernels = Int(fields[1]), kernels >= 0 else {
        throw malformed(i + 1, "expected a name, a number of kernels and a hash")
      }
      guard names.insert(fields[0]).inserted else { throw malformed(i + 1, "'\(fields[0])' comes twice") }
      rows.append(Row(name: fields[0], kernels: kernels, hash: fields[2]))
    }
  }

  package init(path: String) throws(Diagnostic) {
    guard let data = FileManager.default.contents(atPath: path), let text = String(data: data, encoding: .utf8) else {
      throw Diagnostic(.file, "\(path) cannot be read", remedy: "give the path of a recorded replay")
    }
    try self.init(text: text, path: path)
  }
}

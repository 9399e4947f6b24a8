// `azulejo cache`: the compiled kernels and plans on disk: how many, whether they are of use here, and away with them.
import ArgumentParser
import Basics
import Engine
import Execution

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

struct CacheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cache", abstract: "Show or empty the cache of compiled kernels and plans.",
    discussion: """
      The directory and its entries must belong to you, and nobody else may be able to write to them: machine code is run.
      Where that is not so, programs say it once and go on without a cache.

      Examples:
        azulejo cache
        azulejo cache check
        azulejo cache clear
        AZULEJO_CACHE="$HOME/kernels" azulejo cache size --json
      """,
    subcommands: [Size.self, Check.self, Clear.self], defaultSubcommand: Size.self)

  struct Size: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Where the cache is and what it holds (the default).")
    @OptionGroup var output: OutputOptions

    func run() throws {
      let directory = try checkedDirectory()
      let statistics = ObjectCache.shared.statistics
      let line =
        directory.map { "\($0): \(CacheCommand.text(statistics))" }
        ?? "the cache is switched off"
      if output.json { Console.note(line) } else { Console.print(line) }
      output.finish([
        ("directory", directory.map { .string($0) } ?? .null), ("entries", .integer(statistics.entries)),
        ("kernels", .integer(statistics.kernels)),
        ("plans", .integer(statistics.plans)), ("captures", .integer(statistics.captures)),
        ("bytes", .integer(statistics.bytes)),
      ])
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read every entry; fail if one is damaged, or a plan is another processor's or version's.",
      discussion: """
        Programs never fail for such entries: they make what they need again. This says that it happens.
        """)
    @OptionGroup var output: OutputOptions

    func run() throws {
      let directory = try checkedDirectory()
      let engine = try Engine.current
      let unusable = ObjectCache.shared.unusable { engine.objection(to: $0, $1) }
      for (path, reason) in unusable { Console.note("\(path): \(reason)") }
      let count = ObjectCache.shared.statistics.entries
      if let first = unusable.first {
        throw Diagnostic(
          .cache,
          "\(unusable.count) of \(count) entries in \(directory ?? "") are of no use here; the first: \(first.path): "
            + first.reason,
          remedy: "`azulejo cache clear`, or set AZULEJO_CACHE to a directory of this machine and version")
      }
      let line = directory.map { "\($0): all \(count) entries are whole" } ?? "the cache is switched off"
      if output.json { Console.note(line) } else { Console.print(line) }
      output.finish([("entries", .integer(count)), ("unusable", .integer(0))])
    }
  }

  struct Clear: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove every compiled kernel and plan.")
    @OptionGroup var output: OutputOptions

    func run() throws {
      let directory = try checkedDirectory()
      let before = ObjectCache.shared.statistics
      try ObjectCache.shared.clear()
      let line = directory.map { "\($0): removed \(CacheCommand.text(before))" }
      if output.json { Console.note(line ?? "") } else { Console.print(line ?? "the cache is switched off") }
      output.finish([
        ("removed_entries", .integer(before.entries)), ("removed_bytes", .integer(before.bytes)),
      ])
    }
  }

  static func text(_ statistics: ObjectCache.Statistics) -> String {
    "\(statistics.kernels) kernels, \(statistics.plans) plans of \(statistics.captures) captures, "
      + Console.size(statistics.bytes)
  }

  /// The cache's directory; nil if it is off.
  /// - Throws: a Diagnostic if it exists and cannot be read: its size would be a lie.
  static func checkedDirectory() throws(Diagnostic) -> String? {
    guard let directory = ObjectCache.shared.directory else { return nil }
    guard let listing = opendir(directory) else {
      if errno == ENOENT { return directory }
      throw Diagnostic(
        .cache, "the cache directory \(directory) cannot be read: \(String(cString: strerror(errno)))",
        remedy: "make it readable, or set AZULEJO_CACHE to another directory or to off")
    }
    closedir(listing)
    return directory
  }
}

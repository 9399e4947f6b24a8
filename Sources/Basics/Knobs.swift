// The one table of knobs: environment variables AZULEJO_* that change how the stack works, never what it computes.
// Not command-line options. Surprise: a bad value keeps the default and is listed in `Knobs.problems`, it never traps.
#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The settings of this process. Read once, from the environment.
package struct Knobs: Sendable {
  /// Artifacts printed to standard error.
  package var log: Set<LogArtifact> = []
  /// Directory that receives every stage of every compiled kernel.
  package var dump: String?
  /// Directory whose files replace stages of the same file name.
  package var override: String?
  package var device: DeviceKind = .cpu
  package var cache: CacheChoice = .standard
  /// nil: one per processor this process may use.
  package var threads: Int?
  /// Stop in the debugger at the first failed tensor.
  package var strict = false
  /// Compiled functions are captured again on each call, and throw where that differs from their plan.
  package var retrace = false
  /// Graphs, schedules and kernels are verified behind what made them.
  package var verifies = false
  /// Compiled functions may only use plans that are in the cache, and throw where one is missing.
  package var requiresPlans = false
  /// Microseconds an idle pool thread waits awake before it sleeps.
  package var spin = 100
  /// Path of libLLVM; nil: the usual names.
  package var llvm: String?
  /// Directory of models.
  package var models: String?
  /// Most bytes tensors may take; nil: what the machine (or its container) has.
  package var memory: Int?

  package enum CacheChoice: Sendable, Hashable {
    case standard, off
    case directory(String)
  }

  package init() {}

  /// True if someone wants to see or replace stages: kernels must then be made anew, not taken from the object cache.
  package var wantsStages: Bool { dump != nil || override != nil || log.contains(.llvm) || log.contains(.asm) }

  /// One row of the table.
  package struct Knob: Sendable {
    /// With its prefix: "AZULEJO_LOG".
    package let name: String
    /// What a value looks like: "make | require".
    package let form: String
    package let meaning: String
    let defaultText: String
    let assign: @Sendable (String, inout Knobs) -> Bool

    init(
      _ name: String, _ form: String, default defaultText: String, _ meaning: String,
      _ assign: @escaping @Sendable (String, inout Knobs) -> Bool
    ) {
      self.name = "AZULEJO_" + name
      self.form = form
      self.defaultText = defaultText
      self.meaning = meaning
      self.assign = assign
    }

    /// One of two words: the first, which is the default, is false.
    static func choice(
      _ no: String, _ yes: String, _ name: String, _ path: any WritableKeyPath<Knobs, Bool> & Sendable,
      _ meaning: String
    ) -> Knob {
      Knob(name, "\(no) | \(yes)", default: no, meaning) {
        guard $0 == no || $0 == yes else { return false }
        $1[keyPath: path] = $0 == yes
        return true
      }
    }
  }

  /// Every knob there is. `assign` answers false for a value it cannot read.
  package static let table: [Knob] = [
    Knob(
      "LOG", LogArtifact.allCases.map(\.rawValue).joined(separator: ","), default: "nothing",
      "comma list of artifacts to print to standard error"
    ) { text, knobs in
      for name in text.split(separator: ",") {
        guard let artifact = LogArtifact(rawValue: trimmed(name)) else { return false }
        knobs.log.insert(artifact)
      }
      return true
    },
    Knob("DUMP", "directory", default: "off", "write every stage of every compiled kernel there, one file each") {
      $1.dump = $0
      return true
    },
    Knob(
      "OVERRIDE", "directory", default: "off",
      "a .tile or .llvm file there named like a dumped stage replaces that stage"
    ) {
      $1.override = $0
      return true
    },
    Knob(
      "DEVICE", DeviceKind.allCases.map(\.rawValue).joined(separator: " | "), default: "cpu",
      "the device of tensors made without naming one"
    ) { text, knobs in
      guard let kind = DeviceKind(rawValue: text) else { return false }
      knobs.device = kind
      return true
    },
    Knob(
      "CACHE", "directory | off", default: "$XDG_CACHE_HOME/azulejo or ~/.cache/azulejo",
      "where compiled kernels are kept; it must be yours alone to write to"
    ) {
      $1.cache = $0 == "off" ? .off : .directory($0)
      return true
    },
    Knob("THREADS", "1...1024", default: "one per processor", "threads that run kernels, the caller's included") {
      guard let count = Int($0), (1...1024).contains(count) else { return false }
      $1.threads = count
      return true
    },
    .choice("0", "1", "STRICT", \.strict, "stop in the debugger at the first failed tensor"),
    .choice(
      "0", "1", "VERIFY", \.verifies,
      "check every graph, schedule and kernel behind what made it, and throw at the first that breaks a rule"),
    .choice(
      "0", "1", "RETRACE", \.retrace,
      "capture compiled functions again on each call, and throw at the first operation that their plan does not have"),
    .choice(
      "make", "require", "PLANS", \.requiresPlans,
      "require: throw where a compiled function has no plan in the cache, or only one of another processor or build"),
    Knob("SPIN", "0...1000000", default: "100", "microseconds an idle pool thread stays awake") {
      guard let duration = Int($0), (0...1_000_000).contains(duration) else { return false }
      $1.spin = duration
      return true
    },
    Knob("LLVM", "file", default: "libLLVM 19 where the system keeps it", "the LLVM library to load") {
      $1.llvm = $0
      return true
    },
    Knob("MODELS", "directory", default: "~/.cache/azulejo/models", "where models are looked for") {
      $1.models = $0
      return true
    },
    Knob("MEMORY", "bytes, or with suffix K, M, G", default: "what the machine has", "the most that tensors may take") {
      guard let bytes = byteCount($0), bytes > 0 else { return false }
      $1.memory = bytes
      return true
    },
  ]

  /// The settings in `environment`, and a diagnostic for each AZULEJO_ variable that is unknown or unreadable.
  package static func parsed(_ environment: [String: String]) -> (knobs: Knobs, problems: [Diagnostic]) {
    var knobs = Knobs()
    var problems: [Diagnostic] = []
    for (name, value) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix("AZULEJO_") {
      guard let knob = table.first(where: { $0.name == name }) else {
        let known = table.map(\.name).joined(separator: ", ")
        problems.append(Diagnostic(.argument, "\(name) is not a knob", remedy: "the knobs are \(known)"))
        continue
      }
      // An empty variable is an unset one: shells have no other way to unset it for one command.
      if value.isEmpty { continue }
      var changed = knobs
      if knob.assign(value, &changed) {
        knobs = changed
      } else {
        problems.append(
          Diagnostic(
            .argument, "\(name)=\(value) cannot be read", remedy: "write \(name)=\(knob.form) (\(knob.meaning))"))
      }
    }
    return (knobs, problems)
  }

  private static let process = parsed(processEnvironment())

  /// The settings of this process.
  package static var current: Knobs { process.knobs }

  /// What was wrong in this process' environment; the command line prints these.
  package static var problems: [Diagnostic] { process.problems }

  /// The page about knobs, in Markdown.
  package static var documentation: String {
    func cell(_ text: String) -> String { text.split(separator: "|").joined(separator: "\\|") }
    let rows = table.map { "| `\($0.name)` | \(cell($0.form)) | \(cell($0.defaultText)) | \(cell($0.meaning)) |" }
    return """
      # Knobs

      Made from the table in `Sources/Basics/Knobs.swift`: edit that, then run
      `AZULEJO_WRITE_DOCUMENTATION=1 swift test --filter knobs_page_is_current`.

      Environment variables, read once at the first use. They change how the stack works, never what it computes. The
      default stands in for a value that cannot be read; the command line says so.

      | name | value | default | meaning |
      |---|---|---|---|
      \(rows.joined(separator: "\n"))

      While stages are dumped or replaced, kernels are compiled anew instead of taken from the cache. A stage's file is
      called `KERNEL.STAGE`: copy it from the dump directory to the override directory, edit it, run again.

      """
  }

  private static func trimmed(_ text: Substring) -> String {
    String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }

  private static func byteCount(_ text: String) -> Int? {
    let shifts: [Character: Int] = ["K": 10, "M": 20, "G": 30]
    guard let last = text.last, let shift = shifts[last] else { return Int(text) }
    guard let count = Int(text.dropLast()) else { return nil }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
    return overflow ? nil : bytes
  }
}

/// The environment without Foundation, whose loading would cost every start of the command line.
private func processEnvironment() -> [String: String] {
  var result: [String: String] = [:]
  var entry = environ
  while let text = entry.pointee {
    let line = String(cString: text)
    if let split = line.firstIndex(of: "=") {
      result[String(line[..<split])] = String(line[line.index(after: split)...])
    }
    entry += 1
  }
  return result
}

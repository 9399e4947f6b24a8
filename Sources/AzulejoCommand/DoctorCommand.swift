// `azulejo doctor`: what is installed, what is missing, how to get it.
// Surprise: libLLVM is looked for by loading it, as the first compile does; nothing else would be the truth.
import ArgumentParser
import Basics
import CodegenLLVM
import Execution
import Targets

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Check what is installed, what is missing, and how to get it.",
    discussion: """
      Exits with 1 if something that kernels need is missing.

      Examples:
        azulejo doctor
        azulejo doctor --knobs
      """)
  @Flag(help: "List the environment variables that change how azulejo works.")
  var knobs = false
  @OptionGroup var output: OutputOptions

  private struct Finding {
    enum State: String {
      case good, missing, optional
      var mark: String {
        switch self {
        case .good: "ok     "
        case .missing: "MISSING"
        case .optional: "absent "
        }
      }
    }
    var name: String
    var state: State
    var detail: String
    var remedy: String?
  }

  func run() throws {
    if knobs {
      for knob in Knobs.table {
        let line = "\(knob.name)=\(knob.form)\n    \(knob.meaning)"
        if output.json { Console.note(line) } else { Console.print(line) }
      }
      func members(_ knob: Knobs.Knob) -> [JSON.Member] {
        [("name", knob.name), ("form", knob.form), ("meaning", knob.meaning)].map { .init($0.0, .string($0.1)) }
      }
      return output.finish([("knobs", .array(Knobs.table.map { .object(members($0)) }))])
    }
    let findings = [Self.swift, Self.llvm, Self.processor, Self.cache] + Self.models
    for finding in findings {
      var line = "\(finding.state.mark)  \(finding.name): \(finding.detail)"
      if let remedy = finding.remedy { line += "\n         what to do: \(remedy)" }
      if output.json { Console.note(line) } else { Console.print(line) }
    }
    output.finish([
      ("ok", .bool(!findings.contains { $0.state == .missing })),
      (
        "findings",
        .array(
          findings.map {
            [
              "name": .string($0.name), "state": .string($0.state.rawValue), "detail": .string($0.detail),
              "remedy": $0.remedy.map { .string($0) } ?? .null,
            ]
          })
      ),
    ])
    if findings.contains(where: { $0.state == .missing }) { throw ExitCode(1) }
  }

  private static var swift: Finding {
    let name = "Swift"
    // The version's line differs between systems, the word before it does not.
    guard let text = firstLine(of: "swift --version 2>/dev/null", containing: "Swift version") else {
      return Finding(
        name: name, state: .optional, detail: "not on PATH; needed for building only",
        remedy: "install a Swift 6.2 toolchain or later, for example with swiftly")
    }
    return Finding(name: name, state: .good, detail: text)
  }

  private static var llvm: Finding {
    do {
      try LLVMCompiler.load()
      return Finding(name: "libLLVM 19", state: .good, detail: loadedLibrary("libLLVM") ?? "found")
    } catch {
      return Finding(name: "libLLVM 19", state: .missing, detail: error.message, remedy: error.remedy)
    }
  }

  private static var processor: Finding {
    let target = TargetDescription.host
    let features = target.features.joined(separator: " ")
    return Finding(
      name: "processor", state: .good,
      detail: "\(target.name), \(target.vectorBits)-bit vectors, \(ThreadPool.shared.threadCount) threads"
        + (features.isEmpty ? "" : "; \(features)"))
  }

  private static var cache: Finding {
    let name = "kernel cache"
    guard let directory = ObjectCache.shared.directory else {
      return Finding(
        name: name, state: .optional, detail: "switched off: every start compiles", remedy: "unset AZULEJO_CACHE")
    }
    // The directory is made at the first write, so its nearest parent must allow that.
    var existing = directory[...]
    while access(String(existing), F_OK) != 0, let slash = existing.lastIndex(of: "/"), slash != existing.startIndex {
      existing = existing[..<slash]
    }
    do throws(Diagnostic) {
      _ = try CacheCommand.checkedDirectory()
      guard access(existing.isEmpty ? "/" : String(existing), W_OK) == 0 else {
        throw Diagnostic(
          .cache, "\(directory) cannot be written: \(String(cString: strerror(errno)))",
          remedy: "make it writable, or set AZULEJO_CACHE to another directory")
      }
    } catch {
      return Finding(name: name, state: .missing, detail: error.message, remedy: error.remedy)
    }
    let statistics = ObjectCache.shared.statistics
    return Finding(
      name: name, state: .good,
      detail: "\(directory), writable, \(CacheCommand.text(statistics))")
  }

  private static var models: [Finding] {
    FetchedModel.allCases.map { model in
      let isThere = model.isThere
      return Finding(
        name: "model \(model.rawValue)", state: isThere ? .good : .optional,
        detail: isThere ? model.weights : "not in \(FetchedModel.folder)",
        remedy: isThere ? nil : "scripts/fetch-models \(model.rawValue)")
    }
  }

  /// The first line with `word` of what a shell command prints.
  private static func firstLine(of command: String, containing word: String) -> String? {
    guard let pipe = popen(command, "r") else { return nil }
    defer { pclose(pipe) }
    return lines(of: pipe).first { $0.contains(word) }
  }

  /// Where the system found a library that this process has loaded.
  private static func loadedLibrary(_ name: String) -> String? {
    guard let maps = fopen("/proc/self/maps", "r") else { return nil }
    defer { fclose(maps) }
    return lines(of: maps).first { $0.contains(name) }.flatMap { line in
      line.firstIndex(of: "/").map { String(line[$0...]) }
    }
  }

  private static func lines(of file: UnsafeMutablePointer<FILE>) -> [String] {
    var line = [CChar](repeating: 0, count: 4096)
    var lines: [String] = []
    while fgets(&line, Int32(line.count), file) != nil {
      let bytes = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
      lines.append(String(decoding: bytes, as: UTF8.self))
    }
    return lines
  }
}

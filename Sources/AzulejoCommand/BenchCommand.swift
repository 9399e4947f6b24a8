// `azulejo bench`: workloads with known inputs, timed against what this machine could do at best.
// Not a comparison with other systems. Surprise: each workload's inputs are made from the names of its arrays, so another
// program can make the same and compare `check`.
import ArgumentParser
import Basics
import Foundation
import Insight

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Time workloads and hold them against this machine's ceilings.",
    discussion: """
      Workloads: \(Workload.all.map(\.name).joined(separator: ", ")).

      Times are medians with the interval that holds them with 95 % confidence. With two modes they take turns, and the
      last line says which is faster, or that there is no difference.

      Examples:
        azulejo bench pw_gelu nr_softmax
        azulejo bench gpt2_fwd --mode eager --json
        azulejo bench all --once --checks Tests/Oracle/workload_checks.json
        azulejo bench all --once --mode compiled --limits Tests/Oracle/kernel_limits.json
        azulejo bench --list
      """)

  @Argument(help: "The workloads, or all.")
  var workloads: [String] = []
  @Option(help: ArgumentHelp("How they are run (may be repeated): \(Benchmark.Mode.names).", valueName: "mode"))
  var mode: [Benchmark.Mode] = []
  @Option(help: ArgumentHelp("Seconds for each workload.", valueName: "seconds"))
  var budget = 2.0
  @Flag(help: "Run each workload once, for what it computes and moves; time nothing.")
  var once = false
  @Option(
    help: ArgumentHelp(
      "Compare with what another system computed; fail if anything differs.", valueName: "FILE.json"))
  var checks: String?
  @Option(
    help: ArgumentHelp(
      "Compare kernels and bytes with what is recorded; fail if they are worse.", valueName: "FILE.json"))
  var limits: String?
  @Flag(help: "Record kernels and bytes in the file of --limits instead of comparing.")
  var update = false
  @Flag(help: "List the workloads and leave.")
  var list = false
  @Flag(help: "Print one JSON object for each workload and mode on standard output, everything else on standard error.")
  var json = false

  private var chosen: [Workload] {
    get throws {
      if workloads == ["all"] { return Workload.all }
      return try workloads.map { try Workload.named($0) }
    }
  }

  func validate() throws {
    guard list || !workloads.isEmpty else { throw ValidationError("name workloads, or all, or --list") }
    guard !update || limits != nil && mode.count < 2 else {
      throw ValidationError("--update needs --limits and one mode")
    }
    try NumberRange.check("--budget", budget, in: NumberRange.seconds)
  }

  func run() throws {
    if list { return printList() }
    let recorded = try checks.map { path throws(Diagnostic) in try Workload.recordedChecks(path: path) }
    var known = try limits.map { path throws(Diagnostic) in
      update && !FileManager.default.fileExists(atPath: path) ? KernelLimits() : try KernelLimits(path: path)
    }
    var complaints = Complaints()
    let benchmark = Benchmark(ceilings: once ? nil : try Ceilings())
    for workload in try chosen {
      let modes = mode.isEmpty ? [.eager] : mode
      let outcomes = try benchmark.run(workload, modes: modes, budget: once ? nil : budget)
      for outcome in outcomes {
        complaints.note(outcome, against: recorded?[workload.name], known, isRecording: update)
        report(outcome, recorded?[workload.name], known)
        if update, outcome.failure == nil {
          known?.limits[workload.name] = .init(kernels: outcome.kernels, bytes: outcome.bytes)
        }
      }
      if outcomes.count > 1, !once, outcomes.allSatisfy({ $0.failure == nil }) {
        let verdict = Verdict(outcomes[1].samples, against: outcomes[0].samples)
        show("\(workload.name): \(modes[1].rawValue) against \(modes[0].rawValue): \(verdict)")
      }
    }
    if update, let limits, let known { try AtomicFile.write(known.text, to: limits) }
    try complaints.requireNone()
  }

  private func printList() {
    for workload in Workload.all {
      if json {
        Console.print("\(JSON.object([.init("name", .string(workload.name)), .init("note", .string(workload.note))]))")
      } else {
        Console.print("\(Self.padded(workload.name, 18))\(workload.note)")
      }
    }
  }

  private func report(_ outcome: Benchmark.Outcome, _ recorded: [Fingerprint]?, _ known: KernelLimits?) {
    if let failure = outcome.failure {
      Console.note("\(outcome.workload.name) \(outcome.mode.rawValue): \(failure)")
    } else {
      let agrees = recorded.map { outcome.agrees(with: $0) ? ", as recorded" : ", NOT as recorded" }
      show(Self.line(outcome) + (agrees ?? ""))
      if !update, known?.isBetter(outcome) == true {
        Console.note("\(outcome.workload.name) is better than recorded: --update says so in the file")
      }
    }
    if json { Console.print("\(outcome.json)") }
  }

  private func show(_ line: String) {
    if json { Console.note(line) } else { Console.print(line) }
  }

  private static func line(_ outcome: Benchmark.Outcome) -> String {
    let head = padded(outcome.workload.name, 17) + padded(outcome.mode.rawValue, 9)
    var parts: [String] = []
    if let time = outcome.time {
      func milliseconds(_ seconds: Double) -> String { "\(Console.rounded(seconds * 1e3, 3))" }
      parts.append(
        "\(milliseconds(time.value)) ms (\(milliseconds(time.low)) to \(milliseconds(time.high)))")
    }
    if let share = outcome.share { parts.append("\(Console.rounded(share * 100, 1)) % of the ceiling") }
    parts.append(outcome.kernels == 1 ? "1 kernel" : "\(outcome.kernels) kernels")
    parts.append("\(Console.size(outcome.bytes)), \(Console.rounded(Double(outcome.flops) / 1e9, 2)) GFLOP")
    parts.append("made ready in \(Int(outcome.compileSeconds * 1e3)) ms")
    return head + parts.joined(separator: ", ")
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(width - text.count, 1))
  }
}

/// Why the command fails in the end, when every workload has run.
private struct Complaints {
  private var worse: [String] = []
  private var differing: [String] = []
  private var failed: [String] = []

  mutating func note(
    _ outcome: Benchmark.Outcome, against recorded: [Fingerprint]?, _ known: KernelLimits?, isRecording: Bool
  ) {
    let name = "\(outcome.workload.name) \(outcome.mode.rawValue)"
    if outcome.failure != nil { return failed.append(name) }
    if let recorded, !outcome.agrees(with: recorded) { differing.append(name) }
    if !isRecording, let complaint = known?.complaint(about: outcome) { worse.append(complaint) }
  }

  func requireNone() throws(Diagnostic) {
    guard worse.isEmpty else {
      throw Diagnostic(
        .compiler, worse.joined(separator: "; "),
        remedy: "if that is meant, run the same command with --update and commit the file")
    }
    guard failed.isEmpty else {
      throw Diagnostic(
        .compiler, "could not be run: \(failed.joined(separator: ", "))", remedy: "see the messages above")
    }
    guard differing.isEmpty else {
      throw Diagnostic(
        .numerics, "the outputs of \(differing.joined(separator: ", ")) are not those recorded",
        remedy: "compare `check` of --json with the file")
    }
  }
}

extension Benchmark.Mode: ExpressibleByArgument {
  static var names: String { "eager, compiled, or dynamic (compiled with every extent a symbol)" }
}

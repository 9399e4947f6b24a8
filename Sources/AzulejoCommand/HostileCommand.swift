// `azulejo hostile`: every operation with arguments that no sensible program has, eager and compiled.
// Not a comparison with another system. Surprise: the calls are made in child processes with little memory, so that a
// crash, an endless call or too much memory is a finding and not the end.
import ArgumentParser
import Basics
import Conformance
import Foundation
import Fuzzing

struct HostileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hostile", abstract: "Call every operation with arguments that nobody should give.",
    discussion: """
      Takes recorded right calls and replaces some of their arguments: numbers beyond all limits, lists of other lengths,
      tensors of other ranks and dtypes. Each call must give an error or a value, the same eager and compiled, in time and
      within AZULEJO_MEMORY. Equal seeds give equal calls. Exit status: 0 nothing found, 1 findings.

      Examples:
        azulejo hostile --cases Tests/Oracle/pytorch_ops.json --count 10000
        azulejo hostile --cases Tests/Oracle/pytorch_ops.json --seed 1 --start 4711 --count 1
      """)

  @Option(help: ArgumentHelp("The recorded cases.", valueName: "FILE.json"))
  var cases: String
  @Option(help: "Which calls.")
  var seed = 1
  @Option(help: ArgumentHelp("The number of the first call.", valueName: "number"))
  var start = 0
  @Option(help: ArgumentHelp("How many calls.", valueName: "calls"))
  var count = 1000
  @Option(help: ArgumentHelp("Only this operator, by PyTorch's name.", valueName: "name"))
  var op: String?
  @Option(help: ArgumentHelp("Child processes; normally one per processor.", valueName: "processes"))
  var jobs: Int?
  @Option(help: ArgumentHelp("Seconds for one call; longer counts as a hang.", valueName: "seconds"))
  var limit = 10
  @Flag(help: "Make the calls in this process, for a debugger.") var inside = false
  @Flag(help: .private) var worker = false
  @OptionGroup var device: DeviceOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard start >= 0, count > 0, jobs ?? 1 > 0, limit > 0, limit < 100_000,
      !start.addingReportingOverflow(count).overflow
    else { throw ValidationError("--start is not negative, and --count, --jobs and --limit are above 0") }
  }

  func run() throws {
    if worker || inside {
      try device.choose()
      let runner = try HostileRunner(path: cases, op: op, seed: seed)
      if worker { return WorkerLoop.run(seconds: limit) { Self.outcome(runner, Int($0) ?? 0) } }
      for number in start..<(start + count) {
        Console.note("\(number): \(runner.description(number))")
        Console.note("  \(runner.run(number))")
      }
      return
    }
    let runner = try HostileRunner(path: cases, op: op, seed: seed)
    let campaign = try NumberedCampaign(
      start..<(start + count), jobs: jobs ?? ProcessInfo.processInfo.activeProcessorCount, limit: limit,
      worker: workerMaker())
    let report = try campaign.run(progress: { Console.progress("\($0.cases) calls, \($0.findings.count) findings") }) {
      number, finding in
      Console.note("\(number): \(runner.description(number))\n  \(finding)")
    }
    Console.note(
      "seed \(seed): \(report.cases) calls in \(Int(report.seconds)) s, \(report.skipped) refused, "
        + "findings: \(report.findings.count)")
    output.finish([
      ("seed", .integer(seed)), ("calls", .integer(report.cases)), ("refused", .integer(report.skipped)),
      ("seconds", .number(report.seconds)), ("findings", .integer(report.findings.count)),
    ])
    if !report.findings.isEmpty { throw ExitCode.failure }
  }

  private static func outcome(_ runner: HostileRunner, _ number: Int) -> Outcome {
    switch runner.run(number) {
    case .value: .agrees
    case .refused(let reason): .skipped(reason)
    case .finding(let text): .finding(Finding(.differs, nil, text))
    }
  }

  private func workerMaker() throws -> () -> Worker {
    guard let executable = Bundle.main.executableURL else {
      throw Diagnostic(.file, "the path of this program is unknown, so it cannot start itself again")
    }
    // In one word each: a value of its own that begins with "-" would be taken for an option.
    var arguments = ["hostile", "--worker", "--cases=\(cases)", "--seed=\(seed)", "--limit=\(limit)"]
    if let op { arguments.append("--op=\(op)") }
    if let kind = device.device { arguments.append("--device=\(kind)") }
    let memory = ProcessInfo.processInfo.environment["AZULEJO_MEMORY"] ?? "256M"
    return { [arguments] in
      Worker(executable: executable, arguments: arguments, environment: ["AZULEJO_MEMORY": memory])
    }
  }
}

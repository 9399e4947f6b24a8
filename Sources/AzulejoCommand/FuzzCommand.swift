// `azulejo fuzz`: random graphs, compiled against operation by operation against the reference.
// Not a test of a known case; a finding is printed as one. Surprise: the graphs run in child processes of the same
// program (`--worker`), so that a crash or an endless kernel is a finding and not the end.
import ArgumentParser
import Basics
import Dispatch
import Formats
import Foundation
import Fuzzing
import Synchronization

struct FuzzCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fuzz", abstract: "Compile random graphs and programs and compare what they compute.",
    discussion: """
      Every other case is a graph made from the primitives' own records, with random dtypes, strides, extents from 0 to 33,
      views, elements and calls of several sizes. It is run compiled (fused as a whole), as a kernel for each operation,
      and in the reference interpreter with bounds for rounding. The others are programs over the library's operations:
      with constants that are captured or made inside and views of them, state that is written, sizes as arguments,
      arguments in enums and dictionaries, and later calls with other sizes, ranks and dtypes. They are run eagerly, and
      compiled in three ways. What no correct machine gives is reduced to the smallest case that shows it, and printed as
      a test.

      Equal seeds give equal cases; how many of them depends on the time. Exit status: 0 nothing found, 1 findings.

      Examples:
        azulejo fuzz --seed 7 --minutes 10
        azulejo fuzz --seed 7 --start 1234 --count 1
        azulejo fuzz --graph finding.txt
      """)

  @Option(help: "Which graphs.")
  var seed = 1
  @Option(help: "How long, in minutes.")
  var minutes = 1.0
  @Option(help: ArgumentHelp("Most graphs; without it only the time counts.", valueName: "graphs"))
  var count: Int?
  @Option(help: ArgumentHelp("The number of the first graph.", valueName: "number"))
  var start = 0
  @Option(help: ArgumentHelp("Child processes; normally one per processor.", valueName: "processes"))
  var jobs: Int?
  @Option(help: ArgumentHelp("Seconds for one graph; longer counts as a hang.", valueName: "seconds"))
  var limit = 20
  @Option(help: ArgumentHelp("Stop after so many findings.", valueName: "findings"))
  var most = 10
  @Option(help: ArgumentHelp("Run the case in this file, or in this text, instead of random ones.", valueName: "case"))
  var graph: String?
  @Flag(help: "Print cases as they are found, without making them smaller.")
  var noReduction = false
  @Flag(help: .private) var worker = false
  @OptionGroup var device: DeviceOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try NumberRange.check("--minutes", minutes, in: 0.0001...525_600)
    try NumberRange.check("--limit", limit, in: 1...99_999)
    try NumberRange.check("--start", start, in: 0...NumberRange.count.upperBound)
    try NumberRange.check("--count", count, in: NumberRange.count)
    try NumberRange.check("--jobs", jobs, in: 1...1024)
    try NumberRange.check("--most", most, in: NumberRange.count)
  }

  func run() throws {
    if worker {
      try device.choose()
      return WorkerLoop.run(ways: Way.allCases, seconds: limit)
    }
    var options = Campaign.Options()
    (options.seed, options.start, options.count, options.seconds) = (seed, start, count, minutes * 60)
    (options.limit, options.mostFindings) = (limit, most)
    options.jobs = jobs ?? ProcessInfo.processInfo.activeProcessorCount
    if noReduction { options.reducing = 0 }
    let interruption = Interruption()
    let campaign = try Campaign(options, worker: workerMaker(), isCancelled: { interruption.hasCome })
    if let graph { return try runCase(graph, campaign) }
    let report = try campaign.run(progress: { Console.progress(Self.line($0, of: options)) }) { found in
      Console.progress("")
      show(found, replay: "azulejo fuzz --seed \(seed) --start \(found.number) --count 1")
    }
    Console.progress("")
    Console.note(
      "seed \(seed): \(report.cases) graphs in \(Int(report.seconds)) s, \(report.skipped) refused by the reference, "
        + "findings: \(report.findings.count)\(interruption.hasCome ? "; interrupted" : "")")
    output.finish([
      ("seed", .integer(seed)), ("graphs", .number(Double(report.cases))),
      ("skipped", .number(Double(report.skipped))), ("seconds", .number(report.seconds)),
      ("findings", .number(Double(report.findings.count))),
    ])
    if interruption.hasCome { throw ExitCode(130) }
    if !report.findings.isEmpty { throw ExitCode.failure }
  }

  private func runCase(_ given: String, _ campaign: Campaign) throws {
    let text = FileManager.default.fileExists(atPath: given) ? try MappedFile(path: given).text() : given
    let sample = try FuzzCase(text: text)
    switch campaign.outcome(of: sample) {
    case nil: throw ExitCode(130)
    case .agrees?: Console.note("agrees")
    case .skipped(let reason)?:
      throw Diagnostic(.argument, "the reference refuses the case: \(reason)", remedy: "choose other sizes")
    case .finding(let finding)?:
      let made = campaign.reduced(sample, finding)
      show(Campaign.Reduced(number: 0, sample: made.sample, finding: made.finding), replay: nil)
      throw ExitCode.failure
    }
  }

  private func show(_ found: Campaign.Reduced, replay: String?) {
    var lines = ["\(found.finding)"]
    if let replay { lines.append("the graph it was found on: \(replay)") }
    lines += ["", found.test, ""]
    for line in lines { if output.json { Console.note(line) } else { Console.print(line) } }
  }

  private static func line(_ report: Campaign.Report, of options: Campaign.Options) -> String {
    let rate = Int(Double(report.cases) / max(report.seconds, 0.001) * 60)
    return "\(report.cases) graphs, \(rate) per minute, \(report.findings.count) findings, "
      + "\(max(0, Int(options.seconds - report.seconds))) s left"
  }

  private func workerMaker() throws -> () -> Worker {
    guard let executable = Bundle.main.executableURL else {
      throw Diagnostic(.file, "the path of this program is unknown, so it cannot start itself again")
    }
    var arguments = ["fuzz", "--worker", "--limit=\(limit)"]
    if let kind = device.device { arguments.append("--device=\(kind)") }
    return { [arguments] in Worker(executable: executable, arguments: arguments) }
  }
}

/// Whether the user pressed Control-C; the second time ends the process at once.
private final class Interruption {
  private final class Flag: Sendable { let value = Atomic(false) }
  private let flag: Flag
  private let source: any DispatchSourceSignal

  init() {
    let flag = Flag()
    self.flag = flag
    signal(SIGINT, SIG_IGN)
    source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
    source.setEventHandler { if flag.value.exchange(true, ordering: .relaxed) { _exit(130) } }
    source.activate()
  }

  var hasCome: Bool { flag.value.load(ordering: .relaxed) }
}

// `azulejo conformance`: recorded cases of another system, run here and compared.
// Not a test suite of ours. Surprise: failures are the command's result, so it ends with success unless it cannot run.
import ArgumentParser
import Basics
import Conformance

struct ConformanceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "conformance", abstract: "Run recorded cases of PyTorch's operators and compare.",
    discussion: """
      The tensors are in the safetensors file beside FILE.json.

      Examples:
        azulejo conformance --cases Tests/Oracle/pytorch_ops.json
        azulejo conformance --cases Tests/Oracle/pytorch_ops.json --op softmax --device interpreter --json
      """)

  enum TierName: String, CaseIterable, ExpressibleByArgument {
    case core, later, all

    var tier: ConformanceCase.Tier? {
      switch self {
      case .core: .core
      case .later: .later
      case .all: nil
      }
    }
  }

  enum ModeName: String, CaseIterable, ExpressibleByArgument {
    case eager, compiled, dynamic, constants, failed, sizes

    /// nil: not the recorded sizes.
    var mode: ConformanceMode? {
      switch self {
      case .eager: .eager
      case .compiled: .compiled
      case .dynamic: .dynamic
      case .constants: .constants
      case .failed: .failed
      case .sizes: nil
      }
    }
  }

  @Option(help: ArgumentHelp("The recorded cases.", valueName: "FILE.json"))
  var cases: String
  @Option(help: ArgumentHelp("Which cases: core, later or all.", valueName: "tier"))
  var tier: TierName = .core
  @Option(help: ArgumentHelp("Only this operator, by PyTorch's name.", valueName: "name"))
  var op: String?
  @Option(
    help: ArgumentHelp(
      "How operations run: eager, compiled, dynamic (compiled with every extent a symbol), constants (compiled, on "
        + "constants of every kind), failed (on failed tensors), or sizes (compiled, at many sizes, against eager).",
      valueName: "mode"))
  var mode: ModeName = .eager
  @Option(help: ArgumentHelp("One case in so many, and with --mode constants every other kind.", valueName: "n"))
  var every: Int = 1
  @Flag(help: "With --mode sizes: every size is the first one of a function.")
  var thorough = false
  @OptionGroup var device: DeviceOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    try device.choose()
    let runner = try ConformanceRunner(path: cases)
    if let op, !runner.cases.contains(where: { $0.op == op }) {
      throw Diagnostic(.argument, "\(cases) has no cases of '\(op)'", remedy: "name an operator as PyTorch does")
    }
    guard let mode = mode.mode else { return sweep(runner) }
    let report = runner.run(tier: tier.tier, op: op, mode: mode, every: max(every, 1)) { line in
      let name = "\(line.conformanceCase.op) #\(line.conformanceCase.number)"
      switch line.outcome {
      case .passed:
        Console.progress(name)
        if case .fixed(let reasons)? = line.sizes {
          Console.note("fixed        \(name): \(reasons.joined(separator: "; "))")
        }
      case .failed(let reason): Console.note("failed       \(name): \(reason)")
      case .unsupported: Console.note("unsupported  \(name)")
      }
    }
    let total = report.total
    Console.note("\(total.passed) passed, \(total.failed) failed, \(total.unsupported) unsupported")
    if mode == .dynamic { Console.note("\(report.symbolic) symbolic, \(report.fixed) fixed, \(total.failed) failed") }
    if case .object(let members) = report.json { output.finish(members.map { ($0.key, $0.value) }) }
  }
  private func sweep(_ runner: ConformanceRunner) {
    let counts = runner.sweep(tier: tier.tier, op: op, every: max(every, 1), isThorough: thorough) { item, counts in
      Console.progress("\(item.op) #\(item.number): \(counts.calls) calls, \(counts.plans) plans")
      for difference in counts.differences { Console.note("differs      \(item.op) #\(item.number): \(difference)") }
    }
    Console.note(
      "\(counts.calls) calls, \(counts.refusals) refused as eager does, \(counts.plans) plans, "
        + "\(counts.differences.count) different")
    output.finish([
      ("calls", .integer(counts.calls)), ("refused", .integer(counts.refusals)), ("plans", .integer(counts.plans)),
      ("different", .integer(counts.differences.count)),
    ])
  }
}

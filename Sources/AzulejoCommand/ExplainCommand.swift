// `azulejo explain`: what became of a workload: its kernels, what each moves and computes, and what limits it.
// Not a benchmark: a few steps are run, times are the fastest of them. Surprise: without a machine card there are no
// verdicts; `azulejo calibrate` makes one.
import ArgumentParser
import Basics
import Foundation
import Insight
import LanguageModels
import Targets

struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Show a workload's kernels, their cost, and what limits them.",
    discussion: """
      Run `azulejo calibrate` once, so that kernels can be held against this machine's ceilings.

      Examples:
        azulejo explain nr_softmax
        azulejo explain gpt2_fwd --html gpt2.html
        azulejo explain --model model.gguf
        azulejo explain pw_gelu --mode eager --json
      """)

  @Argument(help: "The workload; `azulejo bench --list` lists them.")
  var workload: String?
  @Option(help: ArgumentHelp("Instead of a workload: one step of this language model (GGUF).", valueName: "file"))
  var model: String?
  @Option(help: ArgumentHelp("How it is run: \(Benchmark.Mode.names).", valueName: "mode"))
  var mode = Benchmark.Mode.compiled
  @Option(help: ArgumentHelp("Write a page for a browser.", valueName: "file"))
  var html: String?
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (workload == nil) != (model == nil) else {
      throw ValidationError("name a workload, or give --model FILE")
    }
  }

  func run() throws {
    let workload =
      if let model { try Workload.step(of: TextGenerator(path: model)) } else { try Workload.named(workload ?? "") }
    let modes: [Benchmark.Mode] = mode == .eager ? [.eager] : [mode, .eager]
    let outcomes = try Benchmark().run(workload, modes: modes, budget: 0.2)
    if let failure = outcomes[0].failure { throw failure }
    let card = try Ceilings.storedCard()
    let report = Report(outcomes[0], eager: outcomes.dropFirst().first { $0.failure == nil }, card: card)
    if let html {
      try AtomicFile.write(report.html, to: html)
      Console.note("written to \(html)")
    }
    for line in report.lines { if output.json { Console.note(line) } else { Console.print(line) } }
    if case .object(let members) = report.json { output.finish(members.map { ($0.key, $0.value) }) }
  }
}

// `azulejo replay`: whether programs launch the kernels that were recorded, in the recorded order.
// Not a test of what kernels compute: none runs. Surprise: models that are not there are left out, and it says so.
import ArgumentParser
import Basics
import Conformance
import Engine
import Foundation
import Insight
import LanguageModels
import Targets

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Compare the kernels that programs launch with those recorded.",
    discussion: """
      Programs: the workloads of `azulejo bench`, the models of the guides and the recorded operator cases, each eager,
      compiled, and compiled with every extent a symbol. Kernels are made for a processor by name and not run, so that
      equal builds record the same anywhere. Exit status: 0 equal, 1 something differs.

      Examples:
        azulejo replay Tests/Oracle/replay/x86-64-v4.txt --cases Tests/Oracle/pytorch_ops.json
        azulejo replay FILE --cases Tests/Oracle/pytorch_ops.json --target aarch64 --update
        AZULEJO_DUMP=texts azulejo replay FILE --only "pw_gelu compiled"
      """)

  @Argument(help: "What was recorded.")
  var file: String
  @Option(help: ArgumentHelp("Recorded operator cases to be replayed too.", valueName: "FILE.json"))
  var cases: String?
  @Option(help: ArgumentHelp("Only programs whose name contains this.", valueName: "text"))
  var only: String?
  @Flag(help: "Record instead of comparing.")
  var update = false
  @Option(
    help: ArgumentHelp(
      "With --update, the processor: \(TargetDescription.presets.map(\.name).joined(separator: ", ")).",
      valueName: "target"))
  var target: String?
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard update || target == nil else { throw ValidationError("--target needs --update: a recording knows its own") }
    guard !update || only == nil else { throw ValidationError("--update records all programs: leave --only out") }
  }

  func run() throws {
    let recorded = update ? nil : try Replay(path: file)
    let target = try target(recorded?.target ?? target ?? TargetDescription.host.name)
    try Engine.choose(.null, for: target)
    let replay = try replay(target)
    guard let recorded else {
      try AtomicFile.write(replay.text, to: file)
      Console.note("\(replay.rows.count) programs recorded in \(file)")
      return output.finish([("programs", .integer(replay.rows.count))])
    }
    let differences = replay.differences(from: recorded)
    for difference in differences { Console.note("differs  \(difference)") }
    let (new, missing) = replay.unmatched(with: recorded)
    if !new.isEmpty { Console.note("\(new.count) programs are not recorded, \(new[0]) the first") }
    if only == nil, !missing.isEmpty {
      Console.note("\(missing.count) recorded programs were not run, \(missing[0]) the first")
    }
    let compared = replay.rows.count - new.count
    let verdict = differences.isEmpty ? "equal" : "\(differences.count) differ"
    Console.note("\(compared) programs compared for \(target.name): \(verdict)")
    output.finish([
      ("compared", .integer(compared)), ("new", .integer(new.count)), ("missing", .integer(missing.count)),
      ("replay", differences.isEmpty ? "equal" : .array(differences.map { .string($0) })),
    ])
    if !differences.isEmpty || !new.isEmpty { throw ExitCode(1) }
  }

  private func target(_ name: String) throws -> TargetDescription {
    if let known = TargetDescription.presets.first(where: { $0.name == name }) { return known }
    throw Diagnostic(
      .argument, "no target is called '\(name)'",
      remedy: "the targets are \(TargetDescription.presets.map(\.name).joined(separator: ", "))")
  }

  private func isWanted(_ name: String) -> Bool { only.map { name.contains($0) } ?? true }

  private func replay(_ target: TargetDescription) throws -> Replay {
    var replay = Replay(target: target.name)
    for workload in Workload.all + (try models()) {
      for mode in Benchmark.Mode.allCases where isWanted("\(workload.name) \(mode.rawValue)") {
        Console.progress("\(workload.name) \(mode.rawValue)")
        try replay.record(workload, mode)
      }
    }
    if let cases {
      let runner = try ConformanceRunner(path: cases)
      for item in runner.cases where item.tier == .core {
        for mode in [ConformanceMode.eager, .compiled, .dynamic] {
          let name = "\(item.op) #\(item.number) \(mode.rawValue)"
          guard isWanted(name) else { continue }
          Console.progress(name)
          replay.record(name) { _ = runner.outcome(of: item, mode: mode) }
        }
      }
    }
    Console.progress("")
    return replay
  }

  /// The models that the guides speak of, where they are.
  private func models() throws -> [Workload] {
    var found: [Workload] = []
    if FetchedModel.smollm2.isThere {
      let generator = try TextGenerator(path: FetchedModel.smollm2.weights)
      for tokens in [1, 16] {
        var step = try Workload.step(of: generator, tokens: tokens)
        step.name = "smollm2 \(tokens)"
        found.append(step)
      }
    }
    if FetchedModel.minilm.isThere {
      let folder = (FetchedModel.minilm.weights as NSString).deletingLastPathComponent
      var embedding = Workload.embedding(by: try BertEncoder(directory: folder), tokens: 12)
      embedding.name = "minilm 12"
      found.append(embedding)
    }
    return found
  }
}

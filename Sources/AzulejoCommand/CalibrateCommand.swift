// `azulejo calibrate`: measures what this machine can do at best and keeps it for reports.
// Surprise: a quiet machine matters more than a long measurement; the fastest twentieth of the samples counts.
import ArgumentParser
import Basics
import Insight
import Targets

struct CalibrateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate", abstract: "Measure this machine's bandwidths and arithmetic peaks, and keep them.",
    discussion: """
      The card is kept in the cache directory, one for each processor and number of threads (AZULEJO_THREADS).

      Examples:
        azulejo calibrate
        azulejo calibrate --seconds 10 --json
      """)

  @Option(help: ArgumentHelp("About how long to measure.", valueName: "seconds"))
  var seconds = 5.0
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try NumberRange.check("--seconds", seconds, in: NumberRange.seconds)
  }

  func run() throws {
    let card = try Ceilings().calibrated(budget: seconds)
    // What was measured is told, also where it cannot be kept.
    let kept = Result { () throws(Diagnostic) in try card.store() }
    var lines = ["\(card.threads) threads, \(TargetDescription.host.name)"]
    func add(_ what: String, _ value: Double?, _ unit: String) {
      let text = value.map { "\(Console.rounded($0 / 1e9, 1)) \(unit)" } ?? "unsupported on this processor"
      lines.append(what + String(repeating: " ", count: max(34 - what.count, 1)) + text)
    }
    add("memory read", card.read, "GB/s")
    add("memory copied through the caches", card.copy, "GB/s")
    for (mix, bandwidth) in card.mixes.sorted(by: { ($0.key.read, $0.key.written) < ($1.key.read, $1.key.written) }) {
      add("\(mix.read) read, \(mix.written) written past caches", bandwidth, "GB/s")
    }
    add("level 2 read", card.level2, "GB/s")
    add("level 3 read", card.level3, "GB/s")
    add("f32 multiply-adds", card.f32, "GFLOP/s")
    add("bf16 products", card.bf16, "GFLOP/s")
    add("int8 products", card.int8, "GOP/s")
    if case .success(let path) = kept {
      lines.append(path.map { "kept in \($0)" } ?? "not kept: the cache is switched off")
    }
    for line in lines { if output.json { Console.note(line) } else { Console.print(line) } }
    if case .object(let members) = card.json { output.finish(members.map { ($0.key, $0.value) }) }
    _ = try kept.get()
  }
}

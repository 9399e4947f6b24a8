// `azulejo generate`: a language model answers a prompt.
import ArgumentParser
import Basics
import Execution
import Insight
import LanguageModels
import Targets

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Let a language model (GGUF) answer a prompt.",
    discussion: """
      The prompt is written in the model's own chat template; --raw sends it as it is. The text appears as it is made.

      Examples:
        azulejo generate --model model.gguf --prompt "What is the capital of France?"
        azulejo generate --model model.gguf --prompt "Write a poem." --temperature 0.8 --top-p 0.9 --seed 7
        azulejo generate --model model.gguf --prompt "Once upon a time" --raw --max-tokens 100 --json
        azulejo generate --model model.gguf --prompt "Hello" --max-tokens 1 --mode eager
      """)

  // Negative numbers and texts that begin with a dash are values too, hence `.unconditional`.
  @Option(help: ArgumentHelp("The model, a GGUF file.", valueName: "file"))
  var model: String
  @Option(parsing: .unconditional, help: ArgumentHelp("What to answer.", valueName: "text"))
  var prompt: String
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("System text instead of the one in the model's template.", valueName: "text"))
  var system: String?
  @Option(parsing: .unconditional, help: ArgumentHelp("The most tokens to make.", valueName: "n"))
  var maxTokens = 256
  @Option(
    parsing: .unconditional, help: ArgumentHelp("0: the best token always; larger: more variety.", valueName: "t"))
  var temperature = 0.0
  @Option(parsing: .unconditional, help: ArgumentHelp("Draw from the k best tokens only.", valueName: "k"))
  var topK: Int?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Draw from the best tokens that together have probability p.", valueName: "p"))
  var topP: Double?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Above 1: tokens that were there become less likely.", valueName: "r"))
  var repetitionPenalty = 1.0
  @Option(parsing: .unconditional, help: ArgumentHelp("The same seed draws the same text.", valueName: "s"))
  var seed: UInt64 = 0
  enum ModeName: String, CaseIterable, ExpressibleByArgument {
    case compiled, eager

    var mode: TextGenerator.ExecutionMode {
      switch self {
      case .compiled: .compiled
      case .eager: .eager
      }
    }
  }
  // Eager starts at once; a capture takes about 0.1 s for each of two plans, which 100 tokens pay back.
  @Option(
    help: ArgumentHelp("How the model runs: compiled (a second of preparation, once), or eager.", valueName: "mode"))
  var mode: ModeName = .compiled
  @Flag(help: "Send the prompt as it is, without a chat template.")
  var raw = false
  @Flag(name: .customLong("no-fusion"), help: "Every operation of the compiled model is a kernel of its own.")
  var isUnfused = false
  @Flag(help: "Time a step eagerly and compiled afterwards, and say what limits it.")
  var compare = false
  @OptionGroup var device: DeviceOptions
  @OptionGroup var output: OutputOptions

  private var sampling: Sampler.Options {
    Sampler.Options(
      temperature: temperature, topK: topK, topP: topP, repetitionPenalty: repetitionPenalty, seed: seed)
  }

  func validate() throws {
    if isUnfused, mode == .eager { throw ValidationError("--no-fusion is for --mode compiled") }
    try NumberRange.check("--max-tokens", maxTokens, in: NumberRange.count)
    if raw, system != nil { throw ValidationError("--system has no place in a --raw prompt") }
    do {
      _ = try Sampler(sampling)
    } catch {
      throw ValidationError(error.message + (error.remedy.map { ": \($0)" } ?? ""))
    }
  }

  func run() throws {
    try device.choose()
    Console.progress("loading \(model)")
    let generator = try TextGenerator(path: model, fuses: !isUnfused)
    let ids = raw ? generator.tokens(raw: prompt) : try generator.tokens(for: prompt, system: system)
    let loaded = CommandStart.current.elapsedSeconds
    Console.progress(
      ObjectCache.shared.isEmpty
        ? "making kernels for this machine; the next start finds them in \(ObjectCache.shared.directory ?? "no cache")"
        : "reading \(ids.count) tokens")
    var isFirst = true
    let made = try generator.generate(ids, maxTokens: maxTokens, sampling: sampling, mode: mode.mode) { piece in
      if isFirst { Console.progress("") }
      isFirst = false
      if output.json {
        Console.noteInline(piece)
        return true
      }
      return Console.put(piece)
    }
    if output.json { Console.note("") } else { _ = Console.put("\n") }
    report(generator, made, loaded: loaded)
    if compare { try compareModes(generator) }
  }

  /// Tokens per second of single steps, interleaved, and the verdict in one line.
  private func compareModes(_ generator: TextGenerator) throws {
    let step = try Workload.step(of: generator)
    let outcomes = try Benchmark().run(step, modes: [.eager, .compiled], budget: 2)
    for outcome in outcomes { if let failure = outcome.failure { throw failure } }
    func rate(_ outcome: Benchmark.Outcome) -> String {
      "\(Console.rounded(1 / Statistics.median(outcome.samples), 1)) tokens/s"
    }
    let verdict = Verdict(outcomes[1].samples, against: outcomes[0].samples)
    let seconds = Statistics.median(outcomes[1].samples)
    let gigabytes = Double(outcomes[1].bytes) / seconds / 1e9
    Console.note(
      "eager \(rate(outcomes[0])) in \(outcomes[0].kernels) kernels, compiled \(rate(outcomes[1])) in "
        + "\(outcomes[1].kernels) kernels: \(verdict)")
    let reading = try Ceilings.storedCard().map { card in
      "\(Console.rounded(100 * gigabytes * 1e9 / card.bandwidth(read: 1, written: 0), 0)) % of this machine's reading"
    }
    Console.note(
      "a compiled step moves \(Console.size(outcomes[1].bytes)) at \(Console.rounded(gigabytes, 1)) GB/s, "
        + (reading ?? "run `azulejo calibrate` to see how much of this machine that is"))
  }

  private func report(_ generator: TextGenerator, _ made: TextGenerator.Generation, loaded: Double) {
    let total = CommandStart.current.elapsedSeconds
    let times = generator.loadTimes
    let arithmetic = made.prefillSeconds + made.decodeSeconds
    let other = total - times.reading - times.vocabulary - made.preparationSeconds - arithmetic
    let peak = ProcessUsage.peakResidentBytes
    func ids(_ tokens: [Int32]) -> JSON { .array(tokens.map { .integer(Int($0)) }) }
    output.finish([
      ("prompt_tokens", ids(made.prompt)), ("tokens", ids(made.tokens)), ("text", .string(made.text)),
      ("load_seconds", .number(loaded)), ("prefill_tokens_per_second", .number(made.prefillTokensPerSecond)),
      ("decode_tokens_per_second", .number(made.decodeTokensPerSecond)), ("peak_rss_bytes", .integer(peak)),
      ("ending", .string(made.ending.rawValue)), ("read_seconds", .number(times.reading)),
      ("vocabulary_seconds", .number(times.vocabulary)), ("compile_seconds", .number(made.preparationSeconds)),
      ("arithmetic_seconds", .number(arithmetic)), ("other_seconds", .number(other)),
      ("total_seconds", .number(total)),
    ])
    func number(_ value: Double) -> String { "\(Console.rounded(value, value < 10 ? 2 : 1))" }
    Console.note(
      "\(made.prompt.count) prompt tokens at \(number(made.prefillTokensPerSecond))/s, \(made.tokens.count) tokens at "
        + "\(number(made.decodeTokensPerSecond))/s, loading \(Console.rounded(loaded, 2)) s, kernels "
        + "\(Console.rounded(made.preparationSeconds, 2)) s, at most \(Console.size(peak)) of memory")
    switch made.ending {
    case .context: Console.note("the model's context of \(generator.model.configuration.context) tokens is full")
    case .tokenLimit: Console.note("stopped after \(made.tokens.count) tokens; --max-tokens allows more")
    case .finished, .cancelled: break
    }
  }
}

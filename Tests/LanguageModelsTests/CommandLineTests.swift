// The built command as users start it: right results, and a plain sentence with a non-zero code for wrong input.
// Surprise: the command is found beside the tests' own program, where the build puts both.
import Basics
import Foundation
import TestSupport
import Testing

struct Outcome {
  var code: Int32
  var isSignal: Bool
  var output: String
  var errors: String

  /// Not a crash, not a success, and the reason in one plain sentence.
  func expectRefusal(_ code: Int32, _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(!isSignal && self.code == code, "\(self)", sourceLocation: sourceLocation)
    #expect(errors.contains("azulejo: error: "), "\(self)", sourceLocation: sourceLocation)
    for part in parts { #expect(errors.contains(part), "no '\(part)' in \(self)", sourceLocation: sourceLocation) }
  }

  func json(sourceLocation: SourceLocation = #_sourceLocation) throws -> JSON {
    let last = try #require(output.split(separator: "\n").last, "\(self)", sourceLocation: sourceLocation)
    return try JSON(parsing: String(last))
  }
}

func commandURL() throws -> URL {
  try #require(Bundle.main.executableURL).deletingLastPathComponent().appendingPathComponent("azulejo")
}

func azulejo(_ arguments: [String], _ environment: [String: String] = [:]) throws -> Outcome {
  let process = Process()
  process.executableURL = try commandURL()
  process.arguments = arguments
  let inherited = ProcessInfo.processInfo.environment.filter {
    !$0.key.hasPrefix("AZULEJO_") || $0.key == "AZULEJO_LLVM"
  }
  process.environment = inherited.merging(environment) { $1 }
  // Files, not pipes: a pipe that nobody empties would stop the process.
  let scratch = try ScratchFolder()
  func file(_ name: String) throws -> FileHandle {
    try FileHandle(forWritingTo: URL(fileURLWithPath: scratch.write([], name)))
  }
  process.standardOutput = try file("output")
  process.standardError = try file("errors")
  process.standardInput = FileHandle.nullDevice
  try process.run()
  process.waitUntilExit()
  func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: scratch.path(name))), as: UTF8.self)
  }
  return Outcome(
    code: process.terminationStatus, isSignal: process.terminationReason == .uncaughtSignal, output: try text("output"),
    errors: try text("errors"))
}

@Suite(.needs(.time)) struct CommandLineTests {
  @Test func a_text_file_as_model_is_quoted() throws {
    let scratch = try ScratchFolder()
    let file = try scratch.write("These are not weights.\n".utf8, "model.gguf")
    try azulejo(["generate", "--model", file, "--prompt", "x"]).expectRefusal(
      1, file, "These are not weights", "what to do")
  }

  @Test func a_missing_model_is_named() throws {
    try azulejo(["generate", "--model", "/no/such.gguf", "--prompt", "x"]).expectRefusal(
      1, "/no/such.gguf: no such file")
    try azulejo(["embed", "--model", "/no/such", "--text", "x"]).expectRefusal(1, "/no/such: no such file")
  }

  @Test func a_model_of_the_wrong_kind_names_the_other_command() throws {
    let scratch = try ScratchFolder()
    try azulejo(["generate", "--model", scratch.path, "--prompt", "x"]).expectRefusal(1, "is a directory")
    let file = try scratch.write("{}".utf8, "config.json")
    try azulejo(["embed", "--model", file, "--text", "x"]).expectRefusal(1, "is a file")
    try azulejo(["embed", "--model", scratch.path, "--text", "x"]).expectRefusal(1, "config.json")
    let weights = Recorded.path("minilm_3sent.safetensors")
    try azulejo(["generate", "--model", weights, "--prompt", "x"]).expectRefusal(1, "is a safetensors file")
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"), arguments: [100, 1 << 20])
  func a_truncated_model_is_recognised(count: Int) throws {
    let scratch = try ScratchFolder()
    let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: FetchedModels.smollm2))
    let file = try scratch.write(try #require(try handle.read(upToCount: count)), "cut.gguf")
    try azulejo(["generate", "--model", file, "--prompt", "x"]).expectRefusal(1, file, "what to do")
  }

  @Test func an_unknown_device_is_answered_with_the_known_ones() throws {
    try azulejo(["generate", "--model", "m", "--prompt", "x", "--device", "gpu"])
      .expectRefusal(64, "gpu", "cpu, interpreter")
    try azulejo(["generate", "--model", "m", "--prompt", "x", "--device", "cpu:7"]).expectRefusal(64, "cpu:7")
  }

  @Test(arguments: [
    (["--max-tokens", "-1"], "-1"), (["--max-tokens", "0"], "0"), (["--max-tokens", "many"], "many"),
    (["--temperature", "-0.5"], "-0.5"), (["--temperature", "nan"], "nan"), (["--top-k", "0"], "top-k"),
    (["--top-p", "1.5"], "1.5"), (["--repetition-penalty", "0"], "repetition penalty"), (["--seed", "-1"], "seed"),
    (["--raw", "--system", "x"], "--raw"), (["--no-such-option"], "no-such-option"),
  ])
  func arguments_out_of_range_are_usage_errors(arguments: [String], part: String) throws {
    let outcome = try azulejo(["generate", "--model", "m", "--prompt", "x"] + arguments)
    outcome.expectRefusal(64, part)
    #expect(outcome.errors.contains("Usage: azulejo generate"))
    #expect(outcome.output.isEmpty)
  }

  @Test(arguments: [
    (["fuzz"], ["--minutes", "--limit", "--count", "--jobs", "--most"]), (["bench", "all"], ["--budget"]),
    (["calibrate"], ["--seconds"]), (["trace", "softmax"], ["--loop"]),
    (["generate", "--model", "m", "--prompt", "x"], ["--max-tokens"]),
  ])
  func numbers_that_nothing_can_be_computed_from_are_usage_errors(command: [String], options: [String]) throws {
    for option in options {
      for number in ["1e19", "-1", "0", "nan", "inf", "9223372036854775807", "99999999999999999999999"] {
        let outcome = try azulejo(command + ["\(option)=\(number)"])
        #expect(!outcome.isSignal && outcome.code == 64, "\(option) \(number): \(outcome)")
      }
    }
  }

  @Test func control_characters_of_names_and_files_never_reach_the_terminal() throws {
    let scratch = try ScratchFolder()
    let hostile = "\u{1B}]0;title\u{7}\u{1B}[31m\u{9B}2J\u{8}\r\u{7F}"
    let file = try scratch.write("no weights \(hostile)".utf8, "model.gguf")
    let attempts = [
      ["generate", "--model", "/no/\(hostile)", "--prompt", "x"], ["generate", "--model", file, "--prompt", "x"],
      ["embed", "--model", scratch.path, "--text", hostile], ["trace", hostile], [hostile], ["explain", hostile],
      ["generate", "--model", "m", "--prompt", "x", "--device", hostile], ["fuzz", "--graph", hostile],
    ]
    for arguments in attempts {
      let outcome = try azulejo(arguments)
      #expect(!outcome.isSignal && outcome.code != 0, "\(arguments)")
      let controls = (outcome.output + outcome.errors).unicodeScalars.filter {
        $0.properties.generalCategory == .control && $0 != "\n" && $0 != "\t"
      }
      #expect(controls.isEmpty, "\(arguments): \(outcome.errors.debugDescription)")
    }
    #expect(try azulejo(attempts[0]).errors.contains("\\u001b]0;title\\u0007"))
  }

  @Test func missing_and_unknown_commands_are_usage_errors() throws {
    try azulejo(["generate"]).expectRefusal(64, "--model")
    try azulejo(["embed", "--model", "m"]).expectRefusal(64, "--text")
    try azulejo(["speak"]).expectRefusal(64, "speak")
    try azulejo(["trace", "sofmax"]).expectRefusal(64, "sofmax")
    try azulejo(["trace", "softmax", "--target", "z80"]).expectRefusal(64, "z80", "x86-64-v3")
  }

  @Test(arguments: ["generate", "embed", "trace", "devices", "doctor", "cache"])
  func every_command_has_help_with_examples(command: String) throws {
    let outcome = try azulejo([command, "--help"])
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("Examples:"))
    #expect(outcome.output.contains("  azulejo "))
    #expect(outcome.errors.isEmpty)
  }

  @Test func an_unknown_knob_is_warned_about_once() throws {
    let outcome = try azulejo(["devices"], ["AZULEJO_DEVISE": "cpu", "AZULEJO_THREADS": "none"])
    #expect(outcome.code == 0)
    #expect(outcome.errors.components(separatedBy: "AZULEJO_DEVISE").count == 2)
    #expect(outcome.errors.components(separatedBy: "AZULEJO_THREADS=none").count == 2)
  }

  @Test func lists_are_json_where_it_is_asked_for() throws {
    let knobs = try azulejo(["doctor", "--knobs", "--json"]).json()["knobs"]?.array ?? []
    #expect(knobs.count == Knobs.table.count && knobs.allSatisfy { $0["name"]?.string?.hasPrefix("AZULEJO_") == true })
    for line in try azulejo(["bench", "--list", "--json"]).output.split(separator: "\n") {
      #expect(try JSON(parsing: String(line))["name"]?.string?.isEmpty == false)
    }
    // A text of a case may be the name of what is no file, which nothing may wait for.
    try azulejo(["fuzz", "--graph", "/dev/zero"]).expectRefusal(1, "/dev/zero")
  }

  @Test func devices_and_the_cache_are_listed_as_json() throws {
    let scratch = try ScratchFolder()
    let devices = try azulejo(["devices", "--json"]).json()
    #expect(devices["devices"]?.array?.map { $0["name"]?.string } == DeviceKind.allCases.map(\.rawValue))
    let environment = ["AZULEJO_CACHE": scratch.path("kernels")]
    let size = try azulejo(["cache", "--json"], environment).json()
    #expect(size["entries"]?.int == 0)
    #expect(size["bytes"]?.int == 0)
    #expect(size["directory"]?.string == scratch.path("kernels"))
    #expect(try azulejo(["cache", "clear", "--json"], environment).json()["removed_entries"]?.int == 0)
  }

  @Test func a_cache_is_checked_without_being_changed() throws {
    let scratch = try ScratchFolder()
    let environment = ["AZULEJO_CACHE": scratch.path("kernels")]
    #expect(try azulejo(["cache", "check", "--json"], environment).json()["unusable"]?.int == 0)
    let entry = "0123456789abcdef0123456789abcdef.kernel"
    try FileManager.default.createDirectory(atPath: scratch.path("kernels"), withIntermediateDirectories: true)
    _ = try scratch.write([1, 2, 3], "kernels/\(entry)")
    for _ in 0..<2 {
      try azulejo(["cache", "check"], environment).expectRefusal(1, entry, "damaged", "azulejo cache clear")
    }
  }

  @Test func a_cache_that_is_no_directory_is_an_error_for_cache_and_doctor() throws {
    let scratch = try ScratchFolder()
    let environment = ["AZULEJO_CACHE": try scratch.write([], "file")]
    try azulejo(["cache"], environment).expectRefusal(1, scratch.path("file"), "AZULEJO_CACHE")
    let doctor = try azulejo(["doctor"], environment)
    #expect(doctor.code == 1)
    #expect(doctor.output.contains("MISSING  kernel cache"))
  }

  @Test func doctor_names_a_missing_llvm_and_how_to_get_it() throws {
    let doctor = try azulejo(["doctor"], ["AZULEJO_LLVM": "/no/libLLVM.so"])
    #expect(doctor.code == 1)
    #expect(doctor.output.contains("MISSING  libLLVM 19"))
    #expect(doctor.output.contains("apt-get install libllvm19"))
  }

  @Test func output_that_cannot_be_written_is_an_error() throws {
    let process = Process()
    process.executableURL = try commandURL()
    process.arguments = ["devices"]
    // Where there is no such file, the test has nothing to say.
    guard let full = FileHandle(forWritingAtPath: "/dev/full") else { return }
    process.standardOutput = full
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    process.waitUntilExit()
    let text = String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
    #expect(process.terminationStatus == 1)
    #expect(text.contains("azulejo: error: standard output cannot be written"))
  }

  // MARK: With models

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func generate_reports_in_one_json_line_and_a_second_start_compiles_nothing() throws {
    let scratch = try ScratchFolder()
    let environment = ["AZULEJO_CACHE": scratch.path("kernels")]
    let arguments = [
      "generate", "--model", FetchedModels.smollm2, "--prompt", "What is the capital of France?", "--json",
      "--max-tokens", "8",
    ]
    let first = try azulejo(arguments, environment)
    let json = try first.json()
    #expect(json["text"]?.string == "The capital of France is Paris.")
    #expect(json["prompt_tokens"]?.array?.count == 37)
    #expect(json["tokens"]?.array?.count == 8)
    for key in ["load_seconds", "prefill_tokens_per_second", "decode_tokens_per_second", "peak_rss_bytes"] {
      #expect(try #require(json[key]?.double) > 0, "\(key)")
    }
    #expect(first.errors.contains("The capital of France is Paris."))
    let entries = try azulejo(["cache", "--json"], environment).json()["entries"]?.int
    #expect(try #require(entries) > 0)
    let second = try azulejo(arguments, environment.merging(["AZULEJO_LOG": "cache"]) { $1 })
    #expect(try second.json()["tokens"] == json["tokens"])
    #expect(!second.errors.contains("stored "))
    #expect(try azulejo(["cache", "--json"], environment).json()["entries"]?.int == entries)
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func a_prompt_longer_than_the_context_is_refused_before_any_work() throws {
    let prompt = String(repeating: "sea ", count: 9000)
    try azulejo(["generate", "--model", FetchedModels.smollm2, "--raw", "--prompt", prompt])
      .expectRefusal(64, "context", "8192")
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func a_cache_that_cannot_be_written_is_a_warning_and_the_answer_is_the_same() throws {
    let outcome = try azulejo(
      ["generate", "--model", FetchedModels.smollm2, "--prompt", "What is the capital of France?"],
      ["AZULEJO_CACHE": "/dev/null/kernels"])
    #expect(outcome.code == 0)
    #expect(outcome.output == "The capital of France is Paris.\n")
    #expect(outcome.errors.components(separatedBy: "compiled kernels and plans are not kept").count == 2)
  }

  @Test(.enabled(if: FetchedModels.hasMinilm, "needs MiniLM: run scripts/fetch-models"))
  func embed_gives_one_embedding_for_each_text() throws {
    let outcome = try azulejo(["embed", "--model", FetchedModels.minilm, "--text", "one", "--text", "-two", "--json"])
    let embeddings = try outcome.json()["embeddings"]?.array
    #expect(embeddings?.map { $0.array?.count } == [384, 384])
    #expect(embeddings?[0] != embeddings?[1])
  }
}

// MARK: - Rough treatment

@Suite(.needs(.time)) struct CommandProcessTests {
  private static let arguments = [
    "generate", "--model", FetchedModels.smollm2, "--prompt", "What is the capital of France?", "--json",
  ]

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func processes_that_share_an_empty_cache_give_one_answer() async throws {
    let scratch = try ScratchFolder()
    let environment = ["AZULEJO_CACHE": scratch.path("kernels")]
    let texts = try await withThrowingTaskGroup(of: String?.self) { group in
      for _ in 0..<3 { group.addTask { try azulejo(Self.arguments, environment).json()["text"]?.string } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(texts == [String?](repeating: "The capital of France is Paris.", count: 3))
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func a_process_killed_while_it_compiles_leaves_a_cache_that_works() throws {
    let scratch = try ScratchFolder()
    let environment = ["AZULEJO_CACHE": scratch.path("kernels")]
    let process = Process()
    process.executableURL = try commandURL()
    process.arguments = Self.arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    // The first kernel on disk shows that it is compiling; it has more to make.
    while process.isRunning, try azulejo(["cache", "--json"], environment).json()["entries"]?.int == 0 {}
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    let outcome = try azulejo(Self.arguments, environment)
    #expect(outcome.code == 0)
    #expect(try outcome.json()["text"]?.string == "The capital of France is Paris.")
  }

  @Test(.enabled(if: FetchedModels.hasSmollm2, "needs SmolLM2: run scripts/fetch-models"))
  func a_reader_that_goes_away_ends_the_command_quietly() throws {
    let reader = Pipe()
    let process = Process()
    process.executableURL = try commandURL()
    process.arguments = Self.arguments.filter { $0 != "--json" } + ["--max-tokens", "200"]
    process.standardOutput = reader
    let errors = Pipe()
    process.standardError = errors
    try reader.fileHandleForReading.close()
    try process.run()
    process.waitUntilExit()
    let text = String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
    #expect(process.terminationReason == .exit)
    #expect(process.terminationStatus == 0, "\(text)")
    #expect(!text.contains("error"))
  }
}

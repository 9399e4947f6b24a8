// bench, calibrate and explain as users start them. Surprise: nothing here looks at a time; calibration is cut short.
import Basics
import Foundation
import TestSupport
import Testing

@Suite struct BenchCommandLineTests {
  private static let quick = ["bench", "mm_512_f32", "--once"]

  @Test func the_list_names_every_workload() throws {
    let outcome = try azulejo(["bench", "--list"])
    #expect(outcome.code == 0)
    let names = outcome.output.split(separator: "\n").compactMap { $0.split(separator: " ").first }
    #expect(names.count == 25 && names.contains("gpt2_fwd") && names.contains("decode_int4"))
  }

  @Test func an_unknown_workload_is_answered_with_the_known_ones() throws {
    try azulejo(["bench", "gelu"]).expectRefusal(64, "'gelu'", "pw_gelu")
    try azulejo(["explain", "gelu"]).expectRefusal(64, "'gelu'", "pw_gelu")
  }

  @Test func nothing_to_run_and_no_time_are_refused() throws {
    try azulejo(["bench"]).expectRefusal(64, "--list")
    try azulejo(["bench", "mm_512_f32", "--budget", "0"]).expectRefusal(64, "--budget")
    try azulejo(["calibrate", "--seconds", "-1"]).expectRefusal(64, "--seconds")
  }

  @Test func one_json_object_for_each_mode() throws {
    let outcome = try azulejo(Self.quick + ["--mode", "eager", "--mode", "compiled", "--json"])
    let objects = try outcome.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
    #expect(objects.map { $0["mode"]?.string } == ["eager", "compiled"])
    #expect(objects.allSatisfy { $0["kernels"]?.int == 1 && $0["workload"]?.string == "mm_512_f32" })
  }

  @Test func recorded_checks_are_compared() throws {
    let scratch = try ScratchFolder()
    let good = "[[22.634055, 18.048197, 29.20807, -24.197181, 1, 1, 1, 1]]"
    let bad = try scratch.write("{\"mm_512_f32\": \(good)}".utf8, "bad.json")
    try azulejo(Self.quick + ["--checks", bad]).expectRefusal(1, "mm_512_f32 eager")
    try azulejo(Self.quick + ["--checks", scratch.path("none.json")]).expectRefusal(1, "none.json")
    let list = try scratch.write("[1]".utf8, "list.json")
    try azulejo(Self.quick + ["--checks", list]).expectRefusal(1, "list.json")
  }

  @Test func more_kernels_than_recorded_are_refused() throws {
    let scratch = try ScratchFolder()
    let path = scratch.path("limits.json")
    let compiled = Self.quick + ["--mode", "compiled", "--limits", path]
    try azulejo(compiled).expectRefusal(1, "limits.json")
    #expect(try azulejo(compiled + ["--update"]).code == 0)
    #expect(try azulejo(compiled).code == 0)
    _ = try scratch.write("{\"mm_512_f32\": {\"kernels\": 0, \"bytes\": 1}}".utf8, "limits.json")
    try azulejo(compiled).expectRefusal(1, "recorded are 0 and 1", "--update")
    _ = try scratch.write("{\"mm_512_f32\": {\"kernels\": 9, \"bytes\": 1000000000}}".utf8, "limits.json")
    let better = try azulejo(compiled)
    #expect(better.code == 0 && better.errors.contains("better than recorded"), "\(better)")
  }

  @Test func plans_are_kept_and_what_is_wrong_with_one_is_a_line_of_the_log() throws {
    let scratch = try ScratchFolder()
    let environment = ["AZULEJO_CACHE": scratch.path("cache"), "AZULEJO_LOG": "cache"]
    let arguments = Self.quick + ["--mode", "compiled", "--json"]
    let required = environment.merging(["AZULEJO_PLANS": "require"]) { $1 }
    try azulejo(arguments, required).expectRefusal(1, "AZULEJO_PLANS=require", scratch.path("cache"), ".swift:")
    let first = try azulejo(arguments, environment)
    #expect(first.errors.contains("stored plan ") && first.errors.contains("stored capture "))
    let cache = try azulejo(["cache", "--json"], environment).json()
    #expect(cache["plans"]?.int == 1 && cache["captures"]?.int == 1)
    #expect(try azulejo(["cache"], environment).output.contains("1 plans of 1 captures"))
    let second = try azulejo(arguments, required)
    #expect(second.errors.contains("hit plan ") && second.errors.contains("hit capture "))
    #expect(!second.errors.contains("stored "))
    #expect(try second.json()["check"] == first.json()["check"])
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path("cache"))
    let plan = URL(filePath: scratch.path("cache/" + (try #require(names.first { $0.hasSuffix(".plan") }))))
    let whole = try Data(contentsOf: plan)
    try whole.dropLast(3).write(to: plan)
    let third = try azulejo(arguments, environment)
    #expect(third.code == 0 && third.errors.contains("broken plan ") && third.errors.contains("stored plan "))
    #expect(try third.json()["check"] == first.json()["check"])
    #expect(try Data(contentsOf: plan) == whole)
  }

  @Test func a_kept_card_gives_verdicts_and_a_page() throws {
    let scratch = try ScratchFolder()
    let environment = ["AZULEJO_CACHE": scratch.path("cache")]
    let without = try azulejo(["explain", "mm_512_f32", "--json"], environment)
    #expect(try without.json()["card"]?.isNull == true)
    let card = try azulejo(["calibrate", "--seconds", "0.01", "--json"], environment)
    #expect(try #require(try card.json()["read"]?.double) > 0)
    let page = scratch.path("page.html")
    let with = try azulejo(["explain", "mm_512_f32", "--mode", "eager", "--html", page, "--json"], environment)
    #expect(try with.json()["card"] == card.json())
    let html = String(decoding: try Data(contentsOf: URL(filePath: page)), as: UTF8.self)
    #expect(html.contains("id=\"roofline\"") && html.contains("contraction"))
  }

  @Test func a_page_that_cannot_be_written_is_named() throws {
    try azulejo(["explain", "mm_512_f32", "--mode", "eager", "--html", "/proc/page.html"])
      .expectRefusal(1, "/proc/page.html")
  }

  /// A pipe stands for the device nodes that only the superuser can lose.
  @Test func what_is_no_file_is_not_replaced_by_one() throws {
    let scratch = try ScratchFolder()
    let pipe = scratch.path("pipe")
    try #require(mkfifo(pipe, 0o600) == 0)
    let explain = ["explain", "mm_512_f32", "--mode", "eager", "--html", pipe]
    try azulejo(explain).expectRefusal(1, "\(pipe): is a pipe")
    var status = stat()
    #expect(lstat(pipe, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
  }
}

// A sample of hostile calls in the built command's child processes, and that the command finds what there is to find.
// Not all of them: `azulejo hostile --count 100000` is for the night. Surprise: memory is limited to 256 MB there.
import Basics
import Foundation
import Testing

@Suite struct HostileCommandTests {
  private let cases = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Oracle/pytorch_ops.json").path

  @Test func no_call_of_a_sample_crashes_hangs_or_differs() throws {
    let outcome = try azulejo([
      "hostile", "--cases", cases, "--seed", "11", "--count", "150", "--limit", "60", "--json",
    ])
    #expect(outcome.code == 0, "\(outcome)")
    let report = try outcome.json()
    #expect(report["calls"]?.int == 150)
    #expect(report["findings"]?.int == 0)
    // Neither are all calls refused nor none.
    #expect((20..<130).contains(report["refused"]?.int ?? 0))
  }

  @Test func equal_seeds_are_equal_calls() throws {
    let arguments = ["hostile", "--cases", cases, "--seed", "3", "--start", "17", "--count", "3", "--inside"]
    let (first, second) = (try azulejo(arguments), try azulejo(arguments))
    #expect(first.errors.contains("17: ") && first.errors == second.errors)
  }

  /// Children are given the options again: a value that looks like an option must not be one there.
  @Test(arguments: [-1, Int.min, Int.max]) func every_seed_reaches_the_child_processes(seed: Int) throws {
    let outcome = try azulejo(["hostile", "--cases=\(cases)", "--seed=\(seed)", "--count=1", "--op=exp", "--json"])
    #expect(outcome.code == 0, "\(outcome)")
    #expect(try outcome.json()["seed"]?.int == seed)
  }

  @Test func an_operator_that_is_not_recorded_is_named() throws {
    try azulejo(["hostile", "--cases", cases, "--op", "nothing"]).expectRefusal(64, "nothing")
  }
}

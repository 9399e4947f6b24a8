// Workloads: their names, what they compute, how they are counted and described.
// Surprise: only cheap ones run here; the command compares all of them with what another system recorded.
import Basics
import Foundation
import Tensors
import TensorTypes
import TestSupport
import Testing

@testable import Insight

@Suite struct WorkloadTests {
  @Test func names_are_unique_and_every_workload_costs_something() {
    #expect(Set(Workload.all.map(\.name)).count == Workload.all.count)
    #expect(Workload.all.count == 25)
    for workload in Workload.all {
      #expect(workload.traffic.total > 0 && workload.flops > 0, "\(workload.name)")
    }
  }

  @Test func an_unknown_name_is_answered_with_those_there_are() {
    let error = #expect(throws: Diagnostic.self) { try Workload.named("pw_glue") }
    #expect(error?.remedy?.contains("pw_gelu") == true)
  }

  @Test(arguments: ["mm_512_f32", "mm_512_bf16"])
  func cheap_products_give_what_was_recorded(name: String) throws {
    let recorded = try RecordedChecks.all()
    let workload = try Workload.named(name)
    let outcome = try #require(try Benchmark().run(workload, modes: [.eager], budget: nil).first)
    let check = try #require(recorded[name])
    #expect(outcome.fingerprints.count == check.count)
    for (ours, theirs) in zip(outcome.fingerprints, check) {
      #expect(ours.isClose(to: theirs, tolerance: workload.tolerance))
    }
  }

  @Test func every_workload_has_a_recorded_check() throws {
    let recorded = try RecordedChecks.all()
    for workload in Workload.all { #expect(recorded[workload.name] != nil, "\(workload.name)") }
  }

  @Test func the_mix_of_streams_follows_the_traffic() throws {
    func mix(_ name: String) throws -> [Int] {
      let mix = try Workload.named(name).traffic.mix
      return [mix.read, mix.written]
    }
    #expect(try mix("pw_gelu") == [1, 1])
    #expect(try mix("pw_chain8") == [2, 1])
    #expect(try mix("pw_adam") == [4, 3])
    #expect(try mix("decode_f32") == [1, 0])
  }

  @Test func small_compiled_workloads_take_no_more_kernels_and_bytes_than_recorded() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Oracle/kernel_limits.json").path
    let limits = try KernelLimits(path: path)
    for name in ["mm_512_f32", "mm_512_bf16", "mm_mlp", "nr_layernorm", "nr_rmsnorm"] {
      let outcome = try #require(
        try Benchmark().run(Workload.named(name), modes: [.compiled], budget: nil).first)
      #expect(outcome.failure == nil)
      #expect(limits.complaint(about: outcome) == nil)
    }
    #expect(limits.limits["nr_layernorm"]?.kernels == 1 && limits.limits["nr_rmsnorm"]?.kernels == 1)
  }

  /// State counts the steps; the output is its sum with the input.
  private static let counting = Workload(
    "counting", "", read: 8, written: 4, flops: 1, make: { ([Tensor.zeros(64)], [Tensor.ones(64)]) }
  ) { state, inputs in
    state[0] += inputs[0]
    return [state[0] * inputs[0]]
  }

  @Test func state_goes_from_step_to_step() throws {
    var (state, inputs) = try Self.counting.tensors()
    for step in 1...3 {
      let output = try Self.counting.function(&state, inputs)
      #expect(try output[0].array(as: Float.self) == [Float](repeating: Float(step), count: 64))
    }
  }

  @Test func an_outcome_tells_kernels_bytes_and_flops_of_one_step() throws {
    let outcome = try #require(try Benchmark().run(Self.counting, modes: [.eager], budget: nil).first)
    #expect(outcome.kernels == 2)
    #expect(outcome.bytes == 2 * 3 * 64 * 4)
    #expect(outcome.flops == 2 * 64)
    #expect(outcome.fingerprints.first?.values.first == 1)
    let json = outcome.json
    for key in [
      "workload", "mode", "median_ms", "low_ms", "high_ms", "check", "bytes", "flops", "fraction_of_ceiling",
      "compile_ms", "kernels",
    ] {
      #expect(json[key] != nil, "\(key)")
    }
    #expect(json["median_ms"]?.isNull == true)
  }

  @Test func compiled_and_eager_compute_the_same_from_the_same_state() throws {
    let outcomes = try Benchmark().run(Self.counting, modes: [.eager, .compiled], budget: nil)
    #expect(outcomes.allSatisfy { $0.failure == nil })
    #expect(outcomes[0].fingerprints == outcomes[1].fingerprints)
    #expect(outcomes[1].kernels > 0 && outcomes[1].kernels <= outcomes[0].kernels)
  }

  @Test(.needs(.ceilings)) func a_timed_outcome_has_an_interval_and_a_share() throws {
    let outcome = try #require(
      try Benchmark(ceilings: Ceilings()).run(Self.counting, modes: [.eager], budget: 0.001).first)
    let time = try #require(outcome.time)
    #expect(time.low <= time.value && time.value <= time.high && time.low > 0)
    #expect(outcome.samples.count >= 5)
    #expect(try #require(outcome.share) > 0)
  }

  @Test func a_step_that_fails_says_so() throws {
    let broken = Workload(
      "broken", "", read: 1, written: 1, flops: 1, make: { ([], [Tensor.zeros(2), Tensor.zeros(3)]) }
    ) { _, inputs in [inputs[0] + inputs[1]] }
    let outcomes = try Benchmark().run(broken, modes: [.eager, .compiled], budget: 0.001)
    #expect(outcomes.map { $0.failure?.kind } == [.shape, .shape])
    #expect(outcomes.allSatisfy { $0.json["error"]?.string != nil && $0.time == nil })
  }

  @Test func packed_weights_are_their_codes_times_their_scales() throws {
    // Multiples of 1/8 with the largest 7/8 (int4: scale 1/8), and of 1 with the largest 127 (int8: scale 1).
    let nibbles = Tensor((0..<128).map { Float(($0 * 5) % 15 - 7) / 8 }, shape: [2, 64])
    func byte(_ i: Int) -> Float { i % 64 == 0 ? 127 : Float((i * 37) % 255 - 127) }
    let bytes = Tensor((0..<128).map(byte), shape: [2, 64])
    let x = Tensor((0..<64).map { Float($0 % 3) - 1 }, shape: [1, 64]).converted(to: .bf16)
    for (format, weight) in [(DecodeModel.Format.int4, nibbles), (.int8, bytes)] {
      let packed = DecodeModel.Linear.packed(weight, format)
      let layer = DecodeModel.Linear(format: format, weight: packed[0], scales: packed[1])
      let exact = x.converted(to: .f32).linear(weight: weight)
      let ours: [Float] = try layer(x).array()
      let theirs: [Float] = try exact.array()
      for (a, b) in zip(ours, theirs) {
        // The sum is rounded to bf16: 8 bits.
        #expect(abs(a - b) <= abs(b) / 256 + 1e-6, "\(format)")
      }
    }
    #expect(DecodeModel.Linear.packed(nibbles, .int4)[0].shape.description == "[2, 2, 16]")
  }
}

/// What PyTorch computed for the same inputs.
enum RecordedChecks {
  static let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Oracle/workload_checks.json").path

  static func all() throws -> [String: [Fingerprint]] {
    try Workload.recordedChecks(path: path)
  }
}

// Fingerprints against numpy's, and how far apart two may be.
import Basics
import Tensors
import Testing

@testable import Insight

@Suite struct FingerprintTests {
  @Test func moments_and_samples_are_numpys() throws {
    // Recorded: check_of([default_rng(crc32("x")).standard_normal(1000, float32)]).
    let made = try Fingerprint(of: NamedArray.normal("x", 10, 100).tensor())
    let recorded: [Double] = [
      0.9758160134017421, 0.772406303815078, -0.6909228563308716, 0.28612783551216125, 0.7803592681884766,
      -0.4365854561328888, -0.34821829199790955, -1.2565608024597168,
    ]
    #expect(made.isClose(to: Fingerprint(values: recorded), tolerance: 1e-12))
    #expect(Array(made.values.dropFirst(2)) == Array(recorded.dropFirst(2)))
  }

  @Test func a_failed_tensor_has_none() {
    let failed = Tensor([1, 2] as [Float]) + Tensor([1, 2, 3] as [Float])
    #expect(throws: Diagnostic.self) { try Fingerprint(of: failed) }
  }

  @Test func moments_are_held_closer_than_samples() {
    let reference = Fingerprint(values: [1, 0.8, 0, 2, 0, 0, 0, 0])
    #expect(Fingerprint(values: [1.0009, 0.8, 0, 2, 0, 0, 0, 0]).isClose(to: reference, tolerance: 1e-3))
    #expect(!Fingerprint(values: [1.0011, 0.8, 0, 2, 0, 0, 0, 0]).isClose(to: reference, tolerance: 1e-3))
    #expect(Fingerprint(values: [1, 0.8, 0, 2.0039, 0, 0, 0, 0]).isClose(to: reference, tolerance: 1e-3))
    #expect(!Fingerprint(values: [1, 0.8, 0, 2.0041, 0, 0, 0, 0]).isClose(to: reference, tolerance: 1e-3))
  }

  @Test func nan_is_close_to_nothing() {
    let nan = Fingerprint(values: [.nan, 0, 0, 0, 0, 0, 0, 0])
    #expect(!nan.isClose(to: nan, tolerance: 1))
  }
}

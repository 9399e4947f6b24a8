import Basics
import Scalars
import TensorTypes
import Testing

@testable import TileIR

@Suite struct KernelTextTests {
  @Test(arguments: SampleKernels.all) func text_of_a_kernel_reads_back_as_the_same_text(_ kernel: Kernel) throws {
    let text = kernel.text
    let parsed = try Kernel(text: text)
    #expect(parsed.text == text)
    #expect(try Kernel(text: parsed.text) == parsed)
  }

  @Test func the_sample_of_everything_has_every_keyword() {
    let text = SampleKernels.everything().text
    for keyword in TileKeyword.allCases { #expect(text.contains(" \(keyword.rawValue)"), "\(keyword)") }
  }

  @Test func softmax_prints_as_documented() {
    #expect(
      SampleKernels.softmax().text == """
        kernel @softmax(M, N) {
          input x: f32[M, N] strides [N, 1]
          output y: f32[M, N] strides [N, 1]
          phase grid (M) {
            %0 = pid 0
            %1 = load x[%0, t1] fill -inf : f32[1, N]
            %2 = reduce.maximum %1 axes [1] : f32[1, 1]
            %3 = broadcast %2 : f32[1, N]
            %4 = subtract %1, %3 : f32[1, N]
            %5 = exp %4 : f32[1, N]
            %6 = reduce.sum %5 axes [1] : f32[1, 1]
            %7 = broadcast %6 : f32[1, N]
            %8 = divide %5, %7 : f32[1, N]
            store.streaming y[%0, t1], %8
          }
        }

        """)
  }

  @Test func words_of_the_language_do_not_clash() {
    let keywords = Set(TileKeyword.allCases.map(\.rawValue))
    #expect(keywords.isDisjoint(with: ScalarInstruction.allCases.map(\.rawValue)))
    #expect(Set(Monoid.allCases.map(\.rawValue)).isDisjoint(with: ArgMonoid.allCases.map(\.rawValue)))
  }

  @Test(arguments: [
    0.1, -0.0, 1e-45, Double.leastNonzeroMagnitude, 1.7976931348623157e308, -.infinity, .infinity, .nan, 3,
    -.nan, Double(bitPattern: 0x7ff8_0000_0000_0e01), Double(bitPattern: 0xffff_0000_0000_000e),
  ])
  func float_constants_round_trip_to_the_bit(_ value: Double) throws {
    var b = KernelBuilder(name: "k")
    b.phase([b.index(1)]) { b, _ in _ = b.full(value, [], .f64) }
    let kernel = try Kernel(text: b.finish().text)
    let constant = kernel.nodes.compactMap { node in
      if case .splat(let constant) = node.operation { constant } else { nil }
    }
    #expect(constant == [ScalarConstant(.f64, value)])
  }

  @Test func smallest_integer_round_trips() throws {
    var b = KernelBuilder(name: "k")
    b.phase([b.index(1)]) { b, _ in
      _ = b.splat(ScalarConstant(.i64, integer: .min), [])
      _ = b.coordinates(start: b.index(.min), axis: nil, [])
    }
    let text = b.finish().text
    #expect(try Kernel(text: text).text == text)
  }

  @Test func arithmetic_used_twice_is_named_and_deep_arithmetic_is_cut() throws {
    var b = KernelBuilder(name: "k")
    let n = b.argument("N")
    var deep = n
    for i in 2..<40 { deep = b.index(i % 2 == 0 ? .add : .multiply, deep, i) }
    let double = b.index(.add, deep, deep)
    let twice = b.index(.add, n, 1)
    b.phase([twice, twice, double]) { _, _ in }
    let text = b.finish().text
    #expect(text.contains(" = N + 1\n"))
    let kernel = try Kernel(text: text)
    #expect(kernel.text == text)
    #expect(kernel.text.split(separator: "\n").allSatisfy { $0.utf8.count < 120 })
  }

  @Test(arguments: [
    ("kernel @k() {\n  phase grid (1) {\n    %0 = lod x[t0] : f32[4]\n  }\n}", "3:10: the kernel has no argument lod"),
    ("kernel @k() {\n  phase grid (N) {}\n}", "2:15: the kernel has no argument N"),
    ("kernel @k() {\n  phase grid (1) {\n    %0 = pid 0\n    %0 = pid 0\n  }\n}", "4:5: %0 is defined twice"),
    ("kernel @k() {\n  phase grid (1) {\n    store y[0], %3\n", "3:11: there is no buffer y"),
    ("kernel @k() {", "1:14: expected 'let', 'input', 'output', 'scratch', 'phase' or '}', found the end"),
    ("kernel @k() {} x", "1:16: expected the end, found 'x'"),
    ("kernel @k(", "1:11: expected an argument's name, found the end"),
    ("kernel @\"k", "1:9: a quoted name without end"),
    (
      "kernel @k(N) {\n  phase grid (N + 99999999999999999999) {}\n}", "2:19: 99999999999999999999 is no 64-bit integer"
    ),
    ("kernel @k() { phase grid (1) { %0 = splat 1.x : f32[] } }", "1:43: 1.x is no number"),
    ("kernel @k() { phase grid (1) { %0 = pid 0 %1 = exp %0 : f32[%0 + 1] } }", "1:61: arithmetic on values"),
  ]) func malformed_text_names_line_and_column(_ text: String, _ message: String) {
    let error = #expect(throws: Diagnostic.self) { try Kernel(text: text) }
    #expect(error?.message.contains(message) == true, "\(String(describing: error))")
  }

  @Test func deep_nesting_is_an_error() {
    let parentheses = String(repeating: "(", count: 100_000)
    #expect(throws: Diagnostic.self) { try Kernel(text: "kernel @k() { phase grid (\(parentheses)1) {} }") }
    let loops = (0..<10_000).map { "for %\($0) < 1 {" }.joined()
    #expect(throws: Diagnostic.self) { try Kernel(text: "kernel @k() { phase grid (1) { \(loops)") }
    let calls = String(repeating: "min(", count: 100_000)
    #expect(throws: Diagnostic.self) { try Kernel(text: "kernel @k() { phase grid (1) { %0 = \(calls)") }
  }

  @Test func mutated_texts_are_refused_or_round_trip() throws {
    var random = SplitMix(state: 42)
    var accepted = 0
    let texts = SampleKernels.all.map { Array($0.text.utf8) }
    let words = [
      "%0", "%7", "t0", "N", "min(", "[", "]", "{", "}", "0", "-1", "9e9", "for", "f32", "$0", "?", "\"", "yield",
    ]
    for round in 0..<3000 {
      var bytes = texts[round % texts.count]
      for _ in 0...(random.below(3)) {
        let place = random.below(bytes.count)
        switch random.below(4) {
        case 0: bytes[place] = UInt8(32 + random.below(95))
        case 1: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.below(12)))
        case 2: bytes.insert(contentsOf: Array(words[random.below(words.count)].utf8), at: place)
        default:
          let other = random.below(bytes.count)
          bytes.swapAt(place, other)
        }
      }
      guard let kernel = try? Kernel(text: String(decoding: bytes, as: UTF8.self)) else { continue }
      accepted += 1
      let text = kernel.text
      #expect(try Kernel(text: text).text == text)
    }
    // A fuzzer that only ever sees refusals tests nothing.
    #expect(accepted > 30)
  }
}

/// A seeded generator: the same mutations in every run.
struct SplitMix {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(count, 1))) }
  /// In -1..<1, exact in f32.
  mutating func unit() -> Double { Double(Int64(next() >> 40) - (1 << 23)) / Double(1 << 23) }
}

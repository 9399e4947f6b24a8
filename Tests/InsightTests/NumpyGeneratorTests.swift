// Our random numbers against numbers recorded from numpy 2.4. Surprise: long series are compared by CRC-32 of their bytes.
import Testing

@testable import Insight

private func checksum<T>(_ values: [T]) -> UInt32 { values.withUnsafeBytes { NumpyGenerator.checksum($0) } }

extension NumpyGenerator {
  mutating func normal(_ count: Int, scale: Double = 1) -> [Float] {
    var values = [Float](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer { fillNormal($0, scale: scale) }
    return values
  }

  mutating func uniform(_ count: Int, _ low: Double = 0, _ high: Double = 1) -> [Float] {
    var values = [Float](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer { fillUniform($0, low, high) }
    return values
  }
}

@Suite struct NumpyGeneratorTests {
  @Test func a_name_is_seeded_by_its_checksum() {
    #expect(NumpyGenerator.checksum("x".utf8) == 2_363_233_923)
  }

  static let words: [(UInt32, [UInt64])] = [
    (0, [0xa30f_ebcf_d9c2_825f, 0x4510_bdf8_82d9_d721]), (1, [0x8306_bdf3_7922_e4ff, 0xf351_96bb_c152_a866]),
    (12345, [0x3a32_b18d_b2ff_c19d, 0x5117_1315_c9e4_c4de]),
    (.max, [0x407f_5fa9_30d8_fd9f, 0x3814_b22e_b968_4802]),
  ]

  @Test(arguments: words)
  func words_are_those_of_pcg64(seed: UInt32, words: [UInt64]) {
    var generator = NumpyGenerator(seed: seed)
    #expect(words.map { _ in generator.next64() } == words)
  }

  @Test func normals_are_numpys() {
    var generator = NumpyGenerator(name: "x")
    let values = generator.normal(100_000)
    #expect(
      values.prefix(6).map(\.bitPattern) == [
        3_207_651_410, 3_193_866_107, 3_212_520_519, 3_210_162_785, 3_193_428_655, 3_215_148_495,
      ])
    #expect(checksum(values) == 2_929_744_835)
  }

  @Test func the_tail_beyond_the_last_layer_is_numpys() {
    var generator = NumpyGenerator(name: "tail")
    let values = generator.normal(2645)
    #expect(values.indices.filter { abs(values[$0]) > 3.6541529 } == [879, 1715, 2644])
    #expect([879, 1715, 2644].map { values[$0].bitPattern } == [1_081_115_994, 1_081_104_542, 3_228_809_440])
  }

  @Test func scaled_normals_round_once() {
    var generator = NumpyGenerator(name: "lb")
    #expect(checksum(generator.normal(1024, scale: 0.1)) == 1_722_559_605)
  }

  @Test func uniforms_are_numpys() {
    var generator = NumpyGenerator(name: "v")
    let values = generator.uniform(100_000)
    #expect(
      values.prefix(5).map(\.bitPattern) == [1_064_943_721, 1_044_054_696, 1_053_785_002, 1_058_033_712, 1_061_792_019])
    #expect(checksum(values) == 3_131_319_551)
  }

  @Test func uniforms_of_another_span_round_twice() {
    var generator = NumpyGenerator(name: "lw")
    #expect(checksum(generator.uniform(1024, 0.5, 1.5)) == 4_198_487_229)
  }

  static let integers: [(String, Int, [Int64], UInt32)] = [
    ("labels", 32000, [8930, 4130, 11891, 17317, 8181], 2_061_845_695),
    ("idx25", 5_000_000, [4_595_759, 3_142_713, 2_932_994, 3_757_448, 3_861_365], 880_998_318),
    ("click", 2, [0, 0, 0, 0, 0], 774_495_097), ("one", 1, [0, 0, 0, 0, 0], 1_246_488_676),
    ("wide", 3_000_000_000, [2_042_727_375, 2_368_849_855, 2_978_688_930, 411_493_027, 2_389_724_169], 4_105_510_843),
  ]

  @Test(arguments: integers)
  func integers_are_numpys(name: String, bound: Int, first: [Int64], crc: UInt32) {
    var generator = NumpyGenerator(name: name)
    let values = generator.integers(1000, below: bound)
    #expect(Array(values.prefix(5)) == first)
    #expect(checksum(values) == crc)
  }
}

// Mutated files: every one is read in full or refused with a Diagnostic; none crashes or reads past its end.
// The bytes end at an inaccessible page, so a read past the end ends the test process. Mutations are seeded.

import Basics
import FuzzFormats
import Testing

@testable import Formats

/// A small generator with a seed (SplitMix64), so that a failure can be repeated.
private struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }
}

struct FuzzTests {
  /// Numbers that break arithmetic, in the widths headers use.
  private static let hostile: [[UInt8]] = [
    [0xff], [0x7f], [0x80], [0, 0], [0xff, 0xff], [0xff, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x7f], [0, 0, 0, 0x80],
    [0, 0, 0, 0, 0, 0, 0, 0], [UInt8](repeating: 0xff, count: 8), [UInt8](repeating: 0xff, count: 7) + [0x7f],
    [0, 0, 0, 0, 0, 0, 0, 0x40], [0, 0, 0, 0, 1, 0, 0, 0], Array("999999999999999999".utf8), Array("-1".utf8),
    Array("[[[[[[[[".utf8), Array("{\"".utf8), Array("\\".utf8),
  ]

  /// One to four changes of `bytes`, mostly in `interesting` positions: headers, not weights.
  private func mutated(_ bytes: [UInt8], _ interesting: [Range<Int>], _ random: inout Seeded) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      guard !bytes.isEmpty else { break }
      let region = interesting.randomElement(using: &random) ?? bytes.indices
      let position = min(Int.random(in: region, using: &random), bytes.count - 1)
      switch Int.random(in: 0..<8, using: &random) {
      case 0: bytes[position] = UInt8.random(in: .min ... .max, using: &random)
      case 1: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 2, 3:
        let value = Self.hostile.randomElement(using: &random) ?? [0]
        bytes.replaceSubrange(position..<min(position + value.count, bytes.count), with: value)
      case 4: bytes.insert(contentsOf: Self.hostile.randomElement(using: &random) ?? [0], at: position)
      case 5:
        bytes.removeSubrange(position..<min(position + Int.random(in: 1...9, using: &random), bytes.count))
      case 6:
        let count = min(Int.random(in: 1...40, using: &random), bytes.count - position)
        let target = Int.random(in: 0...bytes.count, using: &random)
        bytes.insert(contentsOf: Array(bytes[position..<position + count]), at: target)
      default: bytes.removeLast(Int.random(in: 0..<bytes.count - position, using: &random))
      }
    }
    return bytes
  }

  /// Reads the file as it is, then `count` mutations of it; some must survive and some must not, or nothing was tried.
  private func fuzz(
    _ format: FuzzedFormat, _ name: String, _ interesting: (Int) -> [Range<Int>], count: Int
  ) throws {
    let bytes = try RecordedFiles.bytes(name)
    #expect(format.fuzzOnce(bytes) == nil, "the file itself is valid")
    var random = Seeded(state: 20_261_123)
    var refused = 0
    for _ in 0..<count where format.fuzzOnce(mutated(bytes, interesting(bytes.count), &random)) != nil { refused += 1 }
    #expect(refused > count / 10 && refused < count, "\(refused) of \(count) were refused")
  }

  @Test func mutated_gguf_files_are_read_or_refused() throws {
    try fuzz(.gguf, "quantized.gguf", { _ in [0..<40, 40..<900, 900..<3400] }, count: 2500)
  }

  @Test func mutated_safetensors_files_are_read_or_refused() throws {
    try fuzz(.safetensors, "dtypes.safetensors", { _ in [0..<16, 8..<860] }, count: 2500)
  }

  @Test func mutated_npy_files_are_read_or_refused() throws {
    try fuzz(.npy, "version1.npy", { _ in [0..<12, 10..<128] }, count: 2500)
    try fuzz(.npy, "version3.npy", { _ in [0..<12, 10..<128] }, count: 2500)
  }

  @Test func mutated_npz_files_are_read_or_refused() throws {
    try fuzz(.npz, "zip64.npz", { [0..<$0, $0 - 98..<$0, $0 - 260..<$0] }, count: 2500)
    try fuzz(.npz, "deflated.npz", { [0..<$0, $0 - 22..<$0, $0 - 1500..<$0] }, count: 1500)
  }
}

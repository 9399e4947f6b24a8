// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"), and how
// words become floats. Not a stateful generator. Surprise: 32-bit words live in i64, whose product has all the bits.
import TensorTypes

extension ScalarExpr {
  /// The four words (i64 in 0..<2^32) for a 64-bit counter and key (i64); the counter's upper two words are 0.
  package static func philox(counter: ScalarExpr, key: ScalarExpr) -> [ScalarExpr] {
    let zero = counter - counter
    return philox(counter: [low(counter), high(counter), zero, zero], key: [low(key), high(key)])
  }

  /// The four words for four counter words and two key words, each an i64 in 0..<2^32.
  package static func philox(counter: [ScalarExpr], key: [ScalarExpr]) -> [ScalarExpr] {
    var words = counter
    var (k0, k1) = (key[0], key[1])
    for round in 0..<10 {
      if round > 0 {
        k0 = low(k0 + 0x9E37_79B9)
        k1 = low(k1 + 0xBB67_AE85)
      }
      let first = words[0] * 0xD251_1F53
      let second = words[2] * 0xCD9E_8D57
      words = [
        exclusive(exclusive(high(second), words[1]), k0), low(second),
        exclusive(exclusive(high(first), words[3]), k1), low(first),
      ]
    }
    return words
  }

  private static func low(_ x: ScalarExpr) -> ScalarExpr { .apply(.and, x, 0xffff_ffff) }
  private static func high(_ x: ScalarExpr) -> ScalarExpr { .apply(.shiftRightLogical, x, 32) }
  private static func exclusive(_ a: ScalarExpr, _ b: ScalarExpr) -> ScalarExpr { .apply(.xor, a, b) }

  /// An f32 in [0, 1): the upper 24 bits of a word.
  package static func uniform(_ word: ScalarExpr) -> ScalarExpr {
    upper24(word) * 0x1p-24
  }

  /// Two independent standard normal f32 from two words (G. Box and M. Muller).
  package static func normals(_ first: ScalarExpr, _ second: ScalarExpr) -> (ScalarExpr, ScalarExpr) {
    // In (0, 1]: the logarithm of 0 must not appear.
    let positive = (upper24(first) + 1.0) * 0x1p-24
    let radius = squareRoot(-2.0 * .apply(.log, positive))
    let angle = uniform(second) * 6.283185307179586
    return (radius * .apply(.cos, angle), radius * .apply(.sin, angle))
  }

  private static func upper24(_ word: ScalarExpr) -> ScalarExpr {
    // By i32: many machines convert no 64-bit integers.
    ScalarExpr.apply(.shiftRightLogical, word, 8).converted(to: .i32).converted(to: .f32)
  }
}

// Reproducible random numbers (SplitMix64): small, and the same everywhere.
// Not for cryptography, nor for tensors, which have Philox. Surprise: it can be made from a text, so that what has a name
// has numbers of its own, whatever was drawn before it.

package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  package init(seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

  /// The numbers of `name` under `seed`.
  package init(seed: Int, name: String) {
    self.init(seed: name.utf8.reduce(seed) { $0 &* 31 &+ Int($1) &+ 7 })
    _ = next()
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  package mutating func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &self) }
  package mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
  /// True once in `n` times, on average.
  package mutating func once(in n: Int) -> Bool { below(n) == 0 }
}

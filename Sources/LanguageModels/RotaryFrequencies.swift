// How fast each pair of a head's elements turns from position to position, and what the turned pair is scaled by.
// Not the rotation itself. Surprise: all ways to stretch a model's context (linear, YaRN, Llama 3's factors) only choose
// these numbers, so the model runs the same kernels with any of them.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Angles per position of the pairs of a head that are rotated; the elements after them stay as they are.
struct RotaryFrequencies: Sendable {
  /// Radians per position, one per pair.
  var angles: [Double]
  /// Cosines and sines are multiplied by this.
  var magnitude: Double = 1

  /// base^(-2i / width) for the pairs of `width` elements (Su 2021).
  init(base: Double, width: Int) {
    angles = (0..<width / 2).map { pow(base, -2 * Double($0) / Double(width)) }
  }

  /// Divides each angle by its own factor: how Llama 3.1 is stretched (`rope_freqs.weight`).
  mutating func divide(by factors: [Float]) {
    for (i, factor) in factors.enumerated() { angles[i] /= Double(factor) }
  }

  /// How a context is stretched.
  struct Scaling: Sendable, Hashable {
    enum Kind: String, Sendable, Hashable, CaseIterable {
      case none, linear, yarn
    }
    var kind = Kind.none
    /// Positions are divided by it.
    var factor = 1.0
    /// Tokens that the model was trained for at first.
    var originalContext = 1
    /// Multiplies the magnitude.
    var attention = 1.0
    /// The whole magnitude of YaRN, instead of the one that follows from the factor.
    var magnitude: Double?
    /// How much of the magnitude attention takes back by itself (DeepSeek's `mscale_all_dim`).
    var logMultiplier = 0.0
    /// 1 mixes turned and stretched angles as YaRN says, 0 stretches all.
    var extrapolation = 1.0
    /// Pairs that turn more often than this in the original context are not stretched.
    var fastTurns = 32.0
    /// Pairs that turn less often than this are stretched by the whole factor.
    var slowTurns = 1.0
  }

  /// Stretches the context.
  mutating func stretch(_ scaling: Scaling, base: Double, width: Int) {
    magnitude *= scaling.attention
    switch scaling.kind {
    case .none: break
    case .linear: for i in angles.indices { angles[i] /= scaling.factor }
    case .yarn:
      guard scaling.extrapolation != 0 else {
        for i in angles.indices { angles[i] /= scaling.factor }
        return
      }
      let growth = scaling.factor > 1 ? 0.1 * log(scaling.factor) : 0
      magnitude *= scaling.magnitude ?? (1 + growth) / (1 + growth * scaling.logMultiplier)
      // Peng 2023: the pair that turns `turns` times in the original context.
      func pair(_ turns: Double) -> Double {
        Double(width) * log(Double(scaling.originalContext) / (turns * 2 * .pi)) / (2 * log(base))
      }
      let low = max(0, pair(scaling.fastTurns).rounded(.down))
      let high = min(Double(width - 1), pair(scaling.slowTurns).rounded(.up))
      for i in angles.indices {
        let ramp = min(1, max(0, (Double(i) - low) / max(0.001, high - low)))
        let kept = (1 - ramp) * scaling.extrapolation
        angles[i] *= kept + (1 - kept) / scaling.factor
      }
    }
  }
}

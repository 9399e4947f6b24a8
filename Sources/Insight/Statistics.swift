// What a handful of noisy timings says: medians, intervals by resampling, and whether two of them differ.
// Not a timer. Surprise: the resampling has a fixed seed, so that equal samples give equal intervals.

/// A value and the interval that holds it with the asked-for confidence.
package struct Estimate: Sendable, Hashable {
  package var value: Double
  package var low: Double
  package var high: Double

  package init(_ value: Double, _ low: Double, _ high: Double) {
    self.value = value
    self.low = low
    self.high = high
  }
}

package enum Statistics {
  /// The middle value, or the mean of the two; NaN of nothing.
  package static func median(_ values: [Double]) -> Double { quantile(values, 0.5) }

  /// Linear between neighbours, as numpy's default; NaN of nothing.
  package static func quantile(_ values: [Double], _ share: Double) -> Double {
    quantile(sorted: values.sorted(), share)
  }

  static func quantile(sorted values: [Double], _ share: Double) -> Double {
    guard !values.isEmpty else { return .nan }
    let position = min(max(share, 0), 1) * Double(values.count - 1)
    let below = Int(position)
    let above = min(below + 1, values.count - 1)
    return values[below] + (values[above] - values[below]) * (position - Double(below))
  }

  /// The median with a percentile bootstrap interval. One sample is its own interval.
  package static func median(
    _ samples: [Double], confidence: Double, resamples: Int = 2000
  ) -> Estimate {
    interval(of: median(samples), confidence, resamples) { random in
      median(random.resampled(samples))
    }
  }

  /// The ratio of two medians, `a` over `b`. Samples of one index were taken side by side and are resampled together, so
  /// that a disturbance of both cancels; series of unequal length are resampled apart.
  package static func ratio(
    _ a: [Double], _ b: [Double], confidence: Double = 0.95, resamples: Int = 2000
  ) -> Estimate {
    let isPaired = a.count == b.count
    return interval(of: median(a) / median(b), confidence, resamples) { random in
      guard isPaired else { return median(random.resampled(a)) / median(random.resampled(b)) }
      let places = a.map { _ in random.index(below: a.count) }
      return median(places.map { a[$0] }) / median(places.map { b[$0] })
    }
  }

  private static func interval(
    of value: Double, _ confidence: Double, _ resamples: Int, _ draw: (inout Resampling) -> Double
  ) -> Estimate {
    guard value.isFinite else { return Estimate(value, value, value) }
    var random = Resampling()
    let draws = (0..<resamples).map { _ in draw(&random) }.sorted()
    let tail = (1 - confidence) / 2
    return Estimate(value, quantile(sorted: draws, tail), quantile(sorted: draws, 1 - tail))
  }

  /// SplitMix64 from a fixed start.
  private struct Resampling {
    var state: UInt64 = 0x417A_756C_656A_6F21

    mutating func index(below bound: Int) -> Int {
      state &+= 0x9E37_79B9_7F4A_7C15
      var word = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
      word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
      return Int((word ^ word >> 31).multipliedFullWidth(by: UInt64(bound)).high)
    }

    mutating func resampled(_ values: [Double]) -> [Double] {
      values.map { _ in values[index(below: values.count)] }
    }
  }
}

/// What may be said about the time of one series against another's.
package enum Verdict: Sendable, Hashable, CustomStringConvertible {
  /// How many times as fast the first is.
  case faster(Estimate)
  /// How many times as slow the first is.
  case slower(Estimate)
  /// The interval of the ratio holds 1.
  case noDifference

  /// - Parameters: seconds of the one and of the other, taken in turns.
  package init(_ a: [Double], against b: [Double], confidence: Double = 0.95) {
    let ratio = Statistics.ratio(a, b, confidence: confidence)
    if ratio.high < 1 {
      self = .faster(Estimate(1 / ratio.value, 1 / ratio.high, 1 / ratio.low))
    } else if ratio.low > 1 {
      self = .slower(ratio)
    } else {
      self = .noDifference
    }
  }

  package var description: String {
    switch self {
    case .faster(let estimate): "\(Self.text(estimate)) faster"
    case .slower(let estimate): "\(Self.text(estimate)) slower"
    case .noDifference: "no difference"
    }
  }

  private static func text(_ estimate: Estimate) -> String {
    func short(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
    return "\(short(estimate.value))x (\(short(estimate.low))-\(short(estimate.high)))"
  }
}

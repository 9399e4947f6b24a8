// Medians, intervals and verdicts on series whose answer is known.
import Foundation
import Testing

@testable import Insight

/// Normal numbers from a named seed, so that no run differs from another.
private func normal(_ name: String, _ count: Int, mean: Double, deviation: Double) -> [Double] {
  var generator = NumpyGenerator(name: name)
  return generator.normal(count).map { mean + deviation * Double($0) }
}

@Suite struct StatisticsTests {
  @Test func quantiles_are_linear_between_neighbours() {
    #expect(Statistics.median([3, 1, 2]) == 2)
    #expect(Statistics.median([4, 1, 2, 3]) == 2.5)
    #expect(Statistics.quantile([10, 20, 30, 40, 50], 0.25) == 20)
    #expect(Statistics.quantile([0, 1], 0.9) == 0.9)
    #expect(Statistics.median([]).isNaN)
  }

  @Test func one_sample_is_its_own_interval() {
    #expect(Statistics.median([7], confidence: 0.95) == Estimate(7, 7, 7))
  }

  @Test func equal_samples_give_equal_intervals() {
    let samples = normal("repeat", 40, mean: 5, deviation: 1)
    #expect(Statistics.median(samples, confidence: 0.95) == Statistics.median(samples, confidence: 0.95))
  }

  @Test func an_interval_holds_the_median_about_as_often_as_promised() {
    // 90 % of 300 intervals: 270, deviation 5.2; the percentile bootstrap of a median is a little conservative.
    var hits = 0
    for trial in 0..<300 {
      let estimate = Statistics.median(
        normal("trial\(trial)", 31, mean: 2, deviation: 0.5), confidence: 0.9, resamples: 300)
      if estimate.low <= 2, estimate.high >= 2 { hits += 1 }
    }
    #expect(hits > 250 && hits < 295)
  }

  @Test func more_samples_narrow_the_interval() {
    let few = Statistics.median(normal("few", 20, mean: 1, deviation: 0.1), confidence: 0.95)
    let many = Statistics.median(normal("many", 2000, mean: 1, deviation: 0.1), confidence: 0.95)
    // By the square root of 100; half of that leaves room for chance.
    #expect((many.high - many.low) * 5 < few.high - few.low)
    // The median's standard error is 1.2533 * deviation / sqrt(n): an interval of 95 % is 3.92 of it.
    #expect(abs((many.high - many.low) - 3.92 * 1.2533 * 0.1 / 2000.0.squareRoot()) < 0.004)
  }

  @Test func series_of_one_distribution_do_not_differ() {
    let verdict = Verdict(
      normal("left", 60, mean: 1, deviation: 0.05), against: normal("right", 60, mean: 1, deviation: 0.05))
    #expect(verdict == .noDifference)
    #expect(verdict.description == "no difference")
  }

  @Test func half_the_time_is_twice_as_fast() {
    let fast = normal("fast", 60, mean: 1, deviation: 0.05)
    let slow = normal("slow", 60, mean: 2, deviation: 0.1)
    guard case .faster(let by) = Verdict(fast, against: slow) else {
      Issue.record("not faster")
      return
    }
    #expect(by.low < by.value && by.value < by.high)
    #expect(abs(by.value - 2) < 0.1)
    guard case .slower(let again) = Verdict(slow, against: fast) else {
      Issue.record("not slower")
      return
    }
    #expect(abs(again.value - 2) < 0.1)
  }

  @Test func a_disturbance_of_both_cancels() {
    // Every sample is disturbed by up to a factor of 4, its neighbour alike: only pairs can tell 3 % apart.
    let weather = normal("weather", 80, mean: 0, deviation: 0.5).map { pow(2, $0) }
    let a = weather.map { $0 * 0.97 }
    #expect(Verdict(a, against: weather).description.hasSuffix("faster"))
    #expect(Verdict(Array(a.dropLast()), against: weather) == .noDifference)
  }

  @Test func series_taken_in_turns_have_one_length() throws {
    var runs = [0, 0]
    let series = try Stopwatch.interleaved(
      budget: 0, fewest: 3, shortest: 0, [{ runs[0] += 1 }, { runs[1] += 1 }])
    #expect(series.map(\.count) == [3, 3])
    // A warm-up, a trial and three samples.
    #expect(runs == [5, 5])
    #expect(series.allSatisfy { $0.allSatisfy { $0 >= 0 } })
  }
}

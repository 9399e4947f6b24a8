// Timing by ratio: candidates and ceilings take turns in one run, medians are compared.
// Not a test: a shared machine wanders by half. Surprise: the ceiling is measured between the candidate's own samples.
import Foundation
import Insight

/// Median with the middle half's bounds.
struct Spread {
  var median: Double
  var low: Double
  var high: Double

  init(_ samples: [Double]) {
    median = Statistics.median(samples)
    low = Statistics.quantile(samples, 0.25)
    high = Statistics.quantile(samples, 0.75)
  }
}

/// Runs all bodies in turn for about `budget` seconds; seconds per run, one Spread per body.
func interleaved(budget: Double, _ bodies: [() throws -> Void]) throws -> [Spread] {
  try Stopwatch.interleaved(budget: budget, shortest: 0, bodies).map { Spread($0) }
}

struct Row {
  var name: String
  var value: String
  var goal: String
  var reached: Bool?
}

func show(_ row: Row) {
  let mark = row.reached.map { $0 ? "reached" : "MISSED" } ?? ""
  func padded(_ text: String, _ width: Int) -> String {
    text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
  }
  print(padded(row.name, 22) + padded(row.value, 62) + padded(row.goal, 34) + mark)
}

func number(_ value: Double, _ digits: Int = 1) -> String { String(format: "%.\(digits)f", value) }

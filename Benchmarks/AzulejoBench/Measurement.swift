// Timing by ratio: candidates and ceilings take turns in one run, medians are compared.
// Not a test: a shared machine wanders by half. Surprise: the ceiling is measured between the candidate's own samples.
import Foundation

/// Median with the middle half's bounds.
struct Spread {
  var median: Double
  var low: Double
  var high: Double

  init(_ samples: [Double]) {
    let sorted = samples.sorted()
    median = sorted[sorted.count / 2]
    low = sorted[sorted.count / 4]
    high = sorted[sorted.count * 3 / 4]
  }
}

enum Clock {
  static func seconds(_ body: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    let duration = try clock.measure(body)
    return Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }
}

/// Runs all bodies in turn for about `budget` seconds, after one warm-up each; seconds per run, one Spread per body.
func interleaved(budget: Double, _ bodies: [() throws -> Void]) throws -> [Spread] {
  var samples = [[Double]](repeating: [], count: bodies.count)
  for body in bodies { try body() }
  var spent = 0.0
  repeat {
    for (i, body) in bodies.enumerated() {
      let time = try Clock.seconds(body)
      samples[i].append(time)
      spent += time
    }
  } while spent < budget || samples[0].count < 5
  return samples.map { Spread($0) }
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

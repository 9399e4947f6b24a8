// Takes samples of several bodies in turns, so that what disturbs the machine disturbs all of them.
// Not statistics. Surprise: one short body is run many times for a sample, for the clock's sake.

package enum Stopwatch {
  /// Seconds that `body` takes.
  package static func seconds(_ body: () throws -> Void) rethrows -> Double {
    let started = ContinuousClock.now
    try body()
    return (ContinuousClock.now - started) / .seconds(1)
  }

  /// Runs the bodies in turns for about `budget` seconds after one warm-up each.
  /// - Returns: seconds per run, one series per body; all series have one length, at least `fewest`.
  package static func interleaved(
    budget: Double, fewest: Int = 5, shortest: Double = 0.002, _ bodies: [() throws -> Void]
  ) throws -> [[Double]] {
    var rounds: [Int] = []
    for body in bodies {
      try body()
      let once = try seconds(body)
      rounds.append(max(1, min(1000, Int(shortest / max(once, 1e-7)))))
    }
    var samples = [[Double]](repeating: [], count: bodies.count)
    var spent = 0.0
    while spent < budget || (samples.first?.count ?? fewest) < fewest {
      for (i, body) in bodies.enumerated() {
        let time = try seconds { for _ in 0..<rounds[i] { try body() } }
        samples[i].append(time / Double(rounds[i]))
        spent += time
      }
    }
    return samples
  }
}

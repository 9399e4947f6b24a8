// From a failing case to the smallest that fails in the same way: delta debugging, greedy, until no step is left.
// Not a proof of minimality. Surprise: it does not run cases itself; who calls it decides where a crash may happen.

package struct Reducer {
  /// Runs a case; nil stops the search.
  let run: (FuzzCase) -> Outcome?

  package init(run: @escaping (FuzzCase) -> Outcome?) { self.run = run }

  /// The smallest case found, and what it comes to.
  package func reduced(_ sample: FuzzCase, _ finding: Finding) -> (sample: FuzzCase, finding: Finding) {
    var best = (sample: sample, finding: finding)
    var tried: Set<FuzzCase> = [sample]
    search: while true {
      for candidate in best.sample.smaller where tried.insert(candidate).inserted {
        guard let outcome = run(candidate) else { return best }
        if let found = outcome.finding, found.isAlike(finding) {
          best = (candidate, found)
          continue search
        }
      }
      return best
    }
  }
}

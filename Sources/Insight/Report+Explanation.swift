// What a compiled function says about itself, put into a report: guards, breaks, recompiles.
// Surprise: times and bytes are not here; they come from the launches of a call (Report+Outcome).
import Basics
import Capture

extension Report {
  /// The report with what `explanation` knows besides kernels.
  package func adding(_ explanation: Explanation) -> Report {
    var report = self
    report.guards += explanation.guards.map {
      Guard($0.condition, cause: explanation.plans > 1 ? "\($0.cause), plan \($0.plan)" : $0.cause, seconds: $0.seconds)
    }
    report.breaks += explanation.breaks.map { stop in
      Break(
        stop.id, reason: stop.isOpen ? "\(stop.reason); the function runs on each call" : stop.reason,
        place: stop.place.map { "\($0)" } ?? "an unknown place", suggestion: stop.suggestion, values: stop.values)
    }
    // The first capture is no recompile.
    report.recompiles += explanation.captures.dropFirst().map {
      Recompile($0.reasons.joined(separator: "; "), place: "\(explanation.place)", seconds: $0.seconds)
    }
    report.notes += explanation.loops.map { "\($0)".trimmingIndent } + explanation.prints.map { "\($0)".trimmingIndent }
    report.notes += explanation.notes
    report.plannedPeak = explanation.predictedPeak
    return report
  }
}

extension String {
  fileprivate var trimmingIndent: String { String(drop { $0 == " " }) }
}

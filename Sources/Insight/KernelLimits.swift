// How many kernels and bytes each compiled workload may take: a file under review, so that a worse number is seen.
// Not a measurement of time. Surprise: both numbers count; fewer kernels that move more bytes are worse.
import Basics
import Foundation

/// Recorded kernels and bytes by workload.
package struct KernelLimits: Sendable, Hashable {
  package struct Limit: Sendable, Hashable {
    package var kernels: Int
    package var bytes: Int
    package init(kernels: Int, bytes: Int) {
      self.kernels = kernels
      self.bytes = bytes
    }
  }

  package var limits: [String: Limit]

  package init(_ limits: [String: Limit] = [:]) { self.limits = limits }

  /// - Throws: a Diagnostic if the file cannot be read or is something else.
  package init(path: String) throws(Diagnostic) {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Diagnostic(.file, "\(path) cannot be read", remedy: "give the path of recorded limits")
    }
    guard let members = try JSON(parsing: data).members else {
      throw Diagnostic(.format, "\(path) is no JSON object of limits")
    }
    limits = [:]
    for member in members {
      guard let kernels = member.value["kernels"]?.int, let bytes = member.value["bytes"]?.int else {
        throw Diagnostic(.format, "\(path): '\(member.key)' has no kernels and bytes")
      }
      limits[member.key] = Limit(kernels: kernels, bytes: bytes)
    }
  }

  /// What is worse than recorded in `outcome`; nil if nothing is.
  package func complaint(about outcome: Benchmark.Outcome) -> String? {
    let name = outcome.workload.name
    guard let limit = limits[name] else { return "\(name) has no recorded limit" }
    if outcome.kernels <= limit.kernels, outcome.bytes <= limit.bytes { return nil }
    return "\(name) takes \(outcome.kernels) kernels and \(outcome.bytes) bytes, recorded are "
      + "\(limit.kernels) and \(limit.bytes)"
  }

  /// Whether `outcome` is better than recorded, so that the file could say less.
  package func isBetter(_ outcome: Benchmark.Outcome) -> Bool {
    guard let limit = limits[outcome.workload.name], complaint(about: outcome) == nil else { return false }
    return outcome.kernels < limit.kernels || outcome.bytes < limit.bytes
  }

  /// One workload on a line, in the order of `Workload.all`.
  package var text: String {
    let known = Workload.all.compactMap { workload in limits[workload.name].map { (workload.name, $0) } }
    let lines = known.map { "  \"\($0)\": {\"kernels\": \($1.kernels), \"bytes\": \($1.bytes)}" }
    return "{\n" + lines.joined(separator: ",\n") + "\n}\n"
  }
}

// What is said about plans on disk when somebody asks: whether they are of use here, and why one that must be there is not.
// Not their format (PlanRecord+Bytes). Surprise: a plan of another processor or build has another name, so the one that
// was meant is found by the function that it is of.
import Basics
import Execution

/// Whether compiled functions may only use plans that are on disk: the knob, unless a task says otherwise.
package enum StoredPlans {
  @TaskLocal package static var areRequired = Knobs.current.requiresPlans

  /// Reads a plan as whoever it is for would, for a function of up to 64 sources.
  ///
  /// - Throws: `Diagnostic(.cache)` if the bytes are not a whole record.
  package static func check(_ bytes: [UInt8]) throws(Diagnostic) {
    let record = try PieceRecord(serialised: bytes, for: PieceRecord.head(of: bytes), sourceCount: 64)
    for part in [record.frozen, record.rest] { _ = part?.memoryPlan }
  }
}

extension Engine {
  /// Why an entry of the cache is of no use here; nil: it is of use, or nothing is known against it. Plans say what they
  /// are for; kernels are named after the processor they are for, so that those of others only lie there.
  package func objection(to kind: ObjectCache.Kind, _ bytes: [UInt8]) -> String? {
    do throws(Diagnostic) {
      switch kind {
      case .kernel: _ = try ExecutableImage(serialised: bytes)
      case .plan:
        let found = try PieceRecord.head(of: bytes)
        return found.objection(for: head(found.name))
      case .capture: break
      }
      return nil
    } catch { return error.message }
  }

  /// - Parameter reason: what is wrong with the plan, if there is one.
  func missing(_ name: String, _ reason: String? = nil) -> Diagnostic {
    guard let directory = cache.directory, backend.isWorthCaching else {
      return Diagnostic(
        .cache,
        "\(name) needs a plan on disk, and there are none: the cache is off, or the device's kernels are not kept",
        remedy: "set AZULEJO_CACHE to a directory, or do not set AZULEJO_PLANS=require")
    }
    var found = reason
    if found == nil {
      let others = cache.unusable([.plan]) { _, bytes in
        guard let found = try? PieceRecord.head(of: bytes), found.name == name else { return nil }
        return found.objection(for: head(name))
      }
      found = others.first.map { "\($0.path): \($0.reason)" }
    }
    return Diagnostic(
      .cache,
      "\(name) has no plan in \(directory) for these arguments that can be used here"
        + (found.map { "; \($0)" } ?? "; there are \(cache.statistics.plans) plans of other functions or arguments"),
      remedy: "run this program once on this machine without AZULEJO_PLANS=require: the plan is in the cache then")
  }
}

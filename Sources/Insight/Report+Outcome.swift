// The report of a workload that was run: its launches as kernels, arrows by who wrote what is read.
// Surprise: arrows follow memory, so a buffer that was reused connects only its last writer to its readers.
import Basics
import Engine
import Targets

extension Report {
  /// - Parameters:
  ///   - outcome: with the launches of one step.
  ///   - eager: the same workload one operation at a time, to compare with.
  package init(_ outcome: Benchmark.Outcome, eager: Benchmark.Outcome? = nil, card: MachineCard?) {
    self.init(
      outcome.workload.name, mode: outcome.mode.rawValue,
      segments: [Segment("one step", kernels: Self.kernels(outcome.launches, outcome.workload.peak))],
      notes: [outcome.workload.note], card: card)
    eagerKernels = eager?.kernels
    eagerBytes = eager?.bytes
    seconds = outcome.time?.value
    measuredPeak = outcome.peakBytes
    compileSeconds = outcome.compileSeconds
    if let explanation = outcome.explanation { self = adding(explanation) }
  }

  static func kernels(_ launches: [LaunchRecord], _ peak: Workload.Peak) -> [Kernel] {
    // Finds all at once.
    _ = Diagnostic.Origin.places(of: launches.flatMap(\.origins))
    var writers: [UInt: Int] = [:]
    return launches.enumerated().map { number, launch in
      let sources = Set(launch.reads.compactMap { writers[$0] }).sorted()
      for place in launch.writes { writers[place] = number }
      return Kernel(
        launch.kernel, operations: Self.counted(launch.operations),
        refusals: Self.together(launch.refusals),
        flops: launch.cost.flops, read: launch.cost.read,
        written: launch.cost.written, seconds: launch.seconds,
        peak: launch.operations.contains("contraction") ? peak : .f32, sources: sources,
        place: launch.origins.isEmpty
          ? nil : Diagnostic.Location.text(Diagnostic.Origin.differentPlaces(of: launch.origins)))
    }
  }

  /// Refusals of one operation for one reason are one, with their bytes added.
  static func together(_ refusals: [RefusedFusion]) -> [Refusal] {
    var groups: [(refusal: RefusedFusion, count: Int)] = []
    for refusal in refusals {
      if let place = groups.firstIndex(where: {
        $0.refusal.operation == refusal.operation && $0.refusal.reason == refusal.reason
      }) {
        groups[place].refusal.bytes += refusal.bytes
        groups[place].count += 1
      } else {
        groups.append((refusal, 1))
      }
    }
    return groups.map { refusal, count in
      let what = count == 1 ? refusal.operation : "\(refusal.operation) ×\(count)"
      return Refusal(what, reason: refusal.reason, bytes: refusal.bytes)
    }
  }

  /// "add ×3": operations in the order they first come.
  private static func counted(_ operations: [String]) -> [String] {
    var counts: [String: Int] = [:]
    var order: [String] = []
    for operation in operations {
      if counts[operation] == nil { order.append(operation) }
      counts[operation, default: 0] += 1
    }
    return order.map { name in counts[name].map { $0 > 1 ? "\(name) ×\($0)" : name } ?? name }
  }
}

// Runs workloads: what they compute, how long they take, how far that is from what this machine could do.
// Not a comparison with other systems. Surprise: the ceiling is measured between the candidate's own samples, with the
// workload's own mix of reads and writes.
import Basics
import Engine
import Targets
import Tensors

public struct Benchmark: Sendable {
  public enum Mode: String, Sendable, CaseIterable { case eager, compiled }

  /// What one workload did in one mode.
  public struct Outcome: Sendable {
    public var workload: Workload
    public var mode: Mode
    /// Seconds of a step; nil if it was not timed.
    public var time: Estimate?
    public var samples: [Double]
    /// One for each output of the first step.
    public var fingerprints: [Fingerprint]
    /// The launches of one step.
    package var launches: [LaunchRecord]
    /// The least time this machine needs, over the time taken.
    public var share: Double?
    /// Seconds spent on making kernels ready in the first step.
    public var compileSeconds: Double

    /// Whether each output is what another system computed, within the workload's tolerance.
    public func agrees(with recorded: [Fingerprint]) -> Bool {
      fingerprints.count == recorded.count
        && zip(fingerprints, recorded).allSatisfy { $0.isClose(to: $1, tolerance: workload.tolerance) }
    }

    public var kernels: Int { launches.count }
    /// Bytes that the launched kernels move, each input and output once.
    public var bytes: Int { launches.reduce(0) { $0 + $1.cost.bytes } }
    /// Floating operations that the launched kernels do.
    public var flops: Int { launches.reduce(0) { $0 + $1.cost.flops } }

    public var json: JSON {
      func milliseconds(_ seconds: Double?) -> JSON { seconds.map { .number($0 * 1e3) } ?? .null }
      return [
        "workload": .string(workload.name), "mode": .string(mode.rawValue), "median_ms": milliseconds(time?.value),
        "low_ms": milliseconds(time?.low), "high_ms": milliseconds(time?.high),
        "check": .array(fingerprints.map(\.json)), "bytes": .integer(bytes), "flops": .integer(flops),
        "fraction_of_ceiling": share.map { .number($0) } ?? .null, "compile_ms": milliseconds(compileSeconds),
        "kernels": .integer(kernels), "minimal_bytes": .integer(workload.traffic.total),
        "minimal_flops": .integer(workload.flops), "samples": .integer(samples.count),
      ]
    }
  }

  private let ceilings: Ceilings?

  /// - Parameter ceilings: what the time is held against; nil to leave that out.
  public init(ceilings: Ceilings? = nil) { self.ceilings = ceilings }

  /// The workload's function as `mode` runs it.
  private static func function(_ workload: Workload, _ mode: Mode) throws(Diagnostic) -> Workload.Function {
    switch mode {
    case .eager: return workload.function
    case .compiled:
      throw Diagnostic(
        .argument, "\(workload.name) cannot run compiled: functions cannot be compiled yet",
        remedy: "measure it with --mode eager")
    }
  }

  /// A workload in one mode, after its first step.
  private final class Candidate {
    let function: Workload.Function
    var state: [Tensor]
    let inputs: [Tensor]
    var outcome: Outcome

    init(_ workload: Workload, _ mode: Mode) throws {
      function = try Benchmark.function(workload, mode)
      (state, inputs) = try workload.tensors()
      outcome = Outcome(
        workload: workload, mode: mode, time: nil, samples: [], fingerprints: [], launches: [], share: nil,
        compileSeconds: 0)
      let before = Engine.preparationSeconds
      let outputs = try function(&state, inputs)
      outcome.fingerprints = try outputs.map { try Fingerprint(of: $0) }
      outcome.compileSeconds = Engine.preparationSeconds - before
    }

    func step() throws {
      for output in try function(&state, inputs) { if let failure = output.failure { throw failure } }
    }
  }

  /// Runs `workload` in each mode, the modes in turns.
  /// - Parameter budget: seconds for all of them; nil only runs them once and counts.
  public func run(_ workload: Workload, modes: [Mode], budget: Double?) throws -> [Outcome] {
    let candidates = try modes.map { try Candidate(workload, $0) }
    for candidate in candidates {
      candidate.outcome.launches = try LaunchLog.recording { try candidate.step() }.launches
    }
    guard let budget else { return candidates.map(\.outcome) }
    var bodies = candidates.map { candidate in { try candidate.step() } }
    var loads: [Ceilings.Load] = []
    if let ceilings {
      loads.append(try ceilings.memory(workload.traffic.mix, bytes: workload.traffic.total))
      if let products = try ceilings.products(workload.peak) { loads.append(products) }
      bodies += loads.map(\.run)
    }
    let samples = try Stopwatch.interleaved(budget: budget, bodies)
    let rates = zip(loads, samples.dropFirst(candidates.count)).map { $0.amount / Statistics.median($1) }
    let needed = zip([Double(workload.traffic.total), Double(workload.flops)], rates).map { $0 / $1 }.max()
    for (candidate, series) in zip(candidates, samples) {
      let time = Statistics.median(series, confidence: 0.95)
      candidate.outcome.samples = series
      candidate.outcome.time = time
      candidate.outcome.share = needed.map { $0 / time.value }
    }
    return candidates.map(\.outcome)
  }
}

extension Workload.Traffic {
  /// Few streams with about this share of writes.
  var mix: MachineCard.Mix {
    let share = Double(written) / Double(max(total, 1))
    var best = MachineCard.Mix(read: 1, written: 0)
    var distance = share
    for streams in 2...7 {
      for written in 1...streams {
        let candidate = abs(Double(written) / Double(streams) - share)
        if candidate < distance - 0.01 {
          best = .init(read: streams - written, written: written)
          distance = candidate
        }
      }
    }
    return best
  }
}

// Runs workloads: what they compute, how long they take, how far that is from what this machine could do.
// Not a comparison with other systems. Surprise: the ceiling is measured between the candidate's own samples, with the
// workload's own mix of reads and writes.
import Basics
import Capture
import Engine
import Execution
import Targets
import Tensors

package struct Benchmark: Sendable {
  package enum Mode: String, Sendable, CaseIterable {
    case eager, compiled
    /// Compiled with every extent a symbol, as a program that meets other sizes later ends up.
    case dynamic
  }

  /// What one workload did in one mode.
  package struct Outcome: Sendable {
    package var workload: Workload
    package var mode: Mode
    /// Seconds of a step; nil if it was not timed.
    package var time: Estimate?
    package var samples: [Double]
    /// One for each output of the first step.
    package var fingerprints: [Fingerprint]
    /// The launches of one step.
    package var launches: [LaunchRecord]
    /// How many more steps were recorded for the times of launches.
    var recordings = 0
    /// The least time this machine needs, over the time taken.
    package var share: Double?
    /// Seconds before the first step could run: of compiled modes the captures, with passes and code or finding them on
    /// disk; of others what the first step took more than the second.
    package var compileSeconds: Double
    /// The most bytes that a step took from the allocator at once.
    package var peakBytes: Int?
    /// What the compiled function says about itself; nil of other modes.
    package var explanation: Explanation?
    /// Why it could not run; all else is empty then.
    package var failure: Diagnostic?

    /// Whether each output is what another system computed, within the workload's tolerance.
    package func agrees(with recorded: [Fingerprint]) -> Bool {
      fingerprints.count == recorded.count
        && zip(fingerprints, recorded).allSatisfy { $0.isClose(to: $1, tolerance: workload.tolerance) }
    }

    package var kernels: Int { launches.count }
    /// Bytes that the launched kernels move, each input and output once.
    package var bytes: Int { launches.reduce(0) { $0 + $1.cost.bytes } }
    /// Floating operations that the launched kernels do.
    package var flops: Int { launches.reduce(0) { $0 + $1.cost.flops } }

    package var json: JSON {
      if let failure {
        return [
          "workload": .string(workload.name), "mode": .string(mode.rawValue), "error": .string("\(failure)"),
        ]
      }
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
  package init(ceilings: Ceilings? = nil) { self.ceilings = ceilings }

  /// The workload's function as `mode` runs it.
  static func function(
    _ workload: Workload, _ mode: Mode
  ) -> (run: Workload.Function, explain: (@Sendable () -> Explanation)?) {
    switch mode {
    case .eager: return (workload.function, nil)
    case .compiled, .dynamic:
      let function = workload.function
      let compiled = compile(
        updating: [Tensor].self, dynamic: mode == .dynamic ? .all : .automatic
      ) { (state: inout [Tensor], inputs: [Tensor]) in try function(&state, inputs) }
      return ({ try compiled(&$0, $1) }, { compiled.explain() })
    }
  }

  /// A workload in one mode, after its first step.
  private final class Candidate {
    let function: Workload.Function
    let explain: (@Sendable () -> Explanation)?
    var state: [Tensor]
    let inputs: [Tensor]
    var outcome: Outcome

    /// Several candidates may hold the same state: it is copied where it is written.
    init(_ workload: Workload, _ mode: Mode, _ tensors: (state: [Tensor], inputs: [Tensor])) {
      (function, explain) = Benchmark.function(workload, mode)
      (state, inputs) = tensors
      outcome = Outcome(
        workload: workload, mode: mode, time: nil, samples: [], fingerprints: [], launches: [], share: nil,
        compileSeconds: 0)
    }

    /// The first steps: what they compute, and the launches of one.
    func begin() throws {
      var outputs: [Tensor] = []
      let first = try Stopwatch.seconds { outputs = try function(&state, inputs) }
      outcome.explanation = explain?()
      outcome.fingerprints = try outputs.map { try Fingerprint(of: $0) }
      outputs = []
      var second = 0.0
      var launches = try LaunchLog.recording { second = try Stopwatch.seconds { try step() } }.launches
      outcome.compileSeconds =
        outcome.explanation.map { $0.captures.reduce(0) { $0 + $1.seconds } } ?? max(0, first - second)
      // Of a few steps the fastest launch each, if there is time for more.
      var spent = second
      while spent < 0.2, outcome.recordings < 10 {
        let again = try LaunchLog.recording { spent += try Stopwatch.seconds { try step() } }.launches
        guard again.map(\.kernel) == launches.map(\.kernel) else { break }
        for i in launches.indices { launches[i].seconds = min(launches[i].seconds, again[i].seconds) }
        outcome.recordings += 1
      }
      outcome.launches = launches
      outcome.peakBytes = try Allocator.peak { try step() }.bytes
      outcome.explanation = explain?()
    }

    func step() throws {
      for output in try function(&state, inputs) { if let failure = output.failure { throw failure } }
    }
  }

  /// Runs `workload` in each mode, the modes in turns. A mode that cannot run it has a failure in its outcome.
  /// - Parameter budget: seconds for all of them; nil only runs them once and counts.
  package func run(_ workload: Workload, modes: [Mode], budget: Double?) throws -> [Outcome] {
    let all = try { () throws -> [Candidate] in
      let tensors = try workload.tensors()
      return modes.map { Candidate(workload, $0, tensors) }
    }()
    for candidate in all {
      do { try candidate.begin() } catch let error as Diagnostic { candidate.outcome.failure = error }
    }
    let candidates = all.filter { $0.outcome.failure == nil }
    guard let budget, !candidates.isEmpty else { return all.map(\.outcome) }
    var bodies = candidates.map { candidate in { try candidate.step() } }
    /// What the machine is measured with, and how much of it the workload needs.
    var loads: [(load: Ceilings.Load, needed: Int)] = []
    if let ceilings {
      if let products = try ceilings.products(workload.peak) { loads.append((products, workload.flops)) }
      // What fits the last cache stays there, and streams of other bytes between the samples would drive it out.
      if workload.traffic.total > ceilings.target.cache.level3 / 2 {
        loads.append((try ceilings.memory(workload.traffic.mix, bytes: workload.traffic.total), workload.traffic.total))
      }
      bodies += loads.map(\.load.run)
    }
    let samples = try Stopwatch.interleaved(budget: budget, bodies)
    let needed = zip(loads, samples.dropFirst(candidates.count)).map { load, series in
      Double(load.needed) / load.load.amount * Statistics.median(series)
    }.max()
    for (candidate, series) in zip(candidates, samples) {
      let time = Statistics.median(series, confidence: 0.95)
      candidate.outcome.samples = series
      candidate.outcome.time = time
      candidate.outcome.share = needed.map { $0 / time.value }
    }
    return all.map(\.outcome)
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

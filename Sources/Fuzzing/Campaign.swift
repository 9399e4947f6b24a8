// A run of the fuzzer: cases by number to several child processes, findings reduced and told, until the time is over.
// Not where cases are judged. Surprise: which cases are run depends on the seed alone, how many of them on the machine.
import Basics
import Foundation

package struct Campaign {
  package struct Options: Sendable {
    package var seed = 1
    /// The first case's number.
    package var start = 0
    /// Most cases; nil: until the time is over.
    package var count: Int?
    package var seconds = 60.0
    /// Child processes.
    package var jobs = 1
    /// Seconds for one case.
    package var limit = 20
    /// Seconds for reducing one finding.
    package var reducing = 60.0
    /// The campaign ends after so many findings.
    package var mostFindings = 10
    package init() {}
  }

  package struct Report: Sendable {
    package var cases = 0
    package var skipped = 0
    package var seconds = 0.0
    package var findings: [Reduced] = []
  }

  package struct Reduced: Sendable {
    package var number: Int
    package var sample: FuzzCase
    package var finding: Finding
    package init(number: Int, sample: FuzzCase, finding: Finding) {
      self.number = number
      self.sample = sample
      self.finding = finding
    }
  }

  private let options: Options
  private let makeWorker: () -> Worker
  private let isCancelled: () -> Bool
  private let started = ContinuousClock.now

  /// - Parameters:
  ///   - worker: makes a child process that runs `WorkerLoop`.
  ///   - isCancelled: asked often; true ends the campaign with what it has.
  package init(_ options: Options, worker: @escaping () -> Worker, isCancelled: @escaping () -> Bool = { false }) {
    self.options = options
    makeWorker = worker
    self.isCancelled = isCancelled
  }

  private struct Task {
    let worker: Worker
    var number = -1
    var deadline = ContinuousClock.now
  }

  private var elapsed: Double { (ContinuousClock.now - started) / .seconds(1) }

  /// Runs to the end. `progress` hears of the numbers so far about once a second, `found` of each finding.
  package func run(
    progress: (Report) -> Void = { _ in }, found: (Reduced) -> Void = { _ in }
  ) throws(Diagnostic) -> Report {
    var report = Report()
    var tasks = (0..<max(1, options.jobs)).map { _ in Task(worker: makeWorker()) }
    var next = options.start
    var told = -1.0
    func mayStart() -> Bool {
      elapsed < options.seconds && options.count.map { next - options.start < $0 } ?? true
        && report.findings.count < options.mostFindings && !isCancelled()
    }
    while true {
      for i in tasks.indices where tasks[i].number < 0 && mayStart() {
        try tasks[i].worker.send(FuzzCase.random(seed: options.seed, number: next))
        (tasks[i].number, tasks[i].deadline) = (next, .now + .seconds(options.limit))
        next += 1
      }
      let busy = tasks.indices.filter { tasks[$0].number >= 0 }
      if busy.isEmpty || isCancelled() { break }
      Worker.wait(for: busy.map { tasks[$0].worker })
      for i in busy {
        guard let answer = tasks[i].worker.next(wait: 0) ?? (tasks[i].deadline < .now ? tasks[i].worker.late() : nil)
        else { continue }
        report.cases += 1
        switch outcome(answer) {
        case .agrees: break
        case .skipped: report.skipped += 1
        case .finding(let finding):
          let reduced = reduced(tasks[i].number, finding)
          report.findings.append(reduced)
          found(reduced)
        }
        tasks[i].number = -1
      }
      report.seconds = elapsed
      if elapsed - told >= 1 {
        told = elapsed
        progress(report)
      }
    }
    for task in tasks { task.worker.stop() }
    report.seconds = elapsed
    return report
  }

  private func outcome(_ answer: Answer) -> Outcome { answer.outcome(limit: options.limit) }

  private func reduced(_ number: Int, _ finding: Finding) -> Reduced {
    let sample = FuzzCase.random(seed: options.seed, number: number)
    let made = reduced(sample, finding)
    return Reduced(number: number, sample: made.sample, finding: made.finding)
  }

  /// The smallest case that fails like `sample`, as far as the time for it goes.
  package func reduced(_ sample: FuzzCase, _ finding: Finding) -> (sample: FuzzCase, finding: Finding) {
    let worker = makeWorker()
    defer { worker.stop() }
    let end = ContinuousClock.now + .seconds(options.reducing)
    let reducer = Reducer { candidate in
      guard ContinuousClock.now < end, !isCancelled() else { return nil }
      return outcome(of: candidate, worker)
    }
    return reducer.reduced(sample, finding)
  }

  private func outcome(of sample: FuzzCase, _ worker: Worker) -> Outcome? {
    guard (try? worker.send(sample)) != nil else { return nil }
    return worker.answer(by: .now + .seconds(options.limit), isCancelled: isCancelled).map(outcome)
  }

  /// One case in a child process; nil: cancelled.
  package func outcome(of sample: FuzzCase) -> Outcome? {
    let worker = makeWorker()
    defer { worker.stop() }
    return outcome(of: sample, worker)
  }
}

extension Campaign.Reduced {
  /// A test of the case, to be pasted into the tests of whoever is wrong.
  package var test: String {
    let text = sample.description.split(separator: "\n", omittingEmptySubsequences: false)
    let lines = text.map { $0.isEmpty ? "" : "    \($0)" }.joined(separator: "\n")
    return "@Test func \(sample.name.filter { $0.isLetter || $0.isNumber })_agrees() throws {\n"
      + "  try expectAgreement(\n    \"\"\"\n\(lines)\n    \"\"\")\n}"
  }
}

// Cases that are a number each, to several child processes: findings are told as they come, and the campaign goes on.
// Not for graphs, whose campaign makes findings smaller. Surprise: a child is replaced after so many cases, so that what
// they leave in a process does not add up.
import Basics
import Foundation

package struct NumberedCampaign {
  package struct Report: Sendable {
    package var cases = 0
    package var skipped = 0
    package var seconds = 0.0
    package var findings: [(number: Int, finding: Finding)] = []
  }

  private struct Task {
    let worker: Worker
    var number: Int?
    var deadline = ContinuousClock.now
    var age = 0
  }

  private let numbers: Range<Int>
  private let jobs: Int
  private let limit: Int
  private let makeWorker: () -> Worker
  /// Cases for one child.
  private static let generation = 1000

  /// - Parameters:
  ///   - limit: seconds for one case.
  ///   - worker: makes a child process that runs `WorkerLoop`.
  package init(_ numbers: Range<Int>, jobs: Int, limit: Int, worker: @escaping () -> Worker) {
    (self.numbers, self.jobs, self.limit, makeWorker) = (numbers, jobs, limit, worker)
  }

  package func run(
    progress: (Report) -> Void = { _ in }, found: (Int, Finding) -> Void = { _, _ in }
  ) throws(Diagnostic) -> Report {
    let started = ContinuousClock.now
    var report = Report()
    var tasks = (0..<max(1, jobs)).map { _ in Task(worker: makeWorker()) }
    defer { for task in tasks { task.worker.stop() } }
    var next = numbers.lowerBound
    while true {
      for i in tasks.indices where tasks[i].number == nil && next < numbers.upperBound {
        if tasks[i].age == Self.generation {
          tasks[i].worker.stop()
          tasks[i].age = 0
        }
        try tasks[i].worker.send(line: "\(next)")
        (tasks[i].number, tasks[i].deadline) = (next, .now + .seconds(limit))
        tasks[i].age += 1
        next += 1
      }
      let busy = tasks.indices.filter { tasks[$0].number != nil }
      if busy.isEmpty { break }
      Worker.wait(for: busy.map { tasks[$0].worker })
      for i in busy {
        let late = tasks[i].deadline < .now
        guard let number = tasks[i].number,
          let answer = tasks[i].worker.next(wait: 0) ?? (late ? tasks[i].worker.late() : nil)
        else { continue }
        tasks[i].number = nil
        report.cases += 1
        switch answer.outcome(limit: limit) {
        case .agrees: break
        case .skipped: report.skipped += 1
        case .finding(let finding):
          report.findings.append((number, finding))
          found(number, finding)
        }
      }
      report.seconds = (ContinuousClock.now - started) / .seconds(1)
      progress(report)
    }
    return report
  }
}

// The two ends of a pipe: a child process that runs cases, and the parent that hands them over and waits.
// Not threads: a kernel that crashes or never ends takes its process with it, and that is a finding. Surprise: one line
// each way; line ends inside a case or an answer travel as another character.
import Basics
import Foundation

/// What the parent reads.
package enum Answer: Sendable {
  case outcome(Outcome)
  /// The signal or exit status, and what the process said last.
  case died(String)
  case late

  /// What it means for the case; `limit`: the seconds it had.
  func outcome(limit: Int) -> Outcome {
    switch self {
    case .outcome(let outcome): outcome
    case .died(let why): .finding(Finding(.crash, nil, why))
    case .late: .finding(Finding(.hang, nil, "no answer in \(limit) s"))
    }
  }
}

private let lineEnd: Character = "\u{1}"

extension String {
  fileprivate var asLine: String { String(map { $0 == "\n" ? lineEnd : $0 }) }
  fileprivate var asText: String { String(map { $0 == lineEnd ? "\n" : $0 }) }
}

// MARK: Child

/// Answers cases from standard input until it closes.
package enum WorkerLoop {
  /// - Parameter seconds: after these in one case, and a grace for the parent to notice, the process ends itself.
  package static func run(ways: [Way], seconds: Int) {
    run(seconds: seconds) { line in
      do throws(Diagnostic) { return try FuzzCase(text: line.asText).outcome(ways) } catch {
        return .skipped(error.message)
      }
    }
  }

  /// As `run(ways:seconds:)` for cases of any kind, one a line.
  package static func run(seconds: Int, _ judge: (String) -> Outcome) {
    // The terminal's interrupt is for the parent, which then closes the pipe.
    signal(SIGINT, SIG_IGN)
    while let line = readLine() {
      alarm(UInt32(seconds + 5))
      let outcome = judge(line)
      // An idle worker may wait for ever.
      alarm(0)
      let answer = Data((encoded(outcome).asLine + "\n").utf8)
      guard (try? FileHandle.standardOutput.write(contentsOf: answer)) != nil else { return }
    }
  }

  private static func encoded(_ outcome: Outcome) -> String {
    switch outcome {
    case .agrees: "agrees"
    case .skipped(let reason): "skipped\t\(reason)"
    case .finding(let finding): "finding\t\(finding.kind.rawValue)\t\(finding.way?.rawValue ?? "")\t\(finding.text)"
    }
  }

  fileprivate static func decoded(_ line: String) -> Outcome? {
    let parts = line.split(separator: "\t", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
    switch parts[0] {
    case "agrees": return .agrees
    case "skipped": return .skipped(parts.dropFirst().joined(separator: "\t"))
    case "finding":
      guard parts.count == 4, let kind = Finding.Kind(rawValue: parts[1]) else { return nil }
      return .finding(Finding(kind, Way(rawValue: parts[2]), parts[3]))
    default: return nil
    }
  }
}

// MARK: Parent

/// A child process, started when it is needed.
package final class Worker {
  private let executable: URL
  private let arguments: [String]
  private let additions: [String: String]
  private var process: Process?
  private var input: FileHandle?
  private var received: [UInt8] = []
  private var complaints: URL?
  private(set) var output: Int32 = -1

  /// - Parameter environment: what the child gets beside this process' own.
  package init(executable: URL, arguments: [String], environment: [String: String] = [:]) {
    self.executable = executable
    self.arguments = arguments
    additions = environment
  }

  deinit { stop() }

  /// Hands over a case.
  package func send(_ sample: FuzzCase) throws(Diagnostic) { try send(line: sample.description.asLine) }

  /// Hands over a case that is one line.
  package func send(line text: String) throws(Diagnostic) {
    let line = Data((text + "\n").utf8)
    do {
      if process == nil { try start() }
      do { try input?.write(contentsOf: line) } catch {
        // It died while it was idle.
        stop()
        try start()
        try input?.write(contentsOf: line)
      }
    } catch {
      stop()
      throw Diagnostic(.file, "the fuzzer's child process cannot be started: \(error.localizedDescription)")
    }
  }

  private func start() throws {
    let process = Process()
    process.executableURL = executable
    process.arguments = arguments
    var environment = ProcessInfo.processInfo.environment
    // Tens of thousands of kernels are made that nobody wants again; a crash is reported, not investigated.
    environment["AZULEJO_CACHE"] = "off"
    environment["SWIFT_BACKTRACE"] = "enable=no"
    environment.merge(additions) { $1 }
    process.environment = environment
    let (toChild, fromChild) = (Pipe(), Pipe())
    let path = FileManager.default.temporaryDirectory.appending(path: "azulejo-fuzz-\(UUID().uuidString)")
    try Data().write(to: path)
    process.standardInput = toChild
    process.standardOutput = fromChild
    process.standardError = try FileHandle(forWritingTo: path)
    try process.run()
    self.process = process
    complaints = path
    input = toChild.fileHandleForWriting
    reading = fromChild
    output = fromChild.fileHandleForReading.fileDescriptor
    received = []
  }
  private var reading: Pipe?

  /// The next answer, waiting until `deadline`; nil: `isCancelled` became true.
  package func answer(by deadline: ContinuousClock.Instant, isCancelled: () -> Bool) -> Answer? {
    while !isCancelled() {
      if let answer = next(wait: 100) { return answer }
      if ContinuousClock.now >= deadline { return late() }
    }
    return nil
  }

  /// Until one of them can be read, a tenth of a second at most.
  static func wait(for workers: [Worker]) {
    var pollers = workers.map { pollfd(fd: $0.output, events: Int16(POLLIN), revents: 0) }
    _ = poll(&pollers, nfds_t(pollers.count), 100)
  }

  /// An answer that comes within `wait` milliseconds.
  package func next(wait: Int32) -> Answer? {
    if let answer = takeLine() { return answer }
    var poller = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
    guard poll(&poller, 1, wait) > 0 else { return nil }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(output, &buffer, buffer.count)
    if count < 0 && errno == EINTR { return nil }
    if count <= 0 { return .died(ending()) }
    received += buffer[..<count]
    return takeLine()
  }

  private func takeLine() -> Answer? {
    while let end = received.firstIndex(of: 10) {
      let line = String(decoding: received[..<end], as: UTF8.self).asText
      received.removeSubrange(...end)
      if let outcome = WorkerLoop.decoded(line) { return .outcome(outcome) }
    }
    return nil
  }

  /// Ends a process that did not answer in time.
  package func late() -> Answer {
    stop()
    return .late
  }

  private func ending() -> String {
    process?.waitUntilExit()
    var text = "exit status \(process?.terminationStatus ?? 0)"
    if process?.terminationReason == .uncaughtSignal {
      text =
        "signal \(process?.terminationStatus ?? 0) (\(String(cString: strsignal(process?.terminationStatus ?? 0))))"
    }
    if let complaints, let said = try? String(contentsOf: complaints, encoding: .utf8) {
      let last = said.split(separator: "\n").suffix(3).joined(separator: "; ")
      if !last.isEmpty { text += ": " + last }
    }
    stop()
    return text
  }

  package func stop() {
    try? input?.close()
    if let process, process.isRunning {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    if let complaints { try? FileManager.default.removeItem(at: complaints) }
    (process, input, reading, complaints, output) = (nil, nil, nil, nil, -1)
    received = []
  }
}

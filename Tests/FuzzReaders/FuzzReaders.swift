// Reads many hostile files: FuzzReaders [--count 1000000] [--seed 1] [--reader gguf] [--room 96] [--first 0] [--show]
// Not libFuzzer (scripts/fuzz-formats): cases follow from a seed, and no corpus is kept. Surprise: the files are read in
// processes of their own, each with little room for memory; whichever dies, the case is named and the rest goes on.

import Foundation
import HostileFiles
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@main
struct FuzzReaders {
  private var count = 1_000_000
  private var seed = 1
  private var reader: HostileReader?
  /// The first case, to look at one again.
  private var first = 0
  /// Prints what each file was refused for, in this process.
  private var shows = false
  /// Megabytes that a process may take beyond what it has after its first cases.
  private var room = 96
  /// Set in the processes that read: the first and last case, and where they tell how far they are.
  private var worker: (cases: Range<Int>, progress: String)?

  static func main() throws {
    var options = FuzzReaders()
    var arguments = CommandLine.arguments.dropFirst()
    func number() -> Int {
      guard let text = arguments.popFirst(), let value = Int(text) else { exit(64) }
      return value
    }
    while let argument = arguments.popFirst() {
      switch argument {
      case "--count": options.count = number()
      case "--seed": options.seed = number()
      case "--first": options.first = number()
      case "--show": options.shows = true
      case "--room": options.room = number()
      case "--reader": options.reader = arguments.popFirst().flatMap { HostileReader(rawValue: $0) }
      case "--worker":
        let (first, end) = (number(), number())
        options.worker = (first..<max(first, end), arguments.popFirst() ?? "")
      default:
        print("FuzzReaders [--count n] [--seed n] [--first n] [--reader name] [--room megabytes] [--show]")
        exit(64)
      }
    }
    if options.shows { return options.show() }
    if options.worker != nil { try options.work() } else { try options.supervise() }
  }

  /// The reader of a case: all in turn by their weights.
  private func reader(of number: Int) -> HostileReader {
    if let reader { return reader }
    let all = HostileReader.allCases
    var place = (number &* 7919) % all.reduce(0) { $0 + $1.weight }
    for reader in all {
      place -= reader.weight
      if place < 0 { return reader }
    }
    return all[0]
  }

  private func show() {
    for number in first..<first + count {
      let reader = reader(of: number)
      print("\(number) \(reader): \(reader.run(seed: seed &* 1_000_003 &+ number)?.message ?? "read")")
    }
    HostileReader.cleanUp()
  }

  // MARK: The process that reads

  private static let secondsPerCase = 10

  private func work() throws {
    guard let worker else { return }
    let file = open(worker.progress, O_RDWR)
    guard file >= 0, let page = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), page != MAP_FAILED else {
      throw CocoaError(.fileReadUnknown)
    }
    let place = page.assumingMemoryBound(to: Int.self)
    // What every process needs, before its room is measured.
    for reader in HostileReader.allCases { for seed in 0..<8 { _ = reader.run(seed: seed) } }
    limitMemory()
    let beats = Beats()
    watch(beats)
    var tally = [String: [Int]]()
    var slowest = (seconds: 0.0, case: -1)
    for number in worker.cases {
      place.pointee = number
      beats.count.add(1, ordering: .relaxed)
      let reader = reader(of: number)
      let start = DispatchTime.now().uptimeNanoseconds
      let refusal = reader.run(seed: seed &* 1_000_003 &+ number)
      let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
      if seconds > slowest.seconds { slowest = (seconds, number) }
      tally[reader.rawValue, default: [0, 0]][refusal == nil ? 0 : 1] += 1
    }
    for (name, counts) in tally { print("tally \(name) \(counts[0]) \(counts[1])") }
    print("slowest \(slowest.seconds) \(slowest.case)")
    HostileReader.cleanUp()
  }

  private final class Beats: Sendable {
    let count = Atomic<Int>(0)
  }

  private func watch(_ beats: Beats) {
    Thread.detachNewThread {
      var (last, since) = (-1, 0)
      while true {
        sleep(1)
        let now = beats.count.load(ordering: .relaxed)
        since = now == last ? since + 1 : 0
        last = now
        if since >= Self.secondsPerCase {
          FileHandle.standardError.write(Data("hang: longer than \(Self.secondsPerCase) s\n".utf8))
          abort()
        }
      }
    }
  }

  /// An allocation beyond the room fails, and with it the process.
  private func limitMemory() {
    #if os(Linux)
      guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
        let pages = text.split(separator: " ").dropFirst(5).first.flatMap({ Int($0) })
      else { return }
      var limit = rlimit()
      limit.rlim_cur = rlim_t(pages * Int(sysconf(Int32(_SC_PAGESIZE))) + room << 20)
      limit.rlim_max = limit.rlim_cur
      setrlimit(__rlimit_resource_t(UInt32(RLIMIT_DATA.rawValue)), &limit)
    #endif
  }

  // MARK: The process that watches

  private static let batch = 4000

  private func supervise() throws {
    let progress = NSTemporaryDirectory() + "azulejo-fuzz-\(getpid())"
    try Data(count: 4096).write(to: URL(fileURLWithPath: progress))
    defer { try? FileManager.default.removeItem(atPath: progress) }
    var tally: [String: (read: Int, refused: Int)] = [:]
    var dead: [String] = []
    var slowest = (seconds: 0.0, case: -1)
    var next = first
    let start = Date()
    while next < first + count {
      let end = min(next + Self.batch, first + count)
      let (output, errors, status) = try child(next..<end, progress)
      for line in output.split(separator: "\n") {
        let words = line.split(separator: " ")
        if words.count == 4, words[0] == "tally", let read = Int(words[2]), let refused = Int(words[3]) {
          let known = tally[String(words[1])] ?? (0, 0)
          tally[String(words[1])] = (known.read + read, known.refused + refused)
        } else if words.count == 3, words[0] == "slowest", let seconds = Double(words[1]), seconds > slowest.seconds {
          slowest = (seconds, Int(words[2]) ?? -1)
        }
      }
      if status == 0 {
        next = end
      } else {
        let number = try Data(contentsOf: URL(fileURLWithPath: progress)).withUnsafeBytes { $0.load(as: Int.self) }
        let reader = reader(of: number)
        let reason = errors.split(separator: "\n").first { $0.contains("rror") || $0.contains("hang") } ?? ""
        dead.append("case \(number) (\(reader.rawValue), --seed \(seed)): status \(status) \(reason.prefix(300))")
        print(dead[dead.count - 1])
        next = max(number + 1, next + 1)
      }
    }
    let seconds = Date().timeIntervalSince(start)
    print("\(count) files in \(Int(seconds)) s, \(dead.count) ended a process; slowest \(slowest)")
    for (name, counts) in tally.sorted(by: { $0.key < $1.key }) {
      print("  \(name): \(counts.read) read, \(counts.refused) refused")
    }
    exit(dead.isEmpty ? 0 : 1)
  }

  private func child(_ cases: Range<Int>, _ progress: String) throws -> (String, String, Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
    process.arguments =
      ["--seed", "\(seed)", "--room", "\(room)"] + (reader.map { ["--reader", $0.rawValue] } ?? [])
      + ["--worker", "\(cases.lowerBound)", "\(cases.upperBound)", progress]
    // A crash shall say what it was, and quickly.
    process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    // Both are short: a pipe holds them.
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let trouble = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (text, trouble, process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus)
  }
}

// What this process used so far: time and memory, as the system counts them. Not a profiler.
// Surprise: getrusage's peak memory may be that of the process that started this one, so Linux is asked elsewhere first.
#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Seconds since it was made or last read.
public struct Stopwatch: Sendable {
  private var started = ContinuousClock.now

  public init() {}

  /// Seconds since the last lap; the next one begins.
  public mutating func lap() -> Double {
    let now = ContinuousClock.now
    defer { started = now }
    return (now - started) / .seconds(1)
  }
}

/// What this process used so far.
public enum ProcessUsage {
  /// Seconds of processor time, of all threads.
  public static var processorSeconds: Double {
    let usage = usage
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  /// The most memory that was resident at once, mapped files included.
  public static var peakResidentBytes: Int {
    #if os(Linux)
      if let kilobytes = statusField("VmHWM:") { return kilobytes * 1024 }
      return Int(usage.ru_maxrss) * 1024
    #else
      return Int(usage.ru_maxrss)
    #endif
  }

  private static var usage: rusage {
    var usage = rusage()
    #if canImport(Glibc)
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #else
      getrusage(RUSAGE_SELF, &usage)
    #endif
    return usage
  }

  private static func statusField(_ name: String) -> Int? {
    guard let file = fopen("/proc/self/status", "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      guard text.hasPrefix(name) else { continue }
      return text.split(whereSeparator: { " \t".contains($0) }).dropFirst().first.flatMap { Int($0) }
    }
    return nil
  }
}

// What the commands print and where. Not a logger. Every byte is written at once, so that text appears while a model
// speaks, and nothing is lost if the process ends badly. Surprise: what comes out of files may hold signs that a terminal
// obeys, so control characters are written as `\u001b`, line breaks and tabs excepted; --json keeps a model's text exact.
import Basics
import LanguageModels

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

enum Console {
  /// A line of results. False if nobody reads any more.
  @discardableResult static func print(_ line: String) -> Bool { write(line + "\n", to: STDOUT_FILENO) }

  /// Results without an end of line.
  static func put(_ text: String) -> Bool { write(text, to: STDOUT_FILENO) }

  /// A line beside the results.
  static func note(_ line: String) { _ = write(line + "\n", to: STDERR_FILENO) }

  /// Text beside the results.
  static func noteInline(_ text: String) { _ = write(text, to: STDERR_FILENO) }

  /// A line that the next one replaces; nothing if standard error is a file.
  static func progress(_ line: String) {
    guard isatty(STDERR_FILENO) == 1 else { return }
    _ = write("\r\u{1B}[K" + line.harmless, to: STDERR_FILENO, asItIs: true)
  }

  static func complain(_ error: Diagnostic) { note("azulejo: error: \(text(error))") }

  static func warn(_ problem: Diagnostic) { note("azulejo: warning: \(text(problem))") }

  private static func text(_ error: Diagnostic) -> String {
    error.message + (error.remedy.map { "\n  what to do: \($0)" } ?? "")
  }

  private static func write(_ text: String, to descriptor: Int32, asItIs: Bool = false) -> Bool {
    var text = asItIs ? text : text.harmless
    return text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count, let start = bytes.baseAddress {
        let count = systemWrite(descriptor, start + done, bytes.count - done)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else {
          if descriptor == STDOUT_FILENO, errno != EPIPE { stopWriting() }
          return false
        }
        done += count
      }
      return true
    }
  }

  /// A reader that went away has what it wanted; a full disk has not.
  private static func stopWriting() -> Never {
    let reason = String(cString: strerror(errno))
    complain(
      Diagnostic(.file, "standard output cannot be written: \(reason)", remedy: "make room, or write somewhere else"))
    exit(1)
  }

  /// "1.2 MB".
  static func size(_ bytes: Int) -> String {
    let units = ["kB", "MB", "GB"]
    guard bytes >= 1000 else { return "\(bytes) bytes" }
    var value = Double(bytes) / 1000
    var unit = 0
    while value >= 999.95, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return "\(rounded(value, 1)) \(units[unit])"
  }

  static func rounded(_ value: Double, _ digits: Int) -> Double {
    let scale = pow(10, Double(digits))
    return (value * scale).rounded() / scale
  }
}

extension String {
  /// Without the signs that a terminal would obey: control characters as JSON writes them, which keeps JSON what it is.
  var harmless: String {
    func isControl(_ scalar: Unicode.Scalar) -> Bool {
      (scalar.value < 0x20 && scalar != "\n" && scalar != "\t") || (0x7F...0x9F).contains(scalar.value)
    }
    guard unicodeScalars.contains(where: isControl) else { return self }
    var result = ""
    for scalar in unicodeScalars {
      if isControl(scalar) {
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

private func systemWrite(_ file: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int { write(file, bytes, count) }

/// When this process began, for the parts of its time.
struct CommandStart {
  /// Processor time before the first line of Swift: loading the program and its libraries.
  let loadingSeconds: Double
  private let watch: ContinuousClock.Instant

  static let current = CommandStart(loadingSeconds: ProcessUsage.processorSeconds, watch: .now)

  /// Seconds since the process began.
  var elapsedSeconds: Double { loadingSeconds + (ContinuousClock.now - watch) / .seconds(1) }
}

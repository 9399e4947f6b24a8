// Artifacts of the compiler and the runtime on standard error, chosen by AZULEJO_LOG; dumps and overrides of stages.
// Not the user's output and not errors (those are Diagnostics). Surprise: text of an artifact that is off is never made.
import Logging

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What can be logged: the stages of a kernel, its launches, the object cache.
package enum LogArtifact: String, Sendable, Hashable, CaseIterable {
  case graph, fusion, tile, llvm, asm, launch, cache
}

package enum Log {
  private static let enabled = Knobs.current.log
  // One bit per artifact: the test must cost nothing on the launch path.
  private static let mask: UInt8 = LogArtifact.allCases.reduce(0) { enabled.contains($1) ? $0 | bit($1) : $0 }

  private static func bit(_ artifact: LogArtifact) -> UInt8 {
    switch artifact {
    case .graph: 1
    case .fusion: 2
    case .tile: 4
    case .llvm: 8
    case .asm: 16
    case .launch: 32
    case .cache: 64
    }
  }

  package static func isOn(_ artifact: LogArtifact) -> Bool { mask & bit(artifact) != 0 }

  /// Prints `text` if `artifact` is on; else does not even make it.
  package static func write(_ artifact: LogArtifact, _ text: @autoclosure () -> String) {
    guard isOn(artifact) else { return }
    let made = text()
    logger(artifact).info("\(made)")
  }

  /// Prints a warning whether or not the artifact is on.
  package static func warn(_ artifact: LogArtifact, _ text: String) {
    logger(artifact).warning("\(text)")
  }

  // Made without LoggingSystem.bootstrap, which belongs to the application.
  private static func logger(_ artifact: LogArtifact) -> Logger {
    Logger(label: "azulejo.\(artifact.rawValue)") { StreamLogHandler.standardError(label: $0) }
  }
}

/// One stage of a kernel on its way to code: logged, dumped and replaced under the same file name.
package enum Stage {
  /// Logs and dumps a stage's text as "KERNEL.ARTIFACT"; the text is made only if someone wants it.
  package static func show(
    _ artifact: LogArtifact, kernel: @autoclosure () -> String, knobs: Knobs = .current,
    _ text: () throws(Diagnostic) -> String
  ) throws(Diagnostic) {
    guard Log.isOn(artifact) || knobs.dump != nil else { return }
    let (kernel, made) = (kernel(), try text())
    Log.write(artifact, "\(kernel)\n\(made)")
    guard let directory = knobs.dump else { return }
    try write(made, to: "\(directory)/\(fileName(artifact, kernel: kernel))", in: directory)
  }

  /// The same, and the text that replaces the stage (AZULEJO_OVERRIDE), or nil to go on unchanged.
  package static func replacement(
    _ artifact: LogArtifact, kernel: @autoclosure () -> String, knobs: Knobs = .current,
    _ text: () throws(Diagnostic) -> String
  ) throws(Diagnostic) -> String? {
    try show(artifact, kernel: kernel(), knobs: knobs, text)
    guard let directory = knobs.override else { return nil }
    return try contents(of: "\(directory)/\(fileName(artifact, kernel: kernel()))")
  }

  /// Kernel names may hold characters that file names must not.
  package static func fileName(_ artifact: LogArtifact, kernel: String) -> String {
    let safe = kernel.unicodeScalars.map { scalar in
      scalar.isASCII
        && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil
          || "-_.".unicodeScalars.contains(scalar))
        ? Character(scalar) : "_"
    }
    return String(safe.prefix(150)) + ".\(artifact.rawValue)"
  }

  private static func write(_ text: String, to path: String, in directory: String) throws(Diagnostic) {
    mkdir(directory, 0o777)
    guard let file = fopen(path, "w") else { throw failure("cannot write the dump \(path)", "AZULEJO_DUMP") }
    var copy = text
    let written = copy.withUTF8 { fwrite($0.baseAddress, 1, $0.count, file) == $0.count }
    guard fclose(file) == 0, written else { throw failure("cannot write the dump \(path)", "AZULEJO_DUMP") }
  }

  private static func contents(of path: String) throws(Diagnostic) -> String? {
    guard let file = fopen(path, "r") else {
      if errno == ENOENT { return nil }
      throw failure("cannot read the override \(path)", "AZULEJO_OVERRIDE")
    }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = fread(&block, 1, block.count, file)
      if count == 0 { break }
      bytes += block[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func failure(_ message: String, _ knob: String) -> Diagnostic {
    let reason = String(cString: strerror(errno))
    return Diagnostic(.file, "\(message): \(reason)", remedy: "set \(knob) to a directory you may use, or unset it")
  }
}

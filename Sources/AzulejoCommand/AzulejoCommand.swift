// The command line: finds the subcommand, runs it, and says what went wrong in one plain sentence.
// Not where work is done. Surprise: results go to standard output, everything else to standard error; exit code 64 is
// a mistake in the arguments, 1 anything else.
import ArgumentParser
import Basics

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@main struct AzulejoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "azulejo", abstract: "Deep learning in Swift, owned by no hardware vendor.",
    discussion: """
      Examples:
        azulejo generate --model model.gguf --prompt "What is the capital of France?"
        azulejo embed --model all-MiniLM-L6-v2 --text "A happy person"
        azulejo trace softmax
        azulejo doctor

      Environment variables AZULEJO_* are listed by `azulejo doctor --knobs`.
      """,
    version: "azulejo 0.1",
    subcommands: [
      GenerateCommand.self, EmbedCommand.self, TraceCommand.self, DevicesCommand.self, DoctorCommand.self,
      CacheCommand.self, ConformanceCommand.self, BenchCommand.self, CalibrateCommand.self, ExplainCommand.self,
      FuzzCommand.self, HostileCommand.self, ReplayCommand.self,
    ])

  static func main() {
    _ = CommandStart.current
    // A reader that goes away is seen by `write`, not by a signal that ends the process.
    signal(SIGPIPE, SIG_IGN)
    // So is a limit on the size of files.
    signal(SIGXFSZ, SIG_IGN)
    do {
      // Swift reads them there on Linux, and gives none where it is missing: a command must not turn into another.
      guard !CommandLine.arguments.isEmpty else {
        throw Diagnostic(
          .file, "the system does not say what the arguments are: /proc/self/cmdline cannot be read",
          remedy: "mount /proc")
      }
      var command = try parseAsRoot()
      for problem in Knobs.problems { Console.warn(problem) }
      try command.run()
    } catch let error as Diagnostic {
      Console.complain(error)
      endProcess(error.kind == .argument ? ExitCode.validationFailure.rawValue : 1)
    } catch {
      leave(with: error)
    }
  }

  /// Help and versions are results; mistakes in the arguments are not.
  private static func leave(with error: any Error) -> Never {
    let code = exitCode(for: error)
    if code.isSuccess {
      Console.print(fullMessage(for: error))
    } else if !(error is ExitCode) {
      Console.note("azulejo: error: \(message(for: error))")
      let usage = fullMessage(for: error).split(separator: "\n", omittingEmptySubsequences: false)
      if let start = usage.firstIndex(where: { $0.hasPrefix("Usage:") }) {
        Console.note(usage[start...].joined(separator: "\n"))
      }
    }
    endProcess(code.rawValue)
  }
}

/// `exit` inside a command is ArgumentParser's.
private func endProcess(_ code: Int32) -> Never { exit(code) }

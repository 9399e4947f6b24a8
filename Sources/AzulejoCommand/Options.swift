// Options that several commands share. Not commands.
import ArgumentParser
import Basics
import Engine
import TensorTypes

struct OutputOptions: ParsableArguments {
  @Flag(help: "Print one JSON object on the last line of standard output, everything else on standard error.")
  var json = false

  /// Prints `members` if JSON was asked for.
  func finish(_ members: [(String, JSON)]) {
    if json { Console.print("\(JSON.object(members.map { .init($0.0, $0.1) }))") }
  }
}

/// Where an option's number has to lie: what is beyond is refused before anything is computed from it.
enum NumberRange {
  /// More seconds than anyone waits, and few enough to count in.
  static let seconds = 0.001...31_536_000.0
  static let count = 1...1_000_000_000

  static func check<Number: Comparable>(_ name: String, _ value: Number?, in range: ClosedRange<Number>) throws {
    guard let value, !range.contains(value) else { return }
    throw ValidationError("\(name) \(value): give a number from \(range.lowerBound) to \(range.upperBound)")
  }
}

struct DeviceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where tensors live and kernels run: \(DeviceKind.allCases.map(\.rawValue).joined(separator: ", ")).",
      valueName: "device"))
  var device: String?

  func validate() throws {
    guard let device else { return }
    do {
      let parsed = try Device(parsing: device)
      guard parsed.index == 0 else { throw ValidationError("there is no device '\(device)': each kind has one, 0") }
    } catch let error as Diagnostic {
      throw ValidationError(error.message + (error.remedy.map { "; \($0)" } ?? ""))
    }
  }

  /// Makes the choice this process' device. Call it before anything makes a tensor.
  func choose() throws {
    guard let device else { return }
    try Engine.choose(Device(parsing: device).kind)
  }
}

// One case of the fuzzer: a graph of primitives, or a program over the library's operations.
// Not how it is run. Surprise: which of the two a text is, its first word says.
import Basics
import RandomGraphs

package enum FuzzCase: Sendable, Hashable, CustomStringConvertible {
  case graph(GraphCase)
  case program(FunctionCase)

  package var description: String {
    switch self {
    case .graph(let sample): sample.description
    case .program(let sample): sample.description
    }
  }

  /// The case that `description` prints as `text`.
  package init(text: String) throws(Diagnostic) {
    if text.drop(while: \.isWhitespace).hasPrefix("program ") {
      self = .program(try FunctionCase(text: text))
    } else {
      self = .graph(try GraphCase(text: text))
    }
  }

  /// Case `number` of `seed`: programs and graphs take turns.
  package static func random(seed: Int, number: Int) -> FuzzCase {
    number % 2 == 0
      ? .graph(.random(seed: seed, number: number / 2)) : .program(.random(seed: seed, number: number / 2))
  }

  /// All cases that are one step smaller.
  package var smaller: [FuzzCase] {
    switch self {
    case .graph(let sample): sample.smaller.map { .graph($0) }
    case .program(let sample): sample.smaller.map { .program($0) }
    }
  }

  package func outcome(_ ways: [Way] = Way.allCases) throws(Diagnostic) -> Outcome {
    switch self {
    case .graph(let sample): try CaseRun(sample).outcome(ways)
    case .program(let sample): FunctionRun(program: sample).outcome(ways)
    }
  }

  /// What a test of it is called.
  var name: String {
    switch self {
    case .graph(let sample): sample.graph.name
    case .program(let sample): "program\(sample.seed)"
    }
  }
}

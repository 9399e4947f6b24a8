// The text of a case: one line on what the graph is run on, then the graph's own text.
// Surprise: the line may be missing; then the graph is called once, without arguments.
import Basics
import GraphIR

extension GraphCase: CustomStringConvertible {
  /// "case seed=7 values=mixed calls=[5,3][0,7] donated=[1:0]", then the graph.
  package var description: String {
    let calls = calls.map { "[" + $0.map(String.init).joined(separator: ",") + "]" }.joined()
    var line = "case seed=\(seed) values=\(values.rawValue) calls=\(calls)"
    if !donations.isEmpty {
      let pairs = donations.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
      line += " donated=[" + pairs.joined(separator: ",") + "]"
    }
    return line + "\n" + graph.description
  }

  /// The case that `description` prints as `text`.
  package init(text: String) throws(Diagnostic) {
    let trimmed = text.drop { $0.isWhitespace }
    guard trimmed.hasPrefix("case ") else {
      self.init(try Graph(text: text))
      if !graph.arguments.isEmpty {
        throw Diagnostic(
          .format, "the graph takes \(graph.arguments.count) arguments, and no line before it says their values",
          remedy: "begin with a line such as: case seed=1 values=whole calls=[5,3]")
      }
      return
    }
    let end = trimmed.firstIndex(of: "\n") ?? trimmed.endIndex
    self.init(try Graph(text: String(trimmed[end...])))
    for word in trimmed[..<end].split(separator: " ").dropFirst() { try read(word) }
    if let wrong = calls.first(where: { $0.count != graph.arguments.count }) {
      throw Diagnostic(.format, "a call has \(wrong.count) arguments, the graph takes \(graph.arguments.count)")
    }
    for (output, parameter) in donations {
      guard graph.outputs.indices.contains(output), graph.parameters.indices.contains(parameter) else {
        throw Diagnostic(.format, "donated=[\(output):\(parameter)] names no output or no parameter of the graph")
      }
    }
  }

  private mutating func read(_ word: Substring) throws(Diagnostic) {
    func failure() -> Diagnostic {
      Diagnostic(
        .format, "'\(word)' is no part of a case",
        remedy: "write: case seed=1 values=\(Values.allCases.map(\.rawValue).joined(separator: "|")) calls=[5,3][0,7] "
          + "donated=[0:1]")
    }
    let parts = word.split(separator: "=", maxSplits: 1)
    guard parts.count == 2 else { throw failure() }
    switch parts[0] {
    case "seed":
      guard let number = Int(parts[1]) else { throw failure() }
      seed = number
    case "values":
      guard let kind = Values(rawValue: String(parts[1])) else { throw failure() }
      values = kind
    case "calls":
      guard parts[1].hasPrefix("["), parts[1].hasSuffix("]") else { throw failure() }
      calls = []
      for call in parts[1].split(separator: "[") {
        var numbers: [Int] = []
        for digits in call.dropLast().split(separator: ",") {
          guard let number = Int(digits) else { throw failure() }
          numbers.append(number)
        }
        calls.append(numbers)
      }
    case "donated":
      for pair in parts[1].dropFirst().dropLast().split(separator: ",") {
        let numbers = pair.split(separator: ":").compactMap { Int($0) }
        guard numbers.count == 2 else { throw failure() }
        donations[numbers[0]] = numbers[1]
      }
    default: throw failure()
    }
  }
}

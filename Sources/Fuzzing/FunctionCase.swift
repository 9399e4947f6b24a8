// A program over the library's operations, and what it is called with: what users give to `compile`, written as text.
// Not a graph: operations broadcast, promote and take whatever ranks a call has. Surprise: a step that the first call cannot
// take is left out, so that any list of steps is a program; and elements are drawn from a value's name.
import Basics
import RandomGraphs
import TensorTypes

/// One case: constants, state, steps, results, and calls one after the other.
package struct FunctionCase: Sendable, Hashable {
  /// Where a constant is made.
  package enum Origin: String, CaseIterable, Sendable {
    /// Outside of the function, which captures it.
    case captured
    /// By the function, on each run.
    case made
  }

  /// How a constant looks at its memory.
  package enum View: String, CaseIterable, Sendable {
    case whole, transposed, strided, expanded, sliced, flattened
  }

  package struct Constant: Sendable, Hashable {
    package var name: String
    package var origin: Origin
    package var type: TensorForm
    package var view: View
  }

  /// A dtype and extents.
  package struct TensorForm: Sendable, Hashable {
    package var dtype: DType
    package var extents: [Int]
  }

  /// How an argument is handed over: the function does another thing with each.
  package enum Wrapping: String, CaseIterable, Sendable {
    case plain, negated, doubled, scaled, keyed, missing
  }

  /// One operation: its name, and names of values or numbers.
  package struct Step: Sendable, Hashable {
    package var name: String
    package var operation: String
    package var arguments: [String]
  }

  package struct Argument: Sendable, Hashable {
    package var type: TensorForm
    package var wrapping: Wrapping
  }

  package struct Call: Sendable, Hashable {
    package var arguments: [Argument]
    package var sizes: [Int]
  }

  package var seed: Int
  package var constants: [Constant] = []
  /// Members of the state, "s0" and so on.
  package var state: [TensorForm] = []
  package var steps: [Step] = []
  package var results: [String] = []
  package var calls: [Call] = []
}

// MARK: Text

extension FunctionCase.TensorForm: CustomStringConvertible {
  package var description: String { "\(dtype)[\(extents.map(String.init).joined(separator: ","))]" }

  init?(_ text: Substring) {
    guard let open = text.firstIndex(of: "["), text.last == "]", let dtype = DType(String(text[..<open])) else {
      return nil
    }
    var extents: [Int] = []
    for part in text[text.index(after: open)...].dropLast().split(separator: ",") {
      guard let extent = Int(part), (0..<1 << 20).contains(extent) else { return nil }
      extents.append(extent)
    }
    self.init(dtype: dtype, extents: extents)
  }
}

extension FunctionCase: CustomStringConvertible {
  /// One line for each constant, member of the state, step and call.
  package var description: String {
    var lines = ["program seed=\(seed)"]
    for constant in constants {
      lines.append(
        "  \(constant.name) = \(constant.origin.rawValue) \(constant.type) view=\(constant.view.rawValue)")
    }
    for (i, form) in state.enumerated() { lines.append("  s\(i) = state \(form)") }
    for step in steps { lines.append("  \(step.name) = \(([step.operation] + step.arguments).joined(separator: " "))") }
    lines.append("  return \(results.joined(separator: " "))")
    for call in calls {
      let arguments = call.arguments.map { "\($0.type):\($0.wrapping.rawValue)" }
      lines.append("call \((arguments + call.sizes.map { "size=\($0)" }).joined(separator: " "))")
    }
    return lines.joined(separator: "\n")
  }

  /// The case that `description` prints as `text`.
  package init(text: String) throws(Diagnostic) {
    var made: FunctionCase?
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let first = words.first else { continue }
      if first == "program" {
        guard let seed = words.dropFirst().first.flatMap({ Int($0.dropFirst(5)) }) else { throw Self.wrong(line) }
        made = FunctionCase(seed: seed)
      } else {
        guard made?.read(words) == true else { throw Self.wrong(line) }
      }
    }
    guard let made, !made.calls.isEmpty else {
      throw Diagnostic(.format, "a program has no call", remedy: "end with a line such as: call f32[2,3]:plain size=2")
    }
    let counts = Set(made.calls.map { [$0.arguments.count, $0.sizes.count] })
    guard counts.count == 1 else {
      throw Diagnostic(
        .format, "the calls of a program have different numbers of arguments: \(counts.sorted { $0[0] < $1[0] })")
    }
    self = made
  }

  private static func wrong(_ line: Substring) -> Diagnostic {
    Diagnostic(
      .format, "'\(line)' is no line of a program",
      remedy:
        "lines are: program seed=1, c0 = captured f32[2] view=whole, s0 = state f32[2], v0 = add a0 c0, return v0, "
        + "call f32[2]:plain size=3")
  }

  /// False: it is no line of a program.
  private mutating func read(_ words: [Substring]) -> Bool {
    if words[0] == "return" {
      results = words.dropFirst().map(String.init)
      return true
    }
    if words[0] == "call" {
      var call = Call(arguments: [], sizes: [])
      for word in words.dropFirst() {
        if word.hasPrefix("size="), let size = Int(word.dropFirst(5)) {
          call.sizes.append(size)
          continue
        }
        let parts = word.split(separator: ":")
        guard parts.count == 2, let form = TensorForm(parts[0]), let wrapping = Wrapping(rawValue: String(parts[1]))
        else {
          return false
        }
        call.arguments.append(Argument(type: form, wrapping: wrapping))
      }
      calls.append(call)
      return true
    }
    guard words.count >= 3, words[1] == "=" else { return false }
    let name = String(words[0])
    if let origin = Origin(rawValue: String(words[2])) {
      guard words.count == 5, let form = TensorForm(words[3]), words[4].hasPrefix("view="),
        let view = View(rawValue: String(words[4].dropFirst(5)))
      else { return false }
      constants.append(Constant(name: name, origin: origin, type: form, view: view))
    } else if words[2] == "state" {
      guard words.count == 4, let form = TensorForm(words[3]), name == "s\(state.count)" else { return false }
      state.append(form)
    } else {
      steps.append(Step(name: name, operation: String(words[2]), arguments: words.dropFirst(3).map(String.init)))
    }
    return true
  }
}

// MARK: Elements

extension FunctionCase {
  /// Elements of the value called `name`: small whole numbers, whose sums and products are exact.
  func elements(_ name: String, _ form: TensorForm) -> [Int] {
    var random = SeededGenerator(seed: seed, name: name)
    let lowest = form.dtype == .bool || !form.dtype.isSigned ? 0 : -4
    let highest = form.dtype == .bool ? 1 : 4
    return (0..<form.extents.reduce(1, *)).map { _ in lowest + random.below(highest - lowest + 1) }
  }
}

// What a plan would keep though the caller may mean to change it: stored members that `visit` forgets, and captured tensors.
// Not the arguments. Surprise: every capture visits the arguments once more where they are, since what a visit shows may
// differ from instance to instance of one type.
import Basics
import Engine
import Tensors
import TensorTypes

extension Compiled {
  /// Before a capture: finds what no visit shows, and reads it into the call's form, described.
  ///
  /// - Throws: a Diagnostic for a tensor that no visit shows, and for a member whose changes no call could see.
  func prepare(_ leaves: inout CallLeaves, _ state: State, _ input: Input) throws(Diagnostic) {
    var probe = Visitor(.probe)
    probe.root(state)
    readInput(input, &probe)
    var visitor = Visitor.describing()
    visitor.root(state)
    readInput(input, &visitor)
    leaves.form = visitor.form
    guard let notes = visitor.form.notes else { return }
    var shown: Set<ObjectIdentifier> = []
    for case .tensor(let tensor) in leaves.all { shown.insert(ObjectIdentifier(tensor.body)) }
    for found in notes.tensors where !shown.contains(ObjectIdentifier(found.tensor.body)) {
      let member = found.path.first ?? ""
      throw Diagnostic(
        .argument,
        "visit of \(found.owner) does not show the tensor '\(found.path.joined(separator: "."))': a plan would keep its "
          + "first value", remedy: "name it in visit: v(\"\(member)\", &\(member))", location: options.place)
    }
    if let refused = notes.refusals.first {
      throw Diagnostic(
        .argument,
        "visit of \(refused.owner) does not show '\(refused.path.joined(separator: "."))': \(refused.reason), and a plan "
          + "would keep its first value",
        remedy:
          "make it a value that can be compared, such as an enum or a struct of numbers, or let the compiled function "
          + "capture it instead", location: options.place)
    }
  }

  /// A line about tensors that the function captured; nil: there are none.
  static func frozen(_ segments: [Segment]) -> String? {
    var known: Set<ObjectIdentifier> = []
    var bytes = 0
    for case .constant(let view) in segments.flatMap(\.sources)
    where known.insert(view.memory).inserted {
      bytes += view.elementCount * view.dtype.size
    }
    if known.isEmpty { return nil }
    return
      "\(known.count) tensor(s) of \(bytes) bytes are constants of the plans, since the function captures or makes them: "
      + "pass as an argument what is to change later"
  }
}

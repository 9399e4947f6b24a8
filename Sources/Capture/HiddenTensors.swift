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
  /// - Throws: a Diagnostic for a member whose changes no call could see.
  func prepare(_ leaves: inout CallLeaves, _ state: State, _ input: Input) throws(Diagnostic) {
    var probe = Visitor(.probe)
    probe.root(state)
    readInput(input, &probe)
    if let object = probe.object { throw HiddenTensor.isShared(object, options.place) }
    var visitor = Visitor.describing()
    visitor.root(state)
    readInput(input, &visitor)
    leaves.form = visitor.form
    guard let notes = visitor.form.notes else { return }
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

extension Visitor {
  /// While a function is captured: no stored tensor of `tree` stayed behind when leaves were put in place of others. No call
  /// would replace it, even where another member shows the same tensor in this call.
  mutating func requireShown<T: Tree>(_ tree: T) {
    guard let capture, failure == nil, let hidden = tree.hiddenTensors.first else { return }
    failure = hidden.mistake("a plan would keep its first value", capture)
  }
}

/// A stored tensor that no visit shows.
struct HiddenTensor {
  var tensor: Tensor
  /// The type whose member it is, and the way from there.
  var owner: String
  var path: [String]

  /// A capture puts traced tensors in place of a tree's own, in a copy of the tree. Copies of an object are the object.
  static func isShared(_ object: Any.Type, _ location: Diagnostic.Location?) -> Diagnostic {
    Diagnostic(
      .argument,
      "\(object) is a class, and a Tree must be a value: what a compiled function puts into its copy of an object, all "
        + "who hold the object would see",
      remedy: "make \(object) a struct, or let the compiled function capture the object and only read it",
      location: location)
  }

  func mistake(_ what: String, _ location: Diagnostic.Location) -> Diagnostic {
    let member = path.first ?? ""
    return Diagnostic(
      .argument, "visit of \(owner) does not show the tensor '\(path.joined(separator: "."))': \(what)",
      remedy: "name it in visit: v(\"\(member)\", &\(member))", location: location)
  }
}

extension Tree {
  /// Stored tensors that stay when others are put in place of all that a visit shows. What a visit shows by a copy or makes
  /// of it (a property wrapper) is not among them.
  var hiddenTensors: [HiddenTensor] {
    var probe = Visitor(.probe)
    probe.root(self)
    let stored = storedTensors
    if stored.isEmpty { return [] }
    let others = leaves.map { leaf in if case .tensor = leaf { Leaf.tensor(Tensor(Float(0))) } else { leaf } }
    // What setters compute of them belongs to no capture.
    guard let held = try? Trace.outside({ () throws(Diagnostic) in try holding(ContiguousArray(others)) }) else {
      return []
    }
    let stayed = Set(held.storedTensors.map { ObjectIdentifier($0.tensor.body) })
    return stored.filter { stayed.contains(ObjectIdentifier($0.tensor.body)) }
  }

  /// One that `other` holds and this tree does not.
  func hiddenChange(to other: Self) -> HiddenTensor? {
    let later = other.hiddenTensors
    if later.isEmpty { return nil }
    let known = Set(hiddenTensors.map { ObjectIdentifier($0.tensor.body) })
    return later.first { !known.contains(ObjectIdentifier($0.tensor.body)) }
  }

  /// In members that are not shown by their address.
  private var storedTensors: [HiddenTensor] {
    var visitor = Visitor.describing()
    visitor.root(self)
    return visitor.form.notes?.tensors ?? []
  }
}

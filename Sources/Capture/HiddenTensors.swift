// Tensors that a plan keeps though the caller may mean to change them: members that `visit` forgets, and captured ones.
// Not the arguments. Surprise: members are found by reflection, once per capture; a forgotten one would be a constant of the
// plan, and writing it would be lost.
import Basics
import Engine
import Tensors
import TensorTypes

extension Compiled {
  /// A member of the state or the arguments that holds a tensor which no visit showed.
  func hiddenTensor(_ state: State, _ input: Input, _ leaves: ContiguousArray<Leaf>) -> Diagnostic? {
    var shown: Set<ObjectIdentifier> = []
    for case .tensor(let tensor) in leaves { shown.insert(ObjectIdentifier(tensor.body)) }
    for value in [state, input] as [Any] {
      guard let found = Self.hidden(value, "", "", shown) else { continue }
      return Diagnostic(
        .argument,
        "visit of \(found.owner) does not show the tensor '\(found.path)': a plan would keep its first value",
        remedy: "name it in visit: v(\"\(found.member)\", &\(found.member))")
    }
    return nil
  }

  /// The first tensor inside `value` that is not among `shown`. Objects are not searched: they are not part of a tree.
  private static func hidden(
    _ value: Any, _ owner: String, _ path: String, _ shown: Set<ObjectIdentifier>
  ) -> (owner: String, path: String, member: String)? {
    if let tensor = value as? Tensor {
      if path.isEmpty || shown.contains(ObjectIdentifier(tensor.body)) { return nil }
      return (owner, path, path.split(separator: ".").last.map(String.init) ?? path)
    }
    let mirror = Mirror(reflecting: value)
    guard let style = mirror.displayStyle, style != .class else { return nil }
    let isOwner = style == .struct
    for (i, child) in mirror.children.enumerated() {
      let label = child.label.flatMap { $0.hasPrefix(".") || $0 == "some" ? nil : $0 } ?? (isOwner ? "\(i)" : nil)
      let inside = isOwner ? label.map { path.isEmpty ? $0 : "\(path).\($0)" } ?? path : path
      let name = isOwner ? "\(type(of: value))" : owner
      if let found = hidden(child.value, name, inside, shown) { return found }
    }
    return nil
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

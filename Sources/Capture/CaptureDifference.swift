// Where two captures of one function part: the first operation that differs, and the lines that it was written on.
// Not whether they differ (Piece.swift). Surprise: a number that Swift computed is an operation too, a constant.
import Basics
import Engine
import GraphIR
import TensorTypes

struct CaptureDifference {
  /// "operation 3 was multiply f32[4] at File.swift:12, now it is add f32[4] at File.swift:14".
  var text: String
  /// Where the later capture was then.
  var location: Diagnostic.Location?

  private init(_ text: String, _ location: Diagnostic.Location?) {
    (self.text, self.location) = (text, location)
  }

  /// nil: the pieces compute the same.
  init?(_ before: Trace.Piece, _ now: Trace.Piece) {
    for (a, b) in zip(before.before, now.before) where !a.isSame(as: b) {
      if let inside = Self(a, b) {
        self = inside
        return
      }
    }
    let (old, new) = (before.graph.nodes, now.graph.nodes)
    if let i = (0..<max(old.count, new.count)).first(where: { i in
      i >= old.count || i >= new.count || old[i] != new[i]
    }) {
      let shown = Self.operation(i, old, new)
      let (was, made) = (Self.line(before, shown), Self.line(now, shown))
      text = "operation \(shown + 1) was \(was.text), now it is \(made.text)"
      location = made.location
      return
    }
    if before.isSame(as: now) { return nil }
    if let i = zip(before.sources, now.sources).map({ $0.isSame(as: $1) }).firstIndex(of: false) {
      text = "what '\(now.graph.parameters[i].name)' (\(now.graph.parameters[i].type)) is read from is another tensor"
    } else if before.prints != now.prints {
      text = "what is printed was \(before.prints.map(\.label)), now it is \(now.prints.map(\.label))"
    } else {
      text = "it had \(before.before.count) loops and pieces before its last piece, now it has \(now.before.count)"
    }
  }

  private init?(_ before: Trace.Section, _ now: Trace.Section) {
    switch (before, now) {
    case (.piece(let a), .piece(let b)): self.init(a, b)
    case (.loop(let a), .loop(let b)): self.init(a.routines, b.routines, a.name, b.location)
    case (.branch(let a), .branch(let b)): self.init(a.routines, b.routines, a.name, b.location)
    case (.piece, _), (.loop, _), (.branch, _):
      self.init("there was \(before.kind), now there is \(now.kind)", now.place ?? before.place)
    }
  }

  private init(_ before: [Trace.Routine], _ now: [Trace.Routine], _ name: String, _ place: Diagnostic.Location?) {
    for (a, b) in zip(before, now) {
      guard let inside = Self(a.piece, b.piece) else { continue }
      self.init("in \(name) \(inside.text)", inside.location ?? place)
      return
    }
    self.init("\(name) starts from other values or makes other trips", place)
  }

  /// The operation that differs, if what differs first is a number for it.
  private static func operation(_ i: Int, _ old: [GraphNode], _ new: [GraphNode]) -> Int {
    (i..<min(old.count, new.count)).first { j in
      old[j].origin == old[i].origin && new[j].origin == new[i].origin
        && operation(old[j].primitive) != operation(new[j].primitive)
    } ?? i
  }

  /// As the user knows it.
  private static func operation(_ primitive: Primitive) -> String {
    if case .call(let reference, _) = primitive { return reference.graph.name }
    return primitive.name
  }

  private static func line(_ piece: Trace.Piece, _ i: Int) -> (text: String, location: Diagnostic.Location?) {
    guard i < piece.graph.nodes.count else { return ("nothing more", nil) }
    let node = piece.graph.nodes[i]
    var located = Diagnostic(.compiler, "")
    if piece.origins.indices.contains(Int(node.origin)) { located.origin = piece.origins[Int(node.origin)] }
    let place = located.place
    let text = node.primitive.isCall ? operation(node.primitive) : node.primitive.text
    return ("\(text) \(node.type)" + (place.map { " at \($0)" } ?? ""), place)
  }
}

extension Trace.Section {
  fileprivate var kind: String {
    switch self {
    case .piece: "straight code"
    case .loop(let loop): loop.name
    case .branch(let branch): branch.name
    }
  }

  fileprivate var place: Diagnostic.Location? {
    switch self {
    case .piece: nil
    case .loop(let loop): loop.location
    case .branch(let branch): branch.location
    }
  }
}

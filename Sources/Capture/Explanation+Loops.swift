// What an explanation says of loops, branches and printing, and the walk through a plan that finds them and its breaks.
// Not the kernels. Surprise: trips are those of the last call on any thread.
import Basics
import Engine
import GraphIR

extension Explanation {
  /// A loop or a branch that is part of a plan.
  public struct Loop: Sendable, CustomStringConvertible {
    /// "whileLoop", "scan", "map", "cond".
    public var kind: String
    public var place: Diagnostic.Location?
    /// Trips of the last call; nil for a branch, and before the first run.
    public var trips: Int?
    /// Kernels of one trip, those of loops inside counted once; of a branch, of both sides together.
    public var kernelsPerTrip: Int
    /// Tensors of the state that a trip writes where they are; the others have two places that take turns.
    public var inPlace: Int
    /// How many loops and branches are around it.
    public var depth: Int

    public var description: String {
      let text = place.map { "\($0)" } ?? "unknown place"
      let trips = trips.map { ", \($0) trip(s) at the last call" } ?? ""
      let written = inPlace > 0 ? ", \(inPlace) tensor(s) in place" : ""
      return String(repeating: "  ", count: depth + 1)
        + "\(kind) \(text): \(kernelsPerTrip) kernel(s)\(trips)\(written)"
    }
  }

  /// A tensor that is printed each time a plan runs: its elements go to memory.
  public struct Print: Sendable, CustomStringConvertible {
    public var label: String
    /// The operation whose result it is.
    public var operation: String

    public var description: String {
      "  print \"\(label)\": the result of \(operation) goes to memory on each run"
    }
  }
}

/// What is met on the way through a plan.
struct PlanWalk {
  var breaks: [Explanation.Break] = []
  var loops: [Explanation.Loop] = []
  var prints: [Explanation.Print] = []

  mutating func collect(_ node: PlanNode) {
    collect(node.segment, depth: 0)
    switch node.next {
    case .end: return
    case .closed(let site): breaks.append(Explanation.Break(site, node.values.map(\.bits), isOpen: false))
    case .open(let site): breaks.append(Explanation.Break(site, [], isOpen: true))
    }
    for (_, child) in node.values { collect(child) }
  }

  private mutating func collect(_ segment: Segment, depth: Int) {
    for section in segment.before {
      switch section {
      case .piece(let piece): collect(piece, depth: depth)
      case .loop(let loop):
        loops.append(
          .init(
            kind: loop.name, place: loop.location, trips: loop.trips, kernelsPerTrip: loop.step.segment.kernelCount,
            inPlace: loop.step.taken.count, depth: depth))
        if let test = loop.test { collect(test.segment, depth: depth + 1) }
        collect(loop.step.segment, depth: depth + 1)
      case .branch(let branch):
        let kernels = branch.routines.reduce(0) { $0 + $1.segment.kernelCount }
        loops.append(
          .init(
            kind: branch.name, place: branch.location, trips: nil, kernelsPerTrip: kernels, inPlace: 0, depth: depth))
        for routine in branch.routines { collect(routine.segment, depth: depth + 1) }
      }
    }
    for print in segment.prints {
      let graph = try? segment.compiled.accounted().graph
      let operation = graph.map { $0[$0.outputs[print.output]].primitive.definition.name } ?? "an operation"
      let made = Explanation.Print(label: print.label, operation: operation)
      prints.append(made)
    }
  }
}

extension Segment {
  /// With the kernels of what runs before the last piece, loops counted as one trip.
  var kernelCount: Int {
    before.reduce(compiled.launchCount) { count, section in
      switch section {
      case .piece(let piece): count + piece.kernelCount
      case .loop(let loop): count + loop.step.segment.kernelCount
      case .branch(let branch): count + branch.routines.reduce(0) { $0 + $1.segment.kernelCount }
      }
    }
  }
}

// What fusion makes of a graph before anything is tiled: loop nests that read and write named memory. The stages that make
// it, read from top to bottom, each a function from a value to the next.
// Not kernels. Surprise: the first stage decides in the graph's order and asks what is in memory by then, so that deciding
// and storing are one walk; but all that it knows of memory is that each stored value has some. Whose it is comes after it.
import Basics
import GraphIR
import TensorTypes

struct LoopNests {
  var nests: [LoopNest]
  /// Row-major values that live from one nest to a later one.
  var temporaries: [TensorType]
  /// Why values go through memory.
  var refusals: [Refusal]

  init(_ graph: Graph, _ context: SchedulingContext, forced: Set<Value>) throws(Diagnostic) {
    // Which values share a nest, which are stored, which are views of what is stored, which ranges are written in place.
    let decided = try Partition(graph, context, forced: forced)
    try Self.show("decide", decided)
    // Outputs in memory of their own: in what temporaries were, or written there.
    let placed = decided.after { $0.placeOutputs() }
    try Self.show("place outputs", placed)
    // Outputs over the parameters that donate their memory, each after everything that reads the old value.
    let donated = placed.after { $0.placeDonated() }
    try Self.show("place donated", donated)
    // What each nest reads.
    let connected = donated.connected()
    self = Knobs.current.verifies ? try connected.verified(graph, donations: context.donations) : connected
  }

  fileprivate init(_ nests: [LoopNest], _ temporaries: [TensorType], _ refusals: [Refusal]) {
    (self.nests, self.temporaries, self.refusals) = (nests, temporaries, refusals)
  }

  /// As far as it is known by then what the nests read: a nest that reads nothing would print all that it is made of.
  private static func show(_ stage: String, _ partition: Partition) throws(Diagnostic) {
    let graph = partition.graph
    try Stage.show(.fusion, kernel: "\(graph.name) after \(stage)") {
      partition.connected().nests.map { $0.text(graph) }.joined()
    }
  }
}

extension Partition {
  /// What a stage makes of it.
  fileprivate consuming func after(_ stage: (inout Partition) -> Void) -> Partition {
    var next = self
    stage(&next)
    return next
  }

  /// The nests with what each of them reads, and without temporaries that became an output's memory.
  func connected() -> LoopNests {
    var connected: [LoopNest] = []
    for (i, nest) in nests.enumerated() where !nest.roots.isEmpty {
      var next = nest
      next.inputs = reads(i)
      for r in next.roots.indices { next.roots[r].target.source = named(next.roots[r].target.source) }
      connected.append(next)
    }
    return LoopNests(connected, temporaries, refusals).without(Set(names.keys))
  }
}

extension LoopNests {
  /// With the temporaries that are left numbered anew.
  fileprivate func without(_ gone: Set<Int>) -> LoopNests {
    if gone.isEmpty { return self }
    let left = temporaries.indices.filter { !gone.contains($0) }
    let numbers = Dictionary(uniqueKeysWithValues: left.enumerated().map { ($1, $0) })
    func moved(_ view: MemoryView) -> MemoryView {
      var view = view
      if case .temporary(let t) = view.source { view.source = .temporary(numbers[t] ?? t) }
      return view
    }
    let renumbered = nests.map { nest in
      var next = nest
      for r in next.roots.indices { next.roots[r].target = moved(next.roots[r].target) }
      next.inputs = next.inputs.mapValues(moved)
      return next
    }
    return LoopNests(renumbered, left.map { temporaries[$0] }, refusals)
  }
}

// The passes that a captured graph goes through so that more of it fuses, and all passes in their order.
// Not what a graph means by itself (`GraphPass.reducing`). Surprise: fusion works without them, into more kernels.
import Basics
import GraphIR

extension GraphPass {
  /// What makes products, attention and writes into ranges look the one way that fusion knows.
  package static let fusing: [GraphPass] = [
    // Weights are exponentials over their sum, so that attention has one form.
    .changing("softmax") { graph throws(Diagnostic) in try graph.withPlainSoftmax() },
    // Elementwise work on few elements, not on all that they are picked from.
    .changing("early gathers") { graph throws(Diagnostic) in try graph.withEarlyGathers() },
    // Epilogues see the axes of their products.
    .changing("late reshapes") { graph throws(Diagnostic) in try graph.withLateReshapes() },
    // What a reshape makes one axis stays several where only a copy could be one.
    .changing("split axes") { graph throws(Diagnostic) in
      let split = try graph.withSplitAxes()
      return split == graph ? graph : try split.reduced().withLateReshapes()
    },
    // Products read what their operands are made of, not a rearranged copy.
    .changing("product axes") { graph throws(Diagnostic) in try graph.withPlainProductAxes() },
    // Nothing decoded goes to memory just to be multiplied.
    GraphPass(name: "decoded products") { graph throws(Diagnostic) in try graph.withProductsOfDecoded() },
    // A write into a part of a part is one write into the whole.
    .changing("ranges") { graph throws(Diagnostic) in try graph.withWholeRanges() },
  ]

  package static let all = reducing + fusing
}

extension Graph {
  /// After all passes. Each changed graph is shown under its pass's name.
  package func optimized() throws(Diagnostic) -> Graph {
    let verifies = Knobs.current.verifies
    var graph = verifies ? try verified() : self
    for pass in GraphPass.all {
      let next = verifies ? try pass.checked(graph) : try pass.run(graph)
      try Stage.show(.graph, kernel: "\(name) after \(pass.name)") { next.description }
      graph = next
    }
    return graph
  }
}

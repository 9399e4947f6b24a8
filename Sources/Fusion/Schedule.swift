// What Fusion makes of a graph: kernels in launch order, the buffers they read and write, temporaries between them.
// Not executable: Engine compiles the kernels and binds memory. Surprise: all kernels of a schedule take the graph's
// launch arguments, in the graph's order, so one argument array serves the whole launch.
import GraphIR
import Targets
import TensorTypes
import TileIR

/// A graph turned into kernels.
package struct Schedule: Sendable {
  package enum BufferSource: Sendable, Hashable {
    case parameter(Int), output(Int), temporary(Int)
  }
  package struct Step: Sendable {
    package var nests: [LoopNest]
    package var kernel: Kernel
    /// One source for each launch buffer of the kernel.
    package var buffers: [BufferSource]
    /// Where each buffer's first element is in its source, in bytes.
    package var offsets: [Dim]
  }
  /// What the nests' values are of: the graph that was scheduled, calls written out.
  package var graph: Graph
  package var steps: [Step] = []
  /// Row-major values that live from one step to a later one.
  package var temporaries: [TensorType] = []
  /// Why values go through memory.
  package var refusals: [Refusal] = []

  /// The loop nests, then what was refused and why.
  package func text() -> String {
    (steps.flatMap { step in step.nests.map { $0.text(graph) } } + refusals.map { "refused: \($0)\n" }).joined()
  }
}

extension Schedule {
  /// A kernel may find a wrong index or divisor.
  package var mayFault: Bool { steps.contains { step in step.nests.contains { $0.mayFault(graph) } } }

  /// Outputs in the memory of a parameter (`donations`: output -> parameter) that may be half written when a kernel finds
  /// a wrong index or divisor: the launch then ends.
  package func outputsBeforeFaults(_ donations: [Int: Int]) -> Set<Int> {
    let last = steps.lastIndex { step in step.nests.contains { $0.mayFault(graph) } }
    guard let last else { return [] }
    let written = Set(steps[...last].flatMap { $0.nests.flatMap { $0.roots.map(\.target.source) } })
    return Set(
      donations.filter { written.contains(.parameter($0.value)) || written.contains(.output($0.key)) }.keys)
  }
}

extension LoopNest {
  fileprivate func mayFault(_ graph: Graph) -> Bool {
    body(graph).contains { value in
      if inputs[value] != nil { return false }
      return graph[value].primitive.indexedAxis != nil || graph.mayFault(value)
    }
  }
}

/// What a schedule is made for.
package struct SchedulingContext: Sendable {
  package var target: TargetDescription
  /// Strides of each output; nil: row-major.
  package var outputStrides: [[Dim]?]
  /// Largest value of launch arguments that have one, by argument number.
  package var bounds: [Int: Int]

  /// The outputs exceed what the last-level cache would keep: they are written past it.
  package var streamsOutputs: Bool

  /// Outputs for which the launch passes a parameter's address.
  package var donations: [Donation]

  /// False: every operation is a kernel of its own, to see what fusion is worth.
  package var fuses = true

  package init(
    target: TargetDescription, outputStrides: [[Dim]?] = [], bounds: [Int: Int] = [:], streamsOutputs: Bool = false,
    donations: [Donation] = []
  ) {
    self.donations = donations
    self.streamsOutputs = streamsOutputs
    self.target = target
    self.outputStrides = outputStrides
    self.bounds = bounds
  }
}

// A compiled graph as plain data: kernels by their keys, buffers, sizes, lifetimes. What the plan cache keeps.
// Not executable: CompiledGraph is, and is made from this whether the record comes from Fusion or from the disk.
// Surprise: there is no graph in it; whoever wants to see one makes it again from what was captured.
import Fusion
import GraphIR
import TensorTypes

/// What running a graph takes, beside the kernels' code.
package struct PlanRecord: Sendable, Hashable {
  /// A launch.
  struct Step: Sendable, Hashable {
    /// Its place in `kernels`.
    var kernel: Int
    /// Its buffers in `slots`.
    var buffers: Range<Int>
    /// Bytes moved, or flops / 8 if that is more.
    var work: Dim
  }
  /// A launch buffer: a base address (parameters, then outputs, then temporaries) and bytes behind it.
  struct Slot: Sendable, Hashable {
    var base: Int
    var offset: Dim
  }

  /// The graph's; not kept on disk.
  var name: String
  var parameterCount: Int
  var argumentCount: Int
  var outputs: [TensorType]
  /// Keys of the kernels' code, each once, in the order of their first launch.
  package internal(set) var kernels: [String]
  var steps: [Step]
  var slots: [Slot]
  /// Bytes of each temporary.
  var temporaries: [Dim]
  /// A kernel may find a wrong index or divisor.
  var mayFault: Bool
  /// Donated outputs of which something is written before the last kernel that may fault is done.
  var outputsBeforeFaults: Set<Int>

  /// The temporaries with the steps that they live for.
  var memoryPlan: MemoryPlan {
    var blocks = temporaries.map { MemoryPlan.Lifetime(bytes: $0, first: .max, last: -1) }
    let fixed = parameterCount + outputs.count
    for (number, step) in steps.enumerated() {
      for slot in slots[step.buffers] where slot.base >= fixed {
        let t = slot.base - fixed
        blocks[t].first = min(blocks[t].first, number)
        blocks[t].last = max(blocks[t].last, number)
      }
    }
    return MemoryPlan(blocks: blocks)
  }
}

extension PlanRecord {
  /// The record of a schedule; `donations`: output -> parameter; `keys[i]` is the key of step i's kernel.
  init(_ account: CompiledGraph.Account, _ donations: [Int: Int], keys: [String]) {
    let (graph, schedule) = (account.graph, account.schedule)
    mayFault = schedule.mayFault
    outputsBeforeFaults = schedule.outputsBeforeFaults(donations)
    name = graph.name
    parameterCount = graph.parameters.count
    argumentCount = graph.arguments.count
    outputs = graph.outputs.map { graph.type($0) }
    temporaries = schedule.temporaries.map { $0.shape.elementCount * $0.dtype.size }
    (kernels, steps, slots) = ([], [], [])
    var places: [String: Int] = [:]
    for (step, key) in zip(schedule.steps, keys) {
      let first = slots.count
      for (source, offset) in zip(step.buffers, step.offsets) {
        let base =
          switch source {
          case .parameter(let i): i
          case .output(let i): parameterCount + i
          case .temporary(let i): parameterCount + outputs.count + i
          }
        slots.append(Slot(base: base, offset: offset))
      }
      let place = places[key] ?? kernels.count
      if place == kernels.count {
        places[key] = place
        kernels.append(key)
      }
      let work = step.nests.reduce(Dim(0)) { $0 + Self.work($1, schedule.graph) }
      steps.append(Step(kernel: place, buffers: first..<slots.count, work: work))
    }
  }

  private static func work(_ nest: LoopNest, _ graph: Graph) -> Dim {
    var bytes: Dim = 0
    for value in nest.inputs.keys.sorted(by: { $0.id < $1.id }) {
      let type = graph.type(value)
      bytes += type.shape.elementCount * type.dtype.size
    }
    for root in nest.roots {
      let type = graph.type(root.value)
      bytes += type.shape.elementCount * type.dtype.size
    }
    guard case .contraction(let value) = nest.form, case .contraction(let axes) = graph[value].primitive else {
      return bytes
    }
    let left = graph.type(graph[value].operands[0]).shape
    let inner = axes.contracted.reduce(Dim(1)) { $0 * left[$1.left] }
    return bytes.maximum(graph.type(value).shape.elementCount * inner / 4)
  }
}

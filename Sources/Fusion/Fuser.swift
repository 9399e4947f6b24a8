// Fusion's front door: a graph in, kernels out, through named steps that can each be printed.
// Not code generation. Surprise: eager operations come through here too; there is no other way to a kernel.
import Basics
import GraphIR
import TensorTypes
import TileIR

package enum Fuser {
  /// Cuts `graph` into nests, gathers nests into kernels and tiles them. Every kernel's arguments are the graph's.
  package static func schedule(_ graph: Graph, _ context: SchedulingContext) throws(Diagnostic) -> Schedule {
    let made = try fusedOrPlain(graph.inlined(), context)
    // Here, not while it is made: what breaks a rule must not end in a slower schedule.
    return Knobs.current.verifies ? try made.verified(donations: context.donations) : made
  }

  private static func fusedOrPlain(_ graph: Graph, _ context: SchedulingContext) throws(Diagnostic) -> Schedule {
    do throws(Diagnostic) { return try fused(graph, context) } catch {
      // A right graph is never refused for what fusion makes of it: it is only slower, and says so.
      guard context.fuses, error.kind == .compiler else { throw error }
      var plain = context
      plain.fuses = false
      var schedule = try fused(graph, plain)
      schedule.refusals = graph.computedValues().sorted { $0.id < $1.id }.map { value in
        let type = graph.type(value)
        return Refusal(
          value: value, reason: .notFused(error.message), bytes: type.shape.elementCount * (2 * type.dtype.size))
      }
      return schedule
    }
  }

  private static func fused(_ graph: Graph, _ context: SchedulingContext) throws(Diagnostic) -> Schedule {
    let made = try LoopNests(graph, context, forced: context.fuses ? [] : graph.computedValues())
    var schedule = Schedule(graph: graph)
    schedule.temporaries = made.temporaries
    schedule.refusals = made.refusals
    let order = LaunchOrder(made.nests, context)
    let nests = made.nests.map { $0.withMergedAxes(graph, context.target) }
    var known: [StableHash: Kernel] = [:]
    let isSingle = nests.count == 1
    for group in order.groups {
      let key = group.key(nests, graph, context)
      let name =
        isSingle
        ? graph.name : "\(group.label(nests, graph))_\(key.description.prefix(8))"
      let kernel: Kernel
      if let made = known[key] {
        kernel = made
      } else {
        kernel = try tiled(group, nests, graph, context, name: name, hasOwnName: isSingle)
        known[key] = kernel
      }
      let buffers = group.buffers(nests, graph).map(\.view)
      schedule.steps.append(
        Schedule.Step(
          nests: group.nests.map { number in
            var nest = nests[number]
            nest.name = name
            return nest
          }, kernel: kernel, buffers: buffers.map(\.source), offsets: buffers.map(\.byteOffset)))
    }
    return schedule
  }

  private static func tiled(
    _ group: NestGroup, _ nests: [LoopNest], _ graph: Graph, _ context: SchedulingContext, name: String,
    hasOwnName: Bool
  ) throws(Diagnostic) -> Kernel {
    var emitter = NestEmitter(graph, nests[group.nests[0]], context, name: name, hasOwnName: hasOwnName)
    for buffer in group.buffers(nests, graph) { _ = emitter.buffer(buffer.view, buffer.isOutput ? .output : .input) }
    var stages: [[Int]] = []
    for stage in group.stages {
      // The i-th phases of all nests of a stage run beside each other.
      var parts: [[Int]] = []
      for number in stage {
        let first = emitter.builder.phaseCount
        emitter.nest = nests[number]
        try emitter.writePhases()
        for (i, phase) in (first..<emitter.builder.phaseCount).enumerated() {
          if i == parts.count { parts.append([]) }
          parts[i].append(phase)
        }
      }
      stages += parts
    }
    if group.nests.count > 1 { emitter.builder.arrange(stages) }
    return emitter.finish()
  }
}

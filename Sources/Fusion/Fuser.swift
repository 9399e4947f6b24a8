// Fusion's front door: a graph in, kernels out, through named steps that can each be printed.
// Not code generation. Surprise: eager operations come through here too; there is no other way to a kernel.
import Basics
import GraphIR
import TensorTypes
import TileIR

package enum Fuser {
  /// Cuts `graph` into nests and tiles each. Every kernel's arguments are the graph's.
  package static func schedule(_ graph: Graph, _ context: SchedulingContext) throws(Diagnostic) -> Schedule {
    let graph = try graph.inlined()
    let partition = try Partition(graph, context)
    var schedule = Schedule(graph: graph)
    schedule.temporaries = partition.temporaries
    schedule.refusals = partition.refusals
    let isSingle = partition.nests.count == 1
    for (i, nest) in partition.nests.enumerated() {
      var named = nest
      named.name = isSingle ? graph.name : "\(graph.name)_\(i)"
      schedule.steps.append(try tiled(graph, named, context, hasOwnName: isSingle))
    }
    return schedule
  }

  private static func tiled(
    _ graph: Graph, _ nest: LoopNest, _ context: SchedulingContext, hasOwnName: Bool
  ) throws(Diagnostic) -> Schedule.Step {
    var emitter = NestEmitter(graph, nest, context, hasOwnName: hasOwnName)
    emitter.declareBuffers(nest)
    switch nest.form {
    case .pointwise: try emitter.tilePointwise()
    case .rows(let anchors): try emitter.tileRows(anchors)
    case .contraction(let value): try emitter.tileContraction(value)
    case .attention(let pattern): try emitter.tileAttention(pattern)
    case .scatter(let value): try emitter.tileScatter(value)
    }
    let (kernel, buffers) = emitter.finish()
    return Schedule.Step(
      nest: nest, kernel: kernel, buffers: buffers.map(\.source), offsets: buffers.map(\.byteOffset))
  }
}

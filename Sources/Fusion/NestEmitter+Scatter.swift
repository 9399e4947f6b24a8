// Tiling of scatters: the base is copied, then updates are combined in, each instance owning whole lines of the axis.
// Surprise: the order of updates on a line is ascending, so results never depend on threads.
import Basics
import GraphIR
import Scalars
import TensorTypes
import TileIR

extension NestEmitter {
  mutating func tileScatter(_ value: Value) throws(Diagnostic) {
    let node = graph[value]
    guard case .scatter(let axis, let combine) = node.primitive, let root = nest.roots.first else {
      throw Diagnostic(.compiler, "fusion: \(node.primitive.definition.name) is no scatter")
    }
    let base = graph.type(node.operands[0]).shape
    try phase(blocks(base.dims, rows: 1, columns: 4096)) { emitter, coordinates throws(Diagnostic) in
      let copied = try emitter.emit(node.operands[0], coordinates)
      emitter.store(root, copied, coordinates)
    }
    let last = nest.axes.count - 1
    let plan = nest.axes.enumerated().map { position, loop in
      Blocking(extent: loop.extent, size: position == axis ? nil : position == last ? 256 : 1)
    }
    try phase(plan) { emitter, coordinates throws(Diagnostic) in
      let indices = try emitter.emit(node.operands[1], coordinates)
      let updates = try emitter.emit(node.operands[2], coordinates)
      let whole = emitter.repeating(updates, emitter.naturalShape(coordinates))
      var target = coordinates
      target[axis] = Coordinate(
        start: emitter.builder.index(0), indirect: emitter.repeating(indices, emitter.builder.shape(whole)))
      emitter.store(root, whole, target, combine.map { .accumulate($0) } ?? .plain)
    }
  }
}

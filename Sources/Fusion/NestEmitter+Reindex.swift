// Reindexing primitives as maps on coordinates: no data moves, loads read elsewhere.
// Surprise: padding and concatenation become guarded loads plus a select, since a kernel may compute what it pads.
import Basics
import GraphIR
import Scalars
import TensorTypes
import TileIR

extension NestEmitter {
  mutating func reindex(_ node: GraphNode, _ coordinates: [Coordinate]) throws(Diagnostic) -> TileValue {
    let operand = node.operands[0]
    let source = graph.type(operand).shape
    switch node.primitive {
    case .broadcast:
      let lead = coordinates.count - source.rank
      var inner: [Coordinate] = []
      for axis in 0..<source.rank {
        let repeats = source[axis].isKnown(1) && !node.type.shape[lead + axis].isKnown(1)
        inner.append(repeats ? Coordinate(start: builder.index(0)) : coordinates[lead + axis])
      }
      return try emit(operand, inner)
    case .reshape(let shape):
      // Only extents of 1 come and go here; other reshapes are memory.
      var rest = coordinates.indices.filter { !shape[$0].isKnown(1) }.map { coordinates[$0] }[...]
      var inner: [Coordinate] = []
      for dim in source.dims {
        inner.append(dim.isKnown(1) ? Coordinate(start: builder.index(0)) : rest.removeFirst())
      }
      return try emit(operand, inner)
    case .permute(let permutation):
      var inner = coordinates
      for (axis, from) in permutation.enumerated() { inner[from] = coordinates[axis] }
      return try emit(operand, inner)
    case .slice(let starts, _, let steps):
      var inner: [Coordinate] = []
      for (axis, at) in coordinates.enumerated() {
        inner.append(try moved(at, times: steps[axis], plus: starts[axis]))
      }
      return try emit(operand, inner)
    case .pad(let low, let high): return try padded(node, coordinates, low, high)
    case .concatenate(let axis): return try concatenated(node, coordinates, axis)
    case let primitive:
      // Windows are always memory.
      preconditionFailure("\(primitive.definition.name) is no reindexing")
    }
  }

  private mutating func moved(_ at: Coordinate, times step: Int, plus start: Dim) throws(Diagnostic) -> Coordinate {
    guard at.indirect == nil || step == 1 else {
      throw Diagnostic(.compiler, "fusion: indices through a strided slice are not tiled")
    }
    var result = at
    let scaled = builder.index(.multiply, at.start, step)
    let offset = index(start)
    result.start = builder.index(.add, scaled, offset)
    result.scale = at.scale * step
    return result
  }

  /// bool tile: low <= coordinate < high on one axis.
  private mutating func inside(_ at: Coordinate, _ low: Dim?, _ high: Dim?) -> TileValue? {
    let position = builder.coordinates(start: at.start, axis: at.tileAxis, scale: at.scale, naturalShape([at]))
    var mask: TileValue?
    if let low {
      let bound = splatIndex(low, like: position)
      mask = map(.lessOrEqual, [bound, position])
    }
    if let high {
      let bound = splatIndex(high, like: position)
      let below = map(.less, [position, bound])
      mask = mask.map { map(.and, [$0, below]) } ?? below
    }
    return mask
  }

  private mutating func splatIndex(_ dim: Dim, like tile: TileValue) -> TileValue {
    let start = index(dim)
    return builder.coordinates(start: start, axis: nil, builder.shape(tile))
  }

  private mutating func padded(
    _ node: GraphNode, _ coordinates: [Coordinate], _ low: [Dim], _ high: [Dim]
  ) throws(Diagnostic) -> TileValue {
    let source = graph.type(node.operands[0]).shape
    var inner = coordinates
    var mask: TileValue?
    for axis in coordinates.indices where !(low[axis].isKnown(0) && high[axis].isKnown(0)) {
      let part = inside(
        coordinates[axis], low[axis].isKnown(0) ? nil : low[axis],
        high[axis].isKnown(0) ? nil : low[axis] + source[axis])
      mask = combined(mask, part)
      inner[axis] = try moved(coordinates[axis], times: 1, plus: 0 - low[axis])
      inner[axis].guarded = true
    }
    let value = try emit(node.operands[0], inner)
    let fill = try emit(node.operands[1], [])
    guard let mask else { return value }
    return map(.select, [mask, value, fill])
  }

  private mutating func combined(_ a: TileValue?, _ b: TileValue?) -> TileValue? {
    guard let a else { return b }
    guard let b else { return a }
    return map(.and, [a, b])
  }

  private mutating func concatenated(
    _ node: GraphNode, _ coordinates: [Coordinate], _ axis: Int
  ) throws(Diagnostic) -> TileValue {
    var offset: Dim = 0
    var result: TileValue?
    for operand in node.operands {
      let extent = graph.type(operand).shape[axis]
      var inner = coordinates
      inner[axis] = try moved(coordinates[axis], times: 1, plus: 0 - offset)
      inner[axis].guarded = true
      let piece = try emit(operand, inner)
      if let before = result, let late = inside(coordinates[axis], offset, nil) {
        result = map(.select, [late, piece, before])
      } else {
        result = piece
      }
      offset += extent
    }
    guard let result else { throw Diagnostic(.compiler, "fusion: concatenate has no operands") }
    return result
  }
}

// Tiling of nests without anchors: blocks of the last two axes, one instance a block.
// Surprise: a tail is not guarded; its tile is as large as what is left, and the lowering masks the last strip.
import Basics
import GraphIR
import TensorTypes
import TileIR

/// Elements of one block along the innermost axis: long enough to amortise an instance, short enough to balance threads.
private let blockColumns = 4096
/// Rows of one block. One: a second stream of stores costs more than loading a bias row again from the nearest cache.
private let blockRows = 1

/// A block of a transposed read: so many columns that their lines stay in the nearest cache while all rows are walked.
private let transposedColumns = 64
private let transposedRows = 256

extension NestEmitter {
  mutating func tilePointwise() throws(Diagnostic) {
    let extents = nest.axes.map(\.extent)
    var plan = blocks(extents, rows: blockRows, columns: blockColumns)
    if let across = transposedAxis() {
      // Neighbours in memory are neighbours on another axis than the last: blocks that use every line they touch.
      plan[plan.count - 1].size = transposedColumns
      for axis in plan.indices.dropLast() { plan[axis].size = axis == across ? transposedRows : 1 }
    }
    try phase(plan) { emitter, coordinates throws(Diagnostic) in
      try emitter.storeRoots(coordinates)
    }
  }

  /// The axis, not the last, along which an input's neighbours are neighbours in memory.
  private func transposedAxis() -> Int? {
    for (_, view) in nest.inputs.sorted(by: { $0.key.id < $1.key.id }) {
      guard view.strides.count == nest.axes.count,
        let axis = view.strides.indices.first(where: { view.strides[$0].isKnown(1) && !view.shape[$0].isKnown(1) }),
        axis < nest.axes.count - 1, view.strides.last?.isKnown(0) == false
      else { continue }
      return axis
    }
    return nil
  }

  /// How one axis of the domain is walked by a grid of tiles.
  struct Blocking {
    var extent: Dim
    /// Elements per tile; nil: the whole axis in every tile.
    var size: Int?
  }

  func blocks(_ extents: [Dim], rows: Int, columns: Int) -> [Blocking] {
    extents.enumerated().map { axis, extent in
      let fromEnd = extents.count - 1 - axis
      return Blocking(extent: extent, size: fromEnd == 0 ? columns : fromEnd == 1 ? rows : 1)
    }
  }

  /// One phase over a grid of blocks; the innermost axis runs fastest. `body` gets the coordinates of the domain's axes.
  mutating func phase(
    _ plan: [Blocking], _ body: (inout NestEmitter, [Coordinate]) throws(Diagnostic) -> Void
  ) throws(Diagnostic) {
    var grid: [TileValue] = []
    var walked: [Int] = []
    for (axis, block) in plan.enumerated().reversed() {
      guard let size = block.size else { continue }
      let extent = index(block.extent)
      grid.append(builder.index(.ceilDivide, extent, size))
      walked.append(axis)
    }
    if grid.isEmpty { grid = [builder.index(1)] }
    let ids = builder.openPhase(grid)
    forget()
    var coordinates: [Coordinate] = []
    tile = []
    for (axis, block) in plan.enumerated() {
      guard let size = block.size, let position = walked.firstIndex(of: axis) else {
        tile.append(extent(block.extent))
        coordinates.append(Coordinate(start: builder.index(0), tileAxis: axis))
        continue
      }
      let start = builder.index(.multiply, ids[position], size)
      if size == 1 {
        tile.append(.constant(1))
      } else if let known = block.extent.knownValue, known <= size {
        tile.append(.constant(known))
      } else {
        let total = index(block.extent)
        let left = builder.index(.subtract, total, start)
        tile.append(.value(builder.index(.minimum, left, size)))
      }
      // A tile of one element stands still on its axis.
      coordinates.append(Coordinate(start: start, tileAxis: size == 1 ? nil : axis))
    }
    // Every tile has at least one axis.
    if tile.isEmpty { tile = [.constant(1)] }
    try body(&self, coordinates)
    builder.closePhase(grid)
    forget()
  }

  mutating func store(
    _ root: LoopNest.Root, _ value: TileValue, _ coordinates: [Coordinate], _ mode: StoreMode = .plain
  ) {
    let number = buffer(root.target, .output)
    let repeated = repeating(value, naturalShape(coordinates))
    var mode = mode
    if case .plain = mode, case .output = root.target.source, streams(coordinates) { mode = .streaming }
    builder.store(Access(number, coordinates.map { AxisMap($0) }), repeated, mode)
  }

  /// Large outputs written along their innermost axis bypass the caches; products re-read what they write.
  private func streams(_ coordinates: [Coordinate]) -> Bool {
    guard context.streamsOutputs, let last = coordinates.last, last.tileAxis == tile.count - 1, last.indirect == nil
    else {
      return false
    }
    switch nest.form {
    case .pointwise, .rows: return true
    case .contraction, .attention, .scatter: return false
    }
  }
}

// How a tile may be walked: the axis the lanes run along, what a walk costs, which accesses are contiguous. Not code.
// Surprise: what is held in memory counts with the axis its home is contiguous on.
import Scalars
import TensorTypes
import TileIR

extension PhaseFacts {
  /// Instructions for one element, roughly; gathers count as many.
  package func cost(_ values: [TileValue]) -> Int {
    var seen: Set<TileValue> = []
    func cost(_ value: TileValue) -> Int {
      guard seen.insert(value).inserted, !isHeld(value) else { return 0 }
      switch kernel[value].operation {
      case .map(let instruction, let operands):
        return operands.reduce(instruction.isCostly ? 16 : 1) { $0 + cost($1) }
      case .convert(let a), .bitcast(let a), .broadcast(let a), .transpose(let a, _): return 1 + cost(a)
      case .load(let access, _):
        return access.axes.reduce(1) { sum, axis in sum + (axis.indirect.map { 8 + cost($0) } ?? 0) }
      default: return 0
      }
    }
    return values.reduce(0) { $0 + cost($1) }
  }

  /// Elements from one coordinate to the next of a buffer's axis; nil: not a constant number.
  func stride(_ access: Access, _ axis: Int) -> Int? {
    switch kernel.buffers[access.buffer].layout {
    case .strided(let strides): index.constant(strides[axis])
    case .rowMajor, .panels: axis == access.axes.count - 1 ? 1 : nil
    }
  }

  /// Elements from one coordinate to the next of a walked axis; nil: not a constant number. `axes`: what is walked along
  /// the axes of the tile.
  private func steps(of access: Access, _ axes: [Int?]) -> [Int: Int?] {
    var steps: [Int: Int?] = [:]
    for (i, axis) in access.axes.enumerated() {
      guard let tileAxis = axis.tileAxis, let walked = axes[tileAxis] else { continue }
      let step = stride(access, i).map { $0 * axis.scale }
      if let known = steps[walked] {
        steps[walked] = known.flatMap { a in step.map { a + $0 } }
      } else {
        steps[walked] = step
      }
    }
    return steps
  }

  /// The axis along which most accesses below `values` are contiguous; nil: scalars.
  package func vectorAxis(
    _ values: [TileValue], _ shape: [Extent], storing inner: Int? = nil, to accesses: [Access] = []
  ) -> Int? {
    var scores = [Int](repeating: 0, count: shape.count)
    let candidates = shape.indices.filter { shape[$0] != .constant(1) }
    func count(_ access: Access, _ axes: [Int?], _ weight: Int) {
      for (walked, step) in steps(of: access, axes) where step != 0 {
        scores[walked] += step == 1 ? 4 * weight : -3 * weight
      }
    }
    var seen: Set<TileValue> = []
    func visit(_ value: TileValue, _ axes: [Int?]) {
      guard seen.insert(value).inserted else { return }
      if let home = held(value), !home.isPending {
        if let inner = home.inner, inner < axes.count {
          let varying = axes.indices.filter { axes[$0] != nil && kernel[value].shape[$0] != .constant(1) }
          // One element for a whole row is no reason to walk rows: it is loaded once.
          let isPartial = varying.count < candidates.count
          for axis in varying {
            if let walked = axes[axis] { scores[walked] += axis == inner ? (isPartial ? 1 : 4) : -3 }
          }
        }
        return
      }
      switch kernel[value].operation {
      case let operation where operation.kind == .elementwise:
        for operand in operation.operands { visit(operand, axes) }
      case .broadcast(let a):
        visit(a, axes.indices.map { kernel[a].shape[$0] == .constant(1) ? nil : axes[$0] })
      case .transpose(let a, let permutation):
        var inner = axes
        for (axis, source) in permutation.enumerated() { inner[source] = axes[axis] }
        visit(a, inner)
      case .load(let access, _):
        count(access, axes, 1)
        for tile in access.axes.compactMap(\.indirect) {
          for (axis, walked) in axes.enumerated() where kernel[tile].shape[axis] != .constant(1) {
            if let walked { scores[walked] -= 4 }
          }
        }
      default: return
      }
    }
    for value in values { visit(value, shape.indices.map { $0 }) }
    for access in accesses { count(access, shape.indices.map { $0 }, 2) }
    if let inner, inner < shape.count { scores[inner] += 5 }
    func rank(_ axis: Int) -> Int {
      let isShort = index.constant(shape[axis]).map { $0 < lanes } ?? false
      return scores[axis] * 16 + axis - (isShort ? 64 : 0)
    }
    return candidates.max { rank($0) < rank($1) }
  }

  /// Whether lanes along `axis` are loaded or stored one by one.
  package func gathers(_ values: [TileValue], along axis: Int, storing accesses: [Access] = []) -> Bool {
    func isScattered(_ access: Access, _ axis: Int, _ shape: [Extent]) -> Bool {
      var step: Int? = 0
      for (i, map) in access.axes.enumerated() {
        if let tile = map.indirect, kernel[tile].shape[axis] != .constant(1) { return true }
        guard map.tileAxis == axis, let known = step else { continue }
        // What is too large to be counted is far from being one element.
        step = stride(access, i).flatMap { CheckedSize.product($0, map.scale) }
          .flatMap { CheckedSize.sum([known, $0]) }
      }
      let size = kernel.buffers[access.buffer].dtype.size
      let bytes = step.flatMap { CheckedSize.product($0, size) }
      return step != 0 && bytes != (access.reinterpreted ?? kernel.buffers[access.buffer].dtype).size
    }
    var seen: Set<TileValue> = []
    func visit(_ value: TileValue, _ axis: Int) -> Bool {
      guard seen.insert(value).inserted, !isHeld(value) else { return false }
      switch kernel[value].operation {
      case .load(let access, _): return isScattered(access, axis, kernel[value].shape)
      case let operation where operation.kind == .elementwise:
        return operation.operands.contains { visit($0, axis) }
      case .broadcast(let a): return kernel[a].shape[axis] != .constant(1) && visit(a, axis)
      case .transpose(let a, let permutation): return visit(a, permutation[axis])
      default: return false
      }
    }
    return accesses.contains { isScattered($0, axis, []) } || values.contains { visit($0, axis) }
  }

  package func unroll(cost: Int) -> Int { cost <= 12 ? 4 : cost <= 40 ? 2 : 1 }

  /// Axes on which the operand has extent 1 and the result may have more.
  package func collapsedAxes(_ operand: [Extent], _ result: [Extent]) -> [Int] {
    operand.indices.filter { operand[$0] == .constant(1) && result[$0] != .constant(1) }
  }

  /// Tile axes that no coordinate of the access follows.
  package func unusedAxes(_ access: Access, _ shape: [Extent]) -> [Int] {
    var used = Set(access.axes.compactMap(\.tileAxis))
    for tile in access.axes.compactMap(\.indirect) {
      for axis in shape.indices where kernel[tile].shape[axis] != .constant(1) { used.insert(axis) }
    }
    return shape.indices.filter { !used.contains($0) && shape[$0] != .constant(1) }
  }

  /// The tile axis along which a plain store is contiguous.
  package func writtenAxis(_ target: StoreTarget) -> Int? {
    target.mode == .plain || target.mode == .streaming ? contiguousAxis(target.access) : nil
  }

  /// Neighbours on the last axis of the buffer are neighbours on this one.
  private func contiguousAxis(_ access: Access) -> Int? {
    guard let last = access.axes.last, let axis = last.tileAxis, last.scale == 1,
      access.axes.allSatisfy({ $0.indirect == nil }), access.axes.dropLast().allSatisfy({ $0.tileAxis != axis })
    else { return nil }
    return stride(access, access.axes.count - 1) == 1 ? axis : nil
  }

  /// In a launch's buffer.
  package func isContiguous(_ access: Access, _ axis: Int) -> Bool {
    guard case .strided = kernel.buffers[access.buffer].layout else { return false }
    return contiguousAxis(access) == axis
  }

  /// Bytes of the buffers that are written.
  package func bytes(_ accesses: [Access]) -> Dim? {
    var total: Dim = 0
    for access in accesses {
      let buffer = kernel.buffers[access.buffer]
      var size = Dim(buffer.dtype.size)
      for extent in buffer.shape {
        guard let exact = kernel.dim(extent) else { return nil }
        size = size * exact
      }
      total = total + size
    }
    return total
  }
}

// Whether a phase's instances can be a pipeline, and its stages. Not the loops (the back end's).
// Surprise: a value in memory is there for one stage only, since the next row's takes its place.
import Scalars
import TensorTypes
import TileIR

/// The walks of an instance: stage s needs the reductions of the stages before it.
package struct Stages {
  /// Vectors that every stage does in one trip.
  package static let width = 4

  /// The axis walked, the only one.
  package var axis: Int
  package var shape: [Extent]
  /// Reductions by the stage that walks their operands.
  package var reductions: [[TileValue]]
  /// Stores of whole rows and of single elements, all in the last stage.
  package var stores: [TileValue] = []
  package var scalarStores: [TileValue] = []
  /// For every value the first stage that can compute it.
  package var level: [TileValue: Int]
  /// Values that one stage writes to instance memory and the next one reads.
  package var passing: [TileValue: Int] = [:]

  package var count: Int { reductions.count }
  package var last: Int { count - 1 }
}

extension PhaseFacts {
  /// An extent that is walked by a loop, not written out as a few vectors.
  package func isLong(_ extent: Extent) -> Bool {
    index.constant(extent).map { $0 >= 8 * Stages.width * lanes } ?? true
  }

  private struct StagedRoots {
    var level: [TileValue: Int] = [:]
    var reduced: [(value: TileValue, stage: Int, operand: TileValue, axes: [Int])] = []
    var stores: [(value: TileValue, access: Access, content: TileValue, mode: StoreMode)] = []
  }

  /// nil: some operation does not fit.
  private func stagedRoots() -> StagedRoots? {
    var roots = StagedRoots()
    for value in body.operations {
      let node = kernel[value]
      let deepest = node.operation.operands.compactMap { roots.level[$0] }.max() ?? 0
      roots.level[value] = deepest
      switch node.operation {
      case .load(let access, _):
        guard access.axes.allSatisfy({ !$0.guarded && $0.indirect == nil }) else { return nil }
      case .map(let instruction, _):
        // Rows that are none must not report a fault.
        if instruction == .divide || instruction == .remainder, node.dtype?.isFloating != true { return nil }
      case .convert, .bitcast, .broadcast: break
      case .reduce(_, let axes, let operand):
        guard kernel.isScalar(value) else { return nil }
        roots.reduced.append((value, deepest, operand, axes))
        roots.level[value] = deepest + 1
        continue
      case .store(let access, let content, let mode):
        guard access.axes.allSatisfy({ !$0.guarded && $0.indirect == nil }) else { return nil }
        roots.stores.append((value, access, content, mode))
        continue
      default:
        guard [.index, .source].contains(node.operation.kind) else { return nil }
        continue
      }
      if residences[value] == .memory { return nil }
    }
    return roots
  }

  /// nil: the instances cannot be a pipeline.
  package func stages() -> Stages? {
    guard canMask, let roots = stagedRoots() else { return nil }
    // A row is read again after rows before it have been written.
    let read = body.operations.compactMap { value in
      if case .load(let access, _) = kernel[value].operation { access.buffer } else { nil }
    }
    if roots.stores.contains(where: { read.contains($0.access.buffer) }) { return nil }
    let rows = roots.stores.filter { !kernel.isScalar($0.content) }
    guard let first = rows.first, let last = rows.compactMap({ roots.level[$0.content] }).max(),
      (1...3).contains(last)
    else { return nil }
    let shape = kernel[first.content].shape
    let walked = shape.indices.filter { shape[$0] != .constant(1) }
    guard walked.count == 1, let axis = walked.first, isLong(shape[axis]) else { return nil }
    var stages = Stages(
      axis: axis, shape: shape, reductions: [[TileValue]](repeating: [], count: last + 1), level: roots.level)
    for root in roots.reduced {
      guard root.stage < last, kernel[root.operand].shape == shape, root.axes.contains(axis),
        vectorAxis([root.operand], shape) == axis, !gathers([root.operand], along: axis)
      else { return nil }
      stages.reductions[root.stage].append(root.value)
    }
    for root in rows {
      guard kernel[root.content].shape == shape, root.mode == .streaming, isContiguous(root.access, axis),
        vectorAxis([root.content], shape, to: [root.access]) == axis, !gathers([root.content], along: axis),
        root.access.axes.last.flatMap({ index.constant($0.start) }) == 0
      else { return nil }
      stages.stores.append(root.value)
    }
    for root in roots.stores where kernel.isScalar(root.content) {
      guard root.mode == .plain else { return nil }
      stages.scalarStores.append(root.value)
    }
    return findPassing(&stages) ? stages : nil
  }

  /// A value in memory is there for one stage only: the next row's takes its place.
  private func findPassing(_ stages: inout Stages) -> Bool {
    var uses: [TileValue: Set<Int>] = [:]
    var seen: [Set<TileValue>] = Array(repeating: [], count: stages.last + 1)
    func visit(_ value: TileValue, _ stage: Int) {
      guard seen[stage].insert(value).inserted else { return }
      if residences[value] == .inPassing { uses[value, default: []].insert(stage) }
      if kernel.isPointwise(value) {
        for operand in kernel[value].operation.operands where kernel[operand].dtype != nil { visit(operand, stage) }
      }
    }
    for (stage, roots) in stages.reductions.enumerated() {
      for root in roots { for operand in kernel[root].operation.operands { visit(operand, stage) } }
    }
    for root in stages.stores {
      if case .store(_, let content, _) = kernel[root].operation { visit(content, stages.last) }
    }
    for (value, found) in uses {
      guard let first = found.min(), found == [first] || found == [first, first + 1] else { return false }
      stages.passing[value] = first
    }
    return true
  }
}

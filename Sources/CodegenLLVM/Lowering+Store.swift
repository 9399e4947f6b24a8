// Store roots: neighbouring stores of one shape are one walk, so that what they share is computed once.
// Not addresses (+Access). Surprise: all values of a box are evaluated before any of them is stored, which is what makes
// an update in place safe where input and output are read and written by equal coordinates.
import CLLVM
import Scalars
import TensorTypes
import TileIR

extension Lowering {
  private struct Target {
    var access: Access
    var value: TileValue
    var mode: StoreMode
    var shape: [Extent]
  }

  func storeGroup(startingAt value: TileValue, in region: Region) {
    if stored.contains(value) { return }
    var group: [Target] = []
    var isPast = false
    scan: for candidate in region.operations {
      if candidate == value { isPast = true }
      guard isPast else { continue }
      switch kernel[candidate].operation {
      case .store(let access, let content, let mode):
        let target = Target(access: access, value: content, mode: mode, shape: kernel[content].shape)
        if let first = group.first {
          guard first.shape == target.shape, facts(of: first) == facts(of: target),
            !conflicts(target, group), isWalkable(first) == isWalkable(target)
          else { break scan }
        }
        group.append(target)
        stored.insert(candidate)
      case .result, .regionArgument: continue
      case let operation:
        if [.index, .source].contains(operation.kind) { continue }
        // What must be computed in its place ends the group.
        if !operation.kind.isPointwise || plan.residence(of: candidate) != .virtual { break scan }
      }
    }
    // Index values between the stores are needed by the later ones.
    emit(group)
  }

  private func facts(of target: Target) -> [Int] {
    plan.storeFacts(target.access, rank: target.shape.count, inRegions: true, facts)
  }

  /// Whether lanes write different places in a row, so that the order within a vector does not matter.
  private func isWalkable(_ target: Target) -> Bool {
    if target.access.axes.contains(where: { $0.indirect != nil }) { return false }
    if case .accumulate = target.mode {
      let used = Set(target.access.axes.compactMap(\.tileAxis))
      return target.shape.indices.allSatisfy { used.contains($0) || target.shape[$0] == .constant(1) }
        && target.access.axes.allSatisfy { $0.tileAxis == nil || $0.scale != 0 }
    }
    return true
  }

  /// Whether evaluating `target` reads what the group writes, or the other way round, elsewhere than where it is written.
  /// Of the group itself only the first is looked at, and once: the others came after that question.
  private func conflicts(_ target: Target, _ group: [Target]) -> Bool {
    if group.contains(where: { $0.access.buffer == target.access.buffer }) { return true }
    if let first = group.first, group.count == 1, reads(first.value, first) { return true }
    return reads(target.value, target) || group.contains { reads(target.value, $0) || reads($0.value, target) }
  }

  private func reads(_ value: TileValue, _ writer: Target) -> Bool {
    var seen: Set<TileValue> = []
    return reads(value, writer, &seen)
  }

  /// Each value once: in `x + x` of `y + y` of … there are more ways to a value than values.
  private func reads(_ value: TileValue, _ writer: Target, _ seen: inout Set<TileValue>) -> Bool {
    guard homes[value] == nil || pending.contains(value), seen.insert(value).inserted else { return false }
    switch kernel[value].operation {
    case .load(let access, _):
      for axis in access.axes {
        if let indirect = axis.indirect, reads(indirect, writer, &seen) { return true }
      }
      return access.buffer == writer.access.buffer && access.axes != writer.access.axes
    case .broadcast(let a): return reads(a, writer, &seen)
    case .transpose(let a, _): return readsAtAll(a, writer)
    case let operation:
      return operation.kind == .elementwise && operation.operands.contains { reads($0, writer, &seen) }
    }
  }

  private func readsAtAll(_ value: TileValue, _ writer: Target) -> Bool {
    var seen: Set<TileValue> = []
    return readsAtAll(value, writer, &seen)
  }

  private func readsAtAll(_ value: TileValue, _ writer: Target, _ seen: inout Set<TileValue>) -> Bool {
    guard homes[value] == nil || pending.contains(value), seen.insert(value).inserted else { return false }
    if case .load(let access, _) = kernel[value].operation, access.buffer == writer.access.buffer { return true }
    guard plan.isPointwise(value) else { return false }
    return kernel[value].operation.operands.contains { kernel[$0].dtype != nil && readsAtAll($0, writer, &seen) }
  }

  private func emit(_ group: [Target]) {
    guard let first = group.first else { return }
    for target in group where reads(target.value, target) { materialise(target.value) }
    let values = group.map(\.value)
    let isOrdered = !isWalkable(first)
    var walk = Walk(
      shape: first.shape, guards: facts(of: first),
      vectorAxis: isOrdered ? nil : vectorAxis(values, first.shape, to: group.map(\.access)))
    // Accumulation into one place goes in row-major order: the lanes must not run along an outer axis.
    if case .accumulate = first.mode, let axis = walk.vectorAxis, axis != lastAxis(first.shape),
      !isWalkable(first)
    {
      walk.vectorAxis = nil
    }
    if let axis = walk.vectorAxis {
      walk.hasScalarTail = gathers(values, along: axis, storing: group.map(\.access))
    }
    func put(_ box: Box) {
      let results = values.map { eval($0, box) }
      for (target, registers) in zip(group, results) {
        store(target.access, target.shape, registers, target.mode, box)
      }
    }
    if group.count == 1, let axis = writtenAxis(first), let turn = turn(first.value, written: axis) {
      turned(walk, first.value, turn) { box, registers in
        store(first.access, first.shape, registers, first.mode, box)
      }
    } else if options.streamingStores, let axis = walk.vectorAxis,
      group.allSatisfy({ $0.mode == .streaming && isContiguous($0.access, axis) }), mayBeLarge(group)
    {
      alignedStrips(
        walk, cost: cost(values), hoisting: values, to: group.map(\.access), isLarge: isLarge(group.map(\.access)), put)
    } else {
      strips(walk, cost: cost(values), hoisting: values) { box, _ in
        put(box)
        return []
      }
    }
  }

  /// The tile axis along which a plain store is contiguous.
  private func writtenAxis(_ target: Target) -> Int? {
    guard target.mode == .plain || target.mode == .streaming, let last = target.access.axes.last,
      let axis = last.tileAxis, last.scale == 1, target.access.axes.allSatisfy({ $0.indirect == nil }),
      target.access.axes.dropLast().allSatisfy({ $0.tileAxis != axis })
    else { return nil }
    switch kernel.buffers[target.access.buffer].layout {
    case .strided(let strides): return strides.last.flatMap { facts.constant($0) } == 1 ? axis : nil
    case .rowMajor, .panels: return axis
    }
  }

  /// Bytes of the buffers that are written.
  private func bytes(_ accesses: [Access]) -> Dim? {
    var total: Dim = 0
    for access in accesses {
      let buffer = kernel.buffers[access.buffer]
      var size = Dim(buffer.dtype.size)
      for extent in buffer.shape {
        guard let exact = facts.exact(extent) else { return nil }
        size = size * exact
      }
      total = total + size
    }
    return total
  }

  private var streamingBytes: Int { options.streamingBytes ?? e.target.cache.streamedBytes }

  private func mayBeLarge(_ group: [Target]) -> Bool {
    guard let bytes = bytes(group.map(\.access)) else { return false }
    return bytes.knownValue.map { $0 > streamingBytes } ?? true
  }

  /// Whether the output exceeds the last cache, so that keeping it there would only push out what is there.
  private func isLarge(_ accesses: [Access]) -> IR {
    guard let bytes = bytes(accesses) else { return e.flag(false) }
    let size = emit(bytes)
    return inPrologue { e.compare(LLVMIntSGT, size, e.index(streamingBytes)) }
  }

  /// The same for some store operations.
  func isLarge(writing stores: [TileValue]) -> IR {
    isLarge(
      stores.compactMap { if case .store(let access, _, _) = kernel[$0].operation { access } else { nil } })
  }

  private func lastAxis(_ shape: [Extent]) -> Int { shape.indices.last { shape[$0] != .constant(1) } ?? 0 }

  func isContiguous(_ access: Access, _ axis: Int) -> Bool {
    guard access.axes.allSatisfy({ $0.indirect == nil }), let last = access.axes.last,
      last.tileAxis == axis, last.scale == 1, access.axes.dropLast().allSatisfy({ $0.tileAxis != axis })
    else { return false }
    if case .strided(let strides) = kernel.buffers[access.buffer].layout {
      return strides.last.flatMap { facts.constant($0) } == 1
    }
    return false
  }
}

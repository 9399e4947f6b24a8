// Loads and stores of a box: addresses, guards, indirect coordinates and their faults.
// Not instance memory (+Homes). Surprise: an access that a predicate turns off goes to a stack slot (`nowhere`) instead of
// its own address: a masked load past a buffer's end may cost hundreds of cycles even with every lane off.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

/// How a box's points map to memory: `origin + Σ point[axis] * steps[axis]` bytes, and what must hold for each.
struct PointerMap {
  var origin: IR
  /// Bytes per tile coordinate.
  var steps: [IR]
  /// Panel scratch only: the last buffer axis cannot be stepped linearly.
  var panel: Panel?
  var guards: [Guard] = []
  var indirect: [Indirect] = []
  var dtype: DType
  var isAligned = true

  struct Panel {
    var tileAxis: Int?
    var start: IR
    var width: Int
    var rowBytes: Int
    var panelBytes: IR
    var elementSize: Int
  }
  struct Guard {
    var tileAxis: Int?
    var start: IR
    var scale: Int
    var extent: IR
    var isNonNegative: Bool
  }
  struct Indirect {
    var values: [IR]
    var inner: Box
    var affine: Guard
    var stride: IR
  }
}

/// Stores go to `aside` unless what they store is valid.
struct Diversion {
  var isValid: IR
  var aside: IR
}

extension PhaseEmitter {
  // MARK: Addresses

  /// Strides of a buffer's axes in elements; panels: of all but the last.
  func strides(of buffer: Buffer) -> [IR] {
    switch buffer.layout {
    case .strided(let values): return values.map { index($0) }
    case .rowMajor(let pad), .panels(_, let pad):
      var stride = e.index(1)
      var all: [IR] = []
      for axis in buffer.shape.indices.reversed() {
        all.append(stride)
        let isLast = axis == buffer.shape.count - 1
        if isLast, case .panels(let width, _) = buffer.layout {
          stride = e.index(width + pad)
        } else {
          let extent = index(buffer.shape[axis])
          let padded = isLast ? indices.inPrologue { e.indexAdd(extent, e.index(pad)) } : extent
          let outer = stride
          stride = isLast ? padded : indices.inPrologue { e.indexMultiply(outer, padded) }
        }
      }
      return all.reversed()
    }
  }

  func pointerMap(_ access: Access, _ shape: [Extent], _ box: Box) -> PointerMap {
    let buffer = kernel.buffers[access.buffer]
    let dtype = access.reinterpreted ?? buffer.dtype
    let size = buffer.dtype.size
    let strides = strides(of: buffer)
    var isPanel = false
    if case .panels = buffer.layout { isPanel = true }
    var map = PointerMap(
      origin: frame.buffers[access.buffer], steps: [IR](repeating: e.index(0), count: box.start.count), dtype: dtype,
      isAligned: access.reinterpreted == nil)
    var base = e.index(0)
    for (i, axis) in access.axes.enumerated() {
      let start = index(axis.start)
      let isLast = i == access.axes.count - 1
      let extent = index(buffer.shape[i])
      let isNonNegative = (facts.index.lower(axis.start) ?? -1) >= 0 && axis.scale >= 0
      let affine = PointerMap.Guard(
        tileAxis: axis.tileAxis, start: start, scale: axis.scale, extent: extent, isNonNegative: isNonNegative)
      let bytes = e.indexMultiply(strides[i], e.index(size))
      if let tile = axis.indirect {
        let axes = facts.collapsedAxes(kernel[tile].shape, shape)
        let inner = box.collapsed(axes)
        map.indirect.append(
          PointerMap.Indirect(values: eval(tile, inner), inner: inner, affine: affine, stride: bytes))
      } else if axis.guarded, !isEnsured(axis, i, buffer, box) {
        map.guards.append(affine)
      }
      if isPanel, isLast, case .panels(let width, let pad) = buffer.layout {
        map.panel = panel(buffer, axis, start, width, pad, strides)
        continue
      }
      base = e.indexAdd(base, e.indexMultiply(start, bytes))
      if let tileAxis = axis.tileAxis {
        map.steps[tileAxis] = e.indexAdd(map.steps[tileAxis], e.indexMultiply(bytes, e.index(axis.scale)))
      }
    }
    map.origin = e.offset(map.origin, bytes: base)
    // Outer loops' parts first: they leave the inner loops.
    for tileAxis in box.start.indices.sorted(by: { (box.start[$0].depth, $0) < (box.start[$1].depth, $1) }) {
      let start = box.start[tileAxis]
      if let counter = start.base {
        map.origin = e.offset(map.origin, bytes: e.indexMultiply(counter, map.steps[tileAxis]))
      }
      map.origin = e.offset(map.origin, bytes: e.indexMultiply(e.index(start.offset), map.steps[tileAxis]))
    }
    linearisePanel(&map, access, box)
    return map
  }

  private func isEnsured(_ axis: AxisMap, _ i: Int, _ buffer: Buffer, _ box: Box) -> Bool {
    guard let tileAxis = axis.tileAxis, axis.scale == 1, box.guards[tileAxis] != 0 else { return false }
    let number = facts.demands.number(of: GuardFact(start: axis.start, extent: buffer.shape[i]))
    return number == box.guards[tileAxis]
  }

  private func panel(
    _ buffer: Buffer, _ axis: AxisMap, _ start: IR, _ width: Int, _ pad: Int, _ strides: [IR]
  ) -> PointerMap.Panel {
    let rows = indices.inPrologue { buffer.shape.dropLast().reduce(e.index(1)) { e.indexMultiply($0, index($1)) } }
    let rowBytes = (width + pad) * buffer.dtype.size
    let panelBytes = indices.inPrologue { e.indexMultiply(rows, e.index(rowBytes)) }
    return PointerMap.Panel(
      tileAxis: axis.tileAxis, start: start, width: width, rowBytes: rowBytes, panelBytes: panelBytes,
      elementSize: buffer.dtype.size)
  }

  /// A box that lies in one panel has one origin and plain steps.
  private func linearisePanel(_ map: inout PointerMap, _ access: Access, _ box: Box) {
    guard let panel = map.panel, let last = access.axes.last else { return }
    guard let tileAxis = panel.tileAxis, last.scale == 1 else { return }
    let divisor = IndexFacts.greatestDivisor(facts.index.divisor(last.start), box.start[tileAxis].divisor)
    let fitting = divisor == 0 ? panel.width : IndexFacts.greatestDivisor(divisor, panel.width)
    let span = box.count[tileAxis] * (box.vectorAxis == tileAxis ? lanes : 1)
    guard span <= fitting else { return }
    let column = e.indexAdd(panel.start, position(box, tileAxis, 0))
    let width = e.index(panel.width)
    let whole = e.indexMultiply(e.binary(LLVMUDiv, column, width), panel.panelBytes)
    let inside = e.indexMultiply(e.binary(LLVMURem, column, width), e.index(panel.elementSize))
    map.origin = e.offset(e.offset(map.origin, bytes: whole), bytes: inside)
    map.steps[tileAxis] = e.index(panel.elementSize)
    map.panel = nil
  }

  /// Address of a lane of a point.
  private func pointer(_ map: PointerMap, _ point: [Int], _ box: Box, lane: Int = 0) -> IR {
    var constantBytes = 0
    var address = map.origin
    for (axis, step) in map.steps.enumerated() {
      let count = box.vectorAxis == axis ? point[axis] * lanes + lane : point[axis]
      if count == 0 { continue }
      if let bytes = e.constantIndex(step) {
        constantBytes += bytes * count
      } else {
        address = e.offset(address, bytes: e.indexMultiply(step, e.index(count)))
      }
    }
    if let panel = map.panel {
      var column = panel.start
      if let axis = panel.tileAxis {
        let isVector = box.vectorAxis == axis
        column = e.indexAdd(column, e.indexAdd(position(box, axis, point[axis]), e.index(isVector ? lane : 0)))
      }
      let width = e.index(panel.width)
      address = e.offset(address, bytes: e.indexMultiply(e.binary(LLVMUDiv, column, width), panel.panelBytes))
      let inside = e.indexMultiply(e.binary(LLVMURem, column, width), e.index(panel.elementSize))
      address = e.offset(address, bytes: inside)
    }
    return e.offset(address, bytes: e.index(constantBytes))
  }

  // MARK: Prefetch

  /// Asks for a box's memory, `bytesAhead` further on. Never faults, wherever that is.
  func prefetch(_ access: Access, _ shape: [Extent], _ box: Box, bytesAhead: IR) {
    let map = pointerMap(access, shape, box)
    for point in box.points { prefetch(e.offset(pointer(map, point, box), bytes: bytesAhead)) }
  }

  private func prefetch(_ address: IR) {
    // Read, into the second cache, data.
    _ = e.call("llvm.prefetch", [e.pointer], [address, e.word(0), e.word(2), e.word(1)])
  }

  /// Bytes that a stream is asked for ahead: what memory delivers in the time of a few vectors' work.
  private static let streamDistance = 2048

  /// Where results are too large for the caches, operands of their size are too: asks for them a little ahead. Not for
  /// what an earlier pass has read, nor for what every instance reads.
  private func prefetchStream(_ value: TileValue, _ access: Access, _ map: PointerMap, _ box: Box) {
    guard options.prefetch, walking.isStreaming, walking.stage == nil, box.mask == nil, let axis = box.vectorAxis,
      map.panel == nil,
      map.indirect.isEmpty, e.constantIndex(map.steps[axis]) == map.dtype.size,
      facts.unusedAxes(access, kernel[value].shape).isEmpty, loadingWalks[value, default: []] == [walking.number],
      access.axes.contains(where: { !facts.index.isSameInAllInstances($0.start) })
    else { return }
    for point in box.points { prefetch(e.offset(pointer(map, point, box), bytes: e.index(Self.streamDistance))) }
  }

  /// In the second pass over a row (in a pipeline: the first stage), the next instance's row: it is in the cache when that
  /// instance begins.
  private func prefetchNextInstance(_ value: TileValue, _ access: Access, _ map: PointerMap, _ box: Box) {
    let isInTime =
      walking.stage.map { $0 == 0 }
      ?? (loadingWalks[value, default: []].count == 2 && loadingWalks[value, default: []].contains(walking.number))
    guard options.prefetch, isInTime, box.mask == nil, let axis = box.vectorAxis,
      e.constantIndex(map.steps[axis]) == map.dtype.size,
      map.panel == nil, map.indirect.isEmpty, facts.isLong(kernel[value].shape[axis])
    else { return }
    var bytes: IR?
    let strides = strides(of: kernel.buffers[access.buffer])
    for (i, map) in access.axes.enumerated() {
      guard let step = facts.index.stepPerInstance(map.start), step != 0 else { continue }
      let stride = e.indexMultiply(strides[i], e.index(step * kernel.buffers[access.buffer].dtype.size))
      bytes = bytes.map { e.indexAdd($0, stride) } ?? stride
    }
    guard let bytes else { return }
    for point in box.points { prefetch(e.offset(pointer(map, point, box), bytes: bytes)) }
  }

  // MARK: Predicates

  /// What must hold for one register: for all its lanes together, and lane by lane. nil: nothing.
  private struct Predicate {
    var whole: IR?
    var lanes: IR?
  }

  private func coordinate(_ bound: PointerMap.Guard, _ point: [Int], _ box: Box) -> IR {
    guard let axis = bound.tileAxis else { return bound.start }
    return e.indexAdd(bound.start, e.indexMultiply(position(box, axis, point[axis]), e.index(bound.scale)))
  }

  private func isInside(_ coordinate: IR, _ bound: PointerMap.Guard) -> IR {
    e.compare(bound.isNonNegative ? LLVMIntSLT : LLVMIntULT, coordinate, bound.extent)
  }

  private func predicate(_ map: PointerMap, _ point: [Int], _ box: Box) -> Predicate {
    var result = Predicate()
    for bound in map.guards {
      let first = coordinate(bound, point, box)
      if let axis = bound.tileAxis, axis == box.vectorAxis {
        result.lanes = e.and(result.lanes, laneMask(first, bound))
      } else {
        result.whole = e.and(result.whole, isInside(first, bound))
      }
    }
    return result
  }

  /// Lanes whose coordinate `first + lane * scale` lies in 0..<extent.
  private func laneMask(_ first: IR, _ bound: PointerMap.Guard) -> IR {
    guard bound.scale == 1 else {
      let all = e.add(e.splat(first, lanes), e.constants((0..<lanes).map { $0 * bound.scale }, e.i64))
      return e.compare(LLVMIntULT, all, e.splat(bound.extent, lanes))
    }
    let above = firstLanes(e.indexSubtract(bound.extent, first))
    if bound.isNonNegative { return above }
    let skipped = e.indexMinimum(e.indexMaximum(e.indexSubtract(e.index(0), first), e.index(0)), e.index(lanes))
    let below = e.compare(LLVMIntSGE, laneNumbers, e.splat(e.cast(LLVMTrunc, skipped, e.i32), lanes))
    return e.and(above, below)
  }

  var laneNumbers: IR { e.constants(Array(0..<lanes), e.i32) }

  /// Lanes below `count`, which may be anything.
  func firstLanes(_ count: IR) -> IR {
    let clamped = e.indexMaximum(e.indexMinimum(count, e.index(lanes)), e.index(0))
    return e.compare(LLVMIntSLT, laneNumbers, e.splat(e.cast(LLVMTrunc, clamped, e.i32), lanes))
  }

  func canMask(_ dtype: DType) -> Bool { e.target.maskedElementSizes.contains(dtype.size) }

  // MARK: Loads

  func load(_ value: TileValue, _ access: Access, _ fill: ScalarConstant, _ box: Box) -> [IR] {
    let shape = kernel[value].shape
    let inner = box.collapsed(facts.unusedAxes(access, shape))
    if inner != box { return expanded(eval(value, inner), inner, to: box) }
    let map = pointerMap(access, shape, box)
    if box.vectorAxis != nil {
      loadingWalks[value, default: []].insert(walking.number)
      prefetchNextInstance(value, access, map, box)
      prefetchStream(value, access, map, box)
    }
    return box.points.map { load(map, $0, box, fill) }
  }

  private func load(_ map: PointerMap, _ point: [Int], _ box: Box, _ fill: ScalarConstant) -> IR {
    let predicate = predicate(map, point, box)
    let varies = map.indirect.contains { $0.inner.vectorAxis != nil }
    guard let vectorAxis = box.vectorAxis, !varies else {
      if box.vectorAxis == nil { return scalarLoad(map, point, box, 0, predicate.whole, fill) }
      return gatheredLoad(map, point, box, predicate, fill)
    }
    if map.panel == nil, e.constantIndex(map.steps[vectorAxis]) == map.dtype.size {
      return contiguousLoad(map, point, box, predicate, fill)
    }
    return gatheredLoad(map, point, box, predicate, fill)
  }

  private func contiguousLoad(
    _ map: PointerMap, _ point: [Int], _ box: Box, _ predicate: Predicate, _ fill: ScalarConstant
  ) -> IR {
    var address = pointer(map, point, box)
    let indirect = indirectPointer(map, point, box, 0, predicate.whole, address)
    address = indirect.address
    let whole = indirect.predicate
    if predicate.lanes == nil, box.mask == nil {
      if let whole { address = e.select(whole, address, frame.nowhere) }
      let loaded = e.load(map.dtype, lanes, address, aligned: map.isAligned)
      return filled(loaded, whole.map { e.splat($0, lanes) }, fill)
    }
    guard canMask(map.dtype) else { return gatheredLoad(map, point, box, predicate, fill) }
    var guarded = predicate.lanes
    if let whole { guarded = e.and(guarded, e.splat(whole, lanes)) }
    if let guarded { address = e.select(e.any(guarded), address, frame.nowhere) }
    let mask = box.mask.map { e.and(guarded, $0) } ?? guarded ?? e.flag(true, lanes)
    let loaded = e.maskedLoad(map.dtype, address, mask, aligned: map.isAligned)
    return filled(loaded, guarded, fill)
  }

  private func filled(_ loaded: IR, _ predicate: IR?, _ fill: ScalarConstant) -> IR {
    predicate.map { e.select($0, loaded, e.constant(fill, e.lanes(loaded))) } ?? loaded
  }

  /// Lane by lane: strided, indirect, or masked where the target cannot mask.
  private func gatheredLoad(
    _ map: PointerMap, _ point: [Int], _ box: Box, _ predicate: Predicate, _ fill: ScalarConstant
  ) -> IR {
    let isStill = box.vectorAxis.map { e.constantIndex(map.steps[$0]) == 0 } ?? true
    if isStill, map.panel == nil, predicate.lanes == nil, !map.indirect.contains(where: { $0.inner.vectorAxis != nil })
    {
      return e.splat(scalarLoad(map, point, box, 0, predicate.whole, fill), lanes)
    }
    if let looked = lookedUpLoad(map, point, box, predicate, fill) { return looked }
    var result: IR = LLVMGetPoison(e.type(map.dtype, lanes))
    for lane in 0..<lanes {
      var active = predicate.whole
      if let mask = predicate.lanes { active = e.and(active, e.extract(mask, lane)) }
      if let mask = box.mask { active = e.and(active, e.extract(mask, lane)) }
      result = e.insert(result, scalarLoad(map, point, box, lane, active, fill), lane)
    }
    return result
  }

  /// Each lane at an index of its own: all indices are checked at once, so that good ones meet one branch per register.
  private func lookedUpLoad(
    _ map: PointerMap, _ point: [Int], _ box: Box, _ predicate: Predicate, _ fill: ScalarConstant
  ) -> IR? {
    guard map.indirect.count == 1, map.panel == nil, let indirect = map.indirect.first,
      indirect.inner.vectorAxis != nil
    else { return nil }
    let register = indirect.values[indirect.inner.position(point)]
    var starts = e.splat(coordinate(indirect.affine, point, box), lanes)
    if let axis = indirect.affine.tileAxis, axis == box.vectorAxis {
      starts = e.add(starts, e.constants((0..<lanes).map { $0 * indirect.affine.scale }, e.i64))
    }
    let position = e.add(starts, register)
    let isInside = e.compare(LLVMIntULT, position, e.splat(indirect.affine.extent, lanes))
    var active = predicate.lanes
    if let whole = predicate.whole { active = e.and(active, e.splat(whole, lanes)) }
    if let mask = box.mask { active = e.and(active, mask) }
    let isOutside = e.and(active, e.not(isInside))
    e.when(e.any(isOutside)) {
      for lane in 0..<lanes {
        reportFault(e.extract(isOutside, lane), kind: .index, e.extract(position, lane), indirect.affine.extent)
      }
    }
    let isRead = e.and(active, isInside)
    let bytes = e.binary(LLVMMul, register, e.splat(indirect.stride, lanes))
    var result: IR = LLVMGetPoison(e.type(map.dtype, lanes))
    for lane in 0..<lanes {
      let address = e.offset(pointer(map, point, box, lane: lane), bytes: e.extract(bytes, lane))
      let readable = e.select(e.extract(isRead, lane), address, frame.nowhere)
      result = e.insert(result, e.load(map.dtype, 1, readable, aligned: map.isAligned), lane)
    }
    return filled(result, isRead, fill)
  }

  private func scalarLoad(
    _ map: PointerMap, _ point: [Int], _ box: Box, _ lane: Int, _ active: IR?, _ fill: ScalarConstant
  ) -> IR {
    let (address, predicate) = indirectPointer(map, point, box, lane, active, pointer(map, point, box, lane: lane))
    guard let predicate else { return e.load(map.dtype, 1, address, aligned: map.isAligned) }
    let loaded = e.load(map.dtype, 1, e.select(predicate, address, frame.nowhere), aligned: map.isAligned)
    return filled(loaded, predicate, fill)
  }

  /// Adds the indirect coordinates of a lane and checks them; an index outside sets the fault word.
  private func indirectPointer(
    _ map: PointerMap, _ point: [Int], _ box: Box, _ lane: Int, _ active: IR?, _ address: IR
  ) -> (address: IR, predicate: IR?) {
    var address = address
    var predicate = active
    for indirect in map.indirect {
      let register = indirect.values[indirect.inner.position(point)]
      let chosen = e.extract(register, lane)
      var start = coordinate(indirect.affine, point, box)
      if indirect.affine.tileAxis != nil, indirect.affine.tileAxis == box.vectorAxis {
        start = e.indexAdd(start, e.index(lane * indirect.affine.scale))
      }
      let position = e.add(start, chosen)
      let isInside = e.compare(LLVMIntULT, position, indirect.affine.extent)
      let isOutside = e.and(predicate, e.not(isInside))
      reportFault(isOutside, kind: .index, position, indirect.affine.extent)
      predicate = e.and(predicate, isInside)
      address = e.offset(address, bytes: e.binary(LLVMMul, chosen, indirect.stride))
    }
    return (address, predicate)
  }

  // MARK: Stores

  /// Writes `values` (one register per point) where the access says.
  func store(
    _ access: Access, _ shape: [Extent], _ values: [IR], _ mode: StoreMode, _ box: Box,
    unless diversion: Diversion? = nil
  ) {
    var map = pointerMap(access, shape, box)
    if let diversion { map.origin = e.select(diversion.isValid, map.origin, diversion.aside) }
    for (i, point) in box.points.enumerated() {
      let predicate = predicate(map, point, box)
      let isPlain = map.indirect.isEmpty && map.panel == nil
      if let axis = box.vectorAxis {
        let isContiguous = isPlain && e.constantIndex(map.steps[axis]) == map.dtype.size
        let isMasked = predicate.lanes != nil || box.mask != nil
        if isContiguous, !isMasked || canMask(map.dtype) {
          storeVector(map, point, box, predicate, values[i], mode)
        } else if let panel = map.panel, panel.tileAxis == axis, panel.width >= lanes, mode == .plain,
          map.indirect.isEmpty, canMask(map.dtype)
        {
          storeAcrossPanels(map, panel, point, box, predicate, values[i])
        } else {
          storeLanes(map, point, box, predicate, values[i], mode)
        }
      } else {
        storeScalar(map, point, box, 0, predicate.whole, values[i], mode)
      }
    }
  }

  private func storeVector(
    _ map: PointerMap, _ point: [Int], _ box: Box, _ predicate: Predicate, _ value: IR, _ mode: StoreMode
  ) {
    let address = pointer(map, point, box)
    func write() {
      var mask = box.mask
      if let lanes = predicate.lanes { mask = e.and(mask, lanes) }
      var value = value
      if case .accumulate(let monoid) = mode {
        let old = mask.map { e.maskedLoad(map.dtype, address, $0) } ?? e.load(map.dtype, lanes, address)
        value = combined(monoid, old, value, map.dtype)
      }
      if let mask {
        e.maskedStore(value, map.dtype, address, mask)
      } else {
        let made = e.store(value, map.dtype, address)
        if mode == .streaming, walking.isStreaming { markNonTemporal(made, map.dtype) }
      }
    }
    if let whole = predicate.whole { e.when(whole, write) } else { write() }
  }

  /// A vector along the columns of panels ends in one panel or in the next.
  private func storeAcrossPanels(
    _ map: PointerMap, _ panel: PointerMap.Panel, _ point: [Int], _ box: Box, _ predicate: Predicate, _ value: IR
  ) {
    guard let axis = panel.tileAxis else { return }
    let column = e.indexAdd(panel.start, position(box, axis, point[axis]))
    let inside = e.binary(LLVMURem, column, e.index(panel.width))
    let left = e.indexSubtract(e.index(panel.width), inside)
    let here = pointer(map, point, box)
    var mask = box.mask
    if let lanes = predicate.lanes { mask = e.and(mask, lanes) }
    func write() {
      let isFirst = firstLanes(left)
      e.maskedStore(value, map.dtype, here, e.and(mask, isFirst))
      e.when(e.compare(LLVMIntSLT, left, e.index(lanes))) {
        // Lane 0 would be as many elements before the next panel as this one takes.
        let taken = e.indexMultiply(left, e.index(panel.elementSize))
        let back = e.indexMultiply(inside, e.index(panel.elementSize))
        let next = e.offset(here, bytes: e.indexSubtract(panel.panelBytes, e.indexAdd(back, taken)))
        e.maskedStore(value, map.dtype, next, e.and(mask, e.not(isFirst)))
      }
    }
    if let whole = predicate.whole { e.when(whole, write) } else { write() }
  }

  private func storeLanes(
    _ map: PointerMap, _ point: [Int], _ box: Box, _ predicate: Predicate, _ value: IR, _ mode: StoreMode
  ) {
    for lane in 0..<lanes {
      var active = predicate.whole
      if let mask = predicate.lanes { active = e.and(active, e.extract(mask, lane)) }
      if let mask = box.mask { active = e.and(active, e.extract(mask, lane)) }
      storeScalar(map, point, box, lane, active, e.extract(value, lane), mode)
    }
  }

  private func storeScalar(
    _ map: PointerMap, _ point: [Int], _ box: Box, _ lane: Int, _ active: IR?, _ value: IR, _ mode: StoreMode
  ) {
    let (address, predicate) = indirectPointer(map, point, box, lane, active, pointer(map, point, box, lane: lane))
    func write() {
      var value = value
      if case .accumulate(let monoid) = mode {
        value = combined(monoid, e.load(map.dtype, 1, address), value, map.dtype)
      }
      e.store(value, map.dtype, address)
    }
    if let predicate { e.when(predicate, write) } else { write() }
  }

  func combined(_ monoid: Monoid, _ a: IR, _ b: IR, _ dtype: DType) -> IR {
    // The monoid of bool sums and products has no instruction.
    if dtype == .bool, monoid == .sum { return e.or(a, b) }
    if dtype == .bool, monoid == .product { return e.and(a, b) }
    return monoid.instruction.map { e.apply($0, [a, b], dtype) { _ in } } ?? e.logAddExp(a, b, dtype)
  }

  /// Bytes that the address of a streamed vector must be a multiple of.
  func streamAlignment(_ dtype: DType) -> Int { min(lanes * dtype.size, e.target.vectorBits / 8) }

  /// Elements before the first aligned one of a row.
  func elementsToAlignment(_ access: Access, _ shape: [Extent], _ row: Box) -> IR {
    let map = pointerMap(access, shape, row)
    let address = e.cast(LLVMPtrToInt, pointer(map, row.points[0], row), e.i64)
    let alignment = streamAlignment(map.dtype)
    let missing = e.and(LLVMBuildNeg(e.builder, address, ""), e.index(alignment - 1))
    return e.binary(LLVMUDiv, missing, e.index(map.dtype.size))
  }

  private func markNonTemporal(_ store: IR, _ dtype: DType) {
    LLVMSetAlignment(store, UInt32(streamAlignment(dtype)))
    var one: [LLVMMetadataRef?] = [LLVMValueAsMetadata(e.word(1))]
    let node: IR = LLVMMetadataAsValue(e.context, LLVMMDNodeInContext2(e.context, &one, 1))
    LLVMSetMetadata(store, LLVMGetMDKindIDInContext(e.context, "nontemporal", 11), node)
    frame.hasStreamed = true
  }

  // MARK: Faults

  /// Writes {kind, instance, index, extent} if the word is still empty.
  func reportFault(_ condition: IR, kind: TileInterpreter.Fault.Kind, _ index: IR, _ extent: IR) {
    e.when(condition) {
      let isFirst = e.compare(LLVMIntEQ, e.loadIndex(frame.fault, 0), e.index(0))
      e.when(isFirst) {
        for (position, word) in [e.index(kind.rawValue), frame.instance, index, extent].enumerated() {
          e.plainStore(word, e.offset(frame.fault, bytes: e.index(position * 8)), 8)
        }
      }
    }
  }

  func divisionByZero(_ lanesByZero: IR, _ box: Box) {
    let counted = box.mask.map { e.and(lanesByZero, $0) } ?? lanesByZero
    reportFault(e.any(counted), kind: .division, e.index(0), e.index(0))
  }
}

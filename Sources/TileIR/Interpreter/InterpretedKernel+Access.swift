// Loads and stores of the interpreter: coordinates, guards, bounds, faults, and what the shadow says.
// Surprise: guards come first; a coordinate that is wrong in an element which another axis's guard excludes is no error.
import Basics
import Scalars
import TensorTypes

/// The elements of one access, element by element, in row-major order of the tile.
struct AccessWalk: Sendable {
  let operation: TileValue
  let access: Access
  let elementSize: Int
  enum Use { case load, store, accumulate }
  let use: Use
  /// What a load gives for padding columns of a panel.
  var padding: UInt64 = 0

  /// Where the coordinates of an element are.
  private enum Reach {
    case inside
    /// A guard excludes it.
    case masked
    case padding
    /// On this axis.
    case outside(Int)
  }

  /// Elements of an indirect tile, and how far apart they are along the axes of the access.
  private typealias Indices = (words: Words, strides: [Int])

  /// Calls `body` with (element of the tile, address) for each element that may be touched.
  @inline(__always)
  func forEach(
    _ machine: TileMachine, tile: Int, _ body: (Int, UnsafeMutableRawPointer) -> Void
  ) {
    guard let memory = machine.memory, machine.tiles[tile].count > 0 else { return }
    let rank = machine.tiles[tile].rank
    let extents = machine.tiles[tile].extents
    let buffer = memory.buffers[access.buffer]
    let inner = rank == 0 ? 1 : extents[rank - 1]
    var position = Array(repeating: 0, count: rank)
    var coordinates = Array(repeating: 0, count: access.axes.count)
    let indirect = access.axes.map { $0.indirect.map { indices(machine, Int($0.id), rank) } }
    let starts = access.axes.map { machine.index[Int($0.start.id)] }
    var masked = 0
    var element = 0
    for _ in 0..<(machine.tiles[tile].count / inner) {
      for j in 0..<inner {
        if rank > 0 { position[rank - 1] = j }
        switch locate(position, starts, indirect, buffer, &coordinates) {
        case .masked: masked += 1
        case .outside(let axis): refuse(machine, buffer, coordinates, axis)
        case .padding: machine.tiles[tile].words[element] = padding
        case .inside:
          if let address = address(machine, memory, buffer, coordinates) { body(element, address) }
        }
        element += 1
      }
      var axis = rank - 2
      while axis >= 0 {
        position[axis] += 1
        if position[axis] < extents[axis] { break }
        position[axis] = 0
        axis -= 1
      }
    }
    machine.outcome.statistics.accessedLanes += machine.tiles[tile].count
    machine.outcome.statistics.maskedLanes += masked
  }

  /// Extents of 1 are repeated.
  private func indices(_ machine: TileMachine, _ id: Int, _ rank: Int) -> Indices {
    let strides = machine.strides(id)
    return (machine.tiles[id].words, (0..<rank).map { machine.tiles[id].extents[$0] == 1 ? 0 : strides[$0] })
  }

  /// The coordinates of one element, and where they are.
  @inline(__always)
  private func locate(
    _ position: [Int], _ starts: [Int], _ indirect: [Indices?], _ buffer: BoundBuffer, _ coordinates: inout [Int]
  ) -> Reach {
    var reach = Reach.inside
    for (a, map) in access.axes.enumerated() {
      var c = starts[a]
      if let axis = map.tileAxis { c = c &+ map.scale &* position[axis] }
      if let index = indirect[a] {
        var at = 0
        for d in position.indices { at += index.strides[d] * position[d] }
        c = c &+ Int(Int64(bitPattern: index.words[at]))
      }
      coordinates[a] = c
      if c >= 0 && c < buffer.extents[a] { continue }
      if map.guarded { return .masked }
      // An axis that stands still has its one element however often it is repeated, also never.
      if map.indirect == nil, c == 0, use == .load, buffer.panelWidth == 0, buffer.strides[a] == 0 { continue }
      if map.indirect == nil, c >= 0, buffer.panelWidth > 0, a == access.axes.count - 1 {
        // A column behind the extent: stores may fill the last panel, loads give anything.
        if use == .load, case .inside = reach { reach = .padding }
        if use == .load || c < buffer.lastPanelEnd { continue }
      }
      reach = .outside(a)
    }
    return reach
  }

  private func refuse(_ machine: TileMachine, _ buffer: BoundBuffer, _ coordinates: [Int], _ axis: Int) {
    if access.axes[axis].indirect != nil {
      machine.fault(.index, index: coordinates[axis], extent: buffer.extents[axis])
    } else {
      machine.find(
        .outOfBounds, operation, buffer: buffer.name, coordinates: coordinates,
        detail: "axis \(axis) has \(buffer.extents[axis]) elements")
    }
  }

  private func address(
    _ machine: TileMachine, _ memory: TileMemory, _ buffer: BoundBuffer, _ coordinates: [Int]
  ) -> UnsafeMutableRawPointer? {
    var offset = 0
    for a in coordinates.indices { offset = offset &+ coordinates[a] &* buffer.strides[a] }
    if buffer.panelWidth > 0, let column = coordinates.last {
      offset += column / buffer.panelWidth * buffer.panelStride + column % buffer.panelWidth
    }
    let byte = offset &* buffer.dtype.size
    guard byte >= buffer.firstByte, byte <= buffer.endByte - elementSize else {
      machine.find(
        .outOfMemory, operation, buffer: buffer.name, coordinates: coordinates,
        detail: "byte \(byte) of \(buffer.firstByte) ..< \(buffer.endByte)")
      return nil
    }
    if let shadow = buffer.shadow { check(machine, memory, buffer, shadow, byte, coordinates) }
    return buffer.base + byte
  }

  private func check(
    _ machine: TileMachine, _ memory: TileMemory, _ buffer: BoundBuffer, _ shadow: Shadow, _ byte: Int,
    _ coordinates: [Int]
  ) {
    let base = memory.phaseBase
    let me = base &+ UInt32(truncatingIfNeeded: machine.stageInstances &+ machine.instance) &+ 1
    let start = buffer.shadowStart + byte
    let conflict: Shadow.Conflict
    switch use {
    case .load: conflict = shadow.read(start, elementSize, by: me, phaseBase: base)
    case .store, .accumulate: conflict = shadow.write(start, elementSize, by: me, phaseBase: base)
    }
    if conflict.isUnwritten, use != .store {
      machine.find(
        .unwritten, operation, buffer: buffer.name, coordinates: coordinates, detail: "nothing wrote it before")
    }
    if conflict.other != 0 {
      machine.find(
        use == .accumulate ? .accumulationRace : .race, operation, buffer: buffer.name, coordinates: coordinates,
        detail: "instance \(conflict.other - base - 1) of the phase \(conflict.otherWrote ? "wrote" : "read") it")
    }
  }
}

extension InterpretedKernel {
  static func loadStep(_ value: TileValue, _ node: TileNode, _ access: Access, _ fill: ScalarConstant) -> MachineStep {
    let id = Int(value.id)
    let dtype = fill.dtype
    let shape = node.shape
    // All ones in memory: NaN, -1 or true, so that a kernel which uses it is found.
    let padding = word(ScalarReference.value(bits: .max, dtype))
    let walk = AccessWalk(operation: value, access: access, elementSize: dtype.size, use: .load, padding: padding)
    let filler = word(fill.value)
    return { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let words = machine.tiles[id].words
      words.update(repeating: filler, count: machine.tiles[id].count)
      walk.forEach(machine, tile: id) { element, address in
        words[element] = word(ScalarReference.load(address, dtype))
      }
    }
  }

  static func storeStep(
    _ value: TileValue, _ access: Access, _ stored: TileValue, _ mode: StoreMode, _ dtype: DType
  ) -> MachineStep {
    let tile = Int(stored.id)
    if case .accumulate(let monoid) = mode {
      let walk = AccessWalk(operation: value, access: access, elementSize: dtype.size, use: .accumulate)
      return { machine in
        let words = machine.tiles[tile].words
        walk.forEach(machine, tile: tile) { element, address in
          let before = word(ScalarReference.load(address, dtype))
          let sum = combined(monoid, dtype, before, words[element])
          ScalarReference.store(scalar(sum, dtype), address, dtype)
        }
      }
    }
    let walk = AccessWalk(operation: value, access: access, elementSize: dtype.size, use: .store)
    return { machine in
      let words = machine.tiles[tile].words
      walk.forEach(machine, tile: tile) { element, address in
        ScalarReference.store(scalar(words[element], dtype), address, dtype)
      }
    }
  }
}

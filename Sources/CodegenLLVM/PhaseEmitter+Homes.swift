// Instance memory: where values live that are not recomputed. A bump arena per thread, and stack slots for small ones.
// Not buffers of the launch. Surprise: small homes of constant extent are stack slots, which LLVM turns into registers.
import CLLVM
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  /// Bytes up to which a home of constant extents is a stack slot.
  private static let slotLimit = 1024

  func allocate(_ value: TileValue) -> Home {
    allocate(kernel[value].shape, kernel[value].dtype ?? .i64, slack: facts.uses.isProductRelated(value))
  }

  /// `slack`: rows and columns beyond the extent, up to whole register boxes, exist and hold anything.
  func allocate(_ shape: [Extent], _ dtype: DType, slack: Bool = false) -> Home {
    guard let layout = facts.homeLayout(shape, dtype, slack: slack) else {
      e.fail("a tile whose extent has no bound in launch arguments")
      return .scalar(e.index(0))
    }
    if let constant = layout.bytes.knownValue, constant <= Self.slotLimit {
      let slot = e.slot(bytes: constant + lanes * dtype.size, in: frame.entry)
      return .memory(address: slot, strides: layout.strides.map { e.index($0.knownValue ?? 1) }, inner: layout.inner)
    }
    let position = indices.size(memory.allocate(layout.bytes))
    let address = indices.inPrologue { e.offset(frame.arena, bytes: position) }
    return .memory(address: address, strides: layout.strides.map { indices.size($0) }, inner: layout.inner)
  }

  private func address(_ home: (address: IR, strides: [IR]), _ size: Int, _ box: Box) -> IR {
    var address = home.address
    for axis in box.start.indices.sorted(by: { (box.start[$0].depth, $0) < (box.start[$1].depth, $1) }) {
      let step = e.indexMultiply(home.strides[axis], e.index(size))
      if let base = box.start[axis].base { address = e.offset(address, bytes: e.indexMultiply(base, step)) }
      address = e.offset(address, bytes: e.indexMultiply(e.index(box.start[axis].offset), step))
    }
    return address
  }

  private func pointer(
    _ origin: IR, _ strides: [IR], _ size: Int, _ point: [Int], _ box: Box, lane: Int = 0
  ) -> IR {
    var bytes = e.index(0)
    for (axis, stride) in strides.enumerated() {
      let count = box.vectorAxis == axis ? point[axis] * lanes + lane : point[axis]
      if count != 0 { bytes = e.indexAdd(bytes, e.indexMultiply(stride, e.index(count * size))) }
    }
    return e.offset(origin, bytes: bytes)
  }

  func read(_ home: Home, _ dtype: DType, _ box: Box) -> [IR] {
    switch home {
    case .scalar(let value):
      return [IR](repeating: e.splat(value, lanes(of: box)), count: box.pointCount)
    case .memory(let base, let strides, let inner):
      let origin = address((base, strides), dtype.size, box)
      return box.points.map { point in
        if box.vectorAxis == nil { return e.load(dtype, 1, pointer(origin, strides, dtype.size, point, box)) }
        // Rows are padded to whole vectors: reading past the last element is harmless.
        if box.vectorAxis == inner { return e.load(dtype, lanes, pointer(origin, strides, dtype.size, point, box)) }
        return readLanes(origin, strides, dtype, point, box)
      }
    }
  }

  private func readLanes(_ origin: IR, _ strides: [IR], _ dtype: DType, _ point: [Int], _ box: Box) -> IR {
    var result: IR = LLVMGetPoison(e.type(dtype, lanes))
    for lane in 0..<lanes {
      var address = pointer(origin, strides, dtype.size, point, box, lane: lane)
      if let mask = box.mask { address = e.select(e.extract(mask, lane), address, frame.nowhere) }
      result = e.insert(result, e.load(dtype, 1, address), lane)
    }
    return result
  }

  func write(_ home: Home, _ dtype: DType, _ values: [IR], _ box: Box) {
    guard case .memory(let base, let strides, let inner) = home else { return }
    let origin = address((base, strides), dtype.size, box)
    for (i, point) in box.points.enumerated() {
      if box.vectorAxis == nil {
        e.store(values[i], dtype, pointer(origin, strides, dtype.size, point, box))
      } else if box.vectorAxis == inner, box.mask == nil {
        e.store(values[i], dtype, pointer(origin, strides, dtype.size, point, box))
      } else if box.vectorAxis == inner, let mask = box.mask, canMask(dtype) {
        e.maskedStore(values[i], dtype, pointer(origin, strides, dtype.size, point, box), mask)
      } else {
        for lane in 0..<lanes {
          let address = pointer(origin, strides, dtype.size, point, box, lane: lane)
          func put() { e.store(e.extract(values[i], lane), dtype, address) }
          if let mask = box.mask { e.when(e.extract(mask, lane), put) } else { put() }
        }
      }
    }
  }

  // MARK: Filling

  /// Computes all of a value now, into a home of its own.
  func keep(_ value: TileValue) {
    let home = allocate(value)
    fill(value, into: home)
    homes[value] = home
  }

  /// Computes all of a value now, into the home that is reserved for it.
  func write(_ value: TileValue) {
    guard let home = homes.removeValue(forKey: value) else { return }
    fill(value, into: home)
    homes[value] = home
  }

  /// Evaluates what is demanded of `value` and writes it to `home`, converted to `dtype`.
  func fill(_ value: TileValue, into home: Home, as dtype: DType? = nil, walkedFor demanded: TileValue? = nil) {
    if case .dot(let accumulator, let a, let b) = kernel[value].operation, facts.held(value) == nil {
      dot(value, accumulator, a, b, into: home, demandedAs: demanded)
      return
    }
    let own = kernel[value].dtype ?? .i64
    var walk = Walk(
      shape: kernel[value].shape, guards: facts.demands[demanded ?? value],
      vectorAxis: facts.vectorAxis([value], kernel[value].shape, storing: home.inner))
    walk.hasScalarTail = walk.vectorAxis.map { facts.gathers([value], along: $0) } ?? false
    if let inner = home.inner, let turn = facts.turn(value, written: inner) {
      turned(walk, value, turn) { box, values in
        write(home, dtype ?? own, dtype.map { dtype in values.map { e.convert($0, own, dtype) } } ?? values, box)
      }
      return
    }
    strips(walk, cost: facts.cost([value]), hoisting: [value]) { box, _ in
      let values = eval(value, box)
      write(home, dtype ?? own, dtype.map { dtype in values.map { e.convert($0, own, dtype) } } ?? values, box)
      return []
    }
  }
}

// The buffers of one launch with their bounds, and the shadow that knows who read and wrote each element.
// Not an allocator of tiles. Surprise: shadows follow addresses, not buffers, so an output that shares memory with an
// input (a donated one) is tracked correctly.
import Basics
import TensorTypes

/// A buffer of the launch, bound to memory.
struct BoundBuffer {
  var name: String
  var dtype: DType
  /// Of element 0.
  var base: UnsafeMutableRawPointer
  /// Byte offsets from `base` inside the memory.
  var firstByte: Int
  var endByte: Int
  var extents: [Int]
  /// In elements; of a panel buffer those of the leading axes, then the row's.
  var strides: [Int]
  /// 0: strided. Else the last axis is split.
  var panelWidth = 0
  var panelStride = 0
  /// The column behind the last panel.
  var lastPanelEnd = 0
  var shadow: Shadow?
  /// Bytes from the shadow's start to `base`.
  var shadowStart = 0
}

final class TileMemory {
  private(set) var buffers: [BoundBuffer] = []
  private var scratch: [UnsafeMutableRawPointer] = []
  private var shadows: [Shadow] = []
  /// Number of the first instance of the phase, minus one. Number 1 is the launch itself.
  private(set) var phaseBase: UInt32 = 1

  static let maximumScratchBytes = 1 << 34

  init(
    _ kernel: Kernel, _ machine: TileMachine, buffers memory: [UnsafeMutableRawBufferPointer], origins: [Int],
    arguments: [Int], sanitize: Bool
  ) throws(Diagnostic) {
    for (number, buffer) in kernel.buffers.enumerated() {
      let extents = buffer.shape.map { max(0, machine.index[Int($0.id)]) }
      switch buffer.layout {
      case .strided(let strides):
        // An empty buffer may have no address; nothing is accessed there.
        let start = memory[number].baseAddress ?? UnsafeMutableRawPointer.allocate(byteCount: 0, alignment: 16)
        if memory[number].baseAddress == nil { scratch.append(start) }
        let bound = BoundBuffer(
          name: buffer.name, dtype: buffer.dtype, base: start + origins[number], firstByte: -origins[number],
          endByte: memory[number].count - origins[number], extents: extents,
          strides: strides.map { machine.index[Int($0.id)] })
        guard bound.isAddressable else {
          throw Diagnostic(
            .argument, "\(kernel.name): extents \(extents) and strides \(bound.strides) of \(buffer.name) overflow")
        }
        buffers.append(bound)
      case .rowMajor, .panels:
        buffers.append(try bindScratch(kernel, number, extents, arguments))
      }
    }
    if sanitize { makeShadows(kernel) }
  }

  deinit {
    for block in scratch { block.deallocate() }
  }

  private func bindScratch(
    _ kernel: Kernel, _ number: Int, _ extents: [Int], _ arguments: [Int]
  ) throws(Diagnostic) -> BoundBuffer {
    let buffer = kernel.buffers[number]
    let bytes = kernel.scratchElementCount(number, arguments: arguments).flatMap {
      DimOperation.multiply.apply($0, buffer.dtype.size)
    }
    guard let bytes, bytes <= Self.maximumScratchBytes else {
      throw Diagnostic(.memory, "\(kernel.name): scratch \(buffer.name) of extents \(extents) is too large")
    }
    let start = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    scratch.append(start)
    // All ones: NaN, -1 and true, which no kernel gives by accident.
    start.initializeMemory(as: UInt8.self, repeating: 0xff, count: bytes)
    var bound = BoundBuffer(
      name: buffer.name, dtype: buffer.dtype, base: start, firstByte: 0, endByte: bytes, extents: extents,
      strides: Array(repeating: 0, count: extents.count))
    var step = 1
    var split = extents.count - 1
    switch buffer.layout {
    case .strided: break
    case .rowMajor(let pad):
      if split >= 0 {
        bound.strides[split] = 1
        step = extents[split] + pad
        split -= 1
      }
    case .panels(let width, let pad):
      let panels = (extents[split] + width - 1) / width
      bound.panelWidth = width
      bound.lastPanelEnd = panels * width
      step = width + pad
      if split >= 1 {
        bound.strides[split - 1] = step
        step *= extents[split - 1]
      }
      bound.panelStride = step
      step *= panels
      split -= 2
    }
    while split >= 0 {
      bound.strides[split] = step
      step *= extents[split]
      split -= 1
    }
    return bound
  }

  // MARK: Shadows

  /// One shadow for all launch buffers whose memories overlap, one for each scratch.
  private func makeShadows(_ kernel: Kernel) {
    let order = buffers.indices.filter { buffers[$0].endByte > buffers[$0].firstByte }
      .sorted { start(buffers[$0]) < start(buffers[$1]) }
    var group: [Int] = []
    var end = start(buffers.first)
    func close() {
      guard let first = group.first else { return }
      let base = start(buffers[first])
      let sizes = group.map { buffers[$0].dtype.size }
      var granule = sizes.min() ?? 1
      if group.contains(where: { (start(buffers[$0]) - base - buffers[$0].firstByte) % granule != 0 }) { granule = 1 }
      let shadow = Shadow(byteCount: end - base, granule: granule)
      shadows.append(shadow)
      for i in group {
        buffers[i].shadow = shadow
        buffers[i].shadowStart = start(buffers[i]) - base - buffers[i].firstByte
        if kernel.buffers[i].role == .input {
          shadow.markWritten(start(buffers[i]) - base, buffers[i].endByte - buffers[i].firstByte)
        }
      }
      group = []
    }
    for i in order {
      if !group.isEmpty, start(buffers[i]) >= end { close() }
      if group.isEmpty { end = start(buffers[i]) }
      group.append(i)
      end = max(end, UInt(bitPattern: buffers[i].base + buffers[i].endByte).asInt)
    }
    close()
  }

  private func start(_ buffer: BoundBuffer?) -> Int {
    buffer.map { UInt(bitPattern: $0.base + $0.firstByte).asInt } ?? 0
  }

  /// Numbers the instances on; when there are too many for the shadow's words, tracking ends.
  func endPhase(instances: Int) {
    let next = Int(phaseBase) + instances
    if next < Int(Shadow.severalReaders) {
      phaseBase = UInt32(next)
    } else {
      for i in buffers.indices { buffers[i].shadow = nil }
    }
  }
}

extension UInt {
  fileprivate var asInt: Int { Int(bitPattern: self) }
}

extension BoundBuffer {
  /// Whether no valid coordinate's byte offset can overflow.
  fileprivate var isAddressable: Bool {
    if extents.contains(0) { return true }
    var bytes = dtype.size
    for (extent, stride) in zip(extents, strides) {
      guard let reach = DimOperation.multiply.apply(extent - 1, stride).flatMap({ DimOperation.multiply.apply($0, 8) }),
        reach != .min, let sum = DimOperation.add.apply(bytes, abs(reach))
      else { return false }
      bytes = sum
    }
    return true
  }
}

/// Who wrote and who read each element last. An instance is a number; 0 is nobody.
final class Shadow {
  static let severalReaders: UInt32 = 1 << 31

  private let granule: Int
  private let writers: UnsafeMutablePointer<UInt32>
  private let readers: UnsafeMutablePointer<UInt32>

  init(byteCount: Int, granule: Int) {
    self.granule = granule
    let count = (byteCount + granule - 1) / granule
    writers = .allocate(capacity: count)
    readers = .allocate(capacity: count)
    writers.initialize(repeating: 0, count: count)
    readers.initialize(repeating: 0, count: count)
  }

  deinit {
    writers.deallocate()
    readers.deallocate()
  }

  func markWritten(_ start: Int, _ byteCount: Int) {
    for i in start / granule..<(start + byteCount) / granule { writers[i] = 1 }
  }

  struct Conflict {
    var isUnwritten = false
    /// Instance number of the other party, in this phase.
    var other: UInt32 = 0
    var otherWrote = false
  }

  func read(_ start: Int, _ byteCount: Int, by reader: UInt32, phaseBase: UInt32) -> Conflict {
    var conflict = Conflict()
    for i in start / granule..<(start + byteCount + granule - 1) / granule {
      let writer = writers[i]
      if writer == 0 { conflict.isUnwritten = true }
      if writer > phaseBase, writer != reader {
        conflict.other = writer
        conflict.otherWrote = true
      }
      let last = readers[i] & ~Self.severalReaders
      if last <= phaseBase {
        readers[i] = reader
      } else if last != reader {
        readers[i] |= Self.severalReaders
      }
    }
    return conflict
  }

  func write(_ start: Int, _ byteCount: Int, by writer: UInt32, phaseBase: UInt32) -> Conflict {
    var conflict = Conflict()
    for i in start / granule..<(start + byteCount + granule - 1) / granule {
      let before = writers[i]
      if before == 0 { conflict.isUnwritten = true }
      let last = readers[i] & ~Self.severalReaders
      if before > phaseBase, before != writer {
        conflict.other = before
        conflict.otherWrote = true
      } else if last > phaseBase, last != writer || readers[i] & Self.severalReaders != 0 {
        conflict.other = last
      }
      writers[i] = writer
    }
    return conflict
  }
}

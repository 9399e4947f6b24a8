// The state of one run: index values, tiles, what was found. Not the semantics, which are in `InterpretedKernel`.
// Surprise: a node's tile lives in one slot that is overwritten by every instance and trip; slots only grow.
import Basics
import Scalars
import TensorTypes

typealias Words = UnsafeMutablePointer<UInt64>

/// Memory that grows and is never initialised.
struct WordSlot {
  var words = Words.allocate(capacity: 0)
  var capacity = 0

  mutating func reserve(_ count: Int) {
    guard count > capacity else { return }
    words.deallocate()
    capacity = max(count, min(2 * capacity, 1 << 20))
    words = Words.allocate(capacity: capacity)
  }
}

/// A tile: its elements and its extents.
struct TileSlot {
  var storage = WordSlot()
  var count = 0
  var extents = UnsafeMutablePointer<Int>.allocate(capacity: 0)
  var rank = 0
  var words: Words { storage.words }
}

final class TileMachine {
  /// More elements than this in one tile are a mistake, or too much for a reference machine.
  static let maximumTileCount = 1 << 27

  let nodeCount: Int
  let index: UnsafeMutablePointer<Int>
  let tiles: UnsafeMutablePointer<TileSlot>
  let programID: UnsafeMutablePointer<Int>
  private let temporaries: UnsafeMutablePointer<WordSlot>
  static let temporaryCount = 3

  var arguments: [Int] = []
  var memory: TileMemory?
  var phase = 0
  var instance = 0
  /// Instances of the phases before that this phase runs beside.
  var stageInstances = 0
  var outcome = TileInterpreter.Outcome()

  struct FindingKey: Hashable {
    var kind: TileInterpreter.Finding.Kind
    var operation: TileValue
  }
  var findings: [FindingKey: TileInterpreter.Finding] = [:]
  var findingOrder: [FindingKey] = []

  init(nodeCount: Int, gridRank: Int) {
    self.nodeCount = nodeCount
    index = .allocate(capacity: nodeCount)
    index.initialize(repeating: 0, count: nodeCount)
    tiles = .allocate(capacity: nodeCount)
    for id in 0..<nodeCount { (tiles + id).initialize(to: TileSlot()) }
    programID = .allocate(capacity: gridRank)
    programID.initialize(repeating: 0, count: gridRank)
    temporaries = .allocate(capacity: Self.temporaryCount)
    for i in 0..<Self.temporaryCount { (temporaries + i).initialize(to: WordSlot()) }
  }

  deinit {
    for id in 0..<nodeCount {
      tiles[id].storage.words.deallocate()
      tiles[id].extents.deallocate()
    }
    for i in 0..<Self.temporaryCount { temporaries[i].words.deallocate() }
    temporaries.deallocate()
    programID.deallocate()
    tiles.deallocate()
    index.deallocate()
  }

  // MARK: Phases

  func beginPhase(_ number: Int) { phase = number }

  /// A barrier: what was written is there for the phases behind.
  func endStage() {
    memory?.endPhase(instances: stageInstances)
    stageInstances = 0
  }

  // MARK: Tiles

  /// Makes room for a node's tile and gives its extents their values of this moment. Negative extents are empty.
  func prepare(_ id: Int, _ shape: [Extent]) throws(Diagnostic) {
    if tiles[id].rank != shape.count {
      tiles[id].extents.deallocate()
      tiles[id].extents = .allocate(capacity: shape.count)
      tiles[id].extents.initialize(repeating: 0, count: shape.count)
      tiles[id].rank = shape.count
    }
    var count = 1
    var isTooLarge = false
    for axis in shape.indices {
      let extent: Int
      switch shape[axis] {
      case .constant(let n): extent = n
      case .value(let value): extent = max(0, index[Int(value.id)])
      }
      tiles[id].extents[axis] = extent
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      isTooLarge = isTooLarge || overflow || product > Self.maximumTileCount
      count = isTooLarge && extent != 0 ? Self.maximumTileCount : product
      if extent == 0 { isTooLarge = false }
    }
    guard !isTooLarge else {
      let extents = shape.indices.map { tiles[id].extents[$0] }
      throw Diagnostic(.memory, "a tile of extents \(extents) is more than the interpreter holds (node \(id))")
    }
    tiles[id].count = count
    tiles[id].storage.reserve(count)
  }

  /// Storage for intermediate values of one operation.
  func temporary(_ number: Int, _ count: Int) -> Words {
    temporaries[number].reserve(count)
    return temporaries[number].words
  }

  /// Row-major strides of a tile.
  func strides(_ id: Int) -> [Int] {
    var strides = Array(repeating: 1, count: tiles[id].rank)
    for axis in stride(from: tiles[id].rank - 2, through: 0, by: -1) {
      strides[axis] = strides[axis + 1] * tiles[id].extents[axis + 1]
    }
    return strides
  }

  func extents(_ id: Int) -> [Int] { (0..<tiles[id].rank).map { tiles[id].extents[$0] } }

  /// One tile's elements over another's, which was prepared for as many.
  func copy(_ source: Int, to target: Int) {
    tiles[target].words.update(from: tiles[source].words, count: min(tiles[source].count, tiles[target].count))
  }

  // MARK: Findings

  func fault(_ kind: TileInterpreter.Fault.Kind, index: Int = 0, extent: Int = 0) {
    guard outcome.fault == nil else { return }
    outcome.fault = TileInterpreter.Fault(kind: kind, phase: phase, instance: instance, index: index, extent: extent)
  }

  func find(
    _ kind: TileInterpreter.Finding.Kind, _ operation: TileValue, buffer: String? = nil,
    coordinates: @autoclosure () -> [Int] = [], detail: @autoclosure () -> String
  ) {
    let key = FindingKey(kind: kind, operation: operation)
    if findings[key] != nil {
      findings[key]?.count += 1
      return
    }
    findingOrder.append(key)
    findings[key] = TileInterpreter.Finding(
      kind: kind, phase: phase, instance: instance, operation: operation, statement: "", buffer: buffer,
      coordinates: coordinates(), detail: detail(), count: 1)
  }
}

extension TileMachine: IntegerArithmetic {
  func argument(_ i: Int) -> Int? { arguments[i] }
  func programID(axis: Int) -> Int? { programID[axis] }
}

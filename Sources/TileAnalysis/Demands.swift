// Which part of each value of a phase anybody will read. Not who reads it (Uses).
// Surprise: a guard on a store is a demand on everything above it, so a ragged edge costs one shorter loop instead of
// predicates on every load.
import TileIR

/// `start + t < extent` on a tile axis, as a store asks it.
package struct GuardFact: Hashable {
  package var start: TileValue
  package var extent: TileValue

  package init(start: TileValue, extent: TileValue) {
    self.start = start
    self.extent = extent
  }
}

package struct Demands {
  package private(set) var guardFacts: [GuardFact] = []
  private let kernel: Kernel
  private let facts: IndexFacts
  /// Per axis: 0 everything, else a guard (index + 1 in `guardFacts`) outside which nobody reads; -1: nobody has asked yet.
  private var demands: [TileValue: [Int]] = [:]
  /// The same as the stores say it, inside loops too.
  private var guards: [TileValue: [Int]] = [:]
  private var numbers: [[Int]: Int] = [:]

  package init(_ kernel: Kernel, _ region: Region, _ facts: IndexFacts) {
    self.kernel = kernel
    self.facts = facts
    demand(region)
    number(region)
  }

  /// Per axis, the guard outside which nobody reads `value`; 0: none.
  package subscript(value: TileValue) -> [Int] {
    demands[value].map { $0.map { max($0, 0) } } ?? [Int](repeating: 0, count: kernel[value].shape.count)
  }

  /// Per tile axis, the guard of a store; 0: none.
  package func guards(ofStore store: TileValue) -> [Int] { guards[store] ?? [] }

  /// The number of a guard; 0: no store asks it.
  package func number(of fact: GuardFact) -> Int { numbers[key(fact)] ?? 0 }

  private func key(_ fact: GuardFact) -> [Int] { [facts.identity(fact.start), facts.identity(fact.extent)] }

  private mutating func numbered(_ fact: GuardFact) -> Int {
    let key = key(fact)
    if let known = numbers[key] { return known }
    guardFacts.append(fact)
    numbers[key] = guardFacts.count
    return guardFacts.count
  }

  private mutating func number(_ region: Region) {
    for value in region.operations {
      switch kernel[value].operation {
      case .store(let access, let stored, _):
        guards[value] = storeFacts(access, rank: kernel[stored].shape.count, inRegions: true)
      case .loop(_, _, let body): number(body)
      default: continue
      }
    }
  }

  private mutating func merge(_ value: TileValue, _ wanted: [Int]) {
    guard let known = demands[value] else {
      demands[value] = wanted
      return
    }
    demands[value] = zip(known, wanted).map { $0 == -1 ? $1 : $1 == -1 || $0 == $1 ? $0 : 0 }
  }

  private mutating func demand(_ region: Region) {
    for value in region.operations.reversed() {
      let rank = kernel[value].shape.count
      let own = demands[value] ?? [Int](repeating: -1, count: rank)
      switch kernel[value].operation {
      case .programID, .argument, .index, .indexBinary, .splat, .splatArgument, .coordinates, .regionArgument: continue
      case .result(let loop, let i):
        guard case .loop(_, _, let body) = kernel[loop].operation else { continue }
        merge(body.arguments[i + 1], own)
      case .load(let access, _): demandIndices(access, own)
      case .store(let access, let stored, _):
        let wanted = storeFacts(access, rank: kernel[stored].shape.count, inRegions: false)
        merge(stored, wanted)
        demandIndices(access, wanted)
      case .map(_, let operands): for operand in operands { merge(operand, own) }
      case .convert(let a), .bitcast(let a): merge(a, own)
      case .broadcast(let a):
        merge(a, zip(kernel[a].shape, own).map { $0 == .constant(1) ? 0 : $1 })
      case .transpose(let a, let permutation):
        var wanted = own
        for (axis, source) in permutation.enumerated() { wanted[source] = own[axis] }
        merge(a, wanted)
      case .reduce(_, let axes, let a): merge(a, own.indices.map { axes.contains($0) ? 0 : own[$0] })
      case .argReduce(_, let axis, let a), .scan(_, let axis, let a), .argScan(_, let axis, let a),
        .sortOrder(let axis, _, let a):
        merge(a, own.indices.map { $0 == axis ? 0 : own[$0] })
      case .dot(let accumulator, let a, let b):
        merge(accumulator, own)
        var left = own
        var right = own
        left[rank - 1] = 0
        right[rank - 2] = 0
        merge(a, left)
        merge(b, right)
      case .loop(_, let initial, let body): demandLoop(initial, body)
      }
    }
  }

  private mutating func demandLoop(_ initial: [TileValue], _ body: Region) {
    let carried = Array(body.arguments.dropFirst())
    for argument in carried where demands[argument] == nil {
      demands[argument] = [Int](repeating: -1, count: kernel[argument].shape.count)
    }
    // What one trip reads of a carried tile, the trip before must have made: until nothing more is asked.
    for _ in 0..<8 {
      let before = carried.map { demands[$0] }
      for (i, yield) in body.yields.enumerated() { merge(yield, demands[carried[i]] ?? []) }
      demand(body)
      if carried.map({ demands[$0] }) == before { break }
    }
    for (i, value) in initial.enumerated() { merge(value, demands[carried[i]] ?? []) }
  }

  private mutating func demandIndices(_ access: Access, _ own: [Int]) {
    for axis in access.axes {
      guard let tile = axis.indirect else { continue }
      merge(tile, zip(kernel[tile].shape, own).map { $0 == .constant(1) ? 0 : $1 })
    }
  }

  /// Per tile axis, the guard that a store has on it. Facts of a loop's counter hold only inside the loop.
  private mutating func storeFacts(_ access: Access, rank: Int, inRegions: Bool) -> [Int] {
    var wanted = [Int](repeating: 0, count: rank)
    for (i, axis) in access.axes.enumerated() {
      guard let tileAxis = axis.tileAxis, axis.guarded, axis.scale == 1, axis.indirect == nil, wanted[tileAxis] == 0,
        (facts.lower(axis.start) ?? -1) >= 0, inRegions || !facts.dependsOnLoop(axis.start)
      else { continue }
      let extent = kernel.buffers[access.buffer].shape[i]
      wanted[tileAxis] = numbered(GuardFact(start: axis.start, extent: extent))
    }
    return wanted
  }
}

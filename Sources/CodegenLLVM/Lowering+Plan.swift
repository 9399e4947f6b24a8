// What a phase's values are used for, decided before any code is made: users, roots, residence, and which part of a value
// anybody will read (demands). Not code. Surprise: a guard on a store is a demand on everything above it, so a ragged edge
// costs one shorter loop instead of predicates on every load.
import Scalars
import TensorTypes
import TileIR

/// `start + t < extent` on a tile axis, as a store asks it.
struct GuardFact: Hashable {
  var start: TileValue
  var extent: TileValue
}

struct Plan {
  enum Residence { case virtual, scalar, memory, inPassing }

  private(set) var kernel: Kernel
  private(set) var users: [TileValue: [TileValue]] = [:]
  /// Per axis: 0 everything, else a guard (index + 1 in `guardFacts`) outside which nobody reads.
  private(set) var demands: [TileValue: [Int]] = [:]
  private(set) var guardFacts: [GuardFact] = []
  private var guardNumbers: [[Int]: Int] = [:]
  private var residences: [TileValue: Residence] = [:]
  private var roots: [TileValue: Set<TileValue>] = [:]
  /// Values used through a broadcast: many elements would each compute them again.
  private var widening: Set<TileValue> = []
  private var position: [TileValue: Int] = [:]
  private var regionOf: [TileValue: Int] = [:]
  private var storesTo: [Int: [TileValue]] = [:]
  private var regionCount = 0
  private(set) var yieldedBy: [TileValue: TileValue] = [:]
  private(set) var results: [TileValue: [TileValue]] = [:]
  private var productValues: Set<TileValue> = []
  private var facts: IndexFacts?

  init() { kernel = Kernel(name: "") }

  init(_ kernel: Kernel, _ facts: IndexFacts, _ region: Region) {
    self.kernel = kernel
    self.facts = facts
    collect(region)
    collectProducts()
    decide(region)
    demand(region)
    self.facts = nil
  }

  func residence(of value: TileValue) -> Residence { residences[value] ?? .virtual }
  func demand(of value: TileValue) -> [Int] {
    demands[value].map { $0.map { max($0, 0) } } ?? [Int](repeating: 0, count: kernel[value].shape.count)
  }
  func rootCount(_ value: TileValue) -> Int { roots[value]?.count ?? 0 }

  /// The number of a guard, given its canonical index values.
  mutating func number(of fact: GuardFact, _ facts: IndexFacts) -> Int {
    let key = [facts.identity(fact.start), facts.identity(fact.extent)]
    if let known = guardNumbers[key] { return known }
    guardFacts.append(fact)
    guardNumbers[key] = guardFacts.count
    return guardFacts.count
  }
  func knownNumber(of fact: GuardFact, _ facts: IndexFacts) -> Int {
    guardNumbers[[facts.identity(fact.start), facts.identity(fact.extent)]] ?? 0
  }

  // MARK: Users

  private mutating func collect(_ region: Region) {
    let number = regionCount
    regionCount += 1
    for value in region.arguments { regionOf[value] = number }
    for value in region.operations {
      position[value] = position.count
      regionOf[value] = number
      switch kernel[value].operation {
      case .loop(let count, let initial, let body):
        for operand in [count] + initial { users[operand, default: []].append(value) }
        collect(body)
        for (i, yield) in body.yields.enumerated() {
          users[yield, default: []].append(body.arguments[i + 1])
          yieldedBy[body.arguments[i + 1]] = yield
        }
      case .result(let loop, _):
        results[loop, default: []].append(value)
        users[loop, default: []].append(value)
      case .store(let access, _, _):
        storesTo[access.buffer, default: []].append(value)
        fallthrough
      default:
        for operand in kernel[value].operation.operands { users[operand, default: []].append(value) }
      }
    }
  }

  // MARK: Products

  /// Operands and results of products, and what carries them: their homes have room for whole register boxes.
  func isProductRelated(_ value: TileValue) -> Bool { productValues.contains(value) }

  /// Used by nothing but the yield of the loop around it, which does not read what it replaces through an operand.
  func isYieldedOnly(_ value: TileValue) -> Bool {
    guard let only = users[value], only.count == 1, yieldedBy[only[0]] == value else { return false }
    return regionOf[only[0]] == regionOf[value]
  }

  private mutating func collectProducts() {
    for (id, node) in kernel.nodes.enumerated() {
      if case .dot(let accumulator, let a, let b) = node.operation {
        productValues.formUnion([TileValue(id), accumulator, a, b])
      }
    }
    for (argument, yield) in yieldedBy where productValues.contains(yield) { productValues.insert(argument) }
  }

  // MARK: Residence

  func isScalar(_ value: TileValue) -> Bool {
    kernel[value].shape.allSatisfy { if case .constant(1) = $0 { true } else { false } }
  }

  /// One element for each row of the last two axes.
  func isRowValue(_ value: TileValue) -> Bool { kernel[value].shape.last == .constant(1) }

  /// Computed where needed, unless something asks for a home.
  func isPointwise(_ value: TileValue) -> Bool {
    kernel[value].operation.kind.isPointwise
  }

  private func isCostly(_ value: TileValue) -> Bool {
    if case .map(let instruction, _) = kernel[value].operation { instruction.isCostly } else { false }
  }

  /// Last value first, so that the residence of users is known.
  private mutating func decide(_ region: Region) {
    for value in region.operations.reversed() {
      if case .loop(_, _, let body) = kernel[value].operation { decide(body) }
      guard kernel[value].dtype != nil else { continue }
      var found: Set<TileValue> = []
      for user in users[value] ?? [] {
        if isPointwise(user), residence(of: user) == .virtual {
          found.formUnion(roots[user] ?? [])
        } else {
          found.insert(user)
        }
      }
      roots[value] = found
      if (users[value] ?? []).contains(where: { widens($0) }) { widening.insert(value) }
      if isPointwise(value) { residences[value] = decided(value, found) }
    }
  }

  private func decided(_ value: TileValue, _ found: Set<TileValue>) -> Residence {
    if kernel[value].operation.kind == .source { return .virtual }
    if case .load(let access, _) = kernel[value].operation {
      if isScalar(value) { return .scalar }
      // Operands of products inside loops are packed once, before them.
      let isInside = productValues.contains(value) && (users[value] ?? []).contains { regionOf[$0] != regionOf[value] }
      if isInside { return .memory }
      return isOverwritten(value, access, found) ? .memory : .virtual
    }
    if case .broadcast = kernel[value].operation { return .virtual }
    if isScalar(value) { return .scalar }
    let home = regionOf[value]
    let isUsedInside = (users[value] ?? []).contains { regionOf[$0] != home } && !isCheap(value)
    if isUsedInside { return .memory }
    guard isCostly(value) else { return .virtual }
    if widening.contains(value) { return .memory }
    guard found.count > 1 else { return .virtual }
    let first = found.min { (position[$0] ?? 0) < (position[$1] ?? 0) }
    // Its first root must walk all of it, in this region.
    if let first, regionOf[first] == home, case .reduce(_, _, let operand) = kernel[first].operation,
      kernel[operand].shape == kernel[value].shape, reachesPlainly(operand, value)
    {
      return .inPassing
    }
    return .memory
  }

  /// Whether `root` uses `value` element for element.
  private func reachesPlainly(_ root: TileValue, _ value: TileValue) -> Bool {
    var seen: Set<TileValue> = []
    var stack = [root]
    while let next = stack.popLast() {
      if next == value { return true }
      // Operands come before their users: nothing before the value leads to it.
      guard next.id > value.id, seen.insert(next).inserted else { continue }
      if kernel[next].operation.kind == .elementwise { stack += kernel[next].operation.operands }
    }
    return false
  }

  private func widens(_ user: TileValue) -> Bool {
    guard isPointwise(user) else { return false }
    if case .broadcast = kernel[user].operation { return true }
    return residence(of: user) == .virtual && widening.contains(user)
  }

  /// No arithmetic: as well loaded again.
  private func isCheap(_ value: TileValue) -> Bool {
    switch kernel[value].operation {
    case .broadcast(let a), .bitcast(let a): return isCheap(a)
    case .loop: return false
    case let operation: return [.source, .load, .across, .product, .control].contains(operation.kind)
    }
  }

  /// A load whose buffer is stored to before its last use, other than element for element by the store that reads it.
  private func isOverwritten(_ value: TileValue, _ access: Access, _ found: Set<TileValue>) -> Bool {
    guard let stores = storesTo[access.buffer], let here = position[value] else { return false }
    let later = stores.filter { position[$0]! > here || regionOf[$0] != regionOf[value] }
    guard let firstStore = later.min(by: { position[$0]! < position[$1]! }) else { return false }
    let lastUse = found.map { position[$0] ?? Int.max }.max() ?? here
    if found.contains(where: { regionOf[$0] != regionOf[value] }) { return true }
    if lastUse < position[firstStore]! { return false }
    if found == [firstStore], case .store(let target, _, _) = kernel[firstStore].operation {
      return target.axes != access.axes
    }
    return true
  }

  // MARK: Demands

  /// -1: nobody has asked yet.
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
  mutating func storeFacts(_ access: Access, rank: Int, inRegions: Bool) -> [Int] {
    guard let facts else { return [Int](repeating: 0, count: rank) }
    return storeFacts(access, rank: rank, inRegions: inRegions, facts)
  }
  mutating func storeFacts(_ access: Access, rank: Int, inRegions: Bool, _ facts: IndexFacts) -> [Int] {
    var wanted = [Int](repeating: 0, count: rank)
    for (i, axis) in access.axes.enumerated() {
      guard let tileAxis = axis.tileAxis, axis.guarded, axis.scale == 1, axis.indirect == nil, wanted[tileAxis] == 0,
        (facts.lower(axis.start) ?? -1) >= 0, inRegions || !facts.dependsOnLoop(axis.start)
      else { continue }
      let extent = kernel.buffers[access.buffer].shape[i]
      wanted[tileAxis] = number(of: GuardFact(start: axis.start, extent: extent), facts)
    }
    return wanted
  }
}

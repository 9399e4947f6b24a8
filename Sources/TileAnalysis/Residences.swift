// Where the values of a phase are kept: computed where they are needed, or once and then in a register or in memory.
// Not addresses (HomeLayout). Surprise: it is decided last value first, since it depends on where the users are.
import Scalars
import TileIR

package struct Residences {
  package enum Kind: String, Sendable {
    /// Computed wherever it is needed.
    case virtual
    /// One element, kept in a register.
    case scalar
    case memory
    /// In memory, written by the first walk that needs it.
    case inPassing
  }

  private let kernel: Kernel
  private let uses: Uses
  private var kinds: [TileValue: Kind] = [:]
  private var roots: [TileValue: Set<TileValue>] = [:]
  /// Values used through a broadcast: many elements would each compute them again.
  private var widening: Set<TileValue> = []

  package init(_ kernel: Kernel, _ region: Region, _ uses: Uses) {
    self.kernel = kernel
    self.uses = uses
    decide(region)
  }

  package subscript(value: TileValue) -> Kind { kinds[value] ?? .virtual }

  private func isCostly(_ value: TileValue) -> Bool {
    if case .map(let instruction, _) = kernel[value].operation { instruction.isCostly } else { false }
  }

  /// Last value first, so that the residence of users is known.
  private mutating func decide(_ region: Region) {
    for value in region.operations.reversed() {
      if case .loop(_, _, let body) = kernel[value].operation { decide(body) }
      guard kernel[value].dtype != nil else { continue }
      var found: Set<TileValue> = []
      for user in uses.users[value] ?? [] {
        if kernel.isPointwise(user), self[user] == .virtual {
          found.formUnion(roots[user] ?? [])
        } else {
          found.insert(user)
        }
      }
      roots[value] = found
      if (uses.users[value] ?? []).contains(where: { widens($0) }) { widening.insert(value) }
      if kernel.isPointwise(value) { kinds[value] = decided(value, found) }
    }
  }

  private func decided(_ value: TileValue, _ found: Set<TileValue>) -> Kind {
    if kernel[value].operation.kind == .source { return .virtual }
    if case .load(let access, _) = kernel[value].operation {
      if kernel.isScalar(value) { return .scalar }
      // Operands of products inside loops are packed once, before them.
      let isInside =
        uses.isProductRelated(value) && (uses.users[value] ?? []).contains { uses.regionOf[$0] != uses.regionOf[value] }
      if isInside { return .memory }
      return isOverwritten(value, access, found) ? .memory : .virtual
    }
    if case .broadcast = kernel[value].operation { return .virtual }
    if kernel.isScalar(value) { return .scalar }
    let home = uses.regionOf[value]
    let isUsedInside = (uses.users[value] ?? []).contains { uses.regionOf[$0] != home } && !isCheap(value)
    if isUsedInside { return .memory }
    guard isCostly(value) else { return .virtual }
    if widening.contains(value) { return .memory }
    guard found.count > 1 else { return .virtual }
    let first = found.min { (uses.position[$0] ?? 0) < (uses.position[$1] ?? 0) }
    // Its first root must walk all of it, in this region.
    if let first, uses.regionOf[first] == home, case .reduce(_, _, let operand) = kernel[first].operation,
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
    guard kernel.isPointwise(user) else { return false }
    if case .broadcast = kernel[user].operation { return true }
    return self[user] == .virtual && widening.contains(user)
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
    guard let stores = uses.storesTo[access.buffer], let here = uses.position[value] else { return false }
    let later = stores.filter { uses.position[$0]! > here || uses.regionOf[$0] != uses.regionOf[value] }
    guard let firstStore = later.min(by: { uses.position[$0]! < uses.position[$1]! }) else { return false }
    let lastUse = found.map { uses.position[$0] ?? Int.max }.max() ?? here
    if found.contains(where: { uses.regionOf[$0] != uses.regionOf[value] }) { return true }
    if lastUse < uses.position[firstStore]! { return false }
    if found == [firstStore], case .store(let target, _, _) = kernel[firstStore].operation {
      return target.axes != access.axes
    }
    return true
  }
}

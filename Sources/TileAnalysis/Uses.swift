// Who uses what in a phase: users, the loop's yields and results, the order of operations, and what belongs to products.
// Not liveness. Surprise: a carried tile is a user of what its loop yields to it.
import TileIR

package struct Uses {
  package private(set) var users: [TileValue: [TileValue]] = [:]
  /// The yield that a carried tile becomes.
  private(set) var yieldedBy: [TileValue: TileValue] = [:]
  /// Results of a loop.
  package private(set) var results: [TileValue: [TileValue]] = [:]
  private(set) var position: [TileValue: Int] = [:]
  private(set) var regionOf: [TileValue: Int] = [:]
  private(set) var storesTo: [Int: [TileValue]] = [:]
  private let kernel: Kernel
  private var regionCount = 0
  private var productValues: Set<TileValue> = []

  package init(_ kernel: Kernel, _ region: Region) {
    self.kernel = kernel
    collect(region)
    collectProducts()
  }

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

  /// Operands and results of products, and what carries them: their homes have room for whole register boxes.
  package func isProductRelated(_ value: TileValue) -> Bool { productValues.contains(value) }

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
}

extension Kernel {
  /// One element.
  package func isScalar(_ value: TileValue) -> Bool { self[value].shape.allSatisfy { $0 == .constant(1) } }

  /// One element for each row of the last two axes.
  func isRowValue(_ value: TileValue) -> Bool { self[value].shape.last == .constant(1) }

  /// Computed where needed, unless something asks for a home.
  package func isPointwise(_ value: TileValue) -> Bool { self[value].operation.kind.isPointwise }
}

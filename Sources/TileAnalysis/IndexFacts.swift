// What is known about index values before they have one: bounds, divisibility, and which of them are equal.
// Not their code. Surprise: upper bounds are Dims over the launch arguments, so sizes can be computed before a launch.
import TensorTypes
import TileIR

package struct IndexFacts {
  let kernel: Kernel
  /// Of the phase that is asked about.
  let grid: [TileValue]
  private var counts: [TileValue: TileValue] = [:]
  private var extents: Set<Int> = []
  private var canonical: [Int] = []

  private enum Shape: Hashable {
    case leaf(TileOperation)
    case binary(DimOperation, Int, Int)
    case other(TileValue)
  }

  package init(_ kernel: Kernel, grid: [TileValue]) {
    self.kernel = kernel
    self.grid = grid
    var known: [Shape: Int] = [:]
    for (id, node) in kernel.nodes.enumerated() {
      let shape: Shape
      switch node.indexForm {
      case .constant, .argument, .programID: shape = .leaf(node.operation)
      case .binary(let operation, let a, let b):
        shape = .binary(operation, canonical[Int(a.id)], canonical[Int(b.id)])
      case .counter, nil: shape = .other(TileValue(id))
      }
      if case .loop(let count, _, let region) = node.operation { counts[region.arguments[0]] = count }
      canonical.append(known[shape] ?? id)
      known[shape] = canonical[id]
    }
    for buffer in kernel.buffers {
      for extent in buffer.shape {
        if case .argument(let i) = kernel[extent].operation { extents.insert(i) }
      }
    }
  }

  /// Equal for index values that are computed alike.
  package func identity(_ value: TileValue) -> Int { canonical[Int(value.id)] }

  package func constant(_ value: TileValue) -> Int? {
    if case .index(let constant) = kernel[value].operation { return constant }
    return nil
  }
  package func constant(_ extent: Extent) -> Int? {
    switch extent {
    case .constant(let n): n
    case .value(let value): constant(value)
    }
  }

  package func dependsOnArgumentsOnly(_ value: TileValue) -> Bool {
    kernel.isMade(value) { leaf in
      switch leaf {
      case .constant, .argument: true
      case .programID, .counter, .binary, nil: false
      }
    }
  }

  /// Whether no program ID is in it. (A loop's counter may be.)
  package func isSameInAllInstances(_ value: TileValue) -> Bool {
    kernel.isMade(value) { if case .programID = $0 { false } else { true } }
  }

  /// Whether a loop's counter is in it.
  func dependsOnLoop(_ value: TileValue) -> Bool { !kernel.isMade(value) { $0 != .counter } }

  /// A number that the value is never below.
  package func lower(_ value: TileValue) -> Int? {
    switch kernel[value].indexForm {
    case .constant(let n): return n
    case .argument(let i): return extents.contains(i) ? 0 : nil
    case .programID, .counter: return 0
    case .binary(let operation, let a, let b):
      let x = lower(a)
      let y = lower(b)
      switch operation {
      case .add: return x.flatMap { x in y.map { x + $0 } }
      case .multiply: return x.flatMap { x in y.flatMap { x >= 0 && $0 >= 0 ? x * $0 : nil } }
      case .minimum: return x.flatMap { x in y.map { min(x, $0) } }
      case .maximum: return [x, y].compactMap { $0 }.max()
      case .floorDivide, .ceilDivide: return x.flatMap { x in y.flatMap { x >= 0 && $0 >= 0 ? 0 : nil } }
      case .modulo: return y.flatMap { $0 >= 0 ? 0 : nil }
      case .subtract: return nil
      }
    case nil: return nil
    }
  }

  /// An expression over launch arguments that the value is never above; of several, a constant one.
  package func upper(_ value: TileValue) -> Dim? {
    switch kernel[value].indexForm {
    case .constant(let n): return Dim(n)
    case .argument(let i): return .symbol(i)
    case .programID(let axis): return axis < grid.count ? upper(grid[axis]).map { $0 - 1 } : nil
    case .counter: return counts[value].flatMap { upper($0) }.map { $0 - 1 }
    case .binary(.minimum, let a, let b):
      guard let x = upper(a), let y = upper(b) else { return upper(a) ?? upper(b) }
      if x.knownValue != nil, y.knownValue == nil { return x }
      if y.knownValue != nil, x.knownValue == nil { return y }
      return x.minimum(y)
    case .binary(let operation, let a, let b):
      if let exact = kernel.dim(value) { return exact }
      guard let x = upper(a) else { return nil }
      switch operation {
      case .add: return upper(b).map { x + $0 }
      case .subtract: return lower(b).map { x - $0 } ?? kernel.dim(b).map { x - $0 }
      case .multiply: return (lower(a) ?? -1) >= 0 && (lower(b) ?? -1) >= 0 ? upper(b).map { x * $0 } : nil
      case .maximum: return upper(b).map { x.maximum($0) }
      case .floorDivide, .ceilDivide:
        if let divisor = kernel.dim(b) { return Dim.combined(operation, x, divisor) }
        return (lower(b) ?? 0) >= 1 ? x.maximum(0) : nil
      case .modulo: return upper(b).map { $0 - 1 }
      case .minimum: return nil
      }
    case nil: return nil
    }
  }
  package func upper(_ extent: Extent) -> Dim? {
    switch extent {
    case .constant(let n): Dim(n)
    case .value(let value): upper(value)
    }
  }

  /// How much the value grows from one instance to the next along grid axis 0; nil: not by a constant.
  package func stepPerInstance(_ value: TileValue) -> Int? {
    switch kernel[value].indexForm {
    case .programID(let axis): return axis == 0 ? 1 : 0
    case .constant, .argument: return 0
    case .binary(.multiply, let a, let b):
      guard let x = stepPerInstance(a), let factor = constant(b) else { return nil }
      return x * factor
    case .binary(.add, let a, let b):
      guard let x = stepPerInstance(a), let y = stepPerInstance(b) else { return nil }
      return x + y
    case .binary, .counter, nil: return nil
    }
  }

  /// A number that divides the value; 0 for the value 0.
  package func divisor(_ value: TileValue) -> Int {
    switch kernel[value].indexForm {
    case .constant(let n): return abs(n)
    case .binary(.multiply, let a, let b): return Self.product(divisor(a), divisor(b))
    case .binary(.add, let a, let b), .binary(.subtract, let a, let b):
      return Self.greatestDivisor(divisor(a), divisor(b))
    case .binary, .argument, .programID, .counter, nil: return 1
    }
  }

  private static func product(_ a: Int, _ b: Int) -> Int {
    let (value, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow ? max(a, b) : value
  }

  /// Of 0 and n it is n: 0 is divided by everything.
  package static func greatestDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : greatestDivisor(b, a % b) }
}

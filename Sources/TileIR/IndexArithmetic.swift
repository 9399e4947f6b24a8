// What index values mean: one formula, for whatever numbers they are computed with. The interpreter's are integers of an
// instance; grids and sizes of scratch are integers of a launch, or Dims before there is one.
// Not what is known of a value without computing it (IndexFacts).
// Surprise: nil means both "it depends on an instance, of which there is none" and "it overflows".
import TensorTypes

/// A way to compute index values.
protocol IndexArithmetic {
  associatedtype Number
  func constant(_ n: Int) -> Number
  func argument(_ i: Int) -> Number?
  func programID(axis: Int) -> Number?
  func combined(_ operation: DimOperation, _ a: Number, _ b: Number) -> Number?
}

extension IndexArithmetic {
  func programID(axis: Int) -> Number? { nil }

  /// One index value from those that it is made of.
  func value(_ form: IndexForm?, of operand: (TileValue) -> Number?) -> Number? {
    switch form {
    case .constant(let n): return constant(n)
    case .argument(let i): return argument(i)
    case .programID(let axis): return programID(axis: axis)
    case .binary(let operation, let a, let b):
      guard let x = operand(a), let y = operand(b) else { return nil }
      return combined(operation, x, y)
    case .counter, nil: return nil
    }
  }

  /// One and all that it is made of.
  func value(_ value: TileValue, _ kernel: Kernel) -> Number? {
    self.value(kernel[value].indexForm) { self.value($0, kernel) }
  }

  /// Elements of a scratch buffer, panels whole; nil: it has no layout of its own.
  func elements(_ buffer: Buffer, _ kernel: Kernel) -> Number? {
    func product(_ a: Number?, _ b: Number?) -> Number? { a.flatMap { a in b.flatMap { combined(.multiply, a, $0) } } }
    guard let last = buffer.shape.last else { return constant(1) }
    guard let columns = value(last, kernel) else { return nil }
    let rows = buffer.shape.dropLast().reduce(Optional(constant(1))) { product($0, value($1, kernel)) }
    switch buffer.layout {
    case .strided: return nil
    case .rowMajor(let pad): return product(rows, combined(.add, columns, constant(pad)))
    case .panels(let width, let pad):
      return product(product(rows, combined(.ceilDivide, columns, constant(width))), constant(width + pad))
    }
  }
}

/// Numbers of 64 bits; what overflows or divides by zero has no value.
protocol IntegerArithmetic: IndexArithmetic where Number == Int {}

extension IntegerArithmetic {
  func constant(_ n: Int) -> Int { n }
  func combined(_ operation: DimOperation, _ a: Int, _ b: Int) -> Int? { operation.apply(a, b) }
}

private struct LaunchArithmetic: IntegerArithmetic {
  var arguments: [Int]
  func argument(_ i: Int) -> Int? { arguments.indices.contains(i) ? arguments[i] : nil }
}

/// Launch arguments are symbols.
private struct DimArithmetic: IndexArithmetic {
  func constant(_ n: Int) -> Dim { Dim(n) }
  func argument(_ i: Int) -> Dim? { .symbol(i) }
  func combined(_ operation: DimOperation, _ a: Dim, _ b: Dim) -> Dim? { Dim.combined(operation, a, b) }
}

extension Kernel {
  /// The value of an index expression over launch arguments and constants; nil where it depends on an instance or overflows.
  package func evaluatedIndex(_ value: TileValue, arguments: [Int]) -> Int? {
    LaunchArithmetic(arguments: arguments).value(value, self)
  }

  /// The same as a Dim whose symbols are the arguments.
  package func dim(_ value: TileValue) -> Dim? { DimArithmetic().value(value, self) }

  /// Elements that scratch buffer `buffer` needs for these launch arguments; nil on overflow.
  package func scratchElementCount(_ buffer: Int, arguments: [Int]) -> Int? {
    let numbers = LaunchArithmetic(arguments: arguments)
    guard buffers[buffer].shape.allSatisfy({ (numbers.value($0, self) ?? -1) >= 0 }) else { return nil }
    return numbers.elements(buffers[buffer], self)
  }

  /// Bytes of a scratch buffer over launch arguments.
  package func scratchBytes(_ buffer: Buffer) -> Dim? {
    DimArithmetic().elements(buffer, self).map { $0 * buffer.dtype.size }
  }

  /// Whether all leaves of an index value are such.
  package func isMade(_ value: TileValue, of isSuch: (IndexForm?) -> Bool) -> Bool {
    if case .binary(_, let a, let b) = self[value].indexForm { return isMade(a, of: isSuch) && isMade(b, of: isSuch) }
    return isSuch(self[value].indexForm)
  }
}

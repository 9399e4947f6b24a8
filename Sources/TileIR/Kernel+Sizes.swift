// Index values over launch arguments and what follows from them, grids and sizes of scratch: as numbers for a launch, or as
// Dims before there is one. Not index values of an instance.
// Surprise: both are one walk and one formula; only the arithmetic differs.
import TensorTypes

/// A way to compute index expressions.
struct IndexArithmetic<Number> {
  var constant: (Int) -> Number
  var argument: (Int) -> Number?
  var combined: (DimOperation, Number, Number) -> Number?

  /// nil: it depends on an instance, or has no value.
  func value(_ value: TileValue, _ kernel: Kernel) -> Number? {
    switch kernel[value].indexForm {
    case .constant(let n): return constant(n)
    case .argument(let i): return argument(i)
    case .binary(let operation, let a, let b):
      guard let x = self.value(a, kernel), let y = self.value(b, kernel) else { return nil }
      return combined(operation, x, y)
    case .programID, .counter, nil: return nil
    }
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

extension Kernel {
  private func numbers(_ arguments: [Int]) -> IndexArithmetic<Int> {
    IndexArithmetic(
      constant: { $0 }, argument: { $0 < arguments.count ? arguments[$0] : nil }, combined: { $0.apply($1, $2) })
  }

  private var dims: IndexArithmetic<Dim> {
    IndexArithmetic(constant: { Dim($0) }, argument: { .symbol($0) }, combined: { Dim.combined($0, $1, $2) })
  }

  /// The value of an index expression over launch arguments and constants; nil where it depends on an instance or overflows.
  package func evaluatedIndex(_ value: TileValue, arguments: [Int]) -> Int? { numbers(arguments).value(value, self) }

  /// The same as a Dim whose symbols are the arguments.
  package func dim(_ value: TileValue) -> Dim? { dims.value(value, self) }

  /// Elements that scratch buffer `buffer` needs for these launch arguments; nil on overflow.
  package func scratchElementCount(_ buffer: Int, arguments: [Int]) -> Int? {
    let numbers = numbers(arguments)
    guard buffers[buffer].shape.allSatisfy({ (numbers.value($0, self) ?? -1) >= 0 }) else { return nil }
    return numbers.elements(buffers[buffer], self)
  }

  /// Bytes of a scratch buffer over launch arguments.
  package func scratchBytes(_ buffer: Buffer) -> Dim? { dims.elements(buffer, self).map { $0 * buffer.dtype.size } }
}

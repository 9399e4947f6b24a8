// Tensors from nothing: constants, ranges, grids, and tensors like another. Not random numbers, not reading files.
// Surprise: positions are computed in the kernel from the element's row-major number, so a range moves no bytes in.
import Basics
import Engine
import GraphIR
import Scalars
import TensorTypes

/// A pointwise program without tensor operands: the formula gets the row-major position (i64) and the scalars.
package final class GeneratedOperation: Sendable {
  package let name: String
  private let programs: [Program]

  package init(_ name: String, _ formula: @escaping @Sendable (_ position: Term, [Term]) -> Term) {
    self.name = name
    programs = DType.allCases.map { dtype in
      Program("generate \(name) \(dtype)", operation: name) { builder, values throws(Diagnostic) in
        // The first operand is the result itself: it lends its shape and is not read.
        let shape = builder.shape(values[0])
        let position =
          shape.rank == 0
          ? try builder.append(.constant(ScalarConstant(.i64, integer: 0)), [])
          : try builder.append(.iota(axis: shape.rank - 1, shape), [])
        let result = try Sheet.write(&builder, domain: shape) { sheet throws(Diagnostic) in
          formula(Term(sheet, position), values.dropFirst().map { Term(sheet, $0) }).value
        }
        return [try builder.broadcast(try builder.convert(result, to: dtype), shape)]
      }
    }
  }

  /// `scalars` keep the dtype they are given in.
  package func callAsFunction(
    _ dtype: DType, _ extents: [Int], _ scalars: [ScalarConstant], dims: [Dim]? = nil
  ) throws(Diagnostic) -> Tensor {
    try self(dtype, extents, numbers: scalars.map { ScalarOperand($0) }, dims: dims)
  }

  package func callAsFunction(
    _ dtype: DType, _ extents: [Int], numbers: [ScalarOperand], dims: [Dim]? = nil
  ) throws(Diagnostic) -> Tensor {
    if let trace = Trace.current {
      let wanted = dims ?? extents.map { Dim($0) }
      return Tensor(try trace.generate(programs[Int(dtype.rawValue)], dtype, wanted, numbers))
    }
    let result = try Engine.current.allocate(dtype, extents)
    // Row-major memory is one axis, whose coordinate is the position.
    var line = result
    let count = result.elementCount
    line.extents = count == 1 ? [] : [count]
    line.strides = count == 1 ? [] : [1]
    let operands = [.tensor(line)] + numbers.map { Operand.scalar($0) }
    _ = try Engine.current.run(programs[Int(dtype.rawValue)], operands, [.existing(line)])
    return Tensor(result)
  }
}

private enum Creation {
  static let full = GeneratedOperation("full") { _, x in x[0] }
  /// In f64 or i64, converted to the result's dtype at the end.
  static let arange = GeneratedOperation("arange") { position, x in
    x[0] + position.converted(to: x[0].dtype) * x[1]
  }
  /// start, end, step, half the count: each half is measured from its own end, as in PyTorch.
  static let linspace = GeneratedOperation("linspace") { position, x in
    let i = position.converted(to: .f64)
    return (i .< x[3]).select(x[0] + i * x[2], x[1] - (x[4] - i) * x[2])
  }
  static let logspace = GeneratedOperation("logspace") { position, x in
    let i = position.converted(to: .f64)
    let exponent = (i .< x[3]).select(x[0] + i * x[2], x[1] - (x[4] - i) * x[2])
    return x[5].power(exponent)
  }
  static let eye = GeneratedOperation("eye") { position, x in
    position.apply(.floorDivide, x[0]) .== position.apply(.remainder, x[0])
  }
}

extension Tensor {
  package static func extents(_ dims: [Dim], _ name: String) throws(Diagnostic) -> [Int] {
    var extents: [Int] = []
    for dim in dims {
      let extent = try dim.sizeHint
      guard Dim.asks(.lessOrEqual, 0, dim) else {
        throw Diagnostic(.shape, "\(name): the extent \(extent) is negative", remedy: "extents are 0 or more")
      }
      extents.append(extent)
    }
    return extents
  }

  package static func filled(
    _ number: Number, _ extents: [Int], _ dtype: DType, dims: [Dim]? = nil
  ) throws(Diagnostic) -> Tensor {
    try number.requireFit(dtype, "full")
    return try Creation.full(dtype, extents, [number.constant(dtype)], dims: dims)
  }

  /// A symbolic extent, not negative, as a 0-d tensor of a capture.
  static func number(_ extent: Dim) throws(Diagnostic) -> Tensor {
    try Creation.full(.i64, [], numbers: [ScalarOperand(.i64, bits: 0, count: SymbolicCount(extent))], dims: [])
  }

  /// Every element is `value`: f32 for floating numbers, i64 for integers, unless `dtype` says otherwise. PyTorch:
  /// `full`.
  public static func full(
    _ shape: [Dim], _ value: some Scalar, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: []) { () throws(Diagnostic) in
      try filled(
        value.number, extents(shape, "full"), dtype ?? PointwiseOperation.defaultDType(value.number.category),
        dims: shape)
    }
  }

  /// Every element is 0. PyTorch: `zeros`.
  public static func zeros(
    _ shape: [Dim], dtype: DType = .f32, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { full(shape, 0, dtype: dtype, file: file, line: line) }

  /// Every element is 1. PyTorch: `ones`.
  public static func ones(
    _ shape: [Dim], dtype: DType = .f32, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { full(shape, 1, dtype: dtype, file: file, line: line) }

  /// `zeros([2, 3])` without brackets. PyTorch: `zeros`.
  public static func zeros<each D: Extent>(
    _ shape: repeat each D, dtype: DType = .f32, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    var dims: [Dim] = []
    repeat dims.append((each shape).dim)
    return zeros(dims, dtype: dtype, file: file, line: line)
  }

  /// `ones([2, 3])` without brackets. PyTorch: `ones`.
  public static func ones<each D: Extent>(
    _ shape: repeat each D, dtype: DType = .f32, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    var dims: [Dim] = []
    repeat dims.append((each shape).dim)
    return ones(dims, dtype: dtype, file: file, line: line)
  }

  /// `value` in the shape of `other`. PyTorch: `full_like`.
  public static func full(
    like other: Tensor, _ value: some Scalar, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: [other]) { () throws(Diagnostic) in
      let view = try other.view
      return try filled(value.number, view.hints, dtype ?? other.dtype, dims: view.dims)
    }
  }

  /// 0 in the shape and dtype of `other`. PyTorch: `zeros_like`.
  public static func zeros(
    like other: Tensor, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { full(like: other, 0, dtype: dtype, file: file, line: line) }

  /// 1 in the shape and dtype of `other`. PyTorch: `ones_like`.
  public static func ones(
    like other: Tensor, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { full(like: other, 1, dtype: dtype, file: file, line: line) }

  /// 0, 1, ... below `end`. PyTorch: `arange`.
  public static func arange(
    _ end: some Scalar, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { arange(from: 0, to: end, by: 1, dtype: dtype, file: file, line: line) }

  /// 0, 1, ... below a ``Dim``. PyTorch: `arange`.
  public static func arange(
    _ end: Dim, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: []) { () throws(Diagnostic) in
      if end.knownValue == nil, Trace.current != nil {
        let one = ScalarConstant((dtype ?? .i64).isFloating ? .f64 : .i64, 1)
        let zero = ScalarConstant(one.dtype, 0)
        return try Creation.arange(dtype ?? .i64, extents([end], "arange"), [zero, one], dims: [end])
      }
      return arange(from: 0, to: try end.value, by: 1, dtype: dtype, file: file, line: line)
    }
  }

  /// start, start + step, ... before `end`: i64 if all are integers, else f32. PyTorch: `arange`.
  public static func arange(
    from start: some Scalar, to end: some Scalar, by step: some Scalar = 1, dtype: DType? = nil,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: []) { () throws(Diagnostic) in
      let (from, to, by) = (start.number, end.number, step.number)
      let isWhole = [from, to, by].allSatisfy { $0.category != .floating }
      let count = try isWhole ? steps(from.whole, to.whole, by.whole) : steps(from.double, to.double, by.double)
      let inner: DType = isWhole ? .i64 : .f64
      return try Creation.arange(
        dtype ?? (isWhole ? .i64 : .f32), [count], [from.constant(inner), by.constant(inner)])
    }
  }

  /// How many numbers an arange has. Integers are counted as such: a Double knows them up to 2^53.
  private static func steps(_ from: Int128, _ to: Int128, _ by: Int128) throws(Diagnostic) -> Int {
    guard by != 0 else { throw endless(from, to, by) }
    let (whole, rest) = (to - from).quotientAndRemainder(dividingBy: by)
    let count = rest != 0 && (rest < 0) == (by < 0) ? whole + 1 : whole
    guard count > 0 || to == from else { throw backward(from, to, by) }
    guard count <= Int128(CheckedSize.most) else { throw endless(from, to, by) }
    return Int(count)
  }

  private static func steps(_ from: Double, _ to: Double, _ by: Double) throws(Diagnostic) -> Int {
    let ratio = (to - from) / by
    guard by != 0, ratio.isFinite else { throw endless(from, to, by) }
    guard ratio >= 0 else { throw backward(from, to, by) }
    guard let count = CheckedSize.extent(ratio.rounded(.up)) else { throw endless(from, to, by) }
    return count
  }

  private static func endless(_ from: some Numeric, _ to: some Numeric, _ by: some Numeric) -> Diagnostic {
    Diagnostic(
      .argument, "arange: from \(from) to \(to) by \(by) has no end that a tensor reaches",
      remedy: "the step must not be 0 and the bounds must be finite")
  }

  private static func backward(_ from: some Numeric, _ to: some Numeric, _ by: some Numeric) -> Diagnostic {
    Diagnostic(
      .argument, "arange: a step of \(by) does not lead from \(from) to \(to)",
      remedy: "give the step the sign of end - start")
  }

  private static func spaced(
    _ operation: GeneratedOperation, _ start: Double, _ end: Double, _ count: Int, _ dtype: DType, _ more: [Double]
  ) throws(Diagnostic) -> Tensor {
    guard count >= 0 else {
      throw Diagnostic(.argument, "\(operation.name): the count \(count) is negative", remedy: "ask for 0 or more")
    }
    let step = count > 1 ? (end - start) / Double(count - 1) : 0
    // One element is the start.
    let half = count == 1 ? 1 : Double(count / 2)
    let numbers = [start, end, step, half, Double(count - 1)] + more
    return try operation(dtype, [count], numbers.map { ScalarConstant(.f64, $0) })
  }

  /// `count` numbers from `start` to `end`, both included. PyTorch: `linspace`.
  public static func linspace(
    _ start: Double, _ end: Double, count: Int, dtype: DType = .f32, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: []) { () throws(Diagnostic) in try spaced(Creation.linspace, start, end, count, dtype, []) }
  }

  /// `base` to the powers of a linspace. PyTorch: `logspace`.
  public static func logspace(
    _ start: Double, _ end: Double, count: Int, base: Double = 10, dtype: DType = .f32,
    file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: []) { () throws(Diagnostic) in
      try spaced(Creation.logspace, start, end, count, dtype, [base])
    }
  }

  /// 1 on the diagonal, 0 elsewhere. PyTorch: `eye`.
  public static func eye(
    _ rows: Int, _ columns: Int? = nil, dtype: DType = .f32, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: []) { () throws(Diagnostic) in
      let shape = try extents([Dim(rows), Dim(columns ?? rows)], "eye")
      return try Creation.eye(dtype, shape, [ScalarConstant(.i64, integer: Int64(shape[1]))])
    }
  }

  /// The elements in another dtype: floats to integers truncate. This tensor if it has that dtype. PyTorch: `to`.
  public func converted(to dtype: DType, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    if self.dtype == dtype { return self }
    return Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      try contiguousCopy(as: dtype)
    }
  }

  /// A copy in row-major memory of its own. PyTorch: `clone`.
  public func copied(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in try contiguousCopy() }
  }
}

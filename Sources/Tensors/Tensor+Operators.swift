// The operators: Tensor with Tensor, and one generic overload for a Swift number on each side.
// Not literals: a Tensor is not literal-expressible, so `(1 - 0.9) * g` stays Swift arithmetic. Surprise: `<` and `>`
// give
// a mask; `==` is unavailable with a message, `.==` compares the elements.
import Basics
import Engine
import GraphIR
import TensorTypes

extension PointwiseOperation {
  /// Runs; a mistake becomes a failed tensor located at the caller.
  package func callAsFunction(_ file: StaticString, _ line: UInt, _ operands: PointwiseOperand...) -> Tensor {
    Tensor.attempt(file, line, of: operands.map(\.tensor)) { () throws(Diagnostic) in try self(operands) }
  }

  /// As above for operators, which have no location parameters: the caller is found on the stack.
  @inline(__always)
  func operating(_ a: PointwiseOperand, _ b: PointwiseOperand) -> Tensor {
    do {
      if case .tensor(let x) = a, case .tensor(let y) = b, let quick = try quick(x, y) { return quick }
      return try self([a, b])
    } catch {
      return Tensor.failedOperator(Tensor.firstFailure([a.tensor, b.tensor]) ?? error)
    }
  }

  /// Two good tensors of one dtype in which this operation computes, both dense: the engine's shortest way.
  @inline(__always)
  private func quick(_ x: Tensor, _ y: Tensor) throws(Diagnostic) -> Tensor? {
    let (a, b) = (x.body, y.body)
    guard a.failure == nil, b.failure == nil else { return nil }
    switch rule {
    case .promoted, .comparison: break
    case .floating: guard a.view.dtype.isFloating else { return nil }
    case .selection, .unchanged: return nil
    }
    return try Engine.current.runQuick(program(a.view.dtype), a.view, b.view).map { Tensor($0) }
  }

  /// Writes into `target` where nobody else can see it and the type stays; else makes a new tensor.
  func update(_ target: inout Tensor, _ other: PointwiseOperand) {
    do {
      let current = try target.view
      if target.mayBeWritten, try computeDType([.tensor(target), other]) == current.dtype {
        var extents = current.hints
        if case .tensor(let tensor) = other { extents = try broadcastExtents(extents, tensor.view.hints, name) }
        if extents == current.hints {
          _ = try self([.tensor(target), other], into: current)
          return
        }
      }
      target = try self([.tensor(target), other])
    } catch {
      target = Tensor.failedOperator(Tensor.firstFailure([target, other.tensor]) ?? error)
    }
  }
}

enum Arithmetic {
  /// Numbers by `primitive`, bool by `truth`.
  private static func operation(
    _ name: String, _ primitive: Primitive, _ truth: Primitive?, roundsOperands: Bool = true
  ) -> PointwiseOperation {
    PointwiseOperation(name, .promoted, roundsOperands: roundsOperands) { x in
      Term.apply(x[0].dtype == .bool ? truth ?? primitive : primitive, x)
    }
  }
  static let add = operation("add", .add, .or)
  static let subtract = operation("subtract", .subtract, nil)
  static let multiply = operation("multiply", .multiply, .and, roundsOperands: false)
  static let divide = PointwiseOperation("divide", .floating) { x in x[0] / x[1] }
  static let remainder = PointwiseOperation(.remainder, .promoted, roundsOperands: true)
  static let negate = PointwiseOperation(.negate, .promoted)
  static let and = PointwiseOperation(.and, .promoted)
  static let or = PointwiseOperation(.or, .promoted)
  static let xor = PointwiseOperation(.xor, .promoted)
  static let not = PointwiseOperation(.not, .promoted)
  static let shiftLeft = PointwiseOperation(.shiftLeft, .promoted)
  static let shiftRight = PointwiseOperation(.shiftRight, .promoted)
  static let equal = PointwiseOperation(.equal, .comparison, roundsOperands: true)
  static let notEqual = PointwiseOperation(.notEqual, .comparison, roundsOperands: true)
  static let less = PointwiseOperation(.less, .comparison, roundsOperands: true)
  static let lessOrEqual = PointwiseOperation(.lessOrEqual, .comparison, roundsOperands: true)
}

extension Tensor {
  var operand: PointwiseOperand { .tensor(self) }

  /// The sum; shapes broadcast, dtypes are promoted. PyTorch: `a + b`.
  public static func + (a: Tensor, b: Tensor) -> Tensor { Arithmetic.add.operating(a.operand, b.operand) }
  public static func + (a: Tensor, b: some Scalar) -> Tensor { Arithmetic.add.operating(a.operand, .scalar(b.number)) }
  public static func + (a: some Scalar, b: Tensor) -> Tensor { Arithmetic.add.operating(.scalar(a.number), b.operand) }

  /// The difference. PyTorch: `a - b`.
  public static func - (a: Tensor, b: Tensor) -> Tensor { Arithmetic.subtract.operating(a.operand, b.operand) }
  public static func - (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.subtract.operating(a.operand, .scalar(b.number))
  }
  public static func - (a: some Scalar, b: Tensor) -> Tensor {
    Arithmetic.subtract.operating(.scalar(a.number), b.operand)
  }

  /// The product, element by element. PyTorch: `a * b`.
  public static func * (a: Tensor, b: Tensor) -> Tensor { Arithmetic.multiply.operating(a.operand, b.operand) }
  public static func * (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.multiply.operating(a.operand, .scalar(b.number))
  }
  public static func * (a: some Scalar, b: Tensor) -> Tensor {
    Arithmetic.multiply.operating(.scalar(a.number), b.operand)
  }

  /// True division: integers give floats. PyTorch: `a / b`.
  public static func / (a: Tensor, b: Tensor) -> Tensor { Arithmetic.divide.operating(a.operand, b.operand) }
  public static func / (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.divide.operating(a.operand, .scalar(b.number))
  }
  public static func / (a: some Scalar, b: Tensor) -> Tensor {
    Arithmetic.divide.operating(.scalar(a.number), b.operand)
  }

  /// The remainder with the sign of the divisor. PyTorch: `a % b`.
  public static func % (a: Tensor, b: Tensor) -> Tensor { Arithmetic.remainder.operating(a.operand, b.operand) }
  public static func % (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.remainder.operating(a.operand, .scalar(b.number))
  }
  public static func % (a: some Scalar, b: Tensor) -> Tensor {
    Arithmetic.remainder.operating(.scalar(a.number), b.operand)
  }

  /// The negative. PyTorch: `-a`.
  public static prefix func - (a: Tensor) -> Tensor {
    do { return try Arithmetic.negate([a.operand]) } catch { return failedOperator(error) }
  }

  // MARK: In place where nobody else holds the memory

  /// The sum, written in place where nobody else holds the memory and shape and dtype stay. PyTorch: `a += b`.
  public static func += (a: inout Tensor, b: Tensor) { Arithmetic.add.update(&a, b.operand) }
  public static func += (a: inout Tensor, b: some Scalar) { Arithmetic.add.update(&a, .scalar(b.number)) }
  /// The difference, written in place where nobody else holds the memory and shape and dtype stay. PyTorch: `a -= b`.
  public static func -= (a: inout Tensor, b: Tensor) { Arithmetic.subtract.update(&a, b.operand) }
  public static func -= (a: inout Tensor, b: some Scalar) { Arithmetic.subtract.update(&a, .scalar(b.number)) }
  /// The product, written in place where nobody else holds the memory and shape and dtype stay. PyTorch: `a *= b`.
  public static func *= (a: inout Tensor, b: Tensor) { Arithmetic.multiply.update(&a, b.operand) }
  public static func *= (a: inout Tensor, b: some Scalar) { Arithmetic.multiply.update(&a, .scalar(b.number)) }
  /// The quotient, written in place where nobody else holds the memory and shape and dtype stay. PyTorch: `a /= b`.
  public static func /= (a: inout Tensor, b: Tensor) { Arithmetic.divide.update(&a, b.operand) }
  public static func /= (a: inout Tensor, b: some Scalar) { Arithmetic.divide.update(&a, .scalar(b.number)) }

  // MARK: Masks

  /// A bool tensor: where a < b. PyTorch: `a < b`.
  public static func < (a: Tensor, b: Tensor) -> Tensor { Arithmetic.less.operating(a.operand, b.operand) }
  public static func < (a: Tensor, b: some Scalar) -> Tensor { Arithmetic.less.operating(a.operand, .scalar(b.number)) }
  public static func < (a: some Scalar, b: Tensor) -> Tensor { Arithmetic.less.operating(.scalar(a.number), b.operand) }
  /// A bool tensor: where a > b. PyTorch: `a > b`.
  public static func > (a: Tensor, b: Tensor) -> Tensor { Arithmetic.less.operating(b.operand, a.operand) }
  public static func > (a: Tensor, b: some Scalar) -> Tensor { Arithmetic.less.operating(.scalar(b.number), a.operand) }
  public static func > (a: some Scalar, b: Tensor) -> Tensor { Arithmetic.less.operating(b.operand, .scalar(a.number)) }
  /// A bool tensor: where a ≤ b. PyTorch: `a <= b`.
  public static func <= (a: Tensor, b: Tensor) -> Tensor { Arithmetic.lessOrEqual.operating(a.operand, b.operand) }
  public static func <= (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.lessOrEqual.operating(a.operand, .scalar(b.number))
  }
  public static func <= (a: some Scalar, b: Tensor) -> Tensor {
    Arithmetic.lessOrEqual.operating(.scalar(a.number), b.operand)
  }
  /// A bool tensor: where a ≥ b. PyTorch: `a >= b`.
  public static func >= (a: Tensor, b: Tensor) -> Tensor { Arithmetic.lessOrEqual.operating(b.operand, a.operand) }
  public static func >= (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.lessOrEqual.operating(.scalar(b.number), a.operand)
  }
  public static func >= (a: some Scalar, b: Tensor) -> Tensor {
    Arithmetic.lessOrEqual.operating(b.operand, .scalar(a.number))
  }
  /// A bool tensor: where the elements are equal. PyTorch: `a == b`.
  public static func .== (a: Tensor, b: Tensor) -> Tensor { Arithmetic.equal.operating(a.operand, b.operand) }
  public static func .== (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.equal.operating(a.operand, .scalar(b.number))
  }
  /// A bool tensor: where the elements differ. PyTorch: `a != b`.
  public static func .!= (a: Tensor, b: Tensor) -> Tensor { Arithmetic.notEqual.operating(a.operand, b.operand) }
  public static func .!= (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.notEqual.operating(a.operand, .scalar(b.number))
  }

  // MARK: Bits

  /// Bitwise and; of bool: both. PyTorch: `a & b`.
  public static func & (a: Tensor, b: Tensor) -> Tensor { Arithmetic.and.operating(a.operand, b.operand) }
  public static func & (a: Tensor, b: some Scalar) -> Tensor { Arithmetic.and.operating(a.operand, .scalar(b.number)) }
  /// Bitwise or; of bool: either. PyTorch: `a | b`.
  public static func | (a: Tensor, b: Tensor) -> Tensor { Arithmetic.or.operating(a.operand, b.operand) }
  public static func | (a: Tensor, b: some Scalar) -> Tensor { Arithmetic.or.operating(a.operand, .scalar(b.number)) }
  /// Bitwise exclusive or. PyTorch: `a ^ b`.
  public static func ^ (a: Tensor, b: Tensor) -> Tensor { Arithmetic.xor.operating(a.operand, b.operand) }
  public static func ^ (a: Tensor, b: some Scalar) -> Tensor { Arithmetic.xor.operating(a.operand, .scalar(b.number)) }
  /// Every bit inverted; of bool: not. PyTorch: `~a`.
  public static prefix func ~ (a: Tensor) -> Tensor {
    do { return try Arithmetic.not([a.operand]) } catch { return failedOperator(error) }
  }
  /// a · 2^b. PyTorch: `a << b`.
  public static func << (a: Tensor, b: Tensor) -> Tensor { Arithmetic.shiftLeft.operating(a.operand, b.operand) }
  public static func << (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.shiftLeft.operating(a.operand, .scalar(b.number))
  }
  /// a / 2^b rounded down. PyTorch: `a >> b`.
  public static func >> (a: Tensor, b: Tensor) -> Tensor { Arithmetic.shiftRight.operating(a.operand, b.operand) }
  public static func >> (a: Tensor, b: some Scalar) -> Tensor {
    Arithmetic.shiftRight.operating(a.operand, .scalar(b.number))
  }

  /// An operator's mistake: no location parameters, so the failure says which operator and where the stack was.
  @inline(never)
  static func failedOperator(_ error: Diagnostic) -> Tensor {
    var located = error
    if located.location == nil, located.origin == nil { located.origin = Diagnostic.Origin() }
    return Tensor(failure: located)
  }
}

// MARK: - What does not exist, and what to write instead

extension Tensor {
  @available(*, unavailable, message: "comparing tensors gives a Tensor mask: use .==, or `try a.isEqual(to: b)`")
  @_disfavoredOverload public static func == (a: Tensor, b: Tensor) -> Bool { false }
  @available(*, unavailable, message: "comparing tensors gives a Tensor mask: use .!=, or `try !a.isEqual(to: b)`")
  @_disfavoredOverload public static func != (a: Tensor, b: Tensor) -> Bool { false }
  @available(
    *, unavailable,
    message: "comparing tensors gives a Tensor mask, not a Bool: use select, or `try mask.item(as: Bool.self)`"
  )
  @_disfavoredOverload public static func < (a: Tensor, b: Tensor) -> Bool { false }
  @available(
    *, unavailable,
    message: "comparing tensors gives a Tensor mask, not a Bool: use select, or `try mask.item(as: Bool.self)`"
  )
  @_disfavoredOverload public static func < (a: Tensor, b: some Scalar) -> Bool { false }
  @available(
    *, unavailable,
    message: "comparing tensors gives a Tensor mask, not a Bool: use select, or `try mask.item(as: Bool.self)`"
  )
  @_disfavoredOverload public static func > (a: Tensor, b: Tensor) -> Bool { false }
  @available(
    *, unavailable,
    message: "comparing tensors gives a Tensor mask, not a Bool: use select, or `try mask.item(as: Bool.self)`"
  )
  @_disfavoredOverload public static func > (a: Tensor, b: some Scalar) -> Bool { false }
  @available(*, unavailable, message: "wrap the array: Tensor(array)")
  @_disfavoredOverload public static func + <T>(a: Tensor, b: [T]) -> Tensor { a }
}

extension Float {
  @available(*, unavailable, message: "`try tensor.item(as: Float.self)` reads the one element")
  @_disfavoredOverload public init(_ tensor: Tensor) { self = 0 }
}
extension Double {
  @available(*, unavailable, message: "`try tensor.item(as: Double.self)` reads the one element")
  @_disfavoredOverload public init(_ tensor: Tensor) { self = 0 }
}
extension Int {
  @available(*, unavailable, message: "`try tensor.item(as: Int.self)` reads the one element")
  @_disfavoredOverload public init(_ tensor: Tensor) { self = 0 }
  @available(*, unavailable, message: "`try dim.value` gives the Int and makes it a guard")
  @_disfavoredOverload public init(_ dim: Dim) { self = 0 }
}
extension Bool {
  @available(*, unavailable, message: "`try tensor.item(as: Bool.self)` reads the one element")
  @_disfavoredOverload public init(_ tensor: Tensor) { self = false }
}

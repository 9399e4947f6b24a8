// Formulas as Swift expressions: `x * x.sigmoid()` appends graph nodes. What composites are written in.
// Not tensors: a term is a value of a graph template, and nothing runs here. Surprise: terms of different shapes meet
// by themselves (a scalar, a row's statistic and the row), and the first mistake is kept and thrown when the formula ends.
import Basics
import Scalars
import TensorTypes

/// A graph being written. Lives only while one program is built.
package final class Sheet {
  var builder: GraphBuilder
  var failure: Diagnostic?
  /// The shape of the operands, and which of its axes are reduced.
  let domain: Shape
  let axes: [Int]

  private init(domain: Shape, axes: [Int]) {
    builder = GraphBuilder(name: "")
    self.domain = domain
    self.axes = axes
  }

  /// Writes a formula behind what `builder` holds, which is lent meanwhile.
  package static func write<Result>(
    _ builder: inout GraphBuilder, domain: Shape, axes: [Int] = [], _ formula: (Sheet) throws(Diagnostic) -> Result
  ) throws(Diagnostic) -> Result {
    let sheet = Sheet(domain: domain, axes: axes)
    swap(&sheet.builder, &builder)
    defer { swap(&sheet.builder, &builder) }
    let result = try formula(sheet)
    if let failure = sheet.failure { throw failure }
    return result
  }
}

/// A value in a formula.
package struct Term {
  package let sheet: Sheet
  package let value: Value
  /// The reduced axes are dropped.
  package let isReduced: Bool

  package init(_ sheet: Sheet, _ value: Value, isReduced: Bool = false) {
    self.sheet = sheet
    self.value = value
    self.isReduced = isReduced
  }

  package var dtype: DType { sheet.builder.dtype(value) }
  package var shape: Shape { sheet.builder.shape(value) }
  var isScalar: Bool { !isReduced && shape.rank == 0 }

  /// Appends `primitive` on operands brought to one shape.
  package static func apply(_ primitive: Primitive, _ operands: [Term]) -> Term {
    let sheet = operands[0].sheet
    if sheet.failure != nil { return operands[0] }
    do throws(Diagnostic) {
      let met = try meeting(operands)
      let made = try sheet.builder.append(primitive, met.map(\.value))
      return Term(sheet, made, isReduced: met[0].isReduced)
    } catch {
      sheet.failure = error
      return operands[0]
    }
  }

  /// Operands repeated to the largest of their shapes.
  package static func meeting(_ operands: [Term]) throws(Diagnostic) -> [Term] {
    let sheet = operands[0].sheet
    var result: [Term] = []
    if let full = operands.first(where: { !$0.isReduced && !$0.isScalar }) {
      let shape = full.shape
      for operand in operands {
        let spread =
          operand.isReduced
          ? try sheet.builder.restoring(operand.value, sheet.axes, shape)
          : try sheet.builder.broadcast(operand.value, shape)
        result.append(Term(sheet, spread))
      }
      return result
    }
    guard let reduced = operands.first(where: { $0.isReduced }) else { return operands }
    for operand in operands {
      result.append(Term(sheet, try sheet.builder.broadcast(operand.value, reduced.shape), isReduced: true))
    }
    return result
  }

  package func attempting(_ make: (inout GraphBuilder) throws(Diagnostic) -> Value, isReduced: Bool? = nil) -> Term {
    if sheet.failure != nil { return self }
    do throws(Diagnostic) {
      return Term(sheet, try make(&sheet.builder), isReduced: isReduced ?? self.isReduced)
    } catch {
      sheet.failure = error
      return self
    }
  }

  /// A constant of this term's dtype.
  package func constant(_ number: Double) -> Term { constant(number, dtype) }
  package func constant(_ number: Double, _ dtype: DType) -> Term {
    attempting(
      { builder throws(Diagnostic) in
        try builder.append(.constant(ScalarConstant(dtype, number)), [])
      }, isReduced: false)
  }

  package func converted(to dtype: DType) -> Term {
    attempting { builder throws(Diagnostic) in try builder.convert(value, to: dtype) }
  }

  // MARK: Arithmetic

  package static func + (a: Term, b: Term) -> Term { apply(.add, [a, b]) }
  package static func - (a: Term, b: Term) -> Term { apply(.subtract, [a, b]) }
  package static func * (a: Term, b: Term) -> Term { apply(.multiply, [a, b]) }
  package static func / (a: Term, b: Term) -> Term { apply(.divide, [a, b]) }
  package static func + (a: Term, b: Double) -> Term { a + a.constant(b) }
  package static func - (a: Term, b: Double) -> Term { a - a.constant(b) }
  package static func * (a: Term, b: Double) -> Term { a * a.constant(b) }
  package static func / (a: Term, b: Double) -> Term { a / a.constant(b) }
  package static func + (a: Double, b: Term) -> Term { b.constant(a) + b }
  package static func - (a: Double, b: Term) -> Term { b.constant(a) - b }
  package static func * (a: Double, b: Term) -> Term { b.constant(a) * b }
  package static func / (a: Double, b: Term) -> Term { b.constant(a) / b }
  package static prefix func - (a: Term) -> Term { a.apply(.negate) }

  package func apply(_ primitive: Primitive) -> Term { Self.apply(primitive, [self]) }
  package func apply(_ primitive: Primitive, _ other: Term) -> Term { Self.apply(primitive, [self, other]) }

  package func exp() -> Term { apply(.exp) }
  package func expm1() -> Term { apply(.expm1) }
  package func log() -> Term { apply(.log) }
  package func log1p() -> Term { apply(.log1p) }
  package func sqrt() -> Term { apply(.squareRoot) }
  package func abs() -> Term { apply(.absolute) }
  package func tanh() -> Term { apply(.tanh) }
  package func sigmoid() -> Term { apply(.sigmoid) }
  package func squared() -> Term { self * self }
  /// self * factor + term, rounded once.
  package func multiplied(by factor: Double, adding term: Double) -> Term {
    Self.apply(.multiplyAdd, [self, constant(factor), constant(term)])
  }
  package func power(_ other: Term) -> Term { apply(.power, other) }
  package func minimum(_ other: Term) -> Term { apply(.minimum, other) }
  package func maximum(_ other: Term) -> Term { apply(.maximum, other) }
  package func minimum(_ other: Double) -> Term { minimum(constant(other)) }
  package func maximum(_ other: Double) -> Term { maximum(constant(other)) }
  package func clamped(_ low: Double, _ high: Double) -> Term { maximum(low).minimum(high) }

  // MARK: Truth

  package static func .< (a: Term, b: Term) -> Term { apply(.less, [a, b]) }
  package static func .<= (a: Term, b: Term) -> Term { apply(.lessOrEqual, [a, b]) }
  package static func .> (a: Term, b: Term) -> Term { apply(.less, [b, a]) }
  package static func .>= (a: Term, b: Term) -> Term { apply(.lessOrEqual, [b, a]) }
  package static func .== (a: Term, b: Term) -> Term { apply(.equal, [a, b]) }
  package static func .!= (a: Term, b: Term) -> Term { apply(.notEqual, [a, b]) }
  package static func .< (a: Term, b: Double) -> Term { a .< a.constant(b) }
  package static func .> (a: Term, b: Double) -> Term { a .> a.constant(b) }
  package static func .>= (a: Term, b: Double) -> Term { a .>= a.constant(b) }
  package static func .== (a: Term, b: Double) -> Term { a .== a.constant(b) }
  package static func .!= (a: Term, b: Double) -> Term { a .!= a.constant(b) }
  package static func && (a: Term, b: Term) -> Term { apply(.and, [a, b]) }
  package static func || (a: Term, b: Term) -> Term { apply(.or, [a, b]) }
  package static prefix func ! (a: Term) -> Term { a.apply(.not) }

  package var isNaN: Term { dtype.isFloating ? self .!= self : constant(0, .bool).like(self) }
  /// x != 0.
  package var truth: Term { converted(to: .bool) }

  /// Repeated to the shape of `other`.
  package func like(_ other: Term) -> Term {
    // Read before the builder is being changed.
    let wanted = other.shape
    return attempting(
      { builder throws(Diagnostic) in try builder.broadcast(value, wanted) }, isReduced: other.isReduced)
  }

  /// `a` where this is true, else `b`.
  package func select(_ a: Term, _ b: Term) -> Term { Self.apply(.select, [self, a, b]) }
  package func select(_ a: Term, _ b: Double) -> Term { select(a, a.constant(b)) }
  package func select(_ a: Double, _ b: Term) -> Term { select(b.constant(a), b) }
  package func select(_ a: Double, _ b: Double, _ dtype: DType) -> Term {
    select(constant(a, dtype), constant(b, dtype))
  }

  // MARK: Rows

  /// Combined along the reduced axes of a row formula.
  package func reduced(_ monoid: Monoid) -> Term {
    if isReduced { return self }
    let axes = sheet.axes
    return attempting(
      { builder throws(Diagnostic) in
        let full = try builder.broadcast(value, sheet.domain)
        return axes.isEmpty ? full : try builder.append(.reduce(monoid, axes: axes), full)
      }, isReduced: true)
  }
  package func sum() -> Term { reduced(.sum) }
  package func max() -> Term { reduced(.maximum) }
  package func min() -> Term { reduced(.minimum) }
}

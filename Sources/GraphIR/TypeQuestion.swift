// What a type rule is asked, and how it says which numbered constraint is broken, with both values. The rules stand in the
// records. Not a promotion or broadcast rule: primitives have none. Surprise: two symbolic extents are equal only if they are
// the same expression (products in any order); what cannot be shown equal is an error.
import Basics
import Scalars
import TensorTypes

extension Primitive {
  /// The type of the result for operands of these types.
  package func resultType(_ operands: [TensorType]) throws(Diagnostic) -> TensorType {
    let (definition, payload) = entry
    for operand in operands {
      for dim in operand.shape.dims { try TypeQuestion.requireIntact(dim) }
    }
    let question = TypeQuestion(primitive: self, definition: definition, payload: payload, operands: operands)
    return try definition.type(question)
  }
}

/// A primitive beside its operands' types: what a type rule is asked.
package struct TypeQuestion {
  let primitive: Primitive
  let definition: PrimitiveDefinition
  let payload: Payload
  let operands: [TensorType]

  /// Constraint `number` broken: "reshape (C2): ...".
  func broken(_ number: Int, _ kind: Diagnostic.Kind, _ text: String) -> Diagnostic {
    let rule = number <= definition.constraints.count ? definition.constraints[number - 1] : nil
    return Diagnostic(kind, "\(definition.name) (C\(number)): \(text)", remedy: rule.map { "needed: \($0)" })
  }

  func require(
    _ condition: Bool, _ number: Int, _ kind: Diagnostic.Kind, _ text: @autoclosure () -> String
  ) throws(Diagnostic) {
    if !condition { throw broken(number, kind, text()) }
  }

  func require(_ condition: Bool, _ number: Int, _ text: @autoclosure () -> String) throws(Diagnostic) {
    if !condition { throw broken(number, .shape, text()) }
  }

  func requireOperands(_ count: Int) throws(Diagnostic) {
    if operands.count != count {
      throw Diagnostic(
        .argument, "\(definition.name): takes \(count) operand\(count == 1 ? "" : "s"), got \(operands.count)")
    }
  }

  /// The operand of a primitive that takes one.
  func onlyOperand() throws(Diagnostic) -> TensorType {
    try requireOperands(1)
    return operands[0]
  }

  func requireAxis(_ axis: Int, rank: Int, _ number: Int) throws(Diagnostic) {
    try require(axis >= 0 && axis < rank, number, "axis \(axis) is not one of \(rank) axes")
  }

  func require(_ monoid: Monoid, on dtype: DType, _ number: Int) throws(Diagnostic) {
    try require(monoid.dtypes.contains(dtype), number, .dtype, "\(monoid.rawValue) of \(dtype)")
  }

  func requireEqualExtents(_ a: Shape, _ b: Shape, except axis: Int, _ number: Int) throws(Diagnostic) {
    for i in 0..<a.rank where i != axis {
      try require(a[i] == b[i], number, "\(a) and \(b) differ on axis \(i)")
    }
  }

  /// Elements start, start + step, ... (`count` of them) are inside the extent on `axis` of `shape`, as far as is known.
  func requireRange(
    _ start: Dim, _ count: Dim, step: Int, on axis: Int, of shape: Shape, stepIsOf stepNumber: Int, _ number: Int
  ) throws(Diagnostic) {
    try require(step != 0, stepNumber, "the step on axis \(axis) is 0")
    try Self.requireIntact(start)
    guard let start = start.knownValue, let count = count.knownValue, count > 0 else { return }
    let (reach, overflow) = (count - 1).multipliedReportingOverflow(by: step)
    let (last, overflows) = start.addingReportingOverflow(reach)
    try require(
      !overflow && !overflows && min(start, last) >= 0 && max(start, last) < shape[axis].knownValue ?? Int.max, number,
      .index, "elements \(start) to \(last) of axis \(axis), whose extent is \(shape[axis])")
  }

  /// Numbers only: a symbolic extent is checked where it gets its value.
  func requireNotNegative(_ dims: [Dim], _ number: Int) throws(Diagnostic) {
    for dim in dims {
      try Self.requireIntact(dim)
      if let value = dim.knownValue, value < 0 {
        throw broken(number, .shape, "\(Shape(dims)) has the extent \(value)")
      }
    }
  }

  /// A failed extent throws what made it fail.
  static func requireIntact(_ dim: Dim) throws(Diagnostic) {
    if case .failed(let diagnostic)? = dim.expression { throw diagnostic }
  }

  var unreachablePayload: Diagnostic {
    Diagnostic(.compiler, "\(definition.name): a payload of another primitive")
  }
}

extension Shape {
  /// The extents as a product in lowest form: a number and the symbolic factors, in a fixed order.
  package var elementFactors: (number: Int, symbolic: [Dim]) {
    var number = 1
    var symbolic: [Dim] = []
    func walk(_ dim: Dim) {
      if let value = dim.knownValue {
        number = number.multipliedReportingOverflow(by: value).partialValue
      } else if case .binary(.multiply, let a, let b)? = dim.expression {
        walk(a)
        walk(b)
      } else {
        symbolic.append(dim)
      }
    }
    dims.forEach(walk)
    if number == 0 { return (0, []) }
    return (number, symbolic.sorted { $0.description < $1.description })
  }

  /// Whether both have as many elements for all values of their symbols, as far as can be shown.
  package func hasAsManyElements(as other: Shape) -> Bool {
    let (a, b) = (elementFactors, other.elementFactors)
    return a.number == b.number && a.symbolic == b.symbolic
  }
}

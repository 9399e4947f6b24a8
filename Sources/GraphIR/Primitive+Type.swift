// The type of a primitive's result, or the numbered constraint that is broken, with both values.
// Not a promotion or broadcast rule: primitives have none. Surprise: two symbolic extents are equal only if they are
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

  func requireAxis(_ axis: Int, rank: Int, _ number: Int) throws(Diagnostic) {
    try require(axis >= 0 && axis < rank, number, "axis \(axis) is not one of \(rank) axes")
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

/// The type rules, one for each shape of primitive.
enum TypeRules {
  typealias Rule = @Sendable (borrowing TypeQuestion) throws(Diagnostic) -> TensorType

  // MARK: Leaves

  static let declared: Rule = { question throws(Diagnostic) in
    throw Diagnostic(.compiler, "\(question.definition.name) (C1): its type is declared by the graph, not inferred")
  }

  static let constant: Rule = { question throws(Diagnostic) in
    guard case .constant(let constant) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(0)
    return TensorType(constant.dtype, [])
  }

  static let iota: Rule = { question throws(Diagnostic) in
    guard case .iota(let axis, let shape) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(0)
    try question.requireAxis(axis, rank: shape.rank, 1)
    try question.requireNotNegative(shape.dims, 2)
    return TensorType(.i64, shape)
  }

  // MARK: Pointwise

  /// Of one operand C1 asks for the dtypes of the record.
  static func pointwise(operands count: Int) -> Rule {
    { question throws(Diagnostic) in
      try question.requireOperands(count)
      if count > 1 { return try sameOperands(question) }
      let operand = question.operands[0]
      try question.require(
        question.definition.dtypes.contains(operand.dtype), 1, .dtype, "the operand is \(operand.dtype)")
      return TensorType(try pointwiseDType(question, [operand.dtype]), operand.shape)
    }
  }

  /// C1 one dtype, C2 one shape, C3 the dtypes of the record.
  private static func sameOperands(_ question: borrowing TypeQuestion) throws(Diagnostic) -> TensorType {
    let first = question.operands[0]
    for other in question.operands.dropFirst() {
      try question.require(
        other.dtype == first.dtype, 1, .dtype, "the operands are \(first.dtype) and \(other.dtype)")
      try question.require(
        other.shape == first.shape, 2, "the operands' shapes are \(first.shape) and \(other.shape)")
    }
    try question.require(
      question.definition.dtypes.contains(first.dtype), 3, .dtype, "the operands are \(first.dtype)")
    return TensorType(
      try pointwiseDType(question, question.operands.map(\.dtype)), first.shape)
  }

  private static func pointwiseDType(_ question: borrowing TypeQuestion, _ dtypes: [DType]) throws(Diagnostic)
    -> DType
  {
    guard let program = question.primitive.scalarProgram(operandDTypes: dtypes) else {
      throw Diagnostic(.dtype, "\(question.definition.name): its formula is not defined on \(dtypes)")
    }
    return program.resultDType
  }

  static let convert: Rule = { question throws(Diagnostic) in
    guard case .dtype(let dtype) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    return TensorType(dtype, question.operands[0].shape)
  }

  static let bitcast: Rule = { question throws(Diagnostic) in
    guard case .dtype(let dtype) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    let operand = question.operands[0]
    try question.require(
      operand.dtype.size == dtype.size, 1, .dtype,
      "\(operand.dtype) has \(operand.dtype.size) bytes, \(dtype) has \(dtype.size)")
    try question.require(dtype != .bool || operand.dtype == .bool, 2, .dtype, "from \(operand.dtype) to bool")
    return TensorType(dtype, operand.shape)
  }

  static let philox: Rule = { question throws(Diagnostic) in
    guard case .number(let word) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(2)
    let (counter, key) = (question.operands[0], question.operands[1])
    try question.require(
      counter.dtype == .i64 && key.dtype == .i64, 1, .dtype, "the operands are \(counter.dtype) and \(key.dtype)")
    try question.require(
      counter.shape == key.shape, 2, "the operands' shapes are \(counter.shape) and \(key.shape)")
    try question.require((0..<4).contains(word), 3, .argument, "the word is \(word)")
    return counter
  }

  static let select: Rule = { question throws(Diagnostic) in
    try question.requireOperands(3)
    let (condition, first, second) = (question.operands[0], question.operands[1], question.operands[2])
    try question.require(condition.dtype == .bool, 1, .dtype, "the condition is \(condition.dtype)")
    try question.require(first.dtype == second.dtype, 2, .dtype, "the choices are \(first.dtype) and \(second.dtype)")
    try question.require(
      condition.shape == first.shape && first.shape == second.shape, 3,
      "the operands' shapes are \(condition.shape), \(first.shape) and \(second.shape)")
    return first
  }
}

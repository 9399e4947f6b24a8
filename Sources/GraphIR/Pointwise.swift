// A pointwise operation as its record: what it is called, computes and asks of its operands. New ones are records, not cases.
// Not its formula's functions, which are in Scalars, nor those with a payload (`convert`), which are cases.
// Surprise: a record lives for ever and a node refers to it uncounted, so that graphs copy as if it were a number.
import Basics
import Scalars
import Synchronization
import TensorTypes

/// A function of the elements at one place. All operands have one shape and, if not said otherwise, one dtype.
package struct Pointwise: Sendable, Hashable {
  // Retained once, when it is made, and never released.
  package unowned(unsafe) let definition: PrimitiveDefinition

  init(_ definition: PrimitiveDefinition) {
    self.definition = Unmanaged.passRetained(definition).takeUnretainedValue()
  }

  /// - Parameters:
  ///   - name: in text and errors; no other primitive has it.
  ///   - meaning: one line for the documentation.
  ///   - operands: how many.
  ///   - dtypes: what the elements may be.
  ///   - formula: of inputs 0, 1, ...; decides the result's dtype.
  ///   - staysInStorage: half floats are not lifted to the compute dtype.
  package init(
    _ name: String, _ meaning: String, operands: Int, on dtypes: DTypes, _ formula: ScalarExpr,
    staysInStorage: Bool = false
  ) {
    let all = operands == 2 ? "both" : "all"
    self.init(
      PrimitiveDefinition(
        name: name, meaning: meaning,
        constraints: operands == 1
          ? ["the operand is \(dtypes)"]
          : ["\(all) operands have one dtype", "\(all) operands have one shape", "the operands are \(dtypes)"],
        formula: formula, dtypes: dtypes, staysInStorage: staysInStorage,
        type: { question throws(Diagnostic) in try Self.type(question, operands: operands) }))
  }

  package static func == (a: Pointwise, b: Pointwise) -> Bool { a.definition === b.definition }
  package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(definition)) }

  /// Of one operand C1 asks for the dtypes of the record; of more C1 one dtype, C2 one shape, C3 the dtypes of the record.
  private static func type(_ question: borrowing TypeQuestion, operands count: Int) throws(Diagnostic) -> TensorType {
    try question.requireOperands(count)
    let first = question.operands[0]
    for other in question.operands.dropFirst() {
      try question.require(
        other.dtype == first.dtype, 1, .dtype, "the operands are \(first.dtype) and \(other.dtype)")
      try question.require(
        other.shape == first.shape, 2, "the operands' shapes are \(first.shape) and \(other.shape)")
    }
    try question.require(
      question.definition.dtypes.contains(first.dtype), count == 1 ? 1 : 3, .dtype,
      "the operand\(count == 1 ? " is" : "s are") \(first.dtype)")
    let dtypes = question.operands.map(\.dtype)
    guard let program = question.primitive.scalarProgram(operandDTypes: dtypes) else {
      throw Diagnostic(.dtype, "\(question.definition.name): its formula is not defined on \(dtypes)")
    }
    return TensorType(program.resultDType, first.shape)
  }

  // MARK: Further records

  /// Adds a record while the process runs: from then on the parser knows it. What a user's own operation would need; tests
  /// show with it that a record is all that an operation is.
  package static func add(_ operation: Pointwise) -> Primitive {
    let primitive = Primitive.pointwise(operation)
    addedPrimitives.withLock { $0[primitive.name] = primitive }
    return primitive
  }

  static func added(_ name: String) -> Primitive? { addedPrimitives.withLock { $0[name] } }
}

private let addedPrimitives = Mutex<[String: Primitive]>([:])

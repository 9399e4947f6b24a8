// A pointwise operation as its record: what it is called, computes and asks of its operands. New ones are records, not cases.
// Not its formula's functions, which are in Scalars, nor those with a payload (`convert`), which are cases.
// Surprise: a record lives for ever and a node refers to it uncounted, so that graphs copy as if it were a number.
import Scalars
import Synchronization
import TensorTypes

/// A function of the elements at one place. All operands have one shape and, if not said otherwise, one dtype.
package struct Pointwise: Sendable, Hashable {
  private final class Record: Sendable {
    let definition: PrimitiveDefinition
    init(_ definition: PrimitiveDefinition) { self.definition = definition }
  }
  // Retained once, when it is made, and never released.
  private unowned(unsafe) let record: Record

  package var definition: PrimitiveDefinition { record.definition }

  init(_ definition: PrimitiveDefinition) {
    record = Unmanaged.passRetained(Record(definition)).takeUnretainedValue()
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
        lowering: .pointwise(formula), dtypes: dtypes, staysInStorage: staysInStorage,
        type: TypeRules.pointwise(operands: operands)))
  }

  package static func == (a: Pointwise, b: Pointwise) -> Bool { a.record === b.record }
  package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(record)) }

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

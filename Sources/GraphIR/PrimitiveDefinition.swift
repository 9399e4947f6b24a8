// What a primitive is, in one record: name, meaning, constraints, type rule, elements, cost, lowering as data.
// Everything else (purity, fusibility, text, documentation, tests) is derived from it. No records: those of a family are in
// one room.
// Surprise: the formula in `lowering` knows no dtypes; `Primitive.scalarProgram(operandDTypes:)` is what consumers
// evaluate.
import Basics
import Scalars
import TensorTypes

/// How a primitive becomes loops. Data, so that consumers ask instead of listing ops.
package enum Lowering: Sendable {
  /// A value that is there before the first loop.
  case leaf
  /// One element from the elements at the same place.
  case pointwise(ScalarExpr)
  /// The same elements at other places; the map is derived from the primitive's payload.
  case reindex
  case reduction(Monoid)
  case argReduction(ArgMonoid)
  case scan(Monoid)
  case argScan(ArgMonoid)
  case sort
  case contraction
  case gather
  case scatter(Monoid?)
  case assign
  case call

  /// What it is for whoever does not ask which. Of the kinds whose names are cases too that is all there is to know.
  package enum Kind: Sendable, Hashable, CaseIterable {
    case leaf, pointwise, reindex
    /// Whole rows of the operand decide: reductions, scans, sorts.
    case rows
    case contraction, gather, scatter, assign, call
  }

  package var kind: Kind {
    switch self {
    case .leaf: .leaf
    case .pointwise: .pointwise
    case .reindex: .reindex
    case .reduction, .argReduction, .scan, .argScan, .sort: .rows
    case .contraction: .contraction
    case .gather: .gather
    case .scatter: .scatter
    case .assign: .assign
    case .call: .call
    }
  }

  /// Of the kind `rows`: one element is left of each.
  package var reducesRows: Bool {
    switch self {
    case .reduction, .argReduction: true
    default: false
    }
  }

  /// Decides a loop nest; everything else is computed in the nests of what uses it.
  package var isAnchor: Bool { [.rows, .contraction, .scatter].contains(kind) }

  /// Needs no nest of its own: computed wherever it is used.
  package var isFree: Bool { [.leaf, .pointwise, .reindex, .gather].contains(kind) }

  /// Whether every element of every operand matters to the result.
  package var readsEverything: Bool { kind != .reindex && kind != .gather }

  /// Elements of operands become the result's as they are: nothing is computed of them.
  package var movesOnly: Bool {
    if case .scatter(let monoid) = self { return monoid == nil }
    return [.reindex, .gather, .assign].contains(kind)
  }

  /// Each element is read where an index says that belongs to it alone.
  package var readsThroughIndices: Bool { kind == .gather }

  /// What it does in the roughest words: the chapters of the page.
  package enum Family: String, Sendable, CaseIterable {
    case leaves = "Leaves"
    case pointwise = "Pointwise"
    case reindexing = "Reindexing: the same elements elsewhere"
    case across = "Across elements"
    case doors = "Doors"
  }

  package var family: Family {
    switch kind {
    case .leaf: .leaves
    case .pointwise: .pointwise
    case .reindex: .reindexing
    case .call: .doors
    default: .across
    }
  }
}

extension Lowering: CustomStringConvertible {
  /// One word, and the monoid where there is one.
  package var description: String {
    switch self {
    case .reduction(let monoid): "reduction (\(monoid.rawValue))"
    case .argReduction(let monoid): "reduction (\(monoid.rawValue))"
    case .scan(let monoid): "scan (\(monoid.rawValue))"
    case .argScan(let monoid): "scan (\(monoid.rawValue))"
    case .scatter(let monoid): "scatter (\(monoid?.rawValue ?? "replace"))"
    case .sort: "sort"
    case .assign: "range write"
    default: "\(kind)"
    }
  }
}

/// A set of dtypes.
package struct DTypes: OptionSet, Sendable, Hashable, CustomStringConvertible {
  package var rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }
  package init(where condition: (DType) -> Bool) {
    rawValue = DType.allCases.reduce(0) { condition($1) ? $0 | 1 << UInt16($1.rawValue) : $0 }
  }

  package static let all = DTypes { _ in true }
  /// All in which something is computed; the others are only moved and converted.
  package static let computed = DTypes { !$0.isStorageOnly }
  package static let floats = DTypes { $0.isFloating && !$0.isStorageOnly }
  package static let integers = DTypes { $0.isInteger }
  package static let numbers = DTypes { $0 != .bool && !$0.isStorageOnly }
  /// Integers and bool.
  package static let bits = DTypes { !$0.isFloating }
  package static let indices = DTypes { $0 == .i64 }
  package static func only(_ dtype: DType) -> DTypes { DTypes { $0 == dtype } }

  package func contains(_ dtype: DType) -> Bool { rawValue & 1 << UInt16(dtype.rawValue) != 0 }
  package var members: [DType] { DType.allCases.filter { contains($0) } }

  /// "floating", "integer or bool", or the names.
  package var description: String {
    if self == .all { return "of any kind" }
    if self == .computed { return "of any kind but an 8-bit float" }
    if self == .floats { return "floating" }
    if self == .integers { return "integer" }
    if self == .numbers { return "integer or floating" }
    if self == .bits { return "integer or bool" }
    return members.map(\.description).joined(separator: ", ")
  }
}

/// A record. Shared, so that asking for one copies nothing.
package final class PrimitiveDefinition: Sendable {
  typealias TypeRule = @Sendable (borrowing TypeQuestion) throws(Diagnostic) -> TensorType
  typealias ValueRule = @Sendable (ReferenceEvaluation) throws(Diagnostic) -> ReferenceTensor
  typealias CostRule = @Sendable (CostQuestion) -> Cost?

  package let name: String
  /// One line, for documentation.
  package let meaning: String
  /// Numbered from C1; quoted by the error they raise.
  package let constraints: [String]
  package let lowering: Lowering
  /// What the elements may be (of `select`: those of the branches).
  package let dtypes: DTypes
  /// Half floats are not lifted to the compute dtype: nothing is rounded, or the bits matter.
  package let staysInStorage: Bool
  /// The type of the result, or the constraint that is broken.
  let type: TypeRule
  /// The result in reference semantics. Facts that the type rule could not decide on symbols are checked here and throw.
  let value: ValueRule
  /// Floating operations and bytes of the node run alone; nil where an extent has no value.
  let cost: CostRule

  init(
    name: String, meaning: String, constraints: [String], lowering: Lowering, dtypes: DTypes,
    staysInStorage: Bool = false, type: @escaping TypeRule, value: @escaping ValueRule,
    cost: @escaping CostRule = { Cost(flops: 0, bytes: $0.bytes) }
  ) {
    (self.name, self.meaning, self.constraints) = (name, meaning, constraints)
    (self.lowering, self.dtypes, self.staysInStorage) = (lowering, dtypes, staysInStorage)
    (self.type, self.value, self.cost) = (type, value, cost)
  }

  /// One element from the elements at the same place: the formula is the value and the cost.
  convenience init(
    name: String, meaning: String, constraints: [String], formula: ScalarExpr, dtypes: DTypes,
    staysInStorage: Bool = false, type: @escaping TypeRule
  ) {
    self.init(
      name: name, meaning: meaning, constraints: constraints, lowering: .pointwise(formula), dtypes: dtypes,
      staysInStorage: staysInStorage, type: type,
      value: { evaluation throws(Diagnostic) in try evaluation.pointwise() },
      cost: { Cost(flops: CheckedSize.work($0.program?.flops ?? 0, $0.results), bytes: $0.bytes) })
  }

  /// The same elements elsewhere, whatever they are.
  convenience init(
    reindexing name: String, meaning: String, constraints: [String], type: @escaping TypeRule,
    value: @escaping ValueRule
  ) {
    self.init(
      name: name, meaning: meaning, constraints: constraints, lowering: .reindex, dtypes: .all, staysInStorage: true,
      type: type, value: value)
  }
}

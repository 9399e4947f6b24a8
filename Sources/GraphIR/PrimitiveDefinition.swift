// What a primitive is, in one record: name, meaning, constraints, type rule, lowering as data.
// Everything else (purity, fusibility, reference evaluation, flops, text, documentation, tests) is derived from it.
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

package struct PrimitiveDefinition: Sendable {
  package var name: String
  /// One line, for documentation.
  package var meaning: String
  /// Numbered from C1; quoted by the error they raise.
  package var constraints: [String]
  package var lowering: Lowering
  /// What the elements may be (of `select`: those of the branches).
  package var dtypes: DTypes
  /// Half floats are not lifted to the compute dtype: nothing is rounded, or the bits matter.
  package var staysInStorage = false
  /// The type of the result, or the constraint that is broken.
  package var type: @Sendable (borrowing TypeQuestion) throws(Diagnostic) -> TensorType
}

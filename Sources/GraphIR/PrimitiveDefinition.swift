// What a primitive is, in one record: name, meaning, constraints, lowering as data.
// Everything else (purity, fusibility, reference evaluation, flops, documentation, tests) is derived from it.
import Scalars
import TensorTypes

/// How a primitive becomes loops. Data, so that consumers ask instead of listing ops.
public enum Lowering: Sendable {
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
  case call
}

public struct PrimitiveDefinition: Sendable {
  public var name: String
  /// One line, for documentation.
  public var meaning: String
  /// Numbered from C1; quoted by the error they raise.
  public var constraints: [String]
  public var lowering: Lowering
}

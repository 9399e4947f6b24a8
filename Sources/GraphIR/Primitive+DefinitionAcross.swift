// The records of what combines elements of different places: reductions, scans, sorting, products, gathers; and calls.
import Scalars
import TensorTypes

enum Across {
  private static let reductions = Monoid.allCases.map { monoid in
    PrimitiveDefinition(
      name: "reduce",
      meaning: "Combines the elements along `axes`, which are dropped. Floats accumulate in the compute dtype.",
      constraints: ["the axes are axes of the operand, each named once", "the monoid is defined on the dtype"],
      lowering: .reduction(monoid), dtypes: monoid.dtypes, type: TypeRules.reduce)
  }
  private static let scans = Monoid.allCases.map { monoid in
    PrimitiveDefinition(
      name: "scan",
      meaning: "Combines each element with all before it on `axis`. Floats accumulate in f64.",
      constraints: ["`axis` is an axis of the operand", "the monoid is defined on the dtype"],
      lowering: .scan(monoid), dtypes: monoid.dtypes, type: TypeRules.scan)
  }
  private static let argReductions = ArgMonoid.allCases.map { monoid in
    PrimitiveDefinition(
      name: "argreduce",
      meaning: "The first position (i64) of the largest or smallest element on `axis`, which is dropped; NaN wins.",
      constraints: ["`axis` is an axis of the operand", "the extent on `axis` is not 0"],
      lowering: .argReduction(monoid), dtypes: .computed, type: TypeRules.argReduce)
  }
  private static let argScans = ArgMonoid.allCases.map { monoid in
    PrimitiveDefinition(
      name: "argscan",
      meaning: "The last position (i64) of the largest or smallest element up to here on `axis`; NaN wins.",
      constraints: ["`axis` is an axis of the operand"],
      lowering: .argScan(monoid), dtypes: .computed, type: TypeRules.argScan)
  }
  private static let scatters = ([nil] + Monoid.allCases.map { $0 }).map { combine in
    PrimitiveDefinition(
      name: "scatter",
      meaning: "The base (first operand) with the updates (third) combined in at the indices (second) on `axis`; "
        + "without a monoid they replace, and the last one wins. An index outside faults.",
      constraints: [
        "`axis` is an axis of the base, and all operands have its rank",
        "the indices are i64, and the updates have the base's dtype",
        "indices and updates have one shape, which is the base's except on `axis`",
        "the monoid is defined on the dtype",
      ],
      lowering: .scatter(combine), dtypes: combine?.dtypes ?? .all, type: TypeRules.scatter)
  }

  static func reduce(_ monoid: Monoid) -> PrimitiveDefinition { reductions[monoid.ordinal] }
  static func scan(_ monoid: Monoid) -> PrimitiveDefinition { scans[monoid.ordinal] }
  static func argReduce(_ monoid: ArgMonoid) -> PrimitiveDefinition { argReductions[monoid.ordinal] }
  static func argScan(_ monoid: ArgMonoid) -> PrimitiveDefinition { argScans[monoid.ordinal] }
  static func scatter(_ combine: Monoid?) -> PrimitiveDefinition { scatters[combine.map { $0.ordinal + 1 } ?? 0] }

  static let sortOrder = PrimitiveDefinition(
    name: "sortorder",
    meaning: "The positions (i64) that sort `axis`; stable; NaN is the largest.",
    constraints: ["`axis` is an axis of the operand"],
    lowering: .sort, dtypes: .computed, type: TypeRules.sortOrder)

  static let contraction = PrimitiveDefinition(
    name: "contraction",
    meaning: "Sums of products over the contracted axes. Result axes: batch, free of the left, free of the right.",
    constraints: [
      "each axis of an operand is paired at most once, and exists",
      "both operands have one dtype, integer or floating",
      "paired extents are equal",
    ],
    lowering: .contraction, dtypes: .numbers, type: TypeRules.contraction)

  static let gather = PrimitiveDefinition(
    name: "gather",
    meaning: "result[.., k, ..] = x[.., indices[.., k, ..], ..] on `axis`. An index outside faults.",
    constraints: [
      "`axis` is an axis of the operand, and the indices have its rank",
      "the indices are i64",
      "all extents but that on `axis` are equal",
    ],
    lowering: .gather, dtypes: .all, staysInStorage: true, type: TypeRules.gather)

  static let assign = PrimitiveDefinition(
    name: "assign",
    meaning: "The base (first operand) with elements start, start + step, ... on each axis replaced by the update "
      + "(second), whose extents count them.",
    constraints: [
      "start and step are given for each axis, and the update has the base's rank",
      "the update has the base's dtype",
      "no step is 0, and the first and the last element written are inside the extent",
    ],
    lowering: .assign, dtypes: .all, staysInStorage: true, type: TypeRules.assign)

  static let call = PrimitiveDefinition(
    name: "call",
    meaning: "Result `output` of a graph with the operands as its parameters; its symbols are bound by their shapes.",
    constraints: [
      "the graph has the output and an operand for each parameter",
      "each operand has the parameter's type; a symbol stands for one extent",
      "the graph reads no scalar argument, and each of its symbols is an extent of a parameter",
      "the graph's parameters are contiguous",
    ],
    lowering: .call, dtypes: .all, type: TypeRules.call)
}

extension Monoid {
  /// Where the monoid is defined.
  package var dtypes: DTypes { DTypes { isDefined(on: $0) } }

  /// The place in `allCases`.
  fileprivate var ordinal: Int {
    switch self {
    case .sum: 0
    case .product: 1
    case .minimum: 2
    case .maximum: 3
    case .and: 4
    case .or: 5
    case .logSumExp: 6
    }
  }
}

extension ArgMonoid {
  fileprivate var ordinal: Int { self == .maximum ? 0 : 1 }
}

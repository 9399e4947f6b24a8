// The records of the leaves: values that are there before the first loop.
import Scalars
import TensorTypes

enum Leaves {
  static let parameter = PrimitiveDefinition(
    name: "parameter",
    meaning: "Launch tensor number `n`.",
    constraints: ["the graph declares the parameter, with this type"],
    lowering: .leaf, dtypes: .all, type: TypeRules.declared)

  static let scalar = PrimitiveDefinition(
    name: "scalar",
    meaning: "The element in launch argument slot `n` (its bits in the low bytes), 0-d.",
    constraints: ["the graph declares the argument; the result is 0-d"],
    lowering: .leaf, dtypes: .all, type: TypeRules.declared)

  static let constant = PrimitiveDefinition(
    name: "constant",
    meaning: "A 0-d constant.",
    constraints: [],
    lowering: .leaf, dtypes: .all, type: TypeRules.constant)

  static let iota = PrimitiveDefinition(
    name: "iota",
    meaning: "The coordinate on `axis` of each place of the shape.",
    constraints: ["`axis` is an axis of the shape", "no extent is negative"],
    lowering: .leaf, dtypes: .indices, type: TypeRules.iota)
}

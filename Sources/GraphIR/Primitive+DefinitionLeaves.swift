// The records of the leaves: values that are there before the first loop.
import Scalars
import TensorTypes

enum Leaves {
  static let parameter = PrimitiveDefinition(
    name: "parameter",
    meaning: "Launch tensor number `n`.",
    constraints: ["the graph declares the parameter, with this type"],
    lowering: .leaf, dtypes: .all, type: TypeRules.declared,
    make: { if case .number(let index) = $0 { .parameter(index) } else { nil } })

  static let scalar = PrimitiveDefinition(
    name: "scalar",
    meaning: "The element in launch argument slot `n` (its bits in the low bytes), 0-d.",
    constraints: ["the graph declares the argument; the result is 0-d"],
    lowering: .leaf, dtypes: .all, type: TypeRules.declared,
    make: { if case .number(let argument) = $0 { .scalar(argument: argument) } else { nil } })

  static let constant = PrimitiveDefinition(
    name: "constant",
    meaning: "A 0-d constant.",
    constraints: [],
    lowering: .leaf, dtypes: .all, type: TypeRules.constant,
    make: { if case .constant(let constant) = $0 { .constant(constant) } else { nil } })

  static let iota = PrimitiveDefinition(
    name: "iota",
    meaning: "The coordinate on `axis` of each place of the shape.",
    constraints: ["`axis` is an axis of the shape", "no extent is negative"],
    lowering: .leaf, dtypes: .indices, type: TypeRules.iota,
    make: { if case .iota(let axis, let shape) = $0 { .iota(axis: axis, shape) } else { nil } })
}

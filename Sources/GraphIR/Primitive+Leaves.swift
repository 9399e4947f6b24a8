// The leaves: values that are there before the first loop.
// Surprise: what is declared by the graph has no type rule, and no value without a launch.
import Basics
import Scalars
import TensorTypes

enum Leaves {
  static let samples: [Primitive] = [
    .parameter(0), .scalar(argument: 0), .constant(ScalarConstant(.f32, 1.5)), .iota(axis: 1, [2, 3]),
  ]

  static let parameter = declared(
    "parameter", "Launch tensor number `n`.", "the graph declares the parameter, with this type")

  static let scalar = declared(
    "scalar", "The element in launch argument slot `n` (its bits in the low bytes), 0-d.",
    "the graph declares the argument; the result is 0-d")

  static let constant = PrimitiveDefinition(
    name: "constant",
    meaning: "A 0-d constant.",
    constraints: [],
    lowering: .leaf, dtypes: .all,
    type: { question throws(Diagnostic) in
      guard case .constant(let constant) = question.payload else { throw question.unreachablePayload }
      try question.requireOperands(0)
      return TensorType(constant.dtype, [])
    },
    value: { evaluation throws(Diagnostic) in
      guard case .constant(let constant) = evaluation.payload else { throw evaluation.unreachablePayload }
      return evaluation.result([constant.value])
    },
    cost: nothing)

  static let iota = PrimitiveDefinition(
    name: "iota",
    meaning: "The coordinate on `axis` of each place of the shape.",
    constraints: ["`axis` is an axis of the shape", "no extent is negative"],
    lowering: .leaf, dtypes: .indices,
    type: { question throws(Diagnostic) in
      guard case .iota(let axis, let shape) = question.payload else { throw question.unreachablePayload }
      try question.requireOperands(0)
      try question.requireAxis(axis, rank: shape.rank, 1)
      try question.requireNotNegative(shape.dims, 2)
      return TensorType(.i64, shape)
    },
    value: { evaluation throws(Diagnostic) in
      guard case .iota(let axis, _) = evaluation.payload else { throw evaluation.unreachablePayload }
      let extents = evaluation.extents
      let inner = extents[(axis + 1)...].reduce(1, *)
      return evaluation.result((0..<evaluation.count).map { .integer(Int64($0 / inner % extents[axis])) })
    },
    cost: nothing)

  private static let nothing: PrimitiveDefinition.CostRule = { _ in Cost(flops: 0, bytes: 0) }

  private static func declared(_ name: String, _ meaning: String, _ constraint: String) -> PrimitiveDefinition {
    PrimitiveDefinition(
      name: name, meaning: meaning, constraints: [constraint], lowering: .leaf, dtypes: .all,
      type: { _ throws(Diagnostic) in
        throw Diagnostic(.compiler, "\(name) (C1): its type is declared by the graph, not inferred")
      },
      value: { evaluation throws(Diagnostic) in throw evaluation.broken(.compiler, "its value is the launch's") },
      cost: nothing)
  }
}

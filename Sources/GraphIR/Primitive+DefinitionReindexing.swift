// The records of reindexing: the same elements at other places. The maps are derived from the payloads.
import Scalars
import TensorTypes

enum Reindexing {
  static let broadcast = PrimitiveDefinition(
    name: "broadcast",
    meaning: "Repeats to a shape: axes are aligned at the right; extent 1 and missing axes repeat.",
    constraints: [
      "the shape has at least the operand's rank",
      "aligned at the right, each extent of the operand is 1 or the shape's",
      "no extent is negative",
    ],
    lowering: .reindex, dtypes: .all, staysInStorage: true, type: TypeRules.broadcast)

  static let reshape = PrimitiveDefinition(
    name: "reshape",
    meaning: "The elements in row-major order under another shape.",
    constraints: ["no extent is negative", "both shapes have as many elements"],
    lowering: .reindex, dtypes: .all, staysInStorage: true, type: TypeRules.reshape)

  static let permute = PrimitiveDefinition(
    name: "permute",
    meaning: "Axis i of the result is axis permutation[i] of the operand.",
    constraints: ["the permutation names each axis of the operand once"],
    lowering: .reindex, dtypes: .all, staysInStorage: true, type: TypeRules.permute)

  static let slice = PrimitiveDefinition(
    name: "slice",
    meaning: "Elements start, start + step, ... (`count` of them) on each axis; a negative step walks back.",
    constraints: [
      "start, count and step are given for each axis",
      "no step is 0 and no count negative",
      "the first and the last element taken are inside the extent",
    ],
    lowering: .reindex, dtypes: .all, staysInStorage: true, type: TypeRules.slice)

  static let pad = PrimitiveDefinition(
    name: "pad",
    meaning: "`low` and `high` elements of the second operand (0-d) around each axis.",
    constraints: [
      "low and high are given for each axis and are not negative",
      "the second operand is 0-d and has the first one's dtype",
    ],
    lowering: .reindex, dtypes: .all, staysInStorage: true, type: TypeRules.pad)

  static let concatenate = PrimitiveDefinition(
    name: "concatenate",
    meaning: "The operands one after the other on `axis`.",
    constraints: [
      "there is an operand, and `axis` is one of its axes",
      "all operands have one dtype and one rank",
      "all extents but that on `axis` are equal",
    ],
    lowering: .reindex, dtypes: .all, staysInStorage: true, type: TypeRules.concatenate)

  static let windows = PrimitiveDefinition(
    name: "windows",
    meaning: "Appends an axis of extent `size`: result[.., i, .., j] = x[.., i * step + j * dilation, ..].",
    constraints: [
      "`axis` is an axis of the operand",
      "size, step and dilation are positive",
      "one window fits: the extent is at least dilation * (size - 1) + 1",
    ],
    lowering: .reindex, dtypes: .all, staysInStorage: true, type: TypeRules.windows)
}

// The records of pointwise primitives with two and three operands.
// Integers and floats share a record; where they need different formulas, the formula is a typed one.
import Scalars
import TensorTypes

enum PointwiseBinary {
  private static let x = ScalarExpr.input(0)
  private static let y = ScalarExpr.input(1)

  private static func record(
    _ primitive: Primitive, _ name: String, _ meaning: String, on dtypes: DTypes, _ formula: ScalarExpr,
    staysInStorage: Bool = false
  ) -> PrimitiveDefinition {
    PrimitiveDefinition(
      name: name, meaning: meaning,
      constraints: ["both operands have one dtype", "both operands have one shape", "the operands are \(dtypes)"],
      lowering: .pointwise(formula), dtypes: dtypes, staysInStorage: staysInStorage,
      type: TypeRules.binary, make: { if case .none = $0 { primitive } else { nil } })
  }

  static let add = record(.add, "add", "x + y; integers wrap.", on: .numbers, x + y)
  static let subtract = record(.subtract, "subtract", "x - y; integers wrap.", on: .numbers, x - y)
  static let multiply = record(.multiply, "multiply", "x * y; integers wrap.", on: .numbers, x * y)
  static let divide = record(
    .divide, "divide", "x / y; integers truncate, and fault where y is 0.", on: .numbers, x / y)
  static let floorDivide = record(
    .floorDivide, "floordivide", "x / y rounded toward minus infinity; integers fault where y is 0.", on: .numbers,
    .floorDivide(x, y))
  static let remainder = record(
    .remainder, "remainder", "The remainder with the sign of y (Python's %); integers fault where y is 0.",
    on: .numbers, .remainder(x, y))
  static let truncatedRemainder = record(
    .truncatedRemainder, "truncatedremainder",
    "The remainder with the sign of x (C's fmod); integers fault where y is 0.",
    on: .numbers, .apply(.remainder, x, y))
  static let power = record(
    .power, "power", "x^y. Integers wrap; a negative y gives 0 unless x is 1 or -1.", on: .numbers,
    .typed(x, y) { dtype, operands in
      dtype.isFloating ? .apply(.power, operands[0], operands[1]) : .integerPower(operands[0], operands[1])
    })
  static let atan2 = record(
    .atan2, "atan2", "The angle of the point (y, x): x is the first operand, as in C.", on: .floats,
    .atan2(x, y))
  static let minimum = record(
    .minimum, "minimum", "The smaller; NaN if one is NaN.", on: .computed, .apply(.minimum, x, y))
  static let maximum = record(
    .maximum, "maximum", "The larger; NaN if one is NaN.", on: .computed, .apply(.maximum, x, y))
  static let and = record(.and, "and", "Bitwise and.", on: .bits, .apply(.and, x, y))
  static let or = record(.or, "or", "Bitwise or.", on: .bits, .apply(.or, x, y))
  static let xor = record(.xor, "xor", "Bitwise exclusive or.", on: .bits, .apply(.xor, x, y))
  static let shiftLeft = record(
    .shiftLeft, "shiftleft", "x * 2^y; 0 for amounts outside the width.", on: .integers, .apply(.shiftLeft, x, y))
  static let shiftRight = record(
    .shiftRight, "shiftright", "x / 2^y rounded down; 0 or the sign for amounts outside the width.", on: .integers,
    .apply(.shiftRight, x, y))
  static let equal = record(.equal, "equal", "x == y (bool).", on: .computed, x .== y)
  static let notEqual = record(.notEqual, "notequal", "x != y (bool).", on: .computed, x .!= y)
  static let less = record(.less, "less", "x < y (bool).", on: .computed, x .< y)
  static let lessOrEqual = record(.lessOrEqual, "lessorequal", "x <= y (bool).", on: .computed, x .<= y)
  static let copySign = record(
    .copySign, "copysign", "|x| with the sign bit of y.", on: .floats, .copySign(x, y))
  static let nextAfter = record(
    .nextAfter, "nextafter", "The next value of the dtype after x in the direction of y.", on: .floats,
    .nextAfter(x, y), staysInStorage: true)

  /// By the word.
  static let philox = (0..<4).map { word in
    PrimitiveDefinition(
      name: "philox",
      meaning: "Word n (0..<4) of Philox4x32-10 for (counter, key), in 0..<2^32.",
      constraints: ["both operands are i64", "both operands have one shape", "the word is 0, 1, 2 or 3"],
      lowering: .pointwise(ScalarExpr.philox(counter: x, key: y)[word]), dtypes: .indices,
      type: TypeRules.philox, make: { if case .number(let word) = $0 { .philox(word: word) } else { nil } })
  }
}

enum PointwiseTernary {
  private static let x = ScalarExpr.input(0)
  private static let y = ScalarExpr.input(1)
  private static let z = ScalarExpr.input(2)

  static let select = PrimitiveDefinition(
    name: "select",
    meaning: "The second operand where the first is true, else the third.",
    constraints: [
      "the first operand is bool", "the second and the third have one dtype", "all operands have one shape",
    ],
    lowering: .pointwise(x.select(y, z)), dtypes: .all, staysInStorage: true, type: TypeRules.select,
    make: { if case .none = $0 { .select } else { nil } })

  static let multiplyAdd = PrimitiveDefinition(
    name: "multiplyadd",
    meaning: "x * y + z, rounded once.",
    constraints: ["all operands have one dtype", "all operands have one shape", "the operands are \(DTypes.numbers)"],
    lowering: .pointwise(.apply(.multiplyAdd, x, y, z)), dtypes: .numbers, type: TypeRules.multiplyAdd,
    make: { if case .none = $0 { .multiplyAdd } else { nil } })
}

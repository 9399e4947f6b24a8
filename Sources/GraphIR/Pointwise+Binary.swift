// The records of pointwise operations with two and three operands.
// Integers and floats share a record; where they need different formulas, the formula is a typed one.
import Basics
import Scalars
import TensorTypes

extension Primitive {
  private static let x = ScalarExpr.input(0)
  private static let y = ScalarExpr.input(1)
  private static let z = ScalarExpr.input(2)

  private static func binary(
    _ name: String, _ meaning: String, on dtypes: DTypes, _ formula: ScalarExpr, staysInStorage: Bool = false
  ) -> Primitive {
    .pointwise(Pointwise(name, meaning, operands: 2, on: dtypes, formula, staysInStorage: staysInStorage))
  }

  package static let add = binary("add", "x + y; integers wrap.", on: .numbers, x + y)
  package static let subtract = binary("subtract", "x - y; integers wrap.", on: .numbers, x - y)
  package static let multiply = binary("multiply", "x * y; integers wrap.", on: .numbers, x * y)
  package static let divide = binary("divide", "x / y; integers truncate, and fault where y is 0.", on: .numbers, x / y)
  package static let floorDivide = binary(
    "floordivide", "x / y rounded toward minus infinity; integers fault where y is 0.", on: .numbers,
    .floorDivide(x, y))
  package static let remainder = binary(
    "remainder", "The remainder with the sign of y (Python's %); integers fault where y is 0.",
    on: .numbers, .remainder(x, y))
  package static let truncatedRemainder = binary(
    "truncatedremainder",
    "The remainder with the sign of x (C's fmod); integers fault where y is 0.",
    on: .numbers, .apply(.remainder, x, y))
  package static let power = binary(
    "power", "x^y. Integers wrap; a negative y gives 0 unless x is 1 or -1.", on: .numbers,
    .typed(x, y) { dtype, operands in
      dtype.isFloating ? .apply(.power, operands[0], operands[1]) : .integerPower(operands[0], operands[1])
    })
  package static let atan2 = binary(
    "atan2", "The angle of the point (y, x): x is the first operand, as in C.", on: .floats,
    .atan2(x, y))
  package static let minimum = binary(
    "minimum", "The smaller; NaN if one is NaN.", on: .computed, .apply(.minimum, x, y))
  package static let maximum = binary(
    "maximum", "The larger; NaN if one is NaN.", on: .computed, .apply(.maximum, x, y))
  package static let and = binary("and", "Bitwise and.", on: .bits, .apply(.and, x, y))
  package static let or = binary("or", "Bitwise or.", on: .bits, .apply(.or, x, y))
  package static let xor = binary("xor", "Bitwise exclusive or.", on: .bits, .apply(.xor, x, y))
  package static let shiftLeft = binary(
    "shiftleft", "x * 2^y; 0 for amounts outside the width.", on: .integers, .apply(.shiftLeft, x, y))
  package static let shiftRight = binary(
    "shiftright", "x / 2^y rounded down; 0 or the sign for amounts outside the width.", on: .integers,
    .apply(.shiftRight, x, y))
  package static let equal = binary("equal", "x == y (bool).", on: .computed, x .== y)
  package static let notEqual = binary("notequal", "x != y (bool).", on: .computed, x .!= y)
  package static let less = binary("less", "x < y (bool).", on: .computed, x .< y)
  package static let lessOrEqual = binary("lessorequal", "x <= y (bool).", on: .computed, x .<= y)
  package static let copySign = binary("copysign", "|x| with the sign bit of y.", on: .floats, .copySign(x, y))
  package static let nextAfter = binary(
    "nextafter", "The next value of the dtype after x in the direction of y.", on: .floats,
    .nextAfter(x, y), staysInStorage: true)

  /// Those above, for who asks for all.
  static let binaryOperations: [Primitive] = [
    .add, .subtract, .multiply, .divide, .floorDivide, .remainder, .truncatedRemainder, .power, .atan2, .minimum,
    .maximum, .and, .or, .xor, .shiftLeft, .shiftRight, .equal, .notEqual, .less, .lessOrEqual, .copySign,
    .nextAfter,
  ]

  // MARK: Three operands

  package static let select = Primitive.pointwise(
    Pointwise(
      PrimitiveDefinition(
        name: "select",
        meaning: "The second operand where the first is true, else the third.",
        constraints: [
          "the first operand is bool", "the second and the third have one dtype", "all operands have one shape",
        ],
        formula: x.select(y, z), dtypes: .all, staysInStorage: true,
        type: { question throws(Diagnostic) in
          try question.requireOperands(3)
          let (condition, first, second) = (question.operands[0], question.operands[1], question.operands[2])
          try question.require(condition.dtype == .bool, 1, .dtype, "the condition is \(condition.dtype)")
          try question.require(
            first.dtype == second.dtype, 2, .dtype, "the choices are \(first.dtype) and \(second.dtype)")
          try question.require(
            condition.shape == first.shape && first.shape == second.shape, 3,
            "the operands' shapes are \(condition.shape), \(first.shape) and \(second.shape)")
          return first
        })))

  package static let multiplyAdd = Primitive.pointwise(
    Pointwise(
      "multiplyadd", "x * y + z, rounded once.", operands: 3, on: .numbers, .apply(.multiplyAdd, x, y, z)))

  /// Those above, for who asks for all.
  static let ternaryOperations: [Primitive] = [.select, .multiplyAdd]
}

/// The records of what carries a number.
enum Philox {
  static let samples: [Primitive] = [.philox(word: 2)]

  /// By the word.
  static let philox = (0..<4).map { word in
    PrimitiveDefinition(
      name: "philox",
      meaning: "Word n (0..<4) of Philox4x32-10 for (counter, key), in 0..<2^32.",
      constraints: ["both operands are i64", "both operands have one shape", "the word is 0, 1, 2 or 3"],
      formula: ScalarExpr.philox(counter: .input(0), key: .input(1))[word], dtypes: .indices,
      type: { question throws(Diagnostic) in
        guard case .number(let word) = question.payload else { throw question.unreachablePayload }
        try question.requireOperands(2)
        let (counter, key) = (question.operands[0], question.operands[1])
        try question.require(
          counter.dtype == .i64 && key.dtype == .i64, 1, .dtype, "the operands are \(counter.dtype) and \(key.dtype)")
        try question.require(
          counter.shape == key.shape, 2, "the operands' shapes are \(counter.shape) and \(key.shape)")
        try question.require((0..<4).contains(word), 3, .argument, "the word is \(word)")
        return counter
      })
  }
}

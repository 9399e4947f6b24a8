// What a record's value is asked in reference semantics, and what several records answer with: plain loops over offsets.
// Not the meanings, which stand in the records. Surprise: extents are numbers by now; facts that type rules could not decide
// on symbols are checked here and throw.
import Basics
import Scalars
import TensorTypes

/// One primitive about to be evaluated: its operands and the type of its result.
struct ReferenceEvaluation {
  let primitive: Primitive
  let definition: PrimitiveDefinition
  let payload: Payload
  let operands: [ReferenceTensor]
  let dtype: DType
  let extents: [Int]
  let count: Int
  let symbols: [Int]

  func result(_ elements: [ScalarValue]) -> ReferenceTensor { ReferenceTensor(dtype, extents, elements) }

  func broken(_ kind: Diagnostic.Kind, _ text: String) -> Diagnostic {
    Diagnostic(kind, "\(definition.name): \(text)")
  }

  var unreachablePayload: Diagnostic { broken(.compiler, "a payload of another primitive") }

  /// The coordinates of the element at `place` of the result.
  func coordinates(_ place: Int) -> [Int] {
    var rest = place
    var coordinates: [Int] = []
    for extent in extents.reversed() {
      coordinates.append(rest % extent)
      rest /= extent
    }
    return coordinates.reversed()
  }

  func pointwise() throws(Diagnostic) -> ReferenceTensor {
    guard let program = primitive.scalarProgram(operandDTypes: operands.map(\.dtype)) else {
      throw broken(.dtype, "its formula is not defined on \(operands.map(\.dtype))")
    }
    for operand in operands where operand.extents != extents {
      throw broken(.shape, "the operands' extents are \(operands.map(\.extents))")
    }
    var elements: [ScalarValue] = []
    elements.reserveCapacity(count)
    var inputs = [ScalarValue](repeating: .integer(0), count: operands.count)
    var faulted = false
    for i in 0..<count {
      for (k, operand) in operands.enumerated() { inputs[k] = operand.elements[i] }
      elements.append(program.evaluate(inputs, faulted: &faulted))
      if faulted { throw broken(.numerics, "integer division by zero at \(coordinates(i))") }
    }
    return result(elements)
  }

  /// The elements of the first operand that a view of it has.
  func viewed(_ strides: [Int], start: Int = 0) -> ReferenceTensor {
    let places = ReferenceTensor.offsets(extents, strides: strides, start: start)
    return result(places.map { operands[0].elements[$0] })
  }

  /// Where elements start, start + step, ... of each axis are; they must be inside.
  func range(
    _ starts: [Dim], _ steps: [Int], counts: [Int], of tensor: ReferenceTensor
  ) throws(Diagnostic) -> (start: Int, strides: [Int]) {
    var strides = ReferenceTensor.contiguousStrides(tensor.extents)
    var start = 0
    for (axis, count) in counts.enumerated() {
      let first = try starts[axis].value(symbols)
      let (reach, overflow) = (count - 1).multipliedReportingOverflow(by: steps[axis])
      let last = first &+ reach
      if count > 0, overflow || min(first, last) < 0 || max(first, last) >= tensor.extents[axis] {
        throw broken(.index, "elements \(first) to \(last) of axis \(axis), whose extent is \(tensor.extents[axis])")
      }
      start &+= first &* strides[axis]
      strides[axis] = strides[axis] &* steps[axis]
    }
    return (start, strides)
  }

  // MARK: Combining: floats in Double, integers in their dtype

  func combined(_ monoid: Monoid, _ a: ScalarValue, _ b: ScalarValue) -> ScalarValue {
    monoid.combined(a, b, dtype.isFloating ? .f64 : dtype)
  }

  func rounded(_ value: ScalarValue) -> ScalarValue {
    switch value {
    case .float(let x): .float(ScalarReference.rounded(x, to: dtype))
    case .integer(let x): .integer(ScalarReference.wrapped(x, to: dtype))
    }
  }
}

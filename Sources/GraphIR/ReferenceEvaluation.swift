// What each kind of lowering does to reference tensors: plain loops over offsets. Pointwise, reindexing, calls here;
// what combines elements in `ReferenceEvaluation+Across`. Surprise: extents are numbers by now; facts that type rules
// could not decide on symbols are checked here and throw.
import Basics
import Scalars
import TensorTypes

/// One primitive about to be evaluated: its operands and the type of its result.
struct ReferenceEvaluation {
  var name: String
  var operands: [ReferenceTensor]
  var dtype: DType
  var extents: [Int]
  var count: Int
  var symbols: [Int]

  func result(_ elements: [ScalarValue]) -> ReferenceTensor { ReferenceTensor(dtype, extents, elements) }

  func broken(_ kind: Diagnostic.Kind, _ text: String) -> Diagnostic { Diagnostic(kind, "\(name): \(text)") }

  var unreachablePayload: Diagnostic { Diagnostic(.compiler, "\(name): a payload of another primitive") }

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

  // MARK: Leaves and pointwise

  func leaf(_ payload: Payload) throws(Diagnostic) -> ReferenceTensor {
    if case .constant(let constant) = payload { return result([constant.value]) }
    guard case .iota(let axis, _) = payload else { throw broken(.compiler, "its value is the launch's") }
    let inner = extents[(axis + 1)...].reduce(1, *)
    return result((0..<count).map { .integer(Int64($0 / inner % extents[axis])) })
  }

  func pointwise(_ program: ScalarProgram) throws(Diagnostic) -> ReferenceTensor {
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

  // MARK: Reindexing

  func reindexed(_ payload: Payload) throws(Diagnostic) -> ReferenceTensor {
    let source = operands[0]
    var strides = ReferenceTensor.contiguousStrides(source.extents)
    switch payload {
    case .shape:
      if source.elements.count != count { throw broken(.shape, "\(source.extents) to \(extents)") }
      return result(source.elements)
    case .repeated:
      let missing = extents.count - source.extents.count
      for (axis, extent) in source.extents.enumerated() {
        if extent != 1 && extent != extents[axis + missing] { throw broken(.shape, "\(source.extents) to \(extents)") }
        if extent == 1 { strides[axis] = 0 }
      }
      return viewed(source, Array(repeating: 0, count: missing) + strides)
    case .permutation(let permutation): return viewed(source, permutation.map { strides[$0] })
    case .slice(let starts, _, let steps):
      var start = 0
      for axis in extents.indices {
        let first = try starts[axis].value(symbols)
        let (reach, overflow) = (extents[axis] - 1).multipliedReportingOverflow(by: steps[axis])
        let last = first &+ reach
        if extents[axis] > 0, overflow || min(first, last) < 0 || max(first, last) >= source.extents[axis] {
          throw broken(.index, "elements \(first) to \(last) of axis \(axis), whose extent is \(source.extents[axis])")
        }
        start &+= first &* strides[axis]
        strides[axis] = strides[axis] &* steps[axis]
      }
      return viewed(source, strides, start: start)
    case .windows(let axis, _, let step, let dilation):
      strides.append(strides[axis] * dilation)
      strides[axis] *= step
      return viewed(source, strides)
    case .pad(let low, _):
      var elements = [ScalarValue](repeating: operands[1].elements[0], count: count)
      let outer = ReferenceTensor.contiguousStrides(extents)
      var start = 0
      for axis in extents.indices { start += try low[axis].value(symbols) * outer[axis] }
      let places = ReferenceTensor.offsets(source.extents, strides: outer, start: start)
      for (i, place) in places.enumerated() { elements[place] = source.elements[i] }
      return result(elements)
    case .axis(let axis): return concatenated(axis)
    default: throw unreachablePayload
    }
  }

  private func viewed(_ source: ReferenceTensor, _ strides: [Int], start: Int = 0) -> ReferenceTensor {
    result(ReferenceTensor.offsets(extents, strides: strides, start: start).map { source.elements[$0] })
  }

  /// The base with the update in its range.
  func assigned(_ payload: Payload) throws(Diagnostic) -> ReferenceTensor {
    guard case .assign(let starts, let steps) = payload else { throw unreachablePayload }
    let (base, update) = (operands[0], operands[1])
    var strides = ReferenceTensor.contiguousStrides(base.extents)
    var start = 0
    for axis in base.extents.indices {
      let first = try starts[axis].value(symbols)
      let (reach, overflow) = (update.extents[axis] - 1).multipliedReportingOverflow(by: steps[axis])
      let last = first &+ reach
      if update.extents[axis] > 0, overflow || min(first, last) < 0 || max(first, last) >= base.extents[axis] {
        throw broken(.index, "elements \(first) to \(last) of axis \(axis), whose extent is \(base.extents[axis])")
      }
      start &+= first &* strides[axis]
      strides[axis] = strides[axis] &* steps[axis]
    }
    var elements = base.elements
    let places = ReferenceTensor.offsets(update.extents, strides: strides, start: start)
    for (i, place) in places.enumerated() { elements[place] = update.elements[i] }
    return result(elements)
  }

  private func concatenated(_ axis: Int) -> ReferenceTensor {
    var elements: [ScalarValue] = []
    elements.reserveCapacity(count)
    let outer = extents[..<axis].reduce(1, *)
    for i in 0..<outer {
      for operand in operands {
        let run = operand.extents[axis...].reduce(1, *)
        elements += operand.elements[(i * run)..<((i + 1) * run)]
      }
    }
    return result(elements)
  }

  // MARK: Calls

  func called(_ payload: Payload) throws(Diagnostic) -> ReferenceTensor {
    guard case .graph(let reference, let output) = payload else { throw unreachablePayload }
    let graph = reference.graph
    var arguments = [UInt64](repeating: 0, count: graph.arguments.count)
    for (parameter, operand) in zip(graph.parameters, operands) {
      for (dim, extent) in zip(parameter.type.shape.dims, operand.extents) {
        if case .symbol(let id)? = dim.expression { arguments[id] = UInt64(extent) }
      }
    }
    return try GraphInterpreter(graph).run(values: operands, arguments: arguments)[output]
  }
}

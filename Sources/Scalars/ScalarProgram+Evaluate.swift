// Running a ScalarProgram on one element in reference semantics. Not for speed.
// Surprise: an integer division by zero does not stop it; it gives 0 and is reported.
import TensorTypes

extension ScalarProgram {
  /// The result for one element; `faulted` is set (never cleared) where an integer divisor is zero.
  package func evaluate(_ inputs: [ScalarValue], faulted: inout Bool) -> ScalarValue {
    withUnsafeTemporaryAllocation(of: ScalarValue.self, capacity: nodes.count) { values in
      for (index, node) in nodes.enumerated() {
        let made: ScalarValue
        switch node.operation {
        case .input(let i): made = inputs[i]
        case .constant(let constant): made = constant.value
        case .convert(let a): made = ScalarReference.convert(values[a], from: nodes[a].dtype, to: node.dtype)
        case .bitcast(let a):
          made = ScalarReference.value(bits: ScalarReference.bits(of: values[a], nodes[a].dtype), node.dtype)
        case .apply(let instruction, let operands):
          // The choices of a select and the operands of a comparison say the dtype, not the result.
          let dtype = nodes[operands[operands.count - 1]].dtype
          let zero = ScalarValue.integer(0)
          let result = ScalarReference.evaluate(
            instruction, dtype, values[operands[0]], operands.count > 1 ? values[operands[1]] : zero,
            operands.count > 2 ? values[operands[2]] : zero)
          if result == nil { faulted = true }
          made = result ?? zero
        }
        values.initializeElement(at: index, to: made)
      }
      return values[nodes.count - 1]
    }
  }

  /// The result for one element; nil where an integer divisor is zero.
  package func evaluate(_ inputs: [ScalarValue]) -> ScalarValue? {
    var faulted = false
    let result = evaluate(inputs, faulted: &faulted)
    return faulted ? nil : result
  }

  /// No instruction that machines may round differently.
  package var isExactEverywhere: Bool {
    nodes.allSatisfy { if case .apply(let instruction, _) = $0.operation { !instruction.isCostly } else { true } }
  }

  /// Floating operations for one element: instructions on floats, an fma being two.
  package var flops: Int {
    nodes.reduce(0) { sum, node in
      guard case .apply(let instruction, let operands) = node.operation,
        nodes[operands[operands.count - 1]].dtype.isFloating
      else { return sum }
      return sum + instruction.flops
    }
  }
}

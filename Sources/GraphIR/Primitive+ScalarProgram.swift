// The typed scalar program of a pointwise primitive: what every consumer of a lowering evaluates.
// It makes the one decision about half floats: they are lifted to the compute dtype, and the result is rounded, once.
// Surprise: programs are kept for ever, one for each primitive and dtypes; there are a few hundred.
import Scalars
import Synchronization
import TensorTypes

extension Primitive {
  /// The formula on these dtypes, conversions included; nil where the primitive is not pointwise or not defined there.
  package func scalarProgram(operandDTypes: [DType]) -> ScalarProgram? {
    let definition = definition
    guard case .pointwise(let formula) = definition.lowering else { return nil }
    let key = ScalarProgramKey(primitive: self, dtypes: operandDTypes)
    if let known = scalarPrograms.withLock({ $0[key] }) { return known }
    guard let made = definition.scalarProgram(formula, operandDTypes) else { return nil }
    scalarPrograms.withLock { $0[key] = made }
    return made
  }

  /// Whether the formula divides integers, which faults where a divisor is 0.
  package func dividesIntegers(operandDTypes: [DType]) -> Bool {
    guard let program = scalarProgram(operandDTypes: operandDTypes) else { return false }
    return program.nodes.contains { node in
      guard case .apply(let instruction, let operands) = node.operation, let divisor = operands.last else {
        return false
      }
      return (instruction == .divide || instruction == .remainder) && !program.nodes[divisor].dtype.isFloating
    }
  }
}

private struct ScalarProgramKey: Hashable {
  var primitive: Primitive
  var dtypes: [DType]
}

private let scalarPrograms = Mutex<[ScalarProgramKey: ScalarProgram]>([:])

extension PrimitiveDefinition {
  fileprivate func scalarProgram(_ formula: ScalarExpr, _ dtypes: [DType]) -> ScalarProgram? {
    guard let last = dtypes.last, self.dtypes.contains(last) else { return nil }
    if staysInStorage { return ScalarProgram(formula, inputs: dtypes) }
    let computed = dtypes.map(\.computeDType)
    guard let inner = ScalarProgram(formula, inputs: computed) else { return nil }
    return computed == dtypes ? inner : inner.rounding(inputs: dtypes, computed: computed, half: last)
  }
}

extension ScalarProgram {
  /// The program with half float inputs converted first, and a float result converted to `half`.
  fileprivate func rounding(inputs: [DType], computed: [DType], half: DType) -> ScalarProgram {
    var made: [Node] = []
    var lifted = [Int](repeating: 0, count: inputs.count)
    for (i, dtype) in inputs.enumerated() {
      made.append(Node(operation: .input(i), dtype: dtype))
      if computed[i] != dtype { made.append(Node(operation: .convert(made.count - 1), dtype: computed[i])) }
      lifted[i] = made.count - 1
    }
    var places: [Int] = []
    for node in nodes {
      switch node.operation {
      case .input(let i):
        places.append(lifted[i])
        continue
      case .constant: made.append(node)
      case .apply(let instruction, let operands):
        made.append(Node(operation: .apply(instruction, operands.map { places[$0] }), dtype: node.dtype))
      case .convert(let a): made.append(Node(operation: .convert(places[a]), dtype: node.dtype))
      case .bitcast(let a): made.append(Node(operation: .bitcast(places[a]), dtype: node.dtype))
      }
      places.append(made.count - 1)
    }
    if resultDType.isFloating {
      made.append(Node(operation: .convert(places[nodes.count - 1]), dtype: half))
    }
    return ScalarProgram(nodes: made)
  }
}

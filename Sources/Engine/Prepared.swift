// A launch of a program made ready: what runs it, and where each argument is found in the operands at hand.
// Not an executor: `CompiledGraph` is, of eager programs and of captured functions alike. Surprise: it is not tied to
// extents; they are arguments, as strides are.
import Basics

final class Prepared: Sendable {
  private let recipe: [LaunchTemplate.ArgumentSource]
  private let code: CompiledGraph

  init(_ recipe: [LaunchTemplate.ArgumentSource], _ code: CompiledGraph) {
    self.recipe = recipe
    self.code = code
  }

  func launch(_ operands: [Operand], _ results: [TensorView]) throws(Diagnostic) {
    let arguments = recipe.map { $0.argument(operands, results) }
    var parameters: [TensorView] = []
    parameters.reserveCapacity(operands.count)
    for case .tensor(let view) in operands { parameters.append(view) }
    try code.run(parameters, arguments, into: results)
  }
}

extension LaunchTemplate.ArgumentSource {
  fileprivate func argument(_ operands: [Operand], _ results: [TensorView]) -> Int64 {
    switch self {
    case .extent(let i, let axis):
      if case .tensor(let view) = operands[i] { Int64(view.hints[axis]) } else { 0 }
    case .stride(let i, let axis):
      if case .tensor(let view) = operands[i] { Int64(view.strides[axis]) } else { 0 }
    case .scalar(let i):
      if case .scalar(let scalar) = operands[i] { scalar.bits } else { 0 }
    case .resultStride(let i, let axis): Int64(results[i].strides[axis])
    }
  }
}

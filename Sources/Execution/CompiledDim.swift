// A Dim expression as a short postfix program, evaluated on launch arguments without allocating.
// Not a simplifier: Dim folds on construction. Surprise: nil means overflow, division by zero or a missing argument.
import Basics
import TensorTypes

/// A compiled Dim. Its symbols are numbers of launch arguments.
package struct CompiledDim: Sendable {
  private enum Step {
    case constant(Int)
    case argument(Int)
    case binary(DimOperation)
  }

  private let steps: [Step]
  private let depth: Int
  /// The value when it needs no arguments.
  package let constant: Int?

  /// - Throws: `Diagnostic(.compiler)` if `dim` names an argument that a launch does not have.
  package init(_ dim: Dim, argumentCount: Int) throws(Diagnostic) {
    constant = dim.knownValue
    if constant != nil {
      (steps, depth) = ([], 0)
      return
    }
    var steps: [Step] = []
    var depth = 0
    var live = 0
    func emit(_ dim: Dim) throws(Diagnostic) {
      switch dim.expression {
      case nil:
        guard let value = dim.knownValue else { throw Diagnostic(.compiler, "\(dim) has no value for a launch") }
        steps.append(.constant(value))
        live += 1
      case .failed(let diagnostic)?: throw diagnostic
      case .symbol(let id)?:
        guard id >= 0, id < argumentCount else {
          throw Diagnostic(.compiler, "\(dim) is not one of \(argumentCount) launch arguments")
        }
        steps.append(.argument(id))
        live += 1
      case .binary(let operation, let a, let b)?:
        try emit(a)
        try emit(b)
        steps.append(.binary(operation))
        live -= 1
      }
      depth = max(depth, live)
    }
    try emit(dim)
    self.steps = steps
    self.depth = depth
  }

  /// The value for these launch arguments.
  package func value(_ arguments: UnsafePointer<Int64>) -> Int? {
    if let constant { return constant }
    if steps.count == 1, case .argument(let id) = steps[0] { return Int(arguments[id]) }
    return withUnsafeTemporaryAllocation(of: Int.self, capacity: depth) { stack in
      var top = 0
      for step in steps {
        switch step {
        case .constant(let value):
          stack[top] = value
          top += 1
        case .argument(let id):
          stack[top] = Int(arguments[id])
          top += 1
        case .binary(let operation):
          guard let result = operation.apply(stack[top - 2], stack[top - 1]) else { return nil }
          stack[top - 2] = result
          top -= 1
        }
      }
      return stack[0]
    }
  }
}

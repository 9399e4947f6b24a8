// Recorded arguments as what a compiled function takes: tensors are its inputs, all else belongs to the plan.
// Not a parser. Surprise: numbers are plain values, so a case is compiled for its own.
import Basics
import Capture
import TensorTypes
import Tensors

extension ConformanceValue: Tree {
  public mutating func visit(_ v: inout Visitor) {
    switch self {
    case .tensor(var tensor):
      v("tensor", &tensor)
      self = .tensor(tensor)
    case .integer(var value): v("integer", &value)
    case .number(var value): v("number", &value)
    case .bool(var value): v("bool", &value)
    case .string(var value), .text(var value): v("text", &value)
    case .none: break
    case .list(var values):
      v("list", &values)
      self = .list(values)
    }
  }
}

extension ConformanceArguments: Tree {
  public mutating func visit(_ v: inout Visitor) {
    v("places", &places)
    v("names", &names)
  }
}

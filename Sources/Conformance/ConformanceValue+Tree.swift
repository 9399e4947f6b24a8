// Recorded arguments as what a compiled function takes: tensors are its inputs, all else belongs to the plan.
// Not a parser. Surprise: numbers are plain values, so a case is compiled for its own.
import Capture
import TensorTypes
import Tensors

extension ConformanceValue: Tree {
  package mutating func visit(_ v: inout Visitor) {
    // What has no member would be told by nothing: [none, 7] is not [7, none].
    var kind = self.kind
    v("kind", &kind)
    switch self {
    case .tensor(var tensor):
      v("tensor", &tensor)
      self = .tensor(tensor)
    case .integer(var value): v("integer", &value)
    case .extent(var dim):
      v("extent", &dim)
      self = .extent(dim)
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

extension ConformanceValue {
  private var kind: Int {
    switch self {
    case .tensor: 0
    case .integer: 1
    case .extent: 2
    case .number: 3
    case .bool: 4
    case .string: 5
    case .text: 6
    case .none: 7
    case .list: 8
    }
  }
}

extension ConformanceArguments: Tree {
  package mutating func visit(_ v: inout Visitor) {
    v("places", &places)
    v("names", &names)
  }
}

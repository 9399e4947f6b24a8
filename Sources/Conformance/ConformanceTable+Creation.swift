// Tensors from nothing, and like another.
import Basics
import TensorTypes
import Tensors

extension ConformanceArguments {
  fileprivate func requiredNumber(_ place: Int, _ name: String = "") throws(Diagnostic) -> Number {
    if let number = number(place, name) { return number }
    switch value(place, name) {
    case .tensor(let tensor)? where tensor.dtype.isFloating: return try tensor.item(as: Double.self).number
    case .tensor(let tensor)?: return try tensor.item(as: Int.self).number
    default: throw Diagnostic(.argument, "argument \(place) \(name) should be a number")
    }
  }
}

extension ConformanceTable {
  mutating func addCreation() {
    tensor("arange") { a throws(Diagnostic) in
      let first = try a.requiredNumber(0)
      guard a.value(1, "end") != nil else { return .arange(from: Number.integer(0), to: first, dtype: try a.dtype()) }
      let step = a.value(2, "step") == nil ? .integer(1) : try a.requiredNumber(2, "step")
      return .arange(from: first, to: try a.requiredNumber(1, "end"), by: step, dtype: try a.dtype())
    }
    tensor("linspace") { a throws(Diagnostic) in
      .linspace(
        try a.requiredNumber(0).double, try a.requiredNumber(1, "end").double, count: try a.required(2, "steps"),
        dtype: try a.dtype(else: .f32))
    }
    tensor("logspace") { a throws(Diagnostic) in
      .logspace(
        try a.requiredNumber(0).double, try a.requiredNumber(1, "end").double, count: try a.required(2, "steps"),
        base: try a.double(3, "base", else: 10), dtype: try a.dtype(else: .f32))
    }
    tensor("eye") { a throws(Diagnostic) in .eye(try a.required(0), try a.int(1, "m"), dtype: try a.dtype(else: .f32)) }
    tensor("zeros") { a throws(Diagnostic) in .zeros(try a.dims(0), dtype: try a.dtype(else: .f32)) }
    tensor("ones") { a throws(Diagnostic) in .ones(try a.dims(0), dtype: try a.dtype(else: .f32)) }
    tensor("full") { a throws(Diagnostic) in
      .full(try a.dims(0), try a.requiredNumber(1, "fill_value"), dtype: try a.dtype())
    }
    tensor("scalar_tensor") { a throws(Diagnostic) in .full([], try a.requiredNumber(0), dtype: try a.dtype(else: .f32))
    }
    tensor("zeros_like") { a throws(Diagnostic) in .zeros(like: try a.tensor(0), dtype: try a.dtype()) }
    tensor("ones_like") { a throws(Diagnostic) in .ones(like: try a.tensor(0), dtype: try a.dtype()) }
    tensor("full_like") { a throws(Diagnostic) in
      .full(like: try a.tensor(0), try a.requiredNumber(1, "fill_value"), dtype: try a.dtype())
    }
    tensor("new_zeros") { a throws(Diagnostic) in
      .zeros(try a.dims(1, "size"), dtype: try a.dtype(else: a.tensor(0).view.dtype))
    }
    tensor("new_ones") { a throws(Diagnostic) in
      .ones(try a.dims(1, "size"), dtype: try a.dtype(else: a.tensor(0).view.dtype))
    }
    tensor("new_full") { a throws(Diagnostic) in
      .full(
        try a.dims(1, "size"), try a.requiredNumber(2, "fill_value"), dtype: try a.dtype(else: a.tensor(0).view.dtype))
    }
    tensor("fill") { a throws(Diagnostic) in
      .full(like: try a.tensor(0), try a.requiredNumber(1, "value"), dtype: try a.tensor(0).dtype)
    }
    unary("zero_") { .zeros(like: $0) }
  }
}

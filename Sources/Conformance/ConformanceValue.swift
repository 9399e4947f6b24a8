// Values of recorded cases: what goes into an operation and what comes out. Not JSON: tensors are already loaded.
// Surprise: dtypes and the like are kept as the text that the recorder printed ("torch.float64"); long rows are formulas.
import Basics
import Formats
import TensorTypes
import Tensors

/// An argument or a result of a recorded case.
package enum ConformanceValue: Sendable {
  case tensor(Tensor)
  case integer(Int)
  /// A size that may differ from call to call.
  case extent(Dim)
  case number(Double)
  case bool(Bool)
  case string(String)
  case none
  case list([ConformanceValue])
  /// Something without a value of its own, as text.
  case text(String)

  init(_ json: JSON, _ tensors: SafetensorsFile) throws(Diagnostic) {
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .number(value)
    case .string(let value): self = .string(value)
    case .array(let elements):
      var values: [ConformanceValue] = []
      for element in elements { values.append(try ConformanceValue(element, tensors)) }
      self = .list(values)
    case .object:
      if let key = json["T"]?.string {
        let stored = try Tensor(stored: try tensors.tensor(key))
        self = .tensor(json["layout"]?.string == "strided" ? stored.strided : stored)
      } else if let row = json["row"] {
        self = .tensor(try Tensor(row: row))
      } else if let name = json["number"]?.string {
        self = .number(name == "NaN" ? .nan : name == "Infinity" ? .infinity : -.infinity)
      } else if let text = json["repr"]?.string {
        self = .text(text)
      } else {
        throw Diagnostic(.format, "a recorded value is an object with neither \"T\" nor \"repr\"")
      }
    }
  }

  /// A tensor where there is one or can be made: numbers become 0-d.
  var asTensor: Tensor? {
    switch self {
    case .tensor(let tensor): tensor
    case .integer(let value): Tensor(value)
    case .extent(let dim): Tensor(dim)
    case .number(let value): Tensor(value)
    case .bool(let value): Tensor(value)
    case .string, .none, .list, .text: nil
    }
  }

  /// The tensors in it.
  var tensors: [Tensor] {
    switch self {
    case .tensor(let tensor): [tensor]
    case .list(let values): values.flatMap(\.tensors)
    case .integer, .extent, .number, .bool, .string, .none, .text: []
    }
  }

  /// What kind of value it is, for messages.
  var summary: String {
    switch self {
    case .tensor(let tensor): tensor.failure != nil ? "failed" : "\(tensor.dtype)\(tensor.shape)"
    case .integer(let value): "\(value)"
    case .extent(let dim): "\(dim)"
    case .number(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): "\"\(value)\""
    case .none: "none"
    case .list(let values): "[" + values.map(\.summary).joined(separator: ", ") + "]"
    case .text(let text): text
    }
  }
}

extension Tensor {
  /// offset + scale * (i % modulus), computed in f64, for every i in row-major order.
  init(row: JSON) throws(Diagnostic) {
    guard let shape = row["shape"]?.array?.compactMap(\.int), let offset = row["offset"]?.double,
      let scale = row["scale"]?.double, let modulus = row["modulus"]?.int, modulus > 0
    else { throw Diagnostic(.format, "a recorded row lacks its shape, offset, scale or modulus") }
    self.init((0..<shape.reduce(1, *)).map { Float(offset + scale * Double($0 % modulus)) }, shape: shape)
  }

  /// The same elements: every second one of a larger tensor, axes in reverse.
  var strided: Tensor {
    let reverse = Array((0..<rank).reversed())
    let turned = permuted(reverse)
    return Tensor.stacked([turned, turned.flipped(reverse)], axis: -1)
      .narrowed(rank, start: 0, count: 1).squeezed([rank]).permuted(reverse)
  }

  /// A copy of a dense stored tensor.
  init(stored: StoredTensor) throws(Diagnostic) {
    let dtype = try stored.denseDType()
    let tensor = stored.bytes.withUnsafeBytes { Tensor(copying: $0, dtype: dtype, shape: stored.shape) }
    if let failure = tensor.failure { throw failure }
    self = tensor
  }
}

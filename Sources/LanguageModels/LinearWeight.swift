// A weight matrix of a model, dense or packed, behind one product. Not a layer: no bias, no gradient.
// Surprise: a packed one is never unpacked as a whole; formats that look elements up are unpacked when loaded.
import Basics
import Formats
import Tensors
import TensorTypes

/// A weight matrix [rows, columns] that multiplies from the right, transposed: dense or packed.
enum LinearWeight: Sendable {
  case dense(Tensor)
  case quantized(QuantizedWeight)

  init(_ stored: StoredTensor) throws(Diagnostic) {
    if case .quantized(let format) = stored.encoding, let linear = format.linear {
      self = .quantized(try QuantizedWeight(stored, format, linear))
    } else {
      self = .dense(try stored.tensor())
    }
  }

  /// x [tokens, columns] to [tokens, rows] in f32.
  func callAsFunction(_ x: Tensor) -> Tensor {
    switch self {
    case .dense(let weight): x.linear(weight: weight)
    case .quantized(let weight):
      Tensor.attempt(#fileID, #line, of: [x]) { () throws(Diagnostic) in try weight.applied(to: x) }
    }
  }

  var rows: Int {
    switch self {
    case .dense(let weight): weight.body.view.extents[0]
    case .quantized(let weight): weight.rows
    }
  }

  var elementCount: Int {
    switch self {
    case .dense(let weight): weight.body.view.elementCount
    case .quantized(let weight): weight.rows * weight.columns
    }
  }

  var byteCount: Int {
    switch self {
    case .dense(let weight): weight.body.view.elementCount * weight.dtype.size
    case .quantized(let weight): weight.byteCount
    }
  }

  /// Rows `indices` in f32.
  subscript(indices: Tensor) -> Tensor {
    switch self {
    case .dense(let table): table.embedding(indices, dtype: .f32)
    case .quantized(let weight):
      Tensor.attempt(#fileID, #line, of: [indices]) { () throws(Diagnostic) in try weight.decodedRows(indices) }
    }
  }
}

// Weights of a file as tensors: in place where the mapping allows, else copied. Not decoding: see QuantizedWeight.
import Basics
import Engine
import Formats
import Execution
import Tensors
import TensorTypes

extension StoredTensor {
  /// The bytes as memory that tensors can look at; copied if kernels could not read 64 bytes past them.
  func borrowed() throws(Diagnostic) -> Storage {
    let page = 4096  // the smallest anywhere; larger pages only make more readable
    let readable = (bytes.file.count + page - 1) / page * page
    if isAligned, bytes.offset + bytes.count + 64 <= readable {
      return Storage(borrowing: bytes.unsafeBytes, owner: bytes.file)
    }
    let copy = try Storage(byteCount: bytes.count)
    copy.address.copyMemory(
      from: bytes.unsafeBytes.baseAddress ?? UnsafeRawPointer(copy.address), byteCount: bytes.count)
    return copy
  }

  /// A dense tensor of the file, without a copy where that is possible.
  func tensor() throws(Diagnostic) -> Tensor {
    Tensor(TensorView(try borrowed(), try denseDType(), extents: shape))
  }
}

extension MappedBytes {
  var unsafeBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: baseAddress, count: count) }
}

/// A weight matrix [rows, columns] that multiplies from the right, transposed: dense or packed.
enum LinearWeight: Sendable {
  case dense(Tensor)
  case quantized(QuantizedWeight)

  init(_ stored: StoredTensor) throws(Diagnostic) {
    switch stored.encoding {
    case .quantized(let format): self = .quantized(try QuantizedWeight(stored, format))
    case .dense, .unsupported: self = .dense(try stored.tensor())
    }
  }

  /// x [tokens, columns] to [tokens, rows] in f32.
  func callAsFunction(_ x: Tensor) throws(Diagnostic) -> Tensor {
    switch self {
    case .dense(let weight): try ModelOperations.linear(x, weight)
    case .quantized(let weight): try weight.product(x)
    }
  }

  /// Rows `indices` in f32.
  func gathering(_ indices: Tensor) throws(Diagnostic) -> Tensor {
    switch self {
    case .dense(let table): try ModelOperations.rows(table, indices)
    case .quantized(let weight): try weight.gathering(indices)
    }
  }
}

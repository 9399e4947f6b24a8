// Tensors out of files and into them: the bridge between stored bytes and the user's Tensor.
// Not a parser. Surprise: a tensor of a weight file is the mapped file itself until somebody writes to it.
import Basics
import Engine
import Execution
import Scalars
import Tensors
import TensorTypes

extension StoredTensor {
  /// The bytes as memory that tensors can look at; copied if kernels could not read 64 bytes past them.
  package func borrowed() throws(Diagnostic) -> Storage {
    let page = 4096  // the smallest anywhere; larger pages only make more readable
    let readable = (bytes.file.count + page - 1) / page * page
    let source = UnsafeRawBufferPointer(start: bytes.baseAddress, count: bytes.count)
    if isAligned, bytes.offset + bytes.count + 64 <= readable {
      return Storage(borrowing: source, owner: bytes.file)
    }
    let copy = try Storage(byteCount: bytes.count)
    copy.bytes.copyMemory(from: source)
    return copy
  }

  /// The elements as a tensor: in place where alignment allows, else copied; quantised ones are decoded to f32.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` for an unsupported encoding, `.memory` if there is too little.
  public func tensor() throws(Diagnostic) -> Tensor {
    if case .quantized = encoding { return Tensor(try floats(), shape: shape) }
    return Tensor(TensorView(try borrowed(), try denseDType(), extents: shape))
  }
}

extension NpyArray {
  /// The elements as a row-major tensor, copied.
  ///
  /// - Throws: A `.memory` ``Basics/Diagnostic`` if there is too little memory.
  public func tensor() throws(Diagnostic) -> Tensor {
    let bytes = contiguousBytes()
    let storage = try Storage(byteCount: bytes.count)
    bytes.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    return Tensor(TensorView(storage, dtype, extents: shape))
  }
}

extension OutgoingTensor {
  /// A tensor on its way into a file.
  ///
  /// - Throws: The mistake that a failed tensor carries.
  public init(_ name: String, _ tensor: Tensor) throws(Diagnostic) {
    let view = try tensor.elements()
    self.init(name, view.dtype, view.extents) { sink throws(Diagnostic) in
      try sink(UnsafeRawBufferPointer(start: view.base, count: view.elementCount * view.dtype.size))
    }
  }
}

extension Tensor {
  /// All tensors of a safetensors or GGUF file, by name, in place where alignment allows.
  ///
  /// - Throws: A ``Basics/Diagnostic`` that names the file and what is wrong with it.
  public static func load(_ path: String) throws(Diagnostic) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for stored in try WeightFile.open(path).tensors { result[stored.name] = try stored.tensor() }
    return result
  }

  /// Writes tensors to a safetensors file, atomically: either the whole file or none.
  ///
  /// - Throws: A ``Basics/Diagnostic`` for a failed tensor or a full disk.
  public static func save(_ tensors: [String: Tensor], to path: String) throws(Diagnostic) {
    var outgoing: [OutgoingTensor] = []
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      outgoing.append(try OutgoingTensor(name, tensor))
    }
    try SafetensorsWriter.write(outgoing, to: path)
  }
}

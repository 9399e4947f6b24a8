// Tensors out of files and into them: the bridge between stored bytes and the user's Tensor.
// Not a parser. Surprise: a tensor of a weight file is the mapped file itself until somebody writes to it.
import Basics
import Engine
import Execution
import Tensors
import TensorTypes

extension StoredTensor {
  /// The bytes as memory that tensors can look at; copied if kernels could not read 64 bytes past them.
  package func borrowed() throws(Diagnostic) -> Storage {
    let source = UnsafeRawBufferPointer(start: bytes.baseAddress, count: bytes.count)
    if isAligned, bytes.offset + bytes.count + 64 <= bytes.file.readableCount {
      return Storage(borrowing: source, owner: bytes.file)
    }
    let copy = try Engine.current.memory(byteCount: bytes.count)
    copy.bytes.copyMemory(from: source)
    return copy
  }

  /// The elements as a tensor: in place where alignment allows, else copied; quantised ones are decoded to f32.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` for an unsupported encoding, `.memory` if there is too little.
  public func tensor() throws(Diagnostic) -> Tensor {
    if case .quantized(let format) = encoding {
      let storage = try Engine.current.memory(byteCount: Engine.byteCount(.f32, shape))
      let output = storage.address.assumingMemoryBound(to: Float.self)
      bytes.withUnsafeBytes { format.decode($0, to: output) }
      return Tensor(TensorView(storage, .f32, extents: shape))
    }
    let dtype = try denseDType()
    // Every reader has held shape and bytes against each other; a view is never made from a shape alone.
    guard CheckedSize.bytes(shape, dtype) == bytes.count else {
      throw bytes.file.malformed("tensor '\(name)': \(dtype) of shape \(shape) does not have \(bytes.count) bytes")
    }
    let storage = try dtype == .bool ? truthValues() : borrowed()
    return Tensor(TensorView(storage, dtype, extents: shape))
  }

  /// Bools in place; a copy of zeros and ones where a file holds other bytes, all of which mean true.
  private func truthValues() throws(Diagnostic) -> Storage {
    let storage = try borrowed()
    guard storage.bytes.contains(where: { $0 > 1 }) else { return storage }
    let copy = try Engine.current.memory(byteCount: bytes.count)
    copy.bytes.copyMemory(from: UnsafeRawBufferPointer(storage.bytes))
    TensorView(copy, .bool, extents: [bytes.count]).normaliseTruth()
    return copy
  }
}

extension NpyArray {
  /// The elements as a row-major tensor, copied.
  ///
  /// - Throws: A `.memory` ``Basics/Diagnostic`` if there is too little memory.
  public func tensor() throws(Diagnostic) -> Tensor {
    let bytes = contiguousBytes()
    let storage = try Engine.current.memory(byteCount: bytes.count)
    bytes.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    let view = TensorView(storage, dtype, extents: shape)
    if dtype == .bool { view.normaliseTruth() }
    return Tensor(view)
  }
}

extension OutgoingTensor {
  /// A tensor on its way into a file.
  ///
  /// - Throws: The mistake that a failed tensor carries.
  public init(_ name: String, _ tensor: Tensor) throws(Diagnostic) {
    let view: TensorView
    do {
      view = try tensor.elements()
    } catch {
      var named = error
      named.message = "tensor '\(name)' cannot be saved: \(error.message)"
      throw named
    }
    self.init(name, view.dtype, view.extents) { sink throws(Diagnostic) in
      try sink(UnsafeRawBufferPointer(start: view.base, count: view.elementCount * view.dtype.size))
    }
  }
}

extension Tensor {
  /// All tensors of a safetensors or GGUF file, by name, in place where alignment allows.
  ///
  /// - Throws: A ``Basics/Diagnostic`` that names the file and what is wrong with it.
  public static func load(_ path: String) throws(Diagnostic) -> NamedTensors {
    let file = try WeightFile.open(path)
    var result = NamedTensors()
    if case .safetensors(let safetensors) = file { result.metadata = safetensors.metadata }
    for stored in file.tensors { result[stored.name] = try stored.tensor() }
    return result
  }

  /// As ``load(_:)``, where a dictionary is wanted; the file's metadata is left out.
  ///
  /// - Throws: A ``Basics/Diagnostic`` that names the file and what is wrong with it.
  @_disfavoredOverload
  public static func load(_ path: String) throws(Diagnostic) -> [String: Tensor] {
    let named: NamedTensors = try load(path)
    return named.tensors
  }

  /// Writes tensors to a safetensors file, atomically: either the whole file or none.
  ///
  /// - Parameter metadata: free text by key, the file's `__metadata__`.
  /// - Throws: A ``Basics/Diagnostic`` for a failed tensor, which it names, or a full disk.
  public static func save(
    _ tensors: [String: Tensor], metadata: [String: String] = [:], to path: String
  ) throws(Diagnostic) {
    var outgoing: [OutgoingTensor] = []
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      outgoing.append(try OutgoingTensor(name, tensor))
    }
    try SafetensorsWriter.write(outgoing, metadata: metadata, to: path)
  }

  /// Writes what ``load(_:)`` gave, tensors and metadata, as ``save(_:metadata:to:)`` does.
  ///
  /// - Throws: A ``Basics/Diagnostic`` for a failed tensor, which it names, or a full disk.
  public static func save(_ tensors: NamedTensors, to path: String) throws(Diagnostic) {
    try save(tensors.tensors, metadata: tensors.metadata, to: path)
  }
}

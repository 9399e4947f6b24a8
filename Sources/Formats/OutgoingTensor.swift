// A named tensor on its way into a file: its type now, its bytes when their turn comes.
// Not a Tensor. Surprise: the closure may deliver the bytes in any number of pieces, so nothing need be gathered first.

import Basics
import TensorTypes

/// A tensor to write into a safetensors, npy or npz file.
public struct OutgoingTensor {
  /// Takes some of a tensor's bytes.
  public typealias Sink = (UnsafeRawBufferPointer) throws(Diagnostic) -> Void

  /// The tensor's name in the file.
  public let name: String
  /// The type of its elements.
  public let dtype: DType
  /// Its extents, outermost axis first.
  public let shape: [Int]
  let content: (Sink) throws(Diagnostic) -> Void

  /// A tensor whose bytes `content` hands to the sink it is given, in order: little-endian, contiguous, last axis
  /// innermost. The number of bytes is checked while writing.
  public init(
    _ name: String, _ dtype: DType, _ shape: [Int], content: @escaping (Sink) throws(Diagnostic) -> Void
  ) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.content = content
  }

  /// A tensor with the given elements, whose Swift type must have the size of `dtype`.
  public init<Element: BitwiseCopyable>(_ name: String, _ dtype: DType, _ shape: [Int], elements: [Element]) {
    self.init(name, dtype, shape) { sink throws(Diagnostic) in
      try elements.withUnsafeBufferPointer { buffer throws(Diagnostic) in try sink(UnsafeRawBufferPointer(buffer)) }
    }
  }

  /// A dense tensor of another file, copied when written.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if it is quantised or its encoding unsupported.
  public init(_ tensor: StoredTensor) throws(Diagnostic) {
    let bytes = tensor.bytes
    self.init(tensor.name, try tensor.denseDType(), tensor.shape) { sink throws(Diagnostic) in
      try bytes.withUnsafeBytes(sink)
    }
  }

  /// The bytes its shape says it has.
  ///
  /// - Throws: A `.argument` ``Basics/Diagnostic`` for an impossible shape.
  func byteCount(writing path: String) throws(Diagnostic) -> Int {
    guard let bytes = CheckedSize.bytes(shape, dtype) else {
      throw Diagnostic(.argument, "\(path): tensor '\(name)' cannot have shape \(shape): negative or too large")
    }
    return bytes
  }

  /// Hands all bytes to `sink` and checks their number.
  func deliver(writing path: String, to sink: Sink) throws(Diagnostic) {
    let expected = try byteCount(writing: path)
    var delivered = 0
    try content { bytes throws(Diagnostic) in
      delivered += bytes.count
      guard delivered <= expected else { throw wrongCount(path, expected, "at least \(delivered)") }
      try sink(bytes)
    }
    guard delivered == expected else { throw wrongCount(path, expected, "\(delivered)") }
  }

  private func wrongCount(_ path: String, _ expected: Int, _ delivered: String) -> Diagnostic {
    Diagnostic(
      .argument, "\(path): tensor '\(name)', \(dtype) \(shape), has \(expected) bytes, \(delivered) were given",
      remedy: "nothing was written")
  }

  /// Refuses lists with a name that comes twice.
  static func checkNames(_ tensors: [OutgoingTensor], writing path: String) throws(Diagnostic) {
    var names = UniqueNames()
    for tensor in tensors {
      guard let problem = names.problem(adding: tensor.name) else { continue }
      throw Diagnostic(.argument, "\(path): the tensor '\(tensor.name)' \(problem)", remedy: "rename one")
    }
  }
}

// One NumPy array: from an npy file or from an entry of an npz file.
// Not always usable in place: Fortran order and big-endian elements are turned round by `contiguousBytes()`. Surprise:
// `shape` is as NumPy shows it, also for Fortran order.

import Basics
import TensorTypes

/// A NumPy array.
///
///     let array = try NpyArray(path: "x.npy")
///     array.dtype, array.shape
///     let values = try array.floats()
public struct NpyArray: Sendable {
  private enum Storage: Sendable {
    case mapped(MappedBytes)
    /// Inflated: header and elements, of which those from the offset on count.
    case owned([UInt8], from: Int)
  }

  /// Where it comes from, as errors name it: "x.npy" or "x.npz[weights]".
  public let name: String
  /// The type of the elements.
  public let dtype: DType
  /// The extents, as NumPy shows them.
  public let shape: [Int]
  /// Whether the first axis is the innermost in memory.
  public let isFortranOrder: Bool
  /// Whether the elements' bytes are in big-endian order.
  public let isBigEndian: Bool
  private let storage: Storage

  /// Maps and checks an npy file. Its elements are not touched.
  ///
  /// - Throws: A `.file` ``Basics/Diagnostic`` if it cannot be mapped; a `.format` one if it is damaged or holds
  ///   anything but bools, integers and floats.
  public init(path: String) throws(Diagnostic) { try self.init(file: MappedFile(path: path)) }

  /// Checks an already mapped npy file.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if it is damaged or holds anything but bools, integers and floats.
  public init(file: MappedFile) throws(Diagnostic) { try self.init(mapped: file.bytes, name: file.path) }

  init(mapped bytes: MappedBytes, name: String) throws(Diagnostic) {
    let header = try bytes.withUnsafeBytes { bytes throws(Diagnostic) in try NpyHeader(bytes, name: name) }
    let data = try bytes.bytes(in: header.dataOffset..<bytes.count)
    try data.withUnsafeBytes { data throws(Diagnostic) in try Self.check(header, data: data, name: name) }
    self.init(header, .mapped(data), name: name)
  }

  init(inflated bytes: [UInt8], name: String) throws(Diagnostic) {
    let header = try bytes.withUnsafeBufferPointer { buffer throws(Diagnostic) in
      let bytes = UnsafeRawBufferPointer(buffer)
      let header = try NpyHeader(bytes, name: name)
      try Self.check(header, data: UnsafeRawBufferPointer(rebasing: bytes[header.dataOffset...]), name: name)
      return header
    }
    self.init(header, .owned(bytes, from: header.dataOffset), name: name)
  }

  private init(_ header: NpyHeader, _ storage: Storage, name: String) {
    self.name = name
    self.dtype = header.dtype
    self.shape = header.shape
    self.isFortranOrder = header.isFortranOrder
    self.isBigEndian = header.isBigEndian
    self.storage = storage
  }

  private static func check(
    _ header: NpyHeader, data: UnsafeRawBufferPointer, name: String
  ) throws(Diagnostic) {
    guard data.count >= header.byteCount else {
      throw NpyHeader.malformed(
        name, "\(header.dtype) of shape \(header.shape) needs \(header.byteCount) bytes, \(data.count) are there")
    }
    guard data.count > header.byteCount else { return }
    if data.dropFirst(header.byteCount).starts(with: NpyHeader.magic) {
      throw NpyHeader.malformed(
        name, "holds a second array after \(header.dtype) of shape \(header.shape): one array is read from a file",
        remedy: "save each array into a file of its own, or all into an npz with numpy.savez")
    }
    throw NpyHeader.malformed(
      name,
      "\(header.dtype) of shape \(header.shape) has \(header.byteCount) bytes, "
        + "\(data.count - header.byteCount) more follow")
  }

  /// Number of elements.
  public var elementCount: Int { shape.reduce(1, *) }

  /// Whether ``withUnsafeBytes(_:)`` gives the elements in C order and this machine's byte order.
  public var isContiguous: Bool {
    !isBigEndian && (!isFortranOrder || shape.filter { $0 > 1 }.count < 2)
  }

  /// The bytes in the mapped file, not copied; nil if the array had to be inflated.
  public var mappedBytes: MappedBytes? {
    if case .mapped(let bytes) = storage { bytes } else { nil }
  }

  /// Calls `body` with the bytes as they are stored (see ``isContiguous``), valid during the call only.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch storage {
    case .mapped(let bytes): return try bytes.withUnsafeBytes(body)
    case .owned(let bytes, let offset):
      return try bytes.withUnsafeBufferPointer { buffer throws(Failure) in
        try body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[offset...]))
      }
    }
  }

  /// A copy of the elements in C order and this machine's byte order.
  public func contiguousBytes() -> [UInt8] {
    withUnsafeBytes { source in
      if isContiguous { return [UInt8](source) }
      let size = dtype.size
      // C order walks the last axis fastest; in Fortran order its stride is the product of the extents before it.
      let order = isFortranOrder ? Array(shape.indices) : shape.indices.reversed()
      var strides = [Int](repeating: 0, count: shape.count)
      var stride = 1
      for axis in order {
        strides[axis] = stride
        stride *= shape[axis]
      }
      var index = [Int](repeating: 0, count: shape.count)
      var bytes: [UInt8] = []
      bytes.reserveCapacity(source.count)
      for _ in 0..<elementCount {
        let start = zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 } * size
        let element = source[start..<start + size]
        if isBigEndian { bytes.append(contentsOf: element.reversed()) } else { bytes.append(contentsOf: element) }
        for axis in shape.indices.reversed() {
          index[axis] += 1
          if index[axis] < shape[axis] { break }
          index[axis] = 0
        }
      }
      return bytes
    }
  }

  /// The elements in C order, converted to `Float`; `f64`, `i32` and `i64` are rounded to nearest.
  public func floats() -> [Float] {
    contiguousBytes().withUnsafeBytes { dtype.floats($0) }
  }
}

extension NpyArray {
  /// Writes one array to an npy file, replacing a file there only once the new one is complete on disk.
  ///
  /// - Throws: A `.dtype` ``Basics/Diagnostic`` for bf16 and the 8-bit floats, which NumPy does not have; an `.argument` one for bytes that
  ///   do not fit the shape; a `.file` one if the file cannot be written. Nothing at `path` has changed then.
  public static func write(_ tensor: OutgoingTensor, to path: String) throws(Diagnostic) {
    _ = try tensor.byteCount(writing: path)
    let header = try NpyHeader.bytes(tensor.dtype, tensor.shape, name: path)
    var file = try AtomicFile(path: path)
    try file.write(header)
    try tensor.deliver(writing: path) { bytes throws(Diagnostic) in try file.write(bytes) }
    try file.commit()
  }
}

extension NpyArray: CustomStringConvertible {
  /// "x.npy: f32 [2, 3]".
  public var description: String { "\(name): \(dtype) \(shape)" }
}

// One tensor as a weight file holds it: name, shape, encoding and bytes, whatever the file format.
// Not a Tensor: nothing is copied or decoded until asked. Surprise: a shape is outermost axis first, also for GGUF,
// whose headers list the innermost axis first.

import Basics
import Scalars
import TensorTypes

/// A tensor in a weight file.
public struct StoredTensor: Sendable {
  /// How the elements are written.
  public enum Encoding: Sendable, Hashable, CustomStringConvertible {
    /// One after the other, little-endian.
    case dense(DType)
    /// In blocks of quantised values along the last axis.
    case quantized(QuantizedFormat)
    /// Listed in the file but not readable here; the text names the encoding.
    case unsupported(String)

    /// "f16", "Q4_K", or the name of an unsupported encoding.
    public var description: String {
      switch self {
      case .dense(let dtype): dtype.description
      case .quantized(let format): format.name
      case .unsupported(let name): name
      }
    }
  }

  /// The tensor's name in the file.
  public let name: String
  /// Extents, outermost axis first.
  public let shape: [Int]
  /// How the elements are written.
  public let encoding: Encoding
  /// The encoded elements, not copied.
  public let bytes: MappedBytes

  /// Number of elements: the product of ``shape``, checked when the file was opened.
  public var elementCount: Int { shape.reduce(1, *) }

  /// Whether the bytes may be read in place as elements: their address is a multiple of the element size.
  public var isAligned: Bool {
    switch encoding {
    case .dense(let dtype): bytes.isAligned(to: dtype.size)
    case .quantized: bytes.isAligned(to: 2)
    case .unsupported: false
    }
  }

  /// The elements converted to `Float` by the reference decoder: for tests, small tensors and other devices' checks.
  ///
  /// `f64`, `i32` and `i64` elements are rounded to the nearest `Float`.
  /// - Throws: A `.format` ``Basics/Diagnostic`` for an unsupported encoding.
  public func floats() throws(Diagnostic) -> [Float] {
    switch encoding {
    case .unsupported(let encoding): throw unsupported(encoding)
    case .quantized(let format): return bytes.withUnsafeBytes { format.decode($0) }
    case .dense(let dtype): return bytes.withUnsafeBytes { dtype.floats($0) }
    }
  }

  /// The dtype of a dense tensor.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if the tensor is quantised or its encoding unsupported.
  public func denseDType() throws(Diagnostic) -> DType {
    switch encoding {
    case .dense(let dtype): return dtype
    case .quantized(let format):
      throw bytes.file.malformed(
        "tensor '\(name)' is quantised as \(format.name), a plain dtype was expected",
        remedy: "decode it, or use a file with plain weights")
    case .unsupported(let encoding): throw unsupported(encoding)
    }
  }

  private func unsupported(_ encoding: String) -> Diagnostic {
    bytes.file.malformed(
      "tensor '\(name)' is encoded as \(encoding), which is not supported",
      remedy: "convert the file to a supported encoding")
  }
}

extension StoredTensor: CustomStringConvertible {
  /// "blk.0.attn_q.weight: Q4_1 [576, 576]".
  public var description: String { "\(name): \(encoding) \(shape)" }
}

extension DType {
  /// Little-endian elements of this dtype as `Float`s, at any alignment; trailing bytes that fill none are left out.
  func floats(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    func each<Element: BitwiseCopyable>(_ convert: (Element) -> Float) -> [Float] {
      let stride = MemoryLayout<Element>.stride
      return (0..<bytes.count / stride).map {
        convert(bytes.loadUnaligned(fromByteOffset: $0 * stride, as: Element.self))
      }
    }
    return switch self {
    case .bool: each { (element: UInt8) in element == 0 ? 0 : 1 }
    case .u8: each { (element: UInt8) in Float(element) }
    case .i8: each { (element: Int8) in Float(element) }
    case .i16: each { (element: Int16) in Float(element) }
    case .i32: each { (element: Int32) in Float(element) }
    case .i64: each { (element: Int64) in Float(element) }
    case .f16: each { (element: UInt16) in Float(Float16(bitPattern: element)) }
    case .bf16: each { (element: UInt16) in Float(bitPattern: UInt32(element) << 16) }
    case .f32: each { (element: Float) in element }
    case .f64: each { (element: Double) in Float(element) }
    case .u16: each { (element: UInt16) in Float(element) }
    case .u32: each { (element: UInt32) in Float(element) }
    case .u64: each { (element: UInt64) in Float(element) }
    case .f8e4m3fn: each { (element: UInt8) in Float(NarrowFormat.f8e4m3fn.decode(UInt16(element))) }
    case .f8e5m2: each { (element: UInt8) in Float(NarrowFormat.f8e5m2.decode(UInt16(element))) }
    }
  }
}

// One tensor as a weight file holds it: name, shape, encoding and bytes, whatever the file format.
// Not a Tensor: nothing is copied or decoded until asked. Surprise: a shape is outermost axis first, also for GGUF,
// whose headers list the innermost axis first.

import Basics
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
    case .dense(let dtype):
      switch dtype {
      case .bool: return bytes.copied(as: UInt8.self).map { $0 == 0 ? 0 : 1 }
      case .u8: return bytes.copied(as: UInt8.self).map { Float($0) }
      case .i8: return bytes.copied(as: Int8.self).map { Float($0) }
      case .i16: return bytes.copied(as: Int16.self).map { Float($0) }
      case .i32: return bytes.copied(as: Int32.self).map { Float($0) }
      case .i64: return bytes.copied(as: Int64.self).map { Float($0) }
      case .f16: return bytes.copied(as: UInt16.self).map { Float(Float16(bitPattern: $0)) }
      case .bf16: return bytes.copied(as: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
      case .f32: return bytes.copied(as: Float.self)
      case .f64: return bytes.copied(as: Double.self).map { Float($0) }
      }
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

/// Byte and element counts that a hostile header cannot overflow.
enum CheckedSize {
  /// The product of `extents`; nil if one is negative or the product does not fit.
  static func elements(_ extents: [Int]) -> Int? {
    var product = 1
    // An extent of 0 hides an overflow of the others, and the shape's strides would still overflow: refuse both.
    var unsignedProduct = 1
    for extent in extents {
      guard extent >= 0 else { return nil }
      let (next, overflow) = unsignedProduct.multipliedReportingOverflow(by: max(extent, 1))
      guard !overflow else { return nil }
      unsignedProduct = next
      product = extent == 0 ? 0 : product * (extent)
    }
    return product
  }
}

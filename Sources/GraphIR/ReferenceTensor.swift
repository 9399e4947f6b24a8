// A small dense tensor for reference evaluation: exact elements in row-major order. Not the users' Tensor, nor fast.
// Surprise: floats are Doubles that are always values of the dtype; whoever makes one rounds.
import Basics
import Scalars
import TensorTypes

package struct ReferenceTensor: Sendable, Hashable {
  package var dtype: DType
  package var extents: [Int]
  /// In row-major order.
  package var elements: [ScalarValue]

  package init(_ dtype: DType, _ extents: [Int], _ elements: [ScalarValue]) {
    self.dtype = dtype
    self.extents = extents
    self.elements = elements
  }

  /// Reads elements from memory: `strides` and `offset` count elements.
  package init(_ dtype: DType, _ extents: [Int], bytes: [UInt8], strides: [Int], offset: Int = 0) throws(Diagnostic) {
    let count = try Self.elementCount(extents)
    let places = Self.offsets(extents, strides: strides, start: offset)
    let size = dtype.size
    if let wrong = places.first(where: { $0 < 0 || $0 >= bytes.count / size }) {
      throw Diagnostic(.memory, "element \(wrong) of \(bytes.count / size) is outside the tensor's bytes")
    }
    var elements: [ScalarValue] = []
    elements.reserveCapacity(count)
    bytes.withUnsafeBytes { raw in
      guard let base = raw.baseAddress else { return }
      for place in places { elements.append(ScalarReference.load(base + place * size, dtype)) }
    }
    self.init(dtype, extents, elements)
  }

  /// The elements in memory, row-major.
  package var bytes: [UInt8] {
    let size = dtype.size
    return [UInt8](unsafeUninitializedCapacity: elements.count * size) { buffer, count in
      guard let base = UnsafeMutableRawPointer(buffer.baseAddress) else { return }
      for (i, element) in elements.enumerated() { ScalarReference.store(element, base + i * size, dtype) }
      count = elements.count * size
    }
  }

  /// More elements than this are refused: the reference holds 16 bytes for each.
  static let mostElements = 1 << 28

  static func elementCount(_ extents: [Int]) throws(Diagnostic) -> Int {
    var count = 1
    for extent in extents {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      if extent < 0 || overflow || product > mostElements {
        throw Diagnostic(.memory, "\(extents) is no shape that the reference holds: at most \(mostElements) elements")
      }
      count = product
    }
    return count
  }

  package static func contiguousStrides(_ extents: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: extents.count)
    for axis in stride(from: extents.count - 2, through: 0, by: -1) {
      strides[axis] = strides[axis + 1] &* extents[axis + 1]
    }
    return strides
  }

  /// start + the sum of coordinate * stride, for all coordinates in row-major order.
  package static func offsets(_ extents: [Int], strides: [Int], start: Int = 0) -> [Int] {
    var offsets = [start]
    for (extent, stride) in zip(extents, strides) {
      var next: [Int] = []
      next.reserveCapacity(offsets.count * max(0, extent))
      for offset in offsets {
        for i in 0..<max(0, extent) { next.append(offset &+ i &* stride) }
      }
      offsets = next
    }
    return offsets
  }

  /// How an axis cuts the elements: element (outer, k, inner) is at (outer * extent + k) * inner count + inner.
  package func line(_ axis: Int) -> (outer: Int, extent: Int, inner: Int) {
    (extents[..<axis].reduce(1, *), extents[axis], extents[(axis + 1)...].reduce(1, *))
  }
}

// Counts of elements and bytes that a file, an argument or a header claims: the one checked arithmetic of extents.
// Not a shape, and not the memory limit, which is far below. Surprise: an extent of 0 counts as 1 here until the end, so
// that a zero that comes late hides no overflow of the extents before it, which strides and row counts would meet.

/// Products and sums that hostile numbers cannot overflow. What has passed here may be added, and multiplied by the size
/// of an element, without a further look.
package enum CheckedSize {
  /// Most elements, and most bytes, of anything: the bytes of a launch's operands add up to an Int, too.
  package static let most = 1 << 55
  /// The largest extent or position that a compiled function takes as a symbol.
  package static let mostSymbol = 1 << 40
  /// The largest size, stride, padding, dilation or group count of windows: products of two of them are Ints.
  package static let mostWindow = 1 << 31

  /// The product of `extents`; nil if one is negative or the product, without its zeros, is more than a machine addresses.
  package static func elements(_ extents: [Int]) -> Int? { bytes(extents, elementBytes: 1) }

  /// `elementBytes` times the product; nil where that, without the zeros, is more than a machine addresses.
  package static func bytes(_ extents: [Int], elementBytes: Int) -> Int? {
    var product = elementBytes
    var isEmpty = false
    for extent in extents {
      guard extent >= 0 else { return nil }
      isEmpty = isEmpty || extent == 0
      let (next, overflow) = product.multipliedReportingOverflow(by: max(extent, 1))
      guard !overflow, next <= most else { return nil }
      product = next
    }
    return isEmpty ? 0 : product
  }

  /// As above, for elements of `dtype`.
  package static func bytes(_ extents: [Int], _ dtype: DType) -> Int? {
    bytes(extents, elementBytes: dtype.size)
  }

  /// The product; nil for an overflow.
  package static func product(_ a: Int, _ b: Int) -> Int? {
    let (product, overflows) = a.multipliedReportingOverflow(by: b)
    return overflows ? nil : product
  }

  /// As a product, for estimates of work: what is more than `most` is as much.
  package static func work(_ a: Int, _ b: Int) -> Int { Swift.min(product(a, b) ?? most, most) }

  /// The sum; nil for an overflow.
  package static func sum(_ numbers: [Int]) -> Int? {
    var total = 0
    for number in numbers {
      let (sum, overflows) = total.addingReportingOverflow(number)
      if overflows { return nil }
      total = sum
    }
    return total
  }

  /// The whole number of a size that was worked out in floating point; nil where it is none that a tensor can have.
  package static func extent(_ number: Double) -> Int? {
    guard number >= 0, number <= Double(most) else { return nil }
    return Int(number)
  }

  /// An offset or shift whose distance counts only as far as a tensor can reach: what is beyond is as far outside.
  package static func offset(_ offset: Int) -> Int { Swift.min(Swift.max(offset, -most), most) }
}

// Counts of elements and bytes that a file, an argument or a header claims: the one checked product of extents.
// Not a shape. Surprise: an extent of 0 counts as 1 here until the end, so that a zero that comes late hides no overflow
// of the extents before it, which strides and row counts would meet.

/// Products that hostile extents cannot overflow.
package enum CheckedSize {
  /// The product of `extents`; nil if one is negative or the product, without its zeros, does not fit.
  package static func elements(_ extents: some Sequence<Int>) -> Int? { bytes(extents, elementBytes: 1) }

  /// `elementBytes` times the product; nil where that, without the zeros, does not fit.
  package static func bytes(_ extents: some Sequence<Int>, elementBytes: Int) -> Int? {
    var product = elementBytes
    var isEmpty = false
    for extent in extents {
      guard extent >= 0 else { return nil }
      isEmpty = isEmpty || extent == 0
      let (next, overflow) = product.multipliedReportingOverflow(by: max(extent, 1))
      guard !overflow else { return nil }
      product = next
    }
    return isEmpty ? 0 : product
  }

  /// As above, for elements of `dtype`.
  package static func bytes(_ extents: some Sequence<Int>, _ dtype: DType) -> Int? {
    bytes(extents, elementBytes: dtype.size)
  }
}

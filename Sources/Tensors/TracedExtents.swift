// Which symbolic extents a reshape has: found with the help of the sizes at hand, kept where it holds for all sizes.
// Not a guess: what holds at hand only is a guard. Surprise: the graph refuses a reshape whose counts are not proved equal.
import Basics
import TensorTypes

extension Dim {
  /// The number at hand, which is a guard: what is done with it is not known. See ``DimGuard/isRead``.
  package var sizeAtHand: Int {
    get throws(Diagnostic) {
      if let number = knownValue ?? DimObservation.observer?.reads(self) { return number }
      return try value
    }
  }

  /// The number at hand without a word to the capture, for the size of a result whose extent in the graph is this one.
  package var sizeHint: Int {
    get throws(Diagnostic) {
      if let hint { return hint }
      return try value
    }
  }
}

enum TracedExtents {
  /// The extents of a reshape from `source` (sizes `from`) to sizes `to`, of which `wanted` are known.
  static func reshaped(_ source: [Dim], _ from: [Int], to wanted: [Dim?], _ to: [Int]) -> [Dim] {
    if (source + wanted.compactMap { $0 }).allSatisfy({ $0.knownValue != nil }) {
      return zip(wanted, to).map { $0 ?? Dim($1) }
    }
    let found = grouped(source, from, to: wanted, to)
    let total = Shape(source).elementCount
    if Shape(found).elementCount.isIdentical(to: total) { return found }
    // One extent that follows from the others; that it does, and that the counts agree, is a guard.
    let free = wanted.indices.filter { wanted[$0] == nil }
    var result = zip(wanted, to).map { $0 ?? Dim($1) }
    if free.count == 1 {
      let others = Shape(result.indices.filter { $0 != free[0] }.map { result[$0] }).elementCount
      result[free[0]] = total / others
    } else if !free.isEmpty {
      result = found
    }
    _ = Dim.unifies(total, Shape(result).elementCount)
    return result
  }

  private static func grouped(_ source: [Dim], _ from: [Int], to wanted: [Dim?], _ to: [Int]) -> [Dim] {
    var result = zip(wanted, to).map { $0 ?? Dim($1) }
    if from.contains(0) { return result }
    var (i, j) = (0, 0)
    // The shortest groups of axes with equal element counts.
    while i < from.count, j < to.count {
      var (iEnd, jEnd) = (i + 1, j + 1)
      var (a, b) = (from[i], to[j])
      while a != b {
        if a < b, iEnd < from.count {
          a *= from[iEnd]
          iEnd += 1
        } else if jEnd < to.count {
          b *= to[jEnd]
          jEnd += 1
        } else {
          return result
        }
      }
      let dims = group(Array(source[i..<iEnd]), Array(from[i..<iEnd]), Array(wanted[j..<jEnd]), Array(to[j..<jEnd]))
      result.replaceSubrange(j..<jEnd, with: dims)
      (i, j) = (iEnd, jEnd)
    }
    return result
  }

  /// One group: axes whose sizes agree are the same extent, and one that is left takes the quotient.
  private static func group(_ source: [Dim], _ from: [Int], _ wanted: [Dim?], _ to: [Int]) -> [Dim] {
    var free = source.indices.filter { source[$0].knownValue == nil }
    var result = wanted
    for (k, dim) in wanted.enumerated() {
      if let dim, dim.knownValue == nil {
        free.removeAll { source[$0].isIdentical(to: dim) }
      } else if dim == nil,
        let match = free.first(where: { from[$0] == to[k] })
      {
        result[k] = source[match]
        free.removeAll { $0 == match }
      }
    }
    func filled(_ dims: [Dim?]) -> [Dim] { dims.enumerated().map { $1 ?? Dim(to[$0]) } }
    let total = Shape(source).elementCount
    if Shape(filled(result)).elementCount.isIdentical(to: total) { return filled(result) }
    let split = factored(free.map { source[$0] }, result, to)
    if Shape(filled(split)).elementCount.isIdentical(to: total) { return filled(split) }
    // The extent that makes the counts equal, if there is one.
    for k in result.indices where wanted[k] == nil {
      let others = result.indices.filter { $0 != k }.map { result[$0] ?? Dim(to[$0]) }
      let quotient = total / Shape(others).elementCount
      if (quotient * Shape(others).elementCount).isIdentical(to: total) {
        return result.enumerated().map { $0 == k ? quotient : $1 ?? Dim(to[$0]) }
      }
    }
    return filled(result)
  }

  /// Axes that were merged come apart again: each free extent takes the factors whose product is its size.
  private static func factored(_ sources: [Dim], _ result: [Dim?], _ to: [Int]) -> [Dim?] {
    var factors = sources.flatMap(\.factors).compactMap { dim in dim.hint.map { (dim: dim, size: $0) } }
    var result = result
    // So many factors that trying all of their sets is nothing.
    guard factors.count <= 8 else { return result }
    for k in result.indices where result[k] == nil && to[k] > 1 {
      let sets = (1..<(1 << factors.count)).sorted { ($0.nonzeroBitCount, $0) < ($1.nonzeroBitCount, $1) }
      func chosen(_ set: Int) -> [Int] { factors.indices.filter { set >> $0 & 1 == 1 } }
      guard let set = sets.first(where: { chosen($0).reduce(1) { $0 * factors[$1].size } == to[k] }) else { continue }
      result[k] = Shape(chosen(set).map { factors[$0].dim }).elementCount
      for i in chosen(set).reversed() { factors.remove(at: i) }
    }
    return result
  }
}

extension Dim {
  /// The factors of a product.
  fileprivate var factors: [Dim] {
    if case .binary(.multiply, let a, let b)? = expression { return a.factors + b.factors }
    return [self]
  }
}

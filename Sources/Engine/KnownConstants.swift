// Large constants that one function's captures have met, so that a constant which is made anew each time is one and the same.
// Not a copy of them: what no plan holds any more is forgotten. Surprise: candidates are found by their first elements,
// and compared whole only where those are equal but the memory is another.
import Basics
import Execution
import GraphIR
import Synchronization
import TensorTypes

package final class KnownConstants: Sendable {
  private struct Entry {
    weak var storage: Storage?
    let offset: Int
  }
  private let entries = Mutex<[StableHash: [Entry]]>([:])

  package init() {}

  /// The constant with the elements of `view` that was met first; smaller ones are known by their elements anyway.
  func first(_ view: TensorView) -> TensorView {
    guard view.elementCount * view.dtype.size > TensorView.comparedBytes else { return view }
    let key = view.sampled
    return entries.withLock { entries in
      for entry in entries[key] ?? [] {
        guard let storage = entry.storage else { continue }
        var known = view
        (known.storage, known.offset) = (storage, entry.offset)
        if known.hasSameElements(as: view) { return known }
      }
      entries[key] =
        (entries[key] ?? []).filter { $0.storage != nil } + [Entry(storage: view.storage, offset: view.offset)]
      if entries.count > 1024 {
        entries = entries.compactMapValues { list in list.contains { $0.storage != nil } ? list : nil }
      }
      return view
    }
  }
}

extension TensorView {
  /// Bytes up to which a constant is known by its content: a function makes small ones anew each time it runs.
  package static let comparedBytes = 4096

  /// Of the layout and of the first elements: those behind them may lie in pages of a file that nobody has read yet.
  fileprivate var sampled: StableHash {
    var hash = StableHash()
    hash.combine("\(dtype)")
    hash.combine(hints)
    hash.combine(strides)
    for number in 0..<Swift.min(elementCount, 16) {
      hash.combine(UnsafeRawBufferPointer(start: base + place(number) * dtype.size, count: dtype.size))
    }
    return hash
  }

  /// Elements from the first to number `number` of the row-major order.
  private func place(_ number: Int) -> Int {
    var (rest, place) = (number, 0)
    for axis in extents.indices.reversed() {
      place += rest % extents[axis] * strides[axis]
      rest /= extents[axis]
    }
    return place
  }

  /// The elements in row-major order, run by run.
  package func forEachRun(_ body: (UnsafeRawBufferPointer) -> Void) {
    var views = [self]
    coalesce(&views)
    views[0].walk(views[0], axis: 0) { own, _, count in
      body(UnsafeRawBufferPointer(start: own, count: count))
      return true
    }
  }

  /// The same memory, or equal bytes in the same order.
  package func hasSameElements(as other: TensorView) -> Bool {
    guard dtype == other.dtype, extents == other.extents else { return false }
    if storage === other.storage, offset == other.offset, strides == other.strides { return true }
    var views = [self, other]
    coalesce(&views)
    return views[0].walk(views[1], axis: 0) { a, b, count in
      UnsafeRawBufferPointer(start: a, count: count).elementsEqual(UnsafeRawBufferPointer(start: b, count: count))
    }
  }

  /// Runs of bytes that are dense in both views, from `axis` inwards; false at once where `body` says so.
  @discardableResult
  private func walk(
    _ other: TensorView, axis: Int, _ a: Int = 0, _ b: Int = 0,
    _ body: (UnsafeRawPointer, UnsafeRawPointer, Int) -> Bool
  ) -> Bool {
    let size = dtype.size
    guard axis < rank else { return elementCount == 0 || body(base + a * size, other.base + b * size, size) }
    let count = extents[axis]
    if axis == rank - 1, strides[axis] == 1, other.strides[axis] == 1 {
      return elementCount == 0 || body(base + a * size, other.base + b * size, count * size)
    }
    for i in 0..<count
    where !walk(other, axis: axis + 1, a + i * strides[axis], b + i * other.strides[axis], body) {
      return false
    }
    return true
  }
}

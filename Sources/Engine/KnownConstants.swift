// Large constants that one function's captures have met, so that a constant which is made anew each time is one and the same.
// Not a copy of them: what no plan holds any more is forgotten. Surprise: elements are looked at only where constants of
// equal layout lie in different memory, and compared whole only where the first ones are equal. Weights are views of one
// file's mapping: a capture that sampled them would wait for a page of each.
import Basics
import Execution
import Synchronization
import TensorTypes

package final class KnownConstants: Sendable {
  fileprivate struct Layout: Hashable {
    let dtype: DType
    let extents: [Int]
    let strides: [Int]
  }
  fileprivate struct State {
    var blocks: [Layout: [KeptConstants]] = [:]
    var count = 0
  }
  private let state = Mutex(State())

  package init() {}

  /// The constant with the elements of `view` that was met first; smaller ones are known by their elements anyway.
  func first(_ view: TensorView) -> TensorView {
    guard view.elementCount * view.dtype.size > TensorView.comparedBytes else { return view }
    return state.withLock { $0.first(view) }
  }
}

/// Constants of one layout whose memory one object keeps. Weakly: of a file that is one reference for all weights, whose
/// own storages stay quick to count. Samples are of the first elements, once somebody asked.
private final class KeptConstants {
  weak var keeper: AnyObject?
  var constants: [(bytes: UnsafeMutableRawBufferPointer, offset: Int, sample: StableHash?)] = []

  init(_ keeper: AnyObject) { self.keeper = keeper }
}

extension KnownConstants.State {
  fileprivate mutating func first(_ view: TensorView) -> TensorView {
    let layout = KnownConstants.Layout(dtype: view.dtype, extents: view.extents, strides: view.strides)
    let keeper = view.storage.keeper
    let candidates = blocks[layout] ?? []
    let own = candidates.first { $0.keeper === keeper }
    if let own,
      own.constants.contains(where: {
        $0.bytes.baseAddress == view.storage.address && $0.offset == view.offset
      })
    {
      return view
    }
    // Two places of one memory were not made anew: both last as long as it does.
    var sample: StableHash?
    for block in candidates where block !== own {
      guard let keeper = block.keeper else { continue }
      if sample == nil { sample = view.sampled }
      for i in block.constants.indices {
        var known = view
        known.storage = .kept(by: keeper, UnsafeRawBufferPointer(block.constants[i].bytes), device: view.storage.device)
        known.offset = block.constants[i].offset
        if block.constants[i].sample == nil { block.constants[i].sample = known.sampled }
        if block.constants[i].sample == sample, known.hasSameElements(as: view) { return known }
      }
    }
    let block = own ?? KeptConstants(keeper)
    block.constants.append((view.storage.bytes, view.offset, sample))
    if own == nil {
      blocks[layout, default: []].append(block)
      count += 1
      if count > 1024 { forgetWhatIsGone() }
    }
    return view
  }

  private mutating func forgetWhatIsGone() {
    blocks = blocks.compactMapValues { list in
      let left = list.filter { $0.keeper != nil }
      return left.isEmpty ? nil : left
    }
    count = 0
  }
}

extension TensorView {
  /// Bytes up to which a constant is known by its content: a function makes small ones anew each time it runs.
  package static let comparedBytes = 4096

  /// Of the first elements: those behind them may lie in pages of a file that nobody has read yet.
  fileprivate var sampled: StableHash {
    var hash = StableHash()
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
    // Where both repeat, once is enough: such an axis may be as long as there are numbers.
    for axis in hints.indices where hints[axis] > 1 && strides[axis] == 0 && other.strides[axis] == 0 {
      for i in views.indices { views[i].hints[axis] = 1 }
    }
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

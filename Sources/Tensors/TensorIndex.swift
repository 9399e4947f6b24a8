// What may stand in `x[...]`: integers, ranges, strides, a new axis, `...`, and tensors of positions or masks.
// Not the look-up itself (Tensor+Indexing). Surprise: `..<(-1)` counts from the end; `2 ..< -1` would trap in Swift, so
// `.slice(2, -1)` says it.
import Basics
import TensorTypes

/// One place of a subscript.
public enum TensorIndex: Sendable {
  case at(Dim)
  /// From `start` (nil: the beginning) to before `end` (nil: the end), every `step`-th.
  case range(start: Dim?, end: Dim?, step: Int)
  case insertedAxis
  case ellipsis
  /// Positions (integers) or a mask (bool).
  case tensor(Tensor)
  case nothing

  var positions: Tensor? { if case .tensor(let tensor) = self { tensor } else { nil } }
}

/// A type that may stand in `x[...]`.
public protocol TensorIndexable: Sendable {
  var tensorIndex: TensorIndex { get }
}

extension TensorIndex: TensorIndexable {
  public var tensorIndex: TensorIndex { self }
}
extension Int: TensorIndexable { public var tensorIndex: TensorIndex { .at(Dim(self)) } }
extension Dim: TensorIndexable { public var tensorIndex: TensorIndex { .at(self) } }
extension Range: TensorIndexable where Bound == Int {
  public var tensorIndex: TensorIndex { .range(start: Dim(lowerBound), end: Dim(upperBound), step: 1) }
}
extension ClosedRange: TensorIndexable where Bound == Int {
  public var tensorIndex: TensorIndex { .range(start: Dim(lowerBound), end: .following(upperBound), step: 1) }
}
extension PartialRangeFrom: TensorIndexable where Bound == Int {
  public var tensorIndex: TensorIndex { .range(start: Dim(lowerBound), end: nil, step: 1) }
}
extension PartialRangeUpTo: TensorIndexable where Bound == Int {
  public var tensorIndex: TensorIndex { .range(start: nil, end: Dim(upperBound), step: 1) }
}
extension PartialRangeThrough: TensorIndexable where Bound == Int {
  public var tensorIndex: TensorIndex {
    .range(start: nil, end: upperBound == -1 ? nil : .following(upperBound), step: 1)
  }
}
extension StrideTo: TensorIndexable where Element == Int {
  public var tensorIndex: TensorIndex { .walking(self, isClosed: false) }
}
extension StrideThrough: TensorIndexable where Element == Int {
  public var tensorIndex: TensorIndex { .walking(self, isClosed: true) }
}
extension Tensor: TensorIndexable { public var tensorIndex: TensorIndex { .tensor(self) } }
extension Array: TensorIndexable where Element == Int {
  public var tensorIndex: TensorIndex { .tensor(Tensor(self)) }
}

extension Dim {
  /// The place behind `place`; there is none behind the last Int, which is far outside anyway.
  fileprivate static func following(_ place: Int) -> Dim { Dim(place == .max ? place : place + 1) }
}

extension TensorIndex {
  /// The places of a Swift stride, which may be more than anybody can count: its bounds are read, not its elements.
  fileprivate static func walking(_ places: some Sequence<Int>, isClosed: Bool) -> TensorIndex {
    let numbers = Mirror(reflecting: places).children.compactMap { $0.value as? Int }
    var iterator = places.makeIterator()
    guard numbers.count == 3, let first = iterator.next() else { return .range(start: 0, end: 0, step: 1) }
    guard iterator.next() != nil else { return .range(start: Dim(first), end: Dim(first) + 1, step: 1) }
    let (end, step) = (numbers[1], numbers[2])
    // The distance as a magnitude, which always fits.
    let distance = step > 0 ? UInt(bitPattern: end &- first) : UInt(bitPattern: first &- end)
    let most = isClosed ? distance / step.magnitude : (distance - 1) / step.magnitude
    if step > 0 {
      let last = first &+ Int(truncatingIfNeeded: most) &* step
      return .range(start: Dim(first), end: .following(last), step: step)
    }
    let count = most < UInt(Int.max) ? Int(most) + 1 : Int.max
    return .tensor(
      Tensor.attempt(#fileID, #line, of: []) { () throws(Diagnostic) in try Tensor.table(count) { first &+ $0 &* step }
      })
  }
}

extension TensorIndexable where Self == TensorIndex {
  /// An axis of extent 1. PyTorch: `None`.
  public static var newAxis: TensorIndex { .insertedAxis }
  /// The whole axis. PyTorch: `:`.
  public static var all: TensorIndex { .range(start: nil, end: nil, step: 1) }
  /// From `start` to before `end`, every `step`-th; negative bounds count from the end. PyTorch: `start:end:step`.
  public static func slice(_ start: Int?, _ end: Int?, by step: Int = 1) -> TensorIndex {
    .range(start: start.map { Dim($0) }, end: end.map { Dim($0) }, step: step)
  }
}

/// From one ``Dim`` to before another. Asks nothing and never traps.
public struct DimRange: Sendable, TensorIndexable {
  public var start: Dim
  public var end: Dim
  public init(_ start: Dim, _ end: Dim) {
    self.start = start
    self.end = end
  }
  public var tensorIndex: TensorIndex { .range(start: start, end: end, step: 1) }
}

extension Dim {
  // Disfavoured: of two literals, `0..<3` stays a Range<Int>.
  @_disfavoredOverload
  public static func ..< (start: Dim, end: Dim) -> DimRange { DimRange(start, end) }
  @_disfavoredOverload
  public static func ..< (start: Int, end: Dim) -> DimRange { DimRange(Dim(start), end) }
  @_disfavoredOverload
  public static func ..< (start: Dim, end: Int) -> DimRange { DimRange(start, Dim(end)) }
}

@available(*, unavailable, message: "loop over `0..<(try dim.value)` (a guard), or use scan/map")
extension DimRange: Sequence {
  public func makeIterator() -> AnyIterator<Int> { AnyIterator { nil } }
}

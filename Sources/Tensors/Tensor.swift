// The user's tensor: a Sendable struct with value semantics; dtype and shape are run-time properties.
// Not a view into somebody else's data: slices share memory until one side writes.
// Surprise: a wrong operation gives a *failed* tensor that carries the first diagnostic to the next throwing call.
import Basics
import Engine
import Execution
import TensorTypes

/// A rectangular array of elements of one dtype.
///
/// Operations are eager: each line has a value when it returns. Values leave a tensor only through throwing calls
/// such as ``item(as:file:line:)`` and ``array(as:file:line:)``; there is no conversion to `Bool` or `Int`.
public struct Tensor: Sendable {
  package var body: TensorBody

  package init(_ view: TensorView) { body = TensorBody(view) }

  /// A tensor that carries `diagnostic` until a throwing boundary.
  package init(failure diagnostic: Diagnostic) {
    if Knobs.current.strict { stopForDebugger(diagnostic) }
    // A compiled call throws it, whatever the function does with this tensor.
    Trace.current?.note(diagnostic)
    body = TensorBody(failure: diagnostic)
  }

  /// The window on memory, or the mistake that made this tensor.
  package var view: TensorView {
    get throws(Diagnostic) {
      if let failure = body.failure { throw failure }
      return body.view
    }
  }

  /// The first mistake on the way to this tensor; nil for a good one.
  public var failure: Diagnostic? { body.failure }

  /// The type of the elements; f32 for a failed tensor.
  public var dtype: DType { body.view.dtype }

  /// The extents, outermost axis first. A failed tensor has the empty shape.
  public var shape: TensorShape {
    let view = body.view
    return TensorShape(view.hints, symbolic: view.hasMemory ? nil : view.dims, failure: body.failure)
  }

  /// The number of axes.
  public var rank: Int { body.view.rank }

  /// The number of elements.
  public var elementCount: Dim {
    if let failure = body.failure { return .failed(failure) }
    return body.view.hasMemory ? Dim(body.view.hints.reduce(1, *)) : Shape(body.view.dims).elementCount
  }

  /// Runs `make`; a thrown diagnostic becomes a failed tensor located at the caller.
  ///
  /// - Parameter operands: those that the caller gave. Where one had failed already its mistake is the first, whatever else
  ///   is wrong: other arguments may be wrong only because of it. Asked for when something failed.
  @inline(__always)
  package static func attempt(
    _ file: StaticString, _ line: UInt, of operands: @autoclosure () -> [Tensor?],
    _ make: () throws(Diagnostic) -> Tensor
  ) -> Tensor {
    do {
      let made = try make()
      return made.body.isFailed ? made.located(of: operands(), file, line) : made
    } catch {
      return failed(error, of: operands(), file, line)
    }
  }

  @inline(never)
  private static func failed(
    _ error: Diagnostic, of operands: [Tensor?], _ file: StaticString, _ line: UInt
  ) -> Tensor {
    failed(firstFailure(operands) ?? error, file, line)
  }

  static func firstFailure(_ operands: [Tensor?]) -> Diagnostic? {
    operands.lazy.compactMap { $0?.failure }.first
  }

  @inline(never)
  package static func failed(_ error: Diagnostic, _ file: StaticString, _ line: UInt) -> Tensor {
    Tensor(failure: located(error, file, line))
  }

  /// With the caller's place, where it has none or one of this library: an operation that is made of others need not tell
  /// each of them who called.
  package static func located(_ error: Diagnostic, _ file: StaticString, _ line: UInt) -> Diagnostic {
    if !error.namesLibrary, error.location != nil || error.origin != nil { return error }
    var located = error
    (located.location, located.origin) = (.init(file: "\(file)", line: line), nil)
    return located
  }

  /// A failed tensor with the caller's place instead of one in this library.
  @inline(never)
  private func located(of operands: [Tensor?], _ file: StaticString, _ line: UInt) -> Tensor {
    guard let failure else { return self }
    let first = Self.firstFailure(operands) ?? failure
    return first.namesLibrary || first != failure ? Tensor.failed(first, file, line) : self
  }

  /// As `attempt`, for several results that fail together: one that failed by itself is the failure of all.
  ///
  /// - Parameter tensors: those of a result.
  package static func attemptAll<T>(
    _ file: StaticString, _ line: UInt, of operands: @autoclosure () -> [Tensor?], onFailure: (Tensor) -> T,
    tensors: (T) -> [Tensor], _ make: () throws(Diagnostic) -> T
  ) -> T {
    do {
      let made = try make()
      let failure = tensors(made).lazy.compactMap(\.failure).first
      return failure.map { onFailure(failed($0, of: operands(), file, line)) } ?? made
    } catch {
      return onFailure(failed(error, of: operands(), file, line))
    }
  }
}

extension Tensor {
  /// What a composition of several launches makes of this tensor: between them nothing is rounded to a half type and no
  /// integer wraps. Rounded once, to `result`; nil: to this tensor's floating dtype.
  func roundedOnce(
    to result: DType? = nil, _ compose: (Tensor) throws(Diagnostic) -> Tensor
  ) throws(Diagnostic) -> Tensor {
    let own = try view.dtype
    // What is only stored is refused by the first operation.
    let wide: DType = own.isStorageOnly ? own : own.isFloating ? own.computeDType : .f64
    return try compose(converted(to: wide)).converted(to: result ?? own.floatingResult)
  }
}

/// The heap part of a tensor. @unchecked Sendable: `view` is written only by a holder that is its only reference.
package final class TensorBody: @unchecked Sendable {
  // Who writes is the only holder, so there is no overlap to look for at run time.
  @exclusivity(unchecked) package fileprivate(set) var view: TensorView
  package let failure: Diagnostic?
  /// Elements are in row-major order without gaps. Every call of a compiled function asks, so it is worked out once.
  package let isRowMajor: Bool
  /// Asking `failure` itself would copy it.
  fileprivate let isFailed: Bool
  /// A failed tensor's memory: none.
  private static let nothing = Storage(borrowing: UnsafeRawBufferPointer(start: nil, count: 0), owner: Nobody())

  init(_ view: TensorView) {
    self.view = view
    isRowMajor = view.isContiguous
    failure = nil
    isFailed = false
  }

  init(failure: Diagnostic) {
    self.failure = failure
    isFailed = true
    isRowMajor = true
    view = TensorView(Self.nothing, .f32, extents: [])
  }

  /// True if nobody else reads the storage, so that it may be written in place.
  func holdsStorageAlone() -> Bool { view.holdsMemoryAlone() }

  /// Whether this is a good tensor in memory, of that dtype and these extents; a negative extent stands for any from 2 on.
  package func fits(_ dtype: DType, _ extents: UnsafeBufferPointer<Int>) -> Bool {
    guard view.dtype == dtype, view.hints.count == extents.count, view.hasMemory, !isFailed else {
      return false
    }
    return view.hints.withUnsafeBufferPointer { given in
      for axis in 0..<given.count where given[axis] != extents[axis] && (extents[axis] >= 0 || given[axis] < 2) {
        return false
      }
      return true
    }
  }

  /// Where the elements are, if they are row-major.
  package var contiguousAddress: UnsafeMutableRawPointer? { isRowMajor ? view.base : nil }
}

extension Tensor {
  /// Makes this tensor the only holder of its memory, copying the elements if somebody shares it.
  package mutating func makeUnique() throws(Diagnostic) {
    if let failure = body.failure { throw failure }
    // The view must not be held here: it would be the second holder.
    if mayBeWritten { return }
    self = try Tensor(body.view).contiguousCopy()
  }

  /// Nobody else reads the memory, and no element is there twice.
  package var mayBeWritten: Bool {
    mutating get {
      guard body.failure == nil, isKnownUniquelyReferenced(&body), body.holdsStorageAlone() else { return false }
      // Inside `compile` memory is a constant of the plan: what is written is a copy of it.
      return body.view.elementsAreDistinct && (!body.view.hasMemory || Trace.current == nil)
    }
  }
}

@inline(never) private func stopForDebugger(_ diagnostic: Diagnostic) {
  preconditionFailure("AZULEJO_STRICT: \(diagnostic)")
}

/// The extents of a tensor. `shape[i]` is a ``Dim``; an axis outside the rank gives a failed one.
public struct TensorShape: Sendable, Hashable, CustomStringConvertible {
  /// At hand: for messages.
  private let extents: [Int]
  /// The extents as a capture knows them.
  private let symbolic: [Dim]?
  private let failure: Diagnostic?

  package init(_ extents: [Int], symbolic: [Dim]? = nil, failure: Diagnostic? = nil) {
    self.extents = extents
    self.symbolic = symbolic
    self.failure = failure
  }

  public var rank: Int { extents.count }

  /// The extent of `axis`; negative axes count from the end.
  public subscript(axis: Int) -> Dim {
    if let failure { return .failed(failure) }
    let index = axis < 0 ? axis + extents.count : axis
    guard extents.indices.contains(index) else {
      return .failed(Diagnostic(.index, "axis \(axis) is outside the rank \(extents.count) of shape \(self)"))
    }
    return symbolic?[index] ?? Dim(extents[index])
  }

  public var dims: [Dim] { failure.map { [.failed($0)] } ?? symbolic ?? extents.map { Dim($0) } }

  /// Whether rank and extents are the same. Inside `compile` the answer is a guard.
  public static func == (a: TensorShape, b: TensorShape) -> Bool {
    a.extents.count == b.extents.count && a.failure == b.failure && a.dims == b.dims
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(failure)
    hasher.combine(dims)
  }

  /// "[2, 3]". Inside `compile` that is a guard, as the text of each ``Dim`` is.
  public var description: String { symbolic.map { Shape($0).description } ?? "\(extents)" }
}

private final class Nobody: Sendable {}

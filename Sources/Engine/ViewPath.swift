// How a view's elements are reached while a function is captured: a cell of the trace, and the steps from it to the view.
// Not memory: reading it appends the steps to the trace's graph. Surprise: a repeated axis has the extent 1 here until an
// operation knows how far it is to be repeated.
import Basics
import GraphIR
import TensorTypes

/// What stands in for a storage in a trace: the value it holds changes when it is written.
package final class TracedCell: Sendable {
  package let trace: Trace
  let id: Int

  init(_ trace: Trace, _ id: Int) {
    self.trace = trace
    self.id = id
  }

  deinit { trace.forget(id) }
}

/// One reindexing on the way from a cell to a view.
package enum ViewStep: Sendable {
  case permute([Int])
  /// On `axis`: start, start + step, ...; `count` of them. A negative step walks back.
  case slice(axis: Int, start: Dim, count: Dim, step: Int)
  case insert(axis: Int)
  /// An axis of extent 1.
  case remove(axis: Int)
  case reshape([Dim])
  /// Axes of extent 1 and missing leading axes repeat.
  case broadcast([Dim])
  case windows(axis: Int, size: Int, step: Int, dilation: Int)
  /// The elements [i, i] of two axes, as a last axis of extent `count`.
  case diagonal(Int, Int, count: Dim)
}

/// An immutable path to the elements of a cell.
package final class ViewPath: Sendable {
  package let cell: TracedCell
  let steps: [ViewStep]
  /// No extent of it is a symbol, whatever is written to the cell.
  private let isFixed: Bool

  init(_ cell: TracedCell, _ steps: [ViewStep] = [], isFixed: Bool = false) {
    self.cell = cell
    self.steps = steps
    self.isFixed = isFixed || !cell.trace.hasSymbols
  }

  package func adding(_ step: ViewStep) -> ViewPath {
    ViewPath(cell, steps + [step], isFixed: isFixed && step.isFixed)
  }

  /// Somebody reads the extents as numbers.
  @usableFromInline package func readSizes() {
    if !isFixed { cell.trace.readSizes(of: self) }
  }

  @usableFromInline package func readSize(_ axis: Int) {
    if !isFixed { cell.trace.readSizes(of: self, axis) }
  }

  /// The extents, known or symbolic; 1 on axes that repeat.
  package var dims: [Dim] { cell.trace.dims(of: self) }
}

extension ViewStep {
  /// It brings in no symbol.
  fileprivate var isFixed: Bool {
    switch self {
    case .permute, .insert, .remove, .windows: true
    case .slice(_, _, let count, _), .diagonal(_, _, let count): count.knownValue != nil
    case .reshape(let dims), .broadcast(let dims): dims.allSatisfy { $0.knownValue != nil }
    }
  }

  /// The view has every element.
  var keepsAll: Bool {
    switch self {
    case .permute, .insert, .remove: true
    case .slice, .reshape, .broadcast, .windows, .diagonal: false
    }
  }

  /// With every extent as `known` has it.
  func renamed(_ known: (Dim) -> Dim) -> ViewStep {
    switch self {
    case .permute, .insert, .remove, .windows: self
    case .slice(let axis, let start, let count, let step):
      .slice(axis: axis, start: known(start), count: known(count), step: step)
    case .reshape(let dims): .reshape(dims.map(known))
    case .broadcast(let dims): .broadcast(dims.map(known))
    case .diagonal(let a, let b, let count): .diagonal(a, b, count: known(count))
    }
  }

  /// The extents after the step.
  func apply(_ dims: [Dim]) -> [Dim] {
    var result = dims
    switch self {
    case .permute(let order): return order.map { dims[$0] }
    case .slice(let axis, _, let count, _): result[axis] = count
    case .insert(let axis): result.insert(1, at: axis)
    case .remove(let axis): result.remove(at: axis)
    case .reshape(let target), .broadcast(let target): return target
    case .windows(let axis, let size, let step, let dilation):
      result[axis] = (dims[axis] - ((size - 1) * dilation + 1)) / step + 1
      result.append(Dim(size))
    case .diagonal(let a, let b, let count):
      for axis in [a, b].sorted().reversed() { result.remove(at: axis) }
      result.append(count)
    }
    return result
  }

  func apply(_ value: Value, _ builder: inout GraphBuilder) throws(Diagnostic) -> Value {
    let shape = builder.shape(value)
    let target = Shape(apply(shape.dims))
    switch self {
    case .permute(let order):
      return order == Array(order.indices) ? value : try builder.append(.permute(order), value)
    case .slice(let axis, let start, let count, let step):
      if start.isKnown(0), step == 1, count.isIdentical(to: shape[axis]) { return value }
      var starts = [Dim](repeating: 0, count: shape.rank)
      var steps = [Int](repeating: 1, count: shape.rank)
      (starts[axis], steps[axis]) = (start, step)
      return try builder.append(.slice(starts: starts, counts: target.dims, steps: steps), value)
    case .insert, .remove, .reshape: return shape == target ? value : try builder.append(.reshape(target), value)
    case .broadcast: return try builder.broadcast(value, target)
    case .windows(let axis, let size, let step, let dilation):
      return try builder.append(.windows(axis: axis, size: size, step: step, dilation: dilation), value)
    case .diagonal(let a, let b, let count):
      return try Self.diagonal(value, a, b, count, &builder)
    }
  }

  /// Row-major positions of the two axes made one: the diagonal is every (n + 1)-th of them.
  private static func diagonal(
    _ value: Value, _ a: Int, _ b: Int, _ count: Dim, _ builder: inout GraphBuilder
  ) throws(Diagnostic) -> Value {
    let shape = builder.shape(value)
    let rest = (0..<shape.rank).filter { $0 != a && $0 != b }
    let last = try ViewStep.permute(rest + [a, b]).apply(value, &builder)
    let (rows, columns) = (shape[a], shape[b])
    let lead = rest.map { shape[$0] }
    let flat = try ViewStep.reshape(lead + [rows * columns]).apply(last, &builder)
    var starts = [Dim](repeating: 0, count: lead.count + 1)
    var steps = [Int](repeating: 1, count: lead.count + 1)
    guard let width = columns.knownValue else {
      throw Diagnostic(
        .compiler, "diagonal: the extent \(columns) of axis \(b) is symbolic", remedy: "give the axis a fixed extent")
    }
    (starts[lead.count], steps[lead.count]) = (0, width + 1)
    return try builder.append(.slice(starts: starts, counts: lead + [count], steps: steps), flat)
  }

  /// `base` with `update` in the place that `steps` lead to. Without a base the update is all of it, rearranged.
  static func written(
    _ update: Value, at steps: [ViewStep], of base: Value?, _ builder: inout GraphBuilder
  ) throws(Diagnostic) -> Value {
    var bases: [Value?] = [base]
    for step in steps {
      bases.append(try bases[bases.count - 1].map { base throws(Diagnostic) in try step.apply(base, &builder) })
    }
    var result = update
    for (step, base) in zip(steps, bases).reversed() {
      if let base {
        result = try step.write(result, into: base, &builder)
      } else {
        result = try step.undone(result, &builder)
      }
    }
    return result
  }

  /// What `value` is of, where the step keeps every element.
  private func undone(_ value: Value, _ builder: inout GraphBuilder) throws(Diagnostic) -> Value {
    switch self {
    case .permute(let order):
      var inverse = order
      for (axis, from) in order.enumerated() { inverse[from] = axis }
      return try ViewStep.permute(inverse).apply(value, &builder)
    case .insert(let axis): return try ViewStep.remove(axis: axis).apply(value, &builder)
    case .remove(let axis): return try ViewStep.insert(axis: axis).apply(value, &builder)
    case .slice, .reshape, .broadcast, .windows, .diagonal:
      throw Diagnostic(.compiler, "a part of a tensor is written before the rest has a value")
    }
  }

  /// `base` with `update` in the place that this step reads.
  private func write(
    _ update: Value, into base: Value, _ builder: inout GraphBuilder
  ) throws(Diagnostic) -> Value {
    let dims = builder.shape(base).dims
    switch self {
    case .permute: return try undone(update, &builder)
    case .insert, .remove, .reshape: return try ViewStep.reshape(dims).apply(update, &builder)
    case .slice(let axis, let start, let count, let step):
      var starts = [Dim](repeating: 0, count: dims.count)
      var steps = [Int](repeating: 1, count: dims.count)
      (starts[axis], steps[axis]) = (start, step)
      if start.isKnown(0), step == 1, count.isIdentical(to: dims[axis]) { return update }
      return try builder.append(.assign(starts: starts, steps: steps), base, update)
    case .diagonal(let a, let b, _):
      let shape = Shape(dims)
      // The update lies along `b`; `a` has the same coordinate wherever it counts.
      let rest = (0..<dims.count).filter { $0 != a && $0 != b }
      var order = Array(rest.indices)
      order.insert(rest.count, at: rest.filter { $0 < b }.count)
      let along = try ViewStep.permute(order).apply(update, &builder)
      let spread = try ViewStep.broadcast(dims).apply(ViewStep.insert(axis: a).apply(along, &builder), &builder)
      let (row, column) = (try builder.append(.iota(axis: a, shape), []), try builder.append(.iota(axis: b, shape), []))
      return try builder.append(.select, builder.append(.equal, row, column), spread, base)
    case .broadcast, .windows:
      throw Diagnostic(
        .compiler, "a compiled function writes through a view that has no inverse",
        remedy: "write to ranges, or compute the whole tensor")
    }
  }
}

// The way of operations along exactly one axis: scans, positions of extremes, sorting orders, gathers and scatters.
// Not the users' functions. Surprise: all other axes are merged as far as strides allow, so one program serves most
// shapes.
import Basics
import Engine
import GraphIR
import Scalars
import TensorTypes

enum AxisPrograms {
  private static let table = ProgramTable()
  /// Labels of the walked axis, beyond those of all other axes.
  private static let axisLabel = 100

  /// Drops other axes of extent 1 and merges neighbours that every view walks without a gap; gives the axis' new place.
  static func merge(_ views: inout [TensorView], axis: Int) -> Int {
    // A capture keeps the axes as they are.
    if Trace.current != nil { return axis }
    let extents = views[0].hints
    var kept: [Int] = []
    var merged: [Int] = []
    for i in extents.indices where i == axis || extents[i] != 1 {
      if let last = kept.last, i != axis, last != axis,
        views.allSatisfy({ $0.strides[last] == $0.strides[i] * extents[i] })
      {
        kept[kept.count - 1] = i
        merged[merged.count - 1] *= extents[i]
      } else {
        kept.append(i)
        merged.append(extents[i])
      }
    }
    let place = kept.firstIndex(of: axis) ?? 0
    for v in views.indices {
      let (strides, own) = (views[v].strides, views[v].hints[axis])
      views[v].strides = kept.map { strides[$0] }
      views[v].hints = merged
      views[v].hints[place] = own
    }
    return place
  }

  private static func labels(_ rank: Int, _ axis: Int, _ group: Int) -> [Int] {
    (0..<rank).map { $0 == axis ? axisLabel + group : $0 }
  }

  /// `primitive` keeps the shape; computed in `compute`, given in `result`.
  static func scan(
    _ name: String, _ source: TensorView, axis: Int, compute: DType, result: DType,
    _ body: @escaping @Sendable (inout GraphBuilder, Value, Int) throws(Diagnostic) -> Value
  ) throws(Diagnostic) -> Tensor {
    try source.dtype.requireArithmetic(name)
    let output = try Engine.current.allocate(result, like: source)
    var views = [source, output]
    let place = merge(&views, axis: axis)
    let rank = views[0].rank
    let program = table.program("\(name) \(place)/\(rank) \(compute) \(result)") {
      Program("\(name) \(compute) \(place)/\(rank)", operation: name, axes: [labels(rank, place, 0)]) {
        builder, values throws(Diagnostic) in
        let x = try builder.convert(values[0], to: compute)
        return [try body(&builder, x, place)]
      }
    }
    _ = try Engine.current.run(program, [.tensor(views[0])], [.existing(views[1])])
    return Tensor(output)
  }

  /// The position (i64) of the extreme; the axis is dropped.
  static func argReduce(_ monoid: ArgMonoid, _ source: TensorView, axis: Int) throws(Diagnostic) -> Tensor {
    try source.dtype.requireArithmetic("\(monoid)")
    var extents = source.hints
    extents.remove(at: axis)
    var dims = source.dims
    dims.remove(at: axis)
    let output = try Engine.current.allocate(.i64, extents, dims: dims)
    // The result joins as a view that stands still on the axis.
    var views = [source, try output.inserting(axis).expanded(to: source.hints)]
    let place = merge(&views, axis: axis)
    let rank = views[0].rank
    let program = table.program("\(monoid) \(place)/\(rank)") {
      Program("\(monoid) \(place)/\(rank)", operation: "\(monoid)", axes: [labels(rank, place, 0)]) {
        builder, values throws(Diagnostic) in
        [try builder.append(.argReduce(monoid, axis: place), values[0])]
      }
    }
    _ = try Engine.current.run(program, [.tensor(views[0])], [.existing(views[1].removing(place))])
    return Tensor(output)
  }

  /// result[.., k, ..] = source[.., indices[.., k, ..], ..]; negative indices count from the end. All other extents
  /// are equal.
  static func elements(of source: TensorView, at indices: TensorView, axis: Int) throws(Diagnostic) -> Tensor {
    let output = try Engine.current.allocate(source.dtype, like: indices)
    if indices.isEmpty { return Tensor(output) }
    try requireElements(source, axis, indices)
    var views = [source, indices, output]
    let place = merge(&views, axis: axis)
    let rank = views[0].rank
    let program = table.program("gather \(place)/\(rank)") {
      Program("gather \(place)/\(rank)", operation: "gather", axes: [labels(rank, place, 0), labels(rank, place, 1)]) {
        builder, values throws(Diagnostic) in
        let index = try wrapped(&builder, values[1], values[2])
        return [try builder.append(.gather(axis: place), values[0], index)]
      }
    }
    do {
      _ = try Engine.current.run(
        program, [.tensor(views[0]), .tensor(views[1]), extentScalar(source, axis)], [.existing(views[2])])
    } catch {
      throw located(error, indices, source.hints[axis], axis)
    }
    return Tensor(output)
  }

  /// `base` with `updates` combined in at `indices` on `axis`; nil replaces. Other extents are equal.
  static func scatter(
    _ base: TensorView, _ indices: TensorView, _ updates: TensorView, axis: Int, combine: Monoid?
  ) throws(Diagnostic) -> Tensor {
    if let combine { try base.dtype.requireArithmetic("scatter with \(combine)") }
    if indices.isEmpty || base.isEmpty {
      if base.isEmpty, !indices.isEmpty { try requireElements(base, axis, indices) }
      return try Tensor(base).contiguousCopy()
    }
    let output = try Engine.current.allocate(base.dtype, like: base)
    var views = [base, indices, updates, output]
    let place = merge(&views, axis: axis)
    let rank = views[0].rank
    // In memory of the compute dtype: a sum of many small updates must not stand still at 256.
    let wide = combine?.accumulates == true ? base.dtype.computeDType : base.dtype
    let name = "scatter \(combine.map { "\($0)" } ?? "set") \(place)/\(rank) \(wide) \(base.dtype)"
    let program = table.program(name) {
      Program(
        name, operation: "scatter",
        axes: [labels(rank, place, 0), labels(rank, place, 1), labels(rank, place, 1)]
      ) {
        builder, values throws(Diagnostic) in
        let index = try wrapped(&builder, values[1], values[3])
        let dtype = builder.dtype(values[0])
        let sums = try builder.append(
          .scatter(axis: place, combine: combine), try builder.convert(values[0], to: wide), index,
          try builder.convert(values[2], to: wide))
        return [try builder.convert(sums, to: dtype)]
      }
    }
    do {
      _ = try Engine.current.run(
        program, [.tensor(views[0]), .tensor(views[1]), .tensor(views[2]), extentScalar(base, axis)],
        [.existing(views[3])])
    } catch {
      throw located(error, indices, base.hints[axis], axis)
    }
    return Tensor(output)
  }

  private static func extentScalar(_ view: TensorView, _ axis: Int) -> Operand {
    let dim = view.dims[axis]
    if dim.knownValue == nil { return .scalar(ScalarOperand(.i64, bits: 0, count: SymbolicCount(dim))) }
    return .scalar(ScalarOperand(ScalarConstant(.i64, integer: Int64(view.hints[axis]))))
  }

  private static func wrapped(_ builder: inout GraphBuilder, _ index: Value, _ extent: Value) throws(Diagnostic)
    -> Value
  {
    let wide = try builder.convert(index, to: .i64)
    let shape = builder.shape(wide)
    let zero = try builder.filled(ScalarConstant(.i64, integer: 0), shape)
    let count = try builder.broadcast(extent, shape)
    let fromEnd = try builder.append(.add, wide, count)
    return try builder.append(.select, try builder.append(.less, wide, zero), fromEnd, wide)
  }

  static func requireElements(_ source: TensorView, _ axis: Int, _ indices: TensorView) throws(Diagnostic) {
    guard source.dim(axis) != 0 else {
      throw Diagnostic(
        .index, "\(indices.hints.reduce(1, *)) indices into axis \(axis) of \(source.hints), which has no element",
        remedy: "index an axis that has elements")
    }
  }

  /// A fault of the kernel in the user's words: the first index that is outside.
  static func located(_ error: Diagnostic, _ indices: TensorView, _ extent: Int, _ axis: Int) -> Diagnostic {
    guard error.kind == .index, let values = try? Tensor(indices).array(as: Int.self),
      let wrong = values.first(where: { $0 >= extent || $0 < -extent })
    else { return error }
    return Diagnostic(
      .index, "index \(wrong) is outside \(-extent)..<\(extent), the extent of axis \(axis) being \(extent)",
      remedy: "check the index tensor; negative indices count from the end")
  }
}

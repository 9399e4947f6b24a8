// Attention by scaled dot products in one launch: Fusion tiles the whole graph so that no scores are in memory.
// Not the tiling. Surprise: a query that sees no key gives zeros, not NaN.
import Basics
import Engine
import GraphIR
import Scalars
import TensorTypes

/// softmax(query · keyᵀ · scale, masked) · value on views whose leading axes meet, as one program.
package struct ScaledAttention {
  package enum Mask {
    case none
    /// Query i sees the keys 0...(start + i).
    case causal(start: Dim)
    /// Broadcasts to [.., queries, keys]; bool: which keys are seen, else what is added to the scores.
    case given(TensorView)
  }

  private static let programs = ProgramTable()

  /// What an axis before the last two is: of all operands, of the query, or of key and value.
  private enum Part: Int { case shared, query, key }

  /// Axes of one program: how many of each part come before [queries or keys, width].
  private struct Layout {
    var shared: Int
    var query: Int
    var key: Int
    var isCausal = false
    var maskRank: Int?

    // Labels: 0 width, 1 width of the values, 2 queries, 3 keys, then the parts.
    var sharedLabels: [Int] { (0..<shared).map { 4 + $0 } }
    var queryLabels: [Int] { (0..<query).map { 4 + shared + $0 } }
    var keyLabels: [Int] { (0..<key).map { 4 + shared + query + $0 } }
    var axes: [[Int]] {
      var axes = [sharedLabels + queryLabels + [2, 0], sharedLabels + keyLabels + [3, 0]]
      axes += [sharedLabels + keyLabels + [3, 1], []]
      if isCausal { axes.append([]) }
      if maskRank != nil { axes.append(sharedLabels + queryLabels + [2] + keyLabels + [3]) }
      return axes
    }
  }

  /// query [.., queries, width], key [.., keys, width], value [.., keys, out], all of one rank, whose leading axes are
  /// equal or 1; `result` [.., queries, out] is written, whose leading extents are `outer`.
  package static func run(
    _ query: TensorView, _ key: TensorView, _ value: TensorView, mask: Mask, scale: Double, into result: TensorView,
    outer: [Dim]
  ) throws(Diagnostic) {
    let lead = result.rank - 2
    var parts: [[Int]] = [[], [], []]
    var (k, v) = (key, value)
    let (queryDims, keyDims, valueDims) = (query.dims, key.dims, value.dims)
    for axis in 0..<lead where !outer[axis].isKnown(1) {
      let hasQuery = !queryDims[axis].isKnown(1)
      let hasKey = !keyDims[axis].isKnown(1) || !valueDims[axis].isKnown(1)
      parts[(hasQuery && hasKey ? Part.shared : hasQuery ? .query : .key).rawValue].append(axis)
      // Key and value are read together: one that lacks an axis repeats.
      if keyDims[axis] != valueDims[axis] {
        k = try repeated(k, axis, outer[axis])
        v = try repeated(v, axis, outer[axis])
      }
    }
    let (shared, ofQuery, ofKey) = (parts[0], parts[1], parts[2])
    var layout = Layout(shared: shared.count, query: ofQuery.count, key: ofKey.count)
    let compute = result.dtype.computeDType
    var operands: [Operand] = [
      .tensor(query.permuted(shared + ofQuery + [lead, lead + 1])),
      .tensor(k.permuted(shared + ofKey + [lead, lead + 1])), .tensor(v.permuted(shared + ofKey + [lead, lead + 1])),
      .scalar(ScalarOperand(ScalarConstant(compute, scale))),
    ]
    switch mask {
    case .none: break
    case .causal(let start):
      layout.isCausal = true
      operands.append(
        .scalar(
          start.knownValue.map { ScalarOperand(.i64, bits: Int64($0)) }
            ?? ScalarOperand(.i64, bits: 0, count: SymbolicCount(start, category: .integer))))
    case .given(let view):
      let target = outer + [queryDims[lead], keyDims[lead]]
      let order = shared + ofQuery + [lead] + ofKey + [lead + 1]
      layout.maskRank = order.count
      operands.append(.tensor(try view.expanded(to: target).permuted(order)))
    }
    // The heads that share a key are the rows of the tiles where there is one query: their number is part of the code.
    let rows = queryDims[lead].isKnown(1) ? ofQuery.map { query.extent($0) } : []
    let name =
      "attention \(layout.shared) \(layout.query) \(layout.key) of width \(query.extent(lead + 1)) "
      + "and \(v.extent(lead + 1))\(layout.isCausal ? " causal" : "")\(layout.maskRank == nil ? "" : " masked")"
      + (rows.isEmpty ? "" : " rows \(rows)")
    let program = programs.program(name) {
      let fixed: Set<Int> = Set([0, 1] + (rows.isEmpty ? [] : layout.queryLabels))
      return Program(name, operation: "attention", axes: layout.axes, fixedLabels: fixed) {
        [layout] builder, values throws(Diagnostic) in
        [try build(&builder, values, layout)]
      }
    }
    let target = result.permuted(shared + ofKey + ofQuery + [lead, lead + 1])
    _ = try Engine.current.run(program, operands, [.existing(target)])
  }

  /// Memory for the result [.., heads.., queries, out]. Where the query's heads lie beside one another for each query those
  /// of the result do, too: they can be merged without a copy.
  static func result(
    _ dtype: DType, _ extents: [Int], dims: [Dim], of query: TensorView, headAxes: Int
  ) throws(Diagnostic) -> TensorView {
    let (rank, row) = (extents.count, extents.count - 2)
    guard query.hasMemory, query.rank == rank, row >= headAxes, query.strides[row] > query.strides[row - 1] else {
      return try Engine.current.allocate(dtype, extents, dims: dims)
    }
    let first = row - headAxes
    let order = Array(0..<first) + [row] + Array(first..<row) + [rank - 1]
    var back = order
    for (place, axis) in order.enumerated() { back[axis] = place }
    return try Engine.current.allocate(dtype, order.map { extents[$0] }, dims: order.map { dims[$0] }).permuted(back)
  }

  private static func repeated(_ view: TensorView, _ axis: Int, _ extent: Dim) throws(Diagnostic) -> TensorView {
    var dims = view.dims
    dims[axis] = extent
    return try view.expanded(to: dims)
  }

  private static func build(
    _ builder: inout GraphBuilder, _ values: [Value], _ layout: Layout
  ) throws(Diagnostic) -> Value {
    let compute = builder.dtype(values[3])
    var wide: [Value] = []
    for value in values[..<3] { wide.append(try builder.convert(value, to: compute)) }
    let (b, q, k) = (layout.shared, layout.query, layout.key)
    let batch = (0..<b).map { ContractionAxes.Pair($0, $0) }
    // [shared.., query.., queries, key.., keys]
    let scores = try builder.append(
      .contraction(ContractionAxes(batch: batch, contracted: [.init(b + q + 1, b + k + 1)])), wide[0], wide[1])
    let shape = builder.shape(scores)
    var x = try builder.append(.multiply, scores, builder.broadcast(values[3], shape))
    let hidden = try builder.filled(ScalarConstant(compute, -.infinity), shape)
    if layout.isCausal {
      let row = try builder.append(.iota(axis: b + q, shape))
      let last = try builder.append(.add, row, builder.broadcast(values[4], shape))
      let column = try builder.append(.iota(axis: shape.rank - 1, shape))
      x = try builder.append(.select, builder.append(.lessOrEqual, column, last), x, hidden)
    } else if layout.maskRank != nil {
      if builder.dtype(values[4]) == .bool {
        x = try builder.append(.select, builder.broadcast(values[4], shape), x, hidden)
      } else {
        let added = try builder.convert(values[4], to: compute)
        x = try builder.append(.add, x, builder.broadcast(added, shape))
      }
    }
    let axis = shape.rank - 1
    let peak = try builder.append(.reduce(.maximum, axes: [axis]), x)
    let kept = builder.shape(peak)
    var shift = peak
    // A row that a mask hides whole is zeros; one without a mask, or from a start on, sees a key.
    let mayBeHidden = layout.maskRank != nil
    if mayBeHidden {
      let isHidden = try builder.append(.equal, peak, builder.filled(ScalarConstant(compute, -.infinity), kept))
      shift = try builder.append(.select, isHidden, builder.filled(ScalarConstant(compute, 0), kept), peak)
    }
    let e = try builder.append(.exp, builder.append(.subtract, x, builder.restoring(shift, [axis], shape)))
    var divisor = try builder.append(.reduce(.sum, axes: [axis]), e)
    if mayBeHidden {
      let isEmpty = try builder.append(.equal, divisor, builder.filled(ScalarConstant(compute, 0), kept))
      divisor = try builder.append(.select, isEmpty, builder.filled(ScalarConstant(compute, 1), kept), divisor)
    }
    let weights = try builder.append(.divide, e, builder.restoring(divisor, [axis], shape))
    let keyPairs = (0..<k).map { ContractionAxes.Pair(b + q + 1 + $0, b + $0) }
    return try builder.append(
      .contraction(ContractionAxes(batch: batch + keyPairs, contracted: [.init(axis, b + k)])), weights, wide[2])
  }
}

extension Tensor {
  /// softmax(query · keyᵀ · scale + mask) · value. PyTorch: `nn.functional.scaled_dot_product_attention`.
  ///
  ///     // One more token of a text: it sees all keys so far.
  ///     let mixed = Tensor.scaledDotProductAttention(q, keys, values, isCausal: true, start: length, groupsQueries: true)
  ///
  /// query [.., queries, width], key [.., keys, width], value [.., keys, out]; leading axes broadcast. A bool `mask` says
  /// which keys a query sees, another is added; with `isCausal` query i sees keys 0...(start + i). `scale` is
  /// 1 / sqrt(width) unless given. With `groupsQueries` axis -3 has heads, and several heads of the query share one of
  /// key and value.
  public static func scaledDotProductAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor? = nil, isCausal: Bool = false, start: Dim = 0,
    scale: Double? = nil, groupsQueries: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: [query, key, value, mask]) { () throws(Diagnostic) in
      var (q, k, v) = (try query.view, try key.view, try value.view)
      let (given, keyDims, valueDims) = (q.dims, k.dims, v.dims)
      try requireAttention([q, k, v], [given, keyDims, valueDims], mask, isCausal: isCausal, start: start)
      let heads = q.rank >= 3 ? given[q.rank - 3] : 0
      let (queries, keys) = (given[q.rank - 2], keyDims[k.rank - 2])
      if groupsQueries { (q, k, v) = try grouped(q, k, v) }
      let dtype = try q.dtype.promoted(with: k.dtype).promoted(with: v.dtype).floatingResult
      try dtype.requireArithmetic("attention")
      let rank = Swift.max(q.rank, k.rank, v.rank)
      func leading(_ view: TensorView) -> [Int] { Array(view.hints.dropLast(2)) }
      let outer = [q, k, v].map { Array($0.dims.dropLast(2)) }
      let scoreLead = try broadcastExtents(leading(q), leading(k), "attention")
      let lead = try broadcastExtents(scoreLead, leading(v), "attention")
      let scoreDims = broadcastDims([outer[0], outer[1]], to: scoreLead.count)
      let dims = broadcastDims(outer, to: lead.count)
      let outDims = dims + [queries, valueDims[valueDims.count - 1]]
      let extents = lead + [q.hints[q.rank - 2], v.hints[v.rank - 1]]
      // A query at the last key sees every key: no mask, and no number of the start in the kernel.
      let seesAll = queries.isKnown(1) && (start + 1).isIdentical(to: keys)
      var seen: ScaledAttention.Mask = isCausal && !seesAll ? .causal(start: start) : .none
      if let mask {
        let view = try visible(
          mask, shared: groupsQueries ? k.extent(k.rank - 4) : nil, keys: scoreDims + [queries, keys])
        seen = .given(view)
      }
      let result: Tensor
      // Whether there are elements is a guard.
      if outDims.contains(0) || keys == 0 {
        result = try Tensor(Tensor.filled(.integer(0), [], dtype).view.expanded(to: extents, dims: outDims))
          .contiguousCopy()
      } else {
        let out = try ScaledAttention.result(dtype, extents, dims: outDims, of: q, headAxes: groupsQueries ? 2 : 1)
        func padded(_ view: TensorView) -> TensorView {
          (view.rank..<rank).reduce(view) { view, _ in view.inserting(0) }
        }
        try ScaledAttention.run(
          padded(q), padded(k), padded(v), mask: seen, scale: scale ?? 1 / Double(q.extent(q.rank - 1)).squareRoot(),
          into: out, outer: dims)
        result = Tensor(out)
      }
      guard groupsQueries else { return result }
      // [.., key heads, shared, queries, out] back to [.., heads, queries, out].
      var merged = outDims
      merged.replaceSubrange((merged.count - 4)...(merged.count - 3), with: [heads])
      return try result.reshaped(dims: merged)
    }
  }

  /// `dims` are those of the views [query, key, value]: a capture is asked once.
  private static func requireAttention(
    _ views: [TensorView], _ dims: [[Dim]], _ mask: Tensor?, isCausal: Bool, start: Dim
  ) throws(Diagnostic) {
    let (query, key, value) = (dims[0], dims[1], dims[2])
    guard dims.allSatisfy({ $0.count >= 2 }), query[query.count - 1] == key[key.count - 1],
      key[key.count - 2] == value[value.count - 2]
    else {
      let hints = views.map(\.hints)
      throw Diagnostic(
        .shape, "attention: query \(hints[0]), key \(hints[1]) and value \(hints[2]) do not meet",
        remedy: "give [.., queries, width], [.., keys, width] and [.., keys, out]")
    }
    guard mask == nil || !isCausal else {
      throw Diagnostic(
        .argument, "attention: a mask and isCausal are given", remedy: "put the causal part into the mask")
    }
    let first = try start.sizeHint
    guard isCausal || start.isKnown(0), start >= 0 else {
      throw Diagnostic(
        .argument, "attention: the queries start at \(first)\(isCausal ? "" : ", and isCausal is false")",
        remedy: "start at 0 or more, and only where isCausal is true")
    }
  }

  /// Heads of the query split into those of the key and the ones that share it.
  private static func grouped(
    _ q: TensorView, _ k: TensorView, _ v: TensorView
  ) throws(Diagnostic) -> (TensorView, TensorView, TensorView) {
    let heads = q.rank >= 3 ? q.dim(q.rank - 3) : 0
    let shared = k.rank >= 3 ? k.extent(k.rank - 3) : 0
    guard shared > 0, q.rank >= 3, v.rank >= 3, v.dim(v.rank - 3) == shared, heads % shared == 0 else {
      throw Diagnostic(
        .shape, "attention: \(heads) heads of the query share \(shared) of the key \(k.hints) and value \(v.hints)",
        remedy: "the key's heads must divide the query's, on axis -3")
    }
    let split = q.splitting(q.rank - 3, outer: shared)
    return (split, k.inserting(k.rank - 2), v.inserting(v.rank - 2))
  }

  /// The mask over scores [.., queries, keys]; `shared`: heads of the key, where those of the query are split.
  private static func visible(_ mask: Tensor, shared: Int?, keys domain: [Dim]) throws(Diagnostic) -> TensorView {
    var view = try mask.view
    if let shared, view.rank >= 3 {
      let axis = view.rank - 3
      let isRepeated = view.dim(axis) == 1
      guard isRepeated || view.dim(axis) % shared == 0 else {
        throw Diagnostic(
          .shape, "attention: a mask \(view.hints) for groups of \(shared) heads",
          remedy: "give axis -3 of the mask the heads of the query")
      }
      view = view.splitting(axis, outer: isRepeated ? 1 : shared)
    }
    let isBroadcastable =
      view.rank <= domain.count
      && zip(view.dims.reversed(), domain.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
    guard isBroadcastable else {
      throw Diagnostic(
        .shape, "attention: a mask \(view.hints) for scores \(domain)",
        remedy: "the mask must broadcast to [.., queries, keys]")
    }
    return view
  }
}

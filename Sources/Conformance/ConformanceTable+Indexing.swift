// Positions and masks: gather, scatter, subscripts, order, searching, scans.
import Basics
import TensorTypes
import Tensors

extension ConformanceTable {
  mutating func addIndexing() {
    addScans()
    addExtremes()
    addOrder()
    addSearches()
    addGathering()
    addSubscripts()
  }

  private mutating func pair(
    _ names: String..., run: @escaping @Sendable (ConformanceArguments) throws(Diagnostic) -> ValuesAndIndices
  ) {
    for name in names {
      tensors(name) { a throws(Diagnostic) in
        let both = try run(a)
        return [both.values, both.indices]
      }
    }
  }

  private mutating func addScans() {
    tensor("cumsum") { a throws(Diagnostic) in try a.tensor(0).cumulativeSum(a.required(1, "dim"), dtype: a.dtype()) }
    tensor("cumprod") { a throws(Diagnostic) in
      try a.tensor(0).cumulativeProduct(a.required(1, "dim"), dtype: a.dtype())
    }
    tensor("logcumsumexp") { a throws(Diagnostic) in try a.tensor(0).logCumulativeSumExp(a.required(1, "dim")) }
    pair("cummax") { a throws(Diagnostic) in try a.tensor(0).cumulativeMax(a.required(1, "dim")) }
    pair("cummin") { a throws(Diagnostic) in try a.tensor(0).cumulativeMin(a.required(1, "dim")) }
  }

  private mutating func addExtremes() {
    tensor("argmax") { a throws(Diagnostic) in try a.tensor(0).argmax(a.int(1, "dim"), keepDims: a.bool(2, "keepdim")) }
    tensor("argmin") { a throws(Diagnostic) in try a.tensor(0).argmin(a.int(1, "dim"), keepDims: a.bool(2, "keepdim")) }
    unary("max.reduction_no_dim") { $0.max() }
    unary("min.reduction_no_dim") { $0.min() }
    pair("max.reduction_with_dim") { a throws(Diagnostic) in
      try a.tensor(0).maxWithIndices(a.required(1, "dim"), keepDims: a.bool(2, "keepdim"))
    }
    pair("min.reduction_with_dim") { a throws(Diagnostic) in
      try a.tensor(0).minWithIndices(a.required(1, "dim"), keepDims: a.bool(2, "keepdim"))
    }
  }

  private mutating func addOrder() {
    for (name, ignoring) in [("median", false), ("nanmedian", true)] {
      add(name) { a throws(Diagnostic) in
        guard let axis = try a.int(1, "dim") else {
          return .tensor(try a.tensor(0).median(ignoringNaN: ignoring))
        }
        let both = try a.tensor(0).medianWithIndices(axis, keepDims: a.bool(2, "keepdim"), ignoringNaN: ignoring)
        return .list([.tensor(both.values), .tensor(both.indices)])
      }
    }
    pair("kthvalue") { a throws(Diagnostic) in
      try a.tensor(0).kthSmallest(a.required(1, "k"), a.int(2, "dim", else: -1), keepDims: a.bool(3, "keepdim"))
    }
    pair("sort") { a throws(Diagnostic) in
      try a.tensor(0).sorted(a.int(1, "dim", else: -1), descending: a.bool(2, "descending"))
    }
    tensor("argsort") { a throws(Diagnostic) in
      try a.tensor(0).argsorted(a.int(1, "dim", else: -1), descending: a.bool(2, "descending"))
    }
    unary("msort") { $0.sorted(0).values }
    pair("topk") { a throws(Diagnostic) in
      try a.tensor(0).top(a.required(1, "k"), a.int(2, "dim", else: -1), largest: a.bool(3, "largest", else: true))
    }
  }

  private mutating func addSearches() {
    tensor("searchsorted") { a throws(Diagnostic) in
      let (given, values) = (try a.tensor(0), try a.tensor(1))
      return Tensor.attempt(#fileID, #line, of: [given, values]) {
        let boundaries = a.optionalTensor(-1, "sorter").map { given.gathering($0, axis: -1) } ?? given
        return boundaries.searchSorted(
          values, right: a.bool(-1, "right") || a.string(-1, "side") == "right",
          dtype: a.bool(-1, "out_int32") ? .i32 : .i64)
      }
    }
    tensor("bucketize") { a throws(Diagnostic) in
      try a.tensor(0).bucketized(
        a.tensor(1), right: a.bool(-1, "right"), dtype: a.bool(-1, "out_int32") ? .i32 : .i64)
    }
    tensor("isin") { a throws(Diagnostic) in
      let found = try a.tensor(0).isIn(a.tensor(1))
      return a.bool(-1, "invert") ? found.logicalNot() : found
    }
    tensor("bincount") { a throws(Diagnostic) in
      try a.tensor(0).binCounts(weights: a.optionalTensor(1, "weights"), minimumLength: a.int(2, "minlength", else: 0))
    }
  }

  private mutating func addGathering() {
    tensor("gather") { a throws(Diagnostic) in
      try a.tensor(0).gathering(a.tensor(2, "index"), axis: a.required(1, "dim"))
    }
    tensor("take_along_dim") { a throws(Diagnostic) in try a.tensor(0).takingAlong(a.tensor(1), axis: a.int(2, "dim")) }
    tensor("take") { a throws(Diagnostic) in try a.tensor(0).taking(a.tensor(1, "index")) }
    tensor("index_select") { a throws(Diagnostic) in
      try a.tensor(0).selecting(a.tensor(2, "index"), axis: a.required(1, "dim"))
    }
    tensor("index_fill") { a throws(Diagnostic) in
      try a.tensor(0).filling(a.tensor(3, "value"), at: a.tensor(2, "index"), axis: a.required(1, "dim"))
    }
    tensor("index_copy") { a throws(Diagnostic) in
      try a.tensor(0).replacing(a.tensor(3), at: a.tensor(2, "index"), axis: a.required(1, "dim"))
    }
    tensor("index_add") { a throws(Diagnostic) in
      try a.tensor(0).adding(
        a.tensor(3), at: a.tensor(2, "index"), axis: a.required(1, "dim"), scale: a.number(-1, "alpha") ?? .integer(1))
    }
    tensor("scatter") { a throws(Diagnostic) in
      let (x, index, axis) = (try a.tensor(0), try a.tensor(2, "index"), try a.required(1, "dim"))
      let updates = try a.value(3, "src") == nil ? a.tensor(3, "value") : a.tensor(3, "src")
      switch a.string(-1, "reduce") {
      case "add": return x.scattering(updates, at: index, axis: axis, reduction: .sum)
      case "multiply": return x.scattering(updates, at: index, axis: axis, reduction: .product)
      default: return x.scattering(updates, at: index, axis: axis)
      }
    }
    tensor("scatter_add") { a throws(Diagnostic) in
      try a.tensor(0).scattering(
        a.tensor(3, "src"), at: a.tensor(2, "index"), axis: a.required(1, "dim"), reduction: .sum)
    }
    tensor("scatter_reduce") { a throws(Diagnostic) in
      let reduction: ScatterReduction =
        switch a.string(4, "reduce") {
        case "prod": .product
        case "mean": .mean
        case "amin": .minimum
        case "amax": .maximum
        default: .sum
        }
      return try a.tensor(0).scattering(
        a.tensor(3, "src"), at: a.tensor(2, "index"), axis: a.required(1, "dim"), reduction: reduction,
        includeSelf: a.bool(-1, "include_self", else: true))
    }
    tensor("masked_select") { a throws(Diagnostic) in try a.tensor(0).masked(by: a.tensor(1, "mask")) }
    tensor("masked_scatter") { a throws(Diagnostic) in
      try a.tensor(0).scattering(a.tensor(2, "source"), where: a.tensor(1, "mask"))
    }
    add("nonzero") { a throws(Diagnostic) in
      let x = try a.tensor(0)
      guard a.bool(-1, "as_tuple") else { return .tensor(x.nonzero()) }
      return .list(x.atLeast1D().nonzero().unbound(1).map { .tensor($0) })
    }
    unary("argwhere") { $0.nonzero() }
  }

  private mutating func addSubscripts() {
    tensor("__getitem__") { a throws(Diagnostic) in
      let x = try a.tensor(0)
      guard case .list(let parts)? = a.value(1) else { return x[indices: [try a.value(1)?.index() ?? .nothing]] }
      // A list of plain integers is one tensor of positions; else each part is an index.
      if parts.allSatisfy({ if case .integer = $0 { true } else { false } }) { return x[try a.ints(1) ?? []] }
      var indices: [TensorIndex] = []
      for part in parts { indices.append(try part.index()) }
      return x[indices: indices]
    }
    tensor("index_put") { a throws(Diagnostic) in
      var x = try a.tensor(0)
      let indices: [TensorIndex] = try a.tensors(1, "indices").map { .tensor($0) }
      if a.bool(3, "accumulate") { return x.adding(try a.tensor(2, "values"), at: indices) }
      x[indices: indices] = try a.tensor(2, "values")
      return x
    }
    tensor("select_scatter") { a throws(Diagnostic) in
      var x = try a.tensor(0)
      let lead = try a.lead(2)
      x[indices: lead + [.at(Dim(try a.required(3, "index")))]] = try a.tensor(1, "src")
      return x
    }
    tensor("slice_scatter") { a throws(Diagnostic) in
      var x = try a.tensor(0)
      let lead = try a.lead(2)
      x[indices: lead + [.slice(try a.int(3, "start"), try a.int(4, "end"), by: try a.int(5, "step", else: 1))]] =
        try a.tensor(1, "src")
      return x
    }
  }
}

extension ConformanceValue {
  /// As Python's subscript.
  func index() throws(Diagnostic) -> TensorIndex {
    switch self {
    case .integer(let value): return .at(Dim(value))
    case .extent(let dim): return .at(dim)
    case .tensor(let tensor): return .tensor(tensor)
    case .none: return .newAxis
    case .list(let values):
      var places: [Int] = []
      for value in values {
        guard case .integer(let place) = value else {
          throw Diagnostic(.argument, "an index list holds \(value.summary)")
        }
        places.append(place)
      }
      return .tensor(Tensor(places))
    case .text("Ellipsis"): return .ellipsis
    case .text(let text) where text.hasPrefix("slice("):
      let parts = text.dropFirst(6).dropLast().split(separator: ",").map { part in Int(part.drop { $0 == " " }) }
      guard parts.count == 3 else { break }
      return .slice(parts[0], parts[1], by: parts[2] ?? 1)
    case .bool, .number, .string, .text: break
    }
    throw Diagnostic(.argument, "\(summary) is no index")
  }
}

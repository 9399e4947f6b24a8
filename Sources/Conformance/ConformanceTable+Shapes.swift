// Views, joins, rearrangements, padding.
import Basics
import TensorTypes
import Tensors

extension ConformanceTable {
  mutating func addShapes() {
    addReshaping()
    addAxes()
    addParts()
    addDiagonals()
    addJoining()
    addRearranging()
  }

  private mutating func addReshaping() {
    tensor("reshape", "view", "view_copy") { a throws(Diagnostic) in
      try a.tensor(0).reshaped(a.variadicDims(from: 1))
    }
    tensor("reshape_as", "view_as") { a throws(Diagnostic) in
      try a.tensor(0).reshaped(a.tensor(1, "other").shape.dims)
    }
    tensor("expand", "expand_copy", "broadcast_to") { a throws(Diagnostic) in
      try a.tensor(0).expanded(a.variadicDims(from: 1))
    }
    tensor("expand_as") { a throws(Diagnostic) in try a.tensor(0).expanded(like: a.tensor(1, "other")) }
    tensors("broadcast_tensors") { a throws(Diagnostic) in
      var all: [Tensor] = []
      for place in a.places.indices { all.append(try a.tensor(place)) }
      return Tensor.broadcasting(all)
    }
    add("broadcast_shapes") { a throws(Diagnostic) in
      var all: [Tensor] = []
      for place in a.places.indices { all.append(.zeros(try a.dims(place))) }
      let shape = Tensor.broadcasting(all)[0].shape
      return .list(try shape.dims.map { dim throws(Diagnostic) in .integer(try dim.value) })
    }
    tensor("sum_to_size") { a throws(Diagnostic) in
      try a.tensor(0).summed(to: a.variadicDims(from: 1))
    }
    tensor("flatten") { a throws(Diagnostic) in
      try a.tensor(0).flattened(a.int(1, "start_dim", else: 0), a.int(2, "end_dim", else: -1))
    }
    unary("ravel") { $0.flattened() }
    tensor("unflatten") { a throws(Diagnostic) in
      try a.tensor(0).unflattened(a.required(1, "dim"), a.ints(2, "sizes") ?? [])
    }
  }

  private mutating func addAxes() {
    tensor("permute", "permute_copy") { a throws(Diagnostic) in try a.tensor(0).permuted(a.variadicInts(from: 1)) }
    tensor("transpose", "transpose_copy", "swapaxes", "swapdims") { a throws(Diagnostic) in
      try a.tensor(0).transposed(a.required(1, "dim0"), a.required(2, "dim1"))
    }
    unary("t", "t_copy") { $0.rank < 2 ? $0 : $0.transposed() }
    unary("T") { $0.permuted(Array((0..<$0.rank).reversed())) }
    unary("mT", "mH", "adjoint") { $0.transposed() }
    tensor("movedim", "moveaxis") { a throws(Diagnostic) in
      try a.tensor(0).movingAxes(a.ints(1, "source") ?? [], to: a.ints(2, "destination") ?? [])
    }
    tensor("squeeze", "squeeze_copy") { a throws(Diagnostic) in
      try a.tensor(0).squeezed(a.ints(1, "dim"))
    }
    tensor("unsqueeze", "unsqueeze_copy") { a throws(Diagnostic) in try a.tensor(0).unsqueezed(a.required(1, "dim")) }
    each("atleast_1d") { $0.atLeast1D() }
    each("atleast_2d") { $0.atLeast2D() }
    each("atleast_3d") { $0.atLeast3D() }
  }

  private mutating func addParts() {
    tensor("narrow", "narrow_copy") { a throws(Diagnostic) in
      try a.tensor(0).narrowed(a.required(1, "dim"), start: a.dim(2, "start"), count: a.dim(3, "length"))
    }
    tensor("select") { a throws(Diagnostic) in
      try a.tensor(0)[indices: a.lead(1) + [.at(Dim(a.required(2, "index")))]]
    }
    tensor("slice") { a throws(Diagnostic) in
      try a.tensor(0)[
        indices: a.lead(1) + [.slice(a.int(2, "start"), a.int(3, "end"), by: a.int(4, "step", else: 1))]]
    }
    tensor("unfold", "unfold_copy") { a throws(Diagnostic) in
      try a.tensor(0).windows(a.required(1, "dimension"), size: a.required(2, "size"), step: a.required(3, "step"))
    }
  }

  private mutating func addDiagonals() {
    tensor("diagonal", "diagonal_copy") { a throws(Diagnostic) in
      try a.tensor(0).diagonal(
        offset: a.int(1, "offset", else: 0), a.int(2, "dim1", else: 0), a.int(3, "dim2", else: 1))
    }
    tensor("diag") { a throws(Diagnostic) in try a.tensor(0).diag(a.int(1, "diagonal", else: 0)) }
    tensor("diag_embed") { a throws(Diagnostic) in
      try a.tensor(0).embeddedDiagonal(
        offset: a.int(1, "offset", else: 0), a.int(2, "dim1", else: -2), a.int(3, "dim2", else: -1))
    }
    tensor("diagflat") { a throws(Diagnostic) in
      try a.tensor(0).flattened().embeddedDiagonal(offset: a.int(1, "offset", else: 0))
    }
    tensor("diagonal_scatter") { a throws(Diagnostic) in
      try a.tensor(0).scattering(
        a.tensor(1), onDiagonal: a.int(2, "offset", else: 0), a.int(3, "dim1", else: 0), a.int(4, "dim2", else: 1))
    }
    unary("trace") { $0.trace() }
    tensor("tril") { a throws(Diagnostic) in try a.tensor(0).lowerTriangle(a.int(1, "diagonal", else: 0)) }
    tensor("triu") { a throws(Diagnostic) in try a.tensor(0).upperTriangle(a.int(1, "diagonal", else: 0)) }
  }

  /// Of one tensor, or of each of a list.
  private mutating func each(_ name: String, _ run: @escaping @Sendable (Tensor) -> Tensor) {
    add(name) { a throws(Diagnostic) in
      guard case .list? = a.value(0) else { return .tensor(run(try a.tensor(0))) }
      return .list(try a.tensors(0).map { .tensor(run($0)) })
    }
  }

  private mutating func addJoining() {
    tensor("cat") { a throws(Diagnostic) in .concatenated(try a.tensors(0), axis: try a.int(1, "dim", else: 0)) }
    tensor("stack") { a throws(Diagnostic) in .stacked(try a.tensors(0), axis: try a.int(1, "dim", else: 0)) }
    tensor("hstack") { a throws(Diagnostic) in .horizontallyStacked(try a.tensors(0)) }
    tensor("vstack") { a throws(Diagnostic) in .verticallyStacked(try a.tensors(0)) }
    tensor("dstack") { a throws(Diagnostic) in .depthStacked(try a.tensors(0)) }
    tensor("column_stack") { a throws(Diagnostic) in .columnStacked(try a.tensors(0)) }
    tensors("chunk", "unsafe_chunk") { a throws(Diagnostic) in
      try a.tensor(0).chunks(a.required(1, "chunks"), axis: a.int(2, "dim", else: 0))
    }
    tensors("split", "unsafe_split", "split_with_sizes", "split_with_sizes_copy") { a throws(Diagnostic) in
      let axis = try a.int(2, "dim", else: 0)
      if case .list? = a.value(1) { return try a.tensor(0).split(sizes: a.ints(1) ?? [], axis: axis) }
      return try a.tensor(0).split(every: a.required(1), axis: axis)
    }
    tensors("tensor_split") { a throws(Diagnostic) in try a.cut(a.int(2, "dim", else: 0)) }
    tensors("hsplit") { a throws(Diagnostic) in try a.cut(a.tensor(0).rank == 1 ? 0 : 1) }
    tensors("vsplit") { a throws(Diagnostic) in try a.cut(0) }
    tensors("dsplit") { a throws(Diagnostic) in try a.cut(2) }
    tensors("unbind", "unbind_copy") { a throws(Diagnostic) in try a.tensor(0).unbound(a.int(1, "dim", else: 0)) }
    tensor("repeat") { a throws(Diagnostic) in try a.tensor(0).repeated(a.variadicInts(from: 1)) }
    tensor("tile") { a throws(Diagnostic) in try a.tensor(0).tiled(a.variadicInts(from: 1)) }
    tensor("repeat_interleave") { a throws(Diagnostic) in
      let axis = try a.int(2, "dim")
      if case .tensor(let counts)? = a.value(1, "repeats") {
        return try a.tensor(0).repeatingElements(counts: counts, axis: axis)
      }
      return try a.tensor(0).repeatingElements(a.required(1, "repeats"), axis: axis)
    }
    tensors("meshgrid") { a throws(Diagnostic) in
      var lines: [Tensor] = []
      if case .list? = a.value(0) {
        lines = try a.tensors(0)
      } else {
        for place in a.places.indices { lines.append(try a.tensor(place)) }
      }
      return Tensor.grid(lines, exchangingFirstTwo: a.string(-1, "indexing") == "xy")
    }
  }

  private mutating func addRearranging() {
    tensor("flip") { a throws(Diagnostic) in try a.tensor(0).flipped(a.ints(1, "dims") ?? []) }
    unary("fliplr") { $0.flipped([1]) }
    unary("flipud") { $0.flipped([0]) }
    tensor("roll") { a throws(Diagnostic) in
      try a.tensor(0).rolled(a.ints(1, "shifts") ?? [], axes: a.ints(2, "dims") ?? [])
    }
    tensor("rot90") { a throws(Diagnostic) in
      let axes = try a.ints(2, "dims") ?? [0, 1]
      guard axes.count == 2 else { throw Diagnostic(.argument, "a plane has two axes, not \(axes.count)") }
      return try a.tensor(0).rotated(turns: a.int(1, "k", else: 1), axes[0], axes[1])
    }
    tensor("cross") { a throws(Diagnostic) in
      try a.tensor(0).cross(a.tensor(1), axis: a.int(2, "dim"))
    }
    tensor("diff") { a throws(Diagnostic) in
      try a.tensor(0).differences(
        a.int(1, "n", else: 1), axis: a.int(2, "dim", else: -1), prepend: a.optionalTensor(3, "prepend"),
        append: a.optionalTensor(4, "append"))
    }
  }
}

extension ConformanceArguments {
  /// Whole axes before the axis in `place` (named dim).
  func lead(_ place: Int) throws(Diagnostic) -> [TensorIndex] {
    let axis = try int(place, "dim", else: 0)
    let rank = try tensor(0).view.rank
    guard (-rank..<rank).contains(axis) else { throw Diagnostic(.index, "axis \(axis) of a tensor of rank \(rank)") }
    return [TensorIndex](repeating: .all, count: axis < 0 ? axis + rank : axis)
  }

  fileprivate func cut(_ axis: Int) throws(Diagnostic) -> [Tensor] {
    switch value(1) {
    case .list?: return try tensor(0).split(at: ints(1) ?? [], axis: axis)
    case .tensor(let places)? where places.rank > 0: return try tensor(0).split(at: places.array(), axis: axis)
    default: return try tensor(0).split(into: required(1), axis: axis)
    }
  }
}

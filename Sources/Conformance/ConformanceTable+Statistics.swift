// Statistics of samples, and small relatives of operators in the other rooms.
import Basics
import Tensors

extension ConformanceTable {
  mutating func addStatistics() {
    addQuantiles()
    addSamples()
    addRelatives()
  }

  private mutating func addQuantiles() {
    for (name, ignoring) in [("quantile", false), ("nanquantile", true)] {
      tensor(name) { a throws(Diagnostic) in
        let rule: QuantileRule =
          switch a.string(-1, "interpolation") {
          case "lower": .lower
          case "higher": .higher
          case "midpoint": .midpoint
          case "nearest": .nearest
          default: .linear
          }
        let x = try a.tensor(0)
        let (axis, keepDims) = (try a.int(2, "dim"), a.bool(3, "keepdim"))
        guard case .tensor(let fractions)? = a.value(1, "q"), fractions.rank == 1 else {
          return x.quantile(
            try a.double(1, "q", else: 0.5), axis, keepDims: keepDims, rule: rule, ignoringNaN: ignoring)
        }
        var all: [Tensor] = []
        for q in try fractions.array(as: Double.self) {
          all.append(x.quantile(q, axis, keepDims: keepDims, rule: rule, ignoringNaN: ignoring))
        }
        return .stacked(all)
      }
    }
  }

  private mutating func addSamples() {
    tensor("cov") { a throws(Diagnostic) in
      try a.tensor(0).covariance(
        correction: a.double(-1, "correction", else: 1), frequencies: a.optionalTensor(-1, "fweights"),
        weights: a.optionalTensor(-1, "aweights"))
    }
    unary("corrcoef") { $0.correlation() }
    tensor("histc") { a throws(Diagnostic) in
      try a.tensor(0).histogram(
        bins: a.int(1, "bins", else: 100), low: a.double(2, "min", else: 0), high: a.double(3, "max", else: 0))
    }
    tensor("trapezoid", "trapz") { a throws(Diagnostic) in
      try a.tensor(0).trapezoids(
        at: a.optionalTensor(1, "x"), step: a.double(-1, "dx", else: 1), a.int(-1, "dim", else: -1))
    }
    tensor("cumulative_trapezoid") { a throws(Diagnostic) in
      try a.tensor(0).cumulativeTrapezoids(
        at: a.optionalTensor(1, "x"), step: a.double(-1, "dx", else: 1), a.int(-1, "dim", else: -1))
    }
    tensor("cdist") { a throws(Diagnostic) in try a.tensor(0).rowDistances(a.tensor(1), p: a.double(2, "p", else: 2)) }
    add("unique") { a throws(Diagnostic) in
      let found = try a.tensor(0).unique()
      var results: [ConformanceValue] = [.tensor(found.values)]
      if a.bool(-1, "return_inverse") { results.append(.tensor(found.inverse)) }
      if a.bool(-1, "return_counts") { results.append(.tensor(found.counts)) }
      return results.count == 1 ? results[0] : .list(results)
    }
  }

  /// Of operators in the other rooms.
  private mutating func addRelatives() {
    unary("H") { $0.transposed() }
    unary("real", "conj", "conj_physical", "resolve_conj", "resolve_neg") { $0 }
    tensor("block_diag") { a throws(Diagnostic) in
      var blocks: [Tensor] = []
      for place in a.places.indices { blocks.append(try a.tensor(place)) }
      return .blockDiagonal(blocks)
    }
    tensor("linalg.diagonal") { a throws(Diagnostic) in
      try a.tensor(0).diagonal(
        offset: a.int(-1, "offset", else: 0), a.int(-1, "dim1", else: -2), a.int(-1, "dim2", else: -1))
    }
    tensor("linalg.vector_norm") { a throws(Diagnostic) in
      try a.tensor(0).norm(
        axes: a.ints(2, "dim") ?? [], p: a.double(1, "ord", else: 2), keepDims: a.bool(3, "keepdim"))
    }
    tensor("linalg.vecdot") { a throws(Diagnostic) in
      try (a.tensor(0) * a.tensor(1)).sum(axes: [a.int(-1, "dim", else: -1)])
    }
    tensor("linalg.multi_dot") { a throws(Diagnostic) in
      let all = try a.tensors(0)
      guard !all.isEmpty else { throw Diagnostic(.argument, "there are no matrices") }
      return all.dropFirst().reduce(all[0]) { $0.matmul($1) }
    }
    tensor("linalg.cross") { a throws(Diagnostic) in
      try a.tensor(0).cross(a.tensor(1), axis: a.int(2, "dim", else: -1))
    }
  }
}

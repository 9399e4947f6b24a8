// Reductions and scans.
import Basics
import TensorTypes
import Tensors

extension ConformanceArguments {
  fileprivate var keepDims: Bool { bool(2, "keepdim") }
  fileprivate func axes(_ place: Int = 1) throws(Diagnostic) -> [Int] { try ints(place, "dim") ?? [] }
  /// PyTorch's old `unbiased` and its new `correction`.
  fileprivate func correction() throws(Diagnostic) -> Double {
    if names["unbiased"] != nil { return bool(-1, "unbiased", else: true) ? 1 : 0 }
    if case .bool(let unbiased)? = value(1) { return unbiased ? 1 : 0 }
    return try double(-1, "correction", else: 1)
  }
  fileprivate func spreadAxes() throws(Diagnostic) -> [Int] {
    if case .bool? = value(1) { return [] }
    return try ints(1, "dim") ?? []
  }
}

extension ConformanceTable {
  mutating func addReductions() {
    tensor("sum") { a throws(Diagnostic) in
      try a.tensor(0).sum(axes: a.axes(), keepDims: a.keepDims, dtype: a.dtype())
    }
    tensor("mean") { a throws(Diagnostic) in
      try a.tensor(0).mean(axes: a.axes(), keepDims: a.keepDims, dtype: a.dtype())
    }
    tensor("prod") { a throws(Diagnostic) in
      try a.tensor(0).product(axes: a.axes(), keepDims: a.keepDims, dtype: a.dtype())
    }
    tensor("nansum") { a throws(Diagnostic) in try a.tensor(0).sumIgnoringNaN(axes: a.axes(), keepDims: a.keepDims) }
    tensor("nanmean") { a throws(Diagnostic) in try a.tensor(0).meanIgnoringNaN(axes: a.axes(), keepDims: a.keepDims) }
    tensor("amax") { a throws(Diagnostic) in try a.tensor(0).max(axes: a.axes(), keepDims: a.keepDims) }
    tensor("amin") { a throws(Diagnostic) in try a.tensor(0).min(axes: a.axes(), keepDims: a.keepDims) }
    tensor("all") { a throws(Diagnostic) in try a.tensor(0).all(axes: a.axes(), keepDims: a.keepDims) }
    tensor("any") { a throws(Diagnostic) in try a.tensor(0).any(axes: a.axes(), keepDims: a.keepDims) }
    tensor("count_nonzero") { a throws(Diagnostic) in try a.tensor(0).countNonzero(axes: a.axes()) }
    tensor("logsumexp") { a throws(Diagnostic) in try a.tensor(0).logSumExp(axes: a.axes(), keepDims: a.keepDims) }
    tensors("aminmax") { a throws(Diagnostic) in
      let both = try a.tensor(0).extremes(axes: a.ints(-1, "dim") ?? [], keepDims: a.bool(-1, "keepdim"))
      return [both.min, both.max]
    }
    tensor("var") { a throws(Diagnostic) in
      try a.tensor(0).variance(axes: a.spreadAxes(), correction: a.correction(), keepDims: a.bool(-1, "keepdim"))
    }
    tensor("std") { a throws(Diagnostic) in
      try a.tensor(0).standardDeviation(
        axes: a.spreadAxes(), correction: a.correction(), keepDims: a.bool(-1, "keepdim"))
    }
    tensors("var_mean") { a throws(Diagnostic) in
      let both = try a.tensor(0).varianceAndMean(
        axes: a.spreadAxes(), correction: a.correction(), keepDims: a.bool(-1, "keepdim"))
      return [both.variance, both.mean]
    }
    tensors("std_mean") { a throws(Diagnostic) in
      let both = try a.tensor(0).standardDeviationAndMean(
        axes: a.spreadAxes(), correction: a.correction(), keepDims: a.bool(-1, "keepdim"))
      return [both.standardDeviation, both.mean]
    }
    // The nuclear norm needs singular values.
    exclude("norm.nuc") { a throws(Diagnostic) in a.string(1, "p") == "nuc" }
    tensor("norm") { a throws(Diagnostic) in
      let p = a.string(1, "p") == "fro" ? 2 : try a.double(1, "p", else: 2)
      return try a.tensor(0).norm(axes: a.ints(2, "dim") ?? [], p: p, keepDims: a.bool(3, "keepdim"))
    }
    tensor("dist") { a throws(Diagnostic) in
      try a.tensor(0).distance(to: a.tensor(1, "other"), p: a.double(2, "p", else: 2))
    }
  }
}

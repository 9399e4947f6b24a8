// The way of every operation that reduces axes: one launch for the whole composite, however many reductions it has.
// Not the operations themselves. Surprise: the formula sees coalesced axes, usually one kept and one reduced.
import Basics
import Engine
import GraphIR
import Scalars
import Synchronization
import TensorTypes

/// A reduction, or a composite of reductions and pointwise work over one domain. Make each once, as a static.
package final class RowOperation: Sendable {
  package let name: String
  /// Gets operands of the domain's shape and the reduced axes; gives one value per result (reduced axes dropped, or
  /// full).
  package typealias Formula =
    @Sendable (inout GraphBuilder, [Value], _ axes: [Int]) throws(Diagnostic) -> [Value]
  private let formula: Formula
  private let programs = Mutex<[Key: Program]>([:])

  /// What a program is made for.
  private struct Key: Hashable {
    var compute: DType?
    /// Bit i: axis i is reduced.
    var reduced: Int
    var rank: Int
    var results: [DType]
    /// Bit i: operand i is a Swift number, which comes in the dtype that the program computes in.
    var numbers: Int
  }

  package init(_ name: String, _ formula: @escaping Formula) {
    self.name = name
    self.formula = formula
  }

  /// A formula in terms; the closure gives one term per result.
  package convenience init(_ name: String, _ formula: @escaping @Sendable ([Term]) -> [Term]) {
    self.init(name) { builder, values, axes throws(Diagnostic) in
      let domain = values.map { builder.shape($0) }.max { $0.rank < $1.rank } ?? []
      return try Sheet.write(&builder, domain: domain, axes: axes) { sheet throws(Diagnostic) in
        formula(values.map { Term(sheet, $0) }).map(\.value)
      }
    }
  }

  /// One reduction primitive.
  package convenience init(_ monoid: Monoid) {
    self.init("reduce.\(monoid)") { builder, values, axes throws(Diagnostic) in
      [axes.isEmpty ? values[0] : try builder.append(.reduce(monoid, axes: axes), values[0])]
    }
  }

  /// Runs over `domain` (all operands broadcast to it), reducing `axes` (not negative).
  /// `compute`: tensors are converted to this dtype first, inside the launch; nil leaves them.
  package func callAsFunction(
    _ operands: [PointwiseOperand], domain: [Int], axes: [Int], compute: DType?, _ results: [RowResult]
  ) throws(Diagnostic) -> [Tensor] {
    for case .tensor(let tensor) in operands { try tensor.view.dtype.requireArithmetic(name) }
    var reduced = [Bool](repeating: false, count: domain.count)
    for axis in axes { reduced[axis] = true }
    var bound: [Operand] = []
    for operand in operands {
      switch operand {
      case .tensor(let tensor): bound.append(.tensor(try tensor.view.expanded(to: domain)))
      case .count(let count):
        bound.append(.scalar(ScalarOperand(compute?.computeDType ?? .f32, bits: 0, count: count)))
      case .scalar(let value):
        let dtype = compute ?? PointwiseOperation.defaultDType(value.category)
        bound.append(.scalar(ScalarOperand(value.constant(dtype.computeDType))))
      }
    }
    let numbers = bound.indices.reduce(0) { if case .scalar = bound[$1] { $0 | 1 << $1 } else { $0 } }
    let resultDTypes = results.map { result -> DType in
      switch result {
      case .full(let dtype), .reduced(let dtype): dtype
      }
    }
    let views = try Engine.current.runRows(bound, extents: domain, reduced: reduced, results) { kinds in
      let bits = kinds.indices.reduce(0) { kinds[$1] ? $0 | 1 << $1 : $0 }
      let key = Key(compute: compute, reduced: bits, rank: kinds.count, results: resultDTypes, numbers: numbers)
      return programs.withLock { known in
        if let program = known[key] { return program }
        let made = program(kinds, key)
        known[key] = made
        return made
      }
    }
    return views.map { Tensor($0) }
  }

  private func program(_ kinds: [Bool], _ key: Key) -> Program {
    let pattern = kinds.map { $0 ? "r" : "k" }.joined()
    let compute = key.compute.map { "\($0)" } ?? "-"
    let axes = kinds.indices.filter { kinds[$0] }
    let text = "rows \(name) \(compute) \(pattern) \(key.results)\(key.numbers == 0 ? "" : " \(key.numbers)")"
    return Program(text, operation: name) {
      [formula] builder, values throws(Diagnostic) in
      var converted = values
      if let compute = key.compute {
        for i in values.indices where key.numbers >> i & 1 == 0 {
          converted[i] = try builder.convert(values[i], to: compute)
        }
      }
      var outputs = try formula(&builder, converted, axes)
      for i in outputs.indices { outputs[i] = try builder.convert(outputs[i], to: key.results[i]) }
      return outputs
    }
  }
}

/// `axes` made positive, checked, without repetition; nil means all.
package func resolvedAxes(_ axes: [Int]?, rank: Int, _ name: String) throws(Diagnostic) -> [Int] {
  guard let axes else { return Array(0..<rank) }
  var result: [Int] = []
  for axis in axes {
    let index = try resolvedAxis(axis, rank: rank, name)
    guard !result.contains(index) else {
      throw Diagnostic(.argument, "\(name): axis \(axis) is named twice in \(axes)")
    }
    result.append(index)
  }
  return result.sorted()
}

/// A 0-d tensor accepts the axes 0 and -1, as in PyTorch.
package func resolvedAxis(_ axis: Int, rank: Int, _ name: String) throws(Diagnostic) -> Int {
  let bound = max(rank, 1)
  let index = axis < 0 ? axis + bound : axis
  guard index >= 0, index < bound else {
    throw Diagnostic(
      .index, "\(name): axis \(axis) is outside \(-bound)...\(bound - 1)", remedy: "the tensor has rank \(rank)")
  }
  return index
}

extension TensorView {
  /// The same elements with extent-1 axes inserted where `axes` were dropped.
  package func keepingDims(_ axes: [Int]) -> TensorView {
    var view = self
    for axis in axes { view = view.inserting(axis) }
    return view
  }
}

// What combines the elements along axes: reductions, scans, positions of extremes, sorting orders, each as its record.
// Surprise: in reference semantics floats are combined in Double and rounded at the end; integers wrap at each step.
import Basics
import Scalars
import TensorTypes

enum Rows {
  static let samples: [Primitive] = [
    .reduce(.sum, axes: [1]), .argReduce(.maximum, axis: 1), .scan(.sum, axis: 1), .argScan(.minimum, axis: 1),
    .sortOrder(axis: 1, descending: true),
  ]

  static func reduce(_ monoid: Monoid) -> PrimitiveDefinition { reductions[monoid.ordinal] }
  static func scan(_ monoid: Monoid) -> PrimitiveDefinition { scans[monoid.ordinal] }
  static func argReduce(_ monoid: ArgMonoid) -> PrimitiveDefinition { argReductions[monoid.ordinal] }
  static func argScan(_ monoid: ArgMonoid) -> PrimitiveDefinition { argScans[monoid.ordinal] }

  /// Of floats one operation for each element of the operand.
  private static let onePerElement: PrimitiveDefinition.CostRule = {
    Cost(flops: $0.sources[0].dtype.isFloating ? $0.sources[0].count : 0, bytes: $0.bytes)
  }

  private static let reductions = Monoid.allCases.map { monoid in
    PrimitiveDefinition(
      name: "reduce",
      meaning: "Combines the elements along `axes`, which are dropped. Floats accumulate in the compute dtype.",
      constraints: ["the axes are axes of the operand, each named once", "the monoid is defined on the dtype"],
      lowering: .reduction(monoid), dtypes: monoid.dtypes,
      type: { question throws(Diagnostic) in
        guard case .reduce(_, let axes) = question.payload else { throw question.unreachablePayload }
        let operand = try question.onlyOperand()
        let shape = operand.shape
        for axis in axes { try question.requireAxis(axis, rank: shape.rank, 1) }
        try question.require(Set(axes).count == axes.count, 1, .argument, "\(axes) names an axis twice")
        try question.require(monoid, on: operand.dtype, 2)
        return TensorType(operand.dtype, Shape((0..<shape.rank).filter { !axes.contains($0) }.map { shape[$0] }))
      },
      value: { evaluation throws(Diagnostic) in
        guard case .reduce(_, let axes) = evaluation.payload else { throw evaluation.unreachablePayload }
        let source = evaluation.operands[0]
        var strides = ReferenceTensor.contiguousStrides(evaluation.extents)
        for axis in axes.sorted() { strides.insert(0, at: axis) }
        var elements = [ScalarValue](repeating: monoid.identity(evaluation.dtype).value, count: evaluation.count)
        for (i, place) in ReferenceTensor.offsets(source.extents, strides: strides).enumerated() {
          elements[place] = evaluation.combined(monoid, elements[place], source.elements[i])
        }
        return evaluation.result(elements.map(evaluation.rounded))
      },
      cost: onePerElement)
  }

  private static let scans = Monoid.allCases.map { monoid in
    PrimitiveDefinition(
      name: "scan",
      meaning: "Combines each element with all before it on `axis`. Floats accumulate in f64.",
      constraints: ["`axis` is an axis of the operand", "the monoid is defined on the dtype"],
      lowering: .scan(monoid), dtypes: monoid.dtypes,
      type: { question throws(Diagnostic) in
        guard case .scan(_, let axis) = question.payload else { throw question.unreachablePayload }
        let operand = try question.onlyOperand()
        try question.requireAxis(axis, rank: operand.shape.rank, 1)
        try question.require(monoid, on: operand.dtype, 2)
        return operand
      },
      value: { evaluation throws(Diagnostic) in
        guard case .scan(_, let axis) = evaluation.payload else { throw evaluation.unreachablePayload }
        return evaluation.alongLines(axis) { line in
          var total = monoid.identity(evaluation.dtype).value
          return line.map { element in
            total = evaluation.combined(monoid, total, element)
            return evaluation.rounded(total)
          }
        }
      },
      cost: onePerElement)
  }

  private static let argReductions = ArgMonoid.allCases.map { monoid in
    PrimitiveDefinition(
      name: "argreduce",
      meaning: "The first position (i64) of the largest or smallest element on `axis`, which is dropped; NaN wins.",
      constraints: ["`axis` is an axis of the operand", "the extent on `axis` is not 0"],
      lowering: .argReduction(monoid), dtypes: .computed,
      type: { question throws(Diagnostic) in
        guard case .argAxis(_, let axis) = question.payload else { throw question.unreachablePayload }
        var shape = try positions(question, axis).shape
        try question.require(!shape[axis].isKnown(0), 2, "\(shape) has no element on axis \(axis)")
        shape.dims.remove(at: axis)
        return TensorType(.i64, shape)
      },
      value: { evaluation throws(Diagnostic) in
        guard case .argAxis(_, let axis) = evaluation.payload else { throw evaluation.unreachablePayload }
        let source = evaluation.operands[0]
        if source.extents[axis] == 0 && evaluation.count > 0 {
          throw evaluation.broken(.shape, "\(source.extents) has no element on axis \(axis)")
        }
        return evaluation.alongLines(axis) { line in
          var best = 0
          for k in line.indices where monoid.wins(line[k], over: line[best], source.dtype, ties: false) { best = k }
          return line.isEmpty ? [] : [.integer(Int64(best))]
        }
      })
  }

  private static let argScans = ArgMonoid.allCases.map { monoid in
    PrimitiveDefinition(
      name: "argscan",
      meaning: "The last position (i64) of the largest or smallest element up to here on `axis`; NaN wins.",
      constraints: ["`axis` is an axis of the operand"],
      lowering: .argScan(monoid), dtypes: .computed,
      type: { question throws(Diagnostic) in
        guard case .argAxis(_, let axis) = question.payload else { throw question.unreachablePayload }
        return try positions(question, axis)
      },
      value: { evaluation throws(Diagnostic) in
        guard case .argAxis(_, let axis) = evaluation.payload else { throw evaluation.unreachablePayload }
        let dtype = evaluation.operands[0].dtype
        return evaluation.alongLines(axis) { line in
          var best = 0
          return line.indices.map { k in
            if monoid.wins(line[k], over: line[best], dtype, ties: true) { best = k }
            return .integer(Int64(best))
          }
        }
      })
  }

  static let sortOrder = PrimitiveDefinition(
    name: "sortorder",
    meaning: "The positions (i64) that sort `axis`; stable; NaN is the largest.",
    constraints: ["`axis` is an axis of the operand"],
    lowering: .sort, dtypes: .computed,
    type: { question throws(Diagnostic) in
      guard case .sort(let axis, _) = question.payload else { throw question.unreachablePayload }
      return try positions(question, axis)
    },
    value: { evaluation throws(Diagnostic) in
      guard case .sort(let axis, let descending) = evaluation.payload else { throw evaluation.unreachablePayload }
      let dtype = evaluation.operands[0].dtype
      return evaluation.alongLines(axis) { line in
        line.indices.sorted { a, b in
          let (x, y) = descending ? (line[b], line[a]) : (line[a], line[b])
          return x.precedes(y, dtype) || !y.precedes(x, dtype) && a < b
        }.map { .integer(Int64($0)) }
      }
    })

  /// i64 in the shape of the one operand, which has the axis (C1).
  private static func positions(_ question: borrowing TypeQuestion, _ axis: Int) throws(Diagnostic) -> TensorType {
    let shape = try question.onlyOperand().shape
    try question.requireAxis(axis, rank: shape.rank, 1)
    return TensorType(.i64, shape)
  }
}

extension ReferenceEvaluation {
  /// The lines of the operand along `axis`, each turned into as many elements as the result's lines have.
  fileprivate func alongLines(_ axis: Int, _ body: ([ScalarValue]) -> [ScalarValue]) -> ReferenceTensor {
    let (outer, extent, inner) = operands[0].line(axis)
    var elements = [ScalarValue](repeating: .integer(0), count: count)
    for o in 0..<outer {
      for i in 0..<inner {
        let made = body((0..<extent).map { operands[0].elements[(o * extent + $0) * inner + i] })
        for (k, element) in made.enumerated() { elements[(o * made.count + k) * inner + i] = element }
      }
    }
    return result(elements)
  }
}

extension ScalarValue {
  /// In ascending order; NaN is the largest.
  fileprivate func precedes(_ other: ScalarValue, _ dtype: DType) -> Bool {
    switch (self, other) {
    case (.float(let a), .float(let b)): a.isNaN ? false : b.isNaN ? true : a < b
    case (.integer(let a), .integer(let b)): ScalarReference.isLess(a, b, dtype)
    case (.float, .integer), (.integer, .float): false
    }
  }
}

extension Monoid {
  /// Where the monoid is defined.
  package var dtypes: DTypes { DTypes { isDefined(on: $0) } }

  /// The place in `allCases`.
  var ordinal: Int {
    switch self {
    case .sum: 0
    case .product: 1
    case .minimum: 2
    case .maximum: 3
    case .and: 4
    case .or: 5
    case .logSumExp: 6
    }
  }
}

extension ArgMonoid {
  fileprivate var ordinal: Int { self == .maximum ? 0 : 1 }

  /// Whether `x` takes the place of `best`. NaN beats everything, but not an earlier NaN unless `ties`.
  fileprivate func wins(_ x: ScalarValue, over best: ScalarValue, _ dtype: DType, ties: Bool) -> Bool {
    switch (x, best) {
    case (.float(let a), .float(let b)):
      if b.isNaN { return ties && a.isNaN }
      if a.isNaN { return true }
      return ties && a == b || (self == .maximum ? a > b : a < b)
    case (.integer(let a), .integer(let b)):
      let (low, high) = self == .maximum ? (b, a) : (a, b)
      return ties && a == b || ScalarReference.isLess(low, high, dtype)
    case (.float, .integer), (.integer, .float): return false
    }
  }
}

// What reads or writes at given places: by indices among the operands, or in a range, each primitive as its record.
// Not users' indexing. Surprise: an index outside faults, also a negative one; wrapping is done by whoever makes the index.
import Basics
import Scalars
import TensorTypes

enum Indexed {
  static let samples: [Primitive] = [
    .gather(axis: 1), .scatter(axis: 1, combine: .sum), .assign(starts: [1, 0], steps: [1, 2]),
  ]

  static func scatter(_ combine: Monoid?) -> PrimitiveDefinition { scatters[combine.map { $0.ordinal + 1 } ?? 0] }

  static let gather = PrimitiveDefinition(
    name: "gather",
    meaning: "result[.., k, ..] = x[.., indices[.., k, ..], ..] on `axis`. An index outside faults.",
    constraints: [
      "`axis` is an axis of the operand, and the indices have its rank",
      "the indices are i64",
      "all extents but that on `axis` are equal",
    ],
    lowering: .gather, dtypes: .all, staysInStorage: true,
    type: { question throws(Diagnostic) in
      guard case .axis(let axis) = question.payload else { throw question.unreachablePayload }
      try question.requireOperands(2)
      let (source, indices) = (question.operands[0], question.operands[1])
      try question.requireAxis(axis, rank: source.shape.rank, 1)
      try question.require(
        indices.shape.rank == source.shape.rank, 1, "the operands' shapes are \(source.shape) and \(indices.shape)")
      try question.require(indices.dtype == .i64, 2, .dtype, "the indices are \(indices.dtype)")
      try question.requireEqualExtents(source.shape, indices.shape, except: axis, 3)
      return TensorType(source.dtype, indices.shape)
    },
    value: { evaluation throws(Diagnostic) in
      guard case .axis(let axis) = evaluation.payload else { throw evaluation.unreachablePayload }
      let source = evaluation.operands[0]
      return evaluation.result(try evaluation.places(axis).map { source.elements[$0] })
    })

  private static let scatters = ([nil] + Monoid.allCases.map { $0 }).map { combine in
    PrimitiveDefinition(
      name: "scatter",
      meaning: "The base (first operand) with the updates (third) combined in at the indices (second) on `axis`; "
        + "without a monoid they replace, and the last one wins. An index outside faults.",
      constraints: [
        "`axis` is an axis of the base, and all operands have its rank",
        "the indices are i64, and the updates have the base's dtype",
        "indices and updates have one shape, which is the base's except on `axis`",
        "the monoid is defined on the dtype",
      ],
      lowering: .scatter(combine), dtypes: combine?.dtypes ?? .all,
      type: { question throws(Diagnostic) in
        guard case .scatter(let axis, _) = question.payload else { throw question.unreachablePayload }
        try question.requireOperands(3)
        let (base, indices, updates) = (question.operands[0], question.operands[1], question.operands[2])
        try question.requireAxis(axis, rank: base.shape.rank, 1)
        try question.require(
          indices.shape.rank == base.shape.rank && updates.shape.rank == base.shape.rank, 1,
          "the operands' shapes are \(base.shape), \(indices.shape) and \(updates.shape)")
        try question.require(
          indices.dtype == .i64 && updates.dtype == base.dtype, 2, .dtype,
          "the operands are \(base.dtype), \(indices.dtype) and \(updates.dtype)")
        try question.require(
          indices.shape == updates.shape, 3, "indices \(indices.shape), updates \(updates.shape)")
        try question.requireEqualExtents(base.shape, indices.shape, except: axis, 3)
        if let combine { try question.require(combine, on: base.dtype, 4) }
        return base
      },
      value: { evaluation throws(Diagnostic) in
        guard case .scatter(let axis, _) = evaluation.payload else { throw evaluation.unreachablePayload }
        let updates = evaluation.operands[2].elements
        var elements = evaluation.operands[0].elements
        for (update, place) in zip(updates, try evaluation.places(axis)) {
          elements[place] = combine.map { evaluation.combined($0, elements[place], update) } ?? update
        }
        return evaluation.result(combine == nil ? elements : elements.map(evaluation.rounded))
      },
      // The base is read and written as the result; only touched elements are computed.
      cost: { question in
        let computes = combine != nil && question.node.type.dtype.isFloating
        return Cost(flops: computes ? question.sources[2].count : 0, bytes: question.bytes)
      })
  }

  static let assign = PrimitiveDefinition(
    name: "assign",
    meaning: "The base (first operand) with elements start, start + step, ... on each axis replaced by the update "
      + "(second), whose extents count them.",
    constraints: [
      "start and step are given for each axis, and the update has the base's rank",
      "the update has the base's dtype",
      "no step is 0, and the first and the last element written are inside the extent",
    ],
    lowering: .assign, dtypes: .all, staysInStorage: true,
    type: { question throws(Diagnostic) in
      guard case .assign(let starts, let steps) = question.payload else { throw question.unreachablePayload }
      try question.requireOperands(2)
      let (base, update) = (question.operands[0], question.operands[1])
      let rank = base.shape.rank
      try question.require(
        starts.count == rank && steps.count == rank && update.shape.rank == rank, 1,
        "\(base) and an update \(update); starts \(Shape(starts)), steps \(steps)")
      try question.require(update.dtype == base.dtype, 2, .dtype, "the operands are \(base) and \(update)")
      for axis in 0..<rank {
        try question.requireRange(
          starts[axis], update.shape[axis], step: steps[axis], on: axis, of: base.shape, stepIsOf: 3, 3)
      }
      return base
    },
    value: { evaluation throws(Diagnostic) in
      guard case .assign(let starts, let steps) = evaluation.payload else { throw evaluation.unreachablePayload }
      let (base, update) = (evaluation.operands[0], evaluation.operands[1])
      let range = try evaluation.range(starts, steps, counts: update.extents, of: base)
      var elements = base.elements
      let places = ReferenceTensor.offsets(update.extents, strides: range.strides, start: range.start)
      for (i, place) in places.enumerated() { elements[place] = update.elements[i] }
      return evaluation.result(elements)
    },
    // The base may be overwritten: only the update is read and written.
    cost: { Cost(flops: 0, bytes: 2 * $0.sources[1].count * $0.sources[1].dtype.size) })
}

extension Primitive {
  /// The axis of the first operand that indices, the second operand, run over; nil: it has no indices.
  package var indexedAxis: Int? {
    switch self {
    case .gather(let axis), .scatter(let axis, _): axis
    default: nil
    }
  }
}

extension GraphBuilder {
  /// The slices of `source` at `indices` (i64, rank 1) along `axis`: the same ones at every place of the other axes.
  package mutating func slices(of source: Value, at indices: Value, axis: Int) throws(Diagnostic) -> Value {
    var shape = shape(source)
    shape[axis] = self.shape(indices)[0]
    let spread = try restoring(indices, (0..<shape.rank).filter { $0 != axis }, shape)
    return try append(.gather(axis: axis), source, spread)
  }
}

extension ReferenceTensor {
  /// As indices: the places that they name on `axis`, whose extent is another one in the tensor that is indexed.
  package func places(_ axis: Int, of extent: Int) -> [Int] {
    let (_, chosen, inner) = line(axis)
    return elements.enumerated().map { place, index in
      (place / (chosen * inner) * extent + Int(index.integerValue)) * inner + place % inner
    }
  }
}

extension ReferenceEvaluation {
  /// The elements of the first operand that the indices, the second operand, name on `axis`, in the indices' order.
  fileprivate func places(_ axis: Int) throws(Diagnostic) -> [Int] {
    let (extent, indices) = (operands[0].extents[axis], operands[1])
    for index in indices.elements.map(\.integerValue) where index < 0 || index >= extent {
      throw broken(.index, "index \(index) on axis \(axis), whose extent is \(extent)")
    }
    return indices.places(axis, of: extent)
  }
}

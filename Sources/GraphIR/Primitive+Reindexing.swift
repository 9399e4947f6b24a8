// Reindexing: the same elements at other places, each primitive as its record.
// Not how maps become loops, which fusion derives from the payloads. Surprise: facts about symbolic extents that the type
// rules do not decide (a slice inside an extent) are the caller's promise.
import Basics
import Scalars
import TensorTypes

enum Reindexing {
  static let samples: [Primitive] = [
    .broadcast([4, 2, 3]), .reshape([3, 2]), .permute([1, 0]),
    .slice(starts: [1, 2], counts: [1, 2], steps: [1, -2]), .pad(low: [1, 0], high: [0, 2]), .concatenate(axis: 1),
    .windows(axis: 1, size: 2, step: 1, dilation: 1),
  ]

  static let broadcast = PrimitiveDefinition(
    reindexing: "broadcast",
    meaning: "Repeats to a shape: axes are aligned at the right; extent 1 and missing axes repeat.",
    constraints: [
      "the shape has at least the operand's rank",
      "aligned at the right, each extent of the operand is 1 or the shape's",
      "no extent is negative",
    ],
    type: { question throws(Diagnostic) in
      guard case .repeated(let shape) = question.payload else { throw question.unreachablePayload }
      let operand = try question.onlyOperand()
      try question.require(
        operand.shape.rank <= shape.rank, 1,
        "\(operand.shape) has \(operand.shape.rank) axes, \(shape) has \(shape.rank)")
      try question.requireNotNegative(shape.dims, 3)
      for (from, to) in zip(operand.shape.dims.reversed(), shape.dims.reversed()) {
        try question.require(from.isKnown(1) || from == to, 2, "\(operand.shape) does not repeat to \(shape)")
      }
      return TensorType(operand.dtype, shape)
    },
    value: { evaluation throws(Diagnostic) in
      let (from, to) = (evaluation.operands[0].extents, evaluation.extents)
      var strides = ReferenceTensor.contiguousStrides(from)
      let missing = to.count - from.count
      for (axis, extent) in from.enumerated() {
        if extent != 1 && extent != to[axis + missing] { throw evaluation.broken(.shape, "\(from) to \(to)") }
        if extent == 1 { strides[axis] = 0 }
      }
      return evaluation.viewed(Array(repeating: 0, count: missing) + strides)
    })

  static let reshape = PrimitiveDefinition(
    reindexing: "reshape",
    meaning: "The elements in row-major order under another shape.",
    constraints: ["no extent is negative", "both shapes have as many elements"],
    type: { question throws(Diagnostic) in
      guard case .shape(let shape) = question.payload else { throw question.unreachablePayload }
      let operand = try question.onlyOperand()
      try question.requireNotNegative(shape.dims, 1)
      try question.require(
        operand.shape.hasAsManyElements(as: shape), 2,
        "\(operand.shape) has \(operand.shape.elementCount) elements, \(shape) has \(shape.elementCount)")
      return TensorType(operand.dtype, shape)
    },
    value: { evaluation throws(Diagnostic) in
      let source = evaluation.operands[0]
      if source.elements.count != evaluation.count {
        throw evaluation.broken(.shape, "\(source.extents) to \(evaluation.extents)")
      }
      return evaluation.result(source.elements)
    })

  static let permute = PrimitiveDefinition(
    reindexing: "permute",
    meaning: "Axis i of the result is axis permutation[i] of the operand.",
    constraints: ["the permutation names each axis of the operand once"],
    type: { question throws(Diagnostic) in
      guard case .permutation(let permutation) = question.payload else { throw question.unreachablePayload }
      let operand = try question.onlyOperand()
      try question.require(
        permutation.sorted() == Array(0..<operand.shape.rank), 1,
        "\(permutation) does not permute the axes of \(operand.shape)")
      return TensorType(operand.dtype, Shape(permutation.map { operand.shape[$0] }))
    },
    value: { evaluation throws(Diagnostic) in
      guard case .permutation(let permutation) = evaluation.payload else { throw evaluation.unreachablePayload }
      let strides = ReferenceTensor.contiguousStrides(evaluation.operands[0].extents)
      return evaluation.viewed(permutation.map { strides[$0] })
    })

  static let slice = PrimitiveDefinition(
    reindexing: "slice",
    meaning: "Elements start, start + step, ... (`count` of them) on each axis; a negative step walks back.",
    constraints: [
      "start, count and step are given for each axis",
      "no step is 0 and no count negative",
      "the first and the last element taken are inside the extent",
    ],
    type: { question throws(Diagnostic) in
      guard case .slice(let starts, let counts, let steps) = question.payload else {
        throw question.unreachablePayload
      }
      let operand = try question.onlyOperand()
      let rank = operand.shape.rank
      try question.require(
        starts.count == rank && counts.count == rank && steps.count == rank, 1,
        "\(operand.shape) has \(rank) axes; starts \(Shape(starts)), counts \(Shape(counts)), steps \(steps)")
      try question.requireNotNegative(counts, 2)
      for axis in 0..<rank {
        try question.requireRange(
          starts[axis], counts[axis], step: steps[axis], on: axis, of: operand.shape, stepIsOf: 2, 3)
      }
      return TensorType(operand.dtype, Shape(counts))
    },
    value: { evaluation throws(Diagnostic) in
      guard case .slice(let starts, _, let steps) = evaluation.payload else { throw evaluation.unreachablePayload }
      let range = try evaluation.range(starts, steps, counts: evaluation.extents, of: evaluation.operands[0])
      return evaluation.viewed(range.strides, start: range.start)
    })

  static let pad = PrimitiveDefinition(
    reindexing: "pad",
    meaning: "`low` and `high` elements of the second operand (0-d) around each axis.",
    constraints: [
      "low and high are given for each axis and are not negative",
      "the second operand is 0-d and has the first one's dtype",
    ],
    type: { question throws(Diagnostic) in
      guard case .pad(let low, let high) = question.payload else { throw question.unreachablePayload }
      try question.requireOperands(2)
      let (operand, value) = (question.operands[0], question.operands[1])
      let rank = operand.shape.rank
      try question.require(
        low.count == rank && high.count == rank, 1,
        "\(operand.shape) has \(rank) axes; \(Shape(low)) and \(Shape(high))")
      try question.requireNotNegative(low, 1)
      try question.requireNotNegative(high, 1)
      try question.require(
        value == TensorType(operand.dtype, []), 2, .dtype, "the operands are \(operand) and \(value)")
      return TensorType(operand.dtype, Shape((0..<rank).map { operand.shape[$0] + low[$0] + high[$0] }))
    },
    value: { evaluation throws(Diagnostic) in
      guard case .pad(let low, _) = evaluation.payload else { throw evaluation.unreachablePayload }
      let (source, filling) = (evaluation.operands[0], evaluation.operands[1].elements[0])
      var elements = [ScalarValue](repeating: filling, count: evaluation.count)
      let outer = ReferenceTensor.contiguousStrides(evaluation.extents)
      var start = 0
      for (axis, stride) in outer.enumerated() { start += try low[axis].value(evaluation.symbols) * stride }
      let places = ReferenceTensor.offsets(source.extents, strides: outer, start: start)
      for (i, place) in places.enumerated() { elements[place] = source.elements[i] }
      return evaluation.result(elements)
    })

  static let concatenate = PrimitiveDefinition(
    reindexing: "concatenate",
    meaning: "The operands one after the other on `axis`.",
    constraints: [
      "there is an operand, and `axis` is one of its axes",
      "all operands have one dtype and one rank",
      "all extents but that on `axis` are equal",
    ],
    type: { question throws(Diagnostic) in
      guard case .axis(let axis) = question.payload else { throw question.unreachablePayload }
      guard let first = question.operands.first else { throw question.broken(1, .argument, "there is no operand") }
      try question.requireAxis(axis, rank: first.shape.rank, 1)
      var result = first
      for other in question.operands.dropFirst() {
        try question.require(
          other.dtype == first.dtype && other.shape.rank == first.shape.rank, 2, .dtype,
          "the operands are \(first) and \(other)")
        try question.requireEqualExtents(first.shape, other.shape, except: axis, 3)
        result.shape[axis] += other.shape[axis]
      }
      return result
    },
    value: { evaluation throws(Diagnostic) in
      guard case .axis(let axis) = evaluation.payload else { throw evaluation.unreachablePayload }
      var elements: [ScalarValue] = []
      elements.reserveCapacity(evaluation.count)
      for i in 0..<evaluation.extents[..<axis].reduce(1, *) {
        for operand in evaluation.operands {
          let run = operand.extents[axis...].reduce(1, *)
          elements += operand.elements[(i * run)..<((i + 1) * run)]
        }
      }
      return evaluation.result(elements)
    })

  static let windows = PrimitiveDefinition(
    reindexing: "windows",
    meaning: "Appends an axis of extent `size`: result[.., i, .., j] = x[.., i * step + j * dilation, ..].",
    constraints: [
      "`axis` is an axis of the operand",
      "size, step and dilation are positive",
      "one window fits: the extent is at least dilation * (size - 1) + 1",
    ],
    type: { question throws(Diagnostic) in
      guard case .windows(let axis, let size, let step, let dilation) = question.payload else {
        throw question.unreachablePayload
      }
      let operand = try question.onlyOperand()
      try question.requireAxis(axis, rank: operand.shape.rank, 1)
      try question.require(
        size > 0 && step > 0 && dilation > 0, 2, .argument, "size \(size), step \(step), dilation \(dilation)")
      let (reach, overflow) = (size - 1).multipliedReportingOverflow(by: dilation)
      let extent = operand.shape[axis]
      try question.require(
        !overflow && extent.knownValue ?? Int.max > reach, 3,
        "a window spans \(reach + 1) of axis \(axis), whose extent is \(extent)")
      var dims = operand.shape.dims
      dims[axis] = (extent - (reach + 1)) / step + 1
      dims.append(Dim(size))
      return TensorType(operand.dtype, Shape(dims))
    },
    value: { evaluation throws(Diagnostic) in
      guard case .windows(let axis, _, let step, let dilation) = evaluation.payload else {
        throw evaluation.unreachablePayload
      }
      var strides = ReferenceTensor.contiguousStrides(evaluation.operands[0].extents)
      strides.append(strides[axis] * dilation)
      strides[axis] *= step
      return evaluation.viewed(strides)
    })
}

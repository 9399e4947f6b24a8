// The type rules of reindexing. Not the index maps themselves.
// Surprise: facts about symbolic extents that are not decided here (a slice inside an extent) are the caller's promise.
import Basics
import Scalars
import TensorTypes

extension TypeRules {
  static let broadcast: Rule = { question throws(Diagnostic) in
    guard case .repeated(let shape) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    let operand = question.operands[0]
    try question.require(
      operand.shape.rank <= shape.rank, 1, "\(operand.shape) has \(operand.shape.rank) axes, \(shape) has \(shape.rank)"
    )
    try question.requireNotNegative(shape.dims, 3)
    for (from, to) in zip(operand.shape.dims.reversed(), shape.dims.reversed()) {
      try question.require(from.isKnown(1) || from == to, 2, "\(operand.shape) does not repeat to \(shape)")
    }
    return TensorType(operand.dtype, shape)
  }

  static let reshape: Rule = { question throws(Diagnostic) in
    guard case .shape(let shape) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    let operand = question.operands[0]
    try question.requireNotNegative(shape.dims, 1)
    try question.require(
      operand.shape.hasAsManyElements(as: shape), 2,
      "\(operand.shape) has \(operand.shape.elementCount) elements, \(shape) has \(shape.elementCount)")
    return TensorType(operand.dtype, shape)
  }

  static let permute: Rule = { question throws(Diagnostic) in
    guard case .permutation(let permutation) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    let operand = question.operands[0]
    try question.require(
      permutation.sorted() == Array(0..<operand.shape.rank), 1,
      "\(permutation) does not permute the axes of \(operand.shape)")
    return TensorType(operand.dtype, Shape(permutation.map { operand.shape[$0] }))
  }

  static let slice: Rule = { question throws(Diagnostic) in
    guard case .slice(let starts, let counts, let steps) = question.payload else {
      throw question.unreachablePayload
    }
    try question.requireOperands(1)
    let operand = question.operands[0]
    let rank = operand.shape.rank
    try question.require(
      starts.count == rank && counts.count == rank && steps.count == rank, 1,
      "\(operand.shape) has \(rank) axes; starts \(Shape(starts)), counts \(Shape(counts)), steps \(steps)")
    try question.requireNotNegative(counts, 2)
    for axis in 0..<rank {
      try question.require(steps[axis] != 0, 2, "the step on axis \(axis) is 0")
      try TypeQuestion.requireIntact(starts[axis])
      guard let start = starts[axis].knownValue, let count = counts[axis].knownValue else { continue }
      if count == 0 { continue }
      let (reach, overflow) = (count - 1).multipliedReportingOverflow(by: steps[axis])
      let (last, overflows) = start.addingReportingOverflow(reach)
      let extent = operand.shape[axis].knownValue ?? Int.max
      try question.require(
        !overflow && !overflows && min(start, last) >= 0 && max(start, last) < extent, 3, .index,
        "elements \(start) to \(last) of axis \(axis), whose extent is \(operand.shape[axis])")
    }
    return TensorType(operand.dtype, Shape(counts))
  }

  static let assign: Rule = { question throws(Diagnostic) in
    guard case .assign(let starts, let steps) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(2)
    let (base, update) = (question.operands[0], question.operands[1])
    let rank = base.shape.rank
    try question.require(
      starts.count == rank && steps.count == rank && update.shape.rank == rank, 1,
      "\(base) and an update \(update); starts \(Shape(starts)), steps \(steps)")
    try question.require(update.dtype == base.dtype, 2, .dtype, "the operands are \(base) and \(update)")
    for axis in 0..<rank {
      try question.require(steps[axis] != 0, 3, "the step on axis \(axis) is 0")
      try TypeQuestion.requireIntact(starts[axis])
      guard let start = starts[axis].knownValue, let count = update.shape[axis].knownValue, count > 0 else { continue }
      let (reach, overflow) = (count - 1).multipliedReportingOverflow(by: steps[axis])
      let (last, overflows) = start.addingReportingOverflow(reach)
      let extent = base.shape[axis].knownValue ?? Int.max
      try question.require(
        !overflow && !overflows && min(start, last) >= 0 && max(start, last) < extent, 3, .index,
        "elements \(start) to \(last) of axis \(axis), whose extent is \(base.shape[axis])")
    }
    return base
  }

  static let pad: Rule = { question throws(Diagnostic) in
    guard case .pad(let low, let high) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(2)
    let (operand, value) = (question.operands[0], question.operands[1])
    let rank = operand.shape.rank
    try question.require(
      low.count == rank && high.count == rank, 1, "\(operand.shape) has \(rank) axes; \(Shape(low)) and \(Shape(high))")
    try question.requireNotNegative(low, 1)
    try question.requireNotNegative(high, 1)
    try question.require(
      value == TensorType(operand.dtype, []), 2, .dtype, "the operands are \(operand) and \(value)")
    return TensorType(operand.dtype, Shape((0..<rank).map { operand.shape[$0] + low[$0] + high[$0] }))
  }

  static let concatenate: Rule = { question throws(Diagnostic) in
    guard case .axis(let axis) = question.payload else { throw question.unreachablePayload }
    guard let first = question.operands.first else { throw question.broken(1, .argument, "there is no operand") }
    try question.requireAxis(axis, rank: first.shape.rank, 1)
    var result = first
    for other in question.operands.dropFirst() {
      try question.require(
        other.dtype == first.dtype && other.shape.rank == first.shape.rank, 2, .dtype,
        "the operands are \(first) and \(other)")
      for i in 0..<first.shape.rank where i != axis {
        try question.require(
          other.shape[i] == first.shape[i], 3, "\(first.shape) and \(other.shape) differ on axis \(i)")
      }
      result.shape[axis] += other.shape[axis]
    }
    return result
  }

  static let windows: Rule = { question throws(Diagnostic) in
    guard case .windows(let axis, let size, let step, let dilation) = question.payload else {
      throw question.unreachablePayload
    }
    try question.requireOperands(1)
    let operand = question.operands[0]
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
  }
}

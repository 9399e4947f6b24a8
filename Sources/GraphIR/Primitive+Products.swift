// Sums of products over axes: the axes of a contraction, and its record.
// Surprise: in reference semantics sums of floats are kept exact in Double and rounded once.
import Basics
import Scalars
import TensorTypes

/// The axes of a contraction, as pairs (axis of the left operand, axis of the right operand).
package struct ContractionAxes: Sendable, Hashable {
  package struct Pair: Sendable, Hashable {
    package var left: Int
    package var right: Int
    package init(_ left: Int, _ right: Int) {
      self.left = left
      self.right = right
    }
  }
  package var batch: [Pair]
  package var contracted: [Pair]
  package init(batch: [Pair] = [], contracted: [Pair]) {
    self.batch = batch
    self.contracted = contracted
  }
  package func leftFree(rank: Int) -> [Int] {
    (0..<rank).filter { axis in !batch.contains { $0.left == axis } && !contracted.contains { $0.left == axis } }
  }
  package func rightFree(rank: Int) -> [Int] {
    (0..<rank).filter { axis in !batch.contains { $0.right == axis } && !contracted.contains { $0.right == axis } }
  }
}

enum Products {
  static let samples: [Primitive] = [.contraction(ContractionAxes(contracted: [.init(1, 0)]))]

  static let contraction = PrimitiveDefinition(
    name: "contraction",
    meaning: "Sums of products over the contracted axes. Result axes: batch, free of the left, free of the right.",
    constraints: [
      "each axis of an operand is paired at most once, and exists",
      "both operands have one dtype, integer or floating",
      "paired extents are equal",
    ],
    lowering: .contraction, dtypes: .numbers,
    type: { question throws(Diagnostic) in
      guard case .contraction(let axes) = question.payload else { throw question.unreachablePayload }
      try question.requireOperands(2)
      let (left, right) = (question.operands[0], question.operands[1])
      let pairs = axes.batch + axes.contracted
      for pair in pairs {
        try question.requireAxis(pair.left, rank: left.shape.rank, 1)
        try question.requireAxis(pair.right, rank: right.shape.rank, 1)
      }
      try question.require(
        Set(pairs.map(\.left)).count == pairs.count && Set(pairs.map(\.right)).count == pairs.count, 1, .argument,
        "an axis is paired twice: left \(pairs.map(\.left)), right \(pairs.map(\.right))")
      try question.require(
        left.dtype == right.dtype && question.definition.dtypes.contains(left.dtype), 2, .dtype,
        "the operands are \(left.dtype) and \(right.dtype)")
      for pair in pairs {
        try question.require(
          left.shape[pair.left] == right.shape[pair.right], 3,
          "axis \(pair.left) of \(left.shape) and axis \(pair.right) of \(right.shape) differ")
      }
      let dims =
        axes.batch.map { left.shape[$0.left] } + axes.leftFree(rank: left.shape.rank).map { left.shape[$0] }
        + axes.rightFree(rank: right.shape.rank).map { right.shape[$0] }
      return TensorType(left.dtype, Shape(dims))
    },
    value: { evaluation throws(Diagnostic) in
      guard case .contraction(let axes) = evaluation.payload else { throw evaluation.unreachablePayload }
      let (left, right, dtype) = (evaluation.operands[0], evaluation.operands[1], evaluation.dtype)
      var elements: [ScalarValue] = []
      elements.reserveCapacity(evaluation.count)
      axes.forEachSum(left, right) { first, second, terms in
        var wide = 0.0
        var exact: Int64 = 0
        for (a, b) in terms {
          switch (left.elements[first + a], right.elements[second + b]) {
          case (.float(let x), .float(let y)): wide.addProduct(x, y)
          case (.integer(let x), .integer(let y)): exact = exact &+ x &* y
          case (.float, .integer), (.integer, .float): break
          }
        }
        elements.append(evaluation.rounded(dtype.isFloating ? .float(wide) : .integer(exact)))
      }
      return evaluation.result(elements)
    },
    cost: { question in
      guard case .contraction(let axes) = question.node.primitive else { return nil }
      let left = question.graph.type(question.node.operands[0]).shape
      let depth = axes.contracted.reduce(Dim(1)) { $0 * left[$1.left] }.evaluated(question.arguments)
      guard let depth else { return nil }
      let work = CheckedSize.work(2 * question.results, depth)
      return Cost(flops: question.node.type.dtype.isFloating ? work : 0, bytes: question.bytes)
    })
}

extension ContractionAxes {
  /// For each element of the result, the places of the elements whose products are its sum: those of the first product, and
  /// how far behind them those of all are.
  package func forEachSum(
    _ left: ReferenceTensor, _ right: ReferenceTensor, _ body: (_ left: Int, _ right: Int, [(Int, Int)]) -> Void
  ) {
    func offsets(_ tensor: ReferenceTensor, _ axes: [Int]) -> [Int] {
      let strides = ReferenceTensor.contiguousStrides(tensor.extents)
      return ReferenceTensor.offsets(axes.map { tensor.extents[$0] }, strides: axes.map { strides[$0] })
    }
    let inner = Array(zip(offsets(left, contracted.map(\.left)), offsets(right, contracted.map(\.right))))
    let rows = offsets(left, leftFree(rank: left.extents.count))
    let columns = offsets(right, rightFree(rank: right.extents.count))
    for (a, b) in zip(offsets(left, batch.map(\.left)), offsets(right, batch.map(\.right))) {
      for row in rows {
        for column in columns { body(a + row, b + column, inner) }
      }
    }
  }
}

// The type rules of what combines elements of different places, and of calls.
import Basics
import Scalars
import TensorTypes

extension TypeRules {
  private static func requireMonoid(_ monoid: Monoid, _ dtype: DType, _ number: Int, _ question: borrowing TypeQuestion)
    throws(Diagnostic)
  {
    try question.require(monoid.dtypes.contains(dtype), number, .dtype, "\(monoid.rawValue) of \(dtype)")
  }

  static let reduce: Rule = { question throws(Diagnostic) in
    guard case .reduce(let monoid, let axes) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    let operand = question.operands[0]
    for axis in axes { try question.requireAxis(axis, rank: operand.shape.rank, 1) }
    try question.require(Set(axes).count == axes.count, 1, .argument, "\(axes) names an axis twice")
    try requireMonoid(monoid, operand.dtype, 2, question)
    return TensorType(
      operand.dtype, Shape((0..<operand.shape.rank).filter { !axes.contains($0) }.map { operand.shape[$0] }))
  }

  static let scan: Rule = { question throws(Diagnostic) in
    guard case .scan(let monoid, let axis) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    let operand = question.operands[0]
    try question.requireAxis(axis, rank: operand.shape.rank, 1)
    try requireMonoid(monoid, operand.dtype, 2, question)
    return operand
  }

  static let argReduce: Rule = { question throws(Diagnostic) in
    guard case .argAxis(_, let axis) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    var shape = question.operands[0].shape
    try question.requireAxis(axis, rank: shape.rank, 1)
    try question.require(!shape[axis].isKnown(0), 2, "\(shape) has no element on axis \(axis)")
    shape.dims.remove(at: axis)
    return TensorType(.i64, shape)
  }

  static let argScan: Rule = { question throws(Diagnostic) in
    guard case .argAxis(_, let axis) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    let shape = question.operands[0].shape
    try question.requireAxis(axis, rank: shape.rank, 1)
    return TensorType(.i64, shape)
  }

  static let sortOrder: Rule = { question throws(Diagnostic) in
    guard case .sort(let axis, _) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(1)
    let shape = question.operands[0].shape
    try question.requireAxis(axis, rank: shape.rank, 1)
    return TensorType(.i64, shape)
  }

  static let contraction: Rule = { question throws(Diagnostic) in
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
  }

  static let gather: Rule = { question throws(Diagnostic) in
    guard case .axis(let axis) = question.payload else { throw question.unreachablePayload }
    try question.requireOperands(2)
    let (source, indices) = (question.operands[0], question.operands[1])
    try question.requireAxis(axis, rank: source.shape.rank, 1)
    try question.require(
      indices.shape.rank == source.shape.rank, 1, "the operands' shapes are \(source.shape) and \(indices.shape)")
    try question.require(indices.dtype == .i64, 2, .dtype, "the indices are \(indices.dtype)")
    try requireEqualExtents(source.shape, indices.shape, except: axis, 3, question)
    return TensorType(source.dtype, indices.shape)
  }

  static let scatter: Rule = { question throws(Diagnostic) in
    guard case .scatter(let axis, let combine) = question.payload else { throw question.unreachablePayload }
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
    try requireEqualExtents(base.shape, indices.shape, except: axis, 3, question)
    if let combine { try requireMonoid(combine, base.dtype, 4, question) }
    return base
  }

  private static func requireEqualExtents(
    _ a: Shape, _ b: Shape, except axis: Int, _ number: Int, _ question: borrowing TypeQuestion
  ) throws(Diagnostic) {
    for i in 0..<a.rank where i != axis {
      try question.require(a[i] == b[i], number, "\(a) and \(b) differ on axis \(i)")
    }
  }

  static let call: Rule = { question throws(Diagnostic) in
    guard case .graph(let reference, let output) = question.payload else { throw question.unreachablePayload }
    let graph = reference.graph
    try question.require(
      graph.outputs.indices.contains(output) && graph.parameters.count == question.operands.count, 1, .argument,
      "\(graph.name) has \(graph.parameters.count) parameters and \(graph.outputs.count) outputs, "
        + "the call \(question.operands.count) operands and output \(output)")
    let bindings = try callBindings(question, graph)
    let type = graph.type(graph.outputs[output])
    var dims: [Dim] = []
    for dim in type.shape.dims { dims.append(try bound(dim, bindings, question)) }
    return TensorType(type.dtype, Shape(dims))
  }

  /// The extent each symbol of the called graph stands for.
  private static func callBindings(_ question: borrowing TypeQuestion, _ graph: Graph) throws(Diagnostic)
    -> [Dim?]
  {
    for node in graph.nodes {
      if case .scalar(let argument) = node.primitive {
        throw question.broken(3, .argument, "\(graph.name) reads the scalar argument \(argument)")
      }
    }
    var bindings = [Dim?](repeating: nil, count: graph.arguments.count)
    for (parameter, operand) in zip(graph.parameters, question.operands) {
      try question.require(
        parameter.type.dtype == operand.dtype && parameter.type.shape.rank == operand.shape.rank, 2, .dtype,
        "\(parameter.name) is \(parameter.type), the operand \(operand)")
      try question.require(
        parameter.strides == parameter.type.shape.contiguousStrides, 4, "\(parameter.name) has strides of its own")
      for (inner, outer) in zip(parameter.type.shape.dims, operand.shape.dims) {
        guard case .symbol(let id)? = inner.expression, bindings.indices.contains(id) else { continue }
        try question.require(
          bindings[id] == nil || bindings[id] == outer, 2,
          "\(inner) is \(bindings[id].map(\.description) ?? "free") and \(outer)")
        bindings[id] = outer
      }
    }
    for (parameter, operand) in zip(graph.parameters, question.operands) {
      for (inner, outer) in zip(parameter.type.shape.dims, operand.shape.dims) {
        let needed = try bound(inner, bindings, question)
        try question.require(
          needed == outer, 2, "\(parameter.name) is \(parameter.type), the operand \(operand)")
      }
    }
    return bindings
  }

  private static func bound(_ dim: Dim, _ bindings: [Dim?], _ question: borrowing TypeQuestion) throws(Diagnostic)
    -> Dim
  {
    for symbol in dim.symbols where !bindings.indices.contains(symbol) || bindings[symbol] == nil {
      throw question.broken(3, .shape, "s\(symbol) is no extent of a parameter")
    }
    return dim.substituting { bindings[$0] ?? 0 }
  }
}

// Reshapes moved behind elementwise work, so that an epilogue sees the axes of its product: a pass.
// Not a removal of reshapes: those that end up side by side cancel in the next reduction. Surprise: it needs no cost model,
// since a reshape of memory is free wherever it stands, and between registers it is not.
import Basics
import GraphIR
import TensorTypes

extension Graph {
  /// f(reshape(a), b..) becomes reshape(f(a, b'..)) where every b is a constant, repeated, or reshaped from the same shape;
  /// a product's axes that a reshape merged are permuted one by one, before it.
  func withLateReshapes() throws(Diagnostic) -> Graph {
    return try rewritten { node, operands, builder throws(Diagnostic) in
      if case .permute(let order) = node.primitive {
        return try builder.permuted(operands[0], order).map { .value($0) } ?? .keep
      }
      guard case .pointwise = node.primitive.definition.lowering, node.type.shape.rank > 0 else { return .keep }
      for operand in operands {
        guard case .reshape = builder.graph[operand].primitive else { continue }
        let source = builder.unreshaped(operand)
        // A parameter has all shapes anyway.
        if case .parameter = builder.graph[source].primitive { continue }
        let shape = builder.shape(source)
        guard let groups = AxisGroups(node.type.shape, shape) else { continue }
        var recast: [Value] = []
        for other in operands {
          guard let made = try builder.recast(other, to: shape, groups) else { break }
          recast.append(made)
        }
        if recast.count < operands.count { continue }
        let made = try builder.append(node.primitive, recast)
        return .value(try builder.append(.reshape(node.type.shape), made))
      }
      return .keep
    }
  }
}

/// Runs of axes of two shapes that hold the same elements, in order.
struct AxisGroups {
  var old: [Range<Int>] = []
  var new: [Range<Int>] = []

  /// nil: some axis of one shape is cut by the other's.
  init?(_ a: Shape, _ b: Shape) {
    var (i, j) = (0, 0)
    while i < a.rank && j < b.rank {
      guard let (di, dj) = Self.next(a, i, b, j) else { return nil }
      old.append(i..<(i + di))
      new.append(j..<(j + dj))
      i += di
      j += dj
    }
    // What is left has extent 1.
    guard a.dims[i...].allSatisfy({ $0.isKnown(1) }), b.dims[j...].allSatisfy({ $0.isKnown(1) }) else { return nil }
    guard !old.isEmpty else { return nil }
    old[old.count - 1] = old[old.count - 1].lowerBound..<a.rank
    new[new.count - 1] = new[new.count - 1].lowerBound..<b.rank
  }

  private static func next(_ a: Shape, _ i: Int, _ b: Shape, _ j: Int) -> (Int, Int)? {
    var x: Dim = 1
    for di in 1...(a.rank - i) {
      x = x * a[i + di - 1]
      var y: Dim = 1
      for dj in 1...(b.rank - j) {
        y = y * b[j + dj - 1]
        if x == y { return (di, dj) }
      }
    }
    return nil
  }
}

extension GraphBuilder {
  /// The value under another shape, if that moves nothing that is in registers.
  mutating func recast(_ value: Value, to shape: Shape, _ groups: AxisGroups) throws(Diagnostic) -> Value? {
    let node = graph[value]
    switch node.primitive {
    case .reshape where self.shape(unreshaped(value)) == shape: return unreshaped(value)
    case .parameter: return try append(.reshape(shape), value)
    case .broadcast(let target):
      let source = self.shape(node.operands[0])
      if source.rank == 0 { return try broadcast(node.operands[0], shape) }
      let lead = target.rank - source.rank
      var dims: [Dim] = []
      for (old, new) in zip(groups.old, groups.new) {
        let full = old.filter { $0 >= lead && !source[$0 - lead].isKnown(1) }
        let wide = old.filter { !target[$0].isKnown(1) }
        if full.isEmpty {
          dims += new.map { _ in 1 }
        } else if full == wide {
          dims += new.map { shape[$0] }
        } else {
          return nil
        }
      }
      let small = Shape(dims)
      let moved = small == source ? node.operands[0] : try append(.reshape(small), node.operands[0])
      return try broadcast(moved, shape)
    case let primitive:
      // Elementwise work on nothing but such values.
      guard case .pointwise = primitive.definition.lowering, !node.operands.isEmpty else { return nil }
      var operands: [Value] = []
      for operand in node.operands {
        guard isRepetition(operand), let made = try recast(operand, to: shape, groups) else { return nil }
        operands.append(made)
      }
      return try append(primitive, operands)
    }
  }

  /// permute(reshape(a)) as reshape(permute(a)), where `a` is a product and the reshape makes each of its axes of neighbours.
  mutating func permuted(_ value: Value, _ order: [Int]) throws(Diagnostic) -> Value? {
    guard case .reshape(let merged) = graph[value].primitive else { return nil }
    let source = unreshaped(value)
    guard case .contraction = graph[source].primitive, let groups = AxisGroups(merged, shape(source)),
      groups.old.allSatisfy({ $0.count == 1 })
    else { return nil }
    let moved = try append(.permute(order.flatMap { Array(groups.new[$0]) }), source)
    return try append(.reshape(Shape(order.map { merged[$0] })), moved)
  }

  /// The value that a chain of reshapes starts from.
  func unreshaped(_ value: Value) -> Value {
    var value = value
    while case .reshape = graph[value].primitive { value = graph[value].operands[0] }
    return value
  }

  /// Repeated numbers, or elementwise work on a few of them.
  private func isRepetition(_ value: Value, depth: Int = 4) -> Bool {
    let node = graph[value]
    if case .broadcast = node.primitive { return true }
    guard depth > 0, case .pointwise = node.primitive.definition.lowering, !node.operands.isEmpty else { return false }
    return node.operands.allSatisfy { isRepetition($0, depth: depth - 1) }
  }
}

// Which keys a block of queries can see at all, where the mask compares positions: `key <= query + start`, windows.
// Not the mask itself, which is evaluated like all work on the scores. Surprise: only comparisons whose failure makes a
// score -infinity count, since only then a skipped key would have had the weight 0.
import GraphIR
import TensorTypes
import TileIR

/// `sum(coefficients[axis] * coordinate[axis]) + offset`, over the axes of the scores.
struct LinearPosition {
  var coefficients: [Int: Int] = [:]
  var offset: Dim = 0

  func combined(_ other: LinearPosition, times factor: Int) -> LinearPosition {
    var result = self
    for (axis, coefficient) in other.coefficients { result.coefficients[axis, default: 0] += factor * coefficient }
    result.coefficients = result.coefficients.filter { $0.value != 0 }
    result.offset = offset + other.offset * Dim(factor)
    return result
  }
}

struct AttentionMask {
  /// Each is at most 0 where a key is seen.
  private(set) var conditions: [LinearPosition] = []
  private let graph: Graph

  init(_ graph: Graph, _ pattern: AttentionPattern) {
    self.graph = graph
    collect(pattern.logits, Array(0..<graph.type(pattern.logits).shape.rank), scores: pattern.scores)
  }

  /// Conditions under which `value` is not -infinity; `axes`: the scores' axis that each of its own is, nil: it stands still.
  private mutating func collect(_ value: Value, _ axes: [Int?], scores: Value) {
    guard value != scores else { return }
    let node = graph[value]
    if let moved = source(node, axes) { return collect(node.operands[0], moved, scores: scores) }
    if node.primitive == .select {
      if isHidden(node.operands[2]) {
        require(node.operands[0], true, axes)
        collect(node.operands[1], axes, scores: scores)
      } else if isHidden(node.operands[1]) {
        require(node.operands[0], false, axes)
        collect(node.operands[2], axes, scores: scores)
      }
    } else if node.primitive == .add {
      for operand in node.operands { collect(operand, axes, scores: scores) }
    } else if node.primitive == .subtract {
      collect(node.operands[0], axes, scores: scores)
    } else if node.primitive == .multiplyAdd {
      collect(node.operands[2], axes, scores: scores)
    } else if case .convert(let dtype) = node.primitive, dtype.isFloating {
      collect(node.operands[0], axes, scores: scores)
    }
  }

  /// Notes what follows from `condition` being `wanted`.
  private mutating func require(_ condition: Value, _ wanted: Bool, _ axes: [Int?]) {
    let node = graph[condition]
    if let moved = source(node, axes) { return require(node.operands[0], wanted, moved) }
    if node.primitive == .not { return require(node.operands[0], !wanted, axes) }
    if node.primitive == (wanted ? .and : .or) {
      for operand in node.operands { require(operand, wanted, axes) }
      return
    }
    if case .convert(.bool) = node.primitive { return require(node.operands[0], isZero: !wanted, axes) }
    if node.primitive == .equal || node.primitive == .notEqual {
      for (side, other) in [(0, 1), (1, 0)] where number(node.operands[other]) == 0 {
        require(node.operands[side], isZero: (node.primitive == .equal) == wanted, axes)
      }
      return
    }
    guard node.primitive == .less || node.primitive == .lessOrEqual,
      let a = position(node.operands[0], axes), let b = position(node.operands[1], axes)
    else { return }
    // a <= b, or b < a; in integers, a < b is a + 1 <= b.
    let (low, high) = wanted ? (a, b) : (b, a)
    var difference = low.combined(high, times: -1)
    if (node.primitive == .less) == wanted { difference.offset = difference.offset + 1 }
    conditions.append(difference)
  }

  /// Notes what follows from a number being 0, or not: triangles of ones are masks, too.
  private mutating func require(_ value: Value, isZero: Bool, _ axes: [Int?]) {
    let node = graph[value]
    if let moved = source(node, axes) { return require(node.operands[0], isZero: isZero, moved) }
    if case .convert = node.primitive, graph.type(node.operands[0]).dtype == .bool {
      return require(node.operands[0], !isZero, axes)
    }
    guard node.primitive == .select, let whenTrue = number(node.operands[1]), let whenFalse = number(node.operands[2]),
      (whenTrue == 0) != (whenFalse == 0)
    else { return }
    require(node.operands[0], (whenTrue == 0) == isZero, axes)
  }

  /// An integer that is linear in the coordinates.
  private func position(_ value: Value, _ axes: [Int?]) -> LinearPosition? {
    let node = graph[value]
    guard node.type.dtype.isInteger else { return nil }
    if let moved = source(node, axes) { return position(node.operands[0], moved) }
    if case .iota(let axis, _) = node.primitive {
      return LinearPosition(coefficients: axes[axis].map { [$0: 1] } ?? [:])
    }
    if case .constant(let constant) = node.primitive { return LinearPosition(offset: Dim(Int(constant.integerValue))) }
    if case .scalar(let argument) = node.primitive {
      return node.type.dtype == .i64 ? LinearPosition(offset: .symbol(argument)) : nil
    }
    if node.primitive == .add || node.primitive == .subtract {
      guard let a = position(node.operands[0], axes), let b = position(node.operands[1], axes) else { return nil }
      return a.combined(b, times: node.primitive == .add ? 1 : -1)
    }
    if case .convert = node.primitive { return position(node.operands[0], axes) }
    if case .slice(let starts, _, let steps) = node.primitive {
      // An axis that stands still has the element at its start: until that is added it is an axis of its own.
      let free = min(0, axes.compactMap { $0 }.min() ?? 0) - 1
      let marked = axes.enumerated().map { axis, place in place ?? free - axis }
      guard steps.allSatisfy({ $0 == 1 }), var moved = position(node.operands[0], marked) else { return nil }
      for (axis, start) in starts.enumerated() {
        guard let coefficient = moved.coefficients[marked[axis]] else { continue }
        moved.offset = moved.offset + start * Dim(coefficient)
        if axes[axis] == nil { moved.coefficients[marked[axis]] = nil }
      }
      return moved
    }
    return nil
  }

  /// The axes of the operand, where `node` only moves or repeats axes.
  private func source(_ node: GraphNode, _ axes: [Int?]) -> [Int?]? {
    if case .broadcast(let shape) = node.primitive {
      let inner = graph.type(node.operands[0]).shape
      let lead = shape.rank - inner.rank
      return (0..<inner.rank).map { inner[$0].isKnown(1) ? nil : axes[lead + $0] }
    }
    if case .permute(let order) = node.primitive {
      var moved = axes
      for (axis, from) in order.enumerated() { moved[from] = axes[axis] }
      return moved
    }
    guard case .reshape(let shape) = node.primitive else { return nil }
    let inner = graph.type(node.operands[0]).shape
    let kept = axes.indices.filter { !shape[$0].isKnown(1) }
    guard inner.dims.filter({ !$0.isKnown(1) }) == kept.map({ shape[$0] }) else { return nil }
    var rest = kept.map { axes[$0] }[...]
    return inner.dims.map { $0.isKnown(1) ? nil : rest.removeFirst() }
  }

  private func isHidden(_ value: Value) -> Bool { number(value) == -.infinity }

  /// A float's or an integer's constant, repeated.
  private func number(_ value: Value) -> Double? {
    var value = value
    while graph.isAxisPreserving(value) { value = graph[value].operands[0] }
    guard case .constant(let constant) = graph[value].primitive else { return nil }
    return constant.doubleValue
  }
}

extension NestEmitter {
  /// The first and the one after the last key that a block of rows may see, between 0 and `total`.
  mutating func seenKeys(
    _ pattern: AttentionPattern, _ at: [Coordinate], rows: Int, total: TileValue
  ) -> (first: TileValue?, end: TileValue) {
    var first: TileValue?
    var end = total
    let zero = builder.index(0)
    for condition in AttentionMask(graph, pattern).conditions {
      guard let sign = condition.coefficients[pattern.keyAxis], abs(sign) == 1 else { continue }
      // sign * key + rest <= 0, for the row of the block that sees most: where the rest is least.
      var rest = index(condition.offset)
      for (axis, coefficient) in condition.coefficients.sorted(by: { $0.key < $1.key }) where axis != pattern.keyAxis {
        var place = at[axis].start
        if axis == pattern.rowAxis, coefficient < 0 { place = builder.index(.add, place, rows - 1) }
        let part = builder.index(.multiply, place, coefficient)
        rest = builder.index(.add, rest, part)
      }
      if sign > 0 {
        let one = builder.index(1)
        let seen = builder.index(.subtract, one, rest)
        end = builder.index(.minimum, end, seen)
      } else {
        first = first.map { builder.index(.maximum, $0, rest) } ?? rest
      }
    }
    end = builder.index(.maximum, end, zero)
    if let low = first {
      let positive = builder.index(.maximum, low, zero)
      first = builder.index(.minimum, positive, end)
    }
    return (first, end)
  }
}

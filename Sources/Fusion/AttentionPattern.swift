// Finds attention in a graph: product, elementwise work on the scores, softmax over the keys, product.
// Not tiling, and it changes no graph: it names the values that one nest computes together. Surprise: nothing but the
// shape of the computation is looked at, so an attention written by hand is found as well as the library's own.
import GraphIR
import TensorTypes

/// One attention: values of the graph and the part each plays.
package struct AttentionPattern: Sendable {
  /// How a row value meets the weights after their exponentials.
  package struct Factor: Sendable {
    package var value: Value
    package var divides: Bool
  }
  /// Queries times keys.
  package var scores: Value
  /// What softmax is taken of: elementwise from the scores.
  package var logits: Value
  /// What the logits are shifted by; nil: their exponentials are taken as they are.
  package var maximum: Value?
  /// The sum of exponentials, if the weights are divided by it.
  package var sum: Value?
  /// Weights times values: the anchor of the nest.
  package var mix: Value
  /// Row values that the exponentials are multiplied or divided by, innermost first.
  package var factors: [Factor]
  /// Axes of the scores. The row axis is the one that becomes a tile's rows; nil: every query stands alone.
  package var keyAxis: Int
  package var rowAxis: Int?
  /// Queries are the left operand of the scores, weights the left operand of the mix.
  package var queriesAreLeft: Bool
  package var weightsAreLeft: Bool
  /// A row that sees no key gives NaN, as softmax does; else its exponentials are zeros.
  package var hiddenRowsAreNaN: Bool

  /// Reductions and products that are computed on the way to `mix`.
  package var interior: [Value] { [scores] + [maximum, sum].compactMap { $0 } }
}

/// All attentions of a graph, by their anchor, and near misses with the reason.
struct AttentionFinder {
  private(set) var patterns: [Value: AttentionPattern] = [:]
  private(set) var interior: Set<Value> = []
  private(set) var refusals: [Refusal] = []
  private let graph: Graph
  private let live: [Bool]
  private var users: [[Value]] = []

  /// Why something that looks like attention is none.
  private struct Mismatch: Error {
    var reason: String
    init(_ reason: String) { self.reason = reason }
  }

  init(_ graph: Graph, live: [Bool]) {
    self.graph = graph
    self.live = live
    for index in graph.nodes.indices where live[index] {
      guard case .contraction = graph.nodes[index].primitive else { continue }
      find(Value(index))
    }
  }

  private mutating func find(_ mix: Value) {
    for weightsAreLeft in [true, false] {
      do throws(Mismatch) {
        guard let pattern = try pattern(mix, weightsAreLeft: weightsAreLeft) else { continue }
        // Each value is computed by one nest: what an attention gives is in its nest, and no part of another's.
        guard patterns[pattern.scores] == nil else { throw Mismatch("its scores are the result of another attention") }
        guard interior.isDisjoint(with: pattern.interior) else { throw Mismatch("another attention has its scores") }
        patterns[mix] = pattern
        interior.formUnion(pattern.interior)
        return
      } catch {
        let type = graph.type(mix)
        refusals.append(
          Refusal(
            value: mix, reason: .notAttention(error.reason),
            bytes: type.shape.elementCount * (2 * type.dtype.size)))
      }
    }
  }

  // MARK: From the mix down to the scores

  private mutating func pattern(_ mix: Value, weightsAreLeft: Bool) throws(Mismatch) -> AttentionPattern? {
    guard case .contraction(let axes) = graph[mix].primitive else { return nil }
    let weights = graph[mix].operands[weightsAreLeft ? 0 : 1]
    var factors: [AttentionPattern.Factor] = []
    guard axes.contracted.count == 1 else { return nil }
    let keyAxis = weightsAreLeft ? axes.contracted[0].left : axes.contracted[0].right
    guard let exponentials = exponentials(weights, keyAxis, &factors) else { return nil }
    var logits = graph[exponentials].operands[0]
    var shift: (maximum: Value, isPlain: Bool)?
    if graph[logits].primitive == .subtract {
      shift = peak(graph[logits].operands[1], of: graph[logits].operands[0], keyAxis)
      if shift != nil { logits = graph[logits].operands[0] }
    }
    let found = products(below: logits)
    guard let scores = found.first else { return nil }
    // From here on it looks like attention: what does not fit is a reason.
    guard found.count == 1 else { throw Mismatch("its scores are sums of several products") }
    guard case .contraction(let scoreAxes) = graph[scores].primitive, graph.type(scores).dtype.isFloating,
      graph.type(exponentials).dtype.isFloating
    else { throw Mismatch("its scores are no floats") }
    guard graph.isElementwise(logits, over: [scores]), graph.type(logits).shape == graph.type(scores).shape else {
      throw Mismatch("its scores are moved before softmax")
    }
    let sum = sums(of: exponentials, keyAxis)
    guard sum.count <= 1 else { throw Mismatch("its exponentials are summed more than once") }
    var pattern = AttentionPattern(
      scores: scores, logits: logits, maximum: shift?.maximum, sum: sum.first, mix: mix, factors: factors.reversed(),
      keyAxis: keyAxis, rowAxis: nil, queriesAreLeft: true, weightsAreLeft: weightsAreLeft,
      hiddenRowsAreNaN: shift?.isPlain ?? false)
    try checkUses(pattern, weights)
    try arrange(&pattern, scoreAxes, axes)
    return pattern
  }

  /// Walks from the weights to the exponentials, collecting row values on the way.
  private func exponentials(_ weights: Value, _ axis: Int, _ factors: inout [AttentionPattern.Factor]) -> Value? {
    var value = weights
    while graph[value].primitive != .exp {
      let node = graph[value]
      if case .convert = node.primitive {
        value = node.operands[0]
      } else if node.primitive == .divide, isConstant(node.operands[1], along: axis) {
        factors.append(.init(value: node.operands[1], divides: true))
        value = node.operands[0]
      } else if node.primitive == .multiply,
        let side = [1, 0].first(where: { isConstant(node.operands[$0], along: axis) })
      {
        factors.append(.init(value: node.operands[side], divides: false))
        value = node.operands[1 - side]
      } else {
        return nil
      }
    }
    return value
  }

  /// The maximum that the logits are shifted by, and whether it is used as it is (a row of -infinity then gives NaN)
  /// or as 0 where it is -infinity, or where it is not finite.
  private func peak(_ shift: Value, of logits: Value, _ axis: Int) -> (maximum: Value, isPlain: Bool)? {
    func isMaximum(_ value: Value) -> Bool {
      guard case .reduce(.maximum, let axes) = graph[value].primitive else { return false }
      return axes == [axis] && graph[value].operands[0] == logits
    }
    let value = unrepeated(shift)
    if isMaximum(value) { return (value, true) }
    let node = graph[value]
    guard node.primitive == .select else { return nil }
    if isMaximum(unrepeated(node.operands[1])), constant(node.operands[2]) == 0 {
      let (test, peak) = (graph[unrepeated(node.operands[0])], unrepeated(node.operands[1]))
      return test.primitive == .isFinite && unrepeated(test.operands[0]) == peak ? (peak, false) : nil
    }
    let (test, zero, peak) = (graph[unrepeated(node.operands[0])], node.operands[1], unrepeated(node.operands[2]))
    guard isMaximum(peak), constant(zero) == 0, test.primitive == .equal else { return nil }
    let compared = test.operands.map { constant($0) }
    let tested = test.operands.map { unrepeated($0) }
    let isHidden = (compared[1] == -.infinity && tested[0] == peak) || (compared[0] == -.infinity && tested[1] == peak)
    return isHidden ? (peak, false) : nil
  }

  /// Products reached from the logits element by element.
  private func products(below logits: Value) -> [Value] {
    var found: Set<Value> = []
    var seen: Set<Value> = []
    var stack = [logits]
    while let value = stack.popLast() {
      guard seen.insert(value).inserted else { continue }
      let node = graph[value]
      if case .contraction = node.primitive {
        found.insert(value)
      } else if case .pointwise = node.primitive.definition.lowering {
        stack += node.operands
      }
    }
    return found.sorted { $0.id < $1.id }
  }

  private mutating func sums(of exponentials: Value, _ axis: Int) -> [Value] {
    loadUsers()
    var found: [Value] = []
    for user in users[Int(exponentials.id)] {
      if case .reduce(.sum, let axes) = graph[user].primitive, axes == [axis] { found.append(user) }
      if case .convert = graph[user].primitive {
        for next in users[Int(user.id)] {
          if case .reduce(.sum, let axes) = graph[next].primitive, axes == [axis] { found.append(next) }
        }
      }
    }
    return found
  }

  // MARK: Uses

  private mutating func loadUsers() {
    guard users.isEmpty else { return }
    users = Array(repeating: [], count: graph.nodes.count)
    for index in graph.nodes.indices where live[index] {
      for operand in Set(graph.nodes[index].operands) { users[Int(operand.id)].append(Value(index)) }
    }
  }

  /// Everything made from the scores is on the way to the mix, and nothing but the two row values is reduced.
  private mutating func checkUses(_ pattern: AttentionPattern, _ weights: Value) throws(Mismatch) {
    loadUsers()
    var below: Set<Value> = []
    var stack = [weights]
    while let value = stack.popLast() {
      guard below.insert(value).inserted, value != pattern.scores else { continue }
      stack += graph[value].operands
    }
    let other = graph[pattern.mix].operands[pattern.weightsAreLeft ? 1 : 0]
    let outputs = Set(graph.outputs)
    var seen: Set<Value> = []
    stack = [pattern.scores]
    while let value = stack.popLast() {
      guard value != pattern.mix, seen.insert(value).inserted else { continue }
      guard below.contains(value), value != other, !outputs.contains(value) else {
        throw Mismatch("its scores or weights are needed elsewhere")
      }
      stack += users[Int(value.id)]
      switch graph[value].primitive.definition.lowering {
      case .pointwise: continue
      case .contraction where value == pattern.scores: continue
      case .reduction where value == pattern.maximum || value == pattern.sum: continue
      case .reindex where graph.isAxisPreserving(value): continue
      default: throw Mismatch("its weights are no plain softmax")
      }
    }
  }

  // MARK: Axes

  private func arrange(
    _ pattern: inout AttentionPattern, _ scoreAxes: ContractionAxes, _ mixAxes: ContractionAxes
  ) throws(Mismatch) {
    let key = pattern.keyAxis
    let plan = ProductLoops(graph, pattern.scores, scoreAxes)
    if plan.columns.contains(where: { $0.out == key }) {
      pattern.queriesAreLeft = true
    } else if plan.rows.contains(where: { $0.out == key }) {
      pattern.queriesAreLeft = false
    } else {
      throw Mismatch("softmax runs over an axis that is not the keys' own")
    }
    guard plan.inner.count == 1 else { throw Mismatch("its scores are sums over \(plan.inner.count) axes") }
    let mix = ProductLoops(graph, pattern.mix, mixAxes)
    let weights = pattern.weightsAreLeft ? mix.rows : mix.columns
    let values = pattern.weightsAreLeft ? mix.columns : mix.rows
    guard values.count == 1 else { throw Mismatch("its values have \(values.count) axes of their own") }
    let free = weights.map { pattern.weightsAreLeft ? $0.left : $0.right }
    let shape = graph.type(pattern.scores).shape
    let queries = (pattern.queriesAreLeft ? plan.rows : plan.columns).compactMap(\.out)
      .filter { free.contains($0) && !shape[$0].isKnown(1) }
    pattern.rowAxis =
      queries.last { shape[$0].knownValue == nil }
      ?? queries.max { (shape[$0].knownValue ?? 0) < (shape[$1].knownValue ?? 0) }
    if shape[key].isKnown(1) { throw Mismatch("it has one key") }
  }

  // MARK: Row values

  /// The value under repetitions along axes.
  private func unrepeated(_ value: Value) -> Value {
    var value = value
    while graph.isAxisPreserving(value) { value = graph[value].operands[0] }
    return value
  }

  private func constant(_ value: Value) -> Double? {
    if case .constant(let constant) = graph[unrepeated(value)].primitive { return constant.doubleValue }
    return nil
  }

  /// The same for all coordinates on `axis`, by construction.
  private func isConstant(_ value: Value, along axis: Int) -> Bool {
    let node = graph[value]
    if case .broadcast = node.primitive {
      let source = graph.type(node.operands[0]).shape
      let place = axis - (node.type.shape.rank - source.rank)
      return place < 0 || source[place].isKnown(1) && !node.type.shape[axis].isKnown(1)
    }
    guard case .pointwise = node.primitive.definition.lowering, !node.operands.isEmpty else { return false }
    return node.operands.allSatisfy { isConstant($0, along: axis) }
  }
}

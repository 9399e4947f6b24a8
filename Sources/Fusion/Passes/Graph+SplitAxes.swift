// Axes that a reshape makes of several are taken apart again, in the whole computation that carries them: a pass.
//
//   heads of keys repeated for groups of queries    [b, 2, (2), t, d] -> [b, 4, t, d]      a batch axis of products
//   images seen by groups of channels               [b, 4, 60] -> [b, 8, 5, 6]             an axis of rows
//
// Memory has all shapes: a parameter is read with its axis in parts, and what is written has no shape. What is computed
// has one, so that such a reshape would send it through memory.
// Not the other way round: axes are never made one here. Surprise: rows and columns of products, and what is picked,
// scanned, sorted, joined or padded along, are never taken apart: tiles are made of them.
import Basics
import GraphIR
import TensorTypes

extension Graph {
  /// The same computation with axes in parts wherever a reshape between computed values then moves nothing.
  func withSplitAxes() throws(Diagnostic) -> Graph {
    guard nodes.contains(where: { if case .reshape = $0.primitive { true } else { false } }) else { return self }
    var classes = AxisClasses(self)
    guard classes.splitsAny() else { return self }
    do throws(Diagnostic) {
      var splitter = Splitter(builder: GraphBuilder(declarationsOf: self), parts: classes.parts())
      for (index, node) in nodes.enumerated() { try splitter.append(node, index, self) }
      var outputs: [Value] = []
      for output in self.outputs { outputs.append(try splitter.whole(output, self)) }
      return splitter.builder.finish(outputs).withoutDeadNodes()
    } catch {
      // Symbols of which nothing shows that the parts make the whole.
      return self
    }
  }
}

/// Which axes of which values are one and the same, and what they are made of.
private struct AxisClasses {
  let graph: Graph
  /// Of each value, the number of its first axis.
  private var first: [Int] = []
  private var parent: [Int] = []
  private var isFixed: [Bool] = []
  private var isBatch: [Bool] = []
  private var wishes: [Int: [[Dim]]] = [:]

  init(_ graph: Graph) {
    self.graph = graph
    for node in graph.nodes {
      first.append(parent.count)
      for _ in node.type.shape.dims { parent.append(parent.count) }
    }
    isFixed = Array(repeating: false, count: parent.count)
    isBatch = isFixed
    for index in graph.nodes.indices { collect(Value(index)) }
  }

  private func number(_ value: Value, _ axis: Int) -> Int { first[Int(value.id)] + axis }
  private func shape(_ value: Value) -> Shape { graph.type(value).shape }

  private func root(_ number: Int) -> Int {
    var number = number
    while parent[number] != number { number = parent[number] }
    return number
  }

  private mutating func unite(_ a: Int, _ b: Int) {
    let (x, y) = (root(a), root(b))
    if x == y { return }
    parent[max(x, y)] = min(x, y)
    isFixed[min(x, y)] = isFixed[x] || isFixed[y]
    isBatch[min(x, y)] = isBatch[x] || isBatch[y]
  }

  private mutating func fix(_ value: Value, _ axis: Int) { isFixed[root(number(value, axis))] = true }
  private mutating func fix(_ value: Value) { for axis in shape(value).dims.indices { fix(value, axis) } }

  private mutating func collect(_ value: Value) {
    let node = graph[value]
    switch node.primitive.payload {
    case .repeated(let shape):
      let inner = self.shape(node.operands[0])
      let lead = shape.rank - inner.rank
      for axis in inner.dims.indices where !inner[axis].isKnown(1) || shape[lead + axis].isKnown(1) {
        unite(number(value, lead + axis), number(node.operands[0], axis))
      }
    case .permutation(let order):
      for (axis, from) in order.enumerated() { unite(number(value, axis), number(node.operands[0], from)) }
    case .shape:
      for group in groups(value) where group.old.count == 1 && group.new.count == 1 {
        unite(number(value, group.new.lowerBound), number(node.operands[0], group.old.lowerBound))
      }
    case .reduce(_, let axes):
      for (axis, from) in shape(node.operands[0]).dims.indices.filter({ !axes.contains($0) }).enumerated() {
        unite(number(value, axis), number(node.operands[0], from))
      }
    case .contraction(let axes): collect(axes, value, node.operands)
    case .slice(let starts, let counts, let steps):
      let inner = shape(node.operands[0])
      for axis in inner.dims.indices {
        unite(number(value, axis), number(node.operands[0], axis))
        // A whole axis may still be walked backwards.
        let isAsItWas = starts[axis].isKnown(0) && steps[axis] == 1 && inner[axis] == counts[axis]
        if !isAsItWas { fix(value, axis) }
      }
    case .iota(let axis, _): fix(value, axis)
    case .none, .dtype, .number, .constant:
      for operand in node.operands {
        for axis in shape(operand).dims.indices { unite(number(value, axis), number(operand, axis)) }
      }
    case .axis(let joined) where node.isConcatenation:
      for operand in node.operands {
        for axis in shape(value).dims.indices where axis != joined { unite(number(value, axis), number(operand, axis)) }
        fix(operand, joined)
      }
      fix(value, joined)
    default:
      fix(value)
      for operand in node.operands { fix(operand) }
    }
  }

  private mutating func collect(_ axes: ContractionAxes, _ value: Value, _ operands: [Value]) {
    let (left, right) = (operands[0], operands[1])
    for (axis, pair) in axes.batch.enumerated() {
      unite(number(value, axis), number(left, pair.left))
      unite(number(value, axis), number(right, pair.right))
      isBatch[root(number(value, axis))] = true
    }
    for pair in axes.contracted {
      unite(number(left, pair.left), number(right, pair.right))
      fix(left, pair.left)
    }
    var next = axes.batch.count
    for (operand, free) in [
      (left, axes.leftFree(rank: shape(left).rank)), (right, axes.rightFree(rank: shape(right).rank)),
    ] {
      for axis in free {
        unite(number(value, next), number(operand, axis))
        fix(operand, axis)
        next += 1
      }
    }
  }

  private func groups(_ reshape: Value) -> [(old: Range<Int>, new: Range<Int>)] {
    guard let groups = AxisGroups(shape(graph[reshape].operands[0]), shape(reshape)) else { return [] }
    return zip(groups.old, groups.new).map { ($0, $1) }
  }

  // MARK: Wishes

  /// Notes what is better in parts.
  mutating func splitsAny() -> Bool {
    let users = graph.userLists()
    for index in graph.nodes.indices {
      let value = Value(index)
      guard case .reshape = graph[value].primitive, !graph.isAxisPreserving(value) else { continue }
      let source = graph[value].operands[0]
      for group in groups(value) {
        // Heads that are repeated, moved together or computed: nothing but a copy has them as one axis. The innermost
        // axis is what tiles are wide along: it stays long.
        if group.new.count == 1, group.old.count > 1 {
          let isRows = isElementwise(source) && group.new.upperBound < shape(value).rank
          if isRows || isElementwise(source) || isScattered(source, group.old) {
            wish(number(value, group.new.lowerBound), group.old.map { shape(source)[$0] }, batch: !isRows)
          }
        }
        // Rows, or batches of products, that elementwise work then sees with other axes.
        if group.new.count > 1, users[index].contains(where: { isElementwise(Value($0)) }) {
          let isRows = isRowWork(source)
          guard let parts = Self.refinement(group.old.map { shape(source)[$0] }, coarse(value, group.new, users)) else {
            continue
          }
          for (axis, dims) in zip(group.old, parts) where dims.count > 1 {
            wish(number(source, axis), dims, batch: !isRows)
          }
        }
      }
    }
    return !wishes.isEmpty
  }

  private mutating func wish(_ number: Int, _ dims: [Dim], batch: Bool) {
    let place = root(number)
    if isFixed[place] || (batch && !isBatch[place]) { return }
    if wishes[place]?.contains(dims) != true { wishes[place, default: []].append(dims) }
  }

  /// The axes are no neighbours in memory: one of them is repeated, or they come from different places.
  private func isScattered(_ value: Value, _ axes: Range<Int>) -> Bool {
    var value = value
    var places = axes.map { $0 }
    while true {
      let node = graph[value]
      switch node.primitive.payload {
      case .permutation(let order): places = places.map { order[$0] }
      case .repeated(let shape):
        let inner = self.shape(node.operands[0])
        places = places.map { $0 - (shape.rank - inner.rank) }
        if places.contains(where: {
          $0 < 0 || (inner[$0].isKnown(1) && !shape[$0 + shape.rank - inner.rank].isKnown(1))
        }) {
          return true
        }
      case .shape where graph.isAxisPreserving(value):
        let inner = self.shape(node.operands[0])
        let kept = inner.dims.indices.filter { !inner[$0].isKnown(1) }
        let own = node.type.shape.dims.indices.filter { !node.type.shape[$0].isKnown(1) }
        places = places.compactMap { place in own.firstIndex(of: place).map { kept[$0] } }
      default:
        if isElementwise(value), let wide = node.operands.first(where: { !isNumber($0) }) {
          value = wide
          continue
        }
        return zip(places, places.dropFirst()).contains { $1 != $0 + 1 }
      }
      value = node.operands[0]
    }
  }

  private func isElementwise(_ value: Value) -> Bool {
    if case .pointwise = graph[value].primitive.definition.lowering { return true }
    return false
  }

  private func isNumber(_ value: Value) -> Bool {
    if case .broadcast = graph[value].primitive { return shape(graph[value].operands[0]).rank == 0 }
    return shape(value).rank == 0
  }

  /// The extents of the axes `range`, those taken as one that nothing on the way of elementwise work tells apart: rows stay
  /// as long as they can.
  private func coarse(_ value: Value, _ range: Range<Int>, _ users: [[Int]]) -> [Dim] {
    var repeats = [[Bool]](repeating: [], count: shape(value).rank)
    var seen: Set<Value> = [value]
    var stack = [value]
    while let next = stack.popLast(), seen.count < 32 {
      for user in users[Int(next.id)].map({ Value($0) }) where isElementwise(user) && seen.insert(user).inserted {
        stack.append(user)
        for operand in graph[user].operands where !seen.contains(operand) {
          guard case .broadcast(let target) = graph[operand].primitive else { continue }
          let inner = shape(graph[operand].operands[0])
          for axis in target.dims.indices {
            let place = axis - (target.rank - inner.rank)
            repeats[axis].append(place < 0 || inner[place].isKnown(1))
          }
        }
      }
    }
    var dims: [Dim] = []
    for axis in range {
      if axis > range.lowerBound, repeats[axis] == repeats[axis - 1] {
        dims[dims.count - 1] = dims[dims.count - 1] * shape(value)[axis]
      } else {
        dims.append(shape(value)[axis])
      }
    }
    return dims
  }

  /// Elementwise from reductions.
  private func isRowWork(_ value: Value) -> Bool {
    var stack = [value]
    var seen: Set<Value> = []
    while let value = stack.popLast(), seen.count < 64 {
      guard seen.insert(value).inserted else { continue }
      switch graph[value].primitive.definition.lowering {
      case .reduction: return true
      case .pointwise: stack += graph[value].operands
      case .reindex where graph.isAxisPreserving(value): stack += graph[value].operands
      default: continue
      }
    }
    return false
  }

  /// The parts of each of the axes `a`, so that every axis of `b` is whole axes of them; nil: an axis is cut.
  private static func refinement(_ a: [Dim], _ b: [Dim]) -> [[Dim]]? {
    if a.count == 1 { return [b] }
    var (x, y) = (a.compactMap(\.knownValue), b.compactMap(\.knownValue))
    guard x.count == a.count, y.count == b.count, (x + y).allSatisfy({ $0 > 0 }) else { return nil }
    var parts = a.map { _ in [Dim]() }
    var j = y.count - 1
    for i in x.indices.reversed() {
      while x[i] > 1 {
        while j >= 0, y[j] == 1 { j -= 1 }
        guard j >= 0 else { return nil }
        let part = min(x[i], y[j])
        guard x[i] % part == 0, y[j] % part == 0 else { return nil }
        parts[i].insert(Dim(part), at: 0)
        x[i] /= part
        y[j] /= part
      }
      if parts[i].isEmpty { parts[i] = [1] }
    }
    return parts
  }

  /// The parts of each value's axes; only of axes that are in parts.
  func parts() -> [[Int: [Dim]]] {
    graph.nodes.indices.map { index in
      var parts: [Int: [Dim]] = [:]
      for axis in graph.nodes[index].type.shape.dims.indices {
        // Different wishes for one axis: it stays whole.
        if let wished = wishes[root(number(Value(index), axis))], wished.count == 1 { parts[axis] = wished[0] }
      }
      return parts
    }
  }
}

/// Writes the graph anew, with axes in parts.
private struct Splitter {
  var builder: GraphBuilder
  let parts: [[Int: [Dim]]]
  /// Each value with its axes in parts.
  private var places: [Value] = []

  init(builder: GraphBuilder, parts: [[Int: [Dim]]]) {
    (self.builder, self.parts) = (builder, parts)
  }

  private func parts(_ value: Value, _ axis: Int, _ dim: Dim) -> [Dim] { parts[Int(value.id)][axis] ?? [dim] }

  /// The shape of a value of `shape` with its axes in parts.
  private func split(_ value: Value, _ shape: Shape) -> Shape {
    Shape(shape.dims.enumerated().flatMap { parts(value, $0, $1) })
  }

  /// Where the parts of each axis are.
  private func runs(_ value: Value, _ graph: Graph) -> [Range<Int>] {
    var next = 0
    return graph.type(value).shape.dims.indices.map { axis in
      let start = next
      next += parts[Int(value.id)][axis]?.count ?? 1
      return start..<next
    }
  }

  /// The value in its own shape.
  mutating func whole(_ value: Value, _ graph: Graph) throws(Diagnostic) -> Value {
    try reshaped(places[Int(value.id)], graph.type(value).shape)
  }

  private mutating func reshaped(_ value: Value, _ shape: Shape) throws(Diagnostic) -> Value {
    builder.shape(value) == shape ? value : try builder.append(.reshape(shape), value)
  }

  mutating func append(_ node: GraphNode, _ index: Int, _ graph: Graph) throws(Diagnostic) {
    builder.origin = node.origin
    let value = Value(index)
    let operands = node.operands.map { places[Int($0.id)] }
    if parts[index].isEmpty, node.operands.allSatisfy({ parts[Int($0.id)].isEmpty }) {
      return places.append(builder.appendUnchecked(node.on(operands)))
    }
    let shape = split(value, node.type.shape)
    let sources = node.operands.map { runs($0, graph) }
    let made: Value
    switch node.primitive.payload {
    case .repeated(let target):
      // A part for each of an axis that repeats: units stay between.
      let inner = graph.type(node.operands[0]).shape
      let lead = target.rank - inner.rank
      var dims: [Dim] = []
      for axis in inner.dims.indices {
        let isRepeated = inner[axis].isKnown(1) && !target[lead + axis].isKnown(1)
        let own = parts(value, lead + axis, target[lead + axis])
        dims += isRepeated ? own.map { _ in 1 } : parts(node.operands[0], axis, inner[axis])
      }
      made = try builder.broadcast(reshaped(operands[0], Shape(dims)), shape)
    case .permutation(let order): made = try builder.append(.permute(order.flatMap { sources[0][$0] }), operands)
    case .shape: made = try reshaped(operands[0], shape)
    case .reduce(let monoid, let axes):
      made = try builder.append(.reduce(monoid, axes: axes.flatMap { sources[0][$0] }), operands)
    case .contraction(let axes):
      func pairs(_ old: [ContractionAxes.Pair]) -> [ContractionAxes.Pair] {
        old.flatMap { pair in zip(sources[0][pair.left], sources[1][pair.right]).map { .init($0, $1) } }
      }
      made = try builder.append(
        .contraction(ContractionAxes(batch: pairs(axes.batch), contracted: pairs(axes.contracted))), operands)
    case .slice(let starts, _, let steps):
      func each<Element>(_ list: [Element], _ neutral: Element) -> [Element] {
        sources[0].enumerated().flatMap { axis, run in
          run.count == 1 ? [list[axis]] : run.map { _ in neutral }
        }
      }
      made = try builder.append(
        .slice(starts: each(starts, 0), counts: shape.dims, steps: each(steps, 1)), operands)
    case .iota(let axis, _): made = try builder.append(.iota(axis: runs(value, graph)[axis].lowerBound, shape), [])
    case .number where node.operands.isEmpty:
      made = try reshaped(builder.appendUnchecked(node), shape)
    case .axis(let joined) where node.isConcatenation:
      made = try builder.append(.concatenate(axis: sources[0][joined].lowerBound), operands)
    case .none, .dtype, .number, .constant: made = try builder.append(node.primitive, operands)
    default: throw Diagnostic(.compiler, "\(node.primitive.name) on an axis in parts")
    }
    places.append(made)
  }
}

extension GraphNode {
  fileprivate var isConcatenation: Bool {
    if case .concatenate = primitive { return true }
    return false
  }
}

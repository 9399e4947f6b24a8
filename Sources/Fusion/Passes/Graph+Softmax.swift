// The weights of a softmax in one form, exponentials over their sum, wherever the division was written: a pass.
// Not a search for softmax: each rule stands for itself. Surprise: a rule may round otherwise than what is written, by as
// much as sums in another order do; exponentials that are there anyway are used again, never new ones made.
import Basics
import GraphIR
import TensorTypes

extension Graph {
  /// exp(x - m - log s) becomes exp(x - m) / s where s is the sum of exp(x - m); (e · v) / s becomes (e / s) · v where s is
  /// made of sums of the exponentials e; exp((x - max x) * c) becomes exp(x * c - max(x * c)) where x is made of products.
  func withPlainSoftmax() throws(Diagnostic) -> Graph {
    guard nodes.contains(where: { $0.primitive == .exp }) else { return self }
    let uses = useCounts()
    var index = -1
    return try rewritten { node, operands, builder throws(Diagnostic) in
      index += 1
      let made: Value?
      if node.primitive == .exp {
        let divided = try builder.divided(operands[0])
        made = divided == nil ? try builder.scaledBefore(operands[0]) : divided
      } else if node.primitive == .divide {
        let isOnly = uses[Int(nodes[index].operands[0].id)] == 1
        made = isOnly ? try builder.dividedBefore(operands[0], by: operands[1], .divide) : nil
      } else if node.primitive == .multiply {
        let place = [0, 1].first { side in
          if case .contraction = builder.primitive(operands[side]) {
            uses[Int(nodes[index].operands[side].id)] == 1
          } else {
            false
          }
        }
        made = try place.flatMap { side throws(Diagnostic) in
          try builder.dividedBefore(operands[side], by: operands[1 - side], .multiply)
        }
      } else {
        made = nil
      }
      return made.map { .value($0) } ?? .keep
    }
  }
}

extension GraphBuilder {
  /// exp(argument) as exponentials over their sum, if the argument is less the sum's logarithm.
  fileprivate mutating func divided(_ argument: Value) throws(Diagnostic) -> Value? {
    let node = graph[argument]
    guard node.primitive == .subtract, let (row, axes) = repeated(node.operands[1]) else { return nil }
    func sum(_ logarithm: Value) -> Value? {
      guard primitive(logarithm) == .log, case .reduce(.sum, let summed) = primitive(graph[logarithm].operands[0]),
        axes == keptAxes(shape(argument).rank, without: summed)
      else { return nil }
      return graph[logarithm].operands[0]
    }
    var found: (sum: Value, exponentials: Value)?
    if let made = sum(row) {
      // exp((x - m) - log s)
      let exponentials = graph[made].operands[0]
      if primitive(exponentials) == .exp, graph[exponentials].operands[0] == node.operands[0] {
        found = (made, exponentials)
      }
    } else if primitive(row) == .add {
      // exp(x - (log s + m))
      for (logarithm, maximum) in [(0, 1), (1, 0)].map({ (graph[row].operands[$0], graph[row].operands[$1]) }) {
        guard let made = sum(logarithm), primitive(graph[made].operands[0]) == .exp else { continue }
        let exponentials = graph[made].operands[0]
        let shifted = graph[graph[exponentials].operands[0]]
        if shifted.primitive == .subtract, shifted.operands[0] == node.operands[0],
          let (shift, places) = repeated(shifted.operands[1]), shift == maximum, places == axes
        {
          found = (made, exponentials)
        }
      }
    }
    guard let found, case .reduce(_, let summed) = primitive(found.sum) else { return nil }
    return try append(.divide, found.exponentials, restoring(found.sum, summed, shape(argument)))
  }

  /// exp((x - max x) * c) for c > 0 with the scores scaled first.
  fileprivate mutating func scaledBefore(_ argument: Value) throws(Diagnostic) -> Value? {
    let node = graph[argument]
    guard node.primitive == .multiply || node.primitive == .divide else { return nil }
    for side in node.primitive == .divide ? [0] : [0, 1] {
      let (shifted, factor) = (graph[node.operands[side]], graph[node.operands[1 - side]])
      guard shifted.primitive == .subtract, case .broadcast = factor.primitive,
        case .constant(let constant) = primitive(factor.operands[0]), constant.doubleValue > 0,
        let (row, axes) = repeated(shifted.operands[1]), case .reduce(.maximum, let reduced) = primitive(row),
        graph[row].operands[0] == shifted.operands[0], axes == keptAxes(node.type.shape.rank, without: reduced),
        isMadeOfProducts(shifted.operands[0])
      else { continue }
      let scaled = try append(node.primitive, shifted.operands[0], node.operands[1 - side])
      let maximum = try append(.reduce(.maximum, axes: reduced), scaled)
      return try append(.exp, append(.subtract, scaled, restoring(maximum, reduced, node.type.shape)))
    }
    return nil
  }

  private func isMadeOfProducts(_ value: Value) -> Bool {
    var stack = [value]
    var seen: Set<Value> = []
    while let value = stack.popLast(), seen.count < 32 {
      guard seen.insert(value).inserted else { continue }
      if case .contraction = primitive(value) { return true }
      if case .pointwise = primitive(value).definition.lowering { stack += graph[value].operands }
    }
    return false
  }

  /// (e · v) op row as (e op row) · v, if the row is made of a sum of e.
  fileprivate mutating func dividedBefore(
    _ product: Value, by factor: Value, _ operation: Primitive
  ) throws(Diagnostic) -> Value? {
    guard case .contraction(let axes) = primitive(product), axes.contracted.count == 1,
      let (row, places) = repeated(factor)
    else { return nil }
    for isLeft in [true, false] {
      let exponentials = graph[product].operands[isLeft ? 0 : 1]
      guard primitive(exponentials) == .exp else { continue }
      let key = isLeft ? axes.contracted[0].left : axes.contracted[0].right
      let rank = shape(exponentials).rank
      // The product's axis that each axis of the exponentials is.
      var own = axes.batch.map { isLeft ? $0.left : $0.right }
      if isLeft {
        own += axes.leftFree(rank: rank)
      } else {
        let lead = axes.leftFree(rank: shape(graph[product].operands[0]).rank).count
        own += Array(repeating: -1, count: lead) + axes.rightFree(rank: rank)
      }
      let kept = keptAxes(rank, without: [key])
      guard places == kept.map({ own.firstIndex(of: $0) ?? -1 }), isMade(row, ofSumOf: exponentials, key) else {
        continue
      }
      let weights = try append(operation, exponentials, restoring(row, [key], shape(exponentials)))
      let operands = isLeft ? [weights, graph[product].operands[1]] : [graph[product].operands[0], weights]
      return try append(.contraction(axes), operands)
    }
    return nil
  }

  /// Elementwise from a sum of `exponentials` along `axis`, and from numbers.
  private func isMade(_ row: Value, ofSumOf exponentials: Value, _ axis: Int) -> Bool {
    var stack = [row]
    var steps = 0
    while let value = stack.popLast() {
      steps += 1
      if steps > 8 { return false }
      if case .reduce(.sum, let axes) = primitive(value), axes == [axis], graph[value].operands[0] == exponentials {
        return true
      }
      if case .pointwise = primitive(value).definition.lowering { stack += graph[value].operands }
    }
    return false
  }

  /// The value under repetitions, and the axis of the repeated value that each of its own is; nil: nothing is repeated, or
  /// axes of extent 1 make the places unsure.
  private func repeated(_ value: Value) -> (row: Value, axes: [Int])? {
    var row = value
    var axes = Array(shape(value).dims.indices)
    while graph.isAxisPreserving(row) {
      let source = graph[row].operands[0]
      let (outer, inner) = (shape(row), shape(source))
      if case .broadcast = primitive(row) {
        axes = inner.dims.indices.map { axis in
          let place = outer.rank - inner.rank + axis
          return inner[axis].isKnown(1) && !outer[place].isKnown(1) ? -1 : axes[place]
        }
      } else {
        var rest = outer.dims.indices.filter { !outer[$0].isKnown(1) }.map { axes[$0] }[...]
        axes = inner.dims.map { $0.isKnown(1) ? -1 : rest.removeFirst() }
      }
      row = source
    }
    return row == value || axes.contains(-1) ? nil : (row, axes)
  }

  private func keptAxes(_ rank: Int, without dropped: [Int]) -> [Int] {
    (0..<rank).filter { !dropped.contains($0) }
  }
}

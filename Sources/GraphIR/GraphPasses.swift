// What a pass is, and the passes that make a captured graph smaller, read from top to bottom. Those that prepare it for
// kernels follow in Fusion (`FusionPasses`). Not for graphs of single eager operations, which are written in their final
// form. Surprise: each is a pure function, so the lists are all there is to know about their order.
import Basics
import TensorTypes

/// One pass: a name for dumps, and a function from graph to graph.
package struct GraphPass: Sendable {
  package var name: String
  package var run: @Sendable (Graph) throws(Diagnostic) -> Graph

  package init(name: String, run: @escaping @Sendable (Graph) throws(Diagnostic) -> Graph) {
    self.name = name
    self.run = run
  }

  /// The pass, and what it made verified.
  package func checked(_ graph: Graph) throws(Diagnostic) -> Graph {
    let next = try run(graph)
    do throws(Diagnostic) { return try next.verified() } catch {
      throw Diagnostic(.compiler, "behind the pass '\(name)': \(error.message)")
    }
  }

  /// A pass behind which the graph is reduced if anything changed: most find nothing to do in most graphs.
  package static func changing(
    _ name: String, _ change: @escaping @Sendable (Graph) throws(Diagnostic) -> Graph
  ) -> GraphPass {
    GraphPass(name: name) { graph throws(Diagnostic) in
      let next = try change(graph)
      return next == graph ? graph : try next.reduced()
    }
  }

  /// What any consumer of a graph would want.
  package static let reducing: [GraphPass] = [
    // Calls written out: no pass behind this one sees a call.
    GraphPass(name: "inline") { graph throws(Diagnostic) in try graph.inlined() },
    // Moves that cancel, exact conversions, constants; each value once; nothing dead.
    GraphPass(name: "reduce") { graph throws(Diagnostic) in try graph.reduced() },
    // Axes of extent 1 go wherever they mean nothing, so that one computation has one form.
    GraphPass(name: "squeeze") { graph throws(Diagnostic) in try graph.withoutUnitAxes() },
    // What squeezing made equal or superfluous.
    GraphPass(name: "reduce again") { graph throws(Diagnostic) in try graph.reduced() },
  ]
}

extension Graph {
  /// Simplified, each value once and nothing dead, in one walk.
  package func reduced() throws(Diagnostic) -> Graph {
    let live = withoutDeadNodes()
    var builder = GraphBuilder(declarationsOf: live)
    var places: [Value] = []
    places.reserveCapacity(live.nodes.count)
    var seen: [GraphNode: Value] = [:]
    for node in live.nodes {
      builder.origin = node.origin
      let operands = node.operands.map { places[Int($0.id)] }
      var value = try live.simplification(of: node, operands, &builder)
      if value == nil {
        let made = operands == node.operands ? node : node.on(operands)
        value = seen[made] ?? builder.appendUnchecked(made)
      }
      guard let value else { continue }
      let made = builder.graph[value]
      if let known = seen[made] {
        places.append(known)
      } else {
        seen[made] = value
        places.append(value)
      }
    }
    return builder.finish(live.outputs.map { places[Int($0.id)] }).withoutDeadNodes()
  }

  /// The two graphs that `self` falls into when `constants` (numbers of parameters) never change.
  ///
  /// `frozen` computes, from those parameters alone, what the rest needs of them; it is run once. `rest` has the other
  /// parameters and, behind them, one for each result of `frozen`.
  package struct Folding: Sendable {
    package var frozen: Graph
    package var rest: Graph
    /// Parameters of the whole graph that each parameter of `frozen` is.
    package var frozenParameters: [Int]
    /// Parameters of the whole graph that the first parameters of `rest` are.
    package var restParameters: [Int]
  }

  /// nil: nothing but parameters themselves depends on `constants` alone, so there is nothing to run once.
  package func foldable(constants: Set<Int>) -> Folding? {
    var isConstant = [Bool](repeating: false, count: nodes.count)
    var computes = [Bool](repeating: false, count: nodes.count)
    for (i, node) in nodes.enumerated() {
      if case .parameter(let p) = node.primitive {
        isConstant[i] = constants.contains(p) && node.type.shape.knownExtents != nil
        continue
      }
      // What only moves or repeats elements is better read than stored.
      guard !node.operands.isEmpty, node.type.shape.knownExtents != nil, node.primitive.hasKnownExtents else {
        continue
      }
      isConstant[i] =
        node.operands.allSatisfy { isConstant[Int($0.id)] || self[$0].isNumber(in: self) }
        && node.operands.contains { isConstant[Int($0.id)] }
      var moves = false
      if case .reindex = node.primitive.definition.lowering { moves = true }
      computes[i] = isConstant[i] && (!moves || node.operands.contains { computes[Int($0.id)] })
    }
    // The results: constant, computed, and used by what is not constant.
    var isResult = [Bool](repeating: false, count: nodes.count)
    for (i, node) in nodes.enumerated() where !isConstant[i] {
      for operand in node.operands where computes[Int(operand.id)] { isResult[Int(operand.id)] = true }
    }
    for output in outputs where computes[Int(output.id)] { isResult[Int(output.id)] = true }
    let results = nodes.indices.filter { isResult[$0] && !nodes[$0].grows(in: self) }
    if results.isEmpty { return nil }
    return split(results)
  }

  private func split(_ results: [Int]) -> Folding {
    var frozen = self
    frozen.name = "\(name) constants"
    frozen.outputs = results.map { Value($0) }
    var rest = self
    for (k, i) in results.enumerated() {
      rest.parameters.append(Parameter(name: "folded\(k)", type: nodes[i].type))
      rest.nodes[i] = GraphNode(.parameter(parameters.count + k), [], nodes[i].type)
    }
    let (first, used) = frozen.withoutDeadNodes().withUsedParameters()
    let (second, left) = rest.withoutDeadNodes().withUsedParameters(keepingFrom: parameters.count)
    return Folding(
      frozen: first, rest: second, frozenParameters: used, restParameters: left.filter { $0 < parameters.count })
  }

  /// Without parameters that no node reads; those from `kept` on stay.
  package func withUsedParameters(keepingFrom kept: Int = .max) -> (Graph, [Int]) {
    var used = Set(parameters.indices.filter { $0 >= kept })
    for node in nodes { if case .parameter(let p) = node.primitive { used.insert(p) } }
    let order = used.sorted()
    var numbers: [Int: Int] = [:]
    for (new, old) in order.enumerated() { numbers[old] = new }
    var graph = self
    graph.parameters = order.map { parameters[$0] }
    for (i, node) in nodes.enumerated() {
      guard case .parameter(let p) = node.primitive, let new = numbers[p], new != p else { continue }
      graph.nodes[i] = GraphNode(.parameter(new), [], node.type)
    }
    return (graph, order)
  }
}

extension GraphNode {
  /// A constant, or one repeated.
  fileprivate func isNumber(in graph: Graph) -> Bool {
    if case .constant = primitive { return true }
    if case .iota = primitive { return true }
    if case .broadcast = primitive { return graph[operands[0]].isNumber(in: graph) }
    return false
  }

  /// More bytes than what it is made of: decoding a packed weight once would cost its bytes on every run.
  fileprivate func grows(in graph: Graph) -> Bool {
    func bytes(_ type: TensorType) -> Int { (type.shape.elementCount.knownValue ?? 0) * type.dtype.size }
    var seen: Set<Value> = []
    var stack = operands
    var read = 0
    while let value = stack.popLast() {
      guard seen.insert(value).inserted else { continue }
      if case .parameter = graph[value].primitive {
        read += bytes(graph.type(value))
      } else {
        stack += graph[value].operands
      }
    }
    return bytes(type) > read
  }
}

// Smaller cases: each function here makes one change that may keep a failure and drop something that is not part of it.
// Not a search: `Reducer` decides which changes stay. Surprise: a value is dropped by making it a parameter, whose
// elements come from its name; whether the failure survives that is for the next run to say.
import Basics
import GraphIR
import RandomGraphs
import TensorTypes

extension GraphCase {
  /// All cases that are one step smaller, the largest steps first. A case that breaks a rule of the graph is not among them.
  var smaller: [GraphCase] {
    var made: [GraphCase] = []
    if calls.count > 1 { made += calls.map { with(calls: [$0]) } }
    if graph.outputs.count > 1 { made += graph.outputs.indices.map { keeping(outputs: [$0]) } }
    if graph.outputs.count > 2 {
      made += graph.outputs.indices.map { i in keeping(outputs: graph.outputs.indices.filter { $0 != i }) }
    }
    if !donations.isEmpty { made += [changed { $0.donations = [:] }] }
    let places = graph.nodes.indices.reversed()
    made += places.compactMap { cut($0) }
    made += places.flatMap { bypassed($0) }
    made += graph.outputs.indices.flatMap { withEarlier(output: $0) }
    made += shorter
    made += graph.parameters.indices.compactMap { contiguous($0) }
    if values != .whole { made.append(changed { $0.values = .whole }) }
    return made.compactMap { $0.cleaned() }.filter { $0.weight < weight }
  }

  /// What a smaller case has less of: nodes first, then sizes, then everything else.
  private var weight: Int {
    let known = graph.nodes.map { node in
      node.type.shape.dims.reduce(0) { $0 + (($1.knownValue ?? 40)) + 1 }
    }
    let sizes = known.reduce(0, +) + calls.reduce(0) { $0 + $1.reduce(0) { $0 + min($1.magnitudeClamped, 100) } }
    let strides = graph.parameters.count { $0.strides != $0.type.shape.contiguousStrides }
    let nodes = graph.nodes.reduce(0) { $0 + ($1.operands.isEmpty ? 40_000 : 100_000) }
    return nodes + graph.outputs.count * 20_000 + calls.count * 10_000 + graph.arguments.count * 500
      + min(sizes, 9_000) + strides * 200 + donations.count * 300 + (values == .whole ? 0 : 100)
  }

  private func changed(_ change: (inout GraphCase) -> Void) -> GraphCase {
    var made = self
    change(&made)
    return made
  }

  private func with(calls: [[Int]]) -> GraphCase { changed { $0.calls = calls } }

  private func keeping(outputs kept: [Int]) -> GraphCase {
    changed { made in
      made.graph.outputs = kept.map { graph.outputs[$0] }
      made.donations = [:]
      for (new, old) in kept.enumerated() { made.donations[new] = donations[old] }
    }
  }

  // MARK: Nodes

  /// The value as a parameter.
  private func cut(_ place: Int) -> GraphCase? {
    let node = graph.nodes[place]
    if case .leaf = node.primitive.definition.lowering { return nil }
    return changed { made in
      made.graph.nodes[place] = GraphNode(.parameter(graph.parameters.count), [], node.type)
      made.graph.parameters.append(Parameter(name: "v\(graph.nodes.count)_\(place)", type: node.type))
    }
  }

  /// Users of the value read one of its operands instead.
  private func bypassed(_ place: Int) -> [GraphCase] {
    let node = graph.nodes[place]
    return Set(node.operands).sorted { $0.id < $1.id }.filter { graph.type($0) == node.type }.map { operand in
      changed { made in
        func moved(_ value: Value) -> Value { value.id == Int32(place) ? operand : value }
        made.graph.nodes = graph.nodes.map { GraphNode($0.primitive, $0.operands.map(moved), $0.type) }
        made.graph.outputs = graph.outputs.map(moved)
      }
    }
  }

  /// An operand of the output instead of the output.
  private func withEarlier(output: Int) -> [GraphCase] {
    graph[graph.outputs[output]].operands.map { operand in
      changed {
        $0.graph.outputs[output] = operand
        $0.donations[output] = nil
      }
    }
  }

  private func contiguous(_ number: Int) -> GraphCase? {
    let parameter = graph.parameters[number]
    let strides = parameter.type.shape.contiguousStrides
    return parameter.strides == strides ? nil : changed { $0.graph.parameters[number].strides = strides }
  }

  // MARK: Extents

  private var shorter: [GraphCase] {
    var made: [GraphCase] = []
    if calls.count == 1 {
      for (symbol, value) in calls[0].enumerated() {
        made.append(substituted { $0 == symbol ? Dim(value) : .symbol($0) } ?? self)
        for less in [1, 2, value / 2, value - 1] where less >= 0 && less < value {
          made.append(changed { $0.calls[0][symbol] = less })
        }
      }
    }
    let numbers = Set(graph.nodes.flatMap { $0.type.shape.dims.compactMap(\.knownValue) }).filter { $0 > 1 }
    for number in numbers.sorted(by: >) {
      for less in Set([1, 2, 3, number / 2, number - 1]).sorted() where less > 0 && less < number {
        if let shrunk = rebuilt({ $0.isKnown(number) ? Dim(less) : $0 }) { made.append(shrunk) }
      }
    }
    return made
  }

  private func substituted(_ replacement: (Int) -> Dim) -> GraphCase? {
    rebuilt { $0.substituting(replacement) }
  }

  /// The graph with other extents; nil where they break a rule.
  private func rebuilt(_ dim: (Dim) -> Dim) -> GraphCase? {
    var made = Graph(name: graph.name)
    made.arguments = graph.arguments
    func type(_ old: TensorType) -> TensorType { TensorType(old.dtype, Shape(old.shape.dims.map(dim))) }
    for parameter in graph.parameters {
      let isContiguous = parameter.strides == parameter.type.shape.contiguousStrides
      let type = type(parameter.type)
      let strides = isContiguous ? type.shape.contiguousStrides : parameter.strides.map(dim)
      made.parameters.append(Parameter(name: parameter.name, type: type, strides: strides))
    }
    for node in graph.nodes {
      switch node.primitive {
      case .parameter, .scalar: made.nodes.append(GraphNode(node.primitive, [], type(node.type)))
      case _:
        guard let primitive = node.primitive.with(node.primitive.payload.mapExtents(dim)),
          let type = try? primitive.resultType(node.operands.map { made.type($0) })
        else { return nil }
        made.nodes.append(GraphNode(primitive, node.operands, type))
      }
    }
    made.outputs = graph.outputs
    return changed { $0.graph = made }
  }

  // MARK: Leftovers

  /// Without nodes, parameters and arguments that nothing reads; nil if the graph breaks a rule.
  private func cleaned() -> GraphCase? {
    let (live, kept) = graph.withoutDeadNodes().withUsedParameters()
    var made = self
    made.graph = live
    made.donations = [:]
    for (output, parameter) in donations {
      if let place = kept.firstIndex(of: parameter) { made.donations[output] = place }
    }
    var used: Set<Int> = []
    for parameter in live.parameters {
      for dim in parameter.type.shape.dims + parameter.strides { used.formUnion(dim.symbols) }
    }
    for node in live.nodes {
      if case .scalar(let argument) = node.primitive { used.insert(argument) }
      for dim in node.type.shape.dims { used.formUnion(dim.symbols) }
      for dim in node.primitive.payload.extents { used.formUnion(dim.symbols) }
    }
    let order = live.arguments.indices.filter { used.contains($0) }
    if order.count < live.arguments.count {
      guard let renumbered = made.renumbered(order) else { return nil }
      made = renumbered
    }
    return (try? made.graph.verified()) == nil ? nil : made
  }

  private func renumbered(_ order: [Int]) -> GraphCase? {
    guard var made = substituted({ old in .symbol(order.firstIndex(of: old) ?? 0) }) else { return nil }
    made.graph.arguments = order.map { graph.arguments[$0] }
    made.calls = calls.map { call in order.map { call[$0] } }
    for (i, node) in made.graph.nodes.enumerated() {
      if case .scalar(let old) = node.primitive, let new = order.firstIndex(of: old) {
        made.graph.nodes[i] = GraphNode(.scalar(argument: new), [], node.type)
      }
    }
    return made
  }
}

extension Int {
  fileprivate var magnitudeClamped: Int { Int(clamping: magnitude) }
}

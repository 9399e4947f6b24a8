// What decides a kernel's text, as a hash: what each nest computes as a graph of its own, its loops, its buffers. Groups of
// nests that differ in numbers of values and addresses only are equal.
// Not the object cache's key, which is the text itself. Surprise: it saves the writing of equal kernels; a model of thirty
// equal layers has each kernel written once.
import Basics
import GraphIR
import TensorTypes

extension NestGroup {
  /// The launch buffers of the group's kernel, in order.
  func buffers(_ nests: [LoopNest], _ graph: Graph) -> [(view: MemoryView, isOutput: Bool)] {
    var seen: Set<BufferUse> = []
    var result: [(view: MemoryView, isOutput: Bool)] = []
    func add(_ view: MemoryView, _ isOutput: Bool) {
      if seen.insert(BufferUse(view: view, isOutput: isOutput)).inserted { result.append((view, isOutput)) }
    }
    for number in self.nests {
      // A graph of one nest keeps the order of its operands.
      let inputs = nests.count == 1 ? nests[number].body(graph) : nests[number].discovered(graph)
      for value in inputs { if let view = nests[number].inputs[value] { add(view, false) } }
      for root in nests[number].roots { add(root.target, true) }
    }
    return result
  }

  private struct BufferUse: Hashable {
    var view: MemoryView
    var isOutput: Bool
  }

  /// Equal for groups whose kernels are equal.
  func key(_ nests: [LoopNest], _ graph: Graph, _ context: SchedulingContext) -> StableHash {
    var hash = StableHash()
    var numbers: [BufferUse: Int] = [:]
    for (i, buffer) in buffers(nests, graph).enumerated() {
      numbers[BufferUse(view: buffer.view, isOutput: buffer.isOutput)] = i
      hash.combine(buffer.view.type)
      hash.combine(buffer.view.strides)
      // Large outputs may bypass the caches: then it matters what is an output of the graph.
      if context.streamsOutputs, case .output = buffer.view.source { hash.combine(byte: 1) }
    }
    hash.combine(stages.map(\.count))
    for number in self.nests {
      let nest = nests[number]
      let (subgraph, inputs, places) = nest.subgraph(graph)
      hash.combine(subgraph.structuralHash)
      for view in inputs { hash.combine(numbers[BufferUse(view: view, isOutput: false)] ?? -1) }
      nest.form.combine(into: &hash, places)
      let flags = (nest.merged.rightColumns ? 1 : 0) + (nest.merged.leftInner ? 2 : 0)
      hash.combine([nest.merged.columns, flags] + nest.merged.staged)
      for axis in nest.axes {
        hash.combine(axis.extent)
        hash.combine(byte: axis.reduced ? 1 : 0)
      }
      for root in nest.roots {
        hash.combine(root.axes)
        hash.combine(numbers[BufferUse(view: root.target, isOutput: true)] ?? -1)
      }
    }
    return hash
  }

  /// A name that says what the kernel computes: the anchors and what comes behind them.
  func label(_ nests: [LoopNest], _ graph: Graph) -> String {
    var words: [String] = []
    for number in self.nests {
      let word = nests[number].form.label(nests[number], graph)
      if words.last != word { words.append(word) }
    }
    return words.prefix(4).joined(separator: "_")
  }
}

extension LoopNest {
  /// What the nest computes, as a graph of its own: what it reads are parameters (`inputs`, in order), what it writes outputs.
  /// Equal for equal nests, however the graph around them is numbered.
  fileprivate func subgraph(_ graph: Graph) -> (graph: Graph, inputs: [MemoryView], places: [Value: Int]) {
    var own = Graph(name: "")
    var read: [MemoryView] = []
    var places: [Value: Int] = [:]
    for value in discovered(graph) {
      places[value] = own.nodes.count
      if let view = inputs[value] {
        own.nodes.append(GraphNode(.parameter(read.count), [], view.type))
        own.parameters.append(Parameter(name: "", type: view.type, strides: view.strides))
        read.append(view)
      } else {
        own.nodes.append(graph[value].on(graph[value].operands.map { Value(places[$0] ?? -1) }))
      }
    }
    own.outputs = roots.map { Value(places[$0.value] ?? -1) }
    return (own, read, places)
  }

  /// The nest's values, operands first, in an order that does not depend on how the graph is numbered.
  fileprivate func discovered(_ graph: Graph) -> [Value] {
    var order: [Value] = []
    var seen: Set<Value> = []
    var stack: [(value: Value, isDone: Bool)] = roots.reversed().map { ($0.value, false) }
    while let (value, isDone) = stack.popLast() {
      if isDone {
        order.append(value)
        continue
      }
      guard seen.insert(value).inserted else { continue }
      stack.append((value, true))
      if inputs[value] == nil { for operand in graph[value].operands.reversed() { stack.append((operand, false)) } }
    }
    return order
  }
}

// A case's graph as a function over tensors, one operation at a time: what runs eagerly, and what `compile` captures.
// Not the graph's own way to a kernel. Surprise: what depends on no tensor is written into the operations that use it, and
// views are tensors' views, so that operations meet strides that are not row-major.
import Basics
import Engine
import GraphIR
import RandomGraphs
import Scalars
import Tensors
import TensorTypes

struct TensorGraph: Sendable {
  private let graph: Graph
  private let arguments: [UInt64]
  /// Nodes that some parameter decides.
  private let open: Set<Value>

  /// For the extents and numbers of one call. nil: a rule that these numbers break is not known to be broken for symbols
  /// (a window longer than its axis gives no elements).
  init?(_ sample: GraphCase, _ number: Int) {
    guard let graph = try? sample.graph.with(extents: sample.calls[number]).verified().withoutDeadNodes() else {
      return nil
    }
    self.graph = graph
    arguments = sample.arguments(number)
    var open: Set<Value> = []
    for index in graph.nodes.indices {
      let node = graph.nodes[index]
      var isOpen = node.operands.contains { open.contains($0) }
      if case .parameter = node.primitive { isOpen = true }
      if isOpen { open.insert(Value(index)) }
    }
    self.open = open
  }

  /// Outputs that are given; the others have nothing to do with tensors.
  var outputs: [Int] { graph.outputs.indices.filter { open.contains(graph.outputs[$0]) } }

  func callAsFunction(_ inputs: [Tensor]) throws(Diagnostic) -> [Tensor] {
    var tensors: [Value: Tensor] = [:]
    for index in graph.nodes.indices where open.contains(Value(index)) {
      let value = Value(index)
      tensors[value] = try result(value, inputs, tensors)
    }
    return outputs.compactMap { tensors[graph.outputs[$0]] }
  }

  private func result(_ value: Value, _ inputs: [Tensor], _ tensors: [Value: Tensor]) throws(Diagnostic) -> Tensor {
    let node = graph[value]
    if case .parameter(let i) = node.primitive { return inputs[i] }
    var views: [TensorView] = []
    for operand in node.operands { if let tensor = tensors[operand] { views.append(try tensor.view) } }
    let extents = node.type.shape.dims.map { $0.knownValue ?? 0 }
    switch node.primitive {
    case .permute(let order): return Tensor(views[0].permuted(order))
    case .reshape:
      if let view = views[0].reshapedView(extents) { return Tensor(view) }
    case .broadcast: return Tensor(try views[0].expanded(to: extents))
    case .windows(let axis, let size, let step, let dilation):
      return Tensor(try views[0].windowed(axis, size: size, step: step, dilation: dilation))
    case .slice(let starts, let counts, let steps) where steps.allSatisfy({ $0 > 0 }):
      return Tensor(
        starts.indices.reduce(views[0]) { view, axis in
          view.sliced(
            axis, start: starts[axis].knownValue ?? 0, count: counts[axis].knownValue ?? 0, step: steps[axis])
        })
    case _: break
    }
    return Tensor(
      try Engine.current.run(program(value), views.map { .tensor($0) }, [.fresh(node.type.dtype, extents)])[0])
  }

  /// The operation alone, for operands of exactly these extents.
  private func program(_ value: Value) -> Program {
    let node = graph[value]
    var axes: [[Int]] = []
    var count = 0
    for operand in node.operands where open.contains(operand) {
      let rank = graph.type(operand).shape.rank
      axes.append(Array(count..<(count + rank)))
      count += rank
    }
    let types = node.operands.map { "\(graph.type($0))" }.joined(separator: " ")
    return Program("fuzz \(node.primitive.text) \(types)", axes: axes, fixedLabels: Set(0..<count)) {
      [self] builder, values throws(Diagnostic) in
      var made: [Value: Value] = [:]
      let given = node.operands.filter { open.contains($0) }
      for (operand, value) in zip(given, values) { made[operand] = value }
      return [try append(value, to: &builder, &made)]
    }
  }

  private func append(
    _ value: Value, to builder: inout GraphBuilder, _ made: inout [Value: Value]
  ) throws(Diagnostic) -> Value {
    if let known = made[value] { return known }
    let node = graph[value]
    var operands: [Value] = []
    for operand in node.operands { operands.append(try append(operand, to: &builder, &made)) }
    let new: Value
    if case .scalar(let argument) = node.primitive {
      let dtype = node.type.dtype
      let constant =
        switch ScalarReference.value(bits: arguments[argument], dtype) {
        case .integer(let x): ScalarConstant(dtype, integer: x)
        case .float(let x): ScalarConstant(dtype, x)
        }
      new = try builder.append(.constant(constant), [])
    } else {
      new = try builder.append(node.primitive, operands)
    }
    made[value] = new
    return new
  }
}

// What a program appends to a graph, kept: operands of the same types get the same nodes without the program being asked.
// Not a graph: operands are numbers relative to the program's own. Surprise: a model's capture asks each program once per
// kind of layer, so most of a capture is copying nodes whose hashes are known.
import Basics
import GraphIR
import TensorTypes

/// The nodes of one program for operands of one kind.
struct NodeTemplate: Sendable {
  /// All that a program may ask about its operands.
  struct Key: Hashable {
    var types: [TensorType]
    /// Single numbers among them, and which are the same value.
    var numbers: [Bool]
    var same: [Int]

    init(_ values: [Value], _ builder: GraphBuilder) {
      types = values.map { builder.type($0) }
      numbers = values.map { builder.isNumber($0) }
      same = values.indices.map { i in values.firstIndex(of: values[i]) ?? i }
    }
  }

  private enum Place: Sendable {
    case operand(Int)
    case node(Int)
  }

  private var nodes: [(node: GraphNode, operands: [Place])] = []
  private var results: [Place] = []

  /// From what a program has just appended behind `first`; nil where it did more than append.
  init?(_ builder: GraphBuilder, from first: Int, _ values: [Value], _ outputs: [Value]) {
    func place(_ value: Value) -> Place? {
      if Int(value.id) >= first { return .node(Int(value.id) - first) }
      return values.firstIndex(of: value).map { .operand($0) }
    }
    func places(_ values: [Value]) -> [Place]? {
      let found = values.compactMap { place($0) }
      return found.count == values.count ? found : nil
    }
    for node in builder.graph.nodes[first...] {
      switch node.primitive {
      // Declarations are not nodes alone.
      case .parameter, .scalar: return nil
      default: break
      }
      guard let operands = places(node.operands) else { return nil }
      nodes.append((node, operands))
    }
    guard let results = places(outputs) else { return nil }
    self.results = results
  }

  /// Appends the nodes with `values` as operands; gives the program's results.
  func append(to builder: inout GraphBuilder, _ values: [Value]) -> [Value] {
    let first = builder.nodeCount
    func value(_ place: Place) -> Value {
      switch place {
      case .operand(let i): values[i]
      case .node(let i): Value(first + i)
      }
    }
    builder.append(nodes.count) { nodes[$0].node.on(nodes[$0].operands.map(value)) }
    return results.map(value)
  }
}

extension Program {
  /// As `build`, which is asked once for each kind of operands.
  func append(to builder: inout GraphBuilder, _ values: [Value]) throws(Diagnostic) -> [Value] {
    let key = NodeTemplate.Key(values, builder)
    if let known = templates.withLock({ $0[key] }) { return known.append(to: &builder, values) }
    let first = builder.nodeCount
    let outputs = try build(&builder, values)
    if let made = NodeTemplate(builder, from: first, values, outputs) { templates.withLock { $0[key] = made } }
    return outputs
  }
}

// A loop nest: a part of a kernel before tiles: a domain of axes, what is computed over it, and where results go.
// Not a schedule: grid, tile extents and phases are decided when the nest is tiled. Surprise: values are not listed;
// they are what the roots need from the graph, down to memory.
import GraphIR
import TensorTypes

package struct LoopNest: Sendable {
  package struct Axis: Sendable {
    package var extent: Dim
    package var reduced: Bool
  }
  package struct Root: Sendable {
    package var value: Value
    package var target: MemoryView
    /// The domain axis that each axis of the value walks; -1: the value has extent 1 there.
    package var axes: [Int]
    /// The part of its memory that a range write touches; nil: all of it.
    var box: ElementBox?
  }
  /// More results than these are written by nests of their own: code for a kernel takes more than linear time.
  static let mostRoots = 32
  package var name: String
  package var form: Form
  package var axes: [Axis]
  package var roots: [Root]
  /// Values that this nest reads from memory.
  package var inputs: [Value: MemoryView]
  /// Axes of a product that are walked as one.
  var merged = MergedAxes()

  /// The nest as loops around the graph's own statements.
  package func text(_ graph: Graph) -> String {
    var lines: [String] = ["nest \(name)"]
    var indent = "  "
    for (i, axis) in axes.enumerated() {
      lines.append("\(indent)for i\(i) < \(axis.extent)\(axis.reduced ? " reduced" : " parallel")")
      indent += "  "
    }
    for value in body(graph) {
      let node = graph[value]
      let operands = node.operands.map { "%\($0.id)" }.joined(separator: ", ")
      let read = inputs[value].map { "read \($0.source)" } ?? "\(node.primitive.definition.name) \(operands)"
      lines.append("\(indent)%\(value.id) = \(read) : \(node.type)")
    }
    for root in roots { lines.append("\(indent)write \(root.target.source) = %\(root.value.id)") }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The graph values computed in this nest, in order.
  package func body(_ graph: Graph) -> [Value] {
    var seen: Set<Int32> = []
    var stack = roots.map(\.value)
    while let value = stack.popLast() {
      guard seen.insert(value.id).inserted, inputs[value] == nil else { continue }
      stack += graph[value].operands
    }
    return seen.sorted().map { Value(Int($0)) }
  }
}

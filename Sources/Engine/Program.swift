// What eager operations launch and captures call: one primitive, or a composite whose cost is bytes (softmax, a norm). A
// program is a small graph for each kind of operands, with a symbol for each labelled axis: printed, hashed, interpreted.
// Not a kernel. Surprise: the closure that writes the graph is asked once for each kind (dtypes, ranks, extents that the
// program fixes), never for other sizes; and a program owns its launch table, so a hit is one look-up in a small dictionary
// and builds nothing.
import Basics
import GraphIR
import Synchronization
import TensorTypes

package final class Program: Sendable {
  /// Gets the values of the operands in order (scalars are 0-d) and gives the results, whose types must be the destinations'.
  package typealias Write = @Sendable (inout GraphBuilder, [Value]) throws(Diagnostic) -> [Value]

  /// Name and attributes; equal text means equal graphs, in every process.
  package let name: String
  /// What a reader knows it by ("gelu"): the name of its graph in captures and messages.
  package let operation: String
  /// `axes[i][j]`: the label of axis j of operand i. Axes with one label have one extent and one symbol.
  /// nil: all operands have the same axes (pointwise).
  package let axes: [[Int]]?
  /// Labels whose extents decide the kernel's form when small (rows of a product).
  package let smallLabels: Set<Int>
  /// Labels whose extents the program fixes (named in `name`): numbers in the graph, never symbols.
  package let fixedLabels: Set<Int>
  private let write: Write
  private let graphs = Mutex<[Kind: GraphReference]>([:])
  let prepared = Mutex<[Signature: Prepared]>([:])
  /// The launch for two dense tensors of the program's own dtype, once there is one.
  let quick = AtomicLazyReference<QuickLaunch>()

  package init(
    _ name: String, operation: String? = nil, axes: [[Int]]? = nil, smallLabels: Set<Int> = [],
    fixedLabels: Set<Int> = [], write: @escaping Write
  ) {
    self.name = name
    self.operation = operation ?? name
    self.fixedLabels = fixedLabels
    self.axes = axes
    self.smallLabels = smallLabels
    self.write = write
  }

  func label(_ operand: Int, _ axis: Int) -> Int { axes?[operand][axis] ?? axis }
}

// MARK: The graph

extension Program {
  /// What a graph is written for: the operands' dtypes and ranks, and the extents that the program fixes.
  private struct Kind: Hashable {
    var dtypes: [DType]
    var ranks: [Int]
    var fixed: [Int]
  }

  /// The graph for operands of these types: its parameters are the operands, without gaps; its symbols are the labels.
  package func graph(_ types: [TensorType]) throws(Diagnostic) -> GraphReference {
    let kind = kind(types)
    if let known = graphs.withLock({ $0[kind] }) { return known }
    var builder = GraphBuilder(name: operation)
    var extents: [Int: Dim] = [:]
    var values: [Value] = []
    for (i, type) in types.enumerated() {
      let dims = type.shape.dims.enumerated().map { axis, extent in
        let label = label(i, axis)
        if fixedLabels.contains(label), extent.knownValue != nil { return extent }
        if let known = extents[label] { return known }
        let made = builder.extent("n\(label)")
        extents[label] = made
        return made
      }
      values.append(builder.parameter("x\(i)", TensorType(type.dtype, Shape(dims))))
    }
    let outputs = try write(&builder, values)
    let made = GraphReference(builder.finish(outputs))
    graphs.withLock { $0[kind] = made }
    return made
  }

  private func kind(_ types: [TensorType]) -> Kind {
    var fixed: [Int] = []
    if !fixedLabels.isEmpty {
      for (i, type) in types.enumerated() {
        for (axis, extent) in type.shape.dims.enumerated() where fixedLabels.contains(label(i, axis)) {
          fixed.append(extent.knownValue ?? -1)
        }
      }
    }
    return Kind(dtypes: types.map(\.dtype), ranks: types.map(\.shape.rank), fixed: fixed)
  }
}

/// Programs with attributes, found by name; each is made once per process.
package final class ProgramTable: Sendable {
  private let programs = Mutex<[String: Program]>([:])
  package init() {}
  package func program(_ name: String, _ make: () -> Program) -> Program {
    programs.withLock { table in
      if let known = table[name] { return known }
      let made = make()
      table[name] = made
      return made
    }
  }
}

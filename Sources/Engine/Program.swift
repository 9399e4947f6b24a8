// A small graph template that eager tensors run: one primitive, or a composite whose cost is bytes (softmax, a norm).
// Not a graph yet: the graph is built at the first launch with operands of a new signature. Surprise: a program owns
// its launch table, so a hit is one look-up in a small dictionary and builds nothing.
import Basics
import GraphIR
import Synchronization
import TensorTypes

package final class Program: Sendable {
  /// Gets the values of the operands in order (scalars are 0-d) and gives the results, whose types must be the destinations'.
  /// All that it may ask about the operands is their types, and whether they are single numbers.
  package typealias Build = @Sendable (inout GraphBuilder, [Value]) throws(Diagnostic) -> [Value]

  /// Name and attributes; equal text means equal graphs, in every process.
  package let name: String
  /// `axes[i][j]`: the label of axis j of operand i. Axes with one label have one extent and one symbol.
  /// nil: all operands have the same axes (pointwise).
  package let axes: [[Int]]?
  /// Labels whose extents decide the kernel's form when small (rows of a product).
  package let smallLabels: Set<Int>
  /// Labels whose extents the program fixes (named in `name`): numbers in the graph, never symbols.
  package let fixedLabels: Set<Int>
  let build: Build
  let prepared = Mutex<[Signature: Prepared]>([:])
  let templates = Mutex<[NodeTemplate.Key: NodeTemplate]>([:])
  /// The launch for two dense tensors of the program's own dtype, once there is one.
  let quick = AtomicLazyReference<Prepared>()

  package init(
    _ name: String, axes: [[Int]]? = nil, smallLabels: Set<Int> = [], fixedLabels: Set<Int> = [],
    build: @escaping Build
  ) {
    self.name = name
    self.fixedLabels = fixedLabels
    self.axes = axes
    self.smallLabels = smallLabels
    self.build = build
  }

  func label(_ operand: Int, _ axis: Int) -> Int { axes?[operand][axis] ?? axis }
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

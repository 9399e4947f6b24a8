// GraphIR: a program over whole tensors as a value: an arena of nodes in execution order.
// Not executable by itself: Fusion turns it into kernels, GraphInterpreter evaluates it as the reference.
// Surprise: value semantics, so a pass is a function Graph -> Graph; a node's operands always come before it.
import Basics
import TensorTypes

/// A value of a graph: the number of the node that makes it.
package struct Value: Sendable, Hashable {
  package var id: Int32
  package init(_ id: Int) { self.id = Int32(id) }
}

/// A tensor handed to a launch of the graph. Symbols in `type` and `strides` are launch argument slots.
package struct Parameter: Sendable, Hashable {
  package var name: String
  package var type: TensorType
  /// Elements between neighbours on each axis; the constants 0 and 1 are promises the kernel is made for.
  package var strides: [Dim]
  package init(name: String, type: TensorType, strides: [Dim]? = nil) {
    self.name = name
    self.type = type
    self.strides = strides ?? type.shape.contiguousStrides
  }
}

/// One primitive on values of the graph. Immutable, so that most of its hash is computed once.
package struct GraphNode: Sendable, Hashable {
  package let primitive: Primitive
  package let operands: [Value]
  package let type: TensorType
  /// Of the primitive and the type: what stays when a pass gives the node other operands.
  private let contentHash: StableHash
  /// The number of the place in the user's code that the node comes from, in a table of whoever built the graph; -1: none.
  /// It has no part in equality: what a node computes does not depend on who wrote it.
  package var origin: Int32 = -1

  package init(_ primitive: Primitive, _ operands: [Value], _ type: TensorType) {
    self.primitive = primitive
    self.operands = operands
    self.type = type
    var hash = StableHash()
    hash.combine(primitive)
    hash.combine(type)
    contentHash = hash
  }

  private init(_ node: GraphNode, _ operands: [Value]) {
    primitive = node.primitive
    self.operands = operands
    type = node.type
    contentHash = node.contentHash
    origin = node.origin
  }

  /// The same primitive on other operands; nothing is hashed anew.
  package func on(_ operands: [Value]) -> GraphNode { GraphNode(self, operands) }

  /// Equal for equal nodes, in every process.
  package var structuralHash: StableHash {
    var hash = contentHash
    for operand in operands { hash.combine(UInt64(bitPattern: Int64(operand.id))) }
    return hash
  }

  package static func == (a: GraphNode, b: GraphNode) -> Bool {
    a.contentHash == b.contentHash && a.operands == b.operands && a.type == b.type && a.primitive == b.primitive
  }
  package func hash(into hasher: inout Hasher) { hasher.combine(structuralHash.word) }
}

package struct Graph: Sendable, Hashable {
  package var name: String
  package var parameters: [Parameter] = []
  /// Names of the 64-bit launch arguments: extents and strides (read as symbols), scalars (read by `Primitive.scalar`).
  package var arguments: [String] = []
  package var nodes: [GraphNode] = []
  package var outputs: [Value] = []

  package init(name: String) { self.name = name }

  package subscript(value: Value) -> GraphNode { nodes[Int(value.id)] }
  package func type(_ value: Value) -> TensorType { nodes[Int(value.id)].type }
}

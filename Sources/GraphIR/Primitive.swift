// The primitives: the closed vocabulary that capture, differentiation and fusion speak. About 85.
// Not the users' surface (composites on Tensor), and no record: the record of each case is in PrimitiveDefinition.
// Surprise: primitives never broadcast and never promote; `Tensors` inserts `broadcast` and `convert` first.
import Basics
import Scalars
import TensorTypes

package enum Primitive: Sendable, Hashable {
  // MARK: Leaves
  /// Launch tensor `i`.
  case parameter(Int)
  /// The element in launch argument slot `i` (its bits in the low bytes), 0-d.
  case scalar(argument: Int)
  /// 0-d.
  case constant(ScalarConstant)
  /// i64: the coordinate on `axis`; the node's type gives the shape.
  case iota(axis: Int, Shape)

  // MARK: Pointwise
  /// An operation that its record describes: the static members, in `Pointwise+Unary` and `Pointwise+Binary`.
  case pointwise(Pointwise)
  case convert(DType)
  /// The same bits as a dtype of equal size.
  case bitcast(DType)
  /// Word `word` (0..<4) of Philox4x32-10 for (i64 counter, i64 key), as i64 in 0..<2^32.
  case philox(word: Int)

  // MARK: Reindexing: the same elements elsewhere
  /// To `shape`: axes are aligned at the right; extent 1 and missing axes repeat.
  case broadcast(Shape)
  case reshape(Shape)
  /// Axis i of the result is axis `permutation[i]` of the operand.
  case permute([Int])
  /// Elements start, start + step, ... (`count` of them) on each axis; a negative step walks back.
  case slice(starts: [Dim], counts: [Dim], steps: [Int])
  /// `low` and `high` (not negative) elements of the second operand (0-d) around each axis.
  case pad(low: [Dim], high: [Dim])
  case concatenate(axis: Int)
  /// Appends an axis of extent `size`: result[.., i, .., j] = x[.., i * step + j * dilation, ..]; `axis` counts windows.
  case windows(axis: Int, size: Int, step: Int, dilation: Int)

  // MARK: Across elements
  /// Reduced axes are dropped. Floats accumulate in the compute dtype, sums of integers in the operand's dtype.
  case reduce(Monoid, axes: [Int])
  /// i64; the first position; NaN wins.
  case argReduce(ArgMonoid, axis: Int)
  case scan(Monoid, axis: Int)
  /// i64: the last position among equals, as `torch.cummax`; NaN wins.
  case argScan(ArgMonoid, axis: Int)
  /// i64; stable; NaN is the largest.
  case sortOrder(axis: Int, descending: Bool)
  /// Sum of products over `contracted` axes. Result axes: batch, free of the left, free of the right; in operand order.
  case contraction(ContractionAxes)
  /// (x, indices: i64): result[.., k, ..] = x[.., indices[.., k, ..], ..]. Other extents are equal; an index outside
  /// faults.
  case gather(axis: Int)
  /// (base, indices: i64, updates): base with updates at indices on `axis`. nil replaces (the last one wins).
  case scatter(axis: Int, combine: Monoid?)
  /// (base, update): base with the elements start, start + step, ... on each axis replaced by the update's. A range write:
  /// what a cache or a slice assignment is made of; its bytes are the update's where the base may be overwritten.
  case assign(starts: [Dim], steps: [Int])

  // MARK: Doors
  /// A subgraph with the operands as its parameters and one result.
  /// One result of a graph that stands for its own: other results are calls with the same operands.
  case call(GraphReference, output: Int)
}

/// The axes of a contraction, as pairs (axis of the left operand, axis of the right operand).
package struct ContractionAxes: Sendable, Hashable {
  package struct Pair: Sendable, Hashable {
    package var left: Int
    package var right: Int
    package init(_ left: Int, _ right: Int) {
      self.left = left
      self.right = right
    }
  }
  package var batch: [Pair]
  package var contracted: [Pair]
  package init(batch: [Pair] = [], contracted: [Pair]) {
    self.batch = batch
    self.contracted = contracted
  }
  package func leftFree(rank: Int) -> [Int] {
    (0..<rank).filter { axis in !batch.contains { $0.left == axis } && !contracted.contains { $0.left == axis } }
  }
  package func rightFree(rank: Int) -> [Int] {
    (0..<rank).filter { axis in !batch.contains { $0.right == axis } && !contracted.contains { $0.right == axis } }
  }
}

/// A shared immutable subgraph; equal when the graphs are equal.
package final class GraphReference: Sendable, Hashable {
  package let graph: Graph
  /// Of the graph, computed once.
  package let structuralHash: StableHash
  package init(_ graph: Graph) {
    self.graph = graph
    structuralHash = graph.structuralHash
  }
  package static func == (a: GraphReference, b: GraphReference) -> Bool {
    a === b || (a.structuralHash == b.structuralHash && a.graph == b.graph)
  }
  package func hash(into hasher: inout Hasher) { hasher.combine(structuralHash) }
}

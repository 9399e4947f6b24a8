// A formula over scalar instructions: how a pointwise primitive is lowered, written once, as data.
// Not typed: constants take the dtype of their neighbours; `ScalarProgram` is the typed, flat form all consumers read.
// Surprise: sub-expressions are shared by identity, so `let u = 1 + x` used twice is computed once.
import TensorTypes

package struct ScalarExpr: Sendable {
  package indirect enum Kind: Sendable {
    case input(Int)
    /// Takes the dtype of the operands beside it.
    case constant(Double)
    case integer(Int64)
    case apply(ScalarInstruction, [ScalarExpr])
    /// Value conversion: float to integer truncates and saturates, NaN gives 0; to bool is `!= 0`.
    case convert(ScalarExpr, Target)
    /// The same bits as another dtype of equal size.
    case bitcast(ScalarExpr, DType)
    /// A formula that needs to know the dtype of its operands: called with it when the expression gets its types.
    case typed([ScalarExpr], @Sendable (DType, [ScalarExpr]) -> ScalarExpr)
  }
  package enum Target: Sendable, Hashable {
    case dtype(DType)
    /// The dtype of input `n`.
    case input(Int)
    /// f64 for a floating formula that needs the wider format inside.
    case wider
  }
  final class Node: Sendable {
    let kind: Kind
    init(_ kind: Kind) { self.kind = kind }
  }
  let node: Node
  package init(_ kind: Kind) { node = Node(kind) }
  package var kind: Kind { node.kind }

  package static func input(_ index: Int) -> ScalarExpr { ScalarExpr(.input(index)) }
  package static func constant(_ value: Double) -> ScalarExpr { ScalarExpr(.constant(value)) }
  package static func integer(_ value: Int64) -> ScalarExpr { ScalarExpr(.integer(value)) }
  package static func apply(_ instruction: ScalarInstruction, _ operands: ScalarExpr...) -> ScalarExpr {
    ScalarExpr(.apply(instruction, operands))
  }
  /// `body` gets the dtype of the operands (all have one).
  package static func typed(
    _ operands: ScalarExpr..., body: @escaping @Sendable (DType, [ScalarExpr]) -> ScalarExpr
  ) -> ScalarExpr {
    ScalarExpr(.typed(operands, body))
  }
  package func converted(to dtype: DType) -> ScalarExpr { ScalarExpr(.convert(self, .dtype(dtype))) }
  package func converted(toInput index: Int) -> ScalarExpr { ScalarExpr(.convert(self, .input(index))) }
  package func bitcast(to dtype: DType) -> ScalarExpr { ScalarExpr(.bitcast(self, dtype)) }
}

extension ScalarExpr: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
  package init(floatLiteral value: Double) { self.init(.constant(value)) }
  package init(integerLiteral value: Int) { self.init(.integer(Int64(value))) }
}

extension ScalarExpr {
  package static func + (a: ScalarExpr, b: ScalarExpr) -> ScalarExpr { .apply(.add, a, b) }
  package static func - (a: ScalarExpr, b: ScalarExpr) -> ScalarExpr { .apply(.subtract, a, b) }
  package static func * (a: ScalarExpr, b: ScalarExpr) -> ScalarExpr { .apply(.multiply, a, b) }
  package static func / (a: ScalarExpr, b: ScalarExpr) -> ScalarExpr { .apply(.divide, a, b) }
  package static prefix func - (a: ScalarExpr) -> ScalarExpr { .apply(.negate, a) }
  package static func .< (a: ScalarExpr, b: ScalarExpr) -> ScalarExpr { .apply(.less, a, b) }
  package static func .<= (a: ScalarExpr, b: ScalarExpr) -> ScalarExpr { .apply(.lessOrEqual, a, b) }
  package static func .> (a: ScalarExpr, b: ScalarExpr) -> ScalarExpr { .apply(.less, b, a) }
  package static func .== (a: ScalarExpr, b: ScalarExpr) -> ScalarExpr { .apply(.equal, a, b) }
  package static func .!= (a: ScalarExpr, b: ScalarExpr) -> ScalarExpr { .apply(.notEqual, a, b) }
  package func select(_ whenTrue: ScalarExpr, _ whenFalse: ScalarExpr) -> ScalarExpr {
    .apply(.select, self, whenTrue, whenFalse)
  }
}

infix operator .< : ComparisonPrecedence
infix operator .<= : ComparisonPrecedence
infix operator .> : ComparisonPrecedence
infix operator .== : ComparisonPrecedence
infix operator .!= : ComparisonPrecedence

/// A typed, flat ScalarExpr: each node's operands come before it; the last node is the result.
package struct ScalarProgram: Sendable, Hashable {
  package enum Operation: Sendable, Hashable {
    case input(Int)
    case constant(ScalarConstant)
    case apply(ScalarInstruction, [Int])
    case convert(Int)
    case bitcast(Int)
  }
  package struct Node: Sendable, Hashable {
    package var operation: Operation
    package var dtype: DType
    package init(operation: Operation, dtype: DType) {
      self.operation = operation
      self.dtype = dtype
    }
  }
  package private(set) var nodes: [Node] = []
  package var resultDType: DType { nodes[nodes.count - 1].dtype }

  /// A program written node by node: operands come before their node, and the last node is the result.
  package init(nodes: [Node]) { self.nodes = nodes }

  /// nil where the formula is not defined on these dtypes.
  package init?(_ expression: ScalarExpr, inputs: [DType]) {
    var seen: [ObjectIdentifier: Seen] = [:]
    guard let root = Self.flatten(expression, nil, inputs, &nodes, &seen) else { return nil }
    if root != nodes.count - 1 { nodes.append(Node(operation: .convert(root), dtype: nodes[root].dtype)) }
  }

  /// Holds the expression: what a typed formula makes would otherwise be freed, and its identity used again.
  private struct Seen {
    var index: Int
    var node: ScalarExpr.Node
  }

  /// Literals, and instructions on nothing but literals: they take the dtype that is wanted of them.
  private static func isLiteral(_ expression: ScalarExpr) -> Bool {
    switch expression.kind {
    case .constant, .integer: true
    case .input, .convert, .bitcast, .typed: false
    case .apply(let instruction, let operands):
      instruction.class != .comparison && operands.dropFirst(instruction == .select ? 1 : 0).allSatisfy(isLiteral)
    }
  }

  private static func flatten(
    _ expression: ScalarExpr, _ wanted: DType?, _ inputs: [DType], _ nodes: inout [Node],
    _ seen: inout [ObjectIdentifier: Seen]
  ) -> Int? {
    let identity = ObjectIdentifier(expression.node)
    if !isLiteral(expression), let known = seen[identity] { return known.index }
    let made: Node
    switch expression.kind {
    case .input(let i):
      guard i < inputs.count else { return nil }
      made = Node(operation: .input(i), dtype: inputs[i])
    case .constant(let value):
      let dtype = wanted ?? .f32
      made = Node(operation: .constant(ScalarConstant(dtype, value)), dtype: dtype)
    case .integer(let value):
      let dtype = wanted ?? .i64
      made = Node(operation: .constant(ScalarConstant(dtype, integer: value)), dtype: dtype)
    case .convert(let operand, let target):
      guard let index = flatten(operand, nil, inputs, &nodes, &seen) else { return nil }
      let dtype: DType
      switch target {
      case .dtype(let fixed): dtype = fixed
      case .input(let i): dtype = inputs[i]
      case .wider: dtype = .f64
      }
      if nodes[index].dtype == dtype { return index }
      made = Node(operation: .convert(index), dtype: dtype)
    case .bitcast(let operand, let dtype):
      guard let index = flatten(operand, nil, inputs, &nodes, &seen), nodes[index].dtype.size == dtype.size else {
        return nil
      }
      made = Node(operation: .bitcast(index), dtype: dtype)
    case .typed(let operands, let body):
      // The operands are found again in `seen` when the body uses them.
      var dtype = wanted ?? .f32
      for operand in operands.reversed() where !isLiteral(operand) {
        guard let index = flatten(operand, nil, inputs, &nodes, &seen) else { return nil }
        dtype = nodes[index].dtype
      }
      guard let index = flatten(body(dtype, operands), dtype, inputs, &nodes, &seen) else { return nil }
      seen[identity] = Seen(index: index, node: expression.node)
      return index
    case .apply(let instruction, let operands):
      guard let node = flattenApply(instruction, operands, wanted, inputs, &nodes, &seen) else { return nil }
      made = node
    }
    nodes.append(made)
    if !isLiteral(expression) { seen[identity] = Seen(index: nodes.count - 1, node: expression.node) }
    return nodes.count - 1
  }

  /// Typed operands first, so that literals can take their dtype.
  private static func flattenApply(
    _ instruction: ScalarInstruction, _ operands: [ScalarExpr], _ wanted: DType?, _ inputs: [DType],
    _ nodes: inout [Node], _ seen: inout [ObjectIdentifier: Seen]
  ) -> Node? {
    var indices = [Int?](repeating: nil, count: operands.count)
    let valueOperands = instruction == .select ? 1..<operands.count : 0..<operands.count
    for (i, operand) in operands.enumerated() where !isLiteral(operand) {
      guard let index = flatten(operand, nil, inputs, &nodes, &seen) else { return nil }
      indices[i] = index
    }
    let dtype = valueOperands.compactMap { indices[$0] }.first.map { nodes[$0].dtype } ?? wanted
    for (i, operand) in operands.enumerated() where isLiteral(operand) {
      guard let index = flatten(operand, valueOperands.contains(i) ? dtype : .bool, inputs, &nodes, &seen) else {
        return nil
      }
      indices[i] = index
    }
    let resolved = indices.compactMap { $0 }
    guard let result = instruction.resultDType(resolved.map { nodes[$0].dtype }) else { return nil }
    return Node(operation: .apply(instruction, resolved), dtype: result)
  }
}

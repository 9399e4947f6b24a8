// Runs a graph in reference semantics, derived from the records: the truth that kernels are compared with.
// Not fast. Surprise: float sums and products of many elements are kept in Double and rounded once, so that the
// reference is better than any order of adding; comparisons need a tolerance for the order only.
import Basics
import Scalars
import TensorTypes

package struct GraphInterpreter: Sendable {
  /// A parameter's memory.
  package struct Input: Sendable {
    package var bytes: [UInt8]
    /// In elements; nil for those the parameter declares.
    package var strides: [Int]?
    /// Elements before the first one.
    package var offset: Int
    package init(bytes: [UInt8], strides: [Int]? = nil, offset: Int = 0) {
      self.bytes = bytes
      self.strides = strides
      self.offset = offset
    }
  }

  package let graph: Graph
  /// The graph must be verified.
  package init(_ graph: Graph) { self.graph = graph }

  /// The outputs for these parameters and launch arguments (extents and strides as integers, scalars as their bits).
  /// Throws what a launch would fault with: an index outside, an integer division by zero.
  package func run(_ inputs: [Input], arguments: [UInt64] = []) throws(Diagnostic) -> [ReferenceTensor] {
    if inputs.count != graph.parameters.count || arguments.count != graph.arguments.count {
      throw Diagnostic(
        .argument,
        "\(graph.name) takes \(graph.parameters.count) tensors and \(graph.arguments.count) arguments, "
          + "got \(inputs.count) and \(arguments.count)")
    }
    let symbols = arguments.map { Int(truncatingIfNeeded: $0) }
    var parameters: [ReferenceTensor] = []
    for (parameter, input) in zip(graph.parameters, inputs) {
      let declared = try extents(parameter.strides, symbols)
      parameters.append(
        try ReferenceTensor(
          parameter.type.dtype, try extents(parameter.type.shape.dims, symbols), bytes: input.bytes,
          strides: input.strides ?? declared, offset: input.offset))
    }
    return try run(values: parameters, arguments: arguments)
  }

  /// The outputs for parameters given as values.
  package func run(values parameters: [ReferenceTensor], arguments: [UInt64] = []) throws(Diagnostic)
    -> [ReferenceTensor]
  {
    let symbols = arguments.map { Int(truncatingIfNeeded: $0) }
    var values: [ReferenceTensor] = []
    values.reserveCapacity(graph.nodes.count)
    for (index, node) in graph.nodes.enumerated() {
      do throws(Diagnostic) {
        var result: ReferenceTensor
        if case .parameter(let number) = node.primitive {
          result = parameters[number]
        } else if case .scalar(let argument) = node.primitive {
          result = ReferenceTensor(
            node.type.dtype, [], [ScalarReference.value(bits: arguments[argument], node.type.dtype)])
        } else {
          let operands = node.operands.map { values[Int($0.id)] }
          result = try node.primitive.evaluated(
            operands, type: node.type.dtype, try extents(node.type.shape.dims, symbols), symbols: symbols)
        }
        let declared = try extents(node.type.shape.dims, symbols)
        if result.extents != declared {
          throw Diagnostic(.shape, "the result has the extents \(result.extents), its type says \(declared)")
        }
        values.append(result)
      } catch {
        throw Diagnostic(error.kind, "graph \(graph.name), %\(index): \(error.message)", remedy: error.remedy)
      }
    }
    return graph.outputs.map { values[Int($0.id)] }
  }

  private func extents(_ dims: [Dim], _ symbols: [Int]) throws(Diagnostic) -> [Int] {
    var extents: [Int] = []
    for dim in dims { extents.append(try dim.value(symbols)) }
    return extents
  }
}

extension Dim {
  /// The number under these symbols, or an error that names the extent.
  func value(_ symbols: [Int]) throws(Diagnostic) -> Int {
    guard let value = evaluated(symbols) else { throw Diagnostic(.shape, "the extent \(self) has no value") }
    return value
  }
}

extension Primitive {
  /// The result of one primitive on values; `dtype` and `extents` are the type of the result.
  package func evaluated(
    _ operands: [ReferenceTensor], type dtype: DType, _ extents: [Int], symbols: [Int] = []
  ) throws(Diagnostic) -> ReferenceTensor {
    let (definition, payload) = entry
    return try definition.value(
      ReferenceEvaluation(
        primitive: self, definition: definition, payload: payload, operands: operands, dtype: dtype, extents: extents,
        count: try ReferenceTensor.elementCount(extents), symbols: symbols))
  }
}

// Whether a graph is one: operands before their users, types as the rules infer them, symbols declared.
// Not a check of what a launch brings (extents, indices). Surprise: the builder cannot make an ill-typed node, but
// passes and texts can; so a pass is tested with `verified()` behind it.
import Basics
import TensorTypes

extension Graph {
  /// The graph itself, or what is wrong with the first node that breaks a rule.
  @discardableResult
  package func verified() throws(Diagnostic) -> Graph {
    if Set(arguments).count < arguments.count {
      throw Diagnostic(.compiler, "graph \(name): two of its arguments have one name: \(arguments)")
    }
    for (index, parameter) in parameters.enumerated() { try verify(parameter, index) }
    for (index, node) in nodes.enumerated() {
      do throws(Diagnostic) {
        try verify(node, index)
      } catch {
        throw Diagnostic(
          error.kind, "graph \(name), %\(index): \(error.message)", remedy: error.remedy, location: error.location)
      }
    }
    for output in outputs where !nodes.indices.contains(Int(output.id)) {
      throw Diagnostic(.compiler, "graph \(name): returns %\(output.id), but has \(nodes.count) values")
    }
    return self
  }

  private func verify(_ parameter: Parameter, _ index: Int) throws(Diagnostic) {
    let shape = parameter.type.shape
    let place = "graph \(name), parameter \(index) (\(parameter.name))"
    for dim in shape.dims + parameter.strides {
      try TypeQuestion.requireIntact(dim)
      if let unknown = dim.symbols.first(where: { $0 >= arguments.count }) {
        throw Diagnostic(.compiler, "\(place): s\(unknown) is none of \(arguments.count) arguments")
      }
    }
    if let extent = shape.dims.first(where: { $0.knownValue ?? 0 < 0 }) {
      throw Diagnostic(.shape, "\(place): the extent \(extent) is negative")
    }
    if parameter.strides.count != shape.rank {
      throw Diagnostic(
        .shape, "\(place): \(shape) has \(shape.rank) axes, \(parameter.strides.count) strides are given")
    }
  }

  private func verify(_ node: GraphNode, _ index: Int) throws(Diagnostic) {
    for operand in node.operands where operand.id < 0 || Int(operand.id) >= index {
      throw Diagnostic(.compiler, "\(node.primitive.name): its operand %\(operand.id) does not come before it")
    }
    for dim in node.type.shape.dims {
      try TypeQuestion.requireIntact(dim)
      if let unknown = dim.symbols.first(where: { $0 >= arguments.count }) {
        throw Diagnostic(.compiler, "\(node.primitive.name): s\(unknown) is none of \(arguments.count) arguments")
      }
    }
    if case .parameter(let number) = node.primitive {
      if !parameters.indices.contains(number) {
        throw Diagnostic(.compiler, "parameter (C1): there is no parameter \(number) among \(parameters.count)")
      }
      try require(node, parameters[number].type)
    } else if case .scalar(let argument) = node.primitive {
      if !arguments.indices.contains(argument) {
        throw Diagnostic(.compiler, "scalar (C1): there is no argument \(argument) among \(arguments.count)")
      }
      try require(node, TensorType(node.type.dtype, []))
    } else {
      try require(node, try node.primitive.resultType(node.operands.map { type($0) }))
    }
    if case .graph(let reference, _) = node.primitive.payload { try reference.graph.verified() }
  }

  private func require(_ node: GraphNode, _ type: TensorType) throws(Diagnostic) {
    if node.type != type {
      throw Diagnostic(.compiler, "\(node.primitive.name): its type is \(node.type), the rule gives \(type)")
    }
  }
}

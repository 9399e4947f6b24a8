// The graph of a program for one signature: which extents and strides are symbols, and where a launch finds their values.
// Not executable. Surprise: the first operand axis with a label names its symbol; all others with it are promised equal.
import Basics
import GraphIR
import TensorTypes

struct LaunchTemplate {
  let recipe: [ArgumentSource]
  let bounds: [Int: Int]
  let outputStrides: [[Dim]?]
  let graph: Graph

  /// Where a launch argument comes from.
  enum ArgumentSource: Sendable {
    case extent(operand: Int, axis: Int)
    case stride(operand: Int, axis: Int)
    case scalar(operand: Int)
    case resultStride(Int, axis: Int)
  }

  init(_ program: Program, _ operands: [Operand], _ results: [TensorView]) throws(Diagnostic) {
    var builder = GraphBuilder(name: program.name)
    var recipe: [ArgumentSource] = []
    var bounds: [Int: Int] = [:]
    var outputStrides: [[Dim]?] = []
    var symbols: [Int: Dim] = [:]
    var values: [Value] = []
    var parameters = 0
    for (i, operand) in operands.enumerated() {
      switch operand {
      case .scalar(let scalar):
        values.append(builder.scalar("a\(i)", scalar.dtype))
        recipe.append(.scalar(operand: i))
      case .tensor(let view):
        var dims: [Dim] = []
        for axis in 0..<view.rank {
          let label = program.label(i, axis)
          if view.hints[axis] == 1 || program.fixedLabels.contains(label) {
            dims.append(Dim(view.hints[axis]))
          } else if let known = symbols[label] {
            dims.append(known)
          } else {
            let made = builder.extent("n\(label)")
            recipe.append(.extent(operand: i, axis: axis))
            symbols[label] = made
            dims.append(made)
            let size = ExtentClass(view.hints[axis], distinguishesSmall: program.smallLabels.contains(label))
            if size == .small { bounds[recipe.count - 1] = ExtentClass.smallBound }
          }
        }
        let strides = Self.strides(view, dims) { axis in
          recipe.append(.stride(operand: i, axis: axis))
          return builder.extent("x\(parameters)_\(axis)")
        }
        values.append(builder.parameter("x\(parameters)", TensorType(view.dtype, Shape(dims)), strides: strides))
        parameters += 1
      }
    }
    let body = try program.graph(values.map { builder.type($0) }).graph
    var outputs = builder.inlined(body, values)
    guard outputs.count == results.count else {
      throw Diagnostic(.compiler, "\(program.name) gives \(outputs.count) results, \(results.count) were asked for")
    }
    for (i, view) in results.enumerated() {
      outputs[i] = try builder.convert(outputs[i], to: view.dtype)
      let shape = builder.shape(outputs[i])
      guard shape.rank == view.rank else {
        throw Diagnostic(.compiler, "\(program.name) gives shape \(shape), which \(view.hints) is no instance of")
      }
      outputStrides.append(
        Self.strides(view, shape.dims) { axis in
          recipe.append(.resultStride(i, axis: axis))
          return builder.extent("y\(i)_\(axis)")
        })
    }
    graph = builder.finish(outputs)
    self.recipe = recipe
    self.bounds = bounds
    self.outputStrides = outputStrides
  }

  /// Strides as the signature sees them: constants and products where the class says so, else a symbol.
  private static func strides(_ view: TensorView, _ dims: [Dim], _ symbol: (Int) -> Dim) -> [Dim] {
    var strides = [Dim](repeating: 0, count: view.rank)
    for axis in (0..<view.rank).reversed() {
      switch StrideClass(view, axis) {
      case .zero: strides[axis] = 0
      case .unit: strides[axis] = 1
      case .contiguous: strides[axis] = strides[axis + 1] * dims[axis + 1]
      case .arbitrary: strides[axis] = symbol(axis)
      }
    }
    return strides
  }
}

// The programs that `trace` shows, as graphs with symbolic extents. Not the eager operations' own graphs, which carry
// dtype conversions and strides; the stages after them are the same.
import ArgumentParser
import Basics
import GraphIR
import Scalars
import TensorTypes

enum TraceExample: String, CaseIterable, ExpressibleByArgument {
  case softmax, layernorm, matmul

  func graph() throws(Diagnostic) -> Graph {
    var builder = GraphBuilder(name: rawValue)
    let result =
      switch self {
      case .softmax: try Self.softmax(&builder)
      case .layernorm: try Self.layerNorm(&builder)
      case .matmul: try Self.product(&builder)
      }
    return builder.finish([result])
  }

  private static func matrix(_ builder: inout GraphBuilder) -> Value {
    let (rows, columns) = (builder.extent("rows"), builder.extent("columns"))
    return builder.parameter("x", TensorType(.f32, Shape([rows, columns])))
  }

  /// exp(x - max) / sum(exp(x - max)) along rows.
  private static func softmax(_ builder: inout GraphBuilder) throws(Diagnostic) -> Value {
    let x = matrix(&builder)
    let shape = builder.shape(x)
    let top = try builder.append(.reduce(.maximum, axes: [1]), x)
    let e = try builder.append(.exp, builder.append(.subtract, x, builder.restoring(top, [1], shape)))
    let sum = try builder.append(.reduce(.sum, axes: [1]), e)
    return try builder.append(.divide, e, builder.restoring(sum, [1], shape))
  }

  /// (x - mean) / sqrt(variance + epsilon) * weight + bias along rows.
  private static func layerNorm(_ builder: inout GraphBuilder) throws(Diagnostic) -> Value {
    let x = matrix(&builder)
    let shape = builder.shape(x)
    let row = TensorType(.f32, Shape([shape[1]]))
    let (weight, bias) = (builder.parameter("weight", row), builder.parameter("bias", row))
    let inverse = builder.scalar("one_over_columns", .f32)
    let epsilon = builder.scalar("epsilon", .f32)
    func mean(_ value: Value) throws(Diagnostic) -> Value {
      let sum = try builder.append(.reduce(.sum, axes: [1]), value)
      return try builder.append(.multiply, sum, builder.broadcast(inverse, builder.shape(sum)))
    }
    let centred = try builder.append(.subtract, x, builder.restoring(mean(x), [1], shape))
    let variance = try mean(builder.append(.multiply, centred, centred))
    let safe = try builder.append(.add, variance, builder.broadcast(epsilon, builder.shape(variance)))
    let root = try builder.append(.reciprocalSquareRoot, safe)
    let normal = try builder.append(.multiply, centred, builder.restoring(root, [1], shape))
    let scaled = try builder.append(.multiply, normal, builder.broadcast(weight, shape))
    return try builder.append(.add, scaled, builder.broadcast(bias, shape))
  }

  /// a [rows, inner] . b [inner, columns].
  private static func product(_ builder: inout GraphBuilder) throws(Diagnostic) -> Value {
    let (rows, inner, columns) = (builder.extent("rows"), builder.extent("inner"), builder.extent("columns"))
    let a = builder.parameter("a", TensorType(.f32, Shape([rows, inner])))
    let b = builder.parameter("b", TensorType(.f32, Shape([inner, columns])))
    return try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), a, b)
  }
}

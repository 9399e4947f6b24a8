// Softmax and its family along one axis: two reductions and the rescaling in one launch.
// Surprise: a row of -infinity gives NaN, as in PyTorch; attention has its own form that gives 0.
import Basics
import Engine
import GraphIR
import TensorTypes

private enum Softmax {
  static let softmax = RowOperation("softmax") { x in
    let e = (x[0] - x[0].max()).exp()
    // One division per row: a vector division costs half an exp.
    return [e * (1 / e.sum())]
  }
  static let softmin = RowOperation("softmin") { x in
    let e = (x[0].min() - x[0]).exp()
    return [e * (1 / e.sum())]
  }
  static let logSoftmax = RowOperation("log softmax") { x in
    let shifted = x[0] - x[0].max()
    return [shifted - shifted.exp().sum().log()]
  }
  /// The gradient and softmax' result.
  static let backward = RowOperation("softmax backward") { x in [x[1] * (x[0] - (x[0] * x[1]).sum())] }
}

extension Tensor {
  /// A row operation along one axis whose result has this shape.
  package func alongAxis(
    _ operation: RowOperation, _ axis: Int, dtype: DType?, _ more: [PointwiseOperand] = []
  ) throws(Diagnostic) -> Tensor {
    let x = try view
    let place = try resolvedAxis(axis, rank: x.rank, operation.name)
    let result = (dtype ?? x.dtype).floatingResult
    return try operation(
      [operand] + more, domain: x.hints, axes: x.rank == 0 ? [] : [place], compute: result.computeDType,
      [.full(result)])[0]
  }

  /// e^x divided by its sum along `axis`. PyTorch: `softmax`.
  public func softmax(
    _ axis: Int = -1, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in try alongAxis(Softmax.softmax, axis, dtype: dtype) }
  }

  /// The logarithm of softmax, without overflow. PyTorch: `log_softmax`.
  public func logSoftmax(
    _ axis: Int = -1, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in
      try alongAxis(Softmax.logSoftmax, axis, dtype: dtype)
    }
  }

  /// softmax(-x). PyTorch: `nn.functional.softmin`.
  public func softmin(
    _ axis: Int = -1, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self]) { () throws(Diagnostic) in try alongAxis(Softmax.softmin, axis, dtype: dtype) }
  }

  /// From this gradient of softmax' result `output` the gradient of its operand. PyTorch: `_softmax_backward_data`.
  public func softmaxBackward(
    output: Tensor, _ axis: Int = -1, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, output]) { () throws(Diagnostic) in
      try sameShape(self, output, "softmaxBackward")
      return try alongAxis(Softmax.backward, axis, dtype: dtype, [output.operand])
    }
  }
}

/// For operations that do not broadcast.
package func sameShape(_ a: Tensor, _ b: Tensor, _ name: String) throws(Diagnostic) {
  let (x, y) = (try a.view, try b.view)
  guard x.dims == y.dims else {
    throw Diagnostic(.shape, "\(name): shapes \(x.hints) and \(y.hints) differ", remedy: "give tensors of one shape")
  }
}

// Matrix products and their relatives. Not einsum, which has a file of its own.
// Surprise: dtypes are promoted inside the launch, so f16 times f32 needs no copy first.
import Basics
import Engine
import GraphIR
import TensorTypes

private enum Products {
  static let dot = RowOperation("dot") { x in [(x[0] * x[1]).sum()] }
  static let outerPlus = PointwiseOperation("addr", .promoted) { x in x[0] * x[3] + x[1] * x[2] * x[4] }
  static let outer = PointwiseOperation("addr alone", .promoted) { x in x[0] * x[1] * x[2] }
}

extension Tensor {
  private static func rank(_ x: TensorView, _ rank: Int, _ name: String) throws(Diagnostic) {
    guard x.rank == rank else {
      throw Diagnostic(
        .shape, "\(name): a tensor of rank \(rank) is needed, \(x.hints) has rank \(x.rank)",
        remedy: "matmul takes stacks of matrices of any rank")
    }
  }

  /// Products over the last axis of a and the last but one of b; leading axes broadcast.
  static func matrixProduct(
    _ a: TensorView, _ b: TensorView, _ name: String, addend: ProductAddend? = nil
  ) throws(Diagnostic) -> Tensor {
    guard a.rank > 0, b.rank > 0 else {
      throw Diagnostic(
        .shape, "\(name): both operands need an axis, the shapes are \(a.hints) and \(b.hints)",
        remedy: "multiply a 0-d tensor with *")
    }
    let inner = a.dim(a.rank - 1)
    let met = b.dim(Swift.max(b.rank - 2, 0))
    guard inner == met else {
      throw Diagnostic(
        .shape,
        "\(name): shapes \(a.hints) and \(b.hints) do not meet: inner extents \(a.hints[a.rank - 1]) and \(b.hints[Swift.max(b.rank - 2, 0)]) differ",
        remedy: "the last axis of the first operand meets the last but one of the second")
    }
    if a.rank == 1, b.rank == 1, addend == nil { return try dotProduct(a, b) }
    for factor in [a, b] { try factor.dtype.requireArithmetic(name) }
    if a.rank == 2, b.rank == 2, addend == nil, a.dtype == b.dtype, a.dtype != .bool, a.isLong(0), b.isLong(1),
      a.isLong(1)
    {
      return try Product.matrices(a, b)
    }
    // Labels: 0 inner, 1 rows, 2 columns, 3... batch axes counted from the end.
    func batch(_ count: Int) -> [Int] { (0..<Swift.max(count, 0)).reversed().map { 3 + $0 } }
    let left = batch(a.rank - 2) + (a.rank > 1 ? [1, 0] : [0])
    let right = batch(b.rank - 2) + (b.rank > 1 ? [0, 2] : [0])
    let out = batch(Swift.max(a.rank, b.rank) - 2) + (a.rank > 1 ? [1] : []) + (b.rank > 1 ? [2] : [])
    return try Product.contract(
      Factor(view: a, labels: left), Factor(view: b, labels: right), out: out, name, addend: addend)
  }

  private static func dotProduct(_ a: TensorView, _ b: TensorView) throws(Diagnostic) -> Tensor {
    let dtype = try a.dtype.promoted(with: b.dtype)
    guard dtype != .bool else {
      throw Diagnostic(.dtype, "dot: products of bool are not defined", remedy: "convert one operand to a number")
    }
    return try Products.dot(
      [.tensor(Tensor(a)), .tensor(Tensor(b))], domain: a.hints, axes: [0], compute: dtype.computeDType,
      [.reduced(dtype)])[0]
  }

  /// The matrix product. Vectors at either side lose their axis, leading axes are stacks and broadcast.
  /// PyTorch: `matmul`.
  ///
  /// [.., m, k] · [.., k, n] gives [.., m, n]. Fails where the inner extents differ.
  public func matmul(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      try Self.matrixProduct(view, other.view, "matmul")
    }
  }

  /// The product of two matrices. PyTorch: `mm`.
  public func mm(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let (a, b) = (try view, try other.view)
      try Self.rank(a, 2, "mm")
      try Self.rank(b, 2, "mm")
      return try Self.matrixProduct(a, b, "mm")
    }
  }

  /// The products of two stacks of matrices of equal count. PyTorch: `bmm`.
  public func bmm(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let (a, b) = (try view, try other.view)
      try Self.stacks(a, b, "bmm")
      return try Self.matrixProduct(a, b, "bmm")
    }
  }

  private static func stacks(_ a: TensorView, _ b: TensorView, _ name: String) throws(Diagnostic) {
    try rank(a, 3, name)
    try rank(b, 3, name)
    guard a.dim(0) == b.dim(0) else {
      throw Diagnostic(
        .shape, "\(name): stacks of \(a.hints[0]) and \(b.hints[0]) matrices",
        remedy: "give stacks of one size; matmul repeats a single matrix")
    }
  }

  /// A matrix times a vector. PyTorch: `mv`.
  public func mv(_ vector: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, vector]) { () throws(Diagnostic) in
      let (a, b) = (try view, try vector.view)
      try Self.rank(a, 2, "mv")
      try Self.rank(b, 1, "mv")
      return try Self.matrixProduct(a, b, "mv")
    }
  }

  /// The sum of the products of two vectors. PyTorch: `dot`, `vdot`.
  public func dot(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let (a, b) = (try view, try other.view)
      try Self.rank(a, 1, "dot")
      try Self.rank(b, 1, "dot")
      return try Self.matrixProduct(a, b, "dot")
    }
  }

  /// All products of an element of this vector and one of the other. PyTorch: `outer`.
  public func outer(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let (a, b) = (try view, try other.view)
      try Self.rank(a, 1, "outer")
      try Self.rank(b, 1, "outer")
      return try Arithmetic.multiply([.tensor(Tensor(a.inserting(1))), .tensor(other)])
    }
  }

  /// Sums of products over the last axes. [.., k] and [.. , k] give the leading axes of both. PyTorch: `inner`.
  public func inner(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let (a, b) = (try view, try other.view)
      if a.rank == 0 || b.rank == 0 { return try Arithmetic.multiply([operand, other.operand]) }
      return try Self.contracting(a, [a.rank - 1], b, [b.rank - 1], "inner")
    }
  }

  private static func contracting(
    _ a: TensorView, _ aAxes: [Int], _ b: TensorView, _ bAxes: [Int], _ name: String
  ) throws(Diagnostic) -> Tensor {
    var labels = (0..<b.rank).map { a.rank + $0 }
    for (i, j) in zip(aAxes, bAxes) {
      guard a.dim(i) == b.dim(j) || a.dim(i) == 1 || b.dim(j) == 1 else {
        throw Diagnostic(
          .shape, "\(name): axis \(i) of \(a.hints) meets axis \(j) of \(b.hints), the extents differ",
          remedy: "extents of axes that meet must be equal or 1")
      }
      labels[j] = i
    }
    let out =
      (0..<a.rank).filter { !aAxes.contains($0) } + (0..<b.rank).filter { !bAxes.contains($0) }.map { labels[$0] }
    return try Product.contract(
      Factor(view: a, labels: Array(0..<a.rank)), Factor(view: b, labels: labels), out: out, name)
  }

  /// Sums of products over the last `count` axes of this tensor and the first of the other. PyTorch: `tensordot`.
  public func tensorDot(
    _ other: Tensor, axes count: Int = 2, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let rank = try view.rank
      guard count >= 0, count <= rank, try count <= other.view.rank else {
        throw Diagnostic(
          .argument, "tensorDot: \(count) axes of \(shape) and \(other.shape)", remedy: "count axes that both have")
      }
      return tensorDot(other, axes: Array((rank - count)..<rank), Array(0..<count), file: file, line: line)
    }
  }

  /// Sums of products over pairs of axes: `axes[i]` of this tensor meets `otherAxes[i]`. PyTorch: `tensordot`.
  public func tensorDot(
    _ other: Tensor, axes: [Int], _ otherAxes: [Int], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      let (a, b) = (try view, try other.view)
      guard axes.count == otherAxes.count else {
        throw Diagnostic(
          .argument, "tensorDot: \(axes.count) axes meet \(otherAxes.count)", remedy: "name pairs of axes")
      }
      var (i, j): ([Int], [Int]) = ([], [])
      for axis in axes { i.append(try resolvedAxis(axis, rank: a.rank, "tensorDot")) }
      for axis in otherAxes { j.append(try resolvedAxis(axis, rank: b.rank, "tensorDot")) }
      guard Set(i).count == i.count, Set(j).count == j.count else {
        throw Diagnostic(.argument, "tensorDot: an axis is named twice in \(axes), \(otherAxes)")
      }
      return try Self.contracting(a, i, b, j, "tensorDot")
    }
  }

  /// Each element of this tensor times the whole of the other, side by side. PyTorch: `kron`.
  public func kron(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.attempt(file, line, of: [self, other]) { () throws(Diagnostic) in
      var (a, b) = (try view, try other.view)
      while a.rank < b.rank { a = a.inserting(0) }
      while b.rank < a.rank { b = b.inserting(0) }
      let (left, right) = (a.dims, b.dims)
      for axis in (0..<a.rank).reversed() {
        a = a.inserting(axis + 1)
        b = b.inserting(axis)
      }
      // What could be multiplied can be counted.
      let products = try Arithmetic.multiply([.tensor(Tensor(a)), .tensor(Tensor(b))])
      return try products.reshaped(dims: zip(left, right).map { $0 * $1 })
    }
  }

  // MARK: Products with an addend

  /// `beta` 0 means that this tensor is not read, so that its NaNs do not count.
  private func addend(_ beta: some Scalar, _ alpha: some Scalar) throws(Diagnostic) -> ProductAddend {
    _ = try view
    let read = beta.number.double == 0 ? try Self.filled(.integer(0), [], dtype) : self
    return ProductAddend(tensor: read, alpha: alpha.number, beta: beta.number)
  }

  /// `beta` · self + `alpha` · a · b, for matrices, in one launch. PyTorch: `addmm`.
  public func addmm(
    _ a: Tensor, _ b: Tensor, beta: some Scalar = 1, alpha: some Scalar = 1, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, a, b]) { () throws(Diagnostic) in
      let (addend, x, y) = (try addend(beta, alpha), try a.view, try b.view)
      try Self.rank(x, 2, "addmm")
      try Self.rank(y, 2, "addmm")
      return try Self.matrixProduct(x, y, "addmm", addend: addend)
    }
  }

  /// `beta` · self + `alpha` · a · vector, in one launch. PyTorch: `addmv`.
  public func addmv(
    _ a: Tensor, _ vector: Tensor, beta: some Scalar = 1, alpha: some Scalar = 1, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, a, vector]) { () throws(Diagnostic) in
      let (addend, x, y) = (try addend(beta, alpha), try a.view, try vector.view)
      try Self.rank(x, 2, "addmv")
      try Self.rank(y, 1, "addmv")
      return try Self.matrixProduct(x, y, "addmv", addend: addend)
    }
  }

  /// `beta` · self + `alpha` · a · b, for stacks of matrices, in one launch. PyTorch: `baddbmm`.
  public func baddbmm(
    _ a: Tensor, _ b: Tensor, beta: some Scalar = 1, alpha: some Scalar = 1, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, a, b]) { () throws(Diagnostic) in
      let (addend, x, y) = (try addend(beta, alpha), try a.view, try b.view)
      try Self.stacks(x, y, "baddbmm")
      return try Self.matrixProduct(x, y, "baddbmm", addend: addend)
    }
  }

  /// `beta` · self + `alpha` · the sum of all products of two stacks, in one launch. PyTorch: `addbmm`.
  public func addbmm(
    _ a: Tensor, _ b: Tensor, beta: some Scalar = 1, alpha: some Scalar = 1, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, a, b]) { () throws(Diagnostic) in
      let (addend, x, y) = (try addend(beta, alpha), try a.view, try b.view)
      try Self.stacks(x, y, "addbmm")
      // Labels: 0 inner, 1 rows, 2 columns, 3 stack.
      return try Product.contract(
        Factor(view: x, labels: [3, 1, 0]), Factor(view: y, labels: [3, 0, 2]), out: [1, 2], "addbmm", addend: addend)
    }
  }

  /// `beta` · self + `alpha` · the outer product of two vectors. PyTorch: `addr`.
  public func addr(
    _ a: Tensor, _ b: Tensor, beta: some Scalar = 1, alpha: some Scalar = 1, file: StaticString = #fileID,
    line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, a, b]) { () throws(Diagnostic) in
      let (x, y) = (try a.view, try b.view)
      try Self.rank(x, 1, "addr")
      try Self.rank(y, 1, "addr")
      let column = PointwiseOperand.tensor(Tensor(x.inserting(1)))
      if beta.number.double == 0 { return try Products.outer([column, b.operand, .scalar(alpha.number)]) }
      return try Products.outerPlus([operand, column, b.operand, .scalar(beta.number), .scalar(alpha.number)])
    }
  }

  // MARK: Layers

  /// x · weightᵀ + bias, with a weight [out, in]. PyTorch: `nn.functional.linear`.
  public func linear(
    weight: Tensor, bias: Tensor? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, weight, bias]) { () throws(Diagnostic) in
      let (x, w) = (try view, try weight.view)
      guard x.rank > 0, w.rank == 1 || w.rank == 2, x.dim(x.rank - 1) == w.dim(w.rank - 1) else {
        throw Diagnostic(
          .shape, "linear: a weight \(w.hints) does not meet \(x.hints)",
          remedy: "the last axes of both must have one extent")
      }
      let addend = bias.map { ProductAddend(tensor: $0) }
      return try Self.matrixProduct(x, w.rank == 1 ? w : w.permuted([1, 0]), "linear", addend: addend)
    }
  }

  /// xᵀ · weight[o] · other + bias for each o, with a weight [out, in, other's in].
  /// PyTorch: `nn.functional.bilinear`.
  public func bilinear(
    _ other: Tensor, weight: Tensor, bias: Tensor? = nil, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, other, weight, bias]) { () throws(Diagnostic) in
      let (x, y, w) = (try view, try other.view, try weight.view)
      guard w.rank == 3, x.rank > 0, y.rank == x.rank, x.dims.dropLast() == y.dims.dropLast(),
        x.dim(x.rank - 1) == w.dim(1), y.dim(y.rank - 1) == w.dim(2)
      else {
        throw Diagnostic(
          .shape, "bilinear: a weight \(w.hints) does not meet \(x.hints) and \(y.hints)",
          remedy: "give a weight [out, first's last extent, second's last extent]")
      }
      // Labels: 0, 1 the inner axes, 2 out, 3... leading axes.
      let lead = (0..<(x.rank - 1)).map { 3 + $0 }
      let first = try Product.contract(
        Factor(view: x, labels: lead + [0]), Factor(view: w, labels: [2, 0, 1]), out: lead + [2, 1], "bilinear")
      return try Product.contract(
        Factor(view: first.view, labels: lead + [2, 1]), Factor(view: y, labels: lead + [1]), out: lead + [2],
        "bilinear", addend: bias.map { ProductAddend(tensor: $0) })
    }
  }
}

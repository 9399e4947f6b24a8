// The way of every product: axes by labels, axes of one kind merged where strides allow it, one contraction,
// one launch.
// Not the operations themselves. Surprise: a batch axis that only one operand has is a free axis here, so a stack of
// matrices times one matrix is a single tall product.
import Basics
import Engine
import GraphIR
import Scalars
import Synchronization
import TensorTypes

/// A view whose axes have labels; axes with one label meet.
struct Factor {
  var view: TensorView
  var labels: [Int]
}

/// What is added to a product in the same launch: `alpha` · product + `beta` · addend.
struct ProductAddend {
  /// Broadcasts to the result.
  var tensor: Tensor
  var alpha: Number = .integer(1)
  var beta: Number = .integer(1)
}

enum Product {
  private enum Kind: Int, CaseIterable { case batch, rows, columns, inner }
  private static let programs = Mutex<[Int: Program]>([:])

  /// The sums of products over all labels that `out` does not name. Every label of `out` is one of a factor's.
  static func contract(
    _ a: Factor, _ b: Factor, out: [Int], _ name: String, addend: ProductAddend? = nil
  ) throws(Diagnostic) -> Tensor {
    let dtype = try a.view.dtype.promoted(with: b.view.dtype)
    try dtype.requireArithmetic(name)
    guard dtype != .bool else {
      throw Diagnostic(.dtype, "\(name): products of bool are not defined", remedy: "convert one operand to a number")
    }
    let (a, b, extents) = try meeting(a, b, name)
    let outDims = out.map { extents[$0] ?? 1 }
    var outExtents: [Int] = []
    for dim in outDims { outExtents.append(try dim.sizeHint) }
    if let addend {
      let spread = try addend.tensor.view
      try broadcastInto(outDims, spread.dims) { () throws(Diagnostic) in
        Diagnostic(
          .shape, "\(name): \(spread.hints) cannot be added to a product \(outExtents)",
          remedy: "the addend must broadcast to the product's shape")
      }
    }
    // Whether there are elements is a guard.
    if outDims.contains(0) { return try Tensor.filled(.integer(0), outExtents, dtype, dims: outDims) }
    if extents.values.contains(0) { return try withoutElements(outExtents, outDims, dtype, addend) }
    let result = try Engine.current.allocate(dtype, outExtents, dims: outDims)

    // Extents of 1 walk nothing; an operand's own extent of 1 repeats.
    func walked(_ factor: Factor, _ dims: [Dim]) -> Factor {
      let axes = factor.labels.indices.filter { !dims[$0].isKnown(1) }
      return Factor(view: factor.view.permuted(axes), labels: axes.map { factor.labels[$0] })
    }
    var (left, right) = (walked(a, a.view.dims), walked(b, b.view.dims))
    left = try summed(left, needed: out + right.labels)
    right = try summed(right, needed: out + left.labels)
    let target = walked(Factor(view: result, labels: out), outDims)
    var factors = [left, right, target]
    if let addend {
      let spread = try addend.tensor.view.dropping(to: outExtents.count).expanded(to: outExtents, dims: outDims)
      factors.append(
        Factor(view: spread.permuted(outDims.indices.filter { !outDims[$0].isKnown(1) }), labels: target.labels))
    }
    var groups = [[Int]](repeating: [], count: Kind.allCases.count)
    for label in target.labels {
      let kind: Kind = !left.labels.contains(label) ? .columns : right.labels.contains(label) ? .batch : .rows
      groups[kind.rawValue].append(label)
    }
    for label in left.labels where !target.labels.contains(label) { groups[Kind.inner.rawValue].append(label) }
    if groups[Kind.inner.rawValue].isEmpty {
      return try withoutSums(
        spread(left, target), spread(right, target), outExtents, outDims, factors.dropFirst(3).first, addend)
    }
    // A capture keeps the axes: what comes before and after the product can then be fused with it.
    if Trace.current == nil { for kind in groups.indices { groups[kind] = merge(groups[kind], &factors) } }
    return try run(groups, factors, result, addend, dtype)
  }

  /// The factors and the extents of their labels; that extents are the same, or 1, is a guard.
  private static func meeting(
    _ a: Factor, _ b: Factor, _ name: String
  ) throws(Diagnostic) -> (Factor, Factor, [Int: Dim]) {
    var extents: [Int: Dim] = [:]
    var factors = [a, b]
    for i in factors.indices {
      for (axis, label) in factors[i].labels.enumerated() {
        let (dim, met) = (factors[i].view.dims[axis], extents[label] ?? 1)
        if met.isKnown(1) {
          extents[label] = dim
        } else if !dim.isKnown(1), !Dim.asks(.equal, dim, met) {
          if Dim.asks(.equal, dim, 1) {
            factors[i].view = factors[i].view.single(axis)
          } else if Dim.asks(.equal, met, 1) {
            extents[label] = dim
            if let other = factors[0].labels.firstIndex(of: label) { factors[0].view = factors[0].view.single(other) }
          } else {
            throw Diagnostic(
              .shape,
              "\(name): shapes \(a.view.hints) and \(b.view.hints) do not meet: extents \(try met.sizeHint) and \(try dim.sizeHint)",
              remedy: "extents of axes that meet must be equal")
          }
        }
      }
    }
    return (factors[0], factors[1], extents)
  }

  /// Sums the axes whose labels nobody needs.
  static func summed(_ factor: Factor, needed: [Int]) throws(Diagnostic) -> Factor {
    let axes = factor.labels.indices.filter { !needed.contains(factor.labels[$0]) }
    if axes.isEmpty { return factor }
    let sum = Tensor(factor.view).sum(axes: axes)
    // Integers would be counted in i64; a product keeps its dtype.
    let kept = factor.view.dtype.isFloating ? sum : sum.converted(to: factor.view.dtype)
    return Factor(view: try kept.view, labels: factor.labels.filter { needed.contains($0) })
  }

  /// Joins neighbours of one kind that every factor with them walks without a gap.
  private static func merge(_ labels: [Int], _ factors: inout [Factor]) -> [Int] {
    var kept: [Int] = []
    for label in labels {
      guard let last = kept.last, factors.allSatisfy({ joins($0, last, label) }) else {
        kept.append(label)
        continue
      }
      for i in factors.indices {
        guard let outer = factors[i].labels.firstIndex(of: last), let inner = factors[i].labels.firstIndex(of: label)
        else { continue }
        factors[i].view.hints[inner] *= factors[i].view.hints[outer]
        factors[i].view = factors[i].view.removing(outer)
        factors[i].labels.remove(at: outer)
      }
      kept[kept.count - 1] = label
    }
    return kept
  }

  private static func joins(_ factor: Factor, _ outer: Int, _ inner: Int) -> Bool {
    guard let i = factor.labels.firstIndex(of: outer), let j = factor.labels.firstIndex(of: inner) else {
      return !factor.labels.contains(outer) && !factor.labels.contains(inner)
    }
    return factor.view.strides[i] == factor.view.strides[j] * factor.view.hints[j]
  }

  private static func run(
    _ groups: [[Int]], _ factors: [Factor], _ result: TensorView, _ addend: ProductAddend?, _ dtype: DType
  ) throws(Diagnostic) -> Tensor {
    let (batch, rows, columns, inner) = (groups[0], groups[1], groups[2], groups[3])
    func arranged(_ factor: Factor, _ labels: [Int]) -> TensorView {
      factor.view.permuted(labels.compactMap { factor.labels.firstIndex(of: $0) })
    }
    var operands: [Operand] = [
      .tensor(arranged(factors[0], batch + rows + inner)), .tensor(arranged(factors[1], batch + columns + inner)),
    ]
    let target = arranged(factors[2], batch + rows + columns)
    if let addend {
      operands.append(.tensor(arranged(factors[3], batch + rows + columns)))
      for number in [addend.alpha, addend.beta] {
        operands.append(.scalar(ScalarOperand(number.constant(dtype.computeDType))))
      }
    }
    let program = try program(groups.map(\.count), dtype, adds: addend != nil)
    _ = try Engine.current.run(program, operands, [.existing(target)])
    return Tensor(result)
  }

  /// Two matrices of one dtype with more than one row, column and inner element: nothing to arrange.
  static func matrices(_ a: TensorView, _ b: TensorView) throws(Diagnostic) -> Tensor {
    let made = try Engine.current.run(
      program([0, 1, 1, 1], a.dtype, adds: false), [.tensor(a), .tensor(b.permuted([1, 0]))],
      [.fresh(a.dtype, [a.hints[0], b.hints[1]])])
    return Tensor(made[0])
  }

  /// The program for so many axes of each kind: left [batch, rows, inner], right [batch, columns, inner].
  private static func program(_ counts: [Int], _ dtype: DType, adds: Bool) throws(Diagnostic) -> Program {
    guard counts.allSatisfy({ $0 < 16 }) else {
      throw Diagnostic(.argument, "a product over \(counts) axes", remedy: "products have at most 15 axes of a kind")
    }
    let key = counts.reduce(Int(dtype.rawValue) << 1 | (adds ? 1 : 0)) { $0 << 4 | $1 }
    return programs.withLock { known in
      if let program = known[key] { return program }
      let made = make(counts, dtype, adds: adds)
      known[key] = made
      return made
    }
  }

  private static func make(_ counts: [Int], _ dtype: DType, adds: Bool) -> Program {
    // Labels by place, so that one program serves all axes of one count.
    var next = 0
    let labels = counts.map { count in
      defer { next += count }
      return Array(next..<(next + count))
    }
    let (b, m, n, k) = (labels[0], labels[1], labels[2], labels[3])
    let axes = [b + m + k, b + n + k] + (adds ? [b + m + n, [], []] : [])
    let name = "product \(counts) \(dtype)\(adds ? " plus" : "")"
    return Program(name, operation: "product", axes: axes, smallLabels: Set(m)) { builder, values throws(Diagnostic) in
      // Half floats are lifted first: the product is rounded once, at the end.
      let compute = dtype.computeDType
      let pairs = ContractionAxes(
        batch: b.indices.map { .init($0, $0) },
        contracted: k.indices.map { .init(b.count + m.count + $0, b.count + n.count + $0) })
      let product = try builder.append(
        .contraction(pairs), builder.convert(values[0], to: compute), builder.convert(values[1], to: compute))
      guard adds else { return [product] }
      return try Sheet.write(&builder, domain: builder.shape(product)) { sheet throws(Diagnostic) in
        let addend = Term(sheet, values[2]).converted(to: compute)
        return [(Term(sheet, product) * Term(sheet, values[3]) + addend * Term(sheet, values[4])).value]
      }
    }
  }

  /// The factor's elements in the axes of `target`.
  private static func spread(_ factor: Factor, _ target: Factor) throws(Diagnostic) -> TensorView {
    let order = target.labels.compactMap { factor.labels.firstIndex(of: $0) }
    var view = factor.view.permuted(order)
    for (axis, label) in target.labels.enumerated() where !factor.labels.contains(label) { view = view.inserting(axis) }
    return try view.expanded(to: target.view.hints)
  }

  private static let plain = PointwiseOperation("outer product", .promoted) { x in x[0] * x[1] }
  private static let plus = PointwiseOperation("outer product plus", .promoted) { x in
    x[0] * x[1] * x[3] + x[2] * x[4]
  }

  /// Every element is one product: no contraction is needed.
  private static func withoutSums(
    _ a: TensorView, _ b: TensorView, _ extents: [Int], _ dims: [Dim], _ spread: Factor?, _ addend: ProductAddend?
  ) throws(Diagnostic) -> Tensor {
    let factors = [PointwiseOperand.tensor(Tensor(a)), .tensor(Tensor(b))]
    let made: Tensor
    if let addend, let spread {
      made = try plus(factors + [.tensor(Tensor(spread.view)), .scalar(addend.alpha), .scalar(addend.beta)])
    } else {
      made = try plain(factors)
    }
    return try made.reshaped(to: extents, dims: dims)
  }

  /// The sum of no products: 0, or the scaled addend.
  private static func withoutElements(
    _ extents: [Int], _ dims: [Dim], _ dtype: DType, _ addend: ProductAddend?
  ) throws(Diagnostic) -> Tensor {
    let nothing = try Tensor(Tensor.filled(.integer(0), [], dtype).view.expanded(to: extents, dims: dims))
    guard let addend else { return try nothing.contiguousCopy() }
    let scaled = try Arithmetic.multiply([addend.tensor.operand, .scalar(addend.beta)])
    return try Arithmetic.add([nothing.operand, scaled.operand]).converted(to: dtype)
  }
}

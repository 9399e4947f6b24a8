// The way of every pointwise operation: promote, broadcast, coalesce axes, launch one program.
// Not the operations themselves. Surprise: dtype conversions of operands happen inside the one kernel, and a Swift
// scalar is a launch argument, so `x * 2` makes no 0-d tensor and no new kernel for each number.
import Basics
import Engine
import GraphIR
import Scalars
import TensorTypes

/// An operand of a pointwise operation as the user wrote it.
package enum PointwiseOperand {
  case tensor(Tensor)
  case scalar(Number)
  /// A number that follows an extent; only while a function is captured.
  case count(SymbolicCount)

  var tensor: Tensor? { if case .tensor(let tensor) = self { tensor } else { nil } }

  /// How many elements axes of these `extents` have; `dims` are the extents as a capture knows them.
  init(count dims: [Dim], of extents: [Int]) {
    let count = Shape(dims).elementCount
    self =
      count.knownValue == nil
      ? .count(SymbolicCount(count)) : .scalar(.floating(extents.reduce(1) { $0 * Double($1) }))
  }

  /// An extent as an integer.
  init(extent dim: Dim, _ size: Int) {
    self =
      dim.knownValue == nil ? .count(SymbolicCount(dim, category: .integer)) : .scalar(.integer(Int64(size)))
  }
}

/// Which dtype a pointwise operation computes in and gives.
package enum ResultRule: Sendable {
  /// Operands meet by promotion; the result has that dtype.
  case promoted
  /// As `promoted`, but integers become f32 (true division, sqrt, exp).
  case floating
  /// Operands meet by promotion; the result is bool.
  case comparison
  /// Operand 0 is a condition (made bool); the others are promoted.
  case selection
  /// Operands stay as they are; the given result dtype.
  case unchanged(DType)
}

/// A pointwise operation: its program and its dtype rule. Make each once, as a static.
package final class PointwiseOperation: Sendable {
  package let name: String
  package let rule: ResultRule
  private let movesOnly: Bool
  /// One program per compute dtype: operands of any dtype are converted to it inside.
  private let programs: [Program]

  /// One primitive.
  package convenience init(_ primitive: Primitive, _ rule: ResultRule, roundsOperands: Bool = false) {
    self.init(primitive.name, rule, roundsOperands: roundsOperands) { builder, values throws(Diagnostic) in
      try builder.append(primitive, values)
    }
  }

  /// A composite formula over operands of one shape and dtype.
  package convenience init(
    _ name: String, _ rule: ResultRule, roundsOperands: Bool = false, _ formula: @escaping @Sendable ([Term]) -> Term
  ) {
    self.init(name, rule, roundsOperands: roundsOperands) { builder, values throws(Diagnostic) in
      try Sheet.write(&builder, domain: builder.shape(values[0])) { sheet throws(Diagnostic) in
        formula(values.map { Term(sheet, $0) }).value
      }
    }
  }

  /// A formula on graph values. Half floats are lifted to the dtype they compute in, unless the operation only moves
  /// bits.
  /// `roundsOperands`: what meets half floats is first rounded as they are, a number too: f16(0.1) - 0.1 is 0 then. Products
  /// and quotients take numbers as they are. Both are PyTorch's rules.
  package init(
    _ name: String, _ rule: ResultRule, movesOnly: Bool = false, roundsOperands: Bool = false,
    _ formula: @escaping @Sendable (inout GraphBuilder, [Value]) throws(Diagnostic) -> Value
  ) {
    self.name = name
    self.rule = rule
    self.movesOnly = movesOnly
    programs = DType.allCases.map { storage in
      let compute = movesOnly ? storage : storage.computeDType
      return Program("pointwise \(name) \(storage)", operation: name) { builder, operands throws(Diagnostic) in
        let shape = operands.map { builder.shape($0) }.max { $0.rank < $1.rank } ?? []
        var values: [Value] = []
        for (i, operand) in operands.enumerated() {
          var value = operand
          if roundsOperands, compute != storage { value = try builder.convert(value, to: storage) }
          switch rule {
          case .promoted, .floating, .comparison: value = try builder.convert(value, to: compute)
          case .selection: value = try builder.convert(value, to: i == 0 ? .bool : compute)
          case .unchanged: break
          }
          values.append(try builder.broadcast(value, shape))
        }
        return [try formula(&builder, values)]
      }
    }
  }

  package func program(_ compute: DType) -> Program { programs[Int(compute.rawValue)] }

  /// The dtype operands meet in.
  package func computeDType(_ operands: [PointwiseOperand]) throws(Diagnostic) -> DType {
    var met: DType?
    // A 0-d tensor is like a scalar for promotion: it lifts the category only.
    var zeroDimensional: DType?
    var scalarCategory: DType.Category?
    for (i, operand) in operands.enumerated() {
      if case .selection = rule, i == 0 { continue }
      switch operand {
      case .tensor(let tensor):
        let view = try tensor.view
        if view.rank == 0 {
          zeroDimensional = try zeroDimensional?.promoted(with: view.dtype) ?? view.dtype
        } else {
          met = try met?.promoted(with: view.dtype) ?? view.dtype
        }
      case .scalar(let value): scalarCategory = max(scalarCategory ?? .bool, value.category)
      case .count(let count): scalarCategory = max(scalarCategory ?? .bool, count.category)
      }
    }
    var dtype = met ?? zeroDimensional ?? Self.defaultDType(scalarCategory ?? .floating)
    if let zeroDimensional, met != nil, zeroDimensional.category > dtype.category { dtype = zeroDimensional }
    if let scalarCategory { dtype = dtype.promoted(withScalar: scalarCategory) }
    if case .floating = rule { dtype = dtype.floatingResult }
    if !movesOnly { try dtype.requireArithmetic(name) }
    return dtype
  }

  static func defaultDType(_ category: DType.Category) -> DType {
    switch category {
    case .bool: .bool
    case .integer: .i64
    case .floating: .f32
    }
  }

  /// Promotes, broadcasts and runs.
  package func callAsFunction(
    _ operands: [PointwiseOperand], into existing: TensorView? = nil
  ) throws(Diagnostic) -> Tensor {
    let compute = try computeDType(operands)
    let result: DType =
      switch rule {
      case .promoted, .floating, .selection: compute
      case .comparison: .bool
      case .unchanged(let dtype): dtype
      }
    var extents: [Int] = []
    for operand in operands {
      if case .tensor(let tensor) = operand {
        extents = try broadcastExtents(extents, tensor.view.hints, name)
      }
    }
    var bound: [Operand] = []
    bound.reserveCapacity(operands.count)
    for (i, operand) in operands.enumerated() {
      switch operand {
      case .tensor(let tensor): bound.append(.tensor(try tensor.view.expanded(to: extents)))
      case .count(let count): bound.append(.scalar(ScalarOperand(compute.computeDType, bits: 0, count: count)))
      case .scalar(let value):
        var dtype = compute
        if case .selection = rule, i == 0 { dtype = .bool }
        if case .selection = rule, i > 0, dtype.isInteger { try value.requireFit(dtype, name) }
        bound.append(.scalar(ScalarOperand(value.constant(movesOnly ? dtype : dtype.computeDType))))
      }
    }
    let destination: Destination = existing.map { .existing($0) } ?? .fresh(result, extents)
    let view = try Engine.current.runPointwise(program(compute), bound, destination)
    return Tensor(view)
  }
}

/// The extents two shapes broadcast to.
package func broadcastExtents(_ a: [Int], _ b: [Int], _ name: String) throws(Diagnostic) -> [Int] {
  if a == b || b.isEmpty { return a }
  if a.isEmpty { return b }
  let rank = max(a.count, b.count)
  var result = [Int](repeating: 1, count: rank)
  for i in 0..<rank {
    let x = i < a.count ? a[a.count - 1 - i] : 1
    let y = i < b.count ? b[b.count - 1 - i] : 1
    guard x == y || x == 1 || y == 1 else {
      throw Diagnostic(
        .shape, "\(name): shapes \(a) and \(b) do not broadcast: axis \(rank - 1 - i) has extents \(x) and \(y)",
        remedy: "extents must be equal or 1, aligned at the last axis")
    }
    result[rank - 1 - i] = x == 1 ? y : x
  }
  guard CheckedSize.elements(result) != nil else {
    throw Diagnostic(
      .memory, "\(name): shapes \(a) and \(b) broadcast to \(result), which no machine can address",
      remedy: "check the extents that were repeated")
  }
  return result
}

extension TensorView {
  /// The same elements seen in a larger shape: extents of 1 and missing axes repeat by stride 0.
  /// `dims`: the target as a capture knows it; without it whoever reads the view decides how far axes repeat.
  /// - Throws: a Diagnostic for an extent that is neither 1 nor the target's: it would be read as one element.
  package func expanded(to target: [Int], dims: [Dim]? = nil) throws(Diagnostic) -> TensorView {
    if hints == target, hasMemory || dims == nil, lifted(for: dims ?? []) == nil { return self }
    if let dims, let lifted = lifted(for: dims) { return try lifted.expanded(to: target, dims: dims) }
    var view = self
    try checkExpansion(to: target)
    if let path {
      let leading = (0..<(target.count - hints.count)).reduce(path) { path, _ in path.adding(.insert(axis: 0)) }
      view.path = dims.map { leading.adding(.broadcast(meeting($0))) } ?? leading
    }
    var newStrides = [Int](repeating: 0, count: target.count)
    let lead = target.count - hints.count
    for axis in hints.indices where hints[axis] == target[lead + axis] && hints[axis] != 1 {
      newStrides[lead + axis] = strides[axis]
    }
    view.hints = target
    view.strides = newStrides
    return view
  }

  private func checkExpansion(to target: [Int]) throws(Diagnostic) {
    let lead = target.count - hints.count
    guard lead >= 0, hints.indices.allSatisfy({ hints[$0] == 1 || hints[$0] == target[lead + $0] }),
      CheckedSize.elements(target) != nil
    else {
      throw Diagnostic(
        .shape, "a tensor of shape \(hints) does not repeat to \(target)",
        remedy: "extents must be equal or 1, aligned at the last axis")
    }
  }

  /// The same for extents as a capture knows them.
  package func expanded(to target: [Dim]) throws(Diagnostic) -> TensorView {
    var sizes: [Int] = []
    for dim in target { sizes.append(try dim.sizeHint) }
    return try expanded(to: sizes, dims: target)
  }

  /// `target` with the extents that this view has already: that they are the same, or 1, is a guard.
  private func meeting(_ target: [Dim]) -> [Dim] {
    guard let path else { return target }
    var met = target
    let lead = target.count - hints.count
    for (axis, dim) in path.dims.enumerated() where !dim.isKnown(1) {
      if Dim.asks(.equal, dim, target[lead + axis]) { met[lead + axis] = dim } else { _ = Dim.unifies(dim, 1) }
    }
    return met
  }
}

/// The extents that shapes broadcast to, as a capture knows them; that extents are the same, or 1, is a guard.
func broadcastDims(_ views: [TensorView], to rank: Int) -> [Dim] { broadcastDims(views.map(\.dims), to: rank) }

func broadcastDims(_ shapes: [[Dim]], to rank: Int) -> [Dim] {
  var result = [Dim](repeating: 1, count: rank)
  for shape in shapes {
    let lead = rank - shape.count
    for (axis, dim) in shape.enumerated() where !dim.isKnown(1) {
      let known = result[lead + axis]
      if known.isKnown(1) {
        result[lead + axis] = dim
      } else if !Dim.asks(.equal, known, dim), !Dim.asks(.equal, dim, 1), Dim.asks(.equal, known, 1) {
        result[lead + axis] = dim
      }
    }
  }
  return result
}

extension ScalarOperand {
  package init(_ constant: ScalarConstant) {
    let value: ScalarValue =
      constant.dtype.isFloating ? .float(constant.doubleValue) : .integer(constant.integerValue)
    self.init(constant.dtype, bits: Int64(bitPattern: ScalarReference.bits(of: value, constant.dtype)))
  }
}

extension PointwiseOperation {
  /// A number that bounds elements from below (or above), as one that the dtype of all `operands` holds: what no element
  /// reaches bounds nothing.
  func bound(
    _ bound: PointwiseOperand, isLow: Bool, among operands: [PointwiseOperand]
  ) throws(Diagnostic) -> PointwiseOperand {
    guard case .scalar(.integer(let value)) = bound, let range = try computeDType(operands).integerRange,
      !range.contains(value)
    else { return bound }
    let isBelow = value < range.lowerBound
    guard isBelow == isLow else {
      throw Diagnostic(
        .argument, "\(name): no element is \(isLow ? "at least" : "at most") \(value) in \(range)",
        remedy: "give a bound that the dtype holds, or convert the tensor first")
    }
    return .scalar(.integer(isBelow ? range.lowerBound : range.upperBound))
  }

  /// Runs on one view in its own dtype; the destination's dtype may differ (a converting copy).
  func asIs(_ source: TensorView, to destination: Destination) throws(Diagnostic) -> Tensor {
    let view = try Engine.current.runPointwise(program(destination.dtype), [.tensor(source)], destination)
    return Tensor(view)
  }
}

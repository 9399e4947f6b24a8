// Reductions, scans, sorting, products, gathers and scatters of reference tensors.
// Surprise: floats are combined in Double and rounded at the end; integers wrap in their dtype at each step.
import Basics
import Scalars
import TensorTypes

extension ReferenceEvaluation {
  private func combined(_ monoid: Monoid, _ a: ScalarValue, _ b: ScalarValue) -> ScalarValue {
    monoid.combined(a, b, dtype.isFloating ? .f64 : dtype)
  }

  private func rounded(_ value: ScalarValue) -> ScalarValue {
    switch value {
    case .float(let x): .float(ScalarReference.rounded(x, to: dtype))
    case .integer(let x): .integer(ScalarReference.wrapped(x, to: dtype))
    }
  }

  func reduced(_ monoid: Monoid, _ payload: Payload) -> ReferenceTensor {
    guard case .reduce(_, let axes) = payload else { return operands[0] }
    let source = operands[0]
    var strides = ReferenceTensor.contiguousStrides(extents)
    for axis in axes.sorted() { strides.insert(0, at: axis) }
    var elements = [ScalarValue](repeating: monoid.identity(dtype).value, count: count)
    for (i, place) in ReferenceTensor.offsets(source.extents, strides: strides).enumerated() {
      elements[place] = combined(monoid, elements[place], source.elements[i])
    }
    return result(elements.map(rounded))
  }

  func scanned(_ monoid: Monoid, _ payload: Payload) -> ReferenceTensor {
    guard case .scan(_, let axis) = payload else { return operands[0] }
    var elements = operands[0].elements
    let (outer, extent, inner) = operands[0].line(axis)
    for o in 0..<outer {
      for i in 0..<inner {
        var total = monoid.identity(dtype).value
        for k in 0..<extent {
          let place = (o * extent + k) * inner + i
          total = combined(monoid, total, elements[place])
          elements[place] = rounded(total)
        }
      }
    }
    return result(elements)
  }

  /// Whether `x` takes the place of `best`. NaN beats everything, but not an earlier NaN unless `ties`.
  private func wins(_ x: ScalarValue, _ best: ScalarValue, _ monoid: ArgMonoid, ties: Bool) -> Bool {
    switch (x, best) {
    case (.float(let a), .float(let b)):
      if b.isNaN { return ties && a.isNaN }
      if a.isNaN { return true }
      return ties && a == b || (monoid == .maximum ? a > b : a < b)
    case (.integer(let a), .integer(let b)):
      let (low, high) = monoid == .maximum ? (b, a) : (a, b)
      return ties && a == b || ScalarReference.isLess(low, high, operands[0].dtype)
    case (.float, .integer), (.integer, .float): return false
    }
  }

  func argReduced(_ monoid: ArgMonoid, _ payload: Payload) throws(Diagnostic) -> ReferenceTensor {
    guard case .argAxis(_, let axis) = payload else { throw unreachablePayload }
    let source = operands[0]
    let (outer, extent, inner) = source.line(axis)
    if extent == 0 && count > 0 { throw broken(.shape, "\(source.extents) has no element on axis \(axis)") }
    var elements: [ScalarValue] = []
    for o in 0..<outer {
      for i in 0..<inner where extent > 0 {
        var best = 0
        for k in 1..<max(1, extent)
        where wins(
          source.elements[(o * extent + k) * inner + i], source.elements[(o * extent + best) * inner + i], monoid,
          ties: false)
        { best = k }
        elements.append(.integer(Int64(best)))
      }
    }
    return result(elements)
  }

  func argScanned(_ monoid: ArgMonoid, _ payload: Payload) -> ReferenceTensor {
    guard case .argAxis(_, let axis) = payload else { return operands[0] }
    let source = operands[0]
    let (outer, extent, inner) = source.line(axis)
    var elements = [ScalarValue](repeating: .integer(0), count: count)
    for o in 0..<outer {
      for i in 0..<inner {
        var best = 0
        for k in 0..<extent {
          let place = (o * extent + k) * inner + i
          if wins(source.elements[place], source.elements[(o * extent + best) * inner + i], monoid, ties: true) {
            best = k
          }
          elements[place] = .integer(Int64(best))
        }
      }
    }
    return result(elements)
  }

  func sortOrder(_ payload: Payload) -> ReferenceTensor {
    guard case .sort(let axis, let descending) = payload else { return operands[0] }
    let source = operands[0]
    let (outer, extent, inner) = source.line(axis)
    var elements = [ScalarValue](repeating: .integer(0), count: count)
    func precedes(_ x: ScalarValue, _ y: ScalarValue) -> Bool {
      switch (x, y) {
      case (.float(let a), .float(let b)): a.isNaN ? false : b.isNaN ? true : a < b
      case (.integer(let a), .integer(let b)): ScalarReference.isLess(a, b, source.dtype)
      case (.float, .integer), (.integer, .float): false
      }
    }
    for o in 0..<outer {
      for i in 0..<inner {
        func value(_ k: Int) -> ScalarValue { source.elements[(o * extent + k) * inner + i] }
        let order = (0..<extent).sorted { a, b in
          let (x, y) = (value(a), value(b))
          if descending ? precedes(y, x) : precedes(x, y) { return true }
          if descending ? precedes(x, y) : precedes(y, x) { return false }
          return a < b
        }
        for (k, position) in order.enumerated() {
          elements[(o * extent + k) * inner + i] = .integer(Int64(position))
        }
      }
    }
    return result(elements)
  }

  func contracted(_ payload: Payload) -> ReferenceTensor {
    guard case .contraction(let axes) = payload else { return operands[0] }
    let (left, right) = (operands[0], operands[1])
    func offsets(_ tensor: ReferenceTensor, _ axes: [Int]) -> [Int] {
      let strides = ReferenceTensor.contiguousStrides(tensor.extents)
      return ReferenceTensor.offsets(axes.map { tensor.extents[$0] }, strides: axes.map { strides[$0] })
    }
    let batch = zip(offsets(left, axes.batch.map(\.left)), offsets(right, axes.batch.map(\.right)))
    let inner = Array(zip(offsets(left, axes.contracted.map(\.left)), offsets(right, axes.contracted.map(\.right))))
    let rows = offsets(left, axes.leftFree(rank: left.extents.count))
    let columns = offsets(right, axes.rightFree(rank: right.extents.count))
    var elements: [ScalarValue] = []
    elements.reserveCapacity(count)
    for (batchLeft, batchRight) in batch {
      for row in rows {
        for column in columns {
          var wide = 0.0
          var exact: Int64 = 0
          for (a, b) in inner {
            switch (left.elements[batchLeft + row + a], right.elements[batchRight + column + b]) {
            case (.float(let x), .float(let y)): wide.addProduct(x, y)
            case (.integer(let x), .integer(let y)): exact = exact &+ x &* y
            case (.float, .integer), (.integer, .float): break
            }
          }
          elements.append(rounded(dtype.isFloating ? .float(wide) : .integer(exact)))
        }
      }
    }
    return result(elements)
  }

  private func checkedIndex(_ value: ScalarValue, _ extent: Int, _ axis: Int) throws(Diagnostic) -> Int {
    let index = value.integerValue
    if index < 0 || index >= extent {
      throw broken(.index, "index \(index) on axis \(axis), whose extent is \(extent)")
    }
    return Int(index)
  }

  func gathered(_ payload: Payload) throws(Diagnostic) -> ReferenceTensor {
    guard case .axis(let axis) = payload else { throw unreachablePayload }
    let (source, indices) = (operands[0], operands[1])
    let extent = source.extents[axis]
    let (_, chosen, inner) = indices.line(axis)
    var elements: [ScalarValue] = []
    elements.reserveCapacity(count)
    for (place, index) in indices.elements.enumerated() {
      let k = try checkedIndex(index, extent, axis)
      let outer = place / (chosen * inner)
      elements.append(source.elements[(outer * extent + k) * inner + place % inner])
    }
    return result(elements)
  }

  func scattered(_ monoid: Monoid?, _ payload: Payload) throws(Diagnostic) -> ReferenceTensor {
    guard case .scatter(let axis, _) = payload else { throw unreachablePayload }
    let (base, indices, updates) = (operands[0], operands[1], operands[2])
    let extent = base.extents[axis]
    let (_, chosen, inner) = indices.line(axis)
    var elements = base.elements
    for (place, index) in indices.elements.enumerated() {
      let k = try checkedIndex(index, extent, axis)
      let target = (place / (chosen * inner) * extent + k) * inner + place % inner
      let update = updates.elements[place]
      elements[target] = monoid.map { combined($0, elements[target], update) } ?? update
    }
    return result(monoid == nil ? elements : elements.map(rounded))
  }
}

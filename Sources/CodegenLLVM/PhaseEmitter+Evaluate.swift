// A value on a box: the registers that hold it. Everything pointwise is computed here, when a root asks for it.
// Not a walk: no loops. Surprise: a value that does not vary along the lanes is evaluated once as scalars and repeated.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  /// One register per point of the box, row-major.
  func eval(_ value: TileValue, _ box: Box) -> [IR] {
    let key = MemoKey(value: value, box: box)
    if let known = memo[key] { return known }
    let result: [IR]
    let home = homes[value]
    let isPending = home != nil && facts.held(value)?.isPending == true
    if let home, !isPending {
      result = read(home, kernel[value].dtype ?? .i64, box)
    } else {
      result = compute(value, box)
      if let home { write(home, kernel[value].dtype ?? .i64, result, box) }
    }
    memo.remember(result, for: key)
    return result
  }

  func lanes(of box: Box) -> Int { box.vectorAxis == nil ? 1 : lanes }

  private func compute(_ value: TileValue, _ box: Box) -> [IR] {
    let node = kernel[value]
    let width = lanes(of: box)
    let dtype = node.dtype ?? .i64
    func all(_ ir: IR) -> [IR] { [IR](repeating: ir, count: box.pointCount) }
    switch node.operation {
    case .splat(let constant): return all(e.constant(typed(constant, dtype), width))
    case .splatArgument(let i): return all(e.splat(argument(i, as: dtype), width))
    case .coordinates(let start, let axis, let scale): return coordinates(start, axis, scale, box)
    case .load(let access, let fill): return load(value, access, typed(fill, dtype), box)
    case .map(let instruction, let operands):
      if let seen = comparedCoordinates(instruction, operands, box) { return seen }
      let values = operands.map { eval($0, box) }
      let operandDType = kernel[operands[operands.count - 1]].dtype ?? .i64
      if instruction == .exp, operandDType.size >= 4, kernel.isNeverPositive(operands[0]) {
        return values[0].map { e.exponential($0, operandDType, isNeverPositive: true) }
      }
      return values[0].indices.map { i in
        e.apply(instruction, values.map { $0[i] }, operandDType) { zero in divisionByZero(zero, box) }
      }
    case .convert(let operand):
      return eval(operand, box).map { e.convert($0, kernel[operand].dtype ?? .i64, dtype) }
    case .bitcast(let operand):
      return eval(operand, box).map { e.bitcast($0, kernel[operand].dtype ?? .i64, dtype) }
    case .broadcast(let operand):
      let inner = box.collapsed(facts.collapsedAxes(kernel[operand].shape, node.shape))
      if let half = repeatedHalf(operand, box, inner) { return half }
      return expanded(eval(operand, inner), inner, to: box)
    case .transpose(let operand, let permutation):
      let inner = box.permuted(permutation)
      let values = eval(operand, inner)
      return box.points.map { point in
        var source = point
        for (axis, from) in permutation.enumerated() { source[from] = point[axis] }
        return values[inner.position(source)]
      }
    default:
      e.fail("a value used before it was computed")
      return all(e.integer(0, .i64, width))
    }
  }

  /// `coordinate <= x`, where only the coordinate varies along the lanes: a count of lanes instead of 64-bit comparisons.
  private func comparedCoordinates(_ instruction: ScalarInstruction, _ operands: [TileValue], _ box: Box) -> [IR]? {
    guard instruction == .less || instruction == .lessOrEqual, let axis = box.vectorAxis,
      let start = coordinateStart(operands[0], axis), case .broadcast(let bound) = kernel[operands[1]].operation,
      facts.held(operands[1]) == nil, kernel[bound].dtype == .i64
    else { return nil }
    let axes = facts.collapsedAxes(kernel[bound].shape, kernel[operands[1]].shape)
    guard axes.contains(axis) else { return nil }
    let inner = box.collapsed(axes)
    let bounds = eval(bound, inner)
    let first = index(start)
    return box.points.map { point in
      let left = e.indexSubtract(bounds[inner.position(point)], e.indexAdd(first, position(box, axis, point[axis])))
      return firstLanes(instruction == .less ? left : e.indexAdd(left, e.index(1)))
    }
  }

  /// Where the coordinate on `axis` starts, if that is what `value` is.
  private func coordinateStart(_ value: TileValue, _ axis: Int) -> TileValue? {
    guard facts.held(value) == nil else { return nil }
    if case .coordinates(let start, let walked, let scale) = kernel[value].operation {
      return walked == axis && scale == 1 ? start : nil
    }
    guard case .broadcast(let a) = kernel[value].operation, kernel[a].shape[axis] == kernel[value].shape[axis] else {
      return nil
    }
    return coordinateStart(a, axis)
  }

  /// A scale read as f16 and repeated along the lanes: repeated as 16 bits and then converted, which is half the work of
  /// converting a scalar.
  private func repeatedHalf(_ operand: TileValue, _ box: Box, _ inner: Box) -> [IR]? {
    guard case .convert(let half) = kernel[operand].operation, box.vectorAxis != nil, inner.vectorAxis == nil,
      facts.held(operand) == nil, facts.held(half) == nil, case .load = kernel[half].operation,
      let dtype = kernel[half].dtype, dtype == .f16 && e.target.hasHalfConversion || dtype == .bf16,
      let wide = kernel[operand].dtype, memo[MemoKey(value: operand, box: inner)] == nil
    else { return nil }
    let converted = eval(half, inner).map { e.convert(e.splat($0, lanes), dtype, wide) }
    return box.points.map { converted[inner.position($0)] }
  }

  /// Values of a collapsed box repeated over the whole one.
  func expanded(_ values: [IR], _ inner: Box, to box: Box) -> [IR] {
    if inner == box { return values }
    let mustSplat = box.vectorAxis != nil && inner.vectorAxis == nil
    let wide = mustSplat ? values.map { e.splat($0, lanes) } : values
    return box.points.map { wide[inner.position($0)] }
  }

  private func argument(_ i: Int, as dtype: DType) -> IR {
    indices.inPrologue {
      let word = frame.arguments[i]
      if dtype == .i64 { return word }
      if dtype == .f64 { return e.bitcast(word, .i64, .f64) }
      let narrow = e.cast(LLVMTrunc, word, LLVMIntTypeInContext(e.context, UInt32(dtype.size * 8)))
      if dtype == .bool { return e.compare(LLVMIntNE, narrow, e.integer(0, like: narrow)) }
      return dtype == .f32 ? e.bitcast(narrow, .i32, .f32) : narrow
    }
  }

  private func coordinates(_ start: TileValue, _ axis: Int?, _ scale: Int, _ box: Box) -> [IR] {
    let width = lanes(of: box)
    let first = index(start)
    guard let axis else { return [IR](repeating: e.splat(first, width), count: box.pointCount) }
    return box.points.map { point in
      let isVector = box.vectorAxis == axis
      let t = position(box, axis, point[axis])
      let origin = e.indexAdd(first, e.indexMultiply(t, e.index(scale)))
      guard isVector else { return e.splat(origin, width) }
      return e.add(e.splat(origin, width), e.constants((0..<width).map { $0 * scale }, e.i64))
    }
  }

  /// The tile coordinate of a point on an axis (of its first lane on the vector axis).
  func position(_ box: Box, _ axis: Int, _ point: Int) -> IR {
    let moved = box.start[axis].offset + (box.vectorAxis == axis ? point * lanes : point)
    guard let base = box.start[axis].base else { return e.index(moved) }
    return e.indexAdd(base, e.index(moved))
  }

  /// Constants carry a dtype of their own; the node's counts.
  private func typed(_ constant: ScalarConstant, _ dtype: DType) -> ScalarConstant {
    if constant.dtype == dtype { return constant }
    return dtype.isFloating
      ? ScalarConstant(dtype, constant.doubleValue) : ScalarConstant(dtype, integer: constant.integerValue)
  }

  /// Evaluates, ahead of the loop over `axis`, what does not vary along it.
  func hoist(_ value: TileValue, _ box: Box, along axis: Int) {
    var seen: Set<Hoisted> = []
    hoist(value, box, along: axis, &seen)
  }

  private struct Hoisted: Hashable {
    var value: TileValue
    var box: Box
  }

  /// Each value once for a box: there may be more ways to a value than values.
  private func hoist(_ value: TileValue, _ box: Box, along axis: Int, _ seen: inout Set<Hoisted>) {
    guard !facts.isHeld(value), seen.insert(Hoisted(value: value, box: box)).inserted else { return }
    switch kernel[value].operation {
    case let operation where operation.kind == .elementwise:
      for operand in operation.operands { hoist(operand, box, along: axis, &seen) }
    case .broadcast(let a):
      let axes = facts.collapsedAxes(kernel[a].shape, kernel[value].shape)
      if axes.contains(axis) {
        _ = eval(a, box.collapsed(axes))
      } else {
        hoist(a, box.collapsed(axes), along: axis, &seen)
      }
    case .load(let access, _):
      let unused = facts.unusedAxes(access, kernel[value].shape)
      if unused.contains(axis) { _ = eval(value, box.collapsed(unused)) }
    default: return
    }
  }
}

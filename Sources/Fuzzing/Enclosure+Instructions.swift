// Scalar instructions on enclosures. All machines round +, -, *, /, sqrt and fma alike, so points stay points there; the
// transcendental functions differ in their last places, by what Scalars measured.
// Not a second semantics: every end comes from `ScalarReference`. Surprise: corners are enough for most instructions
// because they are monotone in each operand, and rounding is monotone.
import Scalars
import TensorTypes

extension ScalarProgram {
  /// What the program's result may be for operands in these enclosures.
  func enclosure(_ inputs: [Enclosure]) -> Enclosure {
    // Every machine gives these operands the same bits: only what machines round differently widens the result.
    var values: [Enclosure] = []
    values.reserveCapacity(nodes.count)
    for node in nodes {
      switch node.operation {
      case .input(let i): values.append(inputs[i])
      case .constant(let constant): values.append(Enclosure(constant.value))
      case .convert(let a): values.append(values[a].converted(from: nodes[a].dtype, to: node.dtype))
      case .bitcast(let a): values.append(values[a].bitcast(from: nodes[a].dtype, to: node.dtype))
      case .apply(let instruction, let operands):
        let dtype = nodes[operands[operands.count - 1]].dtype
        values.append(instruction.enclosure(operands.map { values[$0] }, dtype))
      }
    }
    return values[nodes.count - 1]
  }
}

extension Enclosure {
  func converted(from: DType, to: DType) -> Enclosure {
    guard let corners else { return .unknown }
    if to == .bool, case .float(let low, let high, _) = self, low < 0, high > 0 { return .unknown }
    let hull = Enclosure.hull(corners.map { ScalarReference.convert($0, from: from, to: to) })
    return hull
  }

  func bitcast(from: DType, to: DType) -> Enclosure {
    // NaNs have many patterns.
    guard isOneBitPattern, let value = corners?.first else { return .unknown }
    return Enclosure(ScalarReference.value(bits: ScalarReference.bits(of: value, from), to))
  }
}

extension ScalarInstruction {
  /// Places in which machines may differ, beside the reference's own rounding. As measured in Scalars: f32 at most 2.3
  /// units (tanh), f64 at most 4; the reference itself is within one.
  private func freedom(_ dtype: DType) -> Int { isCostly ? dtype == .f64 ? 6 : 4 : 0 }

  /// What the result may be; `dtype` is the operands'.
  package func enclosure(_ operands: [Enclosure], _ dtype: DType) -> Enclosure {
    if self == .select { return Self.chosen(operands) }
    var lists: [[ScalarValue]] = []
    for operand in operands {
      guard let corners = operand.corners else { return .unknown }
      lists.append(corners)
    }
    if !operands.allSatisfy(\.isExact), let wide = wide(operands, dtype) { return wide }
    var results: [ScalarValue] = []
    for a in lists[0] {
      for b in lists.count > 1 ? lists[1] : [a] {
        for c in lists.count > 2 ? lists[2] : [a] {
          // A divisor of zero gives 0 and a fault, of which the case is not about.
          results.append(ScalarReference.evaluate(self, dtype, [a, b, c]) ?? .integer(0))
        }
      }
    }
    var hull = Enclosure.hull(results)
    guard dtype.isFloating else { return hull }
    if self == .minimum || self == .maximum { hull = hull.withUnsignedZero }
    return hull.widened(freedom(dtype), dtype)
  }

  private static func chosen(_ operands: [Enclosure]) -> Enclosure {
    if case .integer(let condition) = operands[0] { return condition != 0 ? operands[1] : operands[2] }
    return operands[1].joined(operands[2])
  }

  /// Where corners are not enough; nil: they are.
  private func wide(_ operands: [Enclosure], _ dtype: DType) -> Enclosure? {
    let ranges = operands.map { operand -> ClosedRange<Double>? in
      if case .float(let low, let high, _) = operand { low...high } else { nil }
    }
    func spans(_ i: Int) -> Bool { ranges[i].map { $0.lowerBound < 0 && $0.upperBound > 0 } ?? false }
    func touchesZero(_ i: Int) -> Bool { ranges[i].map { $0.lowerBound <= 0 && $0.upperBound >= 0 } ?? false }
    func touchesInfinity(_ i: Int) -> Bool {
      ranges[i].map { $0.lowerBound == -.infinity || $0.upperBound == .infinity } ?? false
    }
    switch course {
    case .monotone: return nil
    case .risingFromZero:
      guard let range = ranges[0], range.lowerBound < 0, range.upperBound >= 0 else { return nil }
      let ends = [-0.0, range.upperBound].map { ScalarReference.evaluate(self, dtype, $0) }
      return Enclosure.float(low: ends[0], high: ends[1], mayBeNaN: true).widened(freedom(dtype), dtype)
    case .wave:
      guard let range = ranges[0], range.lowerBound.isFinite, range.upperBound.isFinite else { return .unknown }
      let (middle, width) = (range.lowerBound, range.upperBound - range.lowerBound)
      let value = ScalarReference.evaluate(self, .f64, middle)
      let rounded = Enclosure.hull([
        .float(ScalarReference.rounded(max(-1, value - width), to: dtype)),
        .float(ScalarReference.rounded(min(1, value + width), to: dtype)),
      ]).widened(freedom(dtype), dtype)
      return operands[0].mayBeNaN ? rounded.joined(.nan) : rounded
    case .other: break
    }
    switch self {
    case .multiply, .multiplyAdd:
      // 0 * infinity in between, where neither is an end.
      func mayMiss(_ zero: Int, _ infinity: Int) -> Bool {
        touchesInfinity(infinity) && (spans(zero) || touchesZero(zero) && !operands[infinity].isExact)
      }
      return mayMiss(0, 1) || mayMiss(1, 0) ? .unknown : nil
    case .divide:
      // Poles and 0 / 0 in between, where neither is an end.
      let isPlain = !touchesZero(1) || operands[1].isExact && !touchesZero(0)
      return isPlain && !touchesInfinity(1) ? nil : .unknown
    case .absolute:
      guard spans(0), let range = ranges[0] else { return nil }
      return .float(
        low: 0, high: max(-range.lowerBound, range.upperBound), mayBeNaN: operands[0].mayBeNaN)
    case .power:
      guard let base = ranges[0], base.lowerBound > 0 else { return .unknown }
      // 1 to the power of anything is 1, also of NaN and of infinity; its neighbours give something else.
      return operands[1].mayBeNaN && base.contains(1) ? .unknown : nil
    case .equal, .notEqual, .less, .lessOrEqual: return compared(operands)
    default: return .unknown
    }
  }

  /// Comparisons of ranges: known where the ranges do not overlap.
  private func compared(_ operands: [Enclosure]) -> Enclosure {
    guard case .float(let a, let b, false) = operands[0], case .float(let c, let d, false) = operands[1] else {
      return .unknown
    }
    if b < c { return .integer(self == .equal ? 0 : 1) }
    if d < a { return .integer(self == .notEqual ? 1 : 0) }
    if self == .lessOrEqual && b <= c { return .integer(1) }
    if self == .less && d <= a { return .integer(0) }
    return .unknown
  }
}

// What is known about tile elements before they have values: signs, and which of two is larger.
// Not index values (IndexFacts). Surprise: NaN satisfies every fact, since what is computed from it is NaN anyway.
import Scalars
import TileIR

extension Kernel {
  /// Every element is at most 0, or NaN.
  package func isNeverPositive(_ value: TileValue) -> Bool {
    switch self[value].operation {
    case .splat(let constant): return constant.doubleValue <= 0
    case .broadcast(let a), .transpose(let a, _), .reduce(.maximum, _, let a), .reduce(.minimum, _, let a):
      return isNeverPositive(a)
    case .map(.subtract, let operands): return isAtLeast(operands[1], operands[0])
    case .map(.negate, let operands): return isNeverNegative(operands[0])
    case .map(.minimum, let operands): return operands.contains { isNeverPositive($0) }
    case .map(.maximum, let operands), .map(.add, let operands): return operands.allSatisfy { isNeverPositive($0) }
    default: return false
    }
  }

  /// Every element is at least 0, or NaN.
  private func isNeverNegative(_ value: TileValue) -> Bool {
    switch self[value].operation {
    case .splat(let constant): return constant.doubleValue >= 0
    case .broadcast(let a), .transpose(let a, _): return isNeverNegative(a)
    case .map(.absolute, _), .map(.exp, _): return self[value].dtype?.isFloating ?? false
    case .map(.multiply, let operands):
      return self[value].dtype?.isFloating == true && operands[0] == operands[1]
    case .map(.subtract, let operands): return isAtLeast(operands[0], operands[1])
    case .map(.maximum, let operands): return operands.contains { isNeverNegative($0) }
    default: return false
    }
  }

  /// Element by element, `a` is not below `b` unless one is NaN. Both may be repeated along axes: a row's maximum is not
  /// below its elements.
  private func isAtLeast(_ a: TileValue, _ b: TileValue) -> Bool {
    if a == b { return true }
    if case .broadcast(let inner) = self[b].operation, isAtLeast(a, inner) { return true }
    switch self[b].operation {
    case .map(.minimum, let operands):
      if operands.contains(where: { isAtLeast(a, $0) }) { return true }
    case .reduce(.minimum, _, let inner):
      if isAtLeast(a, inner) { return true }
    default: break
    }
    switch self[a].operation {
    case .broadcast(let inner), .reduce(.maximum, _, let inner): return isAtLeast(inner, b)
    case .map(.maximum, let operands): return operands.contains { isAtLeast($0, b) }
    default: return false
    }
  }
}

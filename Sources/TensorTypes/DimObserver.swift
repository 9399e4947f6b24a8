// Who answers questions about symbolic extents while a function is captured. Not a solver: it answers for the sizes at
// hand and remembers the question as a guard. Surprise: outside of a capture there is nobody to ask, and `Dim.value` of a
// symbolic extent throws.

/// A comparison of two extents.
package enum DimRelation: String, Sendable, Hashable {
  case equal = "=="
  case less = "<"
  case lessOrEqual = "<="

  package func holds(_ a: Int, _ b: Int) -> Bool {
    switch self {
    case .equal: a == b
    case .less: a < b
    case .lessOrEqual: a <= b
    }
  }
}

/// Gives symbolic extents their values, and guards the answers.
package protocol DimObserver: AnyObject, Sendable {
  /// The number that guards have made of `dim`, if they have. Not for a capture's own work: that has the names of now.
  func named(_ dim: Dim) -> Int?
  /// The value of `dim` at the sizes at hand, without a guard: for messages and for shapes of results.
  func hint(of dim: Dim) -> Int?
  /// The value of `dim` at the sizes at hand, which becomes a guard: what is done with it is not known.
  func reads(_ dim: Dim) -> Int?
  /// Whether `a` equals `b` at the sizes at hand; if so both are one expression from now on, which is a guard.
  func unifies(_ a: Dim, _ b: Dim) -> Bool?
  /// Whether `a relation b` at the sizes at hand; the answer becomes a guard unless it holds for all sizes.
  func holds(_ relation: DimRelation, _ a: Dim, _ b: Dim) -> Bool?
}

package enum DimObservation {
  /// The capture that runs on this task, if one does.
  @TaskLocal package static var observer: (any DimObserver)?
}

extension Dim {
  /// The number, or the number at the sizes of the capture that runs. Never a guard; nil if there is none.
  package var hint: Int? { knownValue ?? DimObservation.observer?.hint(of: self) }

  /// Whether both are the same, and if so one expression from now on: for extents that a graph has to prove equal.
  package static func unifies(_ a: Dim, _ b: Dim) -> Bool {
    if let x = a.knownValue, let y = b.knownValue { return x == y }
    return a.isIdentical(to: b) || DimObservation.observer?.unifies(a, b) ?? false
  }

  /// Whether the relation holds. For symbolic extents a guard on the answer; false for a failed or unknown extent.
  package static func asks(_ relation: DimRelation, _ a: Dim, _ b: Dim) -> Bool {
    if let x = a.knownValue, let y = b.knownValue { return relation.holds(x, y) }
    if a.isIdentical(to: b) { return relation != .less }
    return DimObservation.observer?.holds(relation, a, b) ?? false
  }
}

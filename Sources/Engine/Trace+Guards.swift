// Answers about extents that a plan relies on: what was asked, by whom, and when no guard is needed.
// Not the checks of calls. Surprise: an answer that interval arithmetic proves for all sizes is no guard.
import Basics
import GraphIR
import Synchronization
import TensorTypes

/// An answer that a plan relies on.
package struct DimGuard: Sendable, Hashable, CustomStringConvertible {
  package var relation: DimRelation
  package var a: Dim
  package var b: Dim
  package var answer: Bool
  /// Who asked first; two guards that differ in it are one.
  package var origin: Diagnostic.Origin?

  init(relation: DimRelation, a: Dim, b: Dim, answer: Bool) {
    (self.relation, self.a, self.b, self.answer) = (relation, a, b, answer)
  }

  /// `symbol` is `value`.
  package init(symbol: Int, is value: Int) {
    self.init(relation: .equal, a: .symbol(symbol), b: Dim(value), answer: true)
  }

  package static func == (a: DimGuard, b: DimGuard) -> Bool {
    a.relation == b.relation && a.a.isIdentical(to: b.a) && a.b.isIdentical(to: b.b) && a.answer == b.answer
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(relation)
    hasher.combine(a)
    hasher.combine(b)
    hasher.combine(answer)
  }

  package func holds(_ symbols: [Int]) -> Bool {
    guard let x = a.evaluated(symbols), let y = b.evaluated(symbols) else { return false }
    return relation.holds(x, y) == answer
  }

  package var description: String { "\(a) \(relation.rawValue) \(b) is \(answer)" }
}

extension Trace: DimObserver {
  package func hint(of dim: Dim) -> Int? { state.withLock { dim.evaluated($0.hints) } }

  package func holds(_ relation: DimRelation, _ a: Dim, _ b: Dim) -> Bool? {
    state.withLock { answer(relation, a, b, &$0) }
  }

  func answer(
    _ relation: DimRelation, _ a: Dim, _ b: Dim, _ state: inout State, renames: Bool = true
  ) -> Bool? {
    // What does not depend on this closure's own extents is a guard of the whole plan. Its names stay: both captures use
    // them.
    if let parent, (a.symbols + b.symbols).allSatisfy({ $0 < outerSymbols }) {
      return parent.state.withLock { parent.answer(relation, a, b, &$0, renames: false) }
    }
    let (a, b) = (state.known(a), state.known(b))
    guard let x = a.evaluated(state.hints), let y = b.evaluated(state.hints) else { return nil }
    let answer = relation.holds(x, y)
    var asked = DimGuard(relation: relation, a: a, b: b, answer: answer)
    if !state.isImplied(asked), !state.guards.contains(asked) {
      asked.origin = Diagnostic.Origin()
      state.guards.append(asked)
    }
    if renames, relation == .equal, answer, let (symbol, value) = Dim.solved(a, equals: b) {
      state.rename(symbol, value)
    }
    return answer
  }
}

extension Trace.State {
  /// The extent by its one name.
  func known(_ dim: Dim) -> Dim {
    if renamed.isEmpty || dim.knownValue != nil { return dim }
    return dim.substituting { renamed[$0] ?? .symbol($0) }
  }

  /// A guard made `symbol` equal to `value`: one name from now on, in the graph so far too.
  fileprivate mutating func rename(_ symbol: Int, _ value: Dim) {
    renamed = renamed.mapValues { $0.substituting { $0 == symbol ? value : .symbol($0) } }
    renamed[symbol] = value
    builder.replace(symbol: symbol, by: value)
  }

  /// True for all sizes that the plan serves: no guard is needed.
  func isImplied(_ asked: DimGuard) -> Bool {
    // b - a, whose sign decides.
    let difference = asked.b - asked.a
    if let known = difference.knownValue { return asked.relation.holds(0, known) == asked.answer }
    guard let (low, high) = range(difference) else { return false }
    switch (asked.relation, asked.answer) {
    case (.equal, true): return false
    case (.equal, false): return low > 0 || high < 0
    case (.less, true): return low > 0
    case (.less, false): return high <= 0
    case (.lessOrEqual, true): return low >= 0
    case (.lessOrEqual, false): return high < 0
    }
  }

  /// Bounds by interval arithmetic, symbols being at least their minima.
  private func range(_ dim: Dim) -> (Int, Int)? {
    let most = Int(Int32.max)
    if let value = dim.knownValue { return (value, value) }
    switch dim.expression {
    case nil, .failed?: return nil
    case .symbol(let id)?: return minima.indices.contains(id) ? (minima[id], most) : nil
    case .binary(let operation, let a, let b)?:
      guard let (al, ah) = range(a), let (bl, bh) = range(b) else { return nil }
      switch operation {
      case .add: return (al + bl, ah + bh)
      case .subtract: return (al - bh, ah - bl)
      case .multiply:
        guard al >= 0, bl >= 0 else { return nil }
        let (low, lowOverflows) = al.multipliedReportingOverflow(by: bl)
        let (high, overflows) = ah.multipliedReportingOverflow(by: bh)
        return lowOverflows ? nil : (low, overflows ? .max / 4 : min(high, .max / 4))
      case .floorDivide:
        guard al >= 0, bl > 0 else { return nil }
        return (al / bh, ah / bl)
      case .minimum: return (min(al, bl), min(ah, bh))
      case .maximum: return (max(al, bl), max(ah, bh))
      case .modulo, .ceilDivide: return nil
      }
    }
  }
}

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
  /// Nobody asked: the number itself was read, and what was done with it is not known. A capture at another value may
  /// show that the same comes of it, which then holds for that value too.
  package let isRead: Bool
  /// Who asked first; two guards that differ in it are one.
  package var origin: Diagnostic.Origin?

  init(relation: DimRelation, a: Dim, b: Dim, answer: Bool) {
    (self.relation, self.a, self.b, self.answer) = (relation, a, b, answer)
    isRead = false
  }

  /// `dim` was read as a number while it was `value`.
  package init(read dim: Dim, as value: Int) {
    (relation, a, b, answer) = (.equal, dim, Dim(value), true)
    isRead = true
  }

  package static func == (a: DimGuard, b: DimGuard) -> Bool {
    a.relation == b.relation && a.a.isIdentical(to: b.a) && a.b.isIdentical(to: b.b) && a.answer == b.answer
      && a.isRead == b.isRead
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(relation)
    hasher.combine(a)
    hasher.combine(b)
    hasher.combine(answer)
    hasher.combine(isRead)
  }

  package func holds(_ symbols: [Int]) -> Bool {
    guard let x = a.evaluated(symbols), let y = b.evaluated(symbols) else { return false }
    return relation.holds(x, y) == answer
  }

  package var description: String {
    isRead ? "\(a) is \(b), read as a number" : "\(a) \(relation.rawValue) \(b) is \(answer)"
  }
}

/// Guards in the order they were asked for, each once.
struct GuardList: Sendable {
  private(set) var all: [DimGuard] = []
  private var known: Set<DimGuard> = []

  func contains(_ one: DimGuard) -> Bool { known.contains(one) }

  /// With the place that asks now, if it is new.
  mutating func append(_ asked: DimGuard) {
    guard known.insert(asked).inserted else { return }
    var asked = asked
    asked.origin = Diagnostic.Origin()
    all.append(asked)
  }

  /// Of those behind the first `count` only `kept` stay.
  mutating func removeAll(behind count: Int, except kept: Set<DimGuard>) {
    let behind = all[count...]
    known.subtract(behind)
    all.removeLast(behind.count)
    all += behind.filter { kept.contains($0) && known.insert($0).inserted }
  }
}

extension Trace {
  /// Guards have made symbols equal to something, in a capture, one around it or one inside: extents at hand may have other
  /// names by now. Asked without a lock.
  final class Flag: Sendable { let isSet = Atomic<Bool>(false) }
}

extension Trace: DimObserver {
  package func named(_ dim: Dim) -> Int? {
    guard namesAreGiven.isSet.load(ordering: .relaxed) else { return nil }
    return quietly { state in
      withParent(&state) { _, _ in }
      return state.known(dim).knownValue
    }
  }

  package func hint(of dim: Dim) -> Int? { quietly { dim.evaluated($0.hints) } }

  package func holds(_ relation: DimRelation, _ a: Dim, _ b: Dim) -> Bool? {
    quietly { state in
      let answer = answer(relation, a, b, &state)
      if let answer { note(DimGuard(relation: relation, a: a, b: b, answer: answer), &state) }
      return answer
    }
  }

  package func unifies(_ a: Dim, _ b: Dim) -> Bool? {
    quietly { unified(a, b, &$0) }
  }

  /// As `answer` for `a == b`; where that names no symbol, those of both become numbers.
  func unified(_ a: Dim, _ b: Dim, _ state: inout State) -> Bool? {
    if isOutside([a, b]) { return withParent(&state) { $0.unified(a, b, &$1) } ?? nil }
    guard let isEqual = answer(.equal, a, b, &state), isEqual else { return false }
    let (x, y) = (state.known(a), state.known(b))
    if x.isIdentical(to: y) { return true }
    for id in Set(x.symbols + y.symbols).sorted() {
      let (symbol, hint) = (Dim.symbol(id), Dim(state.hints[id]))
      if isOutside([symbol]) {
        _ = unified(symbol, hint, &state)
      } else if state.isRead(symbol) {
        state.rename(id, hint, by: DimGuard(read: symbol, as: state.hints[id]))
      } else {
        _ = answer(.equal, symbol, hint, &state)
      }
    }
    return true
  }

  package func reads(_ dim: Dim) -> Int? {
    quietly { state in
      let value = read(dim, &state)
      if let value { note(DimGuard(read: dim, as: value), &state) }
      return value
    }
  }

  /// Remembers what was said, with the capture whose symbols it is about. What is about symbols that move in a loop is
  /// about no sizes of arguments.
  private func note(_ said: DimGuard, _ state: inout State) {
    if parent == nil { return _ = state.asked.insert(said) }
    if isOutside([said.a, said.b]) { withParent(&state) { $0.note(said, &$1) } }
  }

  /// The extents of `view`, or the one of `axis`, are read as numbers.
  func readSizes(of view: ViewPath, _ axis: Int? = nil) {
    quietly { state in
      for (i, dim) in dims(of: view, state).enumerated() where (axis ?? i) == i && dim.knownValue == nil {
        _ = read(dim, &state)
      }
    }
  }

  /// The number at hand, which is a guard from now on. The graph keeps the name.
  private func read(_ dim: Dim, _ state: inout State) -> Int? {
    if isOutside([dim]) { return withParent(&state) { $0.read(dim, &$1) } ?? nil }
    let dim = state.known(dim)
    guard let value = dim.evaluated(state.hints) else { return nil }
    if dim.knownValue != nil { return value }
    state.guards.append(DimGuard(read: dim, as: value))
    return value
  }

  /// Guards on what the sizes at hand do not promise for others: extents of 0 or more, and no more elements than a machine
  /// can address.
  func requireAddressable(_ shape: Shape, _ state: inout State) {
    for dim in shape.dims where dim.knownValue == nil { _ = answer(.lessOrEqual, 0, dim, &state) }
    let count = shape.elementCount
    if count.knownValue != nil { return }
    _ = answer(.lessOrEqual, count, Dim(CheckedSize.most), &state)
  }

  func answer(_ relation: DimRelation, _ a: Dim, _ b: Dim, _ state: inout State) -> Bool? {
    // What does not depend on this closure's own extents is a guard of the whole plan.
    if isOutside([a, b]) { return withParent(&state) { $0.answer(relation, a, b, &$1) } ?? nil }
    let (a, b) = (state.known(a), state.known(b))
    guard let x = a.evaluated(state.hints), let y = b.evaluated(state.hints) else { return nil }
    let answer = relation.holds(x, y)
    // Numbers that were read say it already; where sets hash them, how often they are compared besides is chance.
    if state.isRead(a), state.isRead(b) { return answer }
    let asked = DimGuard(relation: relation, a: a, b: b, answer: answer)
    if !state.isImplied(asked) { state.guards.append(asked) }
    // A symbol of the code around is named there only: what holds of the closure's own says nothing about it.
    if relation == .equal, answer, let (symbol, value) = Dim.solved(a, equals: b), symbol >= outerSymbols {
      state.rename(symbol, value, by: asked)
    }
    return answer
  }

  /// All of the code around this closure: it is answered, read and named there.
  private func isOutside(_ dims: [Dim]) -> Bool {
    parent != nil && dims.allSatisfy { $0.symbols.allSatisfy { $0 < outerSymbols } }
  }

  /// `body` on the capture around this one. What gets another name there gets it here too: closures see extents of the
  /// code around by the names that it has.
  @discardableResult
  func withParent<T, E: Error>(
    _ state: inout State, _ body: (Trace, inout State) throws(E) -> T
  ) throws(E) -> T? {
    guard let parent else { return nil }
    let result: (Result<T, E>, [Int: Dim]) = parent.state.withLock { outer in
      do throws(E) { return (.success(try body(parent, &outer)), outer.renamed) } catch {
        return (.failure(error), outer.renamed)
      }
    }
    state.adopt(result.1)
    return try result.0.get()
  }

  /// The type with the extents' names of now.
  package func renamed(_ type: TensorType) -> TensorType {
    quietly { state in state.known(type) }
  }

  package func renamed(_ dim: Dim) -> Dim { quietly { state in state.known(dim) } }

  /// How many symbols have other names by now.
  package var renamedCount: Int { state.withLock(\.renamed.count) }
}

extension Trace.State {
  /// The extent by its one name.
  func known(_ dim: Dim) -> Dim {
    if renamed.isEmpty || dim.knownValue != nil { return dim }
    return dim.substituting { renamed[$0] ?? .symbol($0) }
  }

  func known(_ type: TensorType) -> TensorType { TensorType(type.dtype, Shape(type.shape.dims.map(known))) }

  /// `reason` made `symbol` equal to `value`: one name from now on, in the graph so far too.
  fileprivate mutating func rename(_ symbol: Int, _ value: Dim, by reason: DimGuard) {
    naming.insert(reason)
    rename(symbol, value)
  }

  /// Names that the capture around has given.
  mutating func adopt(_ outer: [Int: Dim]) {
    if outer.count == renamed.count { return }
    for (symbol, value) in outer.sorted(by: { $0.key < $1.key }) where renamed[symbol] == nil { rename(symbol, value) }
  }

  private mutating func rename(_ symbol: Int, _ value: Dim) {
    renamed = renamed.mapValues { $0.substituting { $0 == symbol ? value : .symbol($0) } }
    renamed[symbol] = value
    namesAreGiven.isSet.store(true, ordering: .relaxed)
    builder.replace(symbol: symbol, by: value)
  }

  /// A number, or one by a guard.
  fileprivate func isRead(_ dim: Dim) -> Bool {
    if dim.knownValue != nil { return true }
    return dim.evaluated(hints).map { guards.contains(DimGuard(read: dim, as: $0)) } ?? false
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

  /// Bounds by interval arithmetic, symbols being from their minima to `CheckedSize.mostSymbol`; nil: none are known.
  private func range(_ dim: Dim) -> (Int, Int)? {
    if let value = dim.knownValue { return (value, value) }
    switch dim.expression {
    case nil, .failed?: return nil
    case .symbol(let id)?: return minima.indices.contains(id) ? (minima[id], CheckedSize.mostSymbol) : nil
    case .binary(let operation, let a, let b)?:
      guard let (al, ah) = range(a), let (bl, bh) = range(b) else { return nil }
      func bounds(_ pairs: (Int, Int)...) -> (Int, Int)? {
        var low: Int?
        var high: Int?
        for (x, y) in pairs {
          guard let value = operation.apply(x, y) else { return nil }
          (low, high) = (Swift.min(low ?? value, value), Swift.max(high ?? value, value))
        }
        guard let low, let high else { return nil }
        return (low, high)
      }
      switch operation {
      case .add, .minimum, .maximum: return bounds((al, bl), (ah, bh))
      case .subtract: return bounds((al, bh), (ah, bl))
      case .multiply: return bounds((al, bl), (al, bh), (ah, bl), (ah, bh))
      case .floorDivide: return al >= 0 && bl > 0 ? bounds((al, bh), (ah, bl)) : nil
      case .modulo: return bl > 0 ? (0, bh - 1) : nil
      case .ceilDivide: return nil
      }
    }
  }
}

// Which extents of a plan are symbols: what varied, what `dynamic:` names, and what an operation needs as a number.
// Not guards: those come from what is asked and read. Surprise: that a plan is right does not hang on what is found here
// by capturing once more with other sizes; it says which sizes are worth being symbols, and widens what was only read.
import Basics
import Engine
import Tensors
import TensorTypes

/// An extent that was to be a symbol and is a number, because an operation needs it.
struct SizeAsNumber: Sendable {
  /// A `Dim` argument has no axis.
  var axis: Int?
  var leaf: Int
  /// "axis 0 of 'x'".
  var name: String
  /// The operation or the mistake at other sizes, and where it is.
  var reason: String
}

extension Explanation {
  /// An extent that one plan serves in all sizes, or that was to be so and is a number.
  public struct Size: Sendable {
    /// "axis 0 of 'x'".
    public var name: String
    /// "s0"; nil for a number.
    public var symbol: String?
    /// Why it is a number: the operation that needs it, and where.
    public var reason: String?
    /// The plan that has it, counted from the newest.
    public var plan: Int

    var description: String {
      if let symbol { return "\(symbol) is \(name)" }
      return "\(name) is a number and every size has its own plan, because \(reason ?? "of an operation")"
    }
  }
}

/// A capture whose symbols hold for other sizes too.
struct SizedCapture {
  var signature: CallSignature
  var run: TracedRun
  /// What the function asked and read, and the `Dim`s that are numbers here; then the same of other captures that gave
  /// the same.
  var guards: [[DimGuard]]
  var numbers: [SizeAsNumber]
  /// What the symbols are.
  var symbols: [String]
  /// Symbols that are `Dim` arguments and numbers here.
  var pinned: [Int]
}

extension Compiled {
  /// Which extents differ from a plan that fits otherwise, and why no plan fits.
  func changes(_ leaves: CallLeaves, _ names: [String]) -> ([String], Set<DynamicExtent>) {
    var reasons: [String] = []
    var dynamic = options.dynamic.extents(names, leaves.all)
    var numbers: Set<DynamicExtent> = []
    func name(_ leaf: Int) -> String { names.indices.contains(leaf) ? "'\(names[leaf])'" : "\(leaf)" }
    for plan in knownPlans {
      switch plan.signature.mismatch(leaves) {
      case .form(let change)?: reasons.append("in the arguments now \(change)")
      case .structure?: reasons.append("the structure of the arguments changed")
      case .dtype(let leaf)?: reasons.append("\(name(leaf)) has another dtype")
      case .value(let leaf)?: reasons.append("the plain value \(name(leaf)) changed to \(leaves[leaf].text)")
      case .extent?, nil:
        if options.dynamic == .fixed {
          reasons.append("an extent changed")
          continue
        }
        for (leaf, axis) in plan.signature.changedExtents(leaves) {
          let number = plan.numbers.first { $0.leaf == leaf && $0.axis == axis }
          let why = number.map { "; it is a number in a plan, because \($0.reason)" } ?? ""
          reasons.append("axis \(axis) of \(name(leaf)) changed\(why)")
          dynamic.insert(DynamicExtent(leaf: leaf, axis: axis))
        }
        if case nil = plan.signature.mismatch(leaves) { reasons.append("a guard does not hold") }
        // What was a symbol stays one, what could not be one is not tried again.
        for number in plan.numbers {
          if let axis = number.axis { numbers.insert(DynamicExtent(leaf: number.leaf, axis: axis)) }
        }
        for case .extent(let leaf, let axis) in plan.signature.symbols {
          dynamic.insert(DynamicExtent(leaf: leaf, axis: axis))
        }
      }
    }
    return (reasons, dynamic.subtracting(numbers))
  }

  /// Captures with `values` for the symbols of a signature.
  typealias TraceAt = (CallSignature, [Int], [SessionBreak], _ isReal: Bool) throws -> TracedRun

  /// Captures with the extents in `wanted` as symbols, as far as the function lets them be symbols.
  /// `known`: takes a capture for the plan of an earlier one, if it is the same.
  /// - Returns: nil if it was.
  func sizedCapture(
    _ leaves: CallLeaves, _ names: [String], _ wanted: Set<DynamicExtent>,
    known: (CallSignature, TracedRun) throws -> Bool, _ trace: TraceAt
  ) throws -> SizedCapture? {
    var wanted = wanted
    var pinned: [DimGuard] = []
    var numbers: [SizeAsNumber] = []
    while true {
      let signature = try CallSignature(leaves, dynamic: wanted)
      let values = try signature.values(leaves)
      var (sizes, run): ([Int], TracedRun)
      do {
        (sizes, run) = try firstCapture(signature, values, trace)
        if try known(signature, run) { return nil }
        run = try run.compiled(segments)
      } catch {
        guard !wanted.isEmpty, let mistake = error as? Diagnostic else { throw error }
        // The mistake may be ours, with symbols only: with numbers it is the caller's.
        for case .extent(let leaf, let axis) in signature.symbols {
          let source = CallSignature.SymbolSource.extent(leaf: leaf, axis: axis)
          numbers.append(source.asNumber(names, "with symbols: \(mistake.message)"))
        }
        wanted = []
        continue
      }
      // Left out where another process of this build had the same capture and compared.
      let key = run.verdictKey(options, signature, pinned: pinned)
      let isKnown = key.flatMap { CaptureVerdict(stored: $0) } == .same
      let (found, confirmed) = isKnown ? (nil, []) : try compared(signature, (sizes, values), run, pinned, trace)
      guard let culprits = found else {
        if let key, !isKnown { CaptureVerdict.same.store(key) }
        return SizedCapture(
          signature: signature, run: run, guards: ([run.guards] + confirmed).map { $0 + pinned }, numbers: numbers,
          symbols: signature.symbols.map { $0.text(names) }, pinned: pinned.flatMap(\.a.symbols))
      }
      for symbol in culprits.symbols {
        numbers.append(signature.symbols[symbol].asNumber(names, culprits.reason))
        switch signature.symbols[symbol] {
        case .extent(let leaf, let axis): wanted.remove(DynamicExtent(leaf: leaf, axis: axis))
        case .dim: pinned.append(DimGuard(read: .symbol(symbol), as: values[symbol]))
        }
      }
      // Symbols are counted anew.
      pinned = renumbered(pinned, from: signature, to: try CallSignature(leaves, dynamic: wanted))
    }
  }

  /// The symbols that must be numbers, found by captures at other sizes than `sizes`; and what captures that gave the same
  /// have asked. Only a capture at the call's own `values` may run code.
  private func compared(
    _ signature: CallSignature, _ at: (sizes: [Int], values: [Int]), _ run: TracedRun, _ pinned: [DimGuard],
    _ trace: TraceAt
  ) throws -> (culprits: (symbols: [Int], reason: String)?, confirmed: [[DimGuard]]) {
    try withoutActuallyEscaping(trace) { trace in
      let comparison = SizeComparison(signature, at.sizes, run, pinned) { sizes in
        try trace(signature, sizes, run.breaks, sizes == at.values)
      }
      let culprits = try comparison.sizesAsNumbers()
      // Not the sizes: the function itself does different things.
      if culprits != nil || !comparison.hasOthers { try comparison.requireSame(options.place) }
      return (culprits, comparison.confirmed)
    }
  }

  /// A capture at the sizes of the call; or one at larger sizes, if some are small and it serves them too. An extent of 1
  /// repeats, and axes of extent 1 are left out; sizes like `length + 1` at the length 0 must not be taken for that.
  ///
  /// The function meets only sizes that agree with all it has asked: `precondition(n <= x.shape[0])`, or a range of Swift up
  /// to a size, would end the process at others.
  private func firstCapture(_ signature: CallSignature, _ values: [Int], _ trace: TraceAt) throws -> (
    sizes: [Int], run: TracedRun
  ) {
    let run = try trace(signature, values, [], true)
    let typical = values.map { $0 < 4 ? $0 + 9 : $0 }
    // Where no guard keeps the plan from larger sizes, nothing was taken for an extent of 1.
    guard run.guards.contains(where: { !$0.holds(typical) }), run.breaks.isEmpty,
      run.asked.allSatisfy({ $0.holds(typical) }), let larger = try? trace(signature, typical, [], false),
      larger.guards.allSatisfy({ $0.holds(values) })
    else { return (values, run) }
    return (typical, larger)
  }

  private func renumbered(_ guards: [DimGuard], from old: CallSignature, to new: CallSignature) -> [DimGuard] {
    guards.map { asked in
      var moved = asked
      moved.a = asked.a.substituting { id in .symbol(new.symbols.firstIndex(of: old.symbols[id]) ?? id) }
      return moved
    }
  }
}

/// One capture against captures of the same function at other sizes.
private final class SizeComparison {
  let signature: CallSignature
  let values: [Int]
  let run: TracedRun
  let pinned: [DimGuard]
  /// A capture at other sizes; nothing is compiled or run.
  let dry: ([Int]) throws -> TracedRun
  /// What captures that gave the same have asked and read.
  private(set) var confirmed: [[DimGuard]] = []

  init(
    _ signature: CallSignature, _ values: [Int], _ run: TracedRun, _ pinned: [DimGuard],
    _ dry: @escaping ([Int]) throws -> TracedRun
  ) {
    self.signature = signature
    self.values = values
    self.run = run
    self.pinned = pinned
    self.dry = dry
  }

  /// A capture at other sizes shows as well that the function does one thing.
  var hasOthers: Bool { otherSizes(free) != nil }

  /// Symbols that are not known to be numbers, and that the function's own code was not told: a text or a hash of a size
  /// may be what it looks something up with. Calls at other sizes will tell.
  private var free: [Int] {
    values.indices.filter { i in
      !pinned.contains { $0.a.symbols.contains(i) }
        && !run.asked.contains { $0.isRead && $0.a.symbols.contains(i) }
    }
  }

  /// At the sizes of the capture itself the function must do the same again.
  func requireSame(_ place: Diagnostic.Location) throws {
    let again = try dry(values)
    if !run.isSame(as: again) || !run.asksTheSame(as: again) {
      throw Session.differs(place, CaptureDifference(run.piece, again.piece))
    }
  }

  /// nil: there are none. Sizes that are tied by guards are one. What cannot be compared counts as a number.
  func sizesAsNumbers() throws -> (symbols: [Int], reason: String)? {
    let all = free
    if all.isEmpty || !isComparable { return nil }
    var whole: String?
    if let sizes = otherSizes(all) {
      guard let reason = difference(at: sizes) else { return nil }
      whole = reason
    }
    var culprits: [Int] = []
    var reasons: [String] = []
    for group in groups() where whole == nil || group.count < all.count {
      let reason = otherSizes(group).map { difference(at: $0) } ?? "the function asks for its value"
      guard let reason else { continue }
      culprits += group
      reasons.append(reason)
    }
    if let whole, culprits.isEmpty { return (all, whole) }
    return culprits.isEmpty ? nil : (culprits.sorted(), reasons[0])
  }

  /// The elements of an array are those of the sizes at hand: a function that reads them runs anew on each call.
  private var isComparable: Bool { run.breaks.allSatisfy { $0.site.kind == .item } }

  /// Why the graph at `sizes` is another; nil: it is the same.
  private func difference(at sizes: [Int]) -> String? {
    let other: TracedRun
    do { other = try dry(sizes) } catch {
      guard let mistake = error as? Diagnostic else { return "the function throws at other sizes" }
      return "at other sizes" + (mistake.place.map { " \($0)" } ?? "") + " says: \(mistake.message)"
    }
    if run.isSame(as: other), run.asksTheSame(as: other) {
      // What the result's leaves do not tell may differ too; then there are two plans.
      if run.hasReads || other.hasReads, run.form.fits(other.form) { confirmed.append(other.guards) }
      return nil
    }
    guard let difference = CaptureDifference(run.piece, other.piece) else {
      return "the function asks other things at other sizes"
    }
    return "it is in the graph: at one size \(difference.text)"
  }

  /// Sizes that differ in `moving` only, for which every question has the same answer. What was only read may differ.
  private func otherSizes(_ moving: [Int]) -> [Int]? {
    guard !moving.isEmpty, isComparable else { return nil }
    func least(_ i: Int) -> Int { if case .dim = signature.symbols[i] { 0 } else { 2 } }
    for offset in [3, 5, 1, 2, 7, 16, 64, -1, -2] {
      var (apart, together) = (values, values)
      for (k, i) in moving.enumerated() {
        apart[i] = max(values[i] + offset * (k + 1), least(i))
        together[i] = max(values[i] + offset, least(i))
      }
      for candidate in [apart, together] where candidate != values {
        if (run.guards + pinned).allSatisfy({ $0.isRead || $0.holds(candidate) }) { return candidate }
      }
    }
    return nil
  }

  /// Symbols that guards make equal, together.
  private func groups() -> [[Int]] {
    var group = Array(values.indices)
    for asked in run.guards where asked.relation == .equal && asked.answer && !asked.isRead {
      let tied = Set(asked.a.symbols + asked.b.symbols).map { group[$0] }
      guard let first = tied.min() else { continue }
      for i in group.indices where tied.contains(group[i]) { group[i] = first }
    }
    return Dictionary(grouping: free) { group[$0] }.sorted { $0.key < $1.key }.map(\.value)
  }
}

extension CallSignature.SymbolSource {
  fileprivate func asNumber(_ names: [String], _ reason: String) -> SizeAsNumber {
    switch self {
    case .extent(let leaf, let axis): SizeAsNumber(axis: axis, leaf: leaf, name: text(names), reason: reason)
    case .dim(let leaf): SizeAsNumber(axis: nil, leaf: leaf, name: text(names), reason: reason)
    }
  }

  func text(_ names: [String]) -> String {
    switch self {
    case .extent(let leaf, let axis): "axis \(axis) of '\(names[leaf])'"
    case .dim(let leaf): "the Dim '\(names[leaf])'"
    }
  }
}

extension DynamicShapes {
  /// The extents that are symbols from the first call.
  func extents(_ names: [String], _ leaves: ContiguousArray<Leaf>) -> Set<DynamicExtent> {
    var extents: Set<DynamicExtent> = []
    for (i, leaf) in leaves.enumerated() {
      guard case .tensor(let tensor) = leaf else { continue }
      let axes: [Int] =
        switch self {
        case .automatic, .fixed: []
        case .axes(let wanted): wanted[names[i]] ?? []
        case .all: Array(0..<tensor.rank)
        }
      for axis in axes { extents.insert(DynamicExtent(leaf: i, axis: axis < 0 ? axis + tensor.rank : axis)) }
    }
    return extents
  }

  /// What is wrong with the axes that the caller named.
  func mistake(_ names: [String], _ leaves: ContiguousArray<Leaf>) -> Diagnostic? {
    guard case .axes(let wanted) = self else { return nil }
    for (name, axes) in wanted.sorted(by: { $0.key < $1.key }) {
      guard let leaf = names.indices.first(where: { names[$0] == name && !leaves[$0].isCount }) else {
        if isAbsent(name, names, leaves) { continue }
        let tensors = names.indices.compactMap { i in if case .tensor = leaves[i] { "'\(names[i])'" } else { nil } }
        let list = tensors.prefix(8).joined(separator: ", ") + (tensors.count > 8 ? ", ..." : "")
        return Diagnostic(
          .argument, "dynamic: there is no tensor '\(name)' among the arguments and the state",
          remedy: tensors.isEmpty ? "remove the name: there are no tensors" : "name one of \(list)")
      }
      guard case .tensor(let tensor) = leaves[leaf] else {
        return Diagnostic(
          .argument, "dynamic: '\(name)' is \(leaves[leaf].kind), which has no axes",
          remedy: leaves[leaf].isDim ? "remove the name: a Dim is always a symbol" : "name tensors only")
      }
      for axis in axes where !(-tensor.rank..<tensor.rank).contains(axis) {
        return Diagnostic(
          .index,
          "dynamic: axis \(axis) is outside the rank \(tensor.rank) of '\(name)', which is \(leaves[leaf].text)",
          remedy: "axes are -\(tensor.rank)..<\(tensor.rank)")
      }
    }
    return nil
  }

  /// A member of an optional that is nil here, or of an array that is shorter here.
  private func isAbsent(_ name: String, _ names: [String], _ leaves: ContiguousArray<Leaf>) -> Bool {
    names.indices.contains { i in
      guard case .count(let count) = leaves[i] else { return false }
      if count == 0, name == names[i] { return true }
      let prefix = names[i].isEmpty ? "" : names[i] + "."
      guard name.hasPrefix(prefix) else { return false }
      let position = Int(name.dropFirst(prefix.count).prefix { $0 != "." })
      return count == 0 || (position.map { $0 >= count } ?? false)
    }
  }
}

extension Leaf {
  fileprivate var isCount: Bool { if case .count = self { true } else { false } }
  fileprivate var isDim: Bool { if case .dim = self { true } else { false } }
  /// For messages.
  fileprivate var kind: String {
    switch self {
    case .tensor: "a tensor"
    case .dim: "a Dim"
    case .value: "the plain value \(text)"
    case .count: "a collection"
    }
  }
}

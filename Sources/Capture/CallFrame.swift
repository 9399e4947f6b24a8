// One call in flight: its leaves, the state it has taken, and how everything becomes what it was if the call fails.
// Not a plan: it lives as long as its call. Surprise: state is out of the caller's value during the call, so that whoever
// held it alone is written in place; ranges that might have to come back are copied before they are overwritten.
import Basics
import Engine
import GraphIR
import Tensors
import TensorTypes

// @unchecked Sendable: only the task of its call touches it; a capture's break handler runs on that task too.
final class CallFrame: @unchecked Sendable {
  private(set) var leaves: CallLeaves
  let stateCount: Int
  private let history: CompileHistory
  private var loans: [Int: Loan] = [:]
  private var journal = Journal()

  /// A tensor that is out of the caller's state.
  private struct Loan {
    var original: Tensor
    /// Nobody else holds it: it is written where it is.
    var isAlone: Bool
    /// A copy was made because somebody else holds it.
    var isCopied = false
  }

  /// Stands in the state for what is taken.
  private static let nothing = Tensor(0)

  /// Takes `leaves`: a second holder would be in the way of writing in place.
  init(taking leaves: inout CallLeaves, stateCount: Int, _ history: CompileHistory) {
    self.leaves = leaves
    leaves.removeAll()
    self.stateCount = stateCount
    self.history = history
  }

  // MARK: State

  /// Takes tensors out of the state.
  func take<S: Tree>(_ wanted: [Int], from state: inout S) {
    let fresh = wanted.filter { loans[$0] == nil }
    if fresh.isEmpty { return }
    for leaf in fresh { leaves[leaf] = .count(0) }
    var v = exchanging(fresh.map { ($0, Self.nothing) })
    state.visit(&v)
    for leaf in fresh {
      guard case .tensor(var tensor) = v.leaves[leaf] else { continue }
      v.leaves[leaf] = .count(0)
      let isAlone = tensor.mayBeWritten && tensor.body.view.isContiguous
      leaves[leaf] = .tensor(isAlone ? Tensor(tensor.body.view) : tensor)
      loans[leaf] = Loan(original: tensor, isAlone: isAlone)
    }
  }

  /// What writing the taken tensors copies, because somebody else holds them too.
  var copiedBytes: Int {
    loans.values.reduce(0) { $1.isAlone ? $0 : $0 + $1.original.body.view.elementCount * $1.original.dtype.size }
  }

  /// Leaves that are not row-major, those that are written excepted.
  func gaps(_ written: [Int]) -> [Int] {
    var gaps: [Int] = []
    for leaf in leaves.bodies.indices {
      guard let body = leaves.bodies[leaf], !body._withUnsafeGuaranteedRef({ $0.isRowMajor }) else { continue }
      if !written.contains(leaf) { gaps.append(leaf) }
    }
    return gaps
  }

  private func exchanging(_ tensors: [(leaf: Int, tensor: Tensor)]) -> Visitor {
    var v = Visitor(.exchange)
    v.chosen = [Bool](repeating: false, count: stateCount)
    v.leaves = ContiguousArray(repeating: .count(0), count: stateCount)
    for (leaf, tensor) in tensors {
      v.chosen[leaf] = true
      v.leaves[leaf] = .tensor(tensor)
    }
    return v
  }

  /// The call has failed: the state is what it was.
  func rollBack<S: Tree>(_ state: inout S) {
    journal.restore()
    if loans.isEmpty { return }
    var v = exchanging(loans.map { ($0.key, $0.value.original) })
    loans = [:]
    state.visit(&v)
  }

  /// The call has succeeded: the state takes what changed, and gets back what did not.
  private func commit<S: Tree>(_ changed: [Int: Leaf], _ state: inout S) {
    var v = Visitor(.commit)
    v.chosen = [Bool](repeating: false, count: stateCount)
    v.leaves = ContiguousArray(repeating: .count(0), count: stateCount)
    for (leaf, loan) in loans {
      v.chosen[leaf] = true
      v.leaves[leaf] = .tensor(loan.original)
    }
    for (leaf, value) in changed {
      v.chosen[leaf] = true
      v.leaves[leaf] = value
    }
    loans = [:]
    state.visit(&v)
  }

  // MARK: Segments

  /// Runs a segment; what it writes in place can be taken back if something fails behind it.
  func run(
    _ segment: Segment, _ carried: inout [TensorView], _ arguments: [Int64], isLast: Bool
  ) throws(Diagnostic) -> [TensorView] {
    var places: [Int: TensorView] = [:]
    for donation in segment.donations {
      let memory: TensorView
      switch donation.donor {
      case .leaf(let leaf):
        memory = try writable(leaf)
        places[donation.output] = memory
      case .carried(let i) where i < carried.count: memory = carried[i]
      // Of a section of this segment: in no memory of the state, unless nothing can fail.
      case .carried, .output: continue
      }
      if !isLast || donation.mayBeHalfWritten { try keep(memory, donation.ranges, arguments) }
    }
    let keeper = !isLast || segment.mayFail ? self : nil
    return try segment.run(leaves, &carried, arguments, into: places, keeper: keeper)
  }

  /// Copies what is about to be overwritten, if the state wants it back when the call fails.
  func keep(_ memory: TensorView, _ ranges: [RangeWrite], _ arguments: [Int64]) throws(Diagnostic) {
    if isStateMemory(memory) { history.noteJournal(try journal.save(memory, ranges, arguments)) }
  }

  /// Memory for the new version of a leaf of the state, with the old version in it. `isKept`: the old version must last.
  @discardableResult
  private func writable(_ leaf: Int, isKept: Bool = false) throws(Diagnostic) -> TensorView {
    guard case .tensor(let tensor) = leaves[leaf] else {
      throw Diagnostic(.compiler, "member \(leaf) of the state is no tensor")
    }
    if let loan = loans[leaf], loan.isCopied || loan.isAlone && !isKept { return try tensor.view }
    let copy = try tensor.contiguousCopy().view
    leaves[leaf] = .tensor(Tensor(copy))
    // While a function is captured for the first time, the caller's value is the other holder.
    if let loan = loans[leaf] {
      if !loan.isAlone { history.noteCopy(leaf) }
      loans[leaf]?.isCopied = true
    }
    return copy
  }

  private func isStateMemory(_ memory: TensorView) -> Bool {
    loans.values.contains { $0.isAlone && !$0.isCopied && $0.original.body.view.sharesMemory(with: memory) }
  }

  // MARK: The end

  /// The last segment runs, the result is put together, the state takes its new tensors.
  func finish<S: Tree, Output>(
    _ segment: Segment, _ ending: Ending, _ earlier: [TensorView], _ arguments: [Int64], _ state: inout S,
    _ build: (any Sendable, ContiguousArray<Leaf>) throws -> Output
  ) throws -> Output {
    // What may fail comes first.
    let extents = try ending.dims(arguments)
    var carried = earlier
    let donated = segment.writtenLeaves
    // Loops keep the ranges that they overwrite; what they compute anew in place cannot come back.
    let ranges = segment.mayFail ? segment.rangesOfLoops : Set(ending.taken)
    for leaf in ending.taken where !donated.contains(leaf) { try writable(leaf, isKept: !ranges.contains(leaf)) }
    let outputs = try run(segment, &carried, arguments, isLast: true)
    func leaf(_ source: ResultSource) -> Leaf {
      switch source {
      case .output(let i): .tensor(Tensor(outputs[i]))
      case .leaf(let i): leaves[i]
      case .carried(let i): .tensor(Tensor(carried[i]))
      case .constant(let tensor): .tensor(tensor)
      case .dim(let dim): .dim(dim.knownValue == nil ? extents[dim] ?? dim : dim)
      case .value(let value): .value(value)
      case .count(let count): .count(count)
      }
    }
    var filled: ContiguousArray<Leaf> = []
    filled.reserveCapacity(ending.results.count)
    for source in ending.results { filled.append(leaf(source)) }
    let result = try build(ending.template, filled)
    if !ending.state.isEmpty || !loans.isEmpty { commit(ending.state.mapValues { leaf($0) }, &state) }
    return result
  }
}

extension Ending {
  /// The values of symbolic extents in what the call gives back.
  fileprivate func dims(_ arguments: [Int64]) throws(Diagnostic) -> [Dim: Dim] {
    var values: [Dim: Dim] = [:]
    for case .dim(let dim) in results + state.values where dim.knownValue == nil {
      if case .failed(let diagnostic)? = dim.expression { throw diagnostic }
      guard let value = dim.evaluated(arguments.map { Int($0) }) else {
        throw Diagnostic(.shape, "the extent \(dim) has no value at the sizes \(arguments)")
      }
      values[dim] = Dim(value)
    }
    return values
  }
}

/// What range writes are about to overwrite, kept until the call is certain to succeed.
struct Journal {
  private struct Entry {
    var memory: TensorView
    var runs: [(offset: Int, byteCount: Int)]
    var saved: TensorView
  }
  private var entries: [Entry] = []

  /// Copies the elements of `memory` in `ranges`; their bytes.
  mutating func save(
    _ memory: TensorView, _ ranges: [RangeWrite], _ arguments: [Int64]
  ) throws(Diagnostic) -> Int {
    var runs: [(offset: Int, byteCount: Int)] = []
    for range in ranges { runs += try range.runs(in: memory, arguments) }
    let count = runs.reduce(0) { $0 + $1.byteCount }
    let saved = try Engine.current.memory(.u8, [count])
    var place = saved.base
    for run in runs {
      place.copyMemory(from: memory.base + run.offset, byteCount: run.byteCount)
      place += run.byteCount
    }
    entries.append(Entry(memory: memory, runs: runs, saved: saved))
    return count
  }

  /// Puts everything back, the youngest first.
  mutating func restore() {
    for entry in entries.reversed() {
      var place = entry.saved.base
      for run in entry.runs {
        (entry.memory.base + run.offset).copyMemory(from: place, byteCount: run.byteCount)
        place += run.byteCount
      }
    }
    entries = []
  }
}

/// The box of a tensor that one `assign` writes.
struct RangeWrite: Sendable {
  var starts: [Dim]
  var counts: [Dim]
  var steps: [Int]

  /// The ranges that lead from a parameter to `value`, and that parameter; nil: there is more to it than range writes.
  static func chain(_ value: Value, _ graph: Graph) -> (parameter: Int, root: Value, ranges: [RangeWrite])? {
    var ranges: [RangeWrite] = []
    var at = value
    while case .assign(let starts, let steps) = graph[at].primitive {
      ranges.append(RangeWrite(starts: starts, counts: graph.type(graph[at].operands[1]).shape.dims, steps: steps))
      at = graph[at].operands[0]
    }
    guard !ranges.isEmpty, case .parameter(let p) = graph[at].primitive else { return nil }
    return (p, at, ranges)
  }

  /// Bytes beside each other in row-major `memory`.
  fileprivate func runs(
    in memory: TensorView, _ arguments: [Int64]
  ) throws(Diagnostic) -> [(offset: Int, byteCount: Int)] {
    let numbers = arguments.map { Int($0) }
    var (first, count): ([Int], [Int]) = ([], [])
    for axis in memory.extents.indices {
      guard let start = starts[axis].evaluated(numbers), let length = counts[axis].evaluated(numbers), start >= 0,
        length <= memory.extents[axis],
        length == 0 || (0..<memory.extents[axis]).contains(start + (length - 1) * steps[axis])
      else {
        throw Diagnostic(.index, "a range of \(counts) from \(starts) is outside the state's extents \(memory.extents)")
      }
      first.append(start)
      count.append(length)
    }
    if count.contains(0) { return [] }
    // The last axes that are written as a whole, and the range on the axis before them, are one run.
    var inner = memory.rank
    while inner > 0, steps[inner - 1] == 1, count[inner - 1] == memory.extents[inner - 1] { inner -= 1 }
    if inner > 0, steps[inner - 1] == 1 { inner -= 1 }
    let length = count[inner...].reduce(memory.dtype.size, *)
    let strides = TensorView.contiguousStrides(memory.extents)
    var offsets = [zip(first, strides).reduce(0) { $0 + $1.0 * $1.1 }]
    for axis in 0..<inner {
      offsets = offsets.flatMap { offset in
        (0..<count[axis]).map { offset + $0 * steps[axis] * strides[axis] }
      }
    }
    return offsets.map { ($0 * memory.dtype.size, length) }
  }
}

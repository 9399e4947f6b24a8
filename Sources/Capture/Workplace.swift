// What loops and branches run on: memory and kernels here, sizes alone in Rehearsal.swift.
// Not what they do (Loop.swift). Surprise: both run the same code, so that what is predicted is what is taken.
import Basics
import Engine
import Tensors
import TensorTypes

protocol Workplace {
  /// A tensor's row-major elements.
  associatedtype Held
  /// What a closure reads of the code around it.
  associatedtype Captures

  func held(_ source: Trace.Source) throws(Diagnostic) -> Held
  /// Memory without a value.
  func memory(_ type: DType, _ extents: [Int]) throws(Diagnostic) -> Held
  func copy(_ held: Held) throws(Diagnostic) -> Held
  func extents(_ held: Held) -> [Int]
  func captures(_ routine: Routine) throws(Diagnostic) -> Captures
  /// Runs on `state` and `captures`, outputs in `memory` or new memory; gives each result.
  func run(
    _ routine: Routine, _ state: [Held?], _ captures: Captures, _ arguments: [Int64], into memory: [Int: Held]
  ) throws(Diagnostic) -> [Held]
  /// Whether the only element is not zero, behind so many trips of a loop with so many members.
  func isTrue(_ held: Held, trips: Int, of members: Int) throws(Diagnostic) -> Bool
  /// Whether further trips that are like the last ones need not be made.
  func isEnough(_ trips: Int, of members: Int) -> Bool
  /// Ranges that are about to be overwritten.
  func keep(_ held: Held, _ ranges: [RangeWrite], _ arguments: [Int64]) throws(Diagnostic)
}

/// The call itself.
struct CallSite: Workplace {
  let leaves: CallLeaves
  let carried: [TensorView]
  let name: String
  /// Gets to see what is overwritten.
  let keeper: CallFrame?

  func held(_ source: Trace.Source) throws(Diagnostic) -> TensorView {
    let view = try source.view(leaves, carried, name)
    return view.isContiguous ? view : try copy(view)
  }

  func memory(_ type: DType, _ extents: [Int]) throws(Diagnostic) -> TensorView {
    try Engine.current.memory(type, extents)
  }

  func copy(_ held: TensorView) throws(Diagnostic) -> TensorView { try Tensor(held).contiguousCopy().view }
  func extents(_ held: TensorView) -> [Int] { held.extents }

  func captures(_ routine: Routine) throws(Diagnostic) -> ContiguousArray<Leaf> {
    var captures: ContiguousArray<Leaf> = []
    for source in routine.captured { captures.append(.tensor(Tensor(try held(source)))) }
    return captures
  }

  func run(
    _ routine: Routine, _ state: [TensorView?], _ captures: ContiguousArray<Leaf>, _ arguments: [Int64],
    into memory: [Int: TensorView]
  ) throws(Diagnostic) -> [TensorView] {
    let leaves = ContiguousArray(state.map { view in view.map { Leaf.tensor(Tensor($0)) } ?? .count(0) }) + captures
    var carried: [TensorView] = []
    let outputs = try routine.segment.run(CallLeaves(leaves), &carried, arguments, into: memory)
    var views: [TensorView] = []
    for place in routine.results {
      switch place {
      case .output(let i): views.append(outputs[i])
      case .carried(let i): views.append(carried[i])
      case .leaf(let i):
        guard case .tensor(let tensor) = leaves[i] else { continue }
        views.append(try tensor.view)
      }
    }
    return views
  }

  func isTrue(_ held: TensorView, trips: Int, of members: Int) throws(Diagnostic) -> Bool {
    try Tensor(held).item(as: Bool.self)
  }

  func isEnough(_ trips: Int, of members: Int) -> Bool { false }

  func keep(_ held: TensorView, _ ranges: [RangeWrite], _ arguments: [Int64]) throws(Diagnostic) {
    try keeper?.keep(held, ranges, arguments)
  }
}

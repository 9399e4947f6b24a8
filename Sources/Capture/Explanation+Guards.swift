// The guards of a plan, each with what asked for it and what one check costs on this machine now.
// Not the checks of calls: those are the same functions, run on stand-ins here. Surprise: the stand-ins have no elements,
// since guards never look at any.
import Basics
import Engine
import Execution
import Tensors
import TensorTypes

extension Plan {
  /// What calls check, in their order.
  func explainedGuards(_ number: Int) -> [Explanation.Guard] {
    let values = needs.withLock { $0?.values } ?? signature.symbols.map { _ in 2 }
    let leaves = signature.standIns(values)
    let tensors = signature.tensorCount
    let members = signature.leaves.count
    var guards = [
      Explanation.Guard(
        condition: "\(members) member(s) are there, \(tensors) tensor(s) of them with their dtypes and extents",
        seconds: Self.seconds { signature.fits(leaves) }, plan: number,
        asker: .argument(members == 1 ? "argument \(name(0))" : "the arguments"))
    ]
    let facts = signature.form.facts
    let each = Self.seconds { signature.form.fits(leaves.form) } / Double(max(facts.count, 1))
    for fact in facts {
      guards.append(.init(condition: fact, seconds: each, plan: number, asker: .argument("the arguments")))
    }
    for (i, leaf) in signature.leaves.enumerated() {
      guard case .value(let value) = leaf else { continue }
      guards.append(
        .init(
          condition: "\(name(i)) is \(value)", seconds: Self.seconds { signature.hasValue(i, leaves) }, plan: number,
          asker: .argument("argument \(name(i))")))
    }
    for asked in self.guards {
      guards.append(
        .init(
          condition: "\(asked)", seconds: Self.seconds { asked.holds(values) }, plan: number,
          asker: .code(asked.origin)))
    }
    return guards
  }

  /// The median of a few series.
  private static func seconds(_ check: () -> Bool) -> Double {
    var series: [Double] = []
    var isTrue = true
    for _ in 0..<5 {
      let started = monotonicNanoseconds()
      for _ in 0..<20 { if !check() { isTrue = false } }
      series.append(Double(monotonicNanoseconds() - started) / 20e9)
    }
    return withExtendedLifetime(isTrue) { series.sorted()[2] }
  }
}

extension CallSignature {
  var tensorCount: Int { leaves.count { if case .tensor = $0 { true } else { false } } }

  /// Leaves that fit, without elements.
  fileprivate func standIns(_ values: [Int]) -> CallLeaves {
    final class Nobody: Sendable {}
    let nothing = Storage(borrowing: UnsafeRawBufferPointer(start: nil, count: 0), owner: Nobody())
    var made = CallLeaves(
      ContiguousArray(
        leaves.map { leaf in
          switch leaf {
          case .tensor(let dtype, let extents):
            let sizes = extents.map { extent in
              switch extent {
              case .fixed(let number): number
              case .symbol(let i): max(values[i], 2)
              }
            }
            return .tensor(Tensor(TensorView(nothing, dtype, extents: sizes)))
          case .dim(let symbol): return .dim(Dim(values[symbol]))
          case .value(let value): return .value(value)
          case .count(let count): return .count(count)
          }
        }))
    made.form = form.copied
    return made
  }

  /// Leaf `i` has the plain value that the plan is made for.
  fileprivate func hasValue(_ i: Int, _ given: CallLeaves) -> Bool {
    if case .value(let wanted) = leaves[i], case .value(let value) = given[i] { wanted == value } else { false }
  }
}

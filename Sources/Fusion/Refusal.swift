// Why a value goes through memory instead of staying in registers, and what that costs. Data for `explain`, no decisions.
import GraphIR
import TensorTypes

package struct Refusal: Sendable, Hashable, CustomStringConvertible {
  package enum Reason: Sendable, Hashable {
    /// Its consumer walks other axes.
    case otherDomain
    /// Its consumer reads its elements in another order.
    case reorderedConsumer
    /// It is read at computed positions.
    case needsAddress
    /// Fusion is off: every operation is a kernel of its own.
    case notAsked
    /// Computing it in every kernel that needs it would cost more than storing it.
    case cheaperStored(FusionChoice)
    /// Its old value is still read when it would be overwritten.
    case readAfterWrite
    /// Its computation is too long for one kernel.
    case tooLong
    /// It may fault where padding or joining would compute it for nothing.
    case mayFault
    /// The graph could not be cut into kernels of several operations: every operation is a kernel of its own. Never to
    /// happen: tests look for it.
    case notFused(String)
    /// It looks like attention but is none.
    case notAttention(String)
  }
  package var value: Value
  package var reason: Reason
  /// What staying in registers would have saved: written once and read once.
  package var bytes: Dim

  package var description: String { "%\(value.id) \(explanation) (\(bytes) bytes)" }

  /// The reason in words.
  package var explanation: String {
    switch reason {
    case .otherDomain: "is computed over other axes than its consumer"
    case .reorderedConsumer: "is read in another order by its consumer"
    case .needsAddress: "is read at computed positions"
    case .notAsked: "is stored because fusion is off"
    case .cheaperStored(let choice):
      "is cheaper stored (\(choice.stored) bytes) than computed again where it is needed (\(choice.recomputed) bytes)"
    case .readAfterWrite: "is still read after it would be overwritten: it is copied"
    case .tooLong: "ends a computation that is too long for one kernel"
    case .notFused(let mistake): "is stored because fusion failed, which is worth a report: \(mistake)"
    case .notAttention(let reason): "is no attention in one kernel: \(reason)"
    case .mayFault: "may fault where it is not needed"
    }
  }
}

// Which generators code draws from that may turn out not to be chosen. Not random numbers.
// Surprise: a generator is a value without an identity, so it is known by its seed and by how far it has come.
import Synchronization
import TensorTypes

/// Generators that a branch of a choice draws from while it is captured.
package final class DrawLog: Sendable {
  /// nil: nobody asks.
  @TaskLocal package static var current: DrawLog?

  private struct Chain: Sendable {
    var seed: UInt64
    var position: Dim
    /// The generator was made where it is drawn from.
    var isOwn: Bool
  }
  private let state = Mutex<(own: Set<UInt64>, chains: [Chain])>(([], []))

  package init() {}

  func noteGenerator(_ seed: UInt64) { state.withLock { _ = $0.own.insert(seed) } }

  func noteDraw(_ seed: UInt64, from start: Dim, to end: Dim) {
    state.withLock { state in
      if let i = state.chains.lastIndex(where: { $0.seed == seed && $0.position.isIdentical(to: start) }) {
        state.chains[i].position = end
      } else {
        state.chains.append(
          Chain(seed: seed, position: end, isOwn: start.isKnown(0) && state.own.contains(seed)))
      }
    }
  }

  /// How far generators of elsewhere have come.
  package var positions: [Dim] { state.withLock { $0.chains.filter { !$0.isOwn }.map(\.position) } }
}

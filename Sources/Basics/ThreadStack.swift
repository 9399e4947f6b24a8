// How much of its stack the calling thread has left, for recursive readers of what strangers wrote.
// Not a guard against all recursion. Surprise: threads made by others may have as little as half a megabyte.
import CHost

/// The stack of the thread that asked for it.
package struct ThreadStack: Sendable {
  /// Its lowest usable address; 0 where the system does not say.
  private let lowest: UInt

  /// The calling thread's.
  package static var current: ThreadStack { ThreadStack(lowest: azulejo_stack_start()) }

  /// Bytes between here and the end of the stack, seen from the same thread.
  package var remaining: Int {
    guard lowest > 0 else { return .max }
    let here = azulejo_stack_position()
    return here > lowest ? Int(here - lowest) : 0
  }
}

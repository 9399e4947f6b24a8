// Object code into executable memory. Replaced by the real loader: this one only refuses.
import Basics

package final class ObjectLoader: Sendable {
  /// Links the object's code into this process. It stays while the result is held.
  package static func load(_ bytes: [UInt8], name: String) throws(Diagnostic) -> ObjectLoader {
    throw Diagnostic(.compiler, "\(name): object code cannot be loaded yet")
  }
  /// The address of a function that the object defines.
  package func address(of symbol: String) -> UnsafeRawPointer? { nil }
}

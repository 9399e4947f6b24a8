// What went wrong inside a kernel, where no error can be thrown: the launch's fault word.
// Not a driver error (those throw). Surprise: of several faults of a phase the one of the lowest instance is kept,
// so that the message does not depend on the number of threads.
import Basics

package struct Fault: Sendable, Hashable {
  package enum Kind: Int64, Sendable, Hashable {
    case index = 1
    case divisionByZero = 2
  }
  package var kind: Kind
  /// Number of the launch in its sequence.
  package var launch: Int
  package var phase: Int
  /// Linear number of the program instance.
  package var instance: Int
  /// The index that was outside `0 ..< extent`; both 0 for a division.
  package var index: Int
  package var extent: Int

  package init(kind: Kind, launch: Int = 0, phase: Int, instance: Int, index: Int, extent: Int) {
    self.kind = kind
    self.launch = launch
    self.phase = phase
    self.instance = instance
    self.index = index
    self.extent = extent
  }

  /// The user's view of it.
  package func diagnostic(kernel: String) -> Diagnostic {
    switch kind {
    case .index:
      Diagnostic(
        .index, "\(kernel): index \(index) is outside 0 ..< \(extent)",
        remedy: "check the index tensor; negative indices count from the end only down to -\(extent)")
    case .divisionByZero:
      Diagnostic(
        .numerics, "\(kernel): integer division by zero", remedy: "mask the zeros of the divisor, or divide as floats")
    }
  }
}

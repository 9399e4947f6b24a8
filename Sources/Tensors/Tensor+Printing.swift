// Printing a tensor as part of a program: also of a compiled one, where Swift's `print` would see no elements.
// Not logging. Surprise: inside `compile` nothing is printed while the function is captured, but each time its plan runs.
import Basics
import Engine

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where ``Tensor/print(_:file:line:)`` writes.
public enum TensorPrinting {
  /// Takes one text, which may have several lines. Standard output, unless a task says otherwise:
  ///
  ///     try TensorPrinting.$sink.withValue({ lines.append($0) }) { try f(x) }
  @TaskLocal public static var sink: @Sendable (String) -> Void = {
    Swift.print($0)
    // A file or a pipe gets each text at once too.
    fflush(nil)
  }
}

extension Tensor {
  /// Prints the elements, behind `label`.
  ///
  /// Eagerly at once. Inside `compile` each time the plan runs, in the order of the program: it is no break and ends
  /// no kernel; the elements go to memory. Texts of one piece of a plan (between breaks, loops
  /// and branches) are printed when the piece has run, so a fault in that piece comes before them. A failed tensor prints
  /// its mistake. JAX: `jax.debug.print`.
  public func print(_ label: String = "", file: StaticString = #fileID, line: UInt = #line) {
    // Inside `compile` constants are printed on each run as well.
    if failure == nil, let trace = Trace.current ?? body.view.path?.cell.trace {
      do throws(Diagnostic) { try trace.print(label, body.view) } catch {
        // What could not be captured throws at the end of the capture.
        _ = Tensor.failed(error, file, line)
      }
      return
    }
    TensorPrinting.sink(label.isEmpty ? description : "\(label): \(description)")
  }
}

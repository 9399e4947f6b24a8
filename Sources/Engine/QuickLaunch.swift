// The shortest way: two dense tensors of one shape and dtype, one kernel, one result. For tiny operations the host's work
// is all there is, so this way takes no lock and allocates only the result.
// Not an executor: it is the one launch of a compiled graph that has only one, for operands that need no look at their
// strides. Surprise: whenever anything is unusual there is none, and the general way is taken.
import Basics
import Execution
import TensorTypes

final class QuickLaunch: Sendable {
  /// Which of the three tensors a buffer is.
  private enum Source: Sendable { case first, second, result }

  let dtype: DType
  let result: DType
  private let order: (Source, Source, Source)
  private let executable: any Executable
  private let name: String

  /// nil: `code` is not one step over (x0, x1, out) on one dense axis.
  init?(_ code: CompiledGraph, _ operands: [Operand], _ results: [TensorView]) {
    guard let (executable, bases) = code.onlyLaunch, operands.count == 2, results.count == 1, bases.count == 3 else {
      return nil
    }
    var views = results
    for case .tensor(let view) in operands { views.append(view) }
    guard views.count == 3, views[1].dtype == views[2].dtype,
      views.allSatisfy({ $0.rank == 1 && $0.strides[0] == 1 && $0.hints[0] > 1 })
    else { return nil }
    let sources = bases.map { [Source.first, .second, .result][$0] }
    order = (sources[0], sources[1], sources[2])
    (dtype, result) = (views[1].dtype, views[0].dtype)
    self.executable = executable
    name = code.name
  }

  @inline(__always)
  func launch(
    _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ out: UnsafeMutableRawPointer, _ count: Int
  ) throws(Diagnostic) {
    func address(_ source: Source) -> UnsafeMutableRawPointer {
      switch source {
      case .first: a
      case .second: b
      case .result: out
      }
    }
    var buffers: (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) =
      (address(order.0), address(order.1), address(order.2))
    var argument = Int64(count)
    let work = count * (2 * dtype.size + result.size)
    var fault: Fault?
    var failure: Diagnostic?
    withUnsafeBytes(of: &buffers) { bytes in
      let pointers = bytes.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
      do throws(Diagnostic) {
        // The tuple has three elements.
        fault = try executable.run(buffers: pointers.baseAddress.unsafelyUnwrapped, arguments: &argument, work: work)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    if let fault { throw fault.diagnostic(kernel: name) }
  }
}

extension Engine {
  /// nil: take the general way (which also prepares this one).
  @inline(__always)
  package func runQuick(_ program: Program, _ a: TensorView, _ b: TensorView) throws(Diagnostic) -> TensorView? {
    guard let quick = program.quick.load(), quick.dtype == a.dtype, a.dtype == b.dtype,
      a.hints == b.hints, a.isContiguous, b.isContiguous, a.hasMemory, b.hasMemory, !LaunchLog.isOn,
      Trace.current == nil
    else { return nil }
    let count = a.elementCount
    let dtype = quick.result
    guard count > 1, count * dtype.size <= backend.target.cache.streamedBytes else { return nil }
    let storage = try backend.driver.allocate(byteCount: count * dtype.size)
    let result = TensorView(storage, dtype, extents: a.hints, strides: a.strides)
    try quick.launch(a.base, b.base, storage.address, count)
    return result
  }
}

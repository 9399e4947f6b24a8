// The shortest way: two dense tensors of one shape and dtype, one kernel, one result. For tiny operations the host's work
// is all there is, so this way takes no lock and allocates only the result.
// Not a second engine: the launch was prepared by the general way. Surprise: it answers nil whenever anything is unusual.
import Basics
import Execution
import TensorTypes

extension Engine {
  /// nil: take the general way (which also prepares this one).
  @inline(__always)
  package func runQuick(_ program: Program, _ a: TensorView, _ b: TensorView) throws(Diagnostic) -> TensorView? {
    guard let prepared = program.quick.load(), prepared.quickDType == a.dtype, a.dtype == b.dtype,
      a.hints == b.hints, a.isContiguous, b.isContiguous, a.traced == nil, b.traced == nil, !LaunchLog.isOn,
      Trace.current == nil
    else { return nil }
    let count = a.elementCount
    let dtype = prepared.quickResult
    guard count > 1, count * dtype.size <= backend.target.cache.streamedBytes else { return nil }
    let storage = try backend.driver.allocate(byteCount: count * dtype.size)
    let result = TensorView(storage, dtype, extents: a.hints, strides: a.strides)
    try prepared.launchQuick(a.base, b.base, storage.address, count)
    return result
  }
}

extension Prepared {
  /// One step over (x0, x1, out) on one dense axis: what `launchQuick` can run.
  static func isQuick(_ operands: [Operand], _ results: [TensorView], _ schedule: [Step]) -> Bool {
    guard operands.count == 2, results.count == 1, schedule.count == 1, schedule[0].buffers.count == 3,
      schedule[0].offsets == nil
    else {
      return false
    }
    var views = results
    for case .tensor(let view) in operands { views.append(view) }
    guard views.count == 3, views[1].dtype == views[2].dtype else { return false }
    return views.allSatisfy { $0.rank == 1 && $0.strides[0] == 1 && $0.hints[0] > 1 }
  }

  @inline(__always)
  func launchQuick(
    _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ out: UnsafeMutableRawPointer, _ count: Int
  ) throws(Diagnostic) {
    var buffers: (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) = (nil, nil, nil)
    func address(_ source: QuickSource) -> UnsafeMutableRawPointer {
      switch source {
      case .first: a
      case .second: b
      case .result: out
      }
    }
    buffers.0 = address(quickOrder.0)
    buffers.1 = address(quickOrder.1)
    buffers.2 = address(quickOrder.2)
    var argument = Int64(count)
    let work = count * (2 * quickDType.size + quickResult.size)
    var fault: Fault?
    var failure: Diagnostic?
    withUnsafeBytes(of: &buffers) { bytes in
      let pointers = bytes.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
      do throws(Diagnostic) {
        // The tuple has three elements.
        fault = try quickExecutable.run(
          buffers: pointers.baseAddress.unsafelyUnwrapped, arguments: &argument, work: work)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    if let fault { throw fault.diagnostic(kernel: name) }
  }
}

/// Which of a quick launch's three tensors a buffer is.
enum QuickSource: Sendable { case first, second, result }

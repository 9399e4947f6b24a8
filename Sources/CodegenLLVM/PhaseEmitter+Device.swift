// A phase as a device's entry point: parameters, the invocation's number, and the one instance it runs.
// Not another emitter: stores, reductions and products are emitted by the same code as for processors.
// Surprise: every pointer is made generic, since instance memory, stack and buffers meet in the same loads; LLVM finds
// most of the address spaces again.
import CLLVM
import TileAnalysis
import TileIR

extension Frame {
  /// Bytes of the fault words of one instance.
  private static let faultBytes = 32

  /// Parameters as in `DeviceKernel`.
  mutating func enterInvocation(
    _ e: Emitter, _ kernel: Kernel, _ function: LLVMValueRef, _ invocations: Invocations
  ) {
    let bufferCount = kernel.buffers.count
    func parameter(_ i: Int) -> IR { LLVMGetParam(function, UInt32(i)) }
    buffers = kernel.buffers.indices.map { e.generic(parameter($0)) }
    arguments = kernel.arguments.indices.map { parameter(bufferCount + $0) }
    let rest = bufferCount + kernel.arguments.count
    instance = e.number(invocations)
    arena = e.offset(e.generic(parameter(rest)), bytes: e.indexMultiply(instance, parameter(rest + 1)))
    fault = e.offset(e.generic(parameter(rest + 2)), bytes: e.indexMultiply(instance, e.index(Self.faultBytes)))
  }
}

extension PhaseEmitter {
  /// The one instance of this invocation. Groups are whole: the last one may have invocations without an instance.
  func emitInvocation(_ grid: [IR]) {
    let count = grid.reduce(e.index(1)) { e.indexMultiply($0, $1) }
    e.when(e.compare(LLVMIntSLT, frame.instance, count)) { emitInstance(grid, frame.instance) }
  }
}

extension Emitter {
  /// The invocation's number.
  fileprivate func number(_ invocations: Invocations) -> IR {
    func read(_ intrinsic: String) -> IR { cast(LLVMZExt, call(intrinsic, [], []), i64) }
    let extent = invocations.groupExtent.map(read) ?? index(invocations.fixedGroup ?? 1)
    return indexAdd(indexMultiply(read(invocations.groupNumber), extent), read(invocations.itemNumber))
  }
}

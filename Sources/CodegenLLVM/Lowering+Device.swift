// A phase as a device's entry point: parameters, the invocation's number, and the one instance it runs.
// Not another lowering: regions, stores, reductions and products are emitted by the same code as for processors.
// Surprise: every pointer is made generic, since instance memory, stack and buffers meet in the same loads; LLVM finds
// most of the address spaces again.
import CLLVM
import Targets
import TileIR

extension Lowering {
  /// Bytes of the fault words of one instance.
  private static let faultBytes = 32

  /// Fills the entry point; parameters as in `DeviceKernel`.
  func emitInvocation(_ body: Phase, _ function: LLVMValueRef, _ invocations: TargetDescription.Invocations) {
    let bufferCount = kernel.buffers.count
    func parameter(_ i: Int) -> IR { LLVMGetParam(function, UInt32(i)) }
    buffers = kernel.buffers.indices.map { e.generic(parameter($0)) }
    arguments = kernel.arguments.indices.map { parameter(bufferCount + $0) }
    let rest = bufferCount + kernel.arguments.count
    instance = number(invocations)
    arena = e.offset(e.generic(parameter(rest)), bytes: e.indexMultiply(instance, parameter(rest + 1)))
    fault = e.offset(
      e.generic(parameter(rest + 2)), bytes: e.indexMultiply(instance, e.index(Self.faultBytes)))

    let start = e.block("start")
    e.position(start)
    let grid = body.grid.map { index($0) }
    let count = grid.reduce(e.index(1)) { e.indexMultiply($0, $1) }
    // Groups are whole: the last one may have invocations without an instance.
    e.when(e.compare(LLVMIntSLT, instance, count)) {
      bindProgramIDs(body.body, programCoordinates(grid, instance))
      lower(body.body)
    }
    LLVMBuildRetVoid(e.builder)
    e.position(prologueBlock)
    LLVMBuildBr(e.builder, start)
  }

  private func number(_ invocations: TargetDescription.Invocations) -> IR {
    func read(_ intrinsic: String) -> IR { e.cast(LLVMZExt, e.call(intrinsic, [], []), e.i64) }
    let extent = invocations.groupExtent.map(read) ?? e.index(invocations.fixedGroup ?? 1)
    return e.indexAdd(e.indexMultiply(read(invocations.groupNumber), extent), read(invocations.itemNumber))
  }
}

// What a phase's function is given, and its first blocks. Not its body.
// Surprise: an access that a predicate turns off needs memory that may be read: a stack slot nobody looks at.
import CLLVM
import TileIR

struct Frame {
  let entry: LLVMBasicBlockRef
  /// Runs once per call, before all else.
  let prologue: LLVMBasicBlockRef
  /// Readable memory for accesses that a predicate turns off.
  let nowhere: IR
  var buffers: [IR] = []
  var arguments: [IR] = []
  /// Memory of this thread or invocation.
  var arena: IR
  var fault: IR
  /// The number of the instance that runs.
  var instance: IR
  /// Some store bypassed the caches.
  var hasStreamed = false

  /// Enters `function`, whose parameters are as in `CompiledKernel` or `DeviceKernel`.
  init(_ e: Emitter, _ kernel: Kernel, _ function: LLVMValueRef) {
    entry = e.begin(function)
    prologue = e.block("prologue")
    LLVMBuildBr(e.builder, prologue)
    e.position(prologue)
    nowhere = e.slot(bytes: max(64, e.target.lanes * 8), in: entry)
    instance = e.index(0)
    arena = instance
    fault = instance
    if let invocations = e.target.invocations {
      enterInvocation(e, kernel, function, invocations)
    } else {
      buffers = kernel.buffers.indices.map { e.loadPointer(LLVMGetParam(function, 0), $0) }
      arguments = kernel.arguments.indices.map { e.loadIndex(LLVMGetParam(function, 1), $0) }
      arena = LLVMGetParam(function, 4)
      fault = LLVMGetParam(function, 5)
    }
  }
}

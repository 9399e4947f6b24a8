// What a compile for a device gives, and how its entry points are called: for correctness of the tile IR, not speed.
// Not loaded or run: there is no driver of ours. Surprise: one program instance is one invocation, so a tile is worked off
// by a single lane of the device; a real back end spreads a tile over a whole group (Documentation/Decisions).
import CLLVM
import TensorTypes
import TileIR

/// The code of a kernel for a device: PTX text, or an AMDGPU object file without undefined symbols.
///
/// For every phase it has one entry point, started with at least as many invocations, in one dimension, as the phase's
/// grid has instances; a phase begins when the one before has ended. Its parameters are, one after the other,
///
///     every launch buffer and scratch buffer (pointer to its first element), every launch argument (int64_t),
///     the memory of all instances (pointer, 64-byte aligned), its bytes per instance (int64_t, a multiple of 64),
///     four fault words per instance (pointer, all zero before a launch)
package struct DeviceKernel: Sendable, Hashable {
  package var code: [UInt8]
  /// One symbol per phase.
  package var entries: [String]
  /// Bytes of memory per instance over launch arguments: the largest counts.
  package var instanceMemory: [Dim]

  package var text: String { String(decoding: code, as: UTF8.self) }

  static func addEntry(
    _ name: String, of kernel: Kernel, _ invocations: Invocations, _ module: LLVMModuleRef,
    _ context: LLVMContextRef
  ) -> LLVMValueRef {
    let pointer: LLVMTypeRef = LLVMPointerTypeInContext(context, invocations.globalSpace)
    let i64: LLVMTypeRef = LLVMIntTypeInContext(context, 64)
    var parameters: [LLVMTypeRef?] = kernel.buffers.map { _ in pointer } + kernel.arguments.map { _ in i64 }
    parameters += [pointer, i64, pointer]
    let type = LLVMFunctionType(LLVMVoidTypeInContext(context), &parameters, UInt32(parameters.count), 0)
    let function: LLVMValueRef = LLVMAddFunction(module, name, type)
    LLVMSetFunctionCallConv(function, invocations.callingConvention)
    return function
  }
}

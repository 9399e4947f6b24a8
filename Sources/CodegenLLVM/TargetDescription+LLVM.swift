// A target in LLVM's words. Not what it can do (TargetDescription). Surprise: triples are always ELF and never name the
// system, so the same bytes load on Linux and macOS.
import Targets

/// One program instance per invocation: how LLVM declares entry points, and how an invocation finds its number.
struct Invocations {
  /// LLVM's numbers of the calling convention of entry points and of the address space of buffers.
  var callingConvention: UInt32
  var globalSpace: UInt32 = 1
  /// The code is assembly for the vendor's assembler, not an object file.
  var isText: Bool
  /// Intrinsics: the group's number in the grid, the invocation's number in its group.
  var groupNumber: String
  var itemNumber: String
  /// The intrinsic that gives the invocations of a group; nil: `fixedGroup` says it.
  var groupExtent: String?
  var fixedGroup: Int?
}

extension TargetDescription {
  package var triple: String {
    switch architecture {
    case .x86: "x86_64-unknown-linux-gnu"
    case .arm: "aarch64-unknown-linux-gnu"
    case .ptx: "nvptx64-nvidia-cuda"
    case .amdgpu: "amdgcn-amd-amdhsa"
    }
  }

  /// "+avx2,+fma". macOS keeps x18 for itself.
  package var featureList: String {
    (features + (architecture == .arm ? ["reserve-x18"] : [])).map { "+" + $0 }.joined(separator: ",")
  }

  /// nil: a processor.
  var invocations: Invocations? {
    switch architecture {
    case .x86, .arm: nil
    case .ptx:
      Invocations(
        callingConvention: 71, isText: true, groupNumber: "llvm.nvvm.read.ptx.sreg.ctaid.x",
        itemNumber: "llvm.nvvm.read.ptx.sreg.tid.x", groupExtent: "llvm.nvvm.read.ptx.sreg.ntid.x")
    case .amdgpu:
      Invocations(
        callingConvention: 91, isText: false, groupNumber: "llvm.amdgcn.workgroup.id.x",
        itemNumber: "llvm.amdgcn.workitem.id.x", fixedGroup: 64)
    }
  }
}

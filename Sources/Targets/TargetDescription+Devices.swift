// Devices that we make code for but do not run: a canary for assumptions about processors in the tile IR.
// Not tuned and not a back end (Documentation/Decisions). Surprise: `lanes` are elements that one invocation holds, not
// the invocations of a warp or wavefront.

extension TargetDescription {
  /// One program instance per invocation: how its entry points are declared and how an invocation finds its number.
  public struct Invocations: Sendable, Hashable {
    /// LLVM's number of the calling convention of entry points.
    public var callingConvention: UInt32
    /// LLVM's number of the address space of buffers.
    public var globalSpace: UInt32
    /// The code is assembly for the vendor's assembler, not an object file.
    public var isText: Bool
    /// Intrinsics: the group's number in the grid, the invocation's number in its group.
    public var groupNumber: String
    public var itemNumber: String
    /// The intrinsic that gives the invocations of a group; nil: `fixedGroup` says it.
    public var groupExtent: String?
    public var fixedGroup: Int?
  }

  private static func device(
    _ name: String, triple: String, processor: String, invocations: Invocations
  ) -> TargetDescription {
    var target = TargetDescription(
      name: name, triple: triple, processor: processor, features: "", vectorBits: 128, vectorRegisters: 32,
      hasFusedMultiplyAdd: true, hasHalfConversion: true, maskedElementSizes: [], hasRounding: true,
      registerBox: RegisterBox(rows: 4, columns: 4),
      cache: Caches(level1: 32 << 10, level2: 1 << 20, level3: 32 << 20))
    target.hasPrefetch = false
    target.hasStreamingStores = false
    target.invocations = invocations
    return target
  }

  /// NVIDIA, as PTX text for compute capability `sm` (80: Ampere).
  public static func ptx(sm: Int) -> TargetDescription {
    device(
      "ptx", triple: "nvptx64-nvidia-cuda", processor: "sm_\(sm)",
      invocations: Invocations(
        callingConvention: 71, globalSpace: 1, isText: true, groupNumber: "llvm.nvvm.read.ptx.sreg.ctaid.x",
        itemNumber: "llvm.nvvm.read.ptx.sreg.tid.x", groupExtent: "llvm.nvvm.read.ptx.sreg.ntid.x"))
  }

  /// AMD, as an object file for a processor such as "gfx90a". Launched in groups of 64.
  public static func amdgpu(_ processor: String) -> TargetDescription {
    device(
      "amdgpu", triple: "amdgcn-amd-amdhsa", processor: processor,
      invocations: Invocations(
        callingConvention: 91, globalSpace: 1, isText: false, groupNumber: "llvm.amdgcn.workgroup.id.x",
        itemNumber: "llvm.amdgcn.workitem.id.x", fixedGroup: 64))
  }

  /// One of each; `preset` knows them, `presets` does not list them.
  public static let devices = [ptx(sm: 80), amdgpu("gfx90a")]
}

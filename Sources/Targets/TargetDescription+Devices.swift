// Devices that we make code for but do not run: a canary for assumptions about processors in the tile IR.
// Not tuned and not a back end (Documentation/Decisions). Surprise: `lanes` are elements that one invocation holds, not
// the invocations of a warp or wavefront.

extension TargetDescription {
  private static func device(_ name: String, _ architecture: Architecture, processor: String) -> TargetDescription {
    var target = TargetDescription(
      name: name, architecture: architecture, processor: processor, features: [], vectorBits: 128, vectorRegisters: 32,
      hasFusedMultiplyAdd: true, hasHalfConversion: true, maskedElementSizes: [], hasRounding: true,
      registerBox: RegisterBox(rows: 4, columns: 4),
      cache: Caches(level1: 32 << 10, level2: 1 << 20, level3: 32 << 20))
    target.hasPrefetch = false
    target.hasStreamingStores = false
    return target
  }

  /// NVIDIA, as PTX text for compute capability `sm` (80: Ampere).
  package static func ptx(sm: Int) -> TargetDescription { device("ptx", .ptx, processor: "sm_\(sm)") }

  /// AMD, as an object file for a processor such as "gfx90a".
  package static func amdgpu(_ processor: String) -> TargetDescription {
    device("amdgpu", .amdgpu, processor: processor)
  }

  /// One of each; `preset` knows them, `presets` does not list them.
  package static let devices = [ptx(sm: 80), amdgpu("gfx90a")]
}

// The machine card: what a code generator and Fusion need to know about a processor. Plain data; part of every cache key.
// Not a measurement: bandwidths are nil until someone has measured them. Surprise: no compiler's words are here, each code
// generator has its own; instruction sets have their makers' names.
import TensorTypes

package struct TargetDescription: Sendable, Hashable {
  /// "x86-64-v4", "znver5": the name people use and `preset` knows.
  package var name: String
  package var architecture: Architecture
  /// The design, as far as it is known: "x86-64-v3", "znver5", "sm_80".
  package var processor: String
  /// Instruction sets beside the architecture's first: "avx2", "fma".
  package var features: [String]
  package var vectorBits: Int
  package var vectorRegisters: Int
  /// Fused multiply-add in hardware.
  package var hasFusedMultiplyAdd: Bool
  /// f16 <-> f32 conversion in hardware.
  package var hasHalfConversion: Bool
  /// Element sizes in bytes that masked loads and stores exist for.
  package var maskedElementSizes: [Int]
  /// Rounding to an integral value in hardware.
  package var hasRounding: Bool
  /// Rows and columns of f32 accumulators that fit the registers of a matrix product.
  package var registerBox: RegisterBox
  package var cache: Caches
  /// Bytes per second, where measured.
  package var readBandwidth: Double?
  package var copyBandwidth: Double?
  /// Memory can be asked for ahead of its use.
  package var hasPrefetch = true
  /// Stores can bypass the caches.
  package var hasStreamingStores = true

  package enum Architecture: String, Sendable, Hashable {
    case x86 = "x86-64"
    case arm = "aarch64"
    case ptx
    case amdgpu

    /// Instances run as invocations of a grid; on a processor a phase is a function over a range of instances.
    package var isDevice: Bool {
      switch self {
      case .x86, .arm: false
      case .ptx, .amdgpu: true
      }
    }
  }

  package struct RegisterBox: Sendable, Hashable {
    package var rows: Int
    package var columns: Int
    package init(rows: Int, columns: Int) {
      self.rows = rows
      self.columns = columns
    }
  }

  /// Bytes; level 1 and 2 of one core, level 3 as seen by all.
  package struct Caches: Sendable, Hashable {
    package var level1: Int
    package var level2: Int
    package var level3: Int
    package init(level1: Int, level2: Int, level3: Int) {
      self.level1 = level1
      self.level2 = level2
      self.level3 = level3
    }

    /// Results of more bytes bypass the caches: with what they are made of, they would not all stay in level 3, and
    /// writing through it reads them first.
    package var streamedBytes: Int { level3 / 2 }
  }

  /// f32 elements in a vector register.
  package var lanes: Int { vectorBits / 32 }

  /// A vector of floats times powers of two in one instruction that rounds once, and the number of smaller magnitude in
  /// one (x86: scalef, range).
  package var hasScaling: Bool {
    vectorBits == 512 && features.contains("avx512f") && features.contains("avx512dq")
  }

  /// Everything that decides the code, in one line; two targets with equal keys may share objects.
  package var cacheKey: String {
    "\(architecture.rawValue) \(processor) \(features.joined(separator: ",")) \(vectorBits) \(registerBox.rows)x\(registerBox.columns)"
      + " \(cache.level1) \(cache.level2) \(cache.level3)"
  }
}

extension TargetDescription: CustomStringConvertible {
  package var description: String { name }
}

extension TargetDescription {
  private static let version2 = ["sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "cx16"]
  private static let version3 = version2 + ["avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"]
  private static let version4 = version3 + ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]

  /// Any x86-64: 128-bit vectors, no fused multiply-add.
  package static let x86Baseline = TargetDescription(
    name: "x86-64", architecture: .x86, processor: "x86-64", features: [], vectorBits: 128, vectorRegisters: 16,
    hasFusedMultiplyAdd: false, hasHalfConversion: false, maskedElementSizes: [], hasRounding: false,
    registerBox: RegisterBox(rows: 4, columns: 8),
    cache: Caches(level1: 32 << 10, level2: 256 << 10, level3: 8 << 20))

  /// AVX2, FMA and F16C.
  package static let x86Version3 = TargetDescription(
    name: "x86-64-v3", architecture: .x86, processor: "x86-64-v3", features: version3, vectorBits: 256,
    vectorRegisters: 16, hasFusedMultiplyAdd: true, hasHalfConversion: true, maskedElementSizes: [4, 8],
    hasRounding: true, registerBox: RegisterBox(rows: 6, columns: 16),
    cache: Caches(level1: 32 << 10, level2: 512 << 10, level3: 16 << 20))

  /// AVX-512 F, BW, CD, DQ and VL.
  package static let x86Version4 = TargetDescription(
    name: "x86-64-v4", architecture: .x86, processor: "x86-64-v4", features: version4, vectorBits: 512,
    vectorRegisters: 32, hasFusedMultiplyAdd: true, hasHalfConversion: true, maskedElementSizes: [1, 2, 4, 8],
    hasRounding: true, registerBox: RegisterBox(rows: 14, columns: 32),
    cache: Caches(level1: 32 << 10, level2: 1 << 20, level3: 32 << 20))

  /// AMD Zen 5.
  package static let zen5: TargetDescription = {
    var target = x86Version4
    target.name = "znver5"
    target.processor = "znver5"
    target.features += ["avx512bf16", "avx512vnni", "avx512vbmi", "avxvnni"]
    target.cache = Caches(level1: 48 << 10, level2: 1 << 20, level3: 32 << 20)
    return target
  }()

  /// Any 64-bit ARM: NEON.
  package static let arm64 = TargetDescription(
    name: "aarch64", architecture: .arm, processor: "generic", features: ["neon"],
    vectorBits: 128, vectorRegisters: 32, hasFusedMultiplyAdd: true, hasHalfConversion: true, maskedElementSizes: [],
    hasRounding: true, registerBox: RegisterBox(rows: 12, columns: 8),
    cache: Caches(level1: 64 << 10, level2: 1 << 20, level3: 8 << 20))

  package static let presets = [x86Baseline, x86Version3, x86Version4, zen5, arm64]

  /// The preset or device called `name`, or nil.
  package static func preset(_ name: String) -> TargetDescription? { (presets + devices).first { $0.name == name } }
}

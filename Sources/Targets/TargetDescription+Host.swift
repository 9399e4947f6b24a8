// What this machine is, found in microseconds without LLVM: the card is part of cache keys and every start needs it.
// Not a benchmark. Surprise: a feature counts only if the operating system saves its registers (XCR0).
import CHost

extension TargetDescription {
  /// The card of the machine this process runs on.
  package static let host: TargetDescription = detectedHost()

  /// Whether code made for this target runs here.
  package var runsOnHost: Bool {
    let host = Self.host
    return architecture == host.architecture && Set(features).isSubset(of: host.features)
  }

  private static func detectedHost() -> TargetDescription {
    #if arch(x86_64)
      return detectedX86()
    #else
      return arm64
    #endif
  }

  #if arch(x86_64)
    /// EAX, EBX, ECX, EDX.
    private static func identity(_ leaf: UInt32, _ subleaf: UInt32 = 0) -> [UInt32] {
      var words: [UInt32] = [0, 0, 0, 0]
      azulejo_cpuid(leaf, subleaf, &words)
      return words
    }

    /// CPUID bits and the names of what they stand for: leaf, subleaf, register, bit. AVX names need the system's consent.
    private static let bits: [(String, leaf: UInt32, sub: UInt32, register: Int, bit: Int, state: UInt64)] = [
      ("sse3", 1, 0, 2, 0, 0), ("ssse3", 1, 0, 2, 9, 0), ("sse4.1", 1, 0, 2, 19, 0), ("sse4.2", 1, 0, 2, 20, 0),
      ("popcnt", 1, 0, 2, 23, 0), ("cx16", 1, 0, 2, 13, 0), ("avx", 1, 0, 2, 28, 6), ("avx2", 7, 0, 1, 5, 6),
      ("bmi", 7, 0, 1, 3, 0), ("bmi2", 7, 0, 1, 8, 0), ("f16c", 1, 0, 2, 29, 6), ("fma", 1, 0, 2, 12, 6),
      ("lzcnt", 0x8000_0001, 0, 2, 5, 0), ("movbe", 1, 0, 2, 22, 0), ("avx512f", 7, 0, 1, 16, 0xe6),
      ("avx512bw", 7, 0, 1, 30, 0xe6), ("avx512cd", 7, 0, 1, 28, 0xe6), ("avx512dq", 7, 0, 1, 17, 0xe6),
      ("avx512vl", 7, 0, 1, 31, 0xe6), ("avx512bf16", 7, 1, 0, 5, 0xe6), ("avx512vnni", 7, 0, 2, 11, 0xe6),
      ("avx512vbmi", 7, 0, 2, 1, 0xe6), ("avxvnni", 7, 1, 0, 4, 6),
    ]

    private static func detectedX86() -> TargetDescription {
      let basic = identity(1)
      let saved = basic[2] & (1 << 27) != 0 ? azulejo_xcr0() : 0
      var leaves: [UInt64: [UInt32]] = [:]
      var found: [String] = []
      for bit in bits where saved & bit.state == bit.state {
        let key = UInt64(bit.leaf) << 32 | UInt64(bit.sub)
        let words = leaves[key] ?? identity(bit.leaf, bit.sub)
        leaves[key] = words
        if words[bit.register] & (1 << UInt32(bit.bit)) != 0 { found.append(bit.0) }
      }
      let known = Set(found)
      func has(_ preset: TargetDescription) -> Bool { known.isSuperset(of: preset.features) }
      var target = [x86Version4, x86Version3].first(where: has) ?? x86Baseline
      target.features = found
      target.hasRounding = known.contains("sse4.1")
      target.processor = processorName(basic[0]) ?? target.processor
      target.name = target.processor
      target.cache = caches() ?? target.cache
      return target
    }

    /// The design where its tuning matters: AMD's Zen. Others are served by their level.
    private static func processorName(_ signature: UInt32) -> String? {
      let vendor = identity(0)
      guard vendor[1] == 0x6874_7541, vendor[2] == 0x444d_4163 else { return nil }  // "AuthenticAMD"
      let family = (signature >> 8 & 15) + (signature >> 20 & 255)
      let model = (signature >> 4 & 15) | (signature >> 12 & 0xf0)
      switch family {
      case 0x17: return model >= 0x30 ? "znver2" : "znver1"
      case 0x19: return (0x10...0x1f).contains(model) || model >= 0x60 ? "znver4" : "znver3"
      case 0x1a: return "znver5"
      case _: return nil
      }
    }

    /// Bytes of a cache that a processor counts on. A virtual machine is shown the last cache of a whole server, most of
    /// which belongs to strangers.
    private static let mostShare = 16 << 20

    private static func caches() -> Caches? {
      let isAMD = identity(0)[2] == 0x444d_4163
      let leaf: UInt32 = isAMD ? 0x8000_001d : 4
      var sizes = [0, 0, 0, 0]
      for sub in 0..<8 as Range<UInt32> {
        let words = identity(leaf, sub)
        let kind = words[0] & 31
        if kind == 0 { break }
        let level = Int(words[0] >> 5 & 7)
        guard kind != 2, level < 4 else { continue }  // 2: instructions
        let ways = Int(words[1] >> 22) + 1
        let partitions = Int(words[1] >> 12 & 1023) + 1
        let line = Int(words[1] & 4095) + 1
        let sharers = Int(words[0] >> 14 & 4095) + 1
        sizes[level] = min(ways * partitions * line * (Int(words[2]) + 1), mostShare * sharers)
      }
      guard sizes[1] > 0, sizes[2] > 0 else { return nil }
      return Caches(level1: sizes[1], level2: sizes[2], level3: max(sizes[3], sizes[2]))
    }
  #endif
}

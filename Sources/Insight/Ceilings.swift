// This machine's ceilings, ready to be measured in turns with a candidate: bytes read, copied, mixed; products.
// Not the machine card (what was measured once): a shared machine wanders, a ratio within one run holds.
// Surprise: memory is touched by the threads that use it and kept, so that no measurement pays for page faults.
import Backends
import Basics
import Engine
import Execution
import Synchronization
import Targets
import TileIR

/// Measuring kernels with their memory.
package final class Ceilings: Sendable {
  package let threads: Int
  private let backend: Backend
  private let state = Mutex(State())

  private struct State {
    var executables: [String: any Executable] = [:]
    var streams: [Storage] = []
  }

  /// Floats of one stream: beyond any cache.
  static let streamCount = 1 << 25

  /// - Throws: a Diagnostic unless this process' device is a processor.
  package init() throws(Diagnostic) {
    let engine = try Engine.current
    guard engine.backend.kind == .cpu else {
      throw Diagnostic(
        .device, "ceilings are measured on the processor, this process' device is \(engine.backend.kind.rawValue)",
        remedy: "leave AZULEJO_DEVICE and --device away")
    }
    backend = engine.backend
    threads = ThreadPool.shared.threadCount
  }

  /// The card that `azulejo calibrate` kept for this machine; nil if there is none.
  package static func storedCard() throws(Diagnostic) -> MachineCard? {
    MachineCard.stored(for: try Engine.current.backend.target, threads: ThreadPool.shared.threadCount)
  }

  package var target: TargetDescription { backend.target }

  private func executable(_ kernel: Kernel, code: String? = nil) throws(Diagnostic) -> any Executable {
    if let known = state.withLock({ $0.executables[kernel.name] }) { return known }
    let image = if let code { try backend.image(kernel, code: code) } else { try backend.image(kernel) }
    let made = try backend.driver.load(image)
    state.withLock { $0.executables[kernel.name] = made }
    return made
  }

  /// `count` streams, zeroed.
  private func streams(_ count: Int) throws(Diagnostic) -> [Storage] {
    while state.withLock({ $0.streams.count }) < count {
      let storage = try backend.driver.allocate(byteCount: Self.streamCount * 4)
      let fill = try executable(CeilingKernels.stream(.init(read: 0, written: 1), pastCaches: true))
      try run(fill, [storage], [Int64(Self.streamCount)], work: Self.streamCount * 4)
      state.withLock { $0.streams.append(storage) }
    }
    return state.withLock { Array($0.streams.prefix(count)) }
  }

  private func run(
    _ executable: any Executable, _ buffers: [Storage], _ arguments: [Int64], work: Int
  ) throws(Diagnostic) {
    let launch = Launch(executable, buffers: buffers.map { BufferReference($0) }, arguments: arguments, work: work)
    if let fault = try backend.driver.wait(backend.driver.submit(LaunchSequence([launch]))).first {
      throw fault.diagnostic(kernel: executable.image.name)
    }
  }

  /// Something to run and time.
  package struct Load: Sendable {
    /// Bytes moved or operations done by one run.
    package var amount: Double
    package var run: @Sendable () throws -> Void
  }

  /// Moves about `bytes` with a mix of streams; at most what the streams hold.
  package func memory(_ mix: MachineCard.Mix, bytes: Int, pastCaches: Bool = true) throws(Diagnostic) -> Load {
    let kernel = try executable(CeilingKernels.stream(mix, pastCaches: pastCaches))
    let count = mix.read + mix.written
    let wanted = bytes / 4 / count / CeilingKernels.block * CeilingKernels.block
    let elements = min(max(wanted, CeilingKernels.block * threads), Self.streamCount)
    var buffers = try streams(count)
    if mix.written == 0 { buffers.append(try backend.driver.allocate(byteCount: elements / CeilingKernels.block * 4)) }
    let moved = elements * 4 * count
    return Load(amount: Double(moved)) { [self, buffers] in
      try run(kernel, buffers, [Int64(elements)], work: moved)
    }
  }

  /// Reads `bytes` of each thread's own memory `rounds` times.
  func resident(bytes: Int, rounds: Int) throws(Diagnostic) -> Load {
    let kernel = try executable(CeilingKernels.resident(threads: threads))
    let elements = bytes / 4 / 64 * 64
    let buffers = [try streams(1)[0], try backend.driver.allocate(byteCount: threads * 4)]
    return Load(amount: Double((elements - 16) * 4 * rounds * threads)) { [self] in
      try run(kernel, buffers, [Int64(elements), Int64(rounds)], work: 1 << 30)
    }
  }

  /// Multiply-adds in registers; nil where this processor has no instruction for it that we can emit.
  package func products(_ peak: Workload.Peak, rounds: Int = 2_000_000) throws(Diagnostic) -> Load? {
    let kernel: any Executable
    let operations: Int
    var buffers: [Storage] = []
    switch peak {
    case .f32:
      let made = CeilingKernels.multiplyAdd(target, threads: threads)
      (kernel, operations) = (try executable(made.kernel), made.operations)
    case .bf16, .int8:
      let product: CeilingKernels.WideProduct = peak == .bf16 ? .bf16 : .int8
      guard let made = CeilingKernels.product(product, target, threads: threads) else { return nil }
      (kernel, operations) = (try executable(made.kernel, code: made.code), made.operations)
      buffers.append(try backend.driver.allocate(byteCount: 64))
    }
    buffers.append(try backend.driver.allocate(byteCount: threads * 512))
    let arguments = [Int64(rounds)]
    return Load(amount: Double(operations) * Double(rounds) * Double(threads)) { [self, buffers] in
      try run(kernel, buffers, arguments, work: 1 << 30)
    }
  }

  // MARK: Calibration

  /// The mixes a card holds; others take the nearest share of writes.
  static let mixes: [MachineCard.Mix] = [
    .init(read: 0, written: 1), .init(read: 1, written: 1), .init(read: 2, written: 1), .init(read: 3, written: 1),
    .init(read: 4, written: 1), .init(read: 1, written: 2), .init(read: 4, written: 3),
  ]

  /// Measures everything a card holds, in turns.
  /// - Parameter budget: seconds, about.
  package func calibrated(budget: Double) throws -> MachineCard {
    let cache = target.cache
    // Short enough to fall between what else the machine does, and beyond what the caches hold.
    let bytes = max(3 * cache.level3, 256 << 20)
    var loads = [
      try memory(.init(read: 1, written: 0), bytes: bytes),
      try memory(.init(read: 1, written: 1), bytes: bytes, pastCaches: false),
      try resident(bytes: cache.level2 / 2, rounds: 20),
      // More than the level-2 caches together, less than level 3 with room for others.
      try resident(bytes: max(cache.level3 / 3 / threads, cache.level2), rounds: 5),
    ]
    let first = loads.count
    for mix in Self.mixes { loads.append(try memory(mix, bytes: bytes)) }
    var wide: [Workload.Peak: Int] = [:]
    for peak in Workload.Peak.allCases {
      guard let load = try products(peak, rounds: 200_000) else { continue }
      wide[peak] = loads.count
      loads.append(load)
    }
    let samples = try Stopwatch.interleaved(budget: budget, shortest: 0, loads.map(\.run))
    // The undisturbed moments are the ceiling: the twentieth of the samples that were fastest.
    let rates = zip(loads, samples).map { $0.amount / Statistics.quantile($1, 0.05) }
    var mixes: [MachineCard.Mix: Double] = [:]
    for (i, mix) in Self.mixes.enumerated() { mixes[mix] = rates[first + i] }
    func peak(_ peak: Workload.Peak) -> Double? { wide[peak].map { rates[$0] } }
    return MachineCard(
      processor: target.cacheKey, threads: threads, read: rates[0], copy: rates[1], mixes: mixes, level2: rates[2],
      level3: rates[3], level3Bytes: target.cache.level3, f32: peak(.f32) ?? 0, bf16: peak(.bf16), int8: peak(.int8))
  }
}

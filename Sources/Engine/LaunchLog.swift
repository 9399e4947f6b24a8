// What was launched while somebody looked: names, cost, time. For benchmarks, reports and tests.
// Not a trace for people (AZULEJO_LOG=launch is). Surprise: a recording holds the launches of its own thread only, and
// while one runs, tiny operations take the general way.
import Basics
import Execution
import Fusion
import GraphIR
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A value that went through memory instead of staying in its consumer's kernel.
package struct RefusedFusion: Sendable, Hashable {
  package var operation: String
  package var reason: String
  package var bytes: Int
}

/// One kernel that ran.
package struct LaunchRecord: Sendable {
  package var kernel: String
  /// The name of its tile text: see `Kernel.stageName`. Empty if unknown.
  package var tile = ""
  /// What the kernel computes, and the bytes it must move: each input once, each result once. Zero if unknown.
  package var cost: KernelCost
  package var seconds: Double
  /// The names of the operations inside, in order; of index maps only where there is nothing else.
  package var operations: [String]
  /// Values it writes to memory that a perfect program would not: what, why, bytes.
  package var refusals: [RefusedFusion]
  /// Where the operations were written; empty if nothing was captured.
  package var origins: [Diagnostic.Origin] = []
  /// Storages that were read and written.
  package var reads: [UInt]
  package var writes: [UInt]

  package init(kernel: String, cost: KernelCost = .init(), reads: [UInt] = [], writes: [UInt] = []) {
    self.kernel = kernel
    self.cost = cost
    self.reads = reads
    self.writes = writes
    seconds = 0
    operations = []
    refusals = []
  }

  /// The record of a kernel's nests that ran for `arguments` on `buffers`, whose sources are `sources`.
  init(
    _ nests: [LoopNest], of graph: Graph, image: ExecutableImage, arguments: [Int64],
    sources: [Schedule.BufferSource], buffers: [BufferReference], refusals: [Refusal], seconds: Double
  ) {
    kernel = image.name
    tile = image.tile ?? ""
    self.seconds = seconds
    let numbers = arguments.map { Int($0) }
    cost = nests.reduce(KernelCost()) { $0 + ($1.cost(graph, arguments: numbers) ?? KernelCost()) }
    /// All operations, and those that do more than say where an element is.
    var (all, computing): ([String], [String]) = ([], [])
    for nest in nests {
      for value in nest.body(graph) where nest.inputs[value] == nil {
        let definition = graph[value].primitive.definition
        if definition.lowering.kind == .leaf { continue }
        if definition.lowering.kind != .reindex { computing.append(definition.name) }
        all.append(definition.name)
      }
    }
    operations = computing.isEmpty ? all : computing
    let written = Set(nests.flatMap { $0.roots.map(\.value) })
    self.refusals = refusals.filter { written.contains($0.value) }.map { refusal in
      RefusedFusion(
        operation: graph[refusal.value].primitive.definition.name, reason: refusal.explanation,
        bytes: refusal.bytes.evaluated(numbers) ?? 0)
    }
    let targets = Set(nests.flatMap { $0.roots.map(\.target.source) })
    (reads, writes) = ([], [])
    for (source, buffer) in zip(sources, buffers) {
      let place = UInt(bitPattern: buffer.storage.address)
      if targets.contains(source) { writes.append(place) } else { reads.append(place) }
    }
  }
}

package enum LaunchLog {
  private struct Recording {
    var thread: pthread_t
    var launches: [LaunchRecord] = []
  }
  private static let count = Atomic<Int>(0)
  private static let recordings = Mutex<[Recording]>([])

  /// Whether anybody records. One load: ask before making a record.
  @inline(__always) package static var isOn: Bool { count.load(ordering: .relaxed) != 0 }

  package static func add(_ launch: LaunchRecord) {
    let here = pthread_self()
    recordings.withLock { recordings in
      for i in recordings.indices where pthread_equal(recordings[i].thread, here) != 0 {
        recordings[i].launches.append(launch)
      }
    }
  }

  /// Runs `body` and gives what this thread launched meanwhile, in order.
  package static func recording<T>(
    _ body: () throws -> T
  ) rethrows -> (result: T, launches: [LaunchRecord]) {
    let here = pthread_self()
    recordings.withLock { $0.append(Recording(thread: here)) }
    count.add(1, ordering: .relaxed)
    func close() -> [LaunchRecord] {
      count.subtract(1, ordering: .relaxed)
      return recordings.withLock { recordings in
        // The youngest of this thread: recordings of one thread are nested.
        guard let mine = recordings.lastIndex(where: { pthread_equal($0.thread, here) != 0 }) else { return [] }
        return recordings.remove(at: mine).launches
      }
    }
    do {
      let result = try body()
      return (result, close())
    } catch {
      _ = close()
      throw error
    }
  }
}

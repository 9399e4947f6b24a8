// Compiles, loads and times one kernel; instances are dealt to threads in chunks.
import Basics
import CodegenLLVM
import DriverCPU
import Foundation
import Synchronization
import Targets
import TensorTypes
import TileIR

typealias PhaseFunction =
  @convention(c) (
    UnsafePointer<UnsafeMutableRawPointer?>, UnsafePointer<Int64>, Int64, Int64, UnsafeMutableRawPointer,
    UnsafeMutablePointer<Int64>
  ) -> Void
typealias ArenaFunction = @convention(c) (UnsafePointer<Int64>) -> Int64

func floats(_ n: Int, _ seed: UInt64) -> UnsafeMutablePointer<Float> {
  let memory = UnsafeMutableRawPointer.allocate(byteCount: n * 4 + 4096, alignment: 4096)
  madvise(memory, n * 4, 14)
  let p = memory.assumingMemoryBound(to: Float.self)
  var state = seed &* 7919 &+ 12345
  for i in 0..<n {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    p[i] = Float(state >> 40) / Float(1 << 23) - 1
  }
  return p
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
/// One thread is timed by its processor time, so that other load disturbs less.
func now(_ threads: Int) -> Double {
  guard threads == 1 else { return ProcessInfo.processInfo.systemUptime }
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
func rounded(_ x: Double) -> String { String(format: "%.1f", x) }

/// What a helper thread needs; alive until it has joined.
struct Work: @unchecked Sendable {
  var phase: PhaseFunction
  var pointers: UnsafePointer<UnsafeMutableRawPointer?>
  var words: UnsafePointer<Int64>
  var arena: UnsafeMutableRawPointer
  var count: Int
  var chunk: Int
}

final class Runner {
  let name: String
  let kernel: Kernel
  let compileSeconds: Double
  let objectBytes: Int
  private let phases: [PhaseFunction]
  private let arena: ArenaFunction
  private let code: ObjectLoader
  private var scratch: [Int: UnsafeMutableRawPointer] = [:]
  private var scratchBytes: [Int: Int] = [:]

  init(_ kernel: Kernel, _ target: TargetDescription) throws {
    self.kernel = kernel
    name = kernel.name
    try LLVMCompiler.load()
    var times: [Double] = []
    var compiled = try LLVMCompiler.compile(kernel, for: target)
    for _ in 0..<3 {
      let start = now(1)
      compiled = try LLVMCompiler.compile(kernel, for: target)
      times.append(now(1) - start)
    }
    compileSeconds = times.min() ?? 0
    objectBytes = compiled.object.count
    let code = try ObjectLoader.load(compiled.object, name: name)
    self.code = code
    phases = compiled.phases.map { unsafeBitCast(code.address(of: $0), to: PhaseFunction.self) }
    arena = unsafeBitCast(code.address(of: compiled.arenaSymbol), to: ArenaFunction.self)
  }

  /// Seconds.
  func run(_ buffers: [UnsafeMutablePointer<Float>], _ arguments: [Int], threads: Int) -> Double {
    var pointers: [UnsafeMutableRawPointer?] = buffers.map { UnsafeMutableRawPointer($0) }
    for (i, buffer) in kernel.buffers.enumerated() where buffer.role == .scratch {
      let bytes = (kernel.scratchElementCount(i, arguments: arguments) ?? 0) * buffer.dtype.size
      if scratchBytes[i, default: 0] < bytes {
        scratch[i] = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
        madvise(scratch[i]!, bytes, 14)
        memset(scratch[i]!, 0, bytes)
        scratchBytes[i] = bytes
      }
      pointers.append(scratch[i])
    }
    let words = arguments.map { Int64($0) }
    let bytes = (Int(arena(words)) + 4095) / 4096 * 4096
    let arenas = (0..<threads).map { _ in
      let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
      memset(memory, 0, bytes)
      return memory
    }
    defer { for memory in arenas { memory.deallocate() } }
    let start = now(threads)
    for (i, phase) in phases.enumerated() {
      let count = kernel.phases[i].grid.map { kernel.evaluatedIndex($0, arguments: arguments) ?? 0 }.reduce(1, *)
      let chunk = max(1, count / (threads == 1 ? 1 : 32 * threads))
      pointers.withUnsafeBufferPointer { pointers in
        words.withUnsafeBufferPointer { words in
          let next = Counter()
          let works = arenas.map {
            Work(
              phase: phase, pointers: pointers.baseAddress!, words: words.baseAddress!, arena: $0, count: count,
              chunk: chunk)
          }
          let group = DispatchGroup()
          for work in works.dropFirst() {
            DispatchQueue.global(qos: .userInteractive).async(group: group) { Runner.drain(work, next) }
          }
          Runner.drain(works[0], next)
          group.wait()
        }
      }
    }
    return now(threads) - start
  }

  private final class Counter: Sendable {
    let value = Atomic<Int>(0)
  }

  private static func drain(_ work: Work, _ next: Counter) {
    var fault: [Int64] = [0, 0, 0, 0]
    while true {
      let begin = next.value.wrappingAdd(work.chunk, ordering: .relaxed).oldValue
      if begin >= work.count { return }
      work.phase(
        work.pointers, work.words, Int64(begin), Int64(min(work.count, begin + work.chunk)), work.arena, &fault)
    }
  }
}

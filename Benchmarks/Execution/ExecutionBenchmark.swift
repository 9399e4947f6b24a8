// What the runtime costs around a kernel: buffers, launches, fork and join, the disk cache. No kernel is measured here.
// Not a test. Surprise: best and median are of batches; on a shared machine only the best says what the code costs.
import Basics
import DriverCPU
import Execution
import TensorTypes

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Prints best and median nanoseconds per call of `body`.
private func measure(_ name: String, calls: Int = 1000, batches: Int = 300, _ body: () throws -> Void) rethrows {
  for _ in 0..<min(50, calls) { try body() }
  var times: [Double] = []
  for _ in 0..<batches {
    let start = monotonicNanoseconds()
    for _ in 0..<calls { try body() }
    times.append(Double(monotonicNanoseconds() - start) / Double(calls))
  }
  times.sort()
  func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
  print("\(name): best \(rounded(times[0])) ns, median \(rounded(times[batches / 2])) ns")
}

private let nothing: CPUExecutable.Function = { _, _, _, _, _, _ in }

private let addEight: CPUExecutable.Function = { buffers, _, _, _, _, _ in
  let a = buffers[0].unsafelyUnwrapped.load(as: SIMD8<Float>.self)
  let b = buffers[1].unsafelyUnwrapped.load(as: SIMD8<Float>.self)
  buffers[2].unsafelyUnwrapped.storeBytes(of: a + b, as: SIMD8<Float>.self)
}

private func kernel(_ function: CPUExecutable.Function, grid: [Dim], scratch: [Dim] = [], buffers: Int) throws
  -> CPUExecutable
{
  let image = ExecutableImage(
    name: "bench", format: .object, code: [], phases: [.init(symbol: "p", grid: grid)], scratch: scratch,
    bufferCount: buffers, argumentCount: 2)
  return try CPUExecutable(image: image) { _ in unsafeBitCast(function, to: UnsafeRawPointer.self) }
}

private func benchmarkMemory() throws {
  for size in [32, 1024, 30_000, 300_000, 8 << 20, 128 << 20] {
    try measure("storage of \(size) bytes, made and freed") { _ = try Storage(byteCount: size) }
  }
  var held: [Storage] = []
  try measure("100 storages of 32 bytes, then freed together; per 100", calls: 100) {
    for _ in 0..<100 { held.append(try Storage(byteCount: 32)) }
    held.removeAll(keepingCapacity: true)
  }
  Allocator.trim()
  try measure("fresh 64 MB, touched", calls: 1, batches: 10) {
    _ = try Storage(byteCount: 64 << 20)
    Allocator.trim()
  }
}

private func benchmarkLaunches() throws {
  let rows = Dim.symbol(0)
  let single = try kernel(nothing, grid: [rows.ceilDivided(by: 1024)], buffers: 3)
  let add = try kernel(addEight, grid: [1], buffers: 3)
  let scratched = try kernel(nothing, grid: [rows], scratch: [rows * 64], buffers: 3)
  let (a, b, c) = (try Storage(byteCount: 32), try Storage(byteCount: 32), try Storage(byteCount: 32))
  let buffers = [a.address, b.address, c.address] as [UnsafeMutableRawPointer?]
  let arguments: [Int64] = [8, 1]
  let existential: any Executable = single
  try measure("launch, one instance, symbolic grid") {
    _ = try existential.run(buffers: buffers, arguments: arguments, work: 96)
  }
  try measure("launch with scratch") { _ = try scratched.run(buffers: buffers, arguments: arguments, work: 96) }
  try measure("add of 8 floats, output allocated") {
    let out = try Storage(byteCount: 32)
    try withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: 3) { pointers in
      (pointers[0], pointers[1], pointers[2]) = (a.address, b.address, out.address)
      _ = try add.run(buffers: pointers.baseAddress.unsafelyUnwrapped, arguments: arguments, work: 96)
    }
  }
  let launch = Launch(single, buffers: [a, b, c].map { BufferReference($0) }, arguments: arguments, work: 96)
  let sequence = LaunchSequence([launch])
  try measure("the same as a sequence: submit and wait") {
    _ = try CPUDriver.shared.wait(try CPUDriver.shared.submit(sequence))
  }
  let wide: [Int64] = [64 << 10, 1]
  try measure("launch on the pool, 64 empty instances") {
    _ = try single.run(buffers: buffers, arguments: wide, work: 1 << 20)
  }
}

private func benchmarkPool() {
  let context = UnsafeMutableRawPointer(bitPattern: 64).unsafelyUnwrapped
  measure("fork and join, hot") { ThreadPool.shared.run(count: 2, grain: 1, context: context) { _, _, _ in } }
  let sleepy = ThreadPool(threadCount: ThreadPool.shared.threadCount, spinMicroseconds: 0)
  measure("fork and join, parked", calls: 100) { sleepy.run(count: 2, grain: 1, context: context) { _, _, _ in } }
  measure("fork and join of 20 us chunks on \(ThreadPool.shared.threadCount) threads", calls: 100) {
    ThreadPool.shared.run(count: ThreadPool.shared.threadCount, grain: 1, context: context) { _, _, _ in
      let start = monotonicNanoseconds()
      while monotonicNanoseconds() - start < 20_000 {}
    }
  }
}

private func benchmarkCache() {
  var template = Array("/tmp/azulejo-bench-XXXXXX".utf8CString)
  let directory = template.withUnsafeMutableBufferPointer { buffer in
    buffer.baseAddress.flatMap(mkdtemp).map { String(cString: $0) }
  }
  guard let directory else { return print("no temporary directory: the cache is not measured") }
  let cache = ObjectCache(directory: directory)
  let object = [UInt8](repeating: 7, count: 20_000)
  for i in 0..<60 { cache.write("entry\(i)", object) }
  measure("60 entries of 20 KB read", calls: 1, batches: 100) {
    for i in 0..<60 where cache.read("entry\(i)") == nil { print("missing entry \(i)") }
  }
  try? cache.clear()
  rmdir(directory)
}

@main struct ExecutionBenchmark {
  static func main() throws {
    try benchmarkMemory()
    try benchmarkLaunches()
    benchmarkPool()
    benchmarkCache()
  }
}

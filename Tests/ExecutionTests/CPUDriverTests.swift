// The CPU driver on phases written as C-callable Swift functions: no code generator is needed to test a launch.
import Basics
import DriverCPU
import Execution
import Synchronization
import TensorTypes
import Testing

/// out[i] = a[i] + b[i] for floats; one instance per 16 elements, argument 0 is the element count.
private let addPhase: CPUExecutable.Function = { buffers, arguments, begin, end, _, _ in
  let (a, b, out) = (floats(buffers, 0), floats(buffers, 1), floats(buffers, 2))
  for i in Int(begin) * 16..<min(Int(end) * 16, Int(arguments[0])) { out[i] = a[i] + b[i] }
}

/// scratch[i] = 2 * a[i]
private let doublePhase: CPUExecutable.Function = { buffers, _, begin, end, _, _ in
  for i in Int(begin)..<Int(end) { floats(buffers, 2)[i] = 2 * floats(buffers, 0)[i] }
}

/// out[i] = scratch[n - 1 - i]: reads what every instance of the phase before wrote.
private let reversePhase: CPUExecutable.Function = { buffers, arguments, begin, end, _, _ in
  for i in Int(begin)..<Int(end) { floats(buffers, 1)[i] = floats(buffers, 2)[Int(arguments[0]) - 1 - i] }
}

/// Faults at the instances 40, 50, ...
private let faultingPhase: CPUExecutable.Function = { _, _, begin, end, _, fault in
  for i in begin..<end where i >= 40 && i % 10 == 0 && fault[0] == 0 {
    (fault[0], fault[1], fault[2], fault[3]) = (1, i, 7 + i, 3)
  }
}

/// Writes its whole arena, then adds its instance number to out[0] if the arena held its own values.
private let arenaPhase: CPUExecutable.Function = { buffers, arguments, begin, end, arena, _ in
  let words = arena.assumingMemoryBound(to: Int64.self)
  for instance in begin..<end {
    for i in 0..<Int(arguments[0]) { words[i] = instance }
    if (0..<Int(arguments[0])).allSatisfy({ words[$0] == instance }) { floats(buffers, 0)[Int(instance)] = 1 }
  }
}
private let arenaBytes: CPUExecutable.ArenaFunction = { $0[0] * 8 }

private func floats(_ buffers: UnsafePointer<UnsafeMutableRawPointer?>, _ index: Int) -> UnsafeMutablePointer<Float> {
  buffers[index].unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
}

private func address(_ symbol: String) -> UnsafeRawPointer? {
  switch symbol {
  case "add": unsafeBitCast(addPhase, to: UnsafeRawPointer.self)
  case "double": unsafeBitCast(doublePhase, to: UnsafeRawPointer.self)
  case "reverse": unsafeBitCast(reversePhase, to: UnsafeRawPointer.self)
  case "faulting": unsafeBitCast(faultingPhase, to: UnsafeRawPointer.self)
  case "arena": unsafeBitCast(arenaPhase, to: UnsafeRawPointer.self)
  case "arenaBytes": unsafeBitCast(arenaBytes, to: UnsafeRawPointer.self)
  default: nil
  }
}

private func image(
  _ phases: [(String, [Dim])], arena: String? = nil, scratch: [Dim] = [], buffers: Int, arguments: Int
) -> ExecutableImage {
  ExecutableImage(
    name: "test", format: .object, code: [],
    phases: phases.map { ExecutableImage.Phase(symbol: $0.0, grid: $0.1) }, arenaSymbol: arena, scratch: scratch,
    bufferCount: buffers, argumentCount: arguments)
}

private let large = 1 << 30
private let count = Dim.symbol(0)

@Suite struct CPUDriverTests {
  let pool = ThreadPool(threadCount: 3, spinMicroseconds: 20)

  private func executable(_ image: ExecutableImage) throws -> CPUExecutable {
    try CPUExecutable(image: image, pool: pool, address: address)
  }

  private func storage(_ values: [Float]) throws -> Storage {
    let storage = try Storage(byteCount: values.count * 4)
    values.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    return storage
  }

  private func values(_ storage: Storage) -> [Float] { Array(storage.bytes.bindMemory(to: Float.self)) }

  @Test(arguments: [0, 8, 16, 1000, 100_003], [0, large])
  func every_instance_runs_once_whatever_the_work(_ n: Int, _ work: Int) throws {
    let add = try executable(image([("add", [count.ceilDivided(by: 16)])], buffers: 3, arguments: 1))
    let a = try storage((0..<n).map { Float($0) })
    let b = try storage((0..<n).map { Float(2 * $0) })
    let out = try storage([Float](repeating: -1, count: n))
    let launch = Launch(add, buffers: [a, b, out].map { BufferReference($0) }, arguments: [Int64(n)], work: work)
    let ticket = try CPUDriver(pool: pool).submit(LaunchSequence([launch]))
    #expect(try CPUDriver(pool: pool).wait(ticket).isEmpty)
    #expect(values(out) == (0..<n).map { Float(3 * $0) })
  }

  @Test func a_phase_sees_all_of_the_phase_before_through_scratch() throws {
    let n = 10_000
    let kernel = try executable(
      image([("double", [count]), ("reverse", [count])], scratch: [count * 4], buffers: 2, arguments: 1))
    let a = try storage((0..<n).map { Float($0) })
    let out = try storage([Float](repeating: 0, count: n))
    let launch = Launch(
      kernel, buffers: [BufferReference(a), BufferReference(out)], arguments: [Int64(n)], work: large)
    _ = try CPUDriver(pool: pool).submit(LaunchSequence([launch]))
    #expect(values(out) == (0..<n).map { Float(2 * (n - 1 - $0)) })
  }

  @Test(arguments: [0, large])
  func the_fault_of_the_lowest_instance_is_reported(_ work: Int) throws {
    let kernel = try executable(image([("faulting", [10_000])], buffers: 0, arguments: 0))
    let quiet = try executable(image([("faulting", [40])], buffers: 0, arguments: 0))
    let launches = [quiet, kernel].map { Launch($0, buffers: [], arguments: [], work: work) }
    let driver = CPUDriver(pool: pool)
    let faults = try driver.wait(try driver.submit(LaunchSequence(launches)))
    #expect(faults == [Fault(kind: .index, launch: 1, phase: 0, instance: 40, index: 47, extent: 3)])
    #expect(faults[0].diagnostic(kernel: "gather").message == "gather: index 47 is outside 0 ..< 3")
  }

  @Test(arguments: [1, 100_000])
  func every_thread_has_an_arena_of_its_own(_ words: Int) throws {
    let kernel = try executable(image([("arena", [50])], arena: "arenaBytes", buffers: 1, arguments: 1))
    let out = try storage([Float](repeating: 0, count: 50))
    let launch = Launch(kernel, buffers: [BufferReference(out)], arguments: [Int64(words)], work: large)
    _ = try CPUDriver(pool: pool).submit(LaunchSequence([launch]))
    #expect(values(out) == [Float](repeating: 1, count: 50))
  }

  @Test func an_overflowing_grid_is_an_error() throws {
    let kernel = try executable(image([("faulting", [count, count])], buffers: 0, arguments: 1))
    let launch = Launch(kernel, buffers: [], arguments: [Int64(1) << 40], work: 0)
    #expect(throws: Diagnostic.self) { try CPUDriver(pool: pool).submit(LaunchSequence([launch])) }
    let negative = Launch(kernel, buffers: [], arguments: [-3], work: 0)
    #expect(throws: Diagnostic.self) { try CPUDriver(pool: pool).submit(LaunchSequence([negative])) }
  }

  @Test func absurd_scratch_and_arenas_are_errors() throws {
    let scratch = try executable(image([("faulting", [1])], scratch: [count * count], buffers: 0, arguments: 1))
    let arena = try executable(image([("faulting", [1])], arena: "arenaBytes", buffers: 0, arguments: 1))
    for kernel in [scratch, arena] {
      for argument in [Int64(1) << 24, 1 << 31, 1 << 50] {
        let launch = Launch(kernel, buffers: [], arguments: [argument], work: 0)
        if kernel === arena, argument == 1 << 24 { continue }  // 128 MB of arena are allowed
        #expect(throws: Diagnostic.self) { try CPUDriver(pool: pool).submit(LaunchSequence([launch])) }
      }
    }
  }

  @Test func a_missing_function_and_a_wrong_count_are_errors() throws {
    #expect(throws: Diagnostic(.compiler, "the code of test has no function gone")) {
      try executable(image([("gone", [1])], buffers: 0, arguments: 0))
    }
    let kernel = try executable(image([("faulting", [1])], buffers: 0, arguments: 0))
    #expect(throws: Diagnostic(.argument, "test takes 0 buffers and 0 arguments, not 0 and 1")) {
      try CPUDriver(pool: pool).submit(LaunchSequence([Launch(kernel, buffers: [], arguments: [1], work: 0)]))
    }
  }

  @Test func a_timed_sequence_has_a_time_per_launch() throws {
    let kernel = try executable(image([("faulting", [30])], buffers: 0, arguments: 0))
    let launch = Launch(kernel, buffers: [], arguments: [], work: 0)
    let ticket = try CPUDriver(pool: pool).submit(LaunchSequence([launch, launch], isTimed: true))
    #expect(ticket.result?.nanoseconds.count == 2)
  }
}

// A kernel's functions in this process and the way to run them.
// Surprise: a single-phase kernel with little work goes from `run` to its function without a lock, an allocation or another
// thread; everything else here serves the large ones.
import Basics
import CHost
import Execution
import TensorTypes

package final class CPUExecutable: Executable {
  package typealias Function =
    @convention(c) (
      _ buffers: UnsafePointer<UnsafeMutableRawPointer?>, _ arguments: UnsafePointer<Int64>, _ begin: Int64,
      _ end: Int64,
      _ arena: UnsafeMutableRawPointer, _ fault: UnsafeMutablePointer<Int64>
    ) -> Void
  package typealias ArenaFunction = @convention(c) (UnsafePointer<Int64>) -> Int64

  private struct Phase: Sendable {
    var function: Function
    /// Extents of the grid.
    var grid: [CompiledDim]
    /// Instances, when they do not depend on arguments.
    var constantCount: Int?
    /// The phase behind those that run at the same time as this one, of which it is the first.
    var end: Int
  }

  // Below this many bytes a fork costs more than it saves.
  static let serialWork = 64 << 10
  // A helper must be worth waking.
  static let workPerHelper = 32 << 10

  package let image: ExecutableImage
  private let phases: [Phase]
  private let arena: ArenaFunction?
  private let scratch: [CompiledDim]
  private let pool: ThreadPool
  /// Keeps the code in place.
  private let owner: (any AnyObject & Sendable)?

  /// - Parameter address: finds a function by its symbol.
  package init(
    image: ExecutableImage, pool: ThreadPool = .shared, owner: (any AnyObject & Sendable)? = nil,
    address: (String) -> UnsafeRawPointer?
  ) throws(Diagnostic) {
    func function(_ symbol: String) throws(Diagnostic) -> UnsafeRawPointer {
      guard let found = address(symbol) else {
        throw Diagnostic(.compiler, "the code of \(image.name) has no function \(symbol)")
      }
      return found
    }
    var phases: [Phase] = []
    for (number, phase) in image.phases.enumerated() {
      var grid: [CompiledDim] = []
      for extent in phase.grid { grid.append(try CompiledDim(extent, argumentCount: image.argumentCount)) }
      let constants = grid.compactMap(\.constant)
      phases.append(
        Phase(
          function: unsafeBitCast(try function(phase.symbol), to: Function.self), grid: grid,
          constantCount: constants.count == grid.count ? Self.instances(constants) : nil,
          end: image.phases[(number + 1)...].firstIndex { !$0.isBeside } ?? image.phases.count))
    }
    self.image = image
    self.phases = phases
    var scratch: [CompiledDim] = []
    for bytes in image.scratch { scratch.append(try CompiledDim(bytes, argumentCount: image.argumentCount)) }
    self.scratch = scratch
    arena = try image.arenaSymbol.map { symbol throws(Diagnostic) in
      unsafeBitCast(try function(symbol), to: ArenaFunction.self)
    }
    self.pool = pool
    self.owner = owner
  }

  package func run(
    buffers: UnsafePointer<UnsafeMutableRawPointer?>, arguments: UnsafePointer<Int64>, work: Int
  ) throws(Diagnostic) -> Fault? {
    Log.write(.launch, "\(image.name) \(describe(arguments)), work \(work)")
    let arenaBytes = arena.map { Int($0(arguments)) } ?? 0
    guard scratch.isEmpty else {
      return try runWithScratch(buffers: buffers, arguments: arguments, arenaBytes: arenaBytes, work: work)
    }
    return try runPhases(buffers: buffers, arguments: arguments, arenaBytes: arenaBytes, work: work)
  }

  @inline(__always) private func runPhases(
    buffers: UnsafePointer<UnsafeMutableRawPointer?>, arguments: UnsafePointer<Int64>, arenaBytes: Int, work: Int
  ) throws(Diagnostic) -> Fault? {
    var next = 0
    while next < phases.count {
      let index = next
      next = phases[index].end
      if next > index + 1 {
        let fault = try runTogether(index..<next, buffers, arguments, arenaBytes, work)
        if let fault { return fault }
        continue
      }
      let count = try instanceCount(index, arguments)
      if count == 0 { continue }
      let fault: Fault?
      if count == 1 || work < Self.serialWork {
        fault = try runHere(index, count, buffers, arguments, arenaBytes)
      } else {
        fault = try runOnPool(index, count, buffers, arguments, arenaBytes, work)
      }
      // The phases behind would read what this one did not write.
      if let fault { return fault }
    }
    return nil
  }

  @inline(__always) private func runHere(
    _ phase: Int, _ count: Int, _ buffers: UnsafePointer<UnsafeMutableRawPointer?>,
    _ arguments: UnsafePointer<Int64>, _ arenaBytes: Int
  ) throws(Diagnostic) -> Fault? {
    let arena = try ThreadArena.address(arenaBytes)
    var words: (Int64, Int64, Int64, Int64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &words) { bytes in
      // The tuple is never empty.
      let fault = bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Int64.self)
      phases[phase].function(buffers, arguments, 0, Int64(count), arena, fault)
    }
    return words.0 == 0 ? nil : makeFault(phase, words)
  }
}

// MARK: The large launches

extension CPUExecutable {
  /// What the threads of one phase share. On the caller's stack.
  private struct Job: ~Copyable {
    var function: Function
    var buffers: UnsafePointer<UnsafeMutableRawPointer?>
    var arguments: UnsafePointer<Int64>
    var arenaBytes: Int
    let lock = SpinLock()
    var fault: (Int64, Int64, Int64, Int64) = (0, 0, 0, 0)
    var error: Diagnostic?

    /// Runs a chunk. Through a pointer: threads share the job, only `fault` and `error` change, under the lock.
    static func run(_ job: UnsafeMutablePointer<Job>, _ begin: Int, _ end: Int) {
      do {
        let arena = try ThreadArena.address(job.pointee.arenaBytes)
        var words: (Int64, Int64, Int64, Int64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { bytes in
          let fault = bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Int64.self)
          job.pointee.function(job.pointee.buffers, job.pointee.arguments, Int64(begin), Int64(end), arena, fault)
        }
        guard words.0 != 0 else { return }
        job.pointee.lock.lock()
        if job.pointee.fault.0 == 0 || words.1 < job.pointee.fault.1 { job.pointee.fault = words }
        job.pointee.lock.unlock()
      } catch {
        job.pointee.lock.lock()
        job.pointee.error = error
        job.pointee.lock.unlock()
      }
    }
  }

  private func runOnPool(
    _ phase: Int, _ count: Int, _ buffers: UnsafePointer<UnsafeMutableRawPointer?>,
    _ arguments: UnsafePointer<Int64>, _ arenaBytes: Int, _ work: Int
  ) throws(Diagnostic) -> Fault? {
    var job = Job(function: phases[phase].function, buffers: buffers, arguments: arguments, arenaBytes: arenaBytes)
    // Many more chunks than threads: the last one to finish is then never late by much.
    let grain = max(1, count / (32 * pool.threadCount))
    withUnsafeMutablePointer(to: &job) { pointer in
      pool.run(count: count, grain: grain, helpers: work / Self.workPerHelper, context: pointer) {
        context, begin, end in
        Job.run(context.assumingMemoryBound(to: Job.self), begin, end)
      }
    }
    if let error = job.error { throw error }
    return job.fault.0 == 0 ? nil : makeFault(phase, job.fault)
  }

  /// What the threads of several phases share.
  private struct Stage: ~Copyable {
    var jobs: UnsafeMutablePointer<Job>
    /// Instances of all phases up to and with each.
    var ends: UnsafePointer<Int>

    /// Runs a chunk of the grids laid end to end.
    static func run(_ stage: UnsafeMutablePointer<Stage>, _ begin: Int, _ end: Int) {
      var (phase, at) = (0, begin)
      while at < end {
        while stage.pointee.ends[phase] <= at { phase += 1 }
        let first = phase == 0 ? 0 : stage.pointee.ends[phase - 1]
        let last = min(end, stage.pointee.ends[phase])
        Job.run(stage.pointee.jobs + phase, at - first, last - first)
        at = last
      }
    }
  }

  /// Phases without a barrier between them, as one grid.
  private func runTogether(
    _ range: Range<Int>, _ buffers: UnsafePointer<UnsafeMutableRawPointer?>, _ arguments: UnsafePointer<Int64>,
    _ arenaBytes: Int, _ work: Int
  ) throws(Diagnostic) -> Fault? {
    var ends: [Int] = []
    for phase in range { ends.append((ends.last ?? 0) + (try instanceCount(phase, arguments))) }
    let total = ends[ends.count - 1]
    let jobs = UnsafeMutablePointer<Job>.allocate(capacity: range.count)
    for (i, phase) in range.enumerated() {
      (jobs + i).initialize(
        to: Job(function: phases[phase].function, buffers: buffers, arguments: arguments, arenaBytes: arenaBytes))
    }
    defer {
      jobs.deinitialize(count: range.count)
      jobs.deallocate()
    }
    ends.withUnsafeBufferPointer { ends in
      // There are at least two phases.
      var stage = Stage(jobs: jobs, ends: ends.baseAddress.unsafelyUnwrapped)
      withUnsafeMutablePointer(to: &stage) { pointer in
        guard work >= Self.serialWork else { return Stage.run(pointer, 0, total) }
        let grain = max(1, total / (32 * pool.threadCount))
        pool.run(count: total, grain: grain, helpers: work / Self.workPerHelper, context: pointer) {
          context, begin, end in
          Stage.run(context.assumingMemoryBound(to: Stage.self), begin, end)
        }
      }
    }
    for (i, phase) in range.enumerated() {
      if let error = jobs[i].error { throw error }
      if jobs[i].fault.0 != 0 { return makeFault(phase, jobs[i].fault) }
    }
    return nil
  }

  package func scratchBytes(_ arguments: [Int64]) -> Int? {
    var total = 0
    for program in scratch {
      guard
        let next = try? arguments.withUnsafeBufferPointer({ values throws(Diagnostic) in
          // Without arguments nobody reads them.
          try end(of: program, from: total, values.baseAddress ?? UnsafePointer(bitPattern: 8).unsafelyUnwrapped)
        })
      else { return nil }
      total = next
    }
    return total
  }

  /// Scratch of all phases is one block, cut in order.
  private func runWithScratch(
    buffers: UnsafePointer<UnsafeMutableRawPointer?>, arguments: UnsafePointer<Int64>, arenaBytes: Int, work: Int
  ) throws(Diagnostic) -> Fault? {
    var total = 0
    for program in scratch { total = try end(of: program, from: total, arguments) }
    let block = try ScratchPool.shared.take(total)
    defer { ScratchPool.shared.give(block) }
    let count = image.bufferCount
    return try withTemporaryPointers(count + scratch.count) { pointers throws(Diagnostic) in
      pointers.update(from: buffers, count: count)
      var offset = 0
      for (index, program) in scratch.enumerated() {
        pointers[count + index] = block.address + offset
        offset = try end(of: program, from: offset, arguments)
      }
      return try runPhases(buffers: pointers, arguments: arguments, arenaBytes: arenaBytes, work: work)
    }
  }

  private func end(
    of program: CompiledDim, from start: Int, _ arguments: UnsafePointer<Int64>
  ) throws(Diagnostic) -> Int {
    guard let bytes = program.value(arguments), bytes >= 0, bytes <= 1 << 45, start <= 1 << 45 else {
      throw Diagnostic(.memory, "\(image.name): scratch for \(describe(arguments)) is no size of memory")
    }
    // A line of padding between neighbours; vector loads may run over an end.
    return (start + bytes + 2 * SizeClass.padding - 1) & ~(SizeClass.padding - 1)
  }

  private func instanceCount(_ phase: Int, _ arguments: UnsafePointer<Int64>) throws(Diagnostic) -> Int {
    if let constant = phases[phase].constantCount { return constant }
    var count = 1
    for program in phases[phase].grid {
      guard let extent = program.value(arguments), extent >= 0,
        case let (product, overflow) = count.multipliedReportingOverflow(by: extent), !overflow
      else { throw Diagnostic(.shape, "\(image.name): the grid for \(describe(arguments)) is no number") }
      count = product
    }
    return count
  }

  /// nil if the product is no number; it is then found again, and reported, at the launch.
  private static func instances(_ extents: [Int]) -> Int? {
    var count = 1
    for extent in extents {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else { return nil }
      count = product
    }
    return count
  }

  private func describe(_ arguments: UnsafePointer<Int64>) -> String {
    "arguments [" + (0..<image.argumentCount).map { "\(arguments[$0])" }.joined(separator: ", ") + "]"
  }

  private func makeFault(_ phase: Int, _ words: (Int64, Int64, Int64, Int64)) -> Fault {
    Fault(
      kind: Fault.Kind(rawValue: words.0) ?? .index, phase: phase, instance: Int(words.1), index: Int(words.2),
      extent: Int(words.3))
  }
}

/// Typed errors do not pass through the standard library's function.
private func withTemporaryPointers<Result>(
  _ count: Int, _ body: (UnsafeMutablePointer<UnsafeMutableRawPointer?>) throws(Diagnostic) -> Result
) throws(Diagnostic) -> Result {
  let outcome = withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: max(1, count)) { pointers in
    Swift.Result<Result, Diagnostic> { () throws(Diagnostic) in
      pointers.initialize(repeating: nil)
      return try body(pointers.baseAddress.unsafelyUnwrapped)
    }
  }
  return try outcome.get()
}

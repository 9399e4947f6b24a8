// Plans on disk: found again by another engine, never believed when anything about them is not as it was.
// Surprise: an engine with a cache of its own stands for a process; that processes agree is tested with processes.
import Backends
import Basics
import Execution
import Foundation
import GraphIR
import TensorTypes
import Tensors
import TestSupport
import Testing

@testable import Engine

private func numbers(_ count: Int, _ shape: [Int], _ seed: Int) -> Tensor {
  Tensor((0..<count).map { Float(($0 * 37 + seed * 11) % 29) * 0.05 - 0.7 }, shape: shape)
}

/// Two blocks of a model of rows of 32, captured for any number of rows; scaled weights are folded.
private func model() throws -> Trace.Piece {
  let trace = Trace("model", symbols: [(name: "s0", hint: 6, minimum: 2)]) { _, _, _, _ throws(Diagnostic) in
    throw Diagnostic(.compiler, "nothing leaves this capture")
  }
  defer { trace.close() }
  var x = Tensor(try trace.parameter(0, "x", TensorType(.f32, Shape([.symbol(0), 32]))))
  for layer in 0..<2 {
    let up = Tensor(trace.lifted(try numbers(32 * 48, [32, 48], layer).view)) * 0.5
    let down = numbers(48 * 32, [48, 32], layer + 7)
    x = x + x.softmax().matmul(up).gelu().matmul(down)
  }
  return try trace.piece(try trace.values([try x.view]))
}

private func engine(_ cache: ObjectCache, key: String? = nil) throws -> Engine {
  var backend = try Backend.make(.cpu)
  if let key { backend.key = key }
  return Engine(backend, cache: cache)
}

private func run(_ piece: CompiledPiece, rows: Int = 6) throws -> [Float] {
  let x = numbers(rows * 32, [rows, 32], 3)
  let parameters = try piece.sources.map { source in
    if case .constant(let view) = source { view } else { try x.view }
  }
  let result = try Engine.current.memory(.f32, piece.graph.extents(0, [Int64(rows)]))
  try piece.graph.run(parameters, [Int64(rows)], into: [result])
  return try Tensor(result).array(as: Float.self)
}

@Suite struct PlanStoreTests {
  @Test func another_engine_finds_the_plan_and_computes_the_same() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    let made = try engine(cache).compile(try model(), fuses: true)
    let found = try engine(cache).compile(try model(), fuses: true)
    #expect(!made.wasStored && found.wasStored)
    #expect(made.key == found.key)
    #expect(found.graph.record == made.graph.record)
    #expect(found.sources.count == made.sources.count)
    for rows in [2, 6, 33] { #expect(try run(found, rows: rows) == run(made, rows: rows)) }
    #expect(try scratch.files(".plan").count == 1)
    #expect(cache.statistics.plans == 1)
    // Not fused is another plan.
    #expect(try !engine(cache).compile(try model(), fuses: false).wasStored)
    #expect(cache.statistics.plans == 2)
  }

  @Test func the_account_of_a_found_plan_is_that_of_the_made_one() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    let first = try engine(cache)
    let made = try first.compile(try model(), fuses: true)
    let found = try engine(cache).compile(try model(), fuses: true)
    let account = try found.graph.accounted()
    #expect(try account.graph == made.graph.accounted().graph)
    #expect(try account.schedule.text() == made.graph.accounted().schedule.text())
    let keys = try account.schedule.steps.map { try first.kernels.executable($0.kernel).key }
    #expect(PlanRecord(account, [:], keys: keys) == found.graph.record)
  }

  // Processes have hash seeds of their own: whatever depends on them would differ here.
  @Test func two_processes_with_empty_caches_write_equal_bytes() async throws {
    var caches: [[String: [UInt8]]] = []
    for _ in 0..<2 {
      let scratch = try ScratchFolder()
      await #expect(processExitsWith: .success) { [path = scratch.path as String] in
        _ = try engine(ObjectCache(directory: path)).compile(try model(), fuses: true)
      }
      caches.append(try scratch.contents())
    }
    #expect(caches[0].count > 3)
    #expect(caches[0] == caches[1])
  }

  @Test func processes_that_share_an_empty_cache_leave_one_whole_plan() async throws {
    let scratch = try ScratchFolder()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<2 {
        group.addTask { [path = scratch.path as String] in
          await #expect(processExitsWith: .success) { [path = path as String] in
            _ = try engine(ObjectCache(directory: path)).compile(try model(), fuses: true)
          }
        }
      }
    }
    #expect(try engine(ObjectCache(directory: scratch.path)).compile(try model(), fuses: true).wasStored)
    #expect(try scratch.files(".partial").isEmpty)
  }

  @Test func a_damaged_plan_is_made_again() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    let wanted = try run(try engine(cache).compile(try model(), fuses: true))
    let name = try #require(try scratch.files(".plan").first)
    let whole = try scratch.bytes(name)
    for position in [0, 9, 40, whole.count / 2, whole.count - 1] {
      for damaged in [Array(whole[..<position]), whole.enumerated().map { $0 == position ? $1 ^ 4 : $1 }] {
        try scratch.write(damaged, name)
        let again = try engine(cache).compile(try model(), fuses: true)
        #expect(!again.wasStored, "byte \(position)")
        #expect(try run(again) == wanted)
        #expect(try scratch.bytes(name) == whole)
      }
    }
  }

  @Test func a_plan_whose_kernel_is_gone_is_made_again() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    _ = try engine(cache).compile(try model(), fuses: true)
    let kernels = try scratch.files(".kernel")
    #expect(kernels.count > 2)
    for name in kernels {
      try FileManager.default.removeItem(atPath: "\(scratch.path)/\(name)")
      #expect(try !engine(cache).compile(try model(), fuses: true).wasStored)
      #expect(try engine(cache).compile(try model(), fuses: true).wasStored)
    }
  }

  // Of another processor, compiler or build: the key differs, and the plan says for whom it is besides.
  @Test func a_plan_of_another_processor_is_not_used_even_under_the_right_name() throws {
    let (scratch, others) = (try ScratchFolder(), try ScratchFolder())
    let (cache, other) = (ObjectCache(directory: scratch.path), ObjectCache(directory: others.path))
    let key = try #require(try engine(cache).compile(try model(), fuses: true).key)
    let foreign = try #require(try engine(other, key: "cpu of another kind").compile(try model(), fuses: true).key)
    #expect(key != foreign)
    let payload = try #require(other.read(foreign, .plan))
    cache.write(key, payload, .plan)
    #expect(try !engine(cache).compile(try model(), fuses: true).wasStored)
    #expect(try engine(cache).compile(try model(), fuses: true).wasStored)
  }

  @Test func a_plan_of_another_processor_is_told_when_the_cache_is_checked() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    _ = try engine(cache, key: "another processor").compile(model(), fuses: true)
    let here = try engine(cache)
    let unusable = cache.unusable { here.objection(to: $0, $1) }
    let plan = try #require(try scratch.files(".plan").first)
    #expect(unusable.map(\.path) == ["\(scratch.path)/\(plan)"])
    #expect(unusable.first?.reason.contains("another processor") == true)
    let other = try engine(cache, key: "another processor")
    #expect(cache.unusable { other.objection(to: $0, $1) }.isEmpty)
  }

  @Test func a_plan_that_must_be_there_and_is_not_is_an_error_with_its_file() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    func required(_ cache: ObjectCache) throws -> CompiledPiece {
      let (engine, model) = (try engine(cache), try model())
      return try StoredPlans.$areRequired.withValue(true) { try engine.compile(model, fuses: true) }
    }
    let none = #expect(throws: Diagnostic.self) { try required(cache) }
    #expect(none?.kind == .cache && none?.message.contains("model has no plan in \(scratch.path)") == true)
    #expect(none?.message.contains("0 plans") == true && none?.remedy?.contains("AZULEJO_PLANS=require") == true)
    // Of another processor: nothing was made, and the file is named.
    _ = try engine(cache, key: "another processor").compile(try model(), fuses: true)
    let files = try scratch.files()
    let plan = try #require(files.first { $0.hasSuffix(".plan") })
    let foreign = #expect(throws: Diagnostic.self) { try required(cache) }
    #expect(foreign?.message.contains("\(scratch.path)/\(plan): it is for the processor another processor") == true)
    #expect(try scratch.files() == files)
    // Of another build, whose plans are laid out otherwise.
    var writer = EntryWriter()
    writer.append(PieceRecord.version + 1)
    writer.append("another build")
    writer.append(try engine(cache).head("model").processor)
    writer.append("model")
    cache.write(String(plan.dropLast(5)), writer.bytes, .plan)
    let old = #expect(throws: Diagnostic.self) { try required(cache) }
    #expect(old?.message.contains("\(plan): it was made by build another build") == true)
    // Whole, and then without a kernel.
    _ = try engine(cache).compile(try model(), fuses: true)
    #expect(try required(cache).wasStored)
    for kernel in try scratch.files(".kernel") {
      try FileManager.default.removeItem(atPath: "\(scratch.path)/\(kernel)")
    }
    let bare = #expect(throws: Diagnostic.self) { try required(cache) }
    #expect(bare?.message.contains(".plan: its kernel") == true && bare?.message.contains("is gone") == true)
    let off = #expect(throws: Diagnostic.self) { try required(ObjectCache(directory: nil)) }
    #expect(off?.message.contains("the cache is off") == true)
  }

  @Test func a_cache_that_cannot_be_written_changes_nothing() throws {
    let scratch = try ScratchFolder()
    try scratch.write([1], "file")
    let good = try run(try engine(ObjectCache(directory: nil)).compile(try model(), fuses: true))
    let blocked = try engine(ObjectCache(directory: "\(scratch.path)/file"))
    #expect(try run(try blocked.compile(try model(), fuses: true)) == good)
    let full = ObjectCache(directory: scratch.path) { _, _, _ in
      errno = ENOSPC
      return -1
    }
    #expect(try run(try engine(full).compile(try model(), fuses: true)) == good)
    #expect(try scratch.files() == ["file"])
  }

  // Any answer is fine but a crash, a huge allocation or a record that points outside itself.
  @Test func any_bytes_are_a_consistent_record_or_an_error() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    let piece = try model()
    let made = try engine(cache).compile(piece, fuses: true)
    let key = try #require(made.key)
    let bytes = try #require(cache.read(key, .plan))
    func read(_ bytes: [UInt8], _ head: PieceRecord.Head) -> PieceRecord? {
      try? PieceRecord(serialised: bytes, for: head, sourceCount: piece.sources.count)
    }
    let head = try engine(cache).head("model")
    var otherHead = head
    otherHead.build += " "
    let whole = try #require(read(bytes, head))
    #expect(whole.serialised() == bytes)
    #expect(read(bytes, otherHead) == nil)
    var refused = 0
    for position in bytes.indices {
      #expect(read(Array(bytes[..<position]), head) == nil)
      for value in [0, 1, 2, 7, 0x7f, 0x80, 0xff] as [UInt8] where bytes[position] != value {
        var damaged = bytes
        damaged[position] = value
        guard let record = read(damaged, head) else {
          refused += 1
          continue
        }
        for plan in [record.frozen, record.rest].compactMap({ $0 }) { plan.expectConsistency() }
        #expect(record.frozenSources.allSatisfy { $0 < piece.sources.count })
        #expect(record.restSources.allSatisfy { $0 < piece.sources.count })
      }
    }
    #expect(refused > bytes.count)
    #expect(read(bytes + [0], head) == nil)
  }

  /// Processes that are ended at any moment while they fill a cache harm nobody who uses it after them.
  @Test(arguments: 0..<20) func a_process_ended_at_any_moment_leaves_a_cache_that_is_whole(_ round: Int) async throws {
    let scratch = try ScratchFolder()
    // From before the first capture to behind the last entry.
    let microseconds = 500 + round * round * 1200
    await #expect(processExitsWith: .signal(SIGALRM)) {
      [path = scratch.path as String, microseconds = microseconds as Int] in
      var timer = itimerval()
      timer.it_value.tv_sec = time_t(microseconds / 1_000_000)
      timer.it_value.tv_usec = suseconds_t(microseconds % 1_000_000)
      #if canImport(Glibc)
        setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
      #else
        setitimer(ITIMER_REAL, &timer, nil)
      #endif
      // Until the alarm: entries again and again, as starts that find each other's.
      while true {
        let cache = ObjectCache(directory: path)
        _ = try run(engine(cache).compile(try model(), fuses: true))
        try cache.clear()
      }
    }
    let cache = ObjectCache(directory: scratch.path)
    #expect(cache.unusable { _, _ in nil }.isEmpty)
    let after = try run(engine(cache).compile(try model(), fuses: true))
    #expect(try after == run(engine(ObjectCache(directory: nil)).compile(try model(), fuses: true)))
  }
}

extension PlanRecord {
  fileprivate func expectConsistency() {
    #expect(steps.allSatisfy { kernels.indices.contains($0.kernel) && slots.indices.contains($0.buffers) })
    #expect(slots.allSatisfy { (0..<parameterCount + outputs.count + temporaries.count).contains($0.base) })
    #expect(memoryPlan.blocks.count == temporaries.count)
  }
}

extension Range where Bound == Int {
  /// Every element of `inner` is in here.
  fileprivate func contains(_ inner: Range<Int>) -> Bool {
    lowerBound <= inner.lowerBound && inner.upperBound <= upperBound
  }
}

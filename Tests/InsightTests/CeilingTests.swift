// The measuring kernels compute what their amounts claim; the machine card survives its file.
// No test measures anything. Surprise: amounts of multiply-adds are read off the sums, which must add up exactly.
import Backends
import Basics
import Execution
import Foundation
import Targets
import TestSupport
import Testing
import TileIR

@testable import Insight

/// Runs a kernel once on f32 buffers; gives the last one.
private func output(
  _ kernel: Kernel, code: String? = nil, _ buffers: [[Float]], _ arguments: [Int64]
) throws -> [Float] {
  let backend = try Backend.make(.cpu)
  let image = if let code { try backend.image(kernel, code: code) } else { try backend.image(kernel) }
  let executable = try backend.driver.load(image)
  let storages = try buffers.map { values in
    let storage = try backend.driver.allocate(byteCount: values.count * 4)
    values.withUnsafeBytes { storage.address.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    return storage
  }
  let launch = Launch(executable, buffers: storages.map { BufferReference($0) }, arguments: arguments, work: 1 << 30)
  let faults = try backend.driver.wait(backend.driver.submit(LaunchSequence([launch])))
  #expect(faults.isEmpty)
  let last = try #require(storages.last)
  let count = buffers[buffers.count - 1].count
  return Array(UnsafeBufferPointer(start: last.address.assumingMemoryBound(to: Float.self), count: count))
}

@Suite struct CeilingTests {
  @Test func streams_are_added() throws {
    let n = 2 * CeilingKernels.block
    let x = (0..<n).map { Float($0 % 1000) }
    let kernel = CeilingKernels.stream(.init(read: 3, written: 1), pastCaches: true)
    let y = try output(kernel, [x, x, x, [Float](repeating: -1, count: n)], [Int64(n)])
    #expect(y == x.map { 3 * $0 })
  }

  @Test func reading_alone_sums_blocks() throws {
    let n = 3 * CeilingKernels.block
    let kernel = CeilingKernels.stream(.init(read: 1, written: 0), pastCaches: true)
    let sums = try output(kernel, [[Float](repeating: 1, count: n), [0, 0, 0]], [Int64(n)])
    #expect(sums == [Float](repeating: Float(CeilingKernels.block), count: 3))
  }

  @Test func resident_parts_are_read_as_often_as_told() throws {
    let sums = try output(
      CeilingKernels.resident(threads: 2), [[Float](repeating: 1, count: 2 * 256), [0, 0]], [256, 5])
    #expect(sums == [1200, 1200])
  }

  @Test func wide_products_do_what_they_count() throws {
    let target = TargetDescription.host
    // Two bf16 ones in each word: every sum grows by 2 in an instruction.
    if let made = CeilingKernels.product(.bf16, target, threads: 2) {
      let ones = [Float](repeating: Float(bitPattern: 0x3f80_3f80), count: 16)
      let sums = try output(made.kernel, code: made.code, [ones, [Float](repeating: 0, count: 32)], [10])
      let products = 2 * 10 * made.operations / 2
      #expect(sums.reduce(0, +) == Float(products))
    }
    // Four bytes of 1: every sum grows by 4.
    if let made = CeilingKernels.product(.int8, target, threads: 2) {
      let ones = [Float](repeating: Float(bitPattern: 0x0101_0101), count: 16)
      let sums = try output(made.kernel, code: made.code, [ones, [Float](repeating: 0, count: 32)], [10])
      let products = 2 * 10 * made.operations / 2
      let total: Int = sums.map { Int($0.bitPattern) }.reduce(0, +)
      #expect(total == products)
    }
  }

  @Test func a_processor_without_the_instruction_has_no_wide_product() {
    #expect(CeilingKernels.product(.bf16, .x86Version3, threads: 2) == nil)
    #expect(CeilingKernels.product(.int8, .x86Version4, threads: 2) == nil)
  }

  @Test(.needs(.ceilings)) func a_load_moves_what_it_says_and_no_more_than_there_is() throws {
    let ceilings = try Ceilings()
    let small = try ceilings.memory(.init(read: 1, written: 1), bytes: 1 << 22)
    #expect(small.amount == Double(1 << 22))
    try small.run()
    let products = try #require(try ceilings.products(.f32, rounds: 10))
    let operations = 2 * 24 * TargetDescription.host.lanes * 10 * ceilings.threads
    #expect(products.amount == Double(operations))
    try products.run()
  }
}

@Suite struct MachineCardTests {
  static let card = MachineCard(
    processor: TargetDescription.x86Version3.cacheKey, threads: 2, read: 45e9, copy: 42e9,
    mixes: [.init(read: 1, written: 1): 55e9, .init(read: 2, written: 1): 54e9, .init(read: 0, written: 1): 41e9],
    level2: 460e9, level3: 180e9, level3Bytes: 32 << 20, f32: 500e9, bf16: 1000e9, int8: nil)

  @Test func json_keeps_everything() throws {
    let text = "\(Self.card.json)"
    #expect(MachineCard(json: try JSON(parsing: text)) == Self.card)
  }

  @Test func another_version_or_a_missing_member_is_no_card() throws {
    let text = "\(Self.card.json)"
    #expect(MachineCard(json: try JSON(parsing: text.replacing("\"version\": 1", with: "\"version\": 0"))) == nil)
    #expect(MachineCard(json: try JSON(parsing: text.replacing("\"level3\"", with: "\"level4\""))) == nil)
    #expect(MachineCard(json: .null) == nil)
  }

  @Test(arguments: [
    ("\"read\": 45000000000.0", "\"read\": 1e300"), ("\"f32\": 500000000000.0", "\"f32\": -1"),
    ("\"threads\": 2", "\"threads\": 9223372036854775807"), ("\"threads\": 2", "\"threads\": 0"),
    ("\"level3_bytes\": 33554432", "\"level3_bytes\": -1"),
    ("\"read\": 1, \"written\": 1", "\"read\": 9223372036854775807, \"written\": 9223372036854775807"),
    ("\"bandwidth\": 55000000000.0", "\"bandwidth\": 1e19"), ("\"bf16\": 1000000000000.0", "\"bf16\": \"fast\""),
  ])
  func numbers_of_no_machine_are_no_card(_ member: String, _ replacement: String) throws {
    let text = "\(Self.card.json)"
    #expect(text.contains(member), "\(text)")
    #expect(MachineCard(json: try JSON(parsing: text.replacing(member, with: replacement))) == nil)
  }

  @Test func the_file_is_found_by_processor_and_threads() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "card-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #expect(MachineCard.stored(for: .x86Version3, threads: 2, in: folder) == nil)
    let path = try #require(try Self.card.store(in: folder))
    #expect(MachineCard.stored(for: .x86Version3, threads: 2, in: folder) == Self.card)
    #expect(MachineCard.stored(for: .x86Version3, threads: 4, in: folder) == nil)
    #expect(MachineCard.stored(for: .zen5, threads: 2, in: folder) == nil)
    try Data("{".utf8).write(to: URL(filePath: path))
    #expect(MachineCard.stored(for: .x86Version3, threads: 2, in: folder) == nil)
  }

  @Test func without_a_directory_nothing_is_kept() throws {
    #expect(try Self.card.store(in: nil) == nil)
    #expect(MachineCard.stored(for: .x86Version3, threads: 2, in: nil) == nil)
  }

  @Test func a_directory_that_cannot_be_made_is_named() throws {
    let error = #expect(throws: Diagnostic.self) { try Self.card.store(in: "/proc/nowhere") }
    #expect(error?.message.contains("/proc/nowhere") == true)
  }

  @Test func bandwidth_is_that_of_the_nearest_mix() {
    #expect(Self.card.bandwidth(read: 100, written: 0) == 45e9)
    #expect(Self.card.bandwidth(read: 100, written: 90) == 55e9)
    #expect(Self.card.bandwidth(read: 200, written: 95) == 54e9)
    #expect(Self.card.bandwidth(read: 0, written: 7) == 41e9)
    #expect(Self.card.bandwidth(read: 100, written: 3) == 45e9)
  }
}

// Mapping, bounds, releasing pages, and writing whole files or none.

import Basics
import Foundation
import TensorTypes
import TestSupport
import Testing

@testable import Formats

struct MappedFileTests {
  @Test func missing_empty_and_odd_files_are_named() throws {
    let folder = try ScratchFolder()
    expectDiagnostic(.file, "nothing", "no such file") { _ = try MappedFile(path: folder.path("nothing")) }
    expectDiagnostic(.file, folder.path, "directory") { _ = try MappedFile(path: folder.path) }
    expectDiagnostic(.file, "empty") { _ = try MappedFile(path: try folder.write([])) }
    expectDiagnostic(.file, "not a regular file") { _ = try MappedFile(path: "/dev/null") }
    expectDiagnostic(.file, "cannot open") { _ = try MappedFile(path: try folder.write([1]) + "/below") }
    // A pipe without a writer: opening it must not wait for one.
    #expect(mkfifo(folder.path("pipe"), 0o600) == 0)
    expectDiagnostic(.file, "not a regular file") { _ = try MappedFile(path: folder.path("pipe")) }
  }

  @Test(.enabled(if: geteuid() != 0, "root may read everything"))
  func unreadable_files_are_named() throws {
    let folder = try ScratchFolder()
    let path = try folder.write([1])
    #expect(chmod(path, 0) == 0)
    expectDiagnostic(.file, "permission denied") { _ = try MappedFile(path: path) }
  }

  @Test func reads_are_little_endian_unaligned_and_checked() throws {
    let folder = try ScratchFolder()
    let file = try MappedFile(path: folder.write([1, 2, 3, 4, 5]))
    #expect(file.count == 5)
    #expect(try file.load(UInt8.self, at: 4) == 5)
    #expect(try file.load(UInt32.self, at: 1) == 0x0504_0302)
    expectDiagnostic(.format, "4 bytes at 2", "has 5") { _ = try file.load(UInt32.self, at: 2) }
    expectDiagnostic(.format, "8 bytes at 0") { _ = try file.load(UInt64.self, at: 0) }
    expectDiagnostic(.format, "at -1") { _ = try file.load(UInt8.self, at: -1) }
    expectDiagnostic(.format, "at 6") { _ = try file.load(UInt8.self, at: 6) }
    expectDiagnostic(.format, "\(Int.max)") { _ = try file.load(UInt16.self, at: .max) }
    #expect(try file.bytes(in: 1..<3).copied(as: UInt8.self) == [2, 3])
    #expect(try file.bytes(in: 5..<5).count == 0)
    expectDiagnostic(.format, "3..<6", "5") { _ = try file.bytes(in: 3..<6) }
    expectDiagnostic(.format, "-1..<6") { _ = try file.bytes(in: -1..<6) }
    let window = try file.bytes(in: 1..<4)
    #expect(try window.bytes(in: 1..<3).range == 2..<4)
    expectDiagnostic(.format, "0..<4", "3") { _ = try window.bytes(in: 0..<4) }
    #expect(window.copied(as: UInt16.self) == [0x0302])
    #expect(file.bytes.isAligned(to: 64))
    #expect(!window.isAligned(to: 2))
  }

  #if os(Linux)
    @Test func released_pages_leave_memory_and_come_back() throws {
      let folder = try ScratchFolder()
      let count = 8 << 20
      let path = try folder.write([UInt8](repeating: 7, count: count))
      let file = try MappedFile(path: path)
      func touch() -> Int {
        file.bytes.withUnsafeBytes { bytes in stride(from: 0, to: count, by: 4096).reduce(0) { $0 + Int(bytes[$1]) } }
      }
      let expected = 7 * (count / 4096)
      #expect(touch() == expected)
      let touched = try residentBytes(of: path)
      #expect(touched == count)
      file.bytes.release()
      #expect(try residentBytes(of: path) == 0)
      file.release(-10..<(count + 10))
      file.release(count..<count + 1)
      file.prefetch(0..<count)
      for far in [count, Int.max - 1, 1 << 62] {
        file.prefetch(far..<Int.max)
        file.release(far..<Int.max)
        file.prefetch(Int.min..<far)
      }
      #expect(touch() == expected)
    }

    /// Bytes of the mapping of `path` that this process has in memory.
    private func residentBytes(of path: String) throws -> Int {
      let handle = try #require(FileHandle(forReadingAtPath: "/proc/self/smaps"))
      var text = Data()
      // Piece by piece: such files have no size, and Foundation reads only the first page of them at once.
      while let piece = try handle.read(upToCount: 4096), !piece.isEmpty { text += piece }
      let map = String(decoding: text, as: UTF8.self).split(separator: "\n")
      var isInside = false, bytes = 0
      for line in map {
        // Headers of mappings start with an address range, their fields with a capital.
        if line.first?.isUppercase == false { isInside = line.hasSuffix(path) }
        if isInside, line.hasPrefix("Rss:") { bytes += 1024 * (Int(line.split(separator: " ")[1]) ?? 0) }
      }
      return bytes
    }
  #endif

  @Test func a_window_keeps_its_file_alive() throws {
    let folder = try ScratchFolder()
    var window: MappedBytes? = try MappedFile(path: folder.write([4, 5, 6])).bytes(in: 1..<3)
    weak let file = window?.file
    #expect(window?.copied(as: UInt8.self) == [5, 6])
    #expect(file != nil)
    window = nil
    #expect(file == nil)
  }

  @Test func a_replaced_file_keeps_its_old_bytes_while_mapped() throws {
    let folder = try ScratchFolder()
    let path = folder.path("x.safetensors")
    func write(_ value: Float) throws {
      try SafetensorsWriter.write([OutgoingTensor("x", .f32, [1], elements: [value])], to: path)
    }
    try write(1)
    let old = try SafetensorsFile(path: path)
    try write(2)
    #expect(try old.tensor("x").floats() == [1])
    #expect(try SafetensorsFile(path: path).tensor("x").floats() == [2])
  }

  @Test func an_error_while_writing_leaves_the_old_file_and_no_other() throws {
    let folder = try ScratchFolder()
    let path = try folder.write([1, 2, 3], "x.safetensors")
    let failing = OutgoingTensor("x", .f32, [2]) { sink throws(Diagnostic) in
      try sink(UnsafeRawBufferPointer(start: nil, count: 0))
      throw Diagnostic(.memory, "no more")
    }
    expectDiagnostic(.memory, "no more") { try SafetensorsWriter.write([failing], to: path) }
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data([1, 2, 3]))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["x.safetensors"])
    expectDiagnostic(.file, "cannot be written", "folder") {
      try SafetensorsWriter.write([], to: folder.path("none/x.safetensors"))
    }
  }

  @Test func a_full_disk_is_an_error_and_leaves_no_half_file() async throws {
    // In a child process: a limit on file sizes stands in for the full disk and would hit other tests too.
    await #expect(processExitsWith: .success) {
      let folder = try ScratchFolder()
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
      #expect(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
      let large = OutgoingTensor("x", .u8, [200_000], elements: [UInt8](repeating: 1, count: 200_000))
      for write in [
        { try SafetensorsWriter.write([large], to: folder.path("x")) },
        { try NpzWriter.write([large], to: folder.path("x")) },
        { try NpyArray.write(large, to: folder.path("x")) },
      ] {
        expectDiagnostic(.file, "writing failed", "nothing was changed") { try write() }
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }
  }
}

// Files that appear whole or not at all: what they may replace, and what a process that ends early leaves behind.

import Basics
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Formats

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct AtomicFileTests {
  /// A folder of its own for `body`, with what is in it by name.
  private func inFolder(_ body: (String, () throws -> [String]) throws -> Void) throws {
    let folder = try ScratchFolder()
    try body(folder.path) { try folder.files() }
  }

  @Test func what_is_no_file_is_never_replaced() throws {
    try inFolder { folder, names in
      #expect(mkfifo("\(folder)/pipe", 0o600) == 0)
      try FileManager.default.createDirectory(atPath: "\(folder)/folder", withIntermediateDirectories: false)
      try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "pipe")
      for name in ["pipe", "folder", "link"] {
        let error = #expect(throws: Diagnostic.self) {
          try Tensor.save(["x": Tensor([1, 2] as [Float])], to: "\(folder)/\(name)")
        }
        #expect(error?.kind == .file && error?.message.contains("\(folder)/\(name): is a") == true, "\(name)")
      }
      var status = stat()
      #expect(lstat("\(folder)/pipe", &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
      #expect(try names() == ["folder", "link", "pipe"])
    }
  }

  // Where files need a name from the start, writers that are killed leave whole files; they must not grow in number.
  @Test func what_ended_writers_left_goes_and_nothing_else() throws {
    try inFolder { folder, names in
      let old = ["file.1-2.part", "file.77-4294967295.part"]
      let kept = ["file.1-2.part.x", "file.a-2.part", "file.part", "other.1-2.part", "file.1-2-3.part"]
      for name in old + kept + ["file.5-5.part", "file.6-6.part"] {
        try Data([1]).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
        // One is young, as that of a writer at work.
        guard name != "file.5-5.part" else { continue }
        var times = [timespec(tv_sec: 1_000_000, tv_nsec: 0), timespec(tv_sec: 1_000_000, tv_nsec: 0)]
        utimensat(AT_FDCWD, "\(folder)/\(name)", &times, 0)
      }
      // One is old, and its writer lives.
      let held = open("\(folder)/file.6-6.part", O_RDONLY)
      defer { close(held) }
      #expect(flock(held, LOCK_EX | LOCK_NB) == 0)
      try Tensor.save(["x": Tensor([1] as [Float])], to: "\(folder)/file")
      #expect(try Set(names()) == Set(kept + ["file", "file.5-5.part", "file.6-6.part"]))
    }
  }

  @Test func a_file_and_a_link_to_one_are_replaced_and_nothing_else_stays() throws {
    try inFolder { folder, names in
      for round in [1, 2] {
        try Tensor.save(["x": Tensor([Float(round)] as [Float])], to: "\(folder)/file")
        #expect(try names() == ["file"])
      }
      try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "file")
      try Tensor.save(["x": Tensor([3] as [Float])], to: "\(folder)/link")
      #expect(try names() == ["file", "link"])
      #expect(try Tensor.load("\(folder)/file")["x"]?.array() as [Float]? == [2])
      #expect(try Tensor.load("\(folder)/link")["x"]?.array() as [Float]? == [3])
    }
  }

  #if os(Linux)
    @Test func a_file_being_written_has_no_name_that_a_killed_process_could_leave() throws {
      try inFolder { folder, names in
        var seen: [String]?
        let outgoing = OutgoingTensor("x", .f32, [1]) { sink throws(Diagnostic) in
          seen = try? FileManager.default.contentsOfDirectory(atPath: folder)
          try [Float(1)].withUnsafeBufferPointer { buffer throws(Diagnostic) in
            try sink(UnsafeRawBufferPointer(buffer))
          }
        }
        try SafetensorsWriter.write([outgoing], to: "\(folder)/file")
        #expect(seen == [])
        #expect(try names() == ["file"])
      }
    }
  #endif

  @Test func the_signal_of_a_file_too_large_becomes_an_error() {
    // What the system does to a thread that writes beyond the limit; without care it ends the process.
    let (count, code) = withoutSizeSignal {
      pthread_kill(pthread_self(), SIGXFSZ)
      errno = EFBIG
      return -1
    }
    #expect(count == -1 && code == EFBIG)
    let fine = withoutSizeSignal { 7 }
    #expect(fine.count == 7)
  }
}

// GGUF models in several files: joined from any part, and every way of not being whole.

import Basics
import Foundation
import TestSupport
import Testing

@testable import Formats

struct GGUFPartsTests {
  private let folder: ScratchFolder
  init() throws { folder = try ScratchFolder() }

  /// One tensor of one element for each name.
  /// - Parameters:
  ///   - lacks: a key that is left out.
  ///   - more: metadata of other kinds, with integers of 32 bits.
  private func part(
    _ index: Int, of count: Int, _ names: [String], total: Int, lacks: String? = nil, more: [(String, Int32)] = []
  ) -> [UInt8] {
    let keys = ["split.no", "split.count", "split.tensors.count"].filter { $0 != lacks }
    var gguf = GGUFBytes(
      tensors: UInt64(names.count), metadata: UInt64(keys.count + more.count + (index == 0 ? 1 : 0)))
    for (key, value) in zip(["split.no", "split.count"], [index, count]) where key != lacks {
      gguf.metadata(key, 2)
      gguf.add(UInt16(value))
    }
    for (key, value) in (lacks == "split.tensors.count" ? [] : [("split.tensors.count", Int32(total))]) + more {
      gguf.metadata(key, 5)
      gguf.add(value)
    }
    if index == 0 {
      gguf.metadata("general.architecture", 8)
      gguf.add("llama")
    }
    for (place, name) in names.enumerated() { gguf.tensor(name, [1], offset: UInt64(32 * place)) }
    gguf.pad()
    for place in names.indices {
      gguf.add(Float(10 * index + place).bitPattern)
      gguf.pad()
    }
    return gguf.bytes
  }

  private func write(_ bytes: [UInt8], _ name: String) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: folder.path(name)))
    return folder.path(name)
  }

  @Test func all_parts_are_joined_whichever_is_opened() throws {
    var paths: [String] = []
    for (index, names) in [["a", "b"], [], ["c"]].enumerated() {
      paths.append(try write(part(index, of: 3, names, total: 3), "m-0000\(index + 1)-of-00003.gguf"))
    }
    for path in paths {
      let file = try GGUFFile(path: path)
      #expect(file.tensors.map(\.name) == ["a", "b", "c"])
      #expect(try ["a", "b", "c"].map { try file.tensor($0).floats()[0] } == [0, 1, 20])
      #expect(try file.string("general.architecture") == "llama")
      #expect(file.file.path == paths[0])
    }
  }

  @Test func parts_that_do_not_make_a_model_are_refused() throws {
    let first = try write(part(0, of: 2, ["a"], total: 2), "m-00001-of-00002.gguf")
    expectDiagnostic(.file, "part 1 of 2", "m-00002-of-00002.gguf", "no such file", "one folder") {
      _ = try GGUFFile(path: first)
    }
    _ = try write(part(1, of: 2, ["a"], total: 2), "m-00002-of-00002.gguf")
    expectDiagnostic(.format, "'a'", "is in", "too") { _ = try GGUFFile(path: first) }
    _ = try write(part(1, of: 2, ["b", "c"], total: 2), "m-00002-of-00002.gguf")
    expectDiagnostic(.format, "hold 3 tensors, 2 were promised") { _ = try GGUFFile(path: first) }
    _ = try write(part(0, of: 2, ["b"], total: 2), "m-00002-of-00002.gguf")
    expectDiagnostic(.format, "m-00002-of-00002.gguf", "part 2 of 2") { _ = try GGUFFile(path: first) }
    let renamed = try write(part(0, of: 2, ["a"], total: 2), "renamed.gguf")
    expectDiagnostic(.format, "renamed.gguf", "-00001-of-00002.gguf") { _ = try GGUFFile(path: renamed) }
    let outside = try write(part(2, of: 2, ["a"], total: 2), "m-00003-of-00002.gguf")
    expectDiagnostic(.format, "'split.no'", "0..<2") { _ = try GGUFFile(path: outside) }
    let alone = try write(part(0, of: 1, ["a"], total: 1), "alone.gguf")
    #expect(try GGUFFile(path: alone).tensors.count == 1)
  }

  /// Every way to put something into a later part that the first one does not say.
  @Test func what_a_later_part_says_by_itself_is_refused_and_repetitions_are_not() throws {
    func path(_ index: Int) -> String { "m-0000\(index + 1)-of-00003.gguf" }
    func write(_ parts: [[UInt8]]) throws -> [String] {
      try parts.enumerated().map { try self.write($1, path($0)) }
    }
    let names = [["a"], ["b"], ["c"]]
    let same = try write((0..<3).map { part($0, of: 3, names[$0], total: 3, more: [("llama.block_count", 7)]) })
    for path in same { #expect(try GGUFFile(path: path).integer("llama.block_count") == 7) }
    for later in 1...2 {
      for first in [[("llama.block_count", Int32(7))], []] {
        let paths = try write(
          (0..<3).map {
            part($0, of: 3, names[$0], total: 3, more: $0 == 0 ? first : $0 == later ? [("llama.block_count", 8)] : [])
          })
        for opened in paths {
          expectDiagnostic(.format, path(later), "'llama.block_count'", "first part", path(0)) {
            _ = try GGUFFile(path: opened)
          }
        }
      }
      let paths = try write((0..<3).map { part($0, of: 3, names[$0], total: $0 == later ? 4 : 3) })
      expectDiagnostic(.format, path(later), "'split.tensors.count'") { _ = try GGUFFile(path: paths[0]) }
    }
  }

  @Test func a_part_that_does_not_say_which_it_is_is_no_whole_model() throws {
    for key in ["split.no", "split.count"] {
      let path = try write(part(1, of: 3, ["a"], total: 3, lacks: key), "m-00002-of-00003.gguf")
      expectDiagnostic(.format, "'\(key)'") { _ = try GGUFFile(path: path) }
    }
    // Alone it says, but more tensors were promised.
    for count in 0...1 {
      let path = try write(part(0, of: count, ["a"], total: 3), "alone.gguf")
      expectDiagnostic(.format, "holds 1 tensors, 3 were promised") { _ = try GGUFFile(path: path) }
      let second = try write(part(1, of: count, ["a"], total: 1), "second.gguf")
      expectDiagnostic(.format, "'split.no'") { _ = try GGUFFile(path: second) }
    }
  }

  @Test func a_damaged_part_is_to_be_fetched_again_not_moved() throws {
    let first = try write(part(0, of: 2, ["a"], total: 2), "m-00001-of-00002.gguf")
    _ = try write(Array(part(1, of: 2, ["b"], total: 2).dropLast(40)), "m-00002-of-00002.gguf")
    expectDiagnostic(.format, "part 2 cannot be read", "fetch it again") { _ = try GGUFFile(path: first) }
  }
}

// GGUF models in several files: joined from any part, and every way of not being whole.

import Basics
import Foundation
import Testing

@testable import Formats

struct GGUFPartsTests {
  private let folder: ScratchFolder
  init() throws { folder = try ScratchFolder() }

  /// One tensor of one element for each name.
  private func part(_ index: Int, of count: Int, _ names: [String], total: Int) -> [UInt8] {
    var gguf = GGUFBytes(tensors: UInt64(names.count), metadata: index == 0 ? 4 : 3)
    gguf.metadata("split.no", 2)
    gguf.add(UInt16(index))
    gguf.metadata("split.count", 2)
    gguf.add(UInt16(count))
    gguf.metadata("split.tensors.count", 5)
    gguf.add(Int32(total))
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
}

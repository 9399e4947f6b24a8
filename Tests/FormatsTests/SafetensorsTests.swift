// safetensors: hostile headers refused with both values, written files read back.

import Basics
import Foundation
import TensorTypes
import TestSupport
import Testing

@testable import Formats

struct SafetensorsTests {
  private func file(_ header: String, data: Int = 0, claimed: UInt64? = nil) throws -> SafetensorsFile {
    let count = claimed ?? UInt64(header.utf8.count)
    let bytes = withUnsafeBytes(of: count.littleEndian) { [UInt8]($0) } + Array(header.utf8)
    return try SafetensorsFile(
      file: MappedFile(guarding: bytes + [UInt8](repeating: 0, count: data), named: "x.safetensors"))
  }

  private func entry(_ dtype: String, _ shape: String, _ offsets: String) -> String {
    "{\"dtype\":\"\(dtype)\",\"shape\":[\(shape)],\"data_offsets\":[\(offsets)]}"
  }

  @Test func headers_that_lie_about_their_length_are_refused() {
    expectDiagnostic(.format, "header length", "8 bytes") {
      _ = try SafetensorsFile(file: MappedFile(guarding: [1, 2], named: "x"))
    }
    expectDiagnostic(.format, "18446744073709551615", "100000000") { _ = try file("{}", claimed: .max) }
    expectDiagnostic(.format, "needs 3 bytes", "2 are left") { _ = try file("{}", claimed: 3) }
    expectDiagnostic(.format, "'{'") { _ = try file("", data: 4, claimed: 0) }
  }

  @Test(arguments: [
    ("[]", "'{'"), ("{", "cannot be read"), ("{}}", "cannot be read"), ("{} x", "cannot be read"),
    ("{\"a\":1}", "'a' is not an object"), ("{\"a\":{}}", "'dtype' is missing"), ("{\"a\":null}", "'a'"),
    ("{\"a\":{\"dtype\":\"F32\"}}", "'data_offsets' is missing"),
    ("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,0]}}", "'shape' is missing"),
    ("{\"__metadata__\":{\"k\":1}}", "__metadata__ 'k' is not a string"),
    ("{\"__metadata__\":[]}", "__metadata__ is not an object"),
    ("{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}", "'k' comes twice"),
    ("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,0]}}", "'dtype' comes twice"),
    ("{\"a\":\u{1}}", "cannot be read"), ("{\"a", "cannot be read"),
  ])
  func headers_that_are_not_what_they_should_be_are_refused(_ header: String, _ part: String) {
    expectDiagnostic(.format, "x.safetensors", part) { _ = try file(header) }
  }

  @Test func a_million_brackets_do_not_exhaust_the_stack() {
    let brackets = "{\"a\":{\"more\":" + String(repeating: "[", count: 1_000_000)
    expectDiagnostic(.format, "cannot be read", "nested deeper") { _ = try file(brackets) }
  }

  /// Each ends in what is no JSON: whoever had read on, and kept what came, would complain of that.
  @Test(arguments: [
    ("{\"a\":[0", "'a' is not an object"),
    ("{\"a\":\"", "'a' is not an object"),
    ("{\"a\":{\"dtype\":[0", "'dtype' is missing or not a string"),
    ("{\"a\":{\"shape\":{\"b\":0", "'shape' is missing or not an array"),
    ("{\"a\":{\"shape\":[[0", "'shape' holds something else than integers"),
    ("{\"a\":{\"shape\":[" + String(repeating: "0,", count: 64) + "0", "'shape' holds more than 64 integers"),
    ("{\"__metadata__\":[0", "__metadata__ is not an object"),
    ("{\"__metadata__\":{\"k\":[0", "__metadata__ 'k' is not a string"),
    ("{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},\"a\":{", "'a' comes twice"),
  ])
  func a_header_is_refused_where_it_stops_being_one(_ start: String, _ part: String) {
    expectDiagnostic(.format, part) { _ = try file(start + ",\u{1}") }
  }

  @Test func members_that_nobody_asks_for_are_passed_over() throws {
    let entry = "\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]"
    for more in ["1e5", "null", "true", "\"x\"", "[1, [2, {\"a\": []}]]", "{\"dtype\": 1}"] {
      #expect(try file("{\"a\":{\"more\": \(more), \(entry)}}", data: 1).tensors.map(\.name) == ["a"])
    }
  }

  @Test(arguments: [
    ("F32", "2,3", "0,23", 23, "needs 6 x 4 bytes, data_offsets give 23"),
    ("F32", "2,3", "0,28", 28, "needs 6 x 4 bytes, data_offsets give 28"),
    ("F32", "2", "0,8", 7, "ends at byte 8 of the data, which has 7"),
    ("F32", "2", "0,8", 9, "end at byte 8 of the data, which has 9"),
    ("F32", "2", "1,9", 9, "leave a hole"),
    ("F32", "2", "8,0", 8, "are no range"),
    ("F32", "2", "0", 8, "are no range"),
    ("F32", "2", "0,4,8", 8, "are no range"),
    ("F32", "2", "-8,0", 8, "integers from 0"),
    ("F32", "-2", "0,8", 8, "integers from 0"),
    ("F32", "4611686018427387904,4", "0,8", 8, "too large"),
    ("F32", "4611686018427387904", "0,8", 8, "too large"),
    ("F32", "0,9223372036854775807,2", "0,0", 0, "too large"),
    ("F32", "99999999999999999999", "0,8", 8, "integers from 0"),
    ("F32", "1.5", "0,8", 8, "integers from 0"),
    ("F32", "\"2\"", "0,8", 8, "integers from 0"),
    ("F32", "2", "0,1e30", 8, "integers from 0"),
    ("U16", "2", "0,3", 3, "needs 2 x 2 bytes"),
    ("F4", "3", "0,2", 2, "needs 3 x 4 bits, data_offsets give 2 bytes"),
    ("F6_E3M2", "4", "0,4", 4, "needs 4 x 6 bits, data_offsets give 4 bytes"),
  ])
  func entries_that_lie_are_refused(
    _ dtype: String, _ shape: String, _ offsets: String, _ data: Int, _ part: String
  ) {
    expectDiagnostic(.format, "x.safetensors", part) {
      _ = try file("{\"a\":\(entry(dtype, shape, offsets))}", data: data)
    }
  }

  @Test func a_name_that_comes_twice_is_refused() {
    let header = "{\"a\":\(entry("F32", "1", "0,4")),\"a\":\(entry("F32", "1", "4,8"))}"
    expectDiagnostic(.format, "'a' comes twice") { _ = try file(header, data: 8) }
  }

  /// Names are Swift strings, which are equal where they look the same: the files are whole, so that is what is said.
  @Test func names_that_only_look_the_same_are_told_apart_in_what_is_said() throws {
    let names = ["\u{E9}", "e\u{301}"]
    let spellings = "two spellings that look the same (U+E9 and U+301)"
    let entries = names.enumerated().map { "\"\($1)\":\(entry("U8", "1", "\($0),\($0 + 1)"))" }
    expectDiagnostic(.format, spellings) { _ = try file("{\(entries.joined(separator: ","))}", data: 2) }
    let metadata = names.map { "\"\($0)\":\"\"" }.joined(separator: ",")
    expectDiagnostic(.format, spellings) { _ = try file("{\"__metadata__\":{\(metadata)}}") }
    let folder = try ScratchFolder()
    let arrays = names.map { OutgoingTensor($0, .u8, [1], elements: [0] as [UInt8]) }
    expectDiagnostic(.argument, spellings) { try SafetensorsWriter.write(arrays, to: folder.path("x")) }
    expectDiagnostic(.argument, spellings) { try NpzWriter.write(arrays, to: folder.path("x")) }
    // "xxx" becomes the other spelling of "\u{E9}" in the written archive, whose names no checksum covers.
    try NpzWriter.write([arrays[0], OutgoingTensor("xxx", .u8, [1], elements: [0] as [UInt8])], to: folder.path("x"))
    var zip = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.path("x"))))
    for start in zip.indices where zip[start...].starts(with: "xxx.npy".utf8) {
      zip.replaceSubrange(start..<start + 3, with: names[1].utf8)
    }
    expectDiagnostic(.format, spellings) { _ = try NpzFile(file: MappedFile(guarding: zip, named: "x.npz")) }
  }

  @Test func metadata_that_is_null_is_none() throws {
    #expect(try file("{\"__metadata__\":null}").metadata.isEmpty)
  }

  @Test func tensors_that_overlap_are_refused() {
    let header = "{\"a\":\(entry("F32", "2", "0,8")),\"b\":\(entry("F32", "1", "4,8"))}"
    expectDiagnostic(.format, "'b'", "starts at byte 4", "expected 8", "overlap") { _ = try file(header, data: 8) }
  }

  @Test func unknown_dtypes_are_listed_and_only_fail_when_read() throws {
    let header =
      "{\"a\":\(entry("F8_E8M0", "3", "0,3")),\"b\":\(entry("F4", "4", "3,5")),"
      + "\"c\":\(entry("F6_E2M3", "2,2", "5,8")),\"d\":\(entry("NEW", "9", "8,9"))}"
    let file = try file(header, data: 9)
    let names = ["F8_E8M0", "F4", "F6_E2M3", "NEW"]
    #expect(file.tensors.map(\.encoding) == names.map { .unsupported($0) })
    #expect(try file.tensor("b").bytes.count == 2)
    expectDiagnostic(.format, "F8_E8M0") { _ = try file.tensor("a").denseDType() }
    expectDiagnostic(.format, "F4") { _ = try file.tensor("b").floats() }
  }

  @Test func unaligned_tensors_are_flagged_and_still_read() throws {
    let header = "{\"a\":\(entry("U8", "1", "0,1")),\"b\":\(entry("F32", "1", "1,5"))}"
    let folder = try ScratchFolder()
    let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    let bytes = withUnsafeBytes(of: UInt64(padded.utf8.count).littleEndian) { [UInt8]($0) } + Array(padded.utf8)
    let file = try SafetensorsFile(path: folder.write(bytes + [9, 0, 0, 0x80, 0x3f]))
    #expect(try file.tensor("a").isAligned)
    #expect(try !file.tensor("b").isAligned)
    #expect(try file.tensor("b").floats() == [1])
  }

  @Test func written_files_read_back_aligned_and_in_full() throws {
    let folder = try ScratchFolder()
    let path = folder.path("x.safetensors")
    let odd = "quote \" backslash \\ newline \n ção 🧱 \u{1}"
    try SafetensorsWriter.write(
      [
        OutgoingTensor("u8", .u8, [3], elements: [1, 2, 3] as [UInt8]),
        OutgoingTensor(odd, .f64, [2, 1], elements: [1.5, -2] as [Double]),
        OutgoingTensor("bf16", .bf16, [], elements: [0x3f80] as [UInt16]),
        OutgoingTensor("empty", .i32, [0, 7], elements: [] as [Int32]),
        OutgoingTensor("pieces", .f32, [2]) { sink throws(Diagnostic) in
          for value in [3, 4] as [Float] {
            let piece = [value]
            try piece.withUnsafeBufferPointer { buffer throws(Diagnostic) in
              try sink(UnsafeRawBufferPointer(buffer))
            }
          }
        },
      ], metadata: ["b": odd, "a": ""], to: path)
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == ["b": odd, "a": ""])
    #expect(file.tensors.map(\.name) == [odd, "empty", "pieces", "bf16", "u8"])
    #expect(file.tensors.allSatisfy { $0.isAligned })
    #expect(try file.tensor(odd).floats() == [1.5, -2])
    #expect(try file.tensor("bf16").floats() == [1])
    #expect(try file.tensor("bf16").shape == [])
    #expect(try file.tensor("pieces").floats() == [3, 4])
    #expect(try file.tensor("empty").shape == [0, 7])
    #expect(try file.tensor("u8").floats() == [1, 2, 3])
  }

  @Test func a_file_without_tensors_round_trips() throws {
    let folder = try ScratchFolder()
    try SafetensorsWriter.write([], to: folder.path("x"))
    #expect(try SafetensorsFile(path: folder.path("x")).tensors.isEmpty)
  }

  @Test func recorded_tensors_copied_to_a_new_file_are_equal() throws {
    let source = try SafetensorsFile(path: RecordedFiles.path("dtypes.safetensors"))
    let readable = source.tensors.filter { $0.encoding != .unsupported("F8_E8M0") }
    let folder = try ScratchFolder()
    try SafetensorsWriter.write(
      readable.map { try OutgoingTensor($0) }, metadata: source.metadata, to: folder.path("x"))
    let copy = try SafetensorsFile(path: folder.path("x"))
    #expect(copy.metadata == source.metadata)
    for tensor in readable {
      let other = try copy.tensor(tensor.name)
      #expect(other.shape == tensor.shape)
      #expect(other.encoding == tensor.encoding)
      #expect(other.bytes.copied(as: UInt8.self) == tensor.bytes.copied(as: UInt8.self))
    }
    expectDiagnostic(.format, "E8M0") { _ = try OutgoingTensor(source.tensor("E8M0")) }
  }

  @Test func tensors_that_cannot_be_written_are_refused() throws {
    let folder = try ScratchFolder()
    func write(_ tensors: OutgoingTensor...) throws { try SafetensorsWriter.write(tensors, to: folder.path("x")) }
    let one = OutgoingTensor("a", .f32, [1], elements: [0] as [Float])
    expectDiagnostic(.argument, "the tensor 'a' comes twice") { try write(one, one) }
    expectDiagnostic(.argument, "__metadata__") {
      try write(OutgoingTensor("__metadata__", .f32, [1], elements: [0] as [Float]))
    }
    expectDiagnostic(.argument, "[-1]") { try write(OutgoingTensor("a", .f32, [-1], elements: [] as [Float])) }
    expectDiagnostic(.argument, "has 4 bytes", "8 were given") {
      try write(OutgoingTensor("a", .f32, [1], elements: [0, 1] as [Float]))
    }
    expectDiagnostic(.argument, "has 8 bytes, 4 were given") {
      try write(OutgoingTensor("a", .f32, [2], elements: [0] as [Float]))
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }
}

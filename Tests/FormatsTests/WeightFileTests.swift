// Files are recognised by what they start with, and wrong ones are named.

import Foundation
import TestSupport
import Testing

@testable import Formats

struct WeightFileTests {
  @Test func formats_are_recognised_whatever_the_extension() throws {
    let folder = try ScratchFolder()
    let gguf = try folder.write(RecordedFiles.bytes("quantized.gguf"), "a.safetensors")
    guard case .gguf(let file) = try WeightFile.open(gguf) else { throw Failure() }
    #expect(file.tensors.count == 52)
    let safetensors = try folder.write(RecordedFiles.bytes("dtypes.safetensors"), "b.gguf")
    let opened = try WeightFile.open(safetensors)
    guard case .safetensors = opened else { throw Failure() }
    #expect(opened.tensors.count == 18)
    #expect(try opened.tensor("F32").shape == [2, 3])
    expectDiagnostic(.format, "no tensor 'x'") { _ = try opened.tensor("x") }
  }

  /// The programs of Formats.docc, the writer's first.
  @Test func the_documented_programs_do_what_their_comments_say() throws {
    let folder = try ScratchFolder()
    let path = folder.path("model.safetensors")
    try SafetensorsWriter.write(
      [OutgoingTensor("linear.weight", .f32, [2, 3], elements: [1, 2, 3, 4, 5, 6] as [Float])], to: path)

    let weights = try WeightFile.open(path)
    let tensor = try weights.tensor("linear.weight")
    #expect(tensor.shape == [2, 3])
    #expect(tensor.encoding == .dense(.f32))
    let values = try tensor.floats()
    #expect(values == [1, 2, 3, 4, 5, 6])
    tensor.bytes.release()
    #expect(try tensor.floats() == values)
  }

  private struct Failure: Error {}

  @Test(arguments: [
    ("Once upon a time there was a model", "starts with \"Once upon a time there w\""),
    ("short", "starts with \"short\""),
    ("version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
    ("<!DOCTYPE html><html>", "web page"), ("<HTML><body>", "web page"),
    ("PK\u{3}\u{4}aaaaaaaaaaaa", "zip archive"), ("lmgg", "before GGUF"), ("GGU", "starts with \"GGU\""),
    ("{\"config\": 1}", "starts with"),
  ])
  func other_files_are_named_by_what_they_start_with(_ text: String, _ part: String) throws {
    let folder = try ScratchFolder()
    let path = try folder.write(Array(text.utf8), "model.gguf")
    expectDiagnostic(.format, path, "is not a GGUF or safetensors file", part) { _ = try WeightFile.open(path) }
  }

  @Test func binary_files_are_shown_in_hexadecimal() throws {
    let folder = try ScratchFolder()
    let path = try folder.write([0x7f, 0x45, 0x4c, 0x46, 0x02, 0x01, 0, 0, 0, 0], "model.gguf")
    expectDiagnostic(.format, "starts with 7f 45 4c 46 02 01 00 00") { _ = try WeightFile.open(path) }
    let pickle = try folder.write([0x80, 0x02, 0x7d], "model.bin")
    expectDiagnostic(.format, "pickle", "80 02 7d") { _ = try WeightFile.open(pickle) }
  }

  @Test func missing_files_are_file_errors() {
    expectDiagnostic(.file, "no such file") { _ = try WeightFile.open("/nonexistent/model.gguf") }
  }
}

// Tensors into a file and back.
import Foundation
import Formats
import Tensors
import Testing

@Test func saved_tensors_load_with_equal_elements() throws {
  let path = FileManager.default.temporaryDirectory.appending(path: "azulejo-\(UUID()).safetensors").path
  defer { try? FileManager.default.removeItem(atPath: path) }
  let weight = Tensor((0..<12).map { Float($0) }, shape: [3, 4])
  let ids = Tensor([5, -7] as [Int64])
  try Tensor.save(["weight": weight.transposed(), "ids": ids, "none": Tensor([] as [Float])], to: path)
  let loaded = try Tensor.load(path)
  #expect(loaded.keys.sorted() == ["ids", "none", "weight"])
  #expect(try loaded["weight"]?.array() as [Float]? == weight.transposed().array())
  #expect(loaded["weight"]?.shape.description == "[4, 3]")
  #expect(try loaded["ids"]?.array() as [Int64]? == [5, -7])
  #expect(try loaded["none"]?.array() as [Float]? == [])
}

@Test func a_loaded_tensor_is_copied_before_it_is_written() throws {
  let path = FileManager.default.temporaryDirectory.appending(path: "azulejo-\(UUID()).safetensors").path
  defer { try? FileManager.default.removeItem(atPath: path) }
  try Tensor.save(["x": Tensor([1, 2, 3] as [Float])], to: path)
  var x = try #require(try Tensor.load(path)["x"])
  x += 1
  #expect(try x.array() as [Float] == [2, 3, 4])
  #expect(try Tensor.load(path)["x"]?.array() as [Float]? == [1, 2, 3])
}

@Test func a_failed_tensor_is_not_saved() throws {
  let path = FileManager.default.temporaryDirectory.appending(path: "azulejo-\(UUID()).safetensors").path
  let failed = Tensor([1, 2] as [Float]).reshaped(3)
  expectDiagnostic(.shape, "'x'", "cannot be saved") { try Tensor.save(["x": failed], to: path) }
  #expect(!FileManager.default.fileExists(atPath: path))
}

@Test func what_was_loaded_is_saved_with_its_metadata() throws {
  let folder = FileManager.default.temporaryDirectory.appending(path: "azulejo-\(UUID())").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  let text = ["format": "pt", "quoted": "a \"b\"\n\u{1f9f1}"]
  try Tensor.save(["x": Tensor([1, 2] as [Float])], metadata: text, to: "\(folder)/a.safetensors")
  var loaded = try Tensor.load("\(folder)/a.safetensors")
  loaded["y"] = Tensor([3] as [Float])
  try Tensor.save(loaded, to: "\(folder)/b.safetensors")
  #expect(try SafetensorsFile(path: "\(folder)/b.safetensors").metadata == text)
  let dictionary: [String: Tensor] = try Tensor.load("\(folder)/b.safetensors")
  #expect(dictionary.keys.sorted() == ["x", "y"])
}

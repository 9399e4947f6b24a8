// Tensors into a file and back.
import Basics
import Formats
import Foundation
import TensorTypes
import Tensors
import TestSupport
import Testing

@Test func saved_tensors_load_with_equal_elements() throws {
  let folder = try ScratchFolder()
  let path = folder.path("x.safetensors")
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
  let folder = try ScratchFolder()
  let path = folder.path("x.safetensors")
  try Tensor.save(["x": Tensor([1, 2, 3] as [Float])], to: path)
  var x = try #require(try Tensor.load(path)["x"])
  x += 1
  #expect(try x.array() as [Float] == [2, 3, 4])
  #expect(try Tensor.load(path)["x"]?.array() as [Float]? == [1, 2, 3])
}

@Test func a_failed_tensor_is_not_saved() throws {
  let folder = try ScratchFolder()
  let path = folder.path("x.safetensors")
  let failed = Tensor([1, 2] as [Float]).reshaped(3)
  expectDiagnostic(.shape, "'x'", "cannot be saved") { try Tensor.save(["x": failed], to: path) }
  #expect(!FileManager.default.fileExists(atPath: path))
}

@Test func what_was_loaded_is_saved_with_its_metadata() throws {
  let scratch = try ScratchFolder()
  let folder = scratch.path
  let text = ["format": "pt", "quoted": "a \"b\"\n\u{1f9f1}"]
  try Tensor.save(["x": Tensor([1, 2] as [Float])], metadata: text, to: "\(folder)/a.safetensors")
  var loaded = try Tensor.load("\(folder)/a.safetensors")
  loaded["y"] = Tensor([3] as [Float])
  try Tensor.save(loaded, to: "\(folder)/b.safetensors")
  #expect(try SafetensorsFile(path: "\(folder)/b.safetensors").metadata == text)
  let dictionary: [String: Tensor] = try Tensor.load("\(folder)/b.safetensors")
  #expect(dictionary.keys.sorted() == ["x", "y"])
}

/// However a tensor lies in memory, a file holds its elements in the order of its shape.
@Test(arguments: DType.allCases)
func views_are_saved_as_they_look(dtype: DType) throws {
  let folder = try ScratchFolder()
  let x = Tensor((0..<24).map { Float($0) }, shape: [2, 3, 4]).converted(to: dtype)
  let views = [
    "whole": x, "transposed": x.transposed(), "row": x[0][1], "element": x[1][2][3], "part": x[0..., 1..., 2...],
    "expanded": x[0][0].expanded(3, 4), "empty": x[0..<0], "folded": x.reshaped(4, 6).transposed(),
    "inner": x.flattened()[5..<9], "flipped": x.flipped([0]),
  ]
  try Tensor.save(views, to: folder.path("x.safetensors"))
  let loaded = try Tensor.load(folder.path("x.safetensors"))
  #expect(loaded.tensors.count == views.count)
  for (name, view) in views {
    let wanted = try view.converted(to: .f32).array() as [Float]
    let read = try #require(loaded[name])
    #expect(read.dtype == dtype && read.shape == view.shape, "\(name)")
    #expect(try read.converted(to: .f32).array() as [Float] == wanted, "\(name)")
    // NumPy has no bf16 and no 8-bit floats.
    if dtype == .bf16 || dtype == .f8e4m3fn || dtype == .f8e5m2 { continue }
    try NpyArray.write(OutgoingTensor(name, view), to: folder.path("x.npy"))
    let array = try NpyArray(path: folder.path("x.npy")).tensor()
    #expect(array.dtype == dtype && array.shape == view.shape, "\(name)")
    #expect(try array.converted(to: .f32).array() as [Float] == wanted, "\(name)")
  }
}

// What a program may write that imports Azulejo and nothing else of it. Not behaviour, which is tested in the layers.
// Surprise: that this file compiles is the test; it must not import a layer.
import Azulejo
import Testing

private struct Cache: Tree {
  var keys: Tensor
  var length: Dim = 0
  mutating func visit(_ v: inout Visitor) {
    v("keys", &keys)
    v("length", &length)
  }
}
private let append = compile(updating: Cache.self) { (cache: inout Cache, row: Tensor, count: Dim) in
  cache.keys[cache.length..<(cache.length + count)] = row
  cache.length += count
}
private func zeros(_ dims: [Dim], as dtype: DType = .f32, on device: Device? = nil) -> Tensor {
  .zeros(dims, dtype: dtype)
}
private func diagnosed(_ body: () throws -> Void) -> Diagnostic.Kind? {
  do { try body() } catch let mistake as Diagnostic { return mistake.kind } catch { return nil }
  return nil
}
private func words(_ generator: TextGenerator) -> Tokenizer { generator.tokenizer }

@Test func one_import_names_every_public_type_of_the_layers() throws {
  var cache = Cache(keys: zeros([4]))
  try append(&cache, Tensor([1, 2] as [Float]), 2)
  #expect(try cache.keys.array(as: Float.self) == [1, 2, 0, 0] && cache.length.value == 2)
  #expect(diagnosed { _ = try zeros([2]).matmul(zeros([3])).array(as: Float.self) } == .shape)
  #expect(DType.allCases.contains(zeros([1], as: .f16).dtype))
}

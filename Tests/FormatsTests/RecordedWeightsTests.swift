// Files written by the reference implementations read back as those implementations say.

import TensorTypes
import Tensors
import Testing

@testable import Formats

struct RecordedWeightsTests {
  @Test(arguments: QuantizedFormat.all.map { $0.name } + ["F16", "BF16", "I32"])
  func every_gguf_encoding_decodes_as_recorded(_ name: String) throws {
    let file = try GGUFFile(path: RecordedFiles.path("quantized.gguf"))
    let tensor = try file.tensor(name)
    let expected = try file.tensor(name + ".expected")
    #expect(tensor.encoding.description.lowercased() == name.lowercased())
    #expect(tensor.shape == expected.shape)
    // Bit for bit: the recorded decoder multiplies in the same order.
    #expect(try tensor.floats().map(\.bitPattern) == expected.floats().map(\.bitPattern))
  }

  @Test func gguf_metadata_of_every_type_is_read() throws {
    let file = try GGUFFile(path: RecordedFiles.path("quantized.gguf"))
    #expect(file.version == 3)
    #expect(file.alignment == 64)
    #expect(file.dataOffset % 64 == 0)
    #expect(file.tensors.allSatisfy { ($0.bytes.offset - file.dataOffset) % 64 == 0 && $0.isAligned })
    #expect(file.keys.first == "general.architecture")
    #expect(try file.string("general.architecture") == "fixture")
    #expect(try file.integer("t.u8") == 200)
    #expect(try file.integer("t.i8") == -100)
    #expect(try file.integer("t.u16") == 60000)
    #expect(try file.integer("t.i16") == -30000)
    #expect(try file.integer("t.u32") == 4_000_000_000)
    #expect(try file.integer("t.i32") == -2_000_000_000)
    #expect(try file.integer("t.i64") == -(1 << 62))
    #expect(try file.number("t.f32") == 0.15625)
    #expect(try file.number("t.f64") == 1e300)
    #expect(try file.bool("t.bool"))
    #expect(try file.string("t.string") == "azulejo ção 🧱")
    #expect(try file.array("t.integers").integers() == [1, -2, 3])
    #expect(try file.array("t.floats").floats() == [0.5, -0.25])
    #expect(try file.array("t.strings").strings() == ["a", "", "ß"])
    let nested = try file.array("t.nested").values().map { try #require($0.array).integers() }
    #expect(nested == [[1, 2], [3]])
  }

  @Test func gguf_u64_beyond_int_is_an_error_and_not_a_wrong_number() throws {
    let file = try GGUFFile(path: RecordedFiles.path("quantized.gguf"))
    #expect(file.metadata["t.u64"]?.integer == nil)
    expectDiagnostic(.format, "'t.u64'", "u64", "integer") { _ = try file.integer("t.u64") }
    expectDiagnostic(.format, "'t.none'", "missing") { _ = try file.integer("t.none") }
    expectDiagnostic(.format, "no tensor 'none'") { _ = try file.tensor("none") }
  }

  @Test(arguments: DType.allCases)
  func every_safetensors_dtype_is_read(_ dtype: DType) throws {
    let file = try SafetensorsFile(path: RecordedFiles.path("dtypes.safetensors"))
    let tensor = try file.tensor(dtype.safetensorsName)
    #expect(tensor.shape == [2, 3])
    #expect(try tensor.denseDType() == dtype)
    #expect(tensor.bytes.count == 6 * dtype.size)
    // The 8-bit floats have no 100: it lies between 96 and 104, or 96 and 112.
    let hundred: Float = dtype.isStorageOnly ? 96 : 100
    #expect(try tensor.floats() == (dtype == .bool ? [0, 1, 1, 1, 1, 1] : [0, 1, 2, 3, 4, hundred]))
    let decoded = try tensor.tensor()
    #expect(decoded.dtype == dtype)
    #expect(try decoded.array(as: Float.self) == tensor.floats())
  }

  @Test func safetensors_scalars_empties_metadata_and_unknown_dtypes_are_listed() throws {
    let file = try SafetensorsFile(path: RecordedFiles.path("dtypes.safetensors"))
    #expect(file.metadata == ["made": "by the reference writer"])
    #expect(try file.tensor("scalar").shape == [])
    #expect(try file.tensor("scalar").floats() == [7])
    #expect(try file.tensor("empty").shape == [0, 4])
    #expect(try file.tensor("empty").floats() == [])
    #expect(try file.tensor("E8M0").encoding == .unsupported("F8_E8M0"))
    expectDiagnostic(.format, "'E8M0'", "not supported") { _ = try file.tensor("E8M0").floats() }
  }

  @Test(arguments: QuantizedFormat.all.filter { $0.linear != nil })
  func fields_and_bits_of_a_block_fit_the_block(_ format: QuantizedFormat) throws {
    let linear = try #require(format.linear)
    var used = Set<Int>()  // every bit that an element reads
    let integers = [linear.quant, linear.scale.group, linear.minimum?.group].compactMap { $0 }
    for integer in integers {
      for slice in integer.slices {
        for element in 0..<format.blockElements {
          for bit in 0..<slice.bits { used.insert(8 * slice.byte(element) + slice.shift(element) + bit) }
        }
      }
    }
    for offset in [linear.scale.offset, linear.minimum?.offset].compactMap({ $0 }) {
      used.formUnion(8 * offset..<8 * offset + 16)
    }
    #expect(used == Set(0..<8 * format.blockBytes))
    #expect(format.fields.map(\.bytes).reduce(0, +) == format.blockBytes)
    // Each element has bits of its own, and groups divide the block.
    #expect(format.blockElements % linear.scale.groupElements == 0)
  }
}

// Object code from a cache that anyone may have written to: whatever the bytes are, loading answers or refuses.
// Nothing here is called: a damaged function may do anything. Surprise: a changed instruction is no damage to a loader.
import Basics
import CodegenLLVM
import DriverCPU
import Scalars
import Targets
import Testing
import TileIR

/// An object with constants, relocations and a table of names.
private func object() throws -> (bytes: [UInt8], symbol: String) {
  var b = KernelBuilder(name: "loaded")
  let x = b.contiguous("x", .f32, [b.index(64)], role: .input)
  let y = b.contiguous("y", .f32, [b.index(64)], role: .output)
  b.phase([b.index(1)]) { b, _ in
    let axes = [AxisMap(b.index(0), tileAxis: 0)]
    b.store(Access(y, axes), b.map(.exp, [b.load(Access(x, axes), [.constant(64)])]))
  }
  let compiled = try LLVMCompiler.compile(b.finish(), for: .host)
  return (compiled.object, compiled.phases[0])
}

@Suite struct ObjectLoaderTests {
  @Test func a_whole_object_has_its_functions_and_no_others() throws {
    let (bytes, symbol) = try object()
    let loaded = try ObjectLoader.load(bytes, name: "k")
    #expect(loaded.address(of: symbol) != nil)
    #expect(loaded.address(of: "elsewhere") == nil)
  }

  @Test func every_cut_object_is_refused() throws {
    let (bytes, _) = try object()
    for count in stride(from: 0, to: bytes.count, by: 13) {
      // The table of sections is at the end: without it nothing can be found.
      #expect(throws: Diagnostic.self) { try ObjectLoader.load(Array(bytes[..<count]), name: "k") }
    }
  }

  @Test func damaged_objects_are_refused_or_loaded() throws {
    let (bytes, _) = try object()
    // The header and the tables of sections, names, symbols and relocations are outside of the instructions.
    let table = bytes[40..<48].reversed().reduce(0) { $0 << 8 | Int($1) }
    var refused = 0
    for position in Array(0..<64) + Array(table..<bytes.count) + Array(stride(from: 64, to: table, by: 5)) {
      for value in [0, 1, 2, 8, 0x7f, 0x80, 0xff] as [UInt8] where bytes[position] != value {
        var damaged = bytes
        damaged[position] = value
        do { _ = try ObjectLoader.load(damaged, name: "k") } catch { refused += 1 }
      }
    }
    #expect(refused > 100)
  }
}

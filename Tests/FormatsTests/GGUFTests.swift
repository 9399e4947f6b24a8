// GGUF: hostile headers refused with both values; files are put together byte by byte.

import Basics
import TensorTypes
import Testing

@testable import Formats

/// A GGUF file in the making.
struct GGUFBytes {
  var bytes: [UInt8] = Array("GGUF".utf8)

  init(version: UInt32 = 3, tensors: UInt64 = 0, metadata: UInt64 = 0) {
    add(version)
    add(tensors)
    add(metadata)
  }

  mutating func add(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }
  mutating func add(_ text: String) {
    add(UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }
  mutating func metadata(_ key: String, _ type: UInt32) {
    add(key)
    add(type)
  }
  mutating func tensor(_ name: String, _ extents: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
    add(name)
    add(UInt32(extents.count))
    for extent in extents { add(extent) }
    add(type)
    add(offset)
  }
  mutating func pad(to alignment: Int = 32) {
    while bytes.count % alignment != 0 { bytes.append(0) }
  }

  func open() throws -> GGUFFile { try GGUFFile(file: MappedFile(guarding: bytes, named: "x.gguf")) }
}

struct GGUFTests {
  private func expectRefusal(_ parts: String..., from gguf: GGUFBytes, _ location: SourceLocation = #_sourceLocation) {
    let all = parts
    do {
      let file = try gguf.open()
      Issue.record("opened as \(file), expected an error with \(all)", sourceLocation: location)
    } catch let error as Diagnostic {
      #expect(error.kind == .format, sourceLocation: location)
      for part in all + ["x.gguf"] {
        #expect(error.description.contains(part), "\(error) lacks \(part)", sourceLocation: location)
      }
    } catch {
      Issue.record("\(error)", sourceLocation: location)
    }
  }

  @Test func versions_that_are_not_read_say_so() {
    expectRefusal("GGUF version 1,", "convert", from: GGUFBytes(version: 1))
    expectRefusal("GGUF version 4,", from: GGUFBytes(version: 4))
    expectRefusal("big-endian", "version 3", from: GGUFBytes(version: UInt32(3).byteSwapped))
    var other = GGUFBytes()
    other.bytes[3] = UInt8(ascii: "X")
    expectRefusal("not a GGUF file", from: other)
  }

  @Test(arguments: [2, 3] as [UInt32])
  func an_empty_file_of_either_version_opens(_ version: UInt32) throws {
    let file = try GGUFBytes(version: version).open()
    #expect(file.version == version)
    #expect(file.tensors.isEmpty && file.keys.isEmpty)
  }

  @Test func every_truncation_of_a_recorded_file_is_refused() throws {
    let bytes = try RecordedFiles.bytes("quantized.gguf")
    // Every length within the header, and some within the data.
    for count in Array(1..<3500) + Array(stride(from: 3500, to: bytes.count, by: 997)) {
      expectDiagnostic(.format, "cut") {
        _ = try GGUFFile(file: MappedFile(guarding: Array(bytes.prefix(count)), named: "cut"))
      }
    }
  }

  @Test func lying_counts_are_refused_without_allocating_them() {
    expectRefusal("claims 18446744073709551615 metadata entries", from: GGUFBytes(metadata: .max))
    expectRefusal("claims 18446744073709551615 tensors", from: GGUFBytes(tensors: .max))
    var key = GGUFBytes(metadata: 1)
    key.add(UInt64.max)
    key.bytes += [UInt8](repeating: 0, count: 16)
    expectRefusal("metadata key 0", "needs 18446744073709551615 bytes", from: key)
    for type in [0, 5, 8, 9, 12] as [UInt32] {
      var array = GGUFBytes(metadata: 1)
      array.metadata("k", 9)
      array.add(type)
      array.add(UInt64(1) << 60)
      expectRefusal("'k'", "claims 1152921504606846976 elements", from: array)
    }
    var rank = GGUFBytes(tensors: 1)
    rank.add("t")
    rank.add(UInt32.max)
    rank.bytes += [UInt8](repeating: 0, count: 32)
    expectRefusal("'t'", "rank 4294967295", from: rank)
  }

  @Test func arrays_nested_too_deep_are_refused_before_the_stack_ends() {
    var deep = GGUFBytes(metadata: 1)
    deep.metadata("k", 9)
    for _ in 0..<100_000 {
      deep.add(UInt32(9))
      deep.add(UInt64(1))
    }
    expectRefusal("deeper than 8", from: deep)
  }

  @Test func nested_arrays_read_back() throws {
    var gguf = GGUFBytes(metadata: 1)
    gguf.metadata("k", 9)
    gguf.add(UInt32(9))
    gguf.add(UInt64(2))
    for strings in [["a", "bc"], []] {
      gguf.add(UInt32(8))
      gguf.add(UInt64(strings.count))
      for text in strings { gguf.add(text) }
    }
    let inner = try gguf.open().array("k").values().map { try #require($0.array).strings() }
    #expect(inner == [["a", "bc"], []])
  }

  @Test func wrong_metadata_is_refused() {
    var type = GGUFBytes(metadata: 1)
    type.metadata("k", 13)
    type.add(UInt64(0))
    expectRefusal("'k'", "13 is no metadata type", from: type)
    var bool = GGUFBytes(metadata: 1)
    bool.metadata("k", 7)
    bool.add(UInt8(2))
    expectRefusal("'k'", "a bool is 0 or 1, found 2", from: bool)
    var twice = GGUFBytes(metadata: 2)
    for _ in 0..<2 {
      twice.metadata("k", 0)
      twice.add(UInt8(2))
    }
    expectRefusal("'k' comes twice", from: twice)
    var utf8 = GGUFBytes(metadata: 1)
    utf8.metadata("k", 0)
    utf8.bytes[utf8.bytes.count - 5] = 0xff
    utf8.add(UInt8(1))
    expectRefusal("not UTF-8", from: utf8)
    for (alignment, name) in [(0, "0"), (24, "24")] as [(UInt32, String)] {
      var gguf = GGUFBytes(metadata: 1)
      gguf.metadata("general.alignment", 4)
      gguf.add(alignment)
      expectRefusal("general.alignment is \(name)", from: gguf)
    }
    var text = GGUFBytes(metadata: 1)
    text.metadata("general.alignment", 8)
    text.add("32")
    expectRefusal("general.alignment is string", from: text)
  }

  @Test func wrong_array_elements_are_errors_when_read() throws {
    var gguf = GGUFBytes(metadata: 2)
    gguf.metadata("bools", 9)
    gguf.add(UInt32(7))
    gguf.add(UInt64(2))
    gguf.bytes += [1, 3]
    gguf.metadata("strings", 9)
    gguf.add(UInt32(8))
    gguf.add(UInt64(1))
    gguf.add("x")
    let file = try gguf.open()
    expectDiagnostic(.format, "found 3") { _ = try file.array("bools").values() }
    expectDiagnostic(.format, "holds bool", "strings were expected") { _ = try file.array("bools").strings() }
    expectDiagnostic(.format, "holds string", "integers were expected") { _ = try file.array("strings").integers() }
    expectDiagnostic(.format, "holds string", "numbers were expected") { _ = try file.array("strings").floats() }
    expectDiagnostic(.format, "'strings' is of type array", "a bool") { _ = try file.bool("strings") }
  }

  @Test func strings_that_are_not_utf8_are_repaired_and_their_bytes_kept() throws {
    var gguf = GGUFBytes(metadata: 1)
    gguf.metadata("k", 9)
    gguf.add(UInt32(8))
    gguf.add(UInt64(1))
    gguf.add(UInt64(2))
    gguf.bytes += [0x61, 0xff]
    let array = try gguf.open().array("k")
    #expect(try array.strings() == ["a\u{fffd}"])
    var bytes: [[UInt8]] = []
    try array.forEachString { bytes.append([UInt8]($0)) }
    #expect(bytes == [[0x61, 0xff]])
  }

  @Test func wrong_tensors_are_refused() {
    func one(_ extents: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, data: Int = 64) -> GGUFBytes {
      var gguf = GGUFBytes(tensors: 1)
      gguf.tensor("t", extents, type: type, offset: offset)
      gguf.pad()
      gguf.bytes += [UInt8](repeating: 0, count: data)
      return gguf
    }
    expectRefusal("'t'", "needs 68 bytes at 64 + 0", "has 128", from: one([17]))
    expectRefusal("'t'", "multiple of the alignment 32", "16", from: one([1], offset: 16))
    expectRefusal("'t'", "64 + 96", from: one([1], offset: 96))
    expectRefusal("'t'", "18446744073709551584", from: one([1], offset: .max - 31))
    expectRefusal("'t'", "9223372036854775776", from: one([1], offset: UInt64(Int.max) - 31))
    expectRefusal("'t'", "extent 18446744073709551615", from: one([.max]))
    expectRefusal("'t'", "too large", from: one([1 << 40, 1 << 40]))
    expectRefusal("'t'", "too large", from: one([1 << 62]))
    expectRefusal("'t'", "too large", from: one([0, 1 << 62, 4]))
    expectRefusal("'t'", "rows of 33 elements", "Q4_0 blocks of 32", from: one([33], type: 2))
    expectRefusal("'t'", "rows of 16 elements", from: one([16, 2], type: 2))
    expectRefusal("'t'", "rows of 1 elements", from: one([], type: 2))
    expectRefusal("'t'", "rows of 32 elements", "Q6_K blocks of 256", from: one([32, 8], type: 14))
    expectRefusal("'t'", "rank 9", from: one([1, 1, 1, 1, 1, 1, 1, 1, 1]))
  }

  @Test func tensors_with_one_name_or_shared_bytes_are_refused() {
    var names = GGUFBytes(tensors: 2)
    names.tensor("t", [1])
    names.tensor("t", [1], offset: 32)
    names.pad()
    names.bytes += [UInt8](repeating: 0, count: 64)
    expectRefusal("'t' comes twice", from: names)
    var overlap = GGUFBytes(tensors: 2)
    overlap.tensor("a", [9])
    overlap.tensor("b", [1], offset: 32)
    overlap.pad()
    overlap.bytes += [UInt8](repeating: 0, count: 64)
    expectRefusal("'a' and 'b' overlap", "ends at 36", "starts at 32", from: overlap)
  }

  @Test func shapes_are_outermost_first_and_empty_tensors_open() throws {
    var gguf = GGUFBytes(tensors: 3)
    gguf.tensor("matrix", [3, 2])
    gguf.tensor("empty", [0, 5], offset: 32)
    gguf.tensor("scalar", [], offset: 32)
    gguf.pad()
    gguf.bytes += [UInt8](repeating: 0, count: 36)
    let file = try gguf.open()
    #expect(try file.tensor("matrix").shape == [2, 3])
    #expect(try file.tensor("empty").shape == [5, 0])
    #expect(try file.tensor("empty").floats() == [])
    #expect(try file.tensor("scalar").floats() == [0])
  }

  @Test func unknown_encodings_are_listed_with_their_bytes_and_fail_when_read() throws {
    var gguf = GGUFBytes(tensors: 3)
    gguf.tensor("lattice", [256], type: 9)
    gguf.tensor("plain", [1], offset: 96)
    gguf.tensor("future", [1], type: 999, offset: 128)
    gguf.pad()
    gguf.bytes += [UInt8](repeating: 0, count: 150)
    let file = try gguf.open()
    #expect(try file.tensor("lattice").encoding == .unsupported("Q8_1 (an intermediate encoding)"))
    #expect(try file.tensor("lattice").bytes.count == 96)
    #expect(try file.tensor("future").bytes.count == 22)
    expectDiagnostic(.format, "'future'", "ggml type 999", "not supported") { _ = try file.tensor("future").floats() }
    expectDiagnostic(.format, "Q8_1") { _ = try file.tensor("lattice").denseDType() }
  }
}

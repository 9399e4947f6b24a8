// npy and npz: NumPy's own files read back, ours read back, and damaged ones refused.

import Foundation
import TensorTypes
import TestSupport
import Testing

@testable import Formats

struct ArrayFileTests {
  /// What every recorded array holds.
  private func counting(_ array: NpyArray) -> [Float] {
    let values = (0..<array.elementCount).map { Float($0) }
    return array.dtype == .bool ? values.map { min($0, 1) } : values
  }

  @Test(arguments: ["stored.npz", "deflated.npz", "zip64.npz"])
  func recorded_npz_files_read_as_numpy_wrote_them(_ name: String) throws {
    let file = try NpzFile(path: RecordedFiles.path(name))
    #expect(file.names.count >= 2)
    for name in file.names where name != "unsigned16" && name != "zeros" {
      let array = try file.array(name)
      #expect(array.floats() == counting(array), "\(array)")
      #expect(array.isBigEndian == name.hasSuffix("_big"))
      #expect(array.isFortranOrder == name.hasPrefix("fortran"))
    }
  }

  @Test(arguments: ["stored.npz", "deflated.npz"])
  func every_dtype_order_and_shape_of_numpy_is_recognised(_ name: String) throws {
    let file = try NpzFile(path: RecordedFiles.path(name))
    let dtypes: [String: DType] = [
      "bool": .bool, "uint8": .u8, "int8": .i8, "int16": .i16, "int32": .i32, "int64": .i64, "float16": .f16,
      "float32": .f32, "float64": .f64,
    ]
    for (name, dtype) in dtypes {
      #expect(try file.array(name).dtype == dtype)
      #expect(try file.array(name).shape == [2, 3])
      if dtype.size > 1 { #expect(try file.array(name + "_big").dtype == dtype) }
    }
    #expect(try file.array("fortran").shape == [2, 3, 4])
    #expect(try file.array("scalar").shape == [])
    #expect(try file.array("empty").shape == [0, 3])
    #expect(try file.array("vector").shape == [5])
    expectDiagnostic(.format, "no array 'none'") { _ = try file.array("none") }
  }

  @Test func unsigned_arrays_are_read() throws {
    let array = try NpzFile(path: RecordedFiles.path("stored.npz")).array("unsigned16")
    #expect(array.dtype == .u16)
    #expect(try array.tensor().array(as: Float.self) == array.floats())
  }

  @Test(arguments: [1, 2, 3])
  func npy_versions_1_to_3_are_read(_ version: Int) throws {
    let array = try NpyArray(path: RecordedFiles.path("version\(version).npy"))
    #expect(array.shape == [3, 2])
    #expect(array.dtype == .f32)
    #expect(array.floats() == [0, 1, 2, 3, 4, 5])
    #expect(array.isContiguous)
  }

  @Test func stored_arrays_are_not_copied_and_deflated_ones_are() throws {
    let stored = try NpzFile(path: RecordedFiles.path("stored.npz"))
    let bytes = try #require(try stored.array("vector").mappedBytes)
    #expect(bytes.file === stored.file)
    let deflated = try NpzFile(path: RecordedFiles.path("deflated.npz"))
    #expect(try deflated.array("vector").mappedBytes == nil)
  }

  @Test func an_array_beyond_the_inflation_limit_is_refused() throws {
    let path = RecordedFiles.path("deflated.npz")
    #expect(try NpzFile(path: path, inflationLimit: 40_128).array("zeros").elementCount == 10_000)
    let file = try NpzFile(path: path, inflationLimit: 40_127)
    expectDiagnostic(.format, "zeros", "40128", "40127", "inflationLimit") { _ = try file.array("zeros") }
    #expect(try file.array("vector").elementCount == 5)
  }

  // MARK: Writing

  private func samples() -> [OutgoingTensor] {
    [
      OutgoingTensor("weights", .f32, [2, 3], elements: [1, 2, 3, 4, 5, 6] as [Float]),
      OutgoingTensor("mask", .bool, [3], elements: [1, 0, 1] as [UInt8]),
      OutgoingTensor("steps", .i64, [], elements: [-7] as [Int64]),
      OutgoingTensor("none", .f64, [0, 2], elements: [] as [Double]),
      OutgoingTensor("ção/long", .u8, [100_000], elements: [UInt8](repeating: 3, count: 100_000)),
    ]
  }

  @Test(arguments: [false, true], [UInt64(10), UInt64(UInt32.max)])
  func written_npz_files_read_back(_ compressed: Bool, _ wideLimit: UInt64) throws {
    let folder = try ScratchFolder()
    let path = folder.path("out.npz")
    try NpzWriter.write(samples(), compressed: compressed, to: path, wideLimit: wideLimit)
    let file = try NpzFile(path: path)
    #expect(file.names == ["weights", "mask", "steps", "none", "ção/long"])
    #expect(try file.array("weights").floats() == [1, 2, 3, 4, 5, 6])
    #expect(try file.array("weights").shape == [2, 3])
    #expect(try file.array("mask").dtype == .bool)
    #expect(try file.array("mask").floats() == [1, 0, 1])
    #expect(try file.array("steps").floats() == [-7])
    #expect(try file.array("steps").shape == [])
    #expect(try file.array("none").shape == [0, 2])
    #expect(try file.array("ção/long").floats() == [Float](repeating: 3, count: 100_000))
    if !compressed { #expect(try file.array("weights").mappedBytes?.isAligned(to: 64) == true) }
    #expect((file.file.count < 10_000) == compressed)
  }

  @Test func the_same_arrays_give_the_same_bytes() throws {
    let folder = try ScratchFolder()
    for name in ["a.npz", "b.npz"] { try NpzWriter.write(samples(), compressed: true, to: folder.path(name)) }
    let files = try ["a.npz", "b.npz"].map { try Data(contentsOf: URL(fileURLWithPath: folder.path($0))) }
    #expect(files[0] == files[1])
  }

  @Test func written_npy_files_read_back() throws {
    let folder = try ScratchFolder()
    let path = folder.path("out.npy")
    try NpyArray.write(OutgoingTensor("", .i16, [2, 2], elements: [1, -2, 3, -4] as [Int16]), to: path)
    let array = try NpyArray(path: path)
    #expect(array.dtype == .i16)
    #expect(array.shape == [2, 2])
    #expect(array.floats() == [1, -2, 3, -4])
    #expect(array.mappedBytes?.isAligned(to: 64) == true)
  }

  @Test func what_numpy_cannot_hold_is_an_error_and_leaves_no_file() throws {
    let folder = try ScratchFolder()
    let half = OutgoingTensor("x", .bf16, [1], elements: [0] as [UInt16])
    expectDiagnostic(.dtype, "bf16") { try NpzWriter.write([half], to: folder.path("a.npz")) }
    expectDiagnostic(.dtype, "bf16") { try NpyArray.write(half, to: folder.path("a.npy")) }
    let short = OutgoingTensor("x", .f32, [3], elements: [0, 1] as [Float])
    expectDiagnostic(.argument, "12 bytes", "8 were given") { try NpzWriter.write([short], to: folder.path("a.npz")) }
    let twice = OutgoingTensor("x", .f32, [1], elements: [0] as [Float])
    expectDiagnostic(.argument, "'x'") { try NpzWriter.write([twice, twice], to: folder.path("a.npz")) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  // MARK: Damaged files

  private func npy(_ header: String, data: Int = 0, claimedHeader: Int? = nil) -> [UInt8] {
    let count = claimedHeader ?? header.utf8.count
    return NpyHeader.magic + [1, 0, UInt8(count & 255), UInt8(count >> 8)] + Array(header.utf8)
      + [UInt8](repeating: 0, count: data)
  }

  private func open(npy bytes: [UInt8]) throws {
    _ = try NpyArray(file: MappedFile(guarding: bytes, named: "x.npy"))
  }

  @Test(arguments: [
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "12 bytes", 8),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "12 bytes", 16),
    ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "Python objects", 8),
    ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "structured array", 4),
    ("{'descr': [('a', '<f4', (2,)), ('b', [('c', '<i2')])], 'fortran_order': False, 'shape': (1,), }", "[('a'", 4),
    ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "complex", 8),
    ("{'descr': '|V2', 'fortran_order': False, 'shape': (1,), }", "bfloat16", 2),
    ("{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }", "texts", 12),
    ("{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,), }", "dates", 8),
    ("{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }", "wider than 64 bits", 16),
    ("{'descr': 'float32', 'fortran_order': False, 'shape': (1,), }", "'float32', which is not supported", 4),
    ("{'descr': [('a', '<f4'), 'fortran_order': False, 'shape': (1,), }", "expected ']'", 4),
    ("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,), }", "expected", 4),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "extent", 4),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2), }", "expected ','", 8),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2), }", "more bytes", 4),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 9), }", "more bytes", 0),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 0), }", "more bytes", 0),
    ("{'descr': '<f4', 'fortran_order': True, 'shape': (4294967296, 4294967296, 0), }", "more bytes", 0),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "extent", 4),
    ("{'descr': '<f4', 'fortran_order': False}", "keys", 4),
    ("{'descr': '<f4', 'descr': '<f4', 'shape': (1,)}", "keys", 4),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", "expected '}'", 4),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", "nothing more", 4),
    ("{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}", "expected", 4),
    ("", "expected '{'", 4),
  ])
  func damaged_npy_headers_are_refused(_ header: String, _ part: String, _ data: Int) {
    expectDiagnostic(.format, "x.npy", part) { try open(npy: npy(header, data: data)) }
  }

  @Test func what_follows_an_array_is_named() {
    let one = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", data: 12)
    expectDiagnostic(.format, "second array", "npz") { try open(npy: one + one) }
    expectDiagnostic(.format, "12 bytes", "5 more follow") { try open(npy: one + [1, 2, 3, 4, 5]) }
  }

  @Test func bools_that_are_neither_0_nor_1_are_true() throws {
    var bytes = npy("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", data: 3)
    bytes.replaceSubrange(bytes.count - 3..<bytes.count, with: [2, 0, 254])
    let tensor = try NpyArray(file: MappedFile(guarding: bytes, named: "x.npy")).tensor()
    #expect(try tensor.array() as [Bool] == [true, false, true])
    #expect(try tensor.converted(to: .i32).sum().item(as: Int.self) == 2)
  }

  @Test func npy_headers_that_lie_about_their_length_are_refused() {
    expectDiagnostic(.format, "claims a header of 9999 bytes") { try open(npy: npy("{}", claimedHeader: 9999)) }
    var huge = npy("{}") + [0xff, 0xff, 0xff]
    huge[6] = 2
    huge.replaceSubrange(8..<12, with: [255, 255, 255, 255])
    expectDiagnostic(.format, "4294967295", "65536") { try open(npy: huge) }
    expectDiagnostic(.format, "has 9 bytes") { try open(npy: Array(npy("{}").prefix(9))) }
    var future = npy("{}")
    future[6] = 4
    expectDiagnostic(.format, "version 4.0") { try open(npy: future) }
    expectDiagnostic(.format, "not a NumPy array") { try open(npy: [UInt8](repeating: 65, count: 40)) }
  }

  private func open(npz bytes: [UInt8]) throws {
    let file = try NpzFile(file: MappedFile(guarding: bytes, named: "x.npz"))
    for name in file.names { _ = try file.array(name) }
  }

  /// The only array of a small npz, and where its parts lie.
  private func npz(
    compressed: Bool, wideLimit: UInt64 = UInt64(UInt32.max)
  ) throws -> (bytes: [UInt8], record: Int, end: Int) {
    let folder = try ScratchFolder()
    let array = OutgoingTensor("a", .f32, [4], elements: [1, 2, 3, 4] as [Float])
    try NpzWriter.write([array], compressed: compressed, to: folder.path("a.npz"), wideLimit: wideLimit)
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.path("a.npz"))))
    let record = try #require(bytes.indices.last { bytes[$0...].starts(with: [0x50, 0x4b, 1, 2]) })
    return (bytes, record, bytes.count - 22)
  }

  @Test func flipped_data_bits_fail_the_checksum() throws {
    var (bytes, record, _) = try npz(compressed: false)
    bytes[record - 1] ^= 1  // the last byte of the last element
    expectDiagnostic(.format, "x.npz[a]", "CRC-32") { try open(npz: bytes) }
  }

  @Test func lying_zip_directories_are_refused() throws {
    let (bytes, record, end) = try npz(compressed: false)
    func changed(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
      var copy = bytes
      change(&copy)
      return copy
    }
    expectDiagnostic(.format, "no zip end record") { try open(npz: Array(bytes.dropLast(1))) }
    expectDiagnostic(.format, "65535 zip entries") {
      try open(npz: changed { $0.replaceSubrange(end + 10..<end + 12, with: [255, 255]) })
    }
    expectDiagnostic(.format, "zip directory of") { try open(npz: changed { $0[end + 15] = 0x7f }) }
    expectDiagnostic(.format, "encrypted") { try open(npz: changed { $0[record + 8] |= 1 }) }
    expectDiagnostic(.format, "compression method 12") { try open(npz: changed { $0[record + 10] = 12 }) }
    expectDiagnostic(.format, "leaves the directory") { try open(npz: changed { $0[record + 29] = 0xff }) }
    expectDiagnostic(.format, "no header at") { try open(npz: changed { $0[record + 42] = 3 }) }
    expectDiagnostic(.format, "another name") { try open(npz: changed { $0[30] ^= 1 }) }
    expectDiagnostic(.format, "needs", "before byte") {
      try open(npz: changed { $0[record + 23] = 0x7f })
    }
    expectDiagnostic(.format, "stored", "claims") { try open(npz: changed { $0[record + 24] ^= 1 }) }
    expectDiagnostic(.format, "stored", "claims 4294967295") {
      try open(npz: changed { $0.replaceSubrange(record + 24..<record + 28, with: [255, 255, 255, 255]) })
    }
  }

  @Test func damaged_zip64_fields_are_refused() throws {
    let (bytes, record, end) = try npz(compressed: false, wideLimit: 10)
    var short = bytes
    short[record + 46 + 5 + 2] = 4
    expectDiagnostic(.format, "zip64 field is too short") { try open(npz: short) }
    var leaving = bytes
    leaving[record + 46 + 5 + 2] = 200
    expectDiagnostic(.format, "extra field leaves") { try open(npz: leaving) }
    var negative = bytes
    negative[record + 46 + 5 + 4 + 7] = 0xff
    expectDiagnostic(.format, "too large") { try open(npz: negative) }
    var lost = bytes
    lost[end - 20 + 8] ^= 0xff
    expectDiagnostic(.format, "no zip64 end record") { try open(npz: lost) }
  }

  @Test func lying_deflated_sizes_are_refused_before_they_cost_memory() throws {
    let (bytes, record, _) = try npz(compressed: true)
    var bomb = bytes
    bomb.replaceSubrange(record + 24..<record + 28, with: [0, 0, 0, 0xf0])
    expectDiagnostic(.format, "claims 4026531840 bytes from") { try open(npz: bomb) }
    var slightly = bytes
    slightly[record + 24] ^= 4
    expectDiagnostic(.format, "needs 16 bytes") { try open(npz: slightly) }
    var cut = bytes
    cut[record + 20] -= 1
    expectDiagnostic(.format, "compressed data is cut short") { try open(npz: cut) }
  }

  @Test func entries_that_share_bytes_are_refused() throws {
    // The trick of overlapping zip bombs: an array whose bytes are a zip file, and a directory that lists both.
    let inner = try npz(compressed: false)
    let folder = try ScratchFolder()
    let path = folder.path("outer.npz")
    try NpzWriter.write([OutgoingTensor("outer", .u8, [inner.bytes.count], elements: inner.bytes)], to: path)
    let start = try #require(try NpzFile(path: path).array("outer").mappedBytes).offset
    let outer = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    let end = outer.count - 22
    var second = [UInt8](inner.bytes[inner.record..<inner.end])
    second[42] = UInt8(start & 255)
    second[43] = UInt8(start >> 8)
    var both = outer[..<end] + second + outer[end...]
    let newEnd = end + second.count
    both[newEnd + 8] = 2
    both[newEnd + 10] = 2
    both[newEnd + 12] += UInt8(second.count)
    expectDiagnostic(.format, "overlap") { try open(npz: Array(both)) }
    // The same record twice.
    both.replaceSubrange(end..<newEnd, with: outer[(end - 56)..<end])
    expectDiagnostic(.format, "zip") { try open(npz: Array(both)) }
  }
}

// The header of a GGUF file, read front to back with every count checked against the bytes that are left.
// Not public: `GGUFFile` is what it becomes.

import Basics
import TensorTypes

struct GGUFHeader {
  static let magic: UInt32 = 0x4655_4747  // "GGUF", read little-endian
  static let maximumRank = 8
  static let maximumNameBytes = 65_535
  /// The smallest entries: key length + type + one byte; name length + rank + type + offset.
  static let minimumEntryBytes = (metadata: 13, tensor: 24)

  private var cursor: ByteCursor
  private(set) var version: UInt32 = 0
  private(set) var alignment = 32
  private(set) var dataOffset = 0
  private(set) var keys: [String] = []
  private(set) var metadata: [String: GGUFValue] = [:]
  private var metadataNames = UniqueNames()
  private(set) var tensors: [StoredTensor] = []
  private(set) var tensorIndex: [String: Int] = [:]

  private struct Entry {
    let name: String
    let shape: [Int]
    let encoding: StoredTensor.Encoding
    /// Nil where the encoding is unknown: the tensor then reaches to the next one.
    let byteCount: Int?
    let offset: Int
  }

  init(_ file: MappedFile) { cursor = ByteCursor(file) }

  var file: MappedFile { cursor.file }

  mutating func read() throws(Diagnostic) {
    let counts = try readPreamble()
    for index in 0..<counts.metadata { try readMetadata(index) }
    if let value = metadata["general.alignment"] {
      guard case .u32(let bytes) = value, bytes > 0, bytes & (bytes - 1) == 0 else {
        throw malformed(
          "general.alignment is \(value.integer.map(String.init) ?? "\(value.type)"), "
            + "a u32 power of two was expected")
      }
      alignment = Int(bytes)
    }
    var entries: [Entry] = []
    for index in 0..<counts.tensors { entries.append(try readTensor(index)) }
    try place(entries)
  }

  private mutating func readPreamble() throws(Diagnostic) -> (tensors: UInt64, metadata: UInt64) {
    let magic: UInt32 = try cursor.read("the GGUF magic")
    guard magic == Self.magic else {
      throw malformed("is not a GGUF file: starts with \(Opening(cursor.file).description)")
    }
    version = try cursor.read("the GGUF version")
    guard version & 0xffff != 0 || version == 0 else {
      throw malformed(
        "is a big-endian GGUF file (version \(version.byteSwapped)), only little-endian ones are read",
        remedy: "convert it to little-endian")
    }
    guard version == 2 || version == 3 else {
      throw malformed(
        "is GGUF version \(version), versions 2 and 3 are supported",
        remedy: version == 1 ? "convert it with a current tool: version 1 had 32-bit counts" : nil)
    }
    let tensorCount: UInt64 = try cursor.read("the tensor count")
    let metadataCount: UInt64 = try cursor.read("the metadata count")
    let room = UInt64(cursor.remaining)
    guard metadataCount <= room / UInt64(Self.minimumEntryBytes.metadata) else {
      throw malformed("claims \(metadataCount) metadata entries in the \(room) bytes that are left")
    }
    guard tensorCount <= room / UInt64(Self.minimumEntryBytes.tensor) else {
      throw malformed("claims \(tensorCount) tensors in the \(room) bytes that are left")
    }
    return (tensorCount, metadataCount)
  }

  private mutating func readName(_ what: @autoclosure () -> String) throws(Diagnostic) -> String {
    let bytes = try cursor.stringBytes(what())
    guard bytes.count <= Self.maximumNameBytes else {
      throw malformed("\(what()) has \(bytes.count) bytes, at most \(Self.maximumNameBytes) are allowed")
    }
    guard let name = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw malformed("\(what()) at byte \(bytes.offset) is not UTF-8")
    }
    return name
  }

  private mutating func readMetadata(_ index: UInt64) throws(Diagnostic) {
    let key = try readName("metadata key \(index)")
    let number: UInt32 = try cursor.read("the type of '\(key)'")
    guard let type = GGUFValueType(rawValue: number) else {
      throw malformed("metadata '\(key)': \(number) is no metadata type (0...12 are)")
    }
    let value = try cursor.value(of: type, "metadata '\(key)'", depth: 0)
    if let problem = metadataNames.problem(adding: key) { throw malformed("metadata key '\(key)' \(problem)") }
    metadata[key] = value
    keys.append(key)
  }

  private mutating func readTensor(_ index: UInt64) throws(Diagnostic) -> Entry {
    let name = try readName("the name of tensor \(index)")
    let rank: UInt32 = try cursor.read("the rank of tensor '\(name)'")
    guard rank <= Self.maximumRank else {
      throw malformed("tensor '\(name)' has rank \(rank), at most \(Self.maximumRank) is supported")
    }
    var innermostFirst: [Int] = []
    for axis in 0..<rank {
      let extent: UInt64 = try cursor.read("extent \(axis) of tensor '\(name)'")
      guard let extent = Int(exactly: extent) else {
        throw malformed("tensor '\(name)': extent \(extent) of axis \(axis) is too large")
      }
      innermostFirst.append(extent)
    }
    let shape = [Int](innermostFirst.reversed())
    guard let elements = CheckedSize.elements(shape) else {
      throw malformed("tensor '\(name)': the number of elements of shape \(shape) is too large")
    }
    let number: UInt32 = try cursor.read("the type of tensor '\(name)'")
    let start: UInt64 = try cursor.read("the offset of tensor '\(name)'")
    guard let offset = Int(exactly: start), offset % alignment == 0 else {
      throw malformed("tensor '\(name)' starts at \(start), not at a multiple of the alignment \(alignment)")
    }
    let encoding = StoredTensor.Encoding(ggmlID: number)
    let byteCount: Int?
    switch encoding {
    case .unsupported: byteCount = nil
    case .dense(let dtype):
      guard let bytes = CheckedSize.bytes(shape, dtype) else {
        throw malformed("tensor '\(name)': \(elements) elements of \(dtype) are too many")
      }
      byteCount = bytes
    case .quantized(let format):
      let row = shape.last ?? 1
      guard row % format.blockElements == 0, let bytes = format.byteCount(elements: elements) else {
        throw malformed(
          "tensor '\(name)': rows of \(row) elements do not fill \(format) blocks of \(format.blockElements)")
      }
      byteCount = bytes
    }
    return Entry(name: name, shape: shape, encoding: encoding, byteCount: byteCount, offset: offset)
  }

  /// Gives each entry its bytes, refusing tensors that leave the file or share bytes.
  private mutating func place(_ entries: [Entry]) throws(Diagnostic) {
    let file = cursor.file
    let (end, overflow) = cursor.offset.addingReportingOverflow(alignment - 1)
    dataOffset = overflow ? file.count : min(end / alignment * alignment, file.count)
    let dataCount = file.count - dataOffset

    let order = entries.indices.sorted { (entries[$0].offset, $0) < (entries[$1].offset, $1) }
    var counts = [Int](repeating: 0, count: entries.count)
    var previous: (name: String, end: Int) = ("", 0)
    for (position, index) in order.enumerated() {
      let entry = entries[index]
      let next = position + 1 < order.count ? entries[order[position + 1]].offset : dataCount
      let count = entry.byteCount ?? max(min(next, dataCount) - entry.offset, 0)
      guard entry.offset <= dataCount, count <= dataCount - entry.offset else {
        throw malformed(
          "tensor '\(entry.name)' needs \(count) bytes at \(dataOffset) + \(entry.offset), the file has \(file.count)",
          remedy: ByteCursor.fetchAgain)
      }
      guard count == 0 || entry.offset >= previous.end else {
        throw malformed(
          "tensors '\(previous.name)' and '\(entry.name)' overlap: one ends at \(previous.end), "
            + "the other starts at \(entry.offset)")
      }
      if count > 0 { previous = (entry.name, entry.offset + count) }
      counts[index] = count
    }

    var names = UniqueNames()
    tensors.reserveCapacity(entries.count)
    for (index, entry) in entries.enumerated() {
      if let problem = names.problem(adding: entry.name) { throw malformed("tensor '\(entry.name)' \(problem)") }
      tensorIndex[entry.name] = index
      tensors.append(
        StoredTensor(
          name: entry.name, shape: entry.shape, encoding: entry.encoding,
          bytes: MappedBytes(file: file, uncheckedOffset: dataOffset + entry.offset, count: counts[index])))
    }
  }

  private func malformed(_ what: String, remedy: String? = ByteCursor.fetchAgain) -> Diagnostic {
    cursor.file.malformed(what, remedy: remedy)
  }
}

extension StoredTensor.Encoding {
  /// The encoding with a ggml number; `.unsupported` names those that are known but not read.
  init(ggmlID: UInt32) {
    if let format = QuantizedFormat(ggmlID: ggmlID) {
      self = .quantized(format)
      return
    }
    switch ggmlID {
    case 0: self = .dense(.f32)
    case 1: self = .dense(.f16)
    case 24: self = .dense(.i8)
    case 25: self = .dense(.i16)
    case 26: self = .dense(.i32)
    case 27: self = .dense(.i64)
    case 28: self = .dense(.f64)
    case 30: self = .dense(.bf16)
    default: self = .unsupported(Self.unreadNames[ggmlID] ?? "ggml type \(ggmlID)")
    }
  }

  /// What GGUF numbers and no file should hold: intermediate results of products, and encodings that were given up.
  private static let unreadNames: [UInt32: String] = [
    4: "Q4_2 (given up)", 5: "Q4_3 (given up)", 9: "Q8_1 (an intermediate encoding)",
    15: "Q8_K (an intermediate encoding)", 31: "Q4_0_4_4 (given up)", 32: "Q4_0_4_8 (given up)",
    33: "Q4_0_8_8 (given up)", 36: "IQ4_NL_4_4 (given up)", 37: "IQ4_NL_4_8 (given up)",
    38: "IQ4_NL_8_8 (given up)", 41: "Q1_0",
  ]
}

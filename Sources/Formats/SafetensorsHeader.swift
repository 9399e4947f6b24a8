// The JSON header of a safetensors file, checked member by member as it is read.
// Not public: `SafetensorsFile` is what it becomes. Surprise: never a JSON tree: a header may have 100 MB, and one that is
// a single list of zeros would become 24 times as much before anyone saw that it is none.

import Basics
import TensorTypes

struct SafetensorsHeader {
  private struct Entry {
    let name: String
    let dtype: String
    let shape: [Int]
    let begin: Int
    let end: Int
  }

  static let metadataKey = "__metadata__"

  let metadata: [String: String]
  private let entries: [Entry]

  init(_ text: MappedBytes) throws(Diagnostic) {
    let file = text.file
    var metadata: [String: String] = [:]
    var entries: [Entry] = []
    let result = text.withUnsafeBytes { bytes in
      Result { () throws(Diagnostic) in
        guard bytes.first == UInt8(ascii: "{") else {
          throw file.malformed("is not a safetensors file: the header does not start with '{'")
        }
        var reader = JSONReader(bytes.bindMemory(to: UInt8.self)) {
          file.malformed("the header cannot be read: \($0)")
        }
        var names = UniqueNames()
        try reader.object { name, reader throws(Diagnostic) in
          if let problem = names.problem(adding: name) { throw file.malformed("tensor '\(name)' \(problem)") }
          if name == Self.metadataKey {
            metadata = try Self.metadata(&reader, in: file)
          } else {
            entries.append(try Self.entry(name, &reader, in: file))
          }
        }
        try reader.end()
      }
    }
    try result.get()
    self.metadata = metadata
    self.entries = entries
  }

  private static func metadata(
    _ reader: inout JSONReader, in file: MappedFile
  ) throws(Diagnostic) -> [String: String] {
    var metadata: [String: String] = [:]
    var keys = UniqueNames()
    // Some writers say null where there is none.
    if try reader.kind() == .null {
      try reader.skip()
      return metadata
    }
    guard try reader.kind() == .object else { throw file.malformed("\(metadataKey) is not an object") }
    try reader.object { key, reader throws(Diagnostic) in
      guard try reader.kind() == .string else { throw file.malformed("\(metadataKey) '\(key)' is not a string") }
      if let problem = keys.problem(adding: key) { throw file.malformed("\(metadataKey) '\(key)' \(problem)") }
      metadata[key] = try reader.string()
    }
    return metadata
  }

  private static func entry(
    _ name: String, _ reader: inout JSONReader, in file: MappedFile
  ) throws(Diagnostic) -> Entry {
    var dtype: String?
    var (shape, offsets): ([Int]?, [Int]?) = (nil, nil)
    var fields = UniqueNames()
    guard try reader.kind() == .object else { throw file.malformed("tensor '\(name)' is not an object") }
    try reader.object { field, reader throws(Diagnostic) in
      if let problem = fields.problem(adding: field) {
        throw file.malformed("tensor '\(name)': '\(field)' \(problem)")
      }
      switch field {
      case "dtype":
        guard try reader.kind() == .string else {
          throw file.malformed("tensor '\(name)': 'dtype' is missing or not a string")
        }
        dtype = try reader.string()
      case "shape": shape = try integers(field, of: name, &reader, in: file)
      case "data_offsets": offsets = try integers(field, of: name, &reader, in: file)
      default: try reader.skip()
      }
    }
    guard let dtype else { throw file.malformed("tensor '\(name)': 'dtype' is missing or not a string") }
    guard let offsets else { throw missingArray("data_offsets", of: name, in: file) }
    guard let shape else { throw missingArray("shape", of: name, in: file) }
    guard offsets.count == 2, let begin = offsets.first, let end = offsets.last, begin <= end else {
      throw file.malformed("tensor '\(name)': data_offsets \(offsets.prefix(4)) are no range")
    }
    return Entry(name: name, dtype: dtype, shape: shape, begin: begin, end: end)
  }

  private static func missingArray(_ field: String, of name: String, in file: MappedFile) -> Diagnostic {
    file.malformed("tensor '\(name)': '\(field)' is missing or not an array")
  }

  private static func integers(
    _ field: String, of name: String, _ reader: inout JSONReader, in file: MappedFile
  ) throws(Diagnostic) -> [Int] {
    guard try reader.kind() == .array else { throw missingArray(field, of: name, in: file) }
    var integers: [Int] = []
    try reader.array { reader throws(Diagnostic) in
      guard try reader.kind() == .number, let integer = try reader.value().int, integer >= 0 else {
        throw file.malformed("tensor '\(name)': '\(field)' holds something else than integers from 0 to 2^63 - 1")
      }
      guard integers.count < SafetensorsFile.maximumRank else {
        throw file.malformed(
          "tensor '\(name)': '\(field)' holds more than \(SafetensorsFile.maximumRank) integers")
      }
      integers.append(integer)
    }
    return integers
  }

  /// All tensors in the order of their bytes; every byte after `dataOffset` belongs to exactly one.
  func tensors(in file: MappedFile, from dataOffset: Int) throws(Diagnostic) -> [StoredTensor] {
    let dataCount = file.count - dataOffset
    var tensors: [StoredTensor] = []
    var position = 0
    for entry in entries.sorted(by: { ($0.begin, $0.end, $0.name) < ($1.begin, $1.end, $1.name) }) {
      guard entry.end <= dataCount else {
        throw file.malformed(
          "tensor '\(entry.name)' ends at byte \(entry.end) of the data, which has \(dataCount)",
          remedy: ByteCursor.fetchAgain)
      }
      guard entry.begin == position else {
        throw file.malformed(
          "tensor '\(entry.name)' starts at byte \(entry.begin) of the data, expected \(position): tensors "
            + (entry.begin < position ? "overlap" : "leave a hole"))
      }
      position = entry.end
      tensors.append(
        StoredTensor(
          name: entry.name, shape: entry.shape, encoding: try encoding(of: entry, in: file),
          bytes: MappedBytes(file: file, uncheckedOffset: dataOffset + entry.begin, count: entry.end - entry.begin)))
    }
    guard position == dataCount else {
      throw file.malformed("the tensors end at byte \(position) of the data, which has \(dataCount)")
    }
    return tensors
  }

  private func encoding(of entry: Entry, in file: MappedFile) throws(Diagnostic) -> StoredTensor.Encoding {
    guard let elements = CheckedSize.elements(entry.shape) else {
      throw file.malformed("tensor '\(entry.name)': shape \(entry.shape.prefix(8)) is too large")
    }
    let dtype = DType(safetensorsName: entry.dtype)
    guard let bits = dtype.map({ $0.size * 8 }) ?? Self.unreadBits[entry.dtype] else {
      return .unsupported(entry.dtype)
    }
    let (whole, overflows) = (entry.end - entry.begin).multipliedReportingOverflow(by: 8)
    guard !overflows, CheckedSize.bytes(entry.shape, elementBytes: bits) == whole else {
      let each = bits % 8 == 0 ? "\(bits / 8) bytes" : "\(bits) bits"
      throw file.malformed(
        "tensor '\(entry.name)': \(entry.dtype) of shape \(entry.shape) needs \(elements) x \(each), "
          + "data_offsets give \(entry.end - entry.begin)\(bits % 8 == 0 ? "" : " bytes")")
    }
    return dtype.map { .dense($0) } ?? .unsupported(entry.dtype)
  }

  /// Bits of dtypes that are checked and listed but not read.
  private static let unreadBits = [
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "C64": 64, "C128": 128,
  ]
}

extension DType {
  /// The dtype's name in safetensors headers.
  var safetensorsName: String {
    switch self {
    case .bool: "BOOL"
    case .u8: "U8"
    case .i8: "I8"
    case .i16: "I16"
    case .i32: "I32"
    case .i64: "I64"
    case .f16: "F16"
    case .bf16: "BF16"
    case .f32: "F32"
    case .f64: "F64"
    case .u16: "U16"
    case .u32: "U32"
    case .u64: "U64"
    case .f8e4m3fn: "F8_E4M3"
    case .f8e5m2: "F8_E5M2"
    }
  }

  init?(safetensorsName name: String) {
    guard let dtype = Self.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
    self = dtype
  }
}

// The JSON header of a safetensors file, checked member by member.
// Not public: `SafetensorsFile` is what it becomes.

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
    guard text.withUnsafeBytes({ $0.first }) == UInt8(ascii: "{") else {
      throw file.malformed("is not a safetensors file: the header does not start with '{'")
    }
    let json: JSON
    do {
      json = try text.withUnsafeBytes { try JSON(parsing: $0) }
    } catch let error as Diagnostic {
      throw file.malformed("the header cannot be read: \(error.message)")
    } catch {
      throw file.malformed("the header cannot be read: \(error)")
    }
    var metadata: [String: String] = [:]
    var entries: [Entry] = []
    var names = UniqueNames()
    for member in json.members ?? [] {
      if let problem = names.problem(adding: member.key) { throw file.malformed("tensor '\(member.key)' \(problem)") }
      if member.key == Self.metadataKey {
        metadata = try Self.metadata(member.value, in: file)
      } else {
        entries.append(try Self.entry(member, in: file))
      }
    }
    self.metadata = metadata
    self.entries = entries
  }

  private static func metadata(_ value: JSON, in file: MappedFile) throws(Diagnostic) -> [String: String] {
    // Some writers say null where there is none.
    if value.isNull { return [:] }
    var metadata: [String: String] = [:]
    var keys = UniqueNames()
    guard let members = value.members else { throw file.malformed("\(metadataKey) is not an object") }
    for member in members {
      guard let text = member.value.string else {
        throw file.malformed("\(metadataKey) '\(member.key)' is not a string")
      }
      if let problem = keys.problem(adding: member.key) {
        throw file.malformed("\(metadataKey) '\(member.key)' \(problem)")
      }
      metadata[member.key] = text
    }
    return metadata
  }

  private static func entry(_ member: JSON.Member, in file: MappedFile) throws(Diagnostic) -> Entry {
    func integers(_ key: String) throws(Diagnostic) -> [Int] {
      guard let elements = member.value[key]?.array else {
        throw file.malformed("tensor '\(member.key)': '\(key)' is missing or not an array")
      }
      let integers = elements.compactMap(\.int)
      guard integers.count == elements.count, integers.allSatisfy({ $0 >= 0 }) else {
        throw file.malformed("tensor '\(member.key)': '\(key)' holds something else than integers from 0 to 2^63 - 1")
      }
      return integers
    }
    var fields = UniqueNames()
    for field in member.value.members ?? [] {
      if let problem = fields.problem(adding: field.key) {
        throw file.malformed("tensor '\(member.key)': '\(field.key)' \(problem)")
      }
    }
    guard let dtype = member.value["dtype"]?.string else {
      throw file.malformed("tensor '\(member.key)': 'dtype' is missing or not a string")
    }
    let offsets = try integers("data_offsets")
    guard offsets.count == 2, let begin = offsets.first, let end = offsets.last, begin <= end else {
      throw file.malformed("tensor '\(member.key)': data_offsets \(offsets.prefix(4)) are no range")
    }
    return Entry(name: member.key, dtype: dtype, shape: try integers("shape"), begin: begin, end: end)
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
    guard entry.shape.count <= SafetensorsFile.maximumRank, let elements = CheckedSize.elements(entry.shape) else {
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

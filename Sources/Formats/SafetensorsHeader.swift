// The JSON header of a safetensors file, decoded and checked.
// Not public: `SafetensorsFile` is what it becomes. Surprise: nesting is measured before Foundation sees the text, so
// that its parser's own limits never matter.

import Basics
import TensorTypes

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

struct SafetensorsHeader: Decodable {
  struct Entry: Decodable {
    let dtype: String
    let shape: [Int]
    let offsets: [Int]

    enum CodingKeys: String, CodingKey {
      case dtype, shape
      case offsets = "data_offsets"
    }
  }

  /// A name in the header: every tensor is a key of the one JSON object.
  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// The header object holds entries, which hold arrays.
  static let maximumDepth = 3

  let metadata: [String: String]
  let entries: [String: Entry]

  init(_ json: MappedBytes) throws(Diagnostic) {
    let file = json.file
    guard json.withUnsafeBytes({ $0.first }) == UInt8(ascii: "{") else {
      throw file.malformed("is not a safetensors file: the header does not start with '{'")
    }
    let depth = json.withUnsafeBytes { Self.nesting(of: $0) }
    guard depth <= Self.maximumDepth else {
      throw file.malformed("the header nests \(depth) levels deep, \(Self.maximumDepth) are allowed")
    }
    do {
      self = try JSONDecoder().decode(Self.self, from: json.withUnsafeBytes { Data($0) })
    } catch let error as DecodingError {
      throw file.malformed("the header cannot be read: \(Self.explain(error))")
    } catch {
      throw file.malformed("the header cannot be read: \(error)")
    }
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Name.self)
    var metadata: [String: String] = [:]
    var entries: [String: Entry] = [:]
    for key in container.allKeys {
      if key.stringValue == "__metadata__" {
        metadata = try container.decode([String: String].self, forKey: key)
      } else {
        entries[key.stringValue] = try container.decode(Entry.self, forKey: key)
      }
    }
    self.metadata = metadata
    self.entries = entries
  }

  /// The deepest nesting of arrays and objects, brackets in strings left out.
  static func nesting(of text: UnsafeRawBufferPointer) -> Int {
    var depth = 0, deepest = 0, inString = false, isEscaped = false
    for byte in text {
      if isEscaped {
        isEscaped = false
      } else if inString {
        if byte == UInt8(ascii: "\\") { isEscaped = true } else if byte == UInt8(ascii: "\"") { inString = false }
      } else if byte == UInt8(ascii: "\"") {
        inString = true
      } else if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
        depth += 1
        deepest = max(deepest, depth)
      } else if byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") {
        depth -= 1
      }
    }
    return deepest
  }

  /// All tensors in the order of their bytes; every byte after `dataOffset` belongs to exactly one.
  func tensors(in file: MappedFile, from dataOffset: Int) throws(Diagnostic) -> [StoredTensor] {
    let dataCount = file.count - dataOffset
    var placed: [(name: String, entry: Entry, begin: Int, end: Int)] = []
    for (name, entry) in entries {
      guard entry.offsets.count == 2, let begin = entry.offsets.first, let end = entry.offsets.last,
        begin >= 0, begin <= end
      else { throw file.malformed("tensor '\(name)': data_offsets \(entry.offsets) are no range") }
      guard end <= dataCount else {
        throw file.malformed(
          "tensor '\(name)' ends at byte \(end) of the data, which has \(dataCount)", remedy: ByteCursor.fetchAgain)
      }
      placed.append((name, entry, begin, end))
    }
    placed.sort { ($0.begin, $0.end, $0.name) < ($1.begin, $1.end, $1.name) }

    var tensors: [StoredTensor] = []
    var position = 0
    for (name, entry, begin, end) in placed {
      guard begin == position else {
        throw file.malformed(
          "tensor '\(name)' starts at byte \(begin) of the data, expected \(position): tensors "
            + (begin < position ? "overlap" : "leave a hole"))
      }
      position = end
      let encoding = try encoding(of: entry, name, bytes: end - begin, in: file)
      tensors.append(
        StoredTensor(
          name: name, shape: entry.shape, encoding: encoding,
          bytes: MappedBytes(file: file, uncheckedOffset: dataOffset + begin, count: end - begin)))
    }
    guard position == dataCount else {
      throw file.malformed("the tensors end at byte \(position) of the data, which has \(dataCount)")
    }
    return tensors
  }

  private func encoding(
    of entry: Entry, _ name: String, bytes: Int, in file: MappedFile
  ) throws(Diagnostic) -> StoredTensor.Encoding {
    guard entry.shape.count <= SafetensorsFile.maximumRank, let elements = CheckedSize.elements(entry.shape) else {
      throw file.malformed("tensor '\(name)': shape \(entry.shape.prefix(8)) is negative or too large")
    }
    let dtype = DType(safetensorsName: entry.dtype)
    guard let size = dtype?.size ?? Self.unreadSizes[entry.dtype] else { return .unsupported(entry.dtype) }
    let (expected, overflow) = elements.multipliedReportingOverflow(by: size)
    guard !overflow, expected == bytes else {
      throw file.malformed(
        "tensor '\(name)': \(entry.dtype) of shape \(entry.shape) needs \(elements) x \(size) bytes, "
          + "data_offsets give \(bytes)")
    }
    return dtype.map { .dense($0) } ?? .unsupported(entry.dtype)
  }

  /// Bytes of dtypes that are checked and listed but not read.
  private static let unreadSizes = ["U16": 2, "U32": 4, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "C64": 8]

  private static func explain(_ error: DecodingError) -> String {
    func at(_ context: DecodingError.Context) -> String {
      let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? "'\($0.stringValue)'" }
      return path.isEmpty ? "" : path.joined(separator: " ") + ": "
    }
    switch error {
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
      return at(context) + context.debugDescription
    case .keyNotFound(let key, let context): return at(context) + "'\(key.stringValue)' is missing"
    @unknown default: return "\(error)"
    }
  }
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
    }
  }

  init?(safetensorsName name: String) {
    guard let dtype = Self.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
    self = dtype
  }
}
